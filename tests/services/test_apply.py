"""apply against a license server that loses answers, refuses, is busy, or was changed by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
import requests
from django.db import connection
from django.utils import timezone

from licensing_integration import jobs
from licensing_integration.domain.outcomes import FailureMode, LicenseState, SyncState
from licensing_integration.models import HistoryEntry, LicenseLink, LicensingUser, WebhookEvent
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.fastspring import Buyer, Event, FastSpringShop
from licensing_integration.sandbox.moments import from_wire
from licensing_integration.services import interventions
from licensing_integration.services.apply import apply_link
from licensing_integration.services.sweep import sweep
from tests.services.conftest import ATTRIBUTES, AVA, only_link
from tests.services.scenario import kinds, links_by_unit, map_product, metadata, sentences, states, try_again

CREATE = {"method": "POST", "path": "/v3/licenses"}
CHANGE = {"method": "PATCH", "path": "/v3/licenses/{id}"}
RENEW = {"method": "POST", "path": "/v3/licenses/{id}/renew"}
LOST_ANSWERS = [
    {"kind": "commit_then_drop"},
    {"kind": "commit_then_status", "status": 500},
    {"kind": "commit_then_status", "status": 502},
    {"kind": "commit_then_status", "status": 408},
]
NOTHING_DONE = [{"kind": "drop"}, {"kind": "status", "status": 500}, {"kind": "status", "status": 503}]


class Vendor:
    """The license server by other hands: its dashboard, or the vendor's own store integration."""

    def __init__(self, box: CryptlexSandbox) -> None:
        self.box = box

    def call(self, method: str, path: str, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.box.access_token}"}
        answer = requests.request(method, self.box.base_url + path, headers=headers, timeout=10, **options)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def make(self, *, product: str = "prod-1", **entries: str) -> str:
        """A license with these metadata entries; its id."""
        rows = [{"key": key, "value": value, "viewPermissions": []} for key, value in entries.items()]
        body = {"productId": product, "licenseTemplateId": "tmpl-1", "metadata": rows}
        return str(self.call("POST", "/v3/licenses", json=body)["id"])

    def patch(self, license_id: str, **members: Any) -> None:
        self.call("PATCH", f"/v3/licenses/{license_id}", json=members)

    def delete(self, license_id: str) -> None:
        self.call("DELETE", f"/v3/licenses/{license_id}")


@pytest.fixture
def vendor(cryptlex: CryptlexSandbox) -> Vendor:
    return Vendor(cryptlex)


def _order(shop: FastSpringShop, buyer: Buyer = AVA, *, quantity: int = 1) -> Event:
    return shop.buy(buyer, "photon", quantity=quantity, attributes=ATTRIBUTES)


# --- how many calls things cost --------------------------------------------------------------------------------------


def test_a_new_customer_costs_two_calls_and_a_known_one_one(shop, deliver, api_calls):
    deliver(_order(shop))
    assert len(api_calls()) == 2
    deliver(_order(shop))
    assert api_calls() == ["POST /v3/licenses"]


def test_a_customer_the_server_knows_already_costs_three(shop, deliver, api_calls, vendor):
    body = {"email": "ava.lindqvist@example.com", "firstName": "A", "password": "x" * 20, "role": "user"}
    known = vendor.call("POST", "/v3/users", json=body)["id"]
    api_calls()
    deliver(_order(shop))
    assert api_calls() == ["POST /v3/users", "GET /v3/users", "POST /v3/licenses"]
    assert vendor.box.licenses[0]["userId"] == known


def test_a_bulk_order_asks_for_its_user_once(shop, deliver, api_calls):
    deliver(_order(shop, quantity=12))
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


# --- lost answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", LOST_ANSWERS, ids=str)
def test_a_license_whose_making_was_not_answered_is_adopted_and_not_made_twice(shop, deliver, work, cryptlex, fault):
    cryptlex.faults.add(**CREATE, **fault)
    deliver(_order(shop))
    link = only_link()
    assert (link.sync_state, link.external_id, link.failure_mode) == ("pending", "", "")
    assert link.retry_at > timezone.now()
    try_again(work)
    assert [license["id"] for license in cryptlex.licenses] == [only_link().external_id]
    assert only_link().sync_state == SyncState.SETTLED
    assert kinds(link__isnull=False) == ["license.failed", "license.adopted"]
    assert "made by an earlier attempt" in sentences(kind="license.adopted")


@pytest.mark.parametrize("fault", NOTHING_DONE, ids=str)
def test_a_license_that_was_not_made_is_made(shop, deliver, work, cryptlex, fault):
    cryptlex.faults.add(**CREATE, **fault)
    deliver(_order(shop))
    assert cryptlex.licenses == []
    try_again(work)
    assert [license["id"] for license in cryptlex.licenses] == [only_link().external_id]


def test_several_lost_answers_in_a_row_still_make_one_license(shop, deliver, work, cryptlex):
    cryptlex.faults.add(**CREATE, kind="commit_then_drop")
    cryptlex.faults.add(method="GET", path="/v3/licenses", kind="status", status=500, times=2)
    deliver(_order(shop))
    for _ in range(3):
        try_again(work)
    assert [license["id"] for license in cryptlex.licenses] == [only_link().external_id]


def test_each_slot_of_an_order_adopts_its_own_license(shop, deliver, work, cryptlex):
    cryptlex.faults.add(**CREATE, kind="commit_then_drop", times=3)
    deliver(_order(shop, quantity=3))
    try_again(work)
    assert len(cryptlex.licenses) == 3
    slots = {license["id"]: metadata(license)["licensing_integration_slot"] for license in cryptlex.licenses}
    assert {link.external_id: link.reference for link in LicenseLink.objects.all()} == slots


def test_a_worker_that_died_after_the_license_was_made_leaves_it_to_be_adopted(shop, post, work, cryptlex):
    cryptlex.faults.add(**CREATE, kind="commit_then_drop")
    post(_order(shop))
    work()
    # What a killed worker leaves: the claim, and nothing of its outcome.
    LicenseLink.objects.update(
        attempts=1, unclear_attempts=1, retry_at=None, failing_since=None, lease_until=timezone.now()
    )
    sweep(now=timezone.now() + timedelta(minutes=5))
    work()
    assert [license["id"] for license in cryptlex.licenses] == [only_link().external_id]


def test_a_customer_whose_making_was_not_answered_is_found(shop, deliver, work, cryptlex):
    cryptlex.faults.add(method="POST", path="/v3/users", kind="commit_then_drop")
    deliver(_order(shop))
    try_again(work)
    assert len(cryptlex.users) == 1
    assert cryptlex.licenses[0]["userId"] == cryptlex.users[0]["id"]


@pytest.mark.parametrize("fault", LOST_ANSWERS + NOTHING_DONE, ids=str)
def test_what_was_taken_back_before_the_answer_is_known_reaches_the_server(shop, deliver, work, cryptlex, fault):
    """Suspended, perhaps; paid before we know. Nobody who paid may stay locked out."""
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    cryptlex.faults.add(**CHANGE, **fault)
    deliver(shop.change(subscription, "subscription.paused", state="paused"))
    assert only_link().sync_state == SyncState.PENDING
    deliver(shop.change(subscription, "subscription.resumed", state="active"))
    try_again(work)
    assert states(cryptlex) == ["active"]
    assert only_link().sync_state == SyncState.SETTLED
    assert only_link().state == LicenseState.ACTIVE


def test_a_license_not_made_while_its_plan_went_back_and_forth_is_made(shop, deliver, work, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    cryptlex.faults.add(**CREATE, kind="status", status=429, times=2)
    deliver(*events)
    LicenseLink.objects.update(unclear_attempts=1)  # as while a worker is at it
    deliver(shop.change(subscription, "subscription.paused", state="paused"))
    LicenseLink.objects.update(unclear_attempts=0)  # it ended, and certainly changed nothing
    deliver(shop.change(subscription, "subscription.resumed", state="active"))
    try_again(work)
    assert states(cryptlex) == ["active"]


def test_an_order_ended_before_its_license_is_known_leaves_no_license(shop, deliver, work, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    cryptlex.faults.add(**CREATE, kind="commit_then_drop")
    deliver(*events)
    assert len(cryptlex.licenses) == 1
    deliver(shop.deactivate(subscription))
    try_again(work)
    assert cryptlex.licenses == []
    assert only_link().sync_state == SyncState.SETTLED


def test_an_end_whose_answer_was_lost_is_an_end(shop, deliver, work, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    cryptlex.faults.add(method="DELETE", path="/v3/licenses/{id}", kind="commit_then_drop")
    deliver(shop.deactivate(subscription))
    try_again(work)
    assert (only_link().sync_state, only_link().state) == (SyncState.SETTLED, LicenseState.ABSENT)


# --- renewals by interval --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [None, *LOST_ANSWERS, *NOTHING_DONE], ids=str)
def test_each_charge_renews_exactly_once_whatever_happens_to_the_answer(shop, deliver, work, cryptlex, fault):
    map_product("studio", expiry="interval", interval="P1M")
    subscription, events = shop.subscribe(AVA, "studio")
    deliver(*events)
    ends = [from_wire(cryptlex.licenses[0]["expiresAt"])]
    for _ in range(2):
        if fault:
            cryptlex.faults.add(**RENEW, **fault)
        charge = shop.renew(subscription)
        deliver(charge)
        try_again(work)
        deliver(charge, *shop.prorate(subscription, quantity=1))
        ends.append(from_wire(cryptlex.licenses[0]["expiresAt"]))
    months = [later - earlier for earlier, later in pairwise(ends)]
    assert all(timedelta(days=28) <= month <= timedelta(days=31) for month in months)


def test_charges_that_come_together_renew_once_each(shop, deliver, cryptlex):
    map_product("studio", expiry="interval", interval="P1M")
    subscription, events = shop.subscribe(AVA, "studio")
    deliver(*events)
    before = from_wire(cryptlex.licenses[0]["expiresAt"])
    deliver(shop.renew(subscription), shop.renew(subscription))
    assert timedelta(days=58) <= from_wire(cryptlex.licenses[0]["expiresAt"]) - before <= timedelta(days=62)
    assert cryptlex.request_counts["POST /v3/licenses/{id}/renew"] == 2


def test_a_charge_that_comes_before_the_lost_license_is_found_counts_once(shop, deliver, work, cryptlex):
    map_product("studio", expiry="interval", interval="P1M")
    subscription, events = shop.subscribe(AVA, "studio")
    cryptlex.faults.add(**CREATE, kind="commit_then_drop")
    deliver(*events)
    deliver(shop.renew(subscription))
    try_again(work)
    end = from_wire(cryptlex.licenses[0]["expiresAt"])
    assert abs(end - subscription.next) <= timedelta(days=3)


# --- adoption of what others made ------------------------------------------------------------------------------------


def test_licenses_the_vendors_integration_made_are_adopted_over_several_pages(shop, deliver, cryptlex, vendor):
    subscription, _ = shop.subscribe(AVA, "studio", quantity=103, attributes=ATTRIBUTES)
    theirs = [vendor.make(fastspring_subscription_id=subscription.id) for _ in range(101)]
    vendor.make(fastspring_subscription_id="somebody-elses")
    vendor.make(fastspring_subscription_id=subscription.id, product="prod-2")
    deliver(shop.renew(subscription))
    mine = set(LicenseLink.objects.values_list("external_id", flat=True))
    assert len(mine) == 103
    assert set(theirs) <= mine
    assert len(cryptlex.licenses) == 101 + 2 + 2
    end = subscription.next + timedelta(days=1)
    assert {from_wire(license["expiresAt"]) for license in cryptlex.licenses if license["id"] in mine} == {end}


def test_an_old_orders_license_is_adopted_by_its_order_id(shop, shop_clock, deliver, cryptlex, vendor):
    shop_clock.advance(days=-40)
    order = _order(shop)
    theirs = vendor.make(fastspring_order_id=order["data"]["id"])
    deliver(order)
    assert only_link().external_id == theirs
    assert len(cryptlex.licenses) == 1


@pytest.mark.parametrize("adopt", ["auto", "always"])
def test_a_fresh_orders_license_is_looked_for_only_where_told_to(shop, deliver, cryptlex, vendor, settings, adopt):
    settings.LICENSE_SERVERS = [{**settings.LICENSE_SERVERS[0], "adopt": adopt}]
    order = _order(shop)
    theirs = vendor.make(fastspring_order_id=order["data"]["id"])
    deliver(order)
    assert (only_link().external_id == theirs) is (adopt == "always")


def test_a_license_is_never_adopted_twice(shop, shop_clock, deliver, cryptlex, vendor):
    shop_clock.advance(days=-40)
    order = _order(shop, quantity=2)
    theirs = vendor.make(fastspring_order_id=order["data"]["id"])
    deliver(order)
    ids = [link.external_id for link in LicenseLink.objects.order_by("unit")]
    assert ids[0] == theirs
    assert ids[1] != theirs
    assert len(cryptlex.licenses) == 2


def test_another_slots_license_is_left_alone(shop, shop_clock, deliver, cryptlex, vendor):
    shop_clock.advance(days=-40)
    order = _order(shop)
    slot = {"licensing_integration_slot": "fastspring/order/other/photon/1"}
    theirs = vendor.make(fastspring_order_id=order["data"]["id"], **slot)
    deliver(order)
    assert only_link().external_id != theirs


def test_key_and_value_must_stand_on_the_same_entry(shop, shop_clock, deliver, cryptlex, vendor):
    shop_clock.advance(days=-40)
    order = _order(shop)
    theirs = vendor.make(fastspring_order_id="other", note=order["data"]["id"])
    deliver(order)
    assert only_link().external_id != theirs


@pytest.mark.parametrize("placeholder", ["subscription_empty", "transaction_empty"])
def test_placeholders_of_the_vendors_integration_never_match(shop, shop_clock, deliver, cryptlex, vendor, placeholder):
    shop_clock.advance(days=-40)
    order = shop.order(AVA, shop.item("photon", attributes=ATTRIBUTES), order_id=placeholder)
    theirs = vendor.make(fastspring_order_id=placeholder)
    deliver(order)
    assert only_link().external_id != theirs


def test_somebody_elses_add_on_is_not_taken_for_ours(shop, shop_clock, deliver, cryptlex, vendor):
    """Licenses of the same add-on product share the vendor's driver entry."""
    shop_clock.advance(days=-40)
    driver = {"type": "bundle", "path": "creator-bundle"}
    order = shop.order(AVA, shop.item("photon", attributes=ATTRIBUTES, driver=driver))
    theirs = vendor.make(fastspring_driver="bundle_creator-bundle")
    deliver(order)
    assert only_link().external_id != theirs


@pytest.mark.parametrize(("action", "expected"), [("delete", []), ("revoke", ["revoked"]), ("suspend", ["suspended"])])
def test_the_end_of_a_subscription_we_never_saw_ends_the_vendors_license(
    shop, deliver, cryptlex, vendor, action, expected
):
    map_product("studio", ended_action=action)
    subscription, _ = shop.subscribe(AVA, "studio")
    subscription.sequence = 7
    vendor.make(fastspring_subscription_id=subscription.id)
    deliver(shop.deactivate(subscription))
    assert states(cryptlex) == expected


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
def test_rejected_credentials_are_a_configuration_problem_that_is_tried_again(shop, deliver, work, cryptlex, status):
    cryptlex.faults.add(path="*", kind="status", status=status)
    deliver(_order(shop))
    link = only_link()
    assert (link.sync_state, link.failure_mode) == (SyncState.PENDING, FailureMode.CONFIG)
    assert timedelta(minutes=9) < link.retry_at - timezone.now() < timedelta(minutes=11)
    assert "access token" in link.failure_message
    try_again(work)
    assert only_link().sync_state == SyncState.SETTLED
    assert only_link().failure_mode == FailureMode.NONE


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_a_refusal_needs_a_person_and_is_told_in_the_servers_words(shop, deliver, work, cryptlex, status):
    fault = {"kind": "status", "status": status, "message": "The template demands metadata."}
    cryptlex.faults.add(**CREATE, **fault)
    deliver(_order(shop))
    link = only_link()
    assert (link.sync_state, link.failure_mode) == (SyncState.ATTENTION, FailureMode.PERMANENT)
    assert "The template demands metadata." in link.failure_message
    assert "It needs a person." in sentences(kind="license.failed")
    try_again(work)
    assert cryptlex.licenses == []
    interventions.resync_link(link.pk, user_id=None, reason="The template was mended.")
    work()
    assert states(cryptlex) == ["active"]
    assert only_link().sync_state == SyncState.SETTLED


def test_new_facts_may_mend_what_was_refused(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    cryptlex.faults.add(**CHANGE, kind="status", status=400)
    deliver(shop.overdue(subscription))
    assert only_link().sync_state == SyncState.ATTENTION
    deliver(shop.renew(subscription))
    assert only_link().sync_state == SyncState.SETTLED
    assert states(cryptlex) == ["active"]


@pytest.mark.parametrize(("header", "at_least"), [({"retry_after": 70}, 69), ({"reset_in": 90}, 88), ({}, 4)], ids=str)
def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(shop, deliver, work, cryptlex, header, at_least):
    cryptlex.faults.add(**CREATE, kind="status", status=429, **header)
    deliver(_order(shop))
    link = only_link()
    assert link.retry_at - timezone.now() > timedelta(seconds=at_least - 1)
    assert link.unclear_attempts == 0
    try_again(work)
    assert len(cryptlex.licenses) == 1
    assert cryptlex.request_counts.get("GET /v3/licenses", 0) == 0  # nothing was done, so nothing is looked for


def test_waits_grow_from_attempt_to_attempt(shop, deliver, work, cryptlex):
    cryptlex.faults.add(path="*", kind="status", status=500, times=None)
    deliver(_order(shop))
    waits = []
    for _ in range(5):
        waits.append((only_link().retry_at - timezone.now()).total_seconds())
        try_again(work)
    assert waits[-1] > 4 * waits[0]
    assert len(kinds(kind="license.failed")) == 2  # one for each call that failed, not one for each attempt


def test_after_three_days_a_person_is_asked(shop, deliver, work, cryptlex):
    cryptlex.faults.add(path="*", kind="status", status=500, times=None)
    deliver(_order(shop))
    LicenseLink.objects.update(failing_since=timezone.now() - timedelta(days=3, seconds=1))
    try_again(work)
    link = only_link()
    assert (link.sync_state, link.failure_mode) == (SyncState.ATTENTION, FailureMode.EXCEEDED)
    assert "Given up after three days" in link.failure_message
    cryptlex.faults.clear()
    interventions.resync_link(link.pk, user_id=None, reason="It is back.")
    work()
    assert len(cryptlex.licenses) == 1
    assert only_link().failing_since is None


def test_a_server_that_cannot_be_reached_is_tried_again(shop, deliver, work, cryptlex):
    cryptlex.stop()
    deliver(_order(shop))
    link = only_link()
    assert (link.sync_state, link.unclear_attempts) == (SyncState.PENDING, 0)
    assert "cannot be reached" in link.failure_message


def test_an_error_of_ours_stops_one_license_and_shows_nothing_of_it(shop, deliver, work, cryptlex, caplog):
    deliver(_order(shop))
    LicenseLink.objects.update(sync_state="pending", applied={"state": "no such state"}, desired={"nonsense": True})
    try_again(work)
    link = only_link()
    assert (link.sync_state, link.failure_mode) == (SyncState.ATTENTION, FailureMode.INTERNAL)
    assert "An error of ours stopped this" in link.failure_message
    assert any(record.exc_info for record in caplog.records)
    deliver(_order(shop))
    assert LicenseLink.objects.filter(sync_state=SyncState.SETTLED).count() == 1


def test_an_answer_our_tables_cannot_hold_stops_one_license_and_not_the_worker(shop, deliver, cryptlex):
    cryptlex.faults.add(**CREATE, kind="status", status=201, message="x")
    deliver(_order(shop), _order(shop))
    by_state = sorted(LicenseLink.objects.values_list("sync_state", flat=True))
    assert by_state == ["pending", "settled"]


def test_a_proxys_page_is_no_answer(shop, deliver, work, cryptlex):
    cryptlex.faults.add(**CREATE, kind="commit_then_status", status=200, raw_body="<html>Welcome</html>")
    deliver(_order(shop))
    assert only_link().sync_state == SyncState.PENDING
    try_again(work)
    assert [license["id"] for license in cryptlex.licenses] == [only_link().external_id]


def test_nothing_that_identifies_the_customer_is_logged(shop, deliver, work, cryptlex, caplog):
    caplog.set_level("DEBUG")
    for fault in (
        *LOST_ANSWERS,
        *NOTHING_DONE,
        {"kind": "status", "status": 400, "message": "ava.lindqvist@example.com"},
    ):
        cryptlex.faults.add(**CREATE, **fault)
        deliver(_order(shop))
        try_again(work)
    assert "ava.lindqvist" not in caplog.text.lower()
    assert not [license["key"] for license in cryptlex.licenses if license["key"] in caplog.text]
    told = " ".join(LicenseLink.objects.values_list("failure_message", flat=True)) + sentences()
    assert "ava.lindqvist" not in told.lower()


# --- changes made by hand --------------------------------------------------------------------------------------------


def test_a_license_deleted_by_hand_calls_a_person_who_may_issue_again(shop, deliver, work, cryptlex, vendor):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    old_key = only_link().key
    vendor.delete(only_link().external_id)
    deliver(shop.renew(subscription))
    link = only_link()
    assert (link.sync_state, link.failure_mode) == (SyncState.ATTENTION, FailureMode.PERMANENT)
    assert "Issue again" in link.failure_message
    interventions.issue_again(link.pk, user_id=None, reason="Deleted by mistake.")
    work()
    assert [license["key"] for license in cryptlex.licenses] == [only_link().key]
    assert only_link().key != old_key
    assert from_wire(cryptlex.licenses[0]["expiresAt"]) == subscription.next + timedelta(days=1)
    assert old_key not in sentences()


def test_a_license_deleted_by_hand_may_end(shop, deliver, cryptlex, vendor):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    vendor.delete(only_link().external_id)
    deliver(shop.deactivate(subscription))
    assert (only_link().sync_state, only_link().state) == (SyncState.SETTLED, LicenseState.ABSENT)


def test_issue_again_takes_the_old_license_back_if_it_is_still_there(shop, deliver, work, cryptlex):
    deliver(_order(shop))
    before = only_link().external_id
    interventions.issue_again(only_link().pk, user_id=None, reason="I thought it was gone.")
    work()
    assert only_link().external_id == before
    assert len(cryptlex.licenses) == 1


def test_changes_made_by_hand_survive_events_that_do_not_concern_them(shop, deliver, cryptlex, vendor):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    vendor.patch(only_link().external_id, allowedActivations=9, notes="friend of the house")
    deliver(shop.renew(subscription))
    deliver(shop.overdue(subscription))
    (license,) = cryptlex.licenses
    assert (license["allowedActivations"], license["notes"]) == (9, "friend of the house")
    assert license["suspended"] is True


def test_a_resync_makes_every_field_match_the_plan(shop, deliver, work, cryptlex, vendor):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    license_id = only_link().external_id
    vendor.patch(license_id, suspended=True)
    vendor.call("PATCH", f"/v3/licenses/{license_id}/expires-at", json={"expiresAt": "2040-01-01T00:00:00Z"})
    interventions.resync_link(only_link().pk, user_id=None, reason="It looked odd.")
    work()
    (license,) = cryptlex.licenses
    assert license["suspended"] is False
    assert from_wire(license["expiresAt"]) == subscription.next + timedelta(days=1)
    assert "Resync asked for. It looked odd." in sentences()


def test_a_resync_of_what_is_right_changes_nothing(shop, deliver, work, cryptlex, api_calls):
    deliver(_order(shop))
    api_calls()
    interventions.resync_link(only_link().pk, user_id=None, reason="Just looking.")
    work()
    assert api_calls() == [f"GET /v3/licenses/{only_link().external_id}"]


# --- users -----------------------------------------------------------------------------------------------------------


def test_a_user_deleted_on_the_server_is_made_anew(shop, deliver, cryptlex, vendor):
    deliver(_order(shop))
    vendor.call("DELETE", f"/v3/users/{cryptlex.users[0]['id']}")
    deliver(_order(shop))
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
    deliver(_order(shop), _order(shop, Buyer(email="AVA.LINDQVIST@EXAMPLE.COM ")))
    assert len(cryptlex.users) == 1


# --- overrides -------------------------------------------------------------------------------------------------------


def _override(link: LicenseLink, **what: Any) -> None:
    until = timezone.now() + timedelta(days=10)
    interventions.override_link(link.pk, user_id=None, reason="Promised on the phone.", until=until, **what)


def test_an_override_wins_over_what_the_store_says_until_it_is_ended(shop, shop_clock, deliver, work, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    _override(only_link(), state=LicenseState.ACTIVE)
    work()
    deliver(shop.overdue(subscription))
    assert states(cryptlex) == ["active"]
    interventions.end_override(only_link().pk, user_id=None)
    work()
    assert states(cryptlex) == ["suspended"]
    assert "Promised on the phone." in sentences(kind="license.overridden")
    assert kinds(kind="license.override_ended") == ["license.override_ended"]


def test_an_override_ends_by_itself_and_what_was_paid_meanwhile_is_applied(shop, shop_clock, deliver, work, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    promised = timezone.now() + timedelta(days=300)
    _override(only_link(), state=LicenseState.SUSPENDED, expires_at=promised)
    work()
    assert states(cryptlex) == ["suspended"]
    deliver(shop.renew(subscription))
    assert states(cryptlex) == ["suspended"]
    assert abs(from_wire(cryptlex.licenses[0]["expiresAt"]) - promised) < timedelta(seconds=1)
    LicenseLink.objects.update(override_until=timezone.now())
    sweep(now=timezone.now() + timedelta(days=11))
    work()
    assert states(cryptlex) == ["active"]
    assert from_wire(cryptlex.licenses[0]["expiresAt"]) == subscription.next + timedelta(days=1)


def test_a_renewal_paid_during_an_override_counts_in_interval_mode_too(shop, deliver, work, cryptlex):
    map_product("studio", expiry="interval", interval="P1M")
    subscription, events = shop.subscribe(AVA, "studio")
    deliver(*events)
    _override(only_link(), expires_at=timezone.now() + timedelta(days=3))
    work()
    deliver(shop.renew(subscription))
    interventions.end_override(only_link().pk, user_id=None)
    work()
    assert from_wire(cryptlex.licenses[0]["expiresAt"]) == subscription.next + timedelta(days=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": "x", "days": 1},
        {"reason": "  ", "days": 1, "state": LicenseState.ACTIVE},
        {"reason": "x", "days": 0, "state": LicenseState.ACTIVE},
    ],
    ids=["nothing overridden", "no reason", "already over"],
)
def test_an_override_needs_a_content_a_reason_and_an_end(shop, deliver, cryptlex, wrong):
    deliver(_order(shop))
    until = timezone.now() + timedelta(days=wrong.pop("days"))
    with pytest.raises(ValueError, match=r"\w"):
        interventions.override_link(only_link().pk, user_id=None, until=until, **wrong)
    assert only_link().override_until is None


# --- who works on what -----------------------------------------------------------------------------------------------


def test_a_link_another_worker_holds_is_left_to_it(shop, deliver, cryptlex, api_calls):
    deliver(_order(shop))
    api_calls()
    LicenseLink.objects.update(sync_state="pending", lease_until=timezone.now() + timedelta(minutes=1))
    apply_link(only_link().pk)
    assert api_calls() == []


@pytest.mark.parametrize("state", ["settled", "attention"])
def test_a_link_that_is_settled_or_stopped_is_left_alone(shop, deliver, api_calls, state):
    deliver(_order(shop))
    api_calls()
    LicenseLink.objects.update(sync_state=state, applied=None)
    apply_link(only_link().pk)
    assert api_calls() == []


@pytest.mark.django_db(transaction=True)
def test_many_workers_make_one_license(shop, post, work, cryptlex):
    cryptlex.latency = 0.05
    cryptlex.faults.add(**CREATE, kind="status", status=429)
    post(_order(shop))
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
    post(_order(shop, quantity=2))
    _lose_jobs()
    assert sweep() == {"events": 0, "links": 0, "purchases": 0}  # its job may still be on the way
    WebhookEvent.objects.update(received_at=timezone.now() - timedelta(seconds=20))
    assert sweep()["events"] == 1
    work()
    assert len(cryptlex.licenses) == 2


def test_the_sweep_finds_licenses_whose_jobs_were_lost(shop, post, work, cryptlex):
    cryptlex.faults.add(**CREATE, kind="status", status=429, times=2, retry_after=0)
    post(_order(shop, quantity=2))
    work()
    _lose_jobs()
    assert sweep(now=timezone.now() + timedelta(minutes=1))["links"] == 2
    LicenseLink.objects.update(retry_at=None)
    work()
    assert len(cryptlex.licenses) == 2


def test_the_sweep_leaves_links_alone_that_are_held_settled_or_not_due(shop, deliver, cryptlex):
    deliver(_order(shop))
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
    deliver(_order(shop, quantity=2))
    for link in links_by_unit().values():
        assert link.issued_at is not None
        assert link.observed["license_id"] == link.external_id
        assert (link.lease_token, link.lease_until, link.attempts, link.unclear_attempts) == (None, None, 0, 0)
