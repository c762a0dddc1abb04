"""Subscriptions and add-ons whose keys were given out before their order came."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from licensing_integration.domain.outcomes import PurchaseStatus
from licensing_integration.exceptions import PayloadError
from licensing_integration.models import LicenseLink, Purchase
from licensing_integration.sandbox.fastspring import FastSpringShop
from licensing_integration.sandbox.fastspring_fulfilment import show_keys
from licensing_integration.services.plan import plan_purchase
from tests.services.conftest import AVA
from tests.services.fulfilment.conftest import forget_reference, let_pass
from tests.services.scenario import add_on_line, sentences, states, try_again

# --- subscriptions ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=["with its id", "without its id"])
def names_subscription(request: pytest.FixtureRequest) -> bool:
    return request.param == "with its id"


def _subscribe(shop: FastSpringShop, *, names_reference: bool = True, **options: Any):
    subscription, (activation, order) = shop.subscribe(AVA, "studio", **options)
    if not names_reference:
        forget_reference(subscription, activation)
    return subscription, activation, order


@pytest.mark.parametrize("names_reference", [True, False])
@pytest.mark.parametrize("first", ["request", "activation", "order"])
def test_a_subscription_has_the_licenses_of_its_order_page(
    mapped, shop, shop_clock, ask, deliver, cryptlex, names_subscription, names_reference, first
):
    subscription, activation, order = _subscribe(shop, names_reference=names_reference, quantity=2)
    options = {"subscription": subscription.id} if names_subscription else {}
    keys = ""
    for step in {"request": "kao", "activation": "ako", "order": "aok"}[first]:
        if step == "k":
            keys = ask(order, **options)
        else:
            deliver(activation if step == "a" else order)
    assert sorted(license["key"] for license in cryptlex.licenses) == sorted(keys.split("\n"))
    assert states(cryptlex) == ["active", "active"]
    links = LicenseLink.objects.all()
    assert {(link.purchase.external_id, link.item.line) for link in links} == {(subscription.id, "main")}
    assert {license["expiresAt"][:10] for license in cryptlex.licenses} == {
        (subscription.next + timedelta(days=1)).date().isoformat()
    }
    assert ask(order, **options) == keys
    shop_clock.advance(days=30)
    deliver(shop.renew(subscription))
    shop_clock.advance(days=1)
    deliver(shop.deactivate(subscription))
    assert not cryptlex.licenses


def test_both_purchases_tell_what_happened(mapped, shop, ask, deliver):
    subscription, activation, order = _subscribe(shop, quantity=3)
    ask(order)
    deliver(activation, order)
    prepared = Purchase.objects.get(kind="order")
    assert prepared.status == PurchaseStatus.COMPLETED
    assert f"The 3 licenses given out on the order page went over to subscription {subscription.id}." in (
        sentences(purchase=prepared)
    )
    taken = sentences(purchase=Purchase.objects.get(external_id=subscription.id))
    assert "Recognised the 3 licenses given out on the order page." in taken
    assert "Issued license" in taken


def test_a_subscription_that_is_never_activated_is_suspended(mapped, shop, ask, work, cryptlex, names_subscription):
    subscription, _, order = _subscribe(shop)
    ask(order, **({"subscription": subscription.id} if names_subscription else {}))
    let_pass(24, work)
    assert states(cryptlex) == ["suspended"]


def test_an_activated_subscription_needs_no_order(mapped, shop, ask, deliver, work, cryptlex, names_subscription):
    subscription, activation, order = _subscribe(shop)
    ask(order, **({"subscription": subscription.id} if names_subscription else {}))
    deliver(activation)
    let_pass(24, work)
    assert states(cryptlex) == ["active"]


def _wait_in_vain_for_the_order(work: Callable[[], int]) -> None:
    """The activation is two hours old."""
    purchase = Purchase.objects.get(kind="subscription")
    Purchase.objects.filter(pk=purchase.pk).update(first_seen_at=timezone.now() - timedelta(hours=2))
    plan_purchase(purchase.pk)
    try_again(work)


def test_keys_asked_for_after_the_licenses_were_made_are_those(
    mapped, shop, ask, deliver, work, cryptlex, names_subscription
):
    """The activation names the order, so it needs no subscription in the request to be found."""
    subscription, activation, order = _subscribe(shop, quantity=2)
    deliver(activation)
    _wait_in_vain_for_the_order(work)
    made = {license["key"] for license in cryptlex.licenses}
    keys = ask(order, **({"subscription": subscription.id} if names_subscription else {}))
    assert len(made) == 2
    assert {license["key"] for license in cryptlex.licenses} == set(keys.split("\n")) == made
    assert Purchase.objects.get().external_id == subscription.id


@pytest.mark.parametrize("is_asked_early", [True, False])
def test_the_key_on_the_page_wins_over_a_license_made_meanwhile(
    mapped, shop, ask, deliver, work, cryptlex, is_asked_early
):
    """Neither the activation nor the request tells that they are of the same order: that is known once it comes."""
    _, activation, order = _subscribe(shop, names_reference=False)
    deliver(activation)
    key = ask(order) if is_asked_early else ""
    _wait_in_vain_for_the_order(work)
    assert len(cryptlex.licenses) == 1 + is_asked_early
    key = key or ask(order)
    assert len(cryptlex.licenses) == 2
    deliver(show_keys(order, [key]))
    assert [license["key"] for license in cryptlex.licenses] == [key]
    assert states(cryptlex) == ["active"]
    assert ask(order) == key


def test_an_add_on_of_a_subscription_keeps_its_key(mapped, shop, ask, deliver, cryptlex, names_subscription):
    subscription, activation, order = _subscribe(shop)
    order["data"]["items"].append(add_on_line(shop, subscription, "brushes"))
    options = {"subscription": subscription.id} if names_subscription else {}
    keys = [ask(order, line=0, **options), ask(order, line=1, **options)]
    deliver(activation, show_keys(show_keys(order, keys[:1]), keys[1:], line=1))
    by_line = {link.item.line.partition(":")[0]: link.key for link in LicenseLink.objects.all()}
    assert by_line == {"main": keys[0], "addon": keys[1]}
    assert states(cryptlex) == ["active", "active"]


@pytest.mark.parametrize("is_asked_first", [True, False])
def test_an_add_on_bought_later_has_an_order_of_its_own(
    mapped, shop, ask, deliver, cryptlex, names_subscription, is_asked_first
):
    subscription, activation, order = _subscribe(shop)
    options = {"subscription": subscription.id} if names_subscription else {}
    key = ask(order, **options)
    deliver(activation, order)
    later = shop.order(AVA, add_on_line(shop, subscription, "brushes", quantity=2))
    if not is_asked_first:
        deliver(later)
    keys = ask(later, **options)
    deliver(later)
    assert sorted([key, *keys.split("\n")]) == sorted(license["key"] for license in cryptlex.licenses)
    assert states(cryptlex) == ["active"] * 3
    assert set(LicenseLink.objects.values_list("purchase__external_id", flat=True)) == {subscription.id}
    assert set(Purchase.objects.values_list("attention", flat=True)) == {""}


def test_an_order_of_both_kinds_finds_both(mapped, shop, ask, deliver, cryptlex, names_subscription):
    subscription, activation, order = _subscribe(shop)
    order["data"]["items"].append(shop.item("photon"))
    options = {"subscription": subscription.id} if names_subscription else {}
    keys = [ask(order, line=0, **options), ask(order, line=1)]
    deliver(activation, show_keys(show_keys(order, keys[:1]), keys[1:], line=1))
    by_kind = {link.purchase.kind: link.key for link in LicenseLink.objects.all()}
    assert by_kind == {"subscription": keys[0], "order": keys[1]}
    assert states(cryptlex) == ["active", "active"]
    assert set(Purchase.objects.values_list("attention", flat=True)) == {""}


@pytest.mark.parametrize("first", ["requests", "order"])
def test_a_product_bought_in_both_ways_is_told_by_the_subscription_that_a_request_names(
    mapped, shop, ask, deliver, cryptlex, first
):
    subscription, activation, order = _subscribe(shop)
    order["data"]["items"].append(shop.item("studio"))
    if first == "order":
        deliver(activation, order)
    keys = [ask(order, line=0, subscription=subscription.id), ask(order, line=1)]
    deliver(activation, show_keys(show_keys(order, keys[:1]), keys[1:], line=1))
    by_kind = {link.purchase.kind: link.key for link in LicenseLink.objects.all()}
    assert by_kind == {"subscription": keys[0], "order": keys[1]}
    assert len(cryptlex.licenses) == 2
    assert set(Purchase.objects.values_list("attention", flat=True)) == {""}


def test_a_product_bought_in_both_ways_and_asked_for_without_an_id_is_for_a_person(mapped, shop, ask, deliver):
    """Both requests are the same, so they get the same key."""
    _, activation, order = _subscribe(shop)
    order["data"]["items"].append(shop.item("studio"))
    key = ask(order)
    deliver(activation, show_keys(show_keys(order, [key]), [key], line=1))
    (question,) = filter(None, Purchase.objects.values_list("attention", flat=True))
    assert f"…{key[-6:]} for studio, which is the key of another license" in question


@pytest.mark.parametrize("first", ["activation", "order"])
def test_what_is_left_of_two_quantities_is_ended_once_the_subscription_has_taken_its_own(
    mapped, shop, ask, deliver, work, cryptlex, first
):
    """The buyer went back and changed the quantity; the order has a product of its own, too."""
    subscription, _, order = _subscribe(shop, quantity=3)
    order["data"]["items"].append(shop.item("brushes"))
    ask(order)
    asked_again = ask(order, quantity="1")
    subscription.quantity = order["data"]["items"][0]["quantity"] = 1
    activation = shop.report("subscription.activated", subscription)
    order["data"]["items"][0]["subscription"] = activation["data"]
    for event in [activation, order][:: 1 if first == "activation" else -1]:
        deliver(event)
        work()
    kept = {link.key for link in LicenseLink.objects.filter(purchase__external_id=subscription.id, state="active")}
    assert kept == {asked_again}
    assert len(cryptlex.licenses) == 2


def test_a_request_at_a_renewal_gets_the_keys_there_are(mapped, shop, ask, deliver, cryptlex):
    subscription, activation, order = _subscribe(shop)
    key = ask(order, subscription=subscription.id)
    deliver(activation, order, shop.renew(subscription))
    assert ask(order, subscription=subscription.id, reference=f"{order['data']['reference']}B", sequence="2") == key
    assert states(cryptlex) == ["active"]


def test_a_request_at_a_renewal_that_names_no_subscription_makes_no_license(mapped, shop, ask, deliver, cryptlex):
    _, activation, order = _subscribe(shop)
    ask(order)
    deliver(activation, order)
    with pytest.raises(PayloadError, match="renewal that names no subscription"):
        ask(order, reference=f"{order['data']['reference']}B", sequence="2")
    assert len(cryptlex.licenses) == 1
