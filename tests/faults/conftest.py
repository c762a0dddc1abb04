"""One stack for each process of the test run; every test gets it empty and without workers."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.faults.stack import Stack


@pytest.fixture(scope="session")
def running_stack() -> Iterator[Stack]:
    with Stack() as stack:
        yield stack


@pytest.fixture
def stack(running_stack: Stack) -> Iterator[Stack]:
    running_stack.reset()
    yield running_stack
    running_stack.reset()


@pytest.fixture
def chance() -> random.Random:
    """The same accidents every time."""
    return random.Random(2026)
