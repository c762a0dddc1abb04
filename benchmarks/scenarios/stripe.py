"""Stripe Checkout without an API key: how fast its deliveries are answered, and how long a customer waits."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.load import Load
from benchmarks.load import run as run_load
from benchmarks.measurements import Measurement
from benchmarks.scenarios.latency import SERVER_MS, measure_waits, post_orders
from benchmarks.scenarios.plan import Plan
from benchmarks.scenarios.receive import single_client
from benchmarks.stack import Stack
from benchmarks.stripe_orders import new_stripe_book

RATE = 50  # orders per second, which are 75 deliveries


def run(stack: Stack, plan: Plan) -> Sequence[Measurement]:
    """First the acknowledgement alone, then orders by a fixed schedule; half of the orders are subscriptions."""
    stack.reset()
    with stack.web() as web:
        run_load(Load(book=new_stripe_book(60), port=web.port, clients=32))  # so that no process is cold
        answered = run_load(Load(book=new_stripe_book(plan.pick(800, 200)), port=web.port))
        stack.reset(latency=SERVER_MS / 1000)
        with stack.workers(plan.workers_or(3), concurrency=plan.concurrency):
            post_orders(stack, web, new_stripe_book(60), rate=60)
            waits = measure_waits(stack, web, new_stripe_book, rate=RATE, seconds=plan.pick(10, 2))
    return [*single_client(answered), *waits]
