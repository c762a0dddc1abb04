"""SIGKILL at every step of applying: afterwards each unit has exactly one license, in the right state."""

from __future__ import annotations

import pytest

from tests.faults.database import StopPoint
from tests.faults.lives import BY_INTERVAL, Life, Teller, buyer, deliveries_of, orders
from tests.faults.posting import post
from tests.faults.stack import Stack
from tests.faults.stops import At, During
from tests.faults.verdict import check, kinds_of

pytestmark = pytest.mark.slow

WRITING = [At(StopPoint.SETTLING), At(StopPoint.WRITING_HISTORY)]


def _calls(method: str, path: str) -> list[During]:
    return [During("delay", method, path), During("commit_then_delay", method, path)]


ISSUING = [
    At(StopPoint.PLANNING),
    At(StopPoint.CLAIMING),
    At(StopPoint.CLAIMING, is_undone=False),
    *_calls("POST", "/v3/users"),
    At(StopPoint.REMEMBERING_USER),
    *_calls("POST", "/v3/licenses"),
    During("delay", "POST", "/v3/licenses", seconds=1.5),
    *WRITING,
]
RENEWING = [At(StopPoint.CLAIMING), *_calls("POST", "/v3/licenses/{id}/renew"), *WRITING]
RENEWING_BY_DATE = _calls("PATCH", "/v3/licenses/{id}/expires-at")
SUSPENDING = [*_calls("PATCH", "/v3/licenses/{id}"), *WRITING]
DELETING = [*_calls("DELETE", "/v3/licenses/{id}"), *WRITING]


def _kill_and_replace(stack: Stack, step: At | During, life: Life, *, known: int = 0) -> None:
    """Let a worker do the first ``known`` events, kill it at ``step`` of the others, let another worker finish."""
    with stack.workers() as workers:
        post(stack, *deliveries_of([life])[:known])
        stack.wait_for_quiet()
        with step.catch(stack) as caught:
            post(stack, *deliveries_of([life])[known:])
            caught.wait()
            stack.kill(workers[0])
            caught.abandon()
    with stack.workers():
        stack.wait_for_quiet()


@pytest.mark.parametrize("step", ISSUING, ids=str)
def test_a_worker_killed_while_issuing_leaves_one_license(stack: Stack, step: At | During) -> None:
    (life,) = orders(1, quantity=1)
    _kill_and_replace(stack, step, life)
    check(stack, [life])


@pytest.mark.parametrize("step", RENEWING, ids=str)
def test_a_worker_killed_while_renewing_by_interval_counts_the_period_once(stack: Stack, step: At | During) -> None:
    life = Teller(buyer(1), product=BY_INTERVAL).renew().end("active")
    _kill_and_replace(stack, step, life, known=2)
    check(stack, [life])
    assert kinds_of(stack).count("license.renewed") == 1


@pytest.mark.parametrize("step", RENEWING_BY_DATE, ids=str)
def test_a_worker_killed_while_renewing_by_date_renews(stack: Stack, step: At | During) -> None:
    life = Teller(buyer(1)).renew().end("active")
    _kill_and_replace(stack, step, life, known=2)
    check(stack, [life])
    assert kinds_of(stack).count("license.renewed") == 1


@pytest.mark.parametrize("step", SUSPENDING, ids=str)
def test_a_worker_killed_while_suspending_suspends(stack: Stack, step: At | During) -> None:
    life = Teller(buyer(1)).overdue().end("suspended")
    _kill_and_replace(stack, step, life, known=2)
    check(stack, [life])
    assert kinds_of(stack).count("license.suspended") == 1


@pytest.mark.parametrize("step", DELETING, ids=str)
def test_a_worker_killed_while_deleting_deletes(stack: Stack, step: At | During) -> None:
    teller = Teller(buyer(1)).change("subscription.deactivated", state="deactivated")
    life = teller.end("absent")
    _kill_and_replace(stack, step, life, known=2)
    check(stack, [life])
    assert kinds_of(stack).count("license.deleted") == 1


def test_a_license_that_its_server_lists_late_is_found_all_the_same(stack: Stack) -> None:
    """The answer is lost, and a search shows what was made after six seconds only: later than the next sweep."""
    first, second = orders(1, quantity=1), orders(1, quantity=1)  # of one buyer: a new one would be listed late, too
    with stack.workers(SETTLING_SECONDS="7"):
        post(stack, *deliveries_of(first))
        stack.wait_for_quiet()
        stack.sandbox.visibility_delay = 6
        stack.sandbox.faults.add(kind="commit_then_drop", method="POST", path="/v3/licenses")
        post(stack, *deliveries_of(second))
        stack.wait_for_quiet()
    check(stack, [*first, *second])
    assert kinds_of(stack).count("license.adopted") == 1
