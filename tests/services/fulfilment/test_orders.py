"""The order whose keys were given out before: completed, never completed, refunded, resent."""

from __future__ import annotations

import copy

import pytest

from licensing_integration.domain.outcomes import PurchaseStatus
from licensing_integration.exceptions import KeysNotReady
from licensing_integration.models import LicenseLink, Purchase, PurchaseItem, WebhookEvent
from licensing_integration.sandbox.fastspring import resent
from licensing_integration.sandbox.fastspring_fulfilment import show_keys
from licensing_integration.services import interventions, order_page
from tests.services.conftest import AVA
from tests.services.fulfilment.conftest import let_pass, photon_order
from tests.services.scenario import map_product, sentences, states

# --- orders that are never completed ---------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [24, 6])
def test_a_license_whose_order_never_comes_is_suspended(mapped, shop, ask, work, cryptlex, settings, hours):
    settings.FULFILMENT_KEEP_HOURS = hours
    ask(photon_order(shop))
    let_pass(hours - 1, work)
    assert states(cryptlex) == ["active"]
    let_pass(hours, work)
    assert states(cryptlex) == ["suspended"]
    assert "The order was never completed." in sentences()


def test_an_order_that_comes_late_gives_it_back(mapped, shop, ask, deliver, work, cryptlex):
    order = photon_order(shop)
    key = ask(order)
    let_pass(25, work)
    assert ask(order) == key  # FastSpring processes the order again: that completes it in a moment
    deliver(order)
    assert states(cryptlex) == ["active"]


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("names_reference", [True, False])
def test_an_order_that_is_not_paid_leaves_a_suspended_license(
    mapped, shop, ask, deliver, work, cryptlex, is_first, names_reference
):
    order = photon_order(shop)
    failed = copy.deepcopy(order)
    failed["type"], failed["data"]["completed"], failed["id"] = "order.failed", False, "EVW-failed"
    if not names_reference:
        del failed["data"]["reference"]
    if is_first:
        deliver(failed)
    ask(order)
    deliver(failed)
    assert states(cryptlex) == (["suspended"] if names_reference else ["active"])
    deliver(order)
    assert states(cryptlex) == ["active"]
    assert LicenseLink.objects.get().purchase.external_id == order["data"]["id"]


def test_a_failed_fulfilment_is_noted_on_the_purchase_it_prepared(mapped, shop, ask, deliver, cryptlex):
    order = photon_order(shop)
    ask(order)
    failure = {"order": order["data"]["id"], "reference": order["data"]["reference"], "reason": "Timeout"}
    deliver({**order, "id": "EVW-failed", "type": "fulfillment.failed", "data": failure})
    assert "could not fulfil" in Purchase.objects.get().attention
    deliver(order)
    assert Purchase.objects.get().attention == ""
    assert len(cryptlex.licenses) == 1


# --- afterwards ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_early", [True, False])
def test_a_refund_finds_the_prepared_license_by_the_order_id(mapped, shop, ask, deliver, cryptlex, is_early):
    order = photon_order(shop)
    ask(order)
    for event in [shop.refund(order), order][:: 1 if is_early else -1]:
        deliver(event)
    assert states(cryptlex) == ["suspended"]


def test_a_resent_order_changes_nothing(mapped, shop, ask, deliver, cryptlex, settings):

    order = photon_order(shop)
    ask(order)
    deliver(order)
    settings.STORES = [{**settings.STORES[0], "fulfilment_keys": ()}]  # and even when it is over with fulfilments
    deliver(resent(order))
    assert (Purchase.objects.count(), len(cryptlex.licenses)) == (1, 1)


def test_a_replayed_request_changes_nothing(mapped, shop, ask, deliver, work, cryptlex):
    order = photon_order(shop)
    ask(order)
    deliver(order)
    interventions.replay_events(list(WebhookEvent.objects.values_list("pk", flat=True)), user_id=None, reason="")
    work()
    assert (Purchase.objects.count(), len(cryptlex.licenses)) == (1, 1)
    assert Purchase.objects.get().status == PurchaseStatus.COMPLETED


def test_the_order_page_shows_the_same_key(mapped, shop, ask, deliver, cryptlex):
    order = photon_order(shop)
    key = ask(order)
    deliver(order)
    assert [row.key for row in order_page.view_order("fastspring", order["data"]["id"]).licenses] == [key]


def test_our_order_page_says_that_what_is_prepared_is_on_its_way(mapped, shop, request_keys, work):
    map_product("manual", is_license_needed=False, product_id="")
    order = shop.buy(AVA, "manual")
    with pytest.raises(KeysNotReady):
        request_keys(order)
    work()
    assert order_page.view_order("fastspring", order["data"]["reference"]).stage == "preparing"


def test_a_key_that_is_not_from_here_needs_attention(mapped, shop, ask, deliver):
    order = photon_order(shop)
    ask(order)
    deliver(show_keys(order, ["SOME-OTHER-KEY-ABCDEF"]))
    attention = Purchase.objects.get().attention
    assert "…ABCDEF" in attention
    assert "OTHER" not in attention


def test_a_prepared_product_that_is_not_in_the_order_is_ended(mapped, shop, ask, deliver, cryptlex):
    order = shop.order(AVA, shop.item("photon"), shop.item("brushes"))
    ask(order, line=0)
    ask(order, line=1)
    order["data"]["items"].pop()
    deliver(order)
    assert states(cryptlex) == ["active"]
    assert "brushes was given out" in Purchase.objects.get().attention


def test_a_key_tells_the_item_when_the_product_does_not(mapped, shop, ask, deliver, cryptlex):
    """FastSpring sends the internal name of a product where the merchant has ticked that, and the order its path."""
    map_product("Photon (internal)")
    order = photon_order(shop)
    key = ask(order, product="Photon (internal)")
    deliver(show_keys(order, [key]))
    assert [license["key"] for license in cryptlex.licenses] == [key]
    assert states(cryptlex) == ["active"]
    assert Purchase.objects.get().attention == ""
    assert PurchaseItem.objects.get().line == "photon"
