"""catch up: what a store could not deliver ends where its deliveries end, and nothing happens twice."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction
from procrastinate import JobContext
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import Job

from licensing_integration import jobs, tasks
from licensing_integration.exceptions import TransientRemoteError
from licensing_integration.models import WebhookEvent
from licensing_integration.sandbox.fastspring import Event, delivery, sign
from licensing_integration.services.catch_up import CaughtUp, catch_up, catch_up_stores, why_not
from licensing_integration.services.receive import receive
from licensing_integration.stores import registry
from licensing_integration.stores.base import RawEvent, StoreApi
from licensing_integration.stores.fastspring import ADAPTER
from tests.factories import WebhookEventFactory
from tests.services.conftest import ATTRIBUTES, AVA, SECRET
from tests.services.fastspring_events import FastSpringEvents

Page = Sequence[RawEvent]


@pytest.fixture
def fastspring(settings: Any) -> Iterator[FastSpringEvents]:
    """The store's list of events, which the configured store points at."""
    server = FastSpringEvents()
    credentials = {"api_username": "user", "api_password": "password", "api_base_url": server.base_url}
    settings.STORES = [{**settings.STORES[0], **credentials}]
    yield server
    server.stop()


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Callable[..., None]:
    """Have a store of its own named "pages", whose adapter lists these pages; an exception among them is raised."""

    def _listed(*pages: Page | Exception | Callable[[], None]) -> None:
        def _pages(api: StoreApi, since: datetime) -> Iterator[Page]:
            for page in pages:
                if isinstance(page, Exception):
                    raise page
                if callable(page):
                    page()
                else:
                    yield page

        adapter = replace(ADAPTER, slug="pages", catch_up=_pages)
        monkeypatch.setattr(registry, "ADAPTERS", {**registry.ADAPTERS, "pages": adapter})
        store = {"name": "pages", "adapter": "pages", "api_username": "user", "api_password": "password"}
        settings.STORES = [*settings.STORES, store]

    return _listed


def _raw(*names: str, **changes: Any) -> list[RawEvent]:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    event = RawEvent(external_id="", event_type="order.completed", occurred_at=at, is_live=True, body="{}")
    return [replace(event, external_id=name, **changes) for name in names]


def _names() -> list[str]:
    return list(WebhookEvent.objects.order_by("id").values_list("external_id", flat=True))


def _jobs() -> list[list[int]]:
    """The events of each waiting job."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT args::text FROM procrastinate_jobs WHERE status = 'todo' ORDER BY id")
        return [json.loads(arguments)["event_ids"] for (arguments,) in cursor.fetchall()]


def _post(store: str, *events: Event) -> None:
    body = delivery(*events)
    receive(store, body=body, headers={"x-fs-signature": sign(body, secret=SECRET)})


# --- what is fetched takes the way of what is delivered --------------------------------------------------------------


def test_an_undelivered_order_becomes_a_license(shop, fastspring, db, work, cryptlex):
    fastspring.events = [shop.buy(AVA, "photon", attributes=ATTRIBUTES)]
    assert catch_up("fastspring") == CaughtUp(store="fastspring", pulled=1, new=1)
    row = WebhookEvent.objects.get()
    assert (row.external_id, row.state, row.deliveries) == (fastspring.events[0]["id"], "received", 0)
    work()
    assert WebhookEvent.objects.get().state == "applied"
    assert len(cryptlex.licenses) == 1


def test_an_event_that_is_here_stays_as_it_is(shop, fastspring, post, work):
    event = {**shop.buy(AVA, "photon"), "type": "order.payment.pending"}
    post(event)
    work()
    before = WebhookEvent.objects.values().get()
    fastspring.events = [event]
    assert catch_up("fastspring") == CaughtUp(store="fastspring", pulled=1, new=0)
    assert WebhookEvent.objects.values().get() == before
    assert _jobs() == []


def test_the_same_page_again_changes_nothing(shop, fastspring, db):
    fastspring.events = [shop.buy(AVA, "photon") for _ in range(3)]
    assert catch_up("fastspring").new == 3
    before, waiting = list(WebhookEvent.objects.order_by("id").values()), _jobs()
    assert catch_up("fastspring") == CaughtUp(store="fastspring", pulled=3, new=0)
    assert list(WebhookEvent.objects.order_by("id").values()) == before
    assert _jobs() == waiting


def test_a_delivery_after_all_is_counted_and_wakes_nobody(shop, fastspring, post):
    fastspring.events = [shop.buy(AVA, "photon")]
    catch_up("fastspring")
    assert post(*fastspring.events).new == 0
    assert WebhookEvent.objects.get().deliveries == 1
    assert len(_jobs()) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("test_events", ["hold", "apply"])
def test_the_verdicts_are_those_of_a_delivery(shop, fastspring, settings, test_events):
    settings.STORES = [
        {**settings.STORES[0], "test_events": test_events},
        {**settings.STORES[0], "name": "eu", "test_events": test_events},
    ]
    live, ignored, unknown = (shop.buy(AVA, "photon") for _ in range(3))
    shop.live = False
    fastspring.events = [
        live,
        {**ignored, "type": "payoutEntry.created"},
        {**unknown, "type": "subscription.group.updated"},
        shop.buy(AVA, "photon"),
        {**shop.buy(AVA, "photon"), "live": "perhaps"},
    ]
    _post("eu", *fastspring.events)
    catch_up("fastspring")
    delivered, fetched = _rows("eu"), _rows("fastspring")
    assert fetched == delivered
    last = "held" if test_events == "hold" else "received"
    assert {state for _, state, *_ in fetched} == {"received", "ignored", "unsupported", "malformed", last}


def _rows(store: str) -> list[tuple[Any, ...]]:
    columns = ("external_id", "state", "event_type", "is_live", "occurred_at", "problem", "body")
    rows = WebhookEvent.objects.filter(store=store).order_by("external_id").values_list(*columns)
    return [(*row, json.loads(body)) for *row, body in rows]


# --- pages -----------------------------------------------------------------------------------------------------------


def test_many_events_come_in_pages_oldest_first_and_get_a_job_each(shop, shop_clock, fastspring, db):
    shop_clock.advance(days=-20)
    for _ in range(70):
        fastspring.events.append(shop.buy(AVA, "photon"))
        shop_clock.advance(hours=5)
    assert catch_up("fastspring").new == 70
    assert len(fastspring.requests) > 3
    assert _names() == [event["id"] for event in fastspring.events]
    assert _jobs() == [[pk] for pk in WebhookEvent.objects.order_by("id").values_list("id", flat=True)]


def test_only_the_days_asked_for_are_fetched(shop, shop_clock, fastspring, db):
    shop_clock.advance(days=-3)
    old = shop.buy(AVA, "photon")
    shop_clock.advance(days=2)
    fastspring.events = [old, shop.buy(AVA, "photon")]
    assert catch_up("fastspring", days=2).new == 1
    assert _names() == [fastspring.events[1]["id"]]


@pytest.mark.django_db
def test_pages_are_stored_in_the_order_in_which_they_come(listed):
    listed(_raw("c", "a"), _raw(), _raw("b"))
    assert catch_up("pages") == CaughtUp(store="pages", pulled=3, new=3)
    assert _names() == ["c", "a", "b"]


@pytest.mark.django_db
def test_an_event_on_two_pages_and_twice_on_one_is_one_event(listed):
    listed(_raw("a", "b", "b"), _raw("b", "c"))
    assert catch_up("pages") == CaughtUp(store="pages", pulled=3, new=3)
    assert _names() == ["a", "b", "c"]


def test_each_page_is_committed_before_the_next_is_asked_for(listed, transactional_db):
    seen: list[tuple[int, bool]] = []

    def _look() -> None:
        with ThreadPoolExecutor(1) as pool:
            seen.append((pool.submit(_count_elsewhere).result(), connection.in_atomic_block))

    listed(_raw("a"), _look, _raw("b"), _look)
    catch_up("pages")
    assert seen == [(1, False), (2, False)]


def _count_elsewhere() -> int:
    try:
        return WebhookEvent.objects.count()
    finally:
        connections.close_all()


@pytest.mark.django_db
def test_it_stops_between_pages_when_told_to(listed):
    listed(_raw("a"), _raw("b"), _raw("c"))
    answers = iter([False, True])
    assert catch_up("pages", should_stop=lambda: next(answers)) == CaughtUp(store="pages", pulled=2, new=2)
    assert _names() == ["a", "b"]


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_was_stored_before_a_failure_stays(listed):
    listed(_raw("a"), _raw("b"), TransientRemoteError("Stub: it did not answer. It is tried again by itself."))
    result = catch_up("pages")
    assert (result.pulled, result.new) == (2, 2)
    assert result.problem == "Stub: it did not answer. It is tried again by itself."
    assert _names() == ["a", "b"]
    assert len(_jobs()) == 2


def test_a_store_that_fails_halfway_keeps_the_first_half(shop, shop_clock, fastspring, db):
    shop_clock.advance(days=-20)
    for _ in range(70):
        fastspring.events.append(shop.buy(AVA, "photon"))
        shop_clock.advance(hours=5)
    fastspring.fails_after = 8
    result = catch_up("fastspring")
    assert "failed (500)" in result.problem
    assert 0 < result.new < 70
    assert WebhookEvent.objects.count() == result.new
    fastspring.fails_after = None
    assert catch_up("fastspring").new == 70 - result.new


@pytest.mark.django_db
def test_one_store_that_refuses_us_does_not_stop_the_others(shop, fastspring, settings, listed, caplog):
    listed(_raw("a"))
    settings.STORES = [*settings.STORES, {**settings.STORES[0], "name": "without", "api_password": ""}]
    fastspring.fails_after, fastspring.status = 0, 401
    first, second = catch_up_stores()
    assert (first.store, first.new) == ("fastspring", 0)
    assert "was refused (401)" in first.problem
    assert second == CaughtUp(store="pages", pulled=1, new=1)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [f"not caught up: {first.problem}"]
    assert "password" not in caplog.text


@pytest.mark.django_db
def test_an_error_of_ours_is_told_logged_and_kept_to_one_store(listed, caplog):
    listed(_raw("a"), KeyError("jane@example.com"))
    (result,) = catch_up_stores()
    assert result.problem == "An error of ours stopped this (KeyError); the log has the details."
    assert result.new == 1
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "sentence"), [({"adapter": "nobody"}, "nobody"), ({"api_base_url": "ftp://x"}, "base URL")]
)
def test_a_store_that_is_set_up_wrongly_says_so(settings, change, sentence):
    credentials = {"api_username": "user", "api_password": "password"}
    settings.STORES = [{**settings.STORES[0], **credentials, **change}]
    (result,) = catch_up_stores()
    assert sentence in result.problem


@pytest.mark.django_db
def test_a_store_without_credentials_is_left_out_and_says_what_to_configure(settings):
    settings.STORES = [{**settings.STORES[0], "name": "eu-west"}]
    sentence = (
        "Without API credentials nothing can be fetched from it; set EU_WEST_API_USERNAME and EU_WEST_API_PASSWORD."
    )
    assert why_not("eu-west") == sentence
    assert catch_up("eu-west") == CaughtUp(store="eu-west", pulled=0, new=0, problem=sentence)
    assert catch_up_stores() == []


@pytest.mark.django_db
def test_a_store_that_lists_nothing_is_left_out(settings, listed, monkeypatch):
    listed()
    monkeypatch.setitem(registry.ADAPTERS, "pages", replace(ADAPTER, slug="pages", catch_up=None))
    assert why_not("pages") == "Store adapter 'pages' cannot list events that were not delivered."
    assert catch_up_stores() == []


def test_a_database_that_is_away_is_no_fault_of_the_store(listed, transactional_db, monkeypatch):
    listed(_raw("a"))
    connection.close()
    with monkeypatch.context() as away:
        away.setitem(connection.settings_dict, "HOST", "127.0.0.1")
        away.setitem(connection.settings_dict, "PORT", "9")
        with pytest.raises(OperationalError):
            catch_up("pages")
    connection.close()


# --- at the same time ------------------------------------------------------------------------------------------------


def test_fetched_while_they_are_delivered_each_event_is_one_row_and_one_job(shop, fastspring, transactional_db):
    events = [shop.buy(AVA, "photon") for _ in range(20)]
    fastspring.events = events
    ways = [
        *[lambda: catch_up("fastspring")] * 3,
        lambda: _post("fastspring", *reversed(events)),
        lambda: [_post("fastspring", event) for event in events],
        lambda: [_post("fastspring", event) for event in reversed(events)],
    ]
    barrier = threading.Barrier(len(ways))

    def _run(way: Callable[[], object]) -> None:
        try:
            barrier.wait()
            way()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(ways)) as pool:
        for future in [pool.submit(_run, way) for way in ways]:
            future.result()
    rows = dict(WebhookEvent.objects.values_list("external_id", "id"))
    assert sorted(rows) == sorted(event["id"] for event in events)
    assert sorted(pk for ids in _jobs() for pk in ids) == sorted(rows.values())
    assert set(WebhookEvent.objects.values_list("deliveries", flat=True)) == {3}


def test_an_event_that_is_being_delivered_holds_back_no_other(listed, transactional_db):
    """Whoever holds several rows while waiting for one can end in a deadlock with a delivery in another order."""
    listed(_raw("a", "b"))
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            WebhookEventFactory(store="pages", external_id="b")
            result = pool.submit(_catch_up_elsewhere)
            deadline = time.monotonic() + 10
            while not WebhookEvent.objects.filter(external_id="a").exists():
                assert time.monotonic() < deadline, "the first event waits for the second"
                time.sleep(0.01)
        assert result.result() == CaughtUp(store="pages", pulled=2, new=1)


def _catch_up_elsewhere() -> CaughtUp:
    try:
        return catch_up("pages")
    finally:
        connections.close_all()


# --- every hour ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_task_catches_up_and_hears_when_the_worker_stops(listed):
    listed(_raw("a"), _raw("b"))
    stops = iter([None, "shutdown", "shutdown"])
    job = Job(id=1, queue=jobs.QUEUE, lock=None, queueing_lock=None, task_name=jobs.CATCH_UP, task_kwargs={})
    context = JobContext(app=app, job=job, start_timestamp=0.0, abort_reason=lambda: next(stops))
    tasks.catch_up_task.func(context, timestamp=0)
    assert _names() == ["a"]


@pytest.mark.django_db
def test_it_runs_every_hour_and_waits_in_the_queue_only_once():
    crons = {task.task.name: task.cron for task in app.periodic_registry.periodic_tasks.values()}
    minute, *others = crons[jobs.CATCH_UP].split()
    assert minute.isdigit()
    assert others == ["*", "*", "*", "*"]
    tasks.catch_up_task.defer(timestamp=1)
    with pytest.raises(AlreadyEnqueued), transaction.atomic():
        tasks.catch_up_task.defer(timestamp=2)
