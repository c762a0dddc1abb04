"""From events to the licenses they ask for, seen on the license server."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from licensing_integration.domain.outcomes import PurchaseStatus
from licensing_integration.models import HistoryEntry, Purchase
from licensing_integration.sandbox.fastspring import Buyer, resent
from licensing_integration.sandbox.moments import from_wire
from licensing_integration.services import interventions
from licensing_integration.services.sweep import sweep
from tests.services.conftest import ATTRIBUTES, AVA, only_link, only_purchase
from tests.services.scenario import (
    kinds,
    map_product,
    sentences,
    states,
)

BO = Buyer(email="bo@example.com", first="Bo")


# --- the life of a subscription --------------------------------------------------------------------------------------


def test_pause_and_resume(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    deliver(shop.change(subscription, "subscription.paused", state="paused"))
    assert states(cryptlex) == ["suspended"]
    deliver(shop.change(subscription, "subscription.resumed", state="active"))
    assert states(cryptlex) == ["active"]
    assert kinds(link__isnull=False) == ["license.issued", "license.suspended", "license.reinstated"]


def test_a_canceled_subscription_stays_usable_and_can_be_uncanceled(shop, deliver, cryptlex, api_calls):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    api_calls()
    deliver(shop.change(subscription, "subscription.canceled", state="canceled"))
    assert only_purchase().status == PurchaseStatus.CANCELED
    deliver(shop.change(subscription, "subscription.uncanceled", state="active"))
    assert states(cryptlex) == ["active"]
    assert api_calls() == []


def test_the_license_ends_a_day_after_the_paid_period_and_follows_each_renewal(shop, shop_clock, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    assert from_wire(cryptlex.licenses[0]["expiresAt"]) == subscription.next + timedelta(days=1)
    shop_clock.advance(days=30)
    deliver(shop.renew(subscription))
    assert from_wire(cryptlex.licenses[0]["expiresAt"]) == subscription.next + timedelta(days=1)
    assert only_link().expires_at == subscription.next + timedelta(days=1)


def test_a_trial_ends_with_the_trial_and_becomes_full_with_the_first_charge(shop, shop_clock, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES, trial=True)
    deliver(*events)
    assert only_purchase().status == PurchaseStatus.TRIAL
    assert from_wire(cryptlex.licenses[0]["expiresAt"]) == subscription.next + timedelta(days=1)
    shop_clock.advance(days=14)
    deliver(shop.renew(subscription))
    assert only_purchase().status == PurchaseStatus.ACTIVE
    assert from_wire(cryptlex.licenses[0]["expiresAt"]) == subscription.next + timedelta(days=1)


def test_a_paid_trial_in_interval_mode_is_good_until_the_next_charge(shop, shop_clock, deliver, cryptlex):
    map_product("studio", expiry="interval", interval="P1M")
    subscription, events = shop.subscribe(AVA, "studio", trial=True)
    deliver(*events)
    assert from_wire(cryptlex.licenses[0]["expiresAt"]) == subscription.next + timedelta(days=1)
    shop_clock.advance(days=14)
    deliver(shop.renew(subscription))
    first_end = from_wire(cryptlex.licenses[0]["expiresAt"])
    assert first_end == subscription.next + timedelta(days=1)
    deliver(resent(events[-1]))  # the trial's order, sent again by hand, is no payment
    assert from_wire(cryptlex.licenses[0]["expiresAt"]) == first_end
    shop_clock.advance(days=30)
    deliver(shop.renew(subscription))
    assert timedelta(days=28) <= from_wire(cryptlex.licenses[0]["expiresAt"]) - first_end <= timedelta(days=31)


def test_a_trial_that_is_not_paid_for_ends(shop, shop_clock, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES, trial=True)
    deliver(*events)
    shop_clock.advance(days=14)
    deliver(shop.deactivate(subscription))
    assert cryptlex.licenses == []


def test_an_activation_without_its_order_is_enough_after_an_hour(shop, deliver, work, cryptlex):
    _, (activated, _) = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(activated)
    assert cryptlex.licenses == []
    sweep()
    work()
    assert cryptlex.licenses == []
    Purchase.objects.update(first_seen_at=timezone.now() - timedelta(hours=1))
    sweep(now=timezone.now() + timedelta(hours=1))
    work()
    assert len(cryptlex.licenses) == 1


def test_grace_ends_by_itself(shop, deliver, work, cryptlex):
    map_product("studio", overdue_grace_days=3)
    subscription, events = shop.subscribe(AVA, "studio")
    deliver(*events)
    deliver(shop.overdue(subscription))
    assert states(cryptlex) == ["active"]
    purchase = only_purchase()
    assert purchase.review_at is not None
    state = {**purchase.state, "overdue_since": (timezone.now() - timedelta(days=3)).isoformat()}
    Purchase.objects.update(state=state, review_at=timezone.now())
    sweep()
    work()
    assert states(cryptlex) == ["suspended"]
    assert only_purchase().review_at is None
    assert HistoryEntry.objects.get(kind="license.suspended").event_id is None


@pytest.mark.parametrize(("action", "expected"), [("suspend", ["suspended"]), ("log", ["active"])])
def test_overdue_follows_its_policy(shop, deliver, cryptlex, action, expected):
    map_product("studio", overdue_action=action)
    subscription, events = shop.subscribe(AVA, "studio")
    deliver(*events)
    deliver(shop.overdue(subscription))
    assert states(cryptlex) == expected


@pytest.mark.parametrize(
    ("action", "expected"), [("delete", []), ("revoke", ["revoked"]), ("suspend", ["suspended"]), ("leave", ["active"])]
)
def test_the_end_follows_its_policy(shop, deliver, cryptlex, action, expected):
    map_product("studio", ended_action=action)
    subscription, events = shop.subscribe(AVA, "studio")
    deliver(*events)
    deliver(shop.deactivate(subscription))
    assert states(cryptlex) == expected


@pytest.mark.parametrize("action", ["delete", "revoke", "suspend", "leave"])
def test_the_end_of_a_subscription_never_heard_of_makes_no_license(shop, shop_clock, deliver, cryptlex, action):
    map_product("studio", ended_action=action)
    subscription, _ = shop.subscribe(AVA, "studio")
    subscription.sequence = 4
    deliver(shop.deactivate(subscription))
    assert cryptlex.licenses == []
    assert only_purchase().status == PurchaseStatus.ENDED


def test_a_subscription_that_comes_back_gets_its_license_again(shop, shop_clock, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    deliver(shop.deactivate(subscription))
    assert cryptlex.licenses == []
    shop_clock.advance(days=3)
    deliver(shop.renew(subscription))
    assert states(cryptlex) == ["active"]


# --- quantity --------------------------------------------------------------------------------------------------------


def test_more_seats_get_more_licenses_and_fewer_lose_the_highest(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", quantity=2, attributes=ATTRIBUTES)
    deliver(*events)
    first_two = [license["id"] for license in cryptlex.licenses]
    deliver(*shop.prorate(subscription, quantity=4))
    assert len(cryptlex.licenses) == 4
    deliver(shop.change(subscription, "subscription.updated", quantity=2))
    assert [license["id"] for license in cryptlex.licenses] == first_two
    deliver(shop.change(subscription, "subscription.updated", quantity=3))
    assert len(cryptlex.licenses) == 3


@pytest.mark.parametrize(
    ("mode", "member"), [("activations", "allowedActivations"), ("floating", "allowedFloatingClients")]
)
def test_one_license_for_all_seats_follows_the_quantity(shop, deliver, cryptlex, mode, member):
    map_product("studio", quantity_mode=mode)
    subscription, events = shop.subscribe(AVA, "studio", quantity=5)
    deliver(*events)
    assert [license[member] for license in cryptlex.licenses] == [5]
    deliver(*shop.prorate(subscription, quantity=7))
    assert [license[member] for license in cryptlex.licenses] == [7]
    deliver(shop.change(subscription, "subscription.updated", quantity=2))
    assert [license[member] for license in cryptlex.licenses] == [2]


def test_a_seat_added_years_later_is_not_given_the_years_before(shop, shop_clock, deliver, cryptlex):
    map_product("studio", expiry="interval", interval="P1M")
    subscription, events = shop.subscribe(AVA, "studio")
    deliver(*events)
    for _ in range(5):
        deliver(shop.renew(subscription))
    deliver(shop.change(subscription, "subscription.updated", quantity=2))
    ends = [from_wire(license["expiresAt"]) for license in cryptlex.licenses]
    assert ends[1] == subscription.next + timedelta(days=1)
    assert ends[0] > timezone.now() + timedelta(days=150)


# --- orders that were not paid at once -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "before",
    [["order.payment.pending"], ["order.failed"], ["order.canceled"], ["order.payment.pending", "order.failed"]],
)
def test_an_order_gets_its_license_when_it_is_paid_in_the_end(shop, deliver, cryptlex, before):
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    for event_type in before:
        deliver({**resent(order), "type": event_type, "data": {**order["data"], "completed": False}})
    assert cryptlex.licenses == []
    deliver(order)
    assert states(cryptlex) == ["active"]
    assert only_purchase().status == PurchaseStatus.COMPLETED


def test_a_late_word_of_a_failure_takes_nothing_from_a_paid_order(shop, deliver, cryptlex):
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    deliver(order)
    deliver({**resent(order), "type": "order.canceled", "data": {**order["data"], "completed": False}})
    assert states(cryptlex) == ["active"]


def _fulfillment_failed(shop, order):
    data = {"order": order["data"]["id"], "reference": "ACM-1", "reason": "No licenses left", "type": "License"}
    return {**resent(order), "type": "fulfillment.failed", "data": data}


def test_a_failed_fulfilment_calls_a_person_until_the_order_is_completed(shop, deliver, cryptlex):
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    deliver(_fulfillment_failed(shop, order))
    assert "ACM-1: No licenses left" in only_purchase().attention
    deliver(order)
    assert only_purchase().attention == ""
    assert len(cryptlex.licenses) == 1
    deliver(_fulfillment_failed(shop, order))
    assert only_purchase().attention == ""


def test_a_person_may_acknowledge_a_purchase(shop, deliver, cryptlex):
    deliver(_fulfillment_failed(shop, shop.buy(AVA, "photon")))
    interventions.acknowledge_purchase(only_purchase().pk, user_id=None, reason="Called the buyer.")
    assert only_purchase().attention == ""
    assert "Looked after. Called the buyer." in sentences()
