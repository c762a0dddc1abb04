"""Crashes and orderly ends of PostgreSQL, the web server and workers, under load."""

from __future__ import annotations

import random
import signal

import psutil
import pytest

from tests.faults.database import StopPoint
from tests.faults.lives import deliveries_of, orders, subscriptions, with_duplicates
from tests.faults.posting import Poster, post
from tests.faults.processes import wait_until
from tests.faults.servers import SERVERS, SPRING
from tests.faults.stack import Stack
from tests.faults.verdict import check, kinds_of

pytestmark = pytest.mark.slow


def test_a_crashing_database_loses_nothing_it_was_asked_to_keep(stack: Stack, chance: random.Random) -> None:
    lives = [*subscriptions(30), *subscriptions(30, server=SPRING)]
    deliveries = with_duplicates(deliveries_of(lives), share=0.1, chance=chance)
    third = len(deliveries) // 3
    with stack.workers(2) as workers, Poster(stack) as poster:
        for number in range(3):
            poster.post(deliveries[number * third : (number + 1) * third if number < 2 else None])
            wait_until(lambda wanted=third * number + third // 2: poster.done >= wanted, what="half of it is posted")
            accepted = set(poster.accepted)
            stack.restart_postgres()
            stored = {
                row[0] for row in stack.database.query("SELECT external_id FROM licensing_integration_webhookevent")
            }
            assert accepted <= stored, f"{len(accepted - stored)} accepted events are gone"
        poster.finish()
        stack.wait_for_quiet()
        assert all(worker.is_running for worker in workers)
    assert poster.answers[503] + poster.answers[0], "no delivery met the restarts"
    check(stack, lives)


@pytest.mark.parametrize("whole", [False, True], ids=["one process", "the whole server"])
def test_a_killed_web_server_loses_nothing_it_accepted(stack: Stack, whole: bool) -> None:
    lives = subscriptions(40)
    deliveries = deliveries_of(lives)
    with stack.workers(), Poster(stack) as poster:
        poster.post(deliveries)
        wait_until(lambda: poster.done >= len(deliveries) // 3, what="a third is posted")
        if whole:
            stack.kill(stack.web)
            stack.start_web()
        else:
            _processes_that_serve(stack)[0].send_signal(signal.SIGKILL)
        poster.finish()
        stack.wait_for_quiet()
    check(stack, lives)
    if whole:
        assert poster.answers[0], "no delivery met the restart"
    assert stack.web.is_running
    wait_until(lambda: len(_processes_that_serve(stack)) == 2, what="both processes serve")


def test_a_web_server_that_is_told_to_stop_answers_first(stack: Stack) -> None:
    (life,) = orders(1, quantity=1)
    with stack.workers(), Poster(stack) as poster:
        with stack.database.stopping_at(StopPoint.STORING) as stop:
            poster.post([list(life.events)])
            stop.wait()
            family = stack.web.children
            stack.web.send(signal.SIGTERM)
            wait_until(lambda: not stack.is_listening(), what="no new connections are taken")
        poster.finish()
        assert stack.web.wait(20) == 0
        assert poster.answers == {200: 1}
        assert not [process for process in family if process.is_running()]
        stack.wait_for_quiet()
    check(stack, [life])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_told_to_stop_finishes_what_it_has_begun(stack: Stack, number: signal.Signals) -> None:
    lives = orders(12, quantity=2)
    fault = stack.cryptlex.faults.add(kind="commit_then_delay", method="POST", path="/v3/licenses", seconds=1.0)
    worker = stack.start_worker(APPLY_LEASE_SECONDS="30")
    post(stack, *deliveries_of(lives))
    wait_until(lambda: fault.hits > 0, what="the worker is busy")
    worker.send(number)
    assert worker.wait(20) == 0
    assert not psutil.pid_exists(worker.pid)
    begun = "SELECT count(*) FROM licensing_integration_licenselink WHERE attempts > 0 OR lease_token IS NOT NULL"
    assert stack.database.value(begun) == 0, "it left something half done"
    assert stack.database.value("SELECT count(*) FROM procrastinate_workers") == 0
    with stack.workers():
        stack.wait_for_quiet()
    check(stack, lives)
    assert set(kinds_of(stack)) == {"license.issued"}


def test_killed_workers_are_replaced_under_load(stack: Stack, chance: random.Random) -> None:
    """Half of the licenses are on one license server, half on the other."""
    lives = [*orders(15, quantity=5, servers=SERVERS), *subscriptions(10), *subscriptions(10, server=SPRING)]
    deliveries = deliveries_of(lives)
    stack.cryptlex.latency = stack.spring.latency = 0.02
    with stack.workers(2) as workers, Poster(stack) as poster:
        poster.post(deliveries)
        for share in (0.1, 0.3, 0.5, 0.7):
            enough = int(170 * share)
            wait_until(lambda wanted=enough: _settled(stack) >= wanted, what=f"{enough} licenses are settled")
            victim = chance.randrange(2)
            stack.kill(workers[victim])
            workers[victim] = stack.start_worker()
        poster.finish()
        stack.wait_for_quiet()
    check(stack, lives)


def _settled(stack: Stack) -> int:
    return int(stack.database.value("SELECT count(*) FROM licensing_integration_licenselink WHERE applied IS NOT NULL"))


def _processes_that_serve(stack: Stack) -> list[psutil.Process]:
    return [child for child in stack.web.children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
