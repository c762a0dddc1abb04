"""Bundles, add-ons and mixed orders: which line belongs to which purchase."""

from __future__ import annotations

from datetime import timedelta

from licensing_integration.domain.outcomes import PurchaseKind
from licensing_integration.models import Purchase
from licensing_integration.sandbox.fastspring import Buyer
from licensing_integration.sandbox.moments import from_wire
from tests.services.conftest import ATTRIBUTES, AVA, only_purchase
from tests.services.scenario import (
    add_on_line,
    in_one_order,
    metadata,
    states,
    waiting_products,
)

BO = Buyer(email="bo@example.com", first="Bo")


def test_a_bundle_gives_its_parts_licenses_and_itself_none(shop, deliver, cryptlex):
    driver = {"type": "bundle", "path": "creator-bundle"}
    order = shop.order(
        AVA,
        shop.item("creator-bundle", attributes={"cryptlex_is_bundle": "true"}),
        shop.item("photon", attributes=ATTRIBUTES, driver=driver),
        shop.item("audio", quantity=2, attributes=ATTRIBUTES, driver=driver),
    )
    deliver(order)
    assert len(cryptlex.licenses) == 3
    assert waiting_products() == []
    assert {metadata(license)["fastspring_driver"] for license in cryptlex.licenses} == {"bundle_creator-bundle"}
    assert {metadata(license)["fastspring_order_id"] for license in cryptlex.licenses} == {order["data"]["id"]}


def test_a_bundle_of_subscriptions_makes_a_purchase_of_each(shop, deliver, cryptlex):
    bought = [shop.subscribe(AVA, f"studio-{number}", attributes=ATTRIBUTES) for number in range(3)]
    deliver(*in_one_order(*bought))
    assert set(Purchase.objects.values_list("kind", "external_id")) == {
        (PurchaseKind.SUBSCRIPTION, subscription.id) for subscription, _ in bought
    }
    assert len(cryptlex.licenses) == 3
    deliver(shop.deactivate(bought[1][0]))
    remaining = {metadata(license)["fastspring_subscription_id"] for license in cryptlex.licenses}
    assert remaining == {bought[0][0].id, bought[2][0].id}


def test_an_order_of_a_subscription_and_one_time_items_is_two_purchases(shop, deliver, cryptlex):
    subscription, (activated, order) = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    order["data"]["items"].append(shop.item("photon", attributes=ATTRIBUTES))
    deliver(activated, order)
    assert sorted(Purchase.objects.values_list("kind", flat=True)) == ["order", "subscription"]
    assert len(cryptlex.licenses) == 2
    deliver(shop.deactivate(subscription))
    assert [metadata(license).get("fastspring_order_id") for license in cryptlex.licenses] == [order["data"]["id"]]


def test_an_add_on_in_the_same_order_lives_and_dies_with_its_subscription(shop, shop_clock, deliver, cryptlex):
    subscription, (activated, order) = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    order["data"]["items"].append(add_on_line(shop, subscription, "node", quantity=2, attributes=ATTRIBUTES))
    deliver(activated, order)
    assert len(cryptlex.licenses) == 3
    assert only_purchase().kind == PurchaseKind.SUBSCRIPTION
    assert {metadata(license)["fastspring_subscription_id"] for license in cryptlex.licenses} == {subscription.id}
    shop_clock.advance(days=30)
    deliver(shop.renew(subscription))
    ends = {from_wire(license["expiresAt"]) for license in cryptlex.licenses}
    assert ends == {subscription.next + timedelta(days=1)}
    deliver(shop.deactivate(subscription))
    assert cryptlex.licenses == []


def test_an_add_on_bought_later_belongs_to_its_subscription(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    later = shop.order(AVA, add_on_line(shop, subscription, "node", quantity=2, attributes=ATTRIBUTES))
    deliver(later)
    assert len(cryptlex.licenses) == 3
    assert only_purchase().reference == events[-1]["data"]["reference"]
    deliver(shop.refund(later))
    assert sorted(states(cryptlex)) == ["active", "suspended", "suspended"]
    deliver(shop.deactivate(subscription))
    assert cryptlex.licenses == []


def test_an_add_on_order_that_comes_first_waits_for_its_subscription(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(shop.order(AVA, add_on_line(shop, subscription, "node", attributes=ATTRIBUTES)))
    assert cryptlex.licenses == []
    deliver(*events)
    assert len(cryptlex.licenses) == 2
    assert only_purchase().reference == events[-1]["data"]["reference"]
