"""How long a new customer waits for a license, at a rate that is offered whatever the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.load import Load, percentile
from benchmarks.load import run as run_load
from benchmarks.measurements import Measurement, milliseconds
from benchmarks.orders import Book, new_book
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
        post_orders(stack, web, new_book(60), rate=60)
        for rate in RATES:
            measured += measure_waits(stack, web, new_book, rate=rate, seconds=plan.pick(10, 2))
    return measured


def measure_waits(
    stack: Stack, web: Web, make_book: Callable[[int], Book], *, rate: int, seconds: int
) -> list[Measurement]:
    waits, answers = post_orders(stack, web, make_book(rate * seconds), rate=rate)
    name = f"{rate} orders/s, server latency {SERVER_MS} ms"
    return [
        milliseconds(f"{name}: order → license p50", percentile(waits, 0.5), at_most=CALLS * SERVER_MS + OVERHEAD_MS),
        milliseconds(f"{name}: order → license p95", percentile(waits, 0.95)),
        milliseconds(f"{name}: answer p50", percentile(answers, 0.5)),
        milliseconds(f"{name}: answer p95", percentile(answers, 0.95)),
    ]


def post_orders(stack: Stack, web: Web, book: Book, *, rate: int) -> tuple[list[float], list[float]]:
    """(seconds from order to license, seconds to the answer); ``rate``: orders per second"""
    already = stack.database.settled()
    deliveries_per_second = rate * book.deliveries / book.count
    posted = run_load(Load(book=book, port=web.port, rate=deliveries_per_second, seconds=book.count / rate + 10))
    stack.database.wait_for_licenses(already + book.count, seconds=60)
    return stack.database.order_to_license_seconds(posted, book=book), posted.seconds
