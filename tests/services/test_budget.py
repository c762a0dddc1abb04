"""The shared request budget: never more calls in any window than allowed, however many workers ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from django.db import connection

from licensing_integration.conf import LicenseServerConfig
from licensing_integration.exceptions import TransientRemoteError
from licensing_integration.models import RequestBudget
from licensing_integration.services.budget import LONGEST_WAIT_SECONDS, pause, wait_for_turn
from tests.services.conftest import ATTRIBUTES, AVA
from tests.services.scenario import try_again

pytestmark = pytest.mark.django_db(transaction=True)

WINDOW = 0.3

# Every grant is the newest entry of the ring at the moment it is given.
_WATCH = """
CREATE TABLE watched_grants (at timestamptz);
CREATE FUNCTION watch_grants() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO watched_grants VALUES (NEW.grants[cardinality(NEW.grants)]);
    RETURN NULL;
END $$;
CREATE TRIGGER watch_grants AFTER UPDATE ON licensing_integration_requestbudget
    FOR EACH ROW WHEN (current_setting('tests.is_pause', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION watch_grants();
"""
_STOP_WATCHING = "DROP TABLE watched_grants; DROP FUNCTION watch_grants() CASCADE;"


def _config(limit: int, *, window: float = WINDOW) -> LicenseServerConfig:
    return LicenseServerConfig(name="box", backend="cryptlex", request_limit=limit, request_window_seconds=window)


@pytest.fixture
def grants() -> Iterator[Callable[[], list[datetime]]]:
    """The moments granted so far, in order."""

    def _grants() -> list[datetime]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT at FROM watched_grants ORDER BY at")
            return [row[0] for row in cursor.fetchall()]

    with connection.cursor() as cursor:
        cursor.execute(_WATCH)
    yield _grants
    with connection.cursor() as cursor:
        cursor.execute(_STOP_WATCHING)


def _call_from_threads(config: LicenseServerConfig, *, threads: int, calls: int) -> list[float]:
    """When each of the calls went out."""
    moments: list[float] = []

    def _run() -> None:
        try:
            for _ in range(calls):
                wait_for_turn(config)
                moments.append(time.time())
        finally:
            connection.close()

    workers = [threading.Thread(target=_run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sorted(moments)


def _shortest_span(moments: list[datetime], *, of: int) -> timedelta:
    """The shortest time in which ``of`` + 1 calls were granted."""
    return min(later - earlier for earlier, later in zip(moments, moments[of:], strict=False))


@pytest.mark.parametrize("limit", [1, 7])
def test_eight_workers_never_exceed_the_limit_in_any_window(grants, limit):
    went_out = _call_from_threads(_config(limit), threads=8, calls=max(1, limit // 2))
    granted = grants()
    assert len(granted) == len(went_out)
    assert _shortest_span(granted, of=limit) >= timedelta(seconds=WINDOW)
    assert all(out >= grant.timestamp() - 0.001 for out, grant in zip(went_out, granted, strict=True))


def test_the_first_calls_go_at_once():
    started = time.monotonic()
    _call_from_threads(_config(50, window=60.0), threads=5, calls=10)
    assert time.monotonic() - started < 10


def test_no_limit_keeps_no_record():
    _call_from_threads(_config(0), threads=2, calls=50)
    pause(_config(0), 60.0)
    assert not RequestBudget.objects.exists()


def test_a_wait_that_would_be_too_long_gives_the_worker_back():
    config = _config(1, window=LONGEST_WAIT_SECONDS + 1)
    wait_for_turn(config)
    with pytest.raises(TransientRemoteError) as caught:
        wait_for_turn(config)
    assert caught.value.may_have_succeeded is False
    assert caught.value.retry_after == LONGEST_WAIT_SECONDS


def test_after_a_429_nobody_calls_for_as_long_as_the_server_asked():
    config = _config(5)
    wait_for_turn(config)
    asked_at = time.time()
    pause(config, 0.5)
    assert _call_from_threads(config, threads=4, calls=2)[0] >= asked_at + 0.5


def test_a_short_pause_does_not_shorten_a_long_one_nor_forget_calls_just_made():
    config = _config(2, window=1.0)
    asked_at = time.time()
    wait_for_turn(config)
    pause(config, 0.6)
    pause(config, 0.0)
    wait_for_turn(config)
    assert time.time() >= asked_at + 0.6
    full = LicenseServerConfig(name="full", backend="cryptlex", request_limit=2, request_window_seconds=0.6)
    started = time.time()
    wait_for_turn(full)
    wait_for_turn(full)
    pause(full, 0.1)
    wait_for_turn(full)
    assert time.time() >= started + 0.6


@pytest.mark.parametrize(("before", "after"), [(4, 2), (2, 4)])
def test_a_changed_limit_counts_at_once_and_keeps_what_was_granted(before, after):
    old, new = _config(before, window=1.0), _config(after, window=1.0)
    started = time.time()
    for _ in range(before):
        wait_for_turn(old)
    for _ in range(max(1, after - before + 1)):
        wait_for_turn(new)
    assert time.time() >= started + 1.0
    (row,) = RequestBudget.objects.all()
    assert len(row.grants) == after


def test_servers_do_not_share_a_budget():
    started = time.monotonic()
    for name in ("one", "two", "three"):
        wait_for_turn(LicenseServerConfig(name=name, backend="cryptlex", request_limit=1, request_window_seconds=5.0))
    assert time.monotonic() - started < 4


def test_the_license_server_never_sees_too_many_calls(shop, post, work, cryptlex, settings):
    cryptlex.options.rate_limit = (
        10,
        0.4,
    )  # calls arrive a little later than they were granted, some later than others
    settings.LICENSE_SERVERS = [
        {**settings.LICENSE_SERVERS[0], "request_limit": 10, "request_window_seconds": 0.5, "name": "cryptlex"}
    ]
    post(shop.buy(AVA, "photon", quantity=25, attributes=ATTRIBUTES))
    work()
    assert len(cryptlex.licenses) == 25
    assert {request.status for request in cryptlex.requests} == {201}


def test_a_429_by_somebody_elses_calls_pauses_everybody(shop, post, work, cryptlex, settings):
    settings.LICENSE_SERVERS = [{**settings.LICENSE_SERVERS[0], "request_limit": 50}]
    cryptlex.faults.add(method="POST", path="/v3/licenses", kind="status", status=429, retry_after=1)
    post(shop.buy(AVA, "photon", attributes=ATTRIBUTES))
    paused_at = time.time()
    work()
    try_again(work)
    assert time.time() - paused_at >= 1.0
    assert len(cryptlex.licenses) == 1
