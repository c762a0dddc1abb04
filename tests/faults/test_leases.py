"""A license is worked on by one worker at a time, also when a worker falls asleep over it."""

from __future__ import annotations

import signal

import pytest

from tests.faults.database import StopPoint
from tests.faults.lives import Teller, buyer, deliveries_of, orders
from tests.faults.posting import Poster, post
from tests.faults.processes import wait_until
from tests.faults.servers import CRYPTLEX, SPRING, Server
from tests.faults.stack import Stack
from tests.faults.stops import At, During
from tests.faults.verdict import check, kinds_of

pytestmark = pytest.mark.slow

_SETTLED = "SELECT count(*) FROM licensing_integration_licenselink WHERE sync_state = 'settled'"


def test_no_license_is_worked_on_twice_at_once(stack: Stack) -> None:
    """Many events for few licenses, all workers at once, and a license server slow enough to be met there."""
    lives = []
    for number in range(6):
        teller = Teller(buyer(number), quantity=5)
        for _ in range(5):
            teller.overdue().renew(late_days=2)
        lives.append(teller.end("active"))
    stack.cryptlex.latency = 0.05
    with stack.workers(3), Poster(stack) as poster:
        poster.post([event] for turn in zip(*(life.events for life in lives), strict=True) for event in turn)
        poster.finish()
        stack.wait_for_quiet()
    check(stack, lives)
    assert stack.cryptlex.protocol.overlaps == []


@pytest.mark.parametrize(
    ("server", "step"),
    [
        (CRYPTLEX, During("commit_then_delay", CRYPTLEX.calls["user"], seconds=0.3)),
        (CRYPTLEX, During("commit_then_delay", CRYPTLEX.calls["issue"], seconds=0.3)),
        (CRYPTLEX, At(StopPoint.REMEMBERING_USER)),
        (SPRING, During("commit_then_delay", SPRING.calls["issue"], seconds=0.3)),
    ],
    ids=str,
)
def test_a_worker_that_sleeps_past_its_lease_does_no_harm_when_it_wakes(
    stack: Stack, server: Server, step: At | During
) -> None:
    """It stops while it issues; another worker takes over and is done; then the first one goes on."""
    (life,) = orders(1, quantity=1, servers=[server])
    with stack.workers() as workers:
        sleeper = workers[0]
        with step.catch(stack) as caught:
            post(stack, *deliveries_of([life]))
            caught.wait()
            sleeper.send(signal.SIGSTOP)
        workers.append(stack.start_worker())
        wait_until(lambda: stack.database.value(_SETTLED) == 1, what="the other worker is done")
        so_far = kinds_of(stack)
        sleeper.send(signal.SIGCONT)
        sleeper.send(signal.SIGTERM)
        assert sleeper.wait() == 0
        stack.wait_for_quiet()
    check(stack, [life])
    assert kinds_of(stack) == so_far, "the sleeper wrote about a license that was no longer its own"


def test_a_worker_that_sleeps_while_renewing_does_not_renew_twice(stack: Stack) -> None:
    life = Teller(buyer(1), is_by_interval=True).renew().end("active")
    with stack.workers() as workers:
        post(stack, *deliveries_of([life])[:2])
        stack.wait_for_quiet()
        step = During("commit_then_delay", CRYPTLEX.calls["renew"], seconds=0.3)
        with step.catch(stack) as caught:
            post(stack, *deliveries_of([life])[2:])
            caught.wait()
            workers[0].send(signal.SIGSTOP)
        workers.append(stack.start_worker())
        stack.wait_for_quiet()
        workers[0].send(signal.SIGCONT)
        workers[0].send(signal.SIGTERM)
        assert workers[0].wait() == 0
        stack.wait_for_quiet()
    check(stack, [life])
    assert sum(stack.cryptlex.protocol.renewed.values()) == 1
