"""How long a new customer waits for a license, at a rate that is offered whatever the answers."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.load import Load, percentile
from benchmarks.load import run as run_load
from benchmarks.measurements import Measurement, milliseconds
from benchmarks.orders import new_book
from benchmarks.scenarios.plan import Plan
from benchmarks.stack import Stack, Web

RATES = (10, 50, 100)
SERVER_MS = 50
CALLS = 2  # of a new customer: the user and the license
OVERHEAD_MS = 40


def run(stack: Stack, plan: Plan) -> Sequence[Measurement]:
    """From the moment an order's POST is due to its license standing in the database."""
    measured = []
    stack.reset(latency=SERVER_MS / 1000)
    workers = plan.workers_or(3)
    with stack.web() as web, stack.workers(workers, concurrency=plan.concurrency):
        _post(stack, web, count=60, rate=60)
        for rate in RATES:
            measured += _measure(stack, web, rate=rate, seconds=plan.pick(10, 2))
    return measured


def _measure(stack: Stack, web: Web, *, rate: int, seconds: int) -> list[Measurement]:
    waits, answers = _post(stack, web, count=rate * seconds, rate=rate)
    name = f"{rate} orders/s, server latency {SERVER_MS} ms"
    return [
        milliseconds(f"{name}: order → license p50", percentile(waits, 0.5), at_most=CALLS * SERVER_MS + OVERHEAD_MS),
        milliseconds(f"{name}: order → license p95", percentile(waits, 0.95)),
        milliseconds(f"{name}: answer p50", percentile(answers, 0.5)),
        milliseconds(f"{name}: answer p95", percentile(answers, 0.95)),
    ]


def _post(stack: Stack, web: Web, *, count: int, rate: int) -> tuple[list[float], list[float]]:
    """(seconds from order to license, seconds to the answer)"""
    already = stack.database.settled()
    book = new_book(count)
    posted = run_load(Load(book=book, port=web.port, rate=rate, seconds=count / rate + 10))
    stack.database.wait_for_licenses(already + count, seconds=60)
    return stack.database.order_to_license_seconds(posted, run=book.run), posted.seconds
