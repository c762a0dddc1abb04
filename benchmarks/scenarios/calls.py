"""How many calls to the license server an order costs: with a limit of 10 per second, the true ceiling."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.load import Load
from benchmarks.load import run as run_load
from benchmarks.measurements import Measurement, exactly
from benchmarks.orders import OrderBook, new_book
from benchmarks.scenarios.plan import Plan
from benchmarks.stack import Stack, Web


def run(stack: Stack, plan: Plan) -> Sequence[Measurement]:
    """Orders of new customers, then further orders of the same customers."""
    stack.reset()
    count = plan.pick(300, 60)
    new = new_book(count)
    with stack.web() as web, stack.workers(plan.workers_or(3), concurrency=plan.concurrency):
        first = _calls_per_order(stack, web, new, expected=count)
        # The buyers of the first book under order ids that begin where it ended.
        again = new_book(2 * count, run=new.run, buyers=count)
        second = _calls_per_order(stack, web, again, expected=2 * count, numbers=range(count, 2 * count))
    return [
        Measurement(name="calls per order, new customer", value=first, target=exactly(2)),
        Measurement(name="calls per order, known customer", value=second, target=exactly(1)),
    ]


def _calls_per_order(
    stack: Stack, web: Web, book: OrderBook, *, expected: int, numbers: Sequence[int] | None = None
) -> float:
    stack.sandbox.forget_calls()
    run_load(Load(book=book, port=web.port, clients=4, numbers=numbers))
    stack.database.wait_for_licenses(expected, seconds=60)
    return sum(stack.sandbox.calls().values()) / (book.count if numbers is None else len(numbers))
