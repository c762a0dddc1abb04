"""Events in any order, repeated or not, by several workers: always the state of the run in order."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from licensing_integration.sandbox.fastspring import Event
from tests.faults.lives import subscriptions, with_duplicates
from tests.faults.posting import Poster
from tests.faults.servers import CRYPTLEX, SPRING
from tests.faults.stack import Stack
from tests.faults.verdict import Outcome, check, outcome_of

pytestmark = pytest.mark.slow

COUNT = 50
EXAMPLES = max(8, settings().max_examples // 20)  # a hundred with HYPOTHESIS_PROFILE=thorough
LIVES = [*subscriptions(COUNT // 2, server=CRYPTLEX), *subscriptions(COUNT // 2, server=SPRING)]
EVENTS = [event for life in LIVES for event in life.events]


@pytest.fixture(scope="module")
def in_order(running_stack: Stack) -> Outcome:
    """What the events lead to when each arrives in its time."""
    running_stack.reset()
    with running_stack.workers():
        # The lives side by side, each in its order: what a shop would send, day by day.
        for turn in range(max(len(life.events) for life in LIVES)):
            with Poster(running_stack) as poster:
                poster.post([life.events[turn]] for life in LIVES if turn < len(life.events))
                poster.finish()
            running_stack.wait_for_quiet()
    check(running_stack, LIVES)
    return outcome_of(running_stack)


def test_fifty_subscriptions_in_random_order_with_duplicates(
    in_order: Outcome, stack: Stack, chance: random.Random
) -> None:
    shuffled = [[event] for event in chance.sample(EVENTS, len(EVENTS))]
    _run(stack, with_duplicates(shuffled, share=0.3, chance=chance), workers=3)
    check(stack, LIVES)
    assert outcome_of(stack) == in_order
    repeated = "SELECT count(*) FROM licensing_integration_webhookevent WHERE deliveries > 1"
    assert stack.database.value(repeated) > 0.2 * len(EVENTS)


def test_fifty_subscriptions_in_every_order_that_hypothesis_finds(in_order: Outcome, stack: Stack) -> None:
    with stack.workers(2):

        @settings(max_examples=EXAMPLES, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(order=st.permutations(range(len(EVENTS))), sizes=st.lists(st.integers(1, 5), min_size=1, max_size=20))
        def in_any_order(order: Sequence[int], sizes: Sequence[int]) -> None:
            stack.forget()
            with Poster(stack) as poster:
                poster.post(_in_batches([EVENTS[number] for number in order], sizes))
                poster.finish()
            stack.wait_for_quiet()
            check(stack, LIVES)
            assert outcome_of(stack) == in_order

        in_any_order()


def test_each_story_backwards(in_order: Outcome, stack: Stack) -> None:
    _run(stack, [[event] for event in reversed(EVENTS)], workers=2)
    check(stack, LIVES)
    assert outcome_of(stack) == in_order


def _run(stack: Stack, deliveries: Sequence[Sequence[Event]], *, workers: int) -> None:
    with stack.workers(workers), Poster(stack) as poster:
        poster.post(deliveries)
        poster.finish()
        stack.wait_for_quiet()


def _in_batches(events: Sequence[Event], sizes: Sequence[int]) -> list[list[Event]]:
    """Deliveries of these sizes, over and over."""
    batches, start, turn = [], 0, 0
    while start < len(events):
        size = sizes[turn % len(sizes)]
        batches.append(list(events[start : start + size]))
        start, turn = start + size, turn + 1
    return batches
