"""Everything goes wrong at once, a little."""

from __future__ import annotations

import random

import pytest

from tests.faults.lives import deliveries_of, orders, subscriptions, with_duplicates
from tests.faults.posting import Poster
from tests.faults.servers import CRYPTLEX, SPRING, Server
from tests.faults.stack import Stack
from tests.faults.verdict import check

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("seed", "server"), [(1, CRYPTLEX), (2, SPRING)], ids=str)
def test_random_faults_and_duplicates_double_and_lose_nothing(stack: Stack, seed: int, server: Server) -> None:
    """One call in twelve fails: refused with 500, done and refused, done and cut off, or cut off; the license server
    also limits the rate. Three workers, orders of five licenses, a third of all deliveries twice."""
    lives = [*orders(40, quantity=5, servers=[server]), *subscriptions(40, server=server)]
    sandbox = stack.sandbox_of(server)
    sandbox.faults.random(rate=0.08, seed=seed)
    # LicenseSpring is called twice for a license.
    sandbox.options.rate_limit = (150 if server is CRYPTLEX else 400, 1.0)
    deliveries = with_duplicates(deliveries_of(lives), share=0.3, chance=random.Random(seed))
    with stack.workers(3), Poster(stack) as poster:
        poster.post(deliveries)
        poster.finish()
        stack.wait_for_quiet(seconds=150)
    found = check(stack, lives)
    assert found["faults"] > 30


@pytest.mark.parametrize(
    ("server", "kind"),
    [
        *((CRYPTLEX, kind) for kind in ("status", "commit_then_status", "commit_then_drop", "drop")),
        *((SPRING, kind) for kind in ("commit_then_status", "commit_then_drop")),
    ],
    ids=str,
)
def test_every_call_of_a_kind_fails_once(stack: Stack, server: Server, kind: str) -> None:
    """The first attempts of every kind of call, whatever it is, go wrong in this way."""
    lives = subscriptions(10, server=server)
    sandbox = stack.sandbox_of(server)
    for path in {call.path for call in server.calls.values()}:
        sandbox.faults.add(kind=kind, path=path, times=3)
    with stack.workers(2), Poster(stack) as poster:
        for turn in range(max(len(life.events) for life in lives)):
            poster.post([life.events[turn]] for life in lives if turn < len(life.events))
            poster.finish()
            stack.wait_for_quiet()
    check(stack, lives)
    assert sandbox.protocol.faults[kind] >= 12


def test_a_server_that_has_too_many_requests_is_left_alone(stack: Stack) -> None:
    _ask_too_often(stack, CRYPTLEX, count=10)


def test_a_server_that_says_so_with_403_is_left_alone_and_not_taken_for_closed(stack: Stack) -> None:
    """Which status LicenseSpring answers to too many requests is not published."""
    stack.spring.options.throttle_status = 403
    _ask_too_often(stack, SPRING, count=5)


def _ask_too_often(stack: Stack, server: Server, *, count: int) -> None:
    lives = orders(count, quantity=3, servers=[server])
    sandbox = stack.sandbox_of(server)
    sandbox.options.rate_limit = (10, 1.0)
    with stack.workers(2), Poster(stack) as poster:
        poster.post(deliveries_of(lives))
        poster.finish()
        stack.wait_for_quiet()
    check(stack, lives)
    assert sandbox.protocol.faults["too_many_requests"] > 0
