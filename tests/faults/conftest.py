"""One stack for each process of the test run; every test gets it empty and without workers."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.faults.stack import Stack


@pytest.fixture(scope="session")
def running_stack() -> Iterator[Stack]:
    with Stack() as stack:
        yield stack


@pytest.fixture
def stack(running_stack: Stack, request: pytest.FixtureRequest) -> Iterator[Stack]:
    running_stack.reset()
    running_stack.totals.clear()
    yield running_stack
    running_stack.postgres.start()
    running_stack.count()
    request.node.user_properties.append(("faults", dict(running_stack.totals)))
    running_stack.reset()


@pytest.fixture
def chance() -> random.Random:
    """The same accidents every time."""
    return random.Random(2026)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the fault tests put the product through, all of them together."""
    totals: Counter[str] = Counter()
    for report in terminalreporter.getreports(""):
        if getattr(report, "when", "") == "teardown":
            totals.update(dict(report.user_properties).get("faults", {}))
    if totals:
        terminalreporter.write_line("fault tests: " + ", ".join(f"{count} {name}" for name, count in totals.items()))
