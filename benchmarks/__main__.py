"""``python -m benchmarks``: measure, compare with the yardsticks and the targets, print a table."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import report
from benchmarks.errors import BenchmarkError
from benchmarks.measurements import Measurement, combine
from benchmarks.processes import machine_cpu_seconds, raise_on_signals
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.plan import Plan
from benchmarks.stack import Stack


def main() -> int:
    options = _parse()
    raise_on_signals()
    plan = Plan(is_quick=options.quick, workers=options.workers, concurrency=options.concurrency)
    repeat = options.repeat or (1 if options.quick else 3)
    try:
        with Stack() as stack:
            bystanders = _Bystanders(stack)
            results = {SCENARIOS[name].title: _measure(name, stack, plan, repeat=repeat) for name in options.scenario}
            where = report.machine(stack, repeat=repeat, is_quick=options.quick, others=bystanders.percent())
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(f"\nMeasured {where}\n\n{report.table(results)}")
    if options.json:
        report.write_json(options.json, where=where, results=results)
    if options.docs:
        report.write_docs(options.docs, where=where, results=results)
    return 0


class _Bystanders:
    """How much of the processors others have used meanwhile: the more it is, the less the numbers say."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._since, self._own, self._all = time.monotonic(), stack.cpu_seconds, machine_cpu_seconds()

    def percent(self) -> float:
        others = (machine_cpu_seconds() - self._all) - (self._stack.cpu_seconds - self._own)
        return 100 * max(0.0, others) / ((time.monotonic() - self._since) * (os.cpu_count() or 1))


def _measure(name: str, stack: Stack, plan: Plan, *, repeat: int) -> list[Measurement]:
    runs = []
    for number in range(repeat):
        started = time.monotonic()
        runs.append(SCENARIOS[name].run(stack, plan))
        print(f"{name} {number + 1}/{repeat}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return combine(runs)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--scenario", type=_names, default=list(SCENARIOS), help=f"of {', '.join(SCENARIOS)}")
    parser.add_argument("--quick", action="store_true", help="about a minute; shows that it works, not how fast it is")
    parser.add_argument("--workers", type=int, help="worker processes, instead of what each scenario says")
    parser.add_argument("--concurrency", type=int, help="jobs at a time in each worker")
    parser.add_argument("--repeat", type=int, help="runs, of which the median counts (default: 3, quick: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values there")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="replace the measured part of this page")
    return parser.parse_args()


def _names(text: str) -> Sequence[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown) or text!r}; known: {', '.join(SCENARIOS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
