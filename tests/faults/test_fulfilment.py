"""Keys on the order page, whatever goes wrong: never a wrong one, never a second one, and the same whenever asked."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from licensing_integration.sandbox.faults import FaultKind, Programmed
from tests.faults.asking import Asker, complete, keys_of
from tests.faults.database import StopPoint
from tests.faults.lives import deliveries_of, orders
from tests.faults.posting import Poster, post
from tests.faults.processes import wait_until
from tests.faults.servers import SERVERS, SPRING, Server
from tests.faults.stack import Stack
from tests.faults.stops import FOR_EVER, At
from tests.faults.verdict import check, kinds_of

pytestmark = pytest.mark.slow

WAIT_SECONDS, STORE_SECONDS = 4.5, 5.0  # how long we wait by default, and the store
PROCESSES, PLACES = 2, 4  # of the stack's web server, and for requests that wait in each of them


def test_without_a_worker_no_key_is_told_and_afterwards_always_the_same(stack: Stack) -> None:
    """An order of a product on each license server, whose keys FastSpring asks for one after the other."""
    (life,) = orders(1, quantity=2, servers=SERVERS, is_prepared=True)
    (order,) = life.events
    asker = Asker(stack)
    for line in range(len(SERVERS)):
        answer = asker.ask(order, line=line)
        assert answer.status == 503
        assert WAIT_SECONDS <= answer.seconds < STORE_SECONDS
    assert not stack.cryptlex.licenses
    assert not stack.spring.licenses
    with stack.workers():
        for line in range(len(SERVERS)):
            keys = asker.insist(order, line=line)
            assert keys == keys_of(stack, life, line=line) == asker.insist(order, line=line)
            complete(life, keys, line=line)
        post(stack, *deliveries_of([life]))
        stack.wait_for_quiet()
        assert [asker.insist(order, line=line) for line in range(len(SERVERS))] == [
            keys_of(stack, life, line=line) for line in range(len(SERVERS))
        ]
    check(stack, [life])


def test_fifty_who_wait_for_no_worker_keep_no_webhook_waiting(stack: Stack) -> None:
    """As many wait as the processes have places for; the others hear at once that they should ask again."""
    (life,), (other,) = (orders(1, quantity=1, servers=[SPRING], is_prepared=asks) for asks in (True, False))
    asker = Asker(stack)
    with ThreadPoolExecutor(50) as pool:
        everybody = [pool.submit(asker.ask, life.events[0]) for _ in range(50)]
        wait_until(lambda: len(asker.answers) >= 50 - PROCESSES * PLACES, what="only those with a place wait")
        began = time.monotonic()
        post(stack, *deliveries_of([other]))
        seconds = time.monotonic() - began
        assert len(asker.answers) < 50, "nobody waits any more"
    answers = [future.result() for future in everybody]
    assert seconds < 1.0
    assert {answer.status for answer in answers} == {503}
    assert max(answer.seconds for answer in answers) < STORE_SECONDS
    assert sum(answer.seconds < WAIT_SECONDS / 2 for answer in answers) >= 50 - PROCESSES * PLACES
    with stack.workers():
        keys = asker.insist(life.events[0])
        complete(life, keys)
        post(stack, *deliveries_of([life]))
        stack.wait_for_quiet()
    check(stack, [life, other])
    assert keys == keys_of(stack, life)


def test_a_license_server_slower_than_the_store_waits_costs_time_and_no_key(stack: Stack) -> None:
    """No call is answered while a worker has a license; what was asked of the server is done all the same."""
    (life,) = orders(1, quantity=2, servers=[SPRING], is_prepared=True)
    (order,) = life.events
    asker = Asker(stack)
    stack.spring.latency = 4.0
    with stack.workers():
        answer = asker.ask(order)
        assert answer.status == 503
        assert answer.seconds < STORE_SECONDS
        stack.spring.latency = 0.0
        keys = asker.insist(order)
        complete(life, keys)
        post(stack, *deliveries_of([life]))
        stack.wait_for_quiet()
    check(stack, [life])
    assert keys == keys_of(stack, life)


@pytest.mark.parametrize("server", SERVERS, ids=str)
def test_fifty_who_ask_at_once_while_workers_die_are_told_one_set_of_keys(stack: Stack, server: Server) -> None:
    """Two of three licenses are made and not answered, the third is not made, when the first worker is killed; the
    second one is killed before it can write down what it found."""
    (life,) = orders(1, quantity=3, servers=[server], is_prepared=True)
    (order,) = life.events
    asker = Asker(stack)
    with stack.workers() as workers, ThreadPoolExecutor(50) as pool:
        during = [_hang(stack, server, kind) for kind in ("commit_then_delay", "commit_then_delay", "delay")]
        everybody = [pool.submit(asker.insist, order) for _ in range(50)]
        wait_until(lambda: all(fault.hits for fault in during), what="all licenses are asked for")
        stack.kill(workers[0])
        with At(StopPoint.SETTLING).catch(stack) as caught:
            workers[0] = stack.start_worker()
            caught.wait()
            stack.kill(workers[0])
            caught.abandon()
        workers[0] = stack.start_worker()
        told = {tuple(future.result()) for future in everybody}
        complete(life, asker.insist(order))
        post(stack, *deliveries_of([life]))
        stack.wait_for_quiet()
    check(stack, [life])
    assert told == {tuple(keys_of(stack, life))}
    assert asker.statuses[200] == 51


def test_a_web_server_that_is_killed_while_a_store_waits_forgets_nothing(stack: Stack) -> None:
    (life,) = orders(1, quantity=2, servers=[SPRING], is_prepared=True)
    (order,) = life.events
    asker = Asker(stack)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(asker.insist, order)
        wait_until(lambda: _is_asked(stack), what="the request is stored")
        stack.kill(stack.web)
        stack.start_web()
        with stack.workers():
            keys = first.result()
            stack.wait_for_quiet()
    assert asker.statuses[0], "nobody waited when the web server died"
    complete(life, keys)
    with stack.workers():
        post(stack, *deliveries_of([life]))
        stack.wait_for_quiet()
    check(stack, [life])
    assert keys == keys_of(stack, life)


def test_faults_lose_no_key_and_show_no_wrong_one(stack: Stack, chance: random.Random) -> None:
    """Orders on both license servers, which fail one call in ten; two workers, one of which is killed now and then. The
    keys of each order are asked for by two at once, and then it is completed; others are completed without."""
    asked = [life for server in SERVERS for life in orders(10, quantity=2, servers=[server], is_prepared=True)]
    others = [life for server in SERVERS for life in orders(5, quantity=2, servers=[server])]
    for number, sandbox in enumerate(stack.sandboxes):
        sandbox.faults.random(rate=0.1, seed=number)
        issue = sandbox.server.calls["issue"]  # one answer is lost for certain, whatever chance brings
        sandbox.faults.add(kind=FaultKind.COMMIT_THEN_DROP, method=issue.method, path=issue.path)
        sandbox.latency = 0.02
    asker = Asker(stack)
    with stack.workers(2) as workers, Poster(stack) as poster, ThreadPoolExecutor(8) as pool:
        poster.post(deliveries_of(others))
        told = {id(life): [pool.submit(asker.insist, life.events[0]) for _ in range(2)] for life in asked}
        for life in asked:
            answers = [future.result() for future in told[id(life)]]
            assert answers[0] == answers[1]
            complete(life, answers[0])
            poster.post([life.events])
            if chance.random() < 0.15:
                victim = chance.randrange(2)
                stack.kill(workers[victim])
                workers[victim] = stack.start_worker()
        poster.finish()
        stack.wait_for_quiet()
    check(stack, [*asked, *others])
    wrong = [life for life in asked if told[id(life)][0].result() != keys_of(stack, life)]
    assert not wrong
    assert kinds_of(stack).count("license.adopted") > 0, "no answer was lost"


def _hang(stack: Stack, server: Server, kind: str) -> Programmed:
    issue = server.calls["issue"]
    return stack.sandbox_of(server).faults.add(kind=kind, method=issue.method, path=issue.path, seconds=FOR_EVER)


def _is_asked(stack: Stack) -> bool:
    return bool(stack.database.value("SELECT count(*) FROM licensing_integration_webhookevent"))
