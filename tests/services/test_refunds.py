"""Refunds and disputes, also those that overtake their order."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from licensing_integration.domain.outcomes import LicenseState, PurchaseStatus
from licensing_integration.models import LicenseLink, PurchaseItem, WebhookEvent
from licensing_integration.sandbox.fastspring import Buyer
from licensing_integration.services import interventions
from tests.services.conftest import ATTRIBUTES, AVA, only_link, only_purchase
from tests.services.scenario import (
    in_one_order,
    links_by_unit,
    map_product,
    sentences,
    states,
)

BO = Buyer(email="bo@example.com", first="Bo")


def test_a_refund_suspends_the_licenses_of_its_order(shop, deliver, cryptlex):
    order = shop.buy(AVA, "photon", quantity=2, attributes=ATTRIBUTES)
    deliver(order, shop.buy(AVA, "photon", attributes=ATTRIBUTES))
    deliver(shop.refund(order))
    assert sorted(states(cryptlex)) == ["active", "suspended", "suspended"]
    assert "It was refunded." in sentences(kind="license.suspended")


def test_a_partial_refund_takes_the_highest_unit(shop, deliver, cryptlex):
    order = shop.buy(AVA, "photon", quantity=3, attributes=ATTRIBUTES)
    deliver(order)
    deliver(shop.refund(order, lines=[{**order["data"]["items"][0], "quantity": 1, "subtotal": 79.0}]))
    assert {unit: link.state for unit, link in links_by_unit().items()} == {1: "active", 2: "active", 3: "suspended"}
    assert PurchaseItem.objects.get().returned_quantity == 1


@pytest.mark.parametrize(("action", "expected"), [("revoke", ["revoked"]), ("delete", []), ("ignore", ["active"])])
def test_a_refund_follows_its_policy(shop, deliver, cryptlex, action, expected):
    map_product("photon", refund_action=action)
    order = shop.buy(AVA, "photon")
    deliver(order)
    deliver(shop.refund(order))
    assert states(cryptlex) == expected


def test_a_refund_may_ask_a_person_whose_answer_is_an_override(shop, deliver, work, cryptlex):
    map_product("photon", refund_action="ask")
    order = shop.buy(AVA, "photon")
    deliver(order)
    deliver(shop.refund(order))
    link = only_link()
    assert states(cryptlex) == ["active"]
    assert "Decide" in link.question
    until = timezone.now() + timedelta(days=400)
    interventions.override_link(link.pk, user_id=None, reason="agreed", until=until, state=LicenseState.REVOKED)
    work()
    assert states(cryptlex) == ["revoked"]
    assert only_link().question == ""


def test_a_refund_that_overtakes_its_order_leaves_no_usable_license(shop, deliver, cryptlex):
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    deliver(shop.refund(order))
    assert only_purchase().status == PurchaseStatus.UNKNOWN
    deliver(order)
    assert "active" not in states(cryptlex)
    assert only_purchase().status == PurchaseStatus.COMPLETED
    assert "It was refunded." in sentences()


def test_a_refund_that_overtakes_the_order_of_a_subscription_counts_until_the_next_charge(shop, deliver, cryptlex):
    subscription, (activated, order) = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(shop.refund(order))
    deliver(activated, order)
    assert "active" not in states(cryptlex)
    deliver(shop.renew(subscription))
    assert states(cryptlex) == ["active"]


def test_a_refund_between_activation_and_order_reaches_all_the_order_bought(shop, deliver, cryptlex):
    _, (activated, order) = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    order["data"]["items"].append(shop.item("photon", attributes=ATTRIBUTES))
    deliver(activated)
    deliver(shop.refund(order))
    deliver(order)
    assert "active" not in states(cryptlex)


def test_a_refund_names_one_of_two_subscriptions_of_one_product(shop, deliver, cryptlex):
    one, two = (shop.subscribe(AVA, "studio", attributes=ATTRIBUTES) for _ in range(2))
    events = in_one_order(one, two)
    deliver(*events)
    line = events[-1]["data"]["items"][1]
    refund = shop.refund(events[-1], lines=[{**line, "subscription": two[0].id, "refundType": "Full Refund"}])
    deliver(refund)
    by_subscription = dict(LicenseLink.objects.values_list("purchase__external_id", "state"))
    assert by_subscription == {one[0].id: "active", two[0].id: "suspended"}


def test_a_refund_of_an_earlier_period_no_longer_matters(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    deliver(shop.renew(subscription))
    deliver(shop.refund(events[-1]))
    assert states(cryptlex) == ["active"]


def test_a_chargeback_suspends_until_staff_notes_that_it_was_won(shop, deliver, work, cryptlex):
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    deliver(order)
    chargeback = shop.chargeback(order["data"]["id"])
    deliver(chargeback)
    assert states(cryptlex) == ["suspended"]
    interventions.close_disputes(only_purchase().pk, user_id=None, reason="The bank decided for us.")
    work()
    assert states(cryptlex) == ["active"]
    interventions.replay_events(list(WebhookEvent.objects.values_list("pk", flat=True)), user_id=None, reason="")
    work()
    assert states(cryptlex) == ["active"]
    assert "Dispute closed as won. The bank decided for us." in sentences()


def test_a_chargeback_that_overtakes_its_order_counts(shop, deliver, cryptlex):
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    deliver(shop.chargeback(order["data"]["id"]))
    deliver(order)
    assert "active" not in states(cryptlex)
