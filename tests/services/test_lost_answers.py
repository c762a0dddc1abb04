"""Answers that get lost: nothing is made twice, nothing is renewed twice, nobody stays locked out."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from django.utils import timezone

from licensing_integration.domain.outcomes import LicenseState, SyncState
from licensing_integration.models import LicenseLink
from licensing_integration.sandbox.moments import from_wire
from licensing_integration.services.sweep import sweep
from tests.services.conftest import ATTRIBUTES, AVA, only_link
from tests.services.scenario import (
    CHANGE,
    CREATE,
    LOST_ANSWERS,
    NOTHING_DONE,
    RENEW,
    kinds,
    map_product,
    metadata,
    photon_order,
    sentences,
    states,
    try_again,
)

# --- lost answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", LOST_ANSWERS, ids=str)
def test_a_license_whose_making_was_not_answered_is_adopted_and_not_made_twice(shop, deliver, work, cryptlex, fault):
    cryptlex.faults.add(**CREATE, **fault)
    deliver(photon_order(shop))
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
    deliver(photon_order(shop))
    assert cryptlex.licenses == []
    try_again(work)
    assert [license["id"] for license in cryptlex.licenses] == [only_link().external_id]


def test_several_lost_answers_in_a_row_still_make_one_license(shop, deliver, work, cryptlex):
    cryptlex.faults.add(**CREATE, kind="commit_then_drop")
    cryptlex.faults.add(method="GET", path="/v3/licenses", kind="status", status=500, times=2)
    deliver(photon_order(shop))
    for _ in range(3):
        try_again(work)
    assert [license["id"] for license in cryptlex.licenses] == [only_link().external_id]


def test_each_slot_of_an_order_adopts_its_own_license(shop, deliver, work, cryptlex):
    cryptlex.faults.add(**CREATE, kind="commit_then_drop", times=3)
    deliver(photon_order(shop, quantity=3))
    try_again(work)
    assert len(cryptlex.licenses) == 3
    slots = {license["id"]: metadata(license)["licensing_integration_slot"] for license in cryptlex.licenses}
    assert {link.external_id: link.reference for link in LicenseLink.objects.all()} == slots


def test_a_worker_that_died_after_the_license_was_made_leaves_it_to_be_adopted(shop, post, work, cryptlex):
    cryptlex.faults.add(**CREATE, kind="commit_then_drop")
    post(photon_order(shop))
    work()
    # What a killed worker leaves: the claim, and nothing of its outcome.
    LicenseLink.objects.update(
        attempts=1,
        unclear_attempts=1,
        attempted_at=timezone.now() - timedelta(minutes=5),
        retry_at=None,
        failing_since=None,
        lease_until=timezone.now(),
    )
    sweep(now=timezone.now() + timedelta(minutes=5))
    work()
    assert [license["id"] for license in cryptlex.licenses] == [only_link().external_id]


def test_a_customer_whose_making_was_not_answered_is_found(shop, deliver, work, cryptlex):
    cryptlex.faults.add(method="POST", path="/v3/users", kind="commit_then_drop")
    deliver(photon_order(shop))
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
