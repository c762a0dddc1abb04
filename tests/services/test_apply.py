"""apply: few calls, one worker per license, and a record of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from licensing_integration import jobs
from licensing_integration.domain.outcomes import SyncState
from licensing_integration.models import HistoryEntry, LicenseLink, LicensingUser, WebhookEvent
from licensing_integration.sandbox.fastspring import Buyer
from licensing_integration.services.apply import apply_link
from licensing_integration.services.sweep import sweep
from tests.services.conftest import ATTRIBUTES, AVA, only_link
from tests.services.scenario import (
    CHANGE,
    CREATE,
    links_by_unit,
    photon_order,
    states,
)

# --- how many calls things cost --------------------------------------------------------------------------------------


def test_a_new_customer_costs_two_calls_and_a_known_one_one(shop, deliver, api_calls):
    deliver(photon_order(shop))
    assert len(api_calls()) == 2
    deliver(photon_order(shop))
    assert api_calls() == ["POST /v3/licenses"]


def test_a_customer_the_server_knows_already_costs_three(shop, deliver, api_calls, vendor):
    body = {"email": "ava.lindqvist@example.com", "firstName": "A", "password": "x" * 20, "role": "user"}
    known = vendor.call("POST", "/v3/users", json=body)["id"]
    api_calls()
    deliver(photon_order(shop))
    assert api_calls() == ["POST /v3/users", "GET /v3/users", "POST /v3/licenses"]
    assert vendor.box.licenses[0]["userId"] == known


def test_a_bulk_order_asks_for_its_user_once(shop, deliver, api_calls):
    deliver(photon_order(shop, quantity=12))
    calls = api_calls()
    assert (len(calls), calls.count("POST /v3/licenses")) == (13, 12)


def test_a_renewal_an_overdue_notice_and_an_end_cost_one_call_each(shop, shop_clock, deliver, api_calls):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    api_calls()
    shop_clock.advance(days=30)
    for happen in (shop.renew, shop.overdue, shop.deactivate):
        shop_clock.advance(seconds=1)
        deliver(happen(subscription))
        assert len(api_calls()) == 1


def test_repeated_and_irrelevant_events_cost_nothing(shop, post, work, deliver, api_calls):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    renewal = shop.renew(subscription)
    deliver(renewal)
    api_calls()
    deliver(*events, renewal)
    deliver(shop.report("subscription.updated", subscription))
    deliver(shop.report("subscription.payment.reminder", subscription))
    assert api_calls() == []


# --- users -----------------------------------------------------------------------------------------------------------


def test_a_user_deleted_on_the_server_is_made_anew(shop, deliver, cryptlex, vendor):
    deliver(photon_order(shop))
    vendor.call("DELETE", f"/v3/users/{cryptlex.users[0]['id']}")
    deliver(photon_order(shop))
    assert only_user() == cryptlex.users[0]["id"]
    assert cryptlex.licenses[1]["userId"] == cryptlex.users[0]["id"]


def only_user() -> str:
    return LicensingUser.objects.get().external_id


def test_a_license_moves_to_the_buyer_of_a_newer_order(shop, shop_clock, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(events[0])
    deliver(shop.renew(subscription))
    gift = {**events[-1], "data": {**events[-1]["data"], "customer": Buyer(email="bo@example.com").contact()}}
    deliver(gift)
    assert [license["user"]["email"] for license in cryptlex.licenses] == ["bo@example.com"]


def test_a_customer_in_capitals_is_the_same_customer(shop, deliver, cryptlex):
    deliver(photon_order(shop), photon_order(shop, Buyer(email="AVA.LINDQVIST@EXAMPLE.COM ")))
    assert len(cryptlex.users) == 1


# --- who works on what -----------------------------------------------------------------------------------------------


def test_a_link_another_worker_holds_is_left_to_it(shop, deliver, cryptlex, api_calls):
    deliver(photon_order(shop))
    api_calls()
    LicenseLink.objects.update(sync_state="pending", lease_until=timezone.now() + timedelta(minutes=1))
    apply_link(only_link().pk)
    assert api_calls() == []


@pytest.mark.parametrize("state", ["settled", "attention"])
def test_a_link_that_is_settled_or_stopped_is_left_alone(shop, deliver, api_calls, state):
    deliver(photon_order(shop))
    api_calls()
    LicenseLink.objects.update(sync_state=state, applied=None)
    apply_link(only_link().pk)
    assert api_calls() == []


@pytest.mark.django_db(transaction=True)
def test_many_workers_make_one_license(shop, post, work, cryptlex):
    cryptlex.latency = 0.05
    cryptlex.faults.add(**CREATE, kind="status", status=429)
    post(photon_order(shop))
    work()
    LicenseLink.objects.update(retry_at=None)
    _in_threads(lambda: apply_link(only_link().pk), count=8)
    assert len(cryptlex.licenses) == 1
    assert only_link().sync_state == SyncState.SETTLED


@pytest.mark.django_db(transaction=True)
def test_what_changes_while_a_worker_works_is_applied_by_it(shop, post, work, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    post(*events)
    work()
    cryptlex.faults.add(**CHANGE, kind="delay", seconds=0.4)
    post(shop.change(subscription, "subscription.paused", state="paused"))
    worker = threading.Thread(target=_closing(work))
    worker.start()
    while not LicenseLink.objects.filter(lease_token__isnull=False).exists():
        pass
    post(shop.change(subscription, "subscription.resumed", state="active"))
    work()
    worker.join()
    assert states(cryptlex) == ["active"]
    assert only_link().sync_state == SyncState.SETTLED


def _closing(run: Callable[[], object]) -> Callable[[], None]:
    def _run() -> None:
        try:
            run()
        finally:
            connection.close()

    return _run


def _in_threads(run: Callable[[], object], *, count: int) -> None:
    threads = [threading.Thread(target=_closing(run)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# --- the sweep -------------------------------------------------------------------------------------------------------


def test_the_sweep_finds_what_its_job_lost(shop, post, work, cryptlex):
    post(photon_order(shop, quantity=2))
    _lose_jobs()
    assert sweep() == {"events": 0, "links": 0, "purchases": 0}  # its job may still be on the way
    WebhookEvent.objects.update(received_at=timezone.now() - timedelta(seconds=20))
    assert sweep()["events"] == 1
    work()
    assert len(cryptlex.licenses) == 2


def test_the_sweep_finds_licenses_whose_jobs_were_lost(shop, post, work, cryptlex):
    cryptlex.faults.add(**CREATE, kind="status", status=429, times=2, retry_after=0)
    post(photon_order(shop, quantity=2))
    work()
    _lose_jobs()
    assert sweep(now=timezone.now() + timedelta(minutes=1))["links"] == 2
    LicenseLink.objects.update(retry_at=None)
    work()
    assert len(cryptlex.licenses) == 2


def test_the_sweep_leaves_links_alone_that_are_held_settled_or_not_due(shop, deliver, cryptlex):
    deliver(photon_order(shop))
    later = timezone.now() + timedelta(hours=1)
    assert sweep(now=later)["links"] == 0
    LicenseLink.objects.update(sync_state="pending", lease_until=later + timedelta(minutes=1))
    assert sweep(now=later)["links"] == 0
    LicenseLink.objects.update(lease_until=None, retry_at=later + timedelta(minutes=1))
    assert sweep(now=later)["links"] == 0
    LicenseLink.objects.update(retry_at=None, sync_state="attention")
    assert sweep(now=later)["links"] == 0
    LicenseLink.objects.update(sync_state="pending")
    assert sweep(now=later)["links"] == 1


def _lose_jobs() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")


def test_jobs_of_workers_that_died_are_cleared_away(db):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, status) VALUES (%s, 'x', 'doing')", [jobs.QUEUE]
        )
        sweep()
        cursor.execute("SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'")
        assert cursor.fetchone()[0] == 0


# --- the record ------------------------------------------------------------------------------------------------------


def test_the_history_shows_what_changed_on_the_license(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    deliver(shop.overdue(subscription))
    assert HistoryEntry.objects.get(kind="license.suspended").changes == {"state": ["active", "suspended"]}


def test_what_stays_unknown_to_nobody_is_kept_on_the_link(shop, deliver, cryptlex):
    deliver(photon_order(shop, quantity=2))
    for link in links_by_unit().values():
        assert link.issued_at is not None
        assert link.observed["license_id"] == link.external_id
        assert (link.lease_token, link.lease_until, link.attempts, link.unclear_attempts) == (None, None, 0, 0)
