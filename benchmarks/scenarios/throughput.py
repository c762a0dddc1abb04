"""How many licenses per second when there is always more to do, and what a thousand orders cost in processor time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.load import Load
from benchmarks.load import run as run_load
from benchmarks.measurements import Measurement, Target
from benchmarks.orders import new_book
from benchmarks.processes import Child
from benchmarks.scenarios.plan import Plan
from benchmarks.stack import Stack, Web

LICENSES_PER_SECOND = 200


@dataclass(frozen=True, kw_only=True)
class _Drain:
    """``rate``: licenses per second. ``costs``: processor seconds per 1,000 orders by part."""

    rate: float
    costs: dict[str, float]


def run(stack: Stack, plan: Plan) -> Sequence[Measurement]:
    """A backlog is posted while no worker runs; then it is given to workers that are up and wait."""
    measured = []
    with stack.web() as web:
        three, all_cores = plan.workers_or(3), plan.workers_or(plan.cores)
        drain = _drain(stack, web, plan, workers=three, latency_ms=50)
        target = Target(at_least=LICENSES_PER_SECOND)
        name = f"{three} workers, server latency 50 ms"
        measured.append(Measurement(name=name, value=drain.rate, unit="licenses/s", target=target))
        measured += [
            Measurement(name=f"processor time per 1,000 orders: {part}", value=seconds, unit="s")
            for part, seconds in drain.costs.items()
        ]
        drain = _drain(stack, web, plan, workers=all_cores, latency_ms=0)
        name = f"{all_cores} workers, server latency 0 ms"
        measured.append(Measurement(name=name, value=drain.rate, unit="licenses/s"))
    return measured


def _drain(stack: Stack, web: Web, plan: Plan, *, workers: int, latency_ms: int) -> _Drain:
    stack.reset(latency=latency_ms / 1000)
    run_load(Load(book=new_book(100), port=web.port, clients=32))  # so that no process is cold
    stack.reset(latency=latency_ms / 1000)
    book = new_book(plan.pick(2500, 250))
    idle = _cpu_seconds(stack, web, ())
    run_load(Load(book=book, port=web.port, clients=16))
    posted = _cpu_seconds(stack, web, ())
    stack.database.hold_jobs()
    with stack.workers(workers, concurrency=plan.concurrency) as children:
        held = _cpu_seconds(stack, web, children)
        stack.database.release_jobs()
        stack.database.wait_for_licenses(book.count, seconds=180)
        done = _cpu_seconds(stack, web, children)
    return _Drain(
        rate=_rate(sorted(moment for _, moment in stack.database.issued_at(book.run))),
        # What holding the jobs and starting the workers cost is no part of an order.
        costs={part: 1000 * (posted[part] - idle[part] + done[part] - held[part]) / book.count for part in done},
    )


def _cpu_seconds(stack: Stack, web: Web, workers: Sequence[Child]) -> dict[str, float]:
    return {
        "web": web.child.cpu_seconds,
        "worker": sum(worker.cpu_seconds for worker in workers),
        "database": stack.database_cpu_seconds,
        "sandbox": stack.sandbox.child.cpu_seconds,
    }


def _rate(moments: Sequence[float]) -> float:
    """Between the first tenth and the last, when all workers are at work."""
    edge = len(moments) // 10
    return (len(moments) - 1 - 2 * edge) / (moments[-1 - edge] - moments[edge])
