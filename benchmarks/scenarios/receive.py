"""How fast deliveries are stored and answered, next to what database and web server could do at best."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import yardstick
from benchmarks.load import Load, Result
from benchmarks.load import run as run_load
from benchmarks.measurements import Measurement, Target, milliseconds
from benchmarks.orders import new_book
from benchmarks.scenarios.plan import Plan
from benchmarks.stack import BARE_SETTINGS, Stack, Web

SINGLE_CLIENT_MS = 6.0
CLIENTS = (1, 16, 64)
LATENCIES_MS = (0, 50, 150)


def run(stack: Stack, plan: Plan) -> Sequence[Measurement]:
    """No worker runs: the acknowledgement alone, at several numbers of clients.

    The database is measured before and after, and the better figure counts: a disturbance must not flatter us.
    """
    before = _database_yardstick(stack, plan)
    bare = _bare_yardstick(stack, plan)
    results = {}
    with stack.web() as web:
        for clients in CLIENTS:
            stack.reset()
            results[clients] = _post(web, plan, clients=clients)
    best = max(before, _database_yardstick(stack, plan))
    measured = [
        Measurement(name="yardstick: pgbench, event row + job, 16 clients", value=best, unit="/s"),
        Measurement(name="yardstick: Django view, signature only, 64 clients", value=bare, unit="/s"),
    ]
    for clients, result in results.items():
        measured += _acknowledgements(result, clients=clients, best=best, bare=bare)
    return measured


def run_while_working(stack: Stack, plan: Plan) -> Sequence[Measurement]:
    """The answer must not depend on how fast the license server is, nor wait for the workers."""
    measured = []
    workers = plan.workers_or(3)
    with stack.web() as web:
        for latency in (50,) if plan.is_quick else LATENCIES_MS:
            stack.reset(latency=latency / 1000)
            with stack.workers(workers, concurrency=plan.concurrency):
                _warm_up(web)
                result = run_load(Load(book=new_book(plan.pick(300, 50)), port=web.port))
            name = f"{workers} workers, server latency {latency} ms, 1 client: p50"
            measured.append(milliseconds(name, result.percentile(0.5), at_most=SINGLE_CLIENT_MS))
        stack.reset(latency=0.05)
        with stack.workers(workers, concurrency=plan.concurrency):
            result = _post(web, plan, clients=16)
        name = f"{workers} workers, server latency 50 ms, 16 clients"
        measured += [
            Measurement(name=name, value=result.rate, unit="/s"),
            milliseconds(f"{name}: p50", result.percentile(0.5)),
            milliseconds(f"{name}: p99", result.percentile(0.99)),
        ]
    return measured


def _database_yardstick(stack: Stack, plan: Plan) -> float:
    stack.reset()
    return yardstick.measure(stack, clients=16, seconds=plan.pick(4, 1))


def _bare_yardstick(stack: Stack, plan: Plan) -> float:
    with stack.web(settings=BARE_SETTINGS) as web:
        _warm_up(web)
        load = Load(book=new_book(1000), port=web.port, clients=64, seconds=plan.pick(3, 1), is_repeating=True)
        return run_load(load).rate


def _post(web: Web, plan: Plan, *, clients: int) -> Result:
    _warm_up(web)
    count = plan.pick(800, 200) if clients == 1 else plan.pick(6000, 1000)
    return run_load(Load(book=new_book(count), port=web.port, clients=clients))


def _warm_up(web: Web) -> None:
    """Each process opens its database connection and loads what it loads on first use."""
    run_load(Load(book=new_book(100), port=web.port, clients=32))


def _acknowledgements(result: Result, *, clients: int, best: float, bare: float) -> list[Measurement]:
    if clients == 1:
        return single_client(result)
    name, share = f"{clients} clients", 100 * result.rate / best
    return [
        Measurement(name=name, value=result.rate, unit="/s", target=Target(at_least=1000)),
        Measurement(name=f"{name}: share of pgbench", value=share, unit="%", target=Target(at_least=70)),
        Measurement(name=f"{name}: share of the bare view", value=100 * result.rate / bare, unit="%"),
        milliseconds(f"{name}: p50", result.percentile(0.5)),
        milliseconds(f"{name}: p99", result.percentile(0.99)),
    ]


def single_client(result: Result) -> list[Measurement]:
    """What one client that waits for each answer gets."""
    return [
        Measurement(name="1 client", value=result.rate, unit="/s"),
        milliseconds("1 client: p50", result.percentile(0.5), at_most=SINGLE_CLIENT_MS),
        milliseconds("1 client: p99", result.percentile(0.99)),
    ]
