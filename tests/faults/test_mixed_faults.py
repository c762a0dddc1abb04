"""Everything goes wrong at once, a little."""

from __future__ import annotations

import random

import pytest

from tests.faults.lives import deliveries_of, orders, subscriptions, with_duplicates
from tests.faults.posting import Poster
from tests.faults.stack import Stack
from tests.faults.verdict import check

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", [1, 2])
def test_random_faults_and_duplicates_double_and_lose_nothing(stack: Stack, seed: int) -> None:
    """One call in twelve fails: refused with 500, done and refused, done and cut off, or cut off; the license server
    also limits the rate. Three workers, orders of five licenses, a third of all deliveries twice."""
    lives = [*orders(40, quantity=5), *subscriptions(40)]
    stack.sandbox.faults.random(rate=0.08, seed=seed)
    stack.sandbox.options.rate_limit = (150, 1.0)
    deliveries = with_duplicates(deliveries_of(lives), share=0.3, chance=random.Random(seed))
    with stack.workers(3), Poster(stack) as poster:
        poster.post(deliveries)
        poster.finish()
        stack.wait_for_quiet(seconds=150)
    found = check(stack, lives)
    assert found["faults"] > 30


@pytest.mark.parametrize("kind", ["status", "commit_then_status", "commit_then_drop", "drop"])
def test_every_call_of_a_kind_fails_once(stack: Stack, kind: str) -> None:
    """The first attempt of every single call, whatever it is, goes wrong in this way."""
    lives = subscriptions(10)
    for template in ("/v3/users", "/v3/licenses", "/v3/licenses/{id}", "/v3/licenses/{id}/renew"):
        stack.sandbox.faults.add(kind=kind, path=template, times=3)
    stack.sandbox.faults.add(kind=kind, path="/v3/licenses/{id}/expires-at", times=3)
    with stack.workers(2), Poster(stack) as poster:
        for turn in range(max(len(life.events) for life in lives)):
            poster.post([life.events[turn]] for life in lives if turn < len(life.events))
            poster.finish()
            stack.wait_for_quiet()
    check(stack, lives)
    assert stack.sandbox.protocol.faults[kind] >= 12


def test_a_server_that_has_too_many_requests_is_left_alone(stack: Stack) -> None:
    lives = orders(10, quantity=3)
    stack.sandbox.options.rate_limit = (10, 1.0)
    with stack.workers(2), Poster(stack) as poster:
        poster.post(deliveries_of(lives))
        poster.finish()
        stack.wait_for_quiet()
    check(stack, lives)
    assert stack.sandbox.protocol.faults["too_many_requests"] > 0
