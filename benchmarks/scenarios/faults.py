"""Exactly one license per unit, when a fifth of the deliveries come twice and one call in twenty goes wrong."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.load import Load
from benchmarks.load import run as run_load
from benchmarks.measurements import Measurement, exactly
from benchmarks.orders import OrderBook, new_book
from benchmarks.scenarios.plan import Plan
from benchmarks.stack import Stack
from licensing_integration.license_servers.base import SLOT_METADATA_KEY

UNITS = 5
FAULT_RATE = 0.05
DUPLICATE_RATE = 0.2


def run(stack: Stack, plan: Plan) -> Sequence[Measurement]:
    """Faults: answers 500, done and then 500, done and then cut off, cut off."""
    stack.reset()
    book = new_book(plan.pick(1000, 20), quantity=UNITS)
    units = UNITS * book.count
    stack.sandbox.commit_faults(rate=FAULT_RATE)
    with stack.web() as web, stack.workers(plan.workers_or(3), concurrency=plan.concurrency):
        run_load(Load(book=book, port=web.port, clients=16, numbers=_with_duplicates(book)))
        stack.database.wait_for_licenses(units, seconds=600)
    slots = Counter(_slot(found) for found in stack.sandbox.licenses())
    calls = sum(stack.sandbox.calls().values())
    return [
        Measurement(name=f"orders, {UNITS} units each", value=book.count),
        Measurement(name="duplicate licenses", value=sum(slots.values()) - len(slots), target=exactly(0)),
        Measurement(name="missing licenses", value=units - len(slots), target=exactly(0)),
        Measurement(name="calls per license", value=calls / units),
    ]


def _with_duplicates(book: OrderBook) -> list[int]:
    """Every order, a fifth of them twice, some right after one another and some far apart."""
    source = random.Random(1)
    twice = source.sample(range(book.count), int(book.count * DUPLICATE_RATE))
    numbers = list(range(book.count))
    for number in twice:
        numbers.insert(source.choice([numbers.index(number), len(numbers)]), number)
    return numbers


def _slot(found: dict[str, Any]) -> str:
    return next((str(entry["value"]) for entry in found["metadata"] if entry["key"] == SLOT_METADATA_KEY), "")
