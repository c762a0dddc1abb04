"""What one process of each kind keeps in memory when it has worked and has nothing to do."""

from __future__ import annotations

from collections.abc import Sequence

import psutil

from benchmarks.load import Load
from benchmarks.load import run as run_load
from benchmarks.measurements import Measurement, Target
from benchmarks.orders import new_book
from benchmarks.processes import memory_of
from benchmarks.scenarios.plan import Plan
from benchmarks.stack import Stack

MOST_MB = 120.0


def run(stack: Stack, plan: Plan) -> Sequence[Measurement]:
    """The largest process of each kind, after some orders."""
    stack.reset()
    book = new_book(plan.pick(500, 100))
    with stack.web() as web, stack.workers(1, concurrency=plan.concurrency) as workers:
        run_load(Load(book=book, port=web.port, clients=8))
        stack.database.wait_for_licenses(book.count, seconds=60)
        return [*_measure("web", web.child.tree), *_measure("worker", workers[0].tree)]


def _measure(name: str, processes: Sequence[psutil.Process]) -> list[Measurement]:
    memories = [memory_of(process) for process in processes]
    target, count = Target(at_most=MOST_MB), len(memories)
    return [
        Measurement(name=f"{name}: RSS per process", value=max(m.rss for m in memories), unit="MB", target=target),
        Measurement(name=f"{name}: PSS per process", value=max(m.pss for m in memories), unit="MB"),
        Measurement(name=f"{name}: USS per process", value=max(m.uss for m in memories), unit="MB"),
        Measurement(name=f"{name}: PSS of all {count} processes", value=sum(m.pss for m in memories), unit="MB"),
    ]
