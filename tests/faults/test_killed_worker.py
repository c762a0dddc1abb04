"""SIGKILL at every step of applying: afterwards each unit has exactly one license, in the right state."""

from __future__ import annotations

import pytest

from tests.faults.database import StopPoint
from tests.faults.lives import Life, Teller, buyer, deliveries_of, orders
from tests.faults.posting import post
from tests.faults.processes import wait_until
from tests.faults.servers import CRYPTLEX, SPRING, Call, Server
from tests.faults.stack import Stack
from tests.faults.stops import At, During
from tests.faults.verdict import check, kinds_of

pytestmark = pytest.mark.slow

Step = At | During
WRITING = [At(StopPoint.SETTLING), At(StopPoint.WRITING_HISTORY)]


def _around(call: Call) -> list[During]:
    return [During("delay", call), During("commit_then_delay", call)]


def _on(server: Server, *steps: Step) -> list[tuple[Server, Step]]:
    """What a worker of ours does at a step of its own is the same for every server, and tried with one."""
    return [(server, step) for step in steps]


ISSUING = [
    *_on(
        CRYPTLEX,
        At(StopPoint.PLANNING),
        At(StopPoint.CLAIMING),
        At(StopPoint.CLAIMING, is_undone=False),
        *_around(CRYPTLEX.calls["user"]),
        At(StopPoint.REMEMBERING_USER),
        *_around(CRYPTLEX.calls["issue"]),
        During("delay", CRYPTLEX.calls["issue"], seconds=1.5),
        *WRITING,
    ),
    *_on(
        SPRING,
        During("commit_then_delay", SPRING.calls["key"]),
        *_around(SPRING.calls["issue"]),
        During("delay", SPRING.calls["issue"], seconds=1.5),
        At(StopPoint.SETTLING),
    ),
]
RENEWING = [At(StopPoint.CLAIMING), *_around(CRYPTLEX.calls["renew"]), *WRITING]
RENEWING_BY_DATE = [(server, step) for server in (CRYPTLEX, SPRING) for step in _around(server.calls["renew_by_date"])]
SUSPENDING = [
    *_on(CRYPTLEX, *_around(CRYPTLEX.calls["suspend"]), *WRITING),
    *_on(SPRING, *_around(SPRING.calls["suspend"])),
]
ENDING = [
    *_on(CRYPTLEX, *_around(CRYPTLEX.calls["end"]), *WRITING),
    *_on(SPRING, During("commit_then_delay", SPRING.calls["end"])),
]


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


@pytest.mark.parametrize(("server", "step"), ISSUING, ids=str)
def test_a_worker_killed_while_issuing_leaves_one_license(stack: Stack, server: Server, step: Step) -> None:
    (life,) = orders(1, quantity=1, servers=[server])
    _kill_and_replace(stack, step, life)
    check(stack, [life])


def test_an_order_carried_out_after_another_took_its_place_is_refused(stack: Stack) -> None:
    """What the killed worker asked for is done only when the next one has already made the license."""
    issue = SPRING.calls["issue"]
    (life,) = orders(1, quantity=1, servers=[SPRING])
    _kill_and_replace(stack, During("delay", issue, seconds=8), life)
    wait_until(lambda: len(stack.spring.answers(issue)) == 2, what="the late order is answered")
    assert stack.spring.answers(issue) == [200, 409]
    check(stack, [life])


@pytest.mark.parametrize("step", RENEWING, ids=str)
def test_a_worker_killed_while_renewing_by_interval_counts_the_period_once(stack: Stack, step: Step) -> None:
    life = Teller(buyer(1), is_by_interval=True).renew().end("active")
    _kill_and_replace(stack, step, life, known=2)
    check(stack, [life])
    assert kinds_of(stack).count("license.renewed") == 1


@pytest.mark.parametrize(("server", "step"), RENEWING_BY_DATE, ids=str)
def test_a_worker_killed_while_renewing_by_date_renews(stack: Stack, server: Server, step: Step) -> None:
    life = Teller(buyer(1), server=server).renew().end("active")
    _kill_and_replace(stack, step, life, known=2)
    check(stack, [life])
    assert kinds_of(stack).count("license.renewed") == 1


@pytest.mark.parametrize(("server", "step"), SUSPENDING, ids=str)
def test_a_worker_killed_while_suspending_suspends(stack: Stack, server: Server, step: Step) -> None:
    life = Teller(buyer(1), server=server).overdue().end("suspended")
    _kill_and_replace(stack, step, life, known=2)
    check(stack, [life])
    assert kinds_of(stack).count("license.suspended") == 1


@pytest.mark.parametrize(("server", "step"), ENDING, ids=str)
def test_a_worker_killed_while_deleting_deletes(stack: Stack, server: Server, step: Step) -> None:
    """Or turns off for good, where licenses cannot be deleted."""
    life = Teller(buyer(1), server=server).change("subscription.deactivated", state="deactivated").end("absent")
    _kill_and_replace(stack, step, life, known=2)
    check(stack, [life])
    assert kinds_of(stack).count("license.deleted" if server.deletes else "license.suspended") == 1


def test_a_license_that_its_server_lists_late_is_found_all_the_same(stack: Stack) -> None:
    """The answer is lost, and a search shows what was made after six seconds only: later than the next sweep."""
    first, second = orders(1, quantity=1), orders(1, quantity=1)  # of one buyer: a new one would be listed late, too
    with stack.workers(SETTLING_SECONDS="7"):
        post(stack, *deliveries_of(first))
        stack.wait_for_quiet()
        stack.cryptlex.visibility_delay = 6
        stack.cryptlex.faults.add(kind="commit_then_drop", method="POST", path="/v3/licenses")
        post(stack, *deliveries_of(second))
        stack.wait_for_quiet()
    check(stack, [*first, *second])
    assert kinds_of(stack).count("license.adopted") == 1
