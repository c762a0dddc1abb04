"""One product on several lines of an order, or in another quantity than asked for: no shown key is lost silently."""

from __future__ import annotations

import pytest

from licensing_integration.exceptions import KeysNotReady
from licensing_integration.models import LicenseLink, Purchase
from licensing_integration.sandbox.fastspring_fulfilment import show_keys
from licensing_integration.services import interventions
from tests.services.conftest import AVA
from tests.services.fulfilment.conftest import photon_order
from tests.services.scenario import map_product, sentences, states

# --- several lines ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantities", [(1, 2), (2, 1)])
@pytest.mark.parametrize("order_shows_keys", [True, False])
def test_two_lines_of_a_product_in_two_quantities_have_keys_of_their_own(
    mapped, shop, ask, deliver, cryptlex, quantities, order_shows_keys
):
    order = shop.order(AVA, *(shop.item("photon", quantity=quantity) for quantity in quantities))
    keys = [ask(order, line=line).split("\n") for line in (0, 1)]
    for line in (0, 1) if order_shows_keys else ():
        show_keys(order, keys[line], line=line)
    deliver(order)
    assert {license["key"] for license in cryptlex.licenses} == {*keys[0], *keys[1]}
    assert states(cryptlex) == ["active"] * 3
    by_line = {
        line: set(LicenseLink.objects.filter(item__line=line).values_list("key", flat=True))
        for line in ("photon", "photon#2")
    }
    assert by_line == {"photon": set(keys[0]), "photon#2": set(keys[1])}
    assert Purchase.objects.get().attention == ""
    assert [ask(order, line=line).split("\n") for line in (0, 1)] == keys


def test_two_lines_of_a_product_in_the_same_quantity_are_for_a_person(mapped, shop, ask, deliver, cryptlex):
    """FastSpring asks the same for both, so it is told the same."""
    order = shop.order(AVA, shop.item("photon"), shop.item("photon"))
    key = ask(order)
    assert ask(order, line=1) == key
    deliver(show_keys(show_keys(order, [key]), [key], line=1))
    assert len(cryptlex.licenses) == 2
    assert key in {license["key"] for license in cryptlex.licenses}
    assert f"…{key[-6:]} for photon#2, which is the key of another license" in Purchase.objects.get().attention


# --- another quantity ------------------------------------------------------------------------------------------------


def test_a_quantity_that_was_changed_before_the_order_has_its_own_key(mapped, shop, ask, deliver, cryptlex):
    order = photon_order(shop, quantity=3)
    ask(order)
    order["data"]["items"][0]["quantity"] = 1
    key = ask(order)
    deliver(show_keys(order, [key]))
    assert [license["key"] for license in cryptlex.licenses] == [key]
    assert states(cryptlex) == ["active"]
    assert "not in that quantity. Its license is ended." in Purchase.objects.get().attention


def test_an_order_for_less_than_the_keys_it_shows_is_for_a_person(mapped, shop, ask, deliver, cryptlex):
    order = photon_order(shop, quantity=3)
    keys = ask(order).split("\n")
    order["data"]["items"][0]["quantity"] = 1
    deliver(show_keys(order, keys))
    assert [license["key"] for license in cryptlex.licenses] == keys[:1]
    attention = Purchase.objects.get().attention
    assert "3 license keys for photon" in attention
    assert "a quantity of 1" in attention
    assert not [key for key in keys if key in attention]


def test_a_subscription_for_less_than_the_keys_its_order_shows_is_for_a_person(mapped, shop, ask, deliver):
    subscription, (_, order) = shop.subscribe(AVA, "studio", quantity=3)
    keys = ask(order).split("\n")
    subscription.quantity = order["data"]["items"][0]["quantity"] = 1
    activation = shop.report("subscription.activated", subscription)
    order["data"]["items"][0]["subscription"] = activation["data"]
    deliver(show_keys(order, keys))
    assert "3 license keys for main" in Purchase.objects.get(kind="subscription").attention


def test_an_order_for_more_keeps_the_keys_it_shows(mapped, shop, ask, deliver, cryptlex):
    order = photon_order(shop)
    key = ask(order)
    order["data"]["items"][0]["quantity"] = 3
    deliver(show_keys(order, [key]))
    assert len(cryptlex.licenses) == 3
    assert key in {license["key"] for license in cryptlex.licenses}


# --- asked again when licenses are gone ------------------------------------------------------------------------------


def test_units_that_were_taken_away_do_not_make_one_key_stand_for_all(mapped, shop, ask, deliver):
    subscription, (activation, order) = shop.subscribe(AVA, "studio", quantity=3)
    deliver(activation, show_keys(order, ask(order).split("\n")))
    subscription.quantity = 1
    deliver(shop.report("subscription.updated", subscription))
    with pytest.raises(KeysNotReady, match="3 keys were asked for, but there is 1 license"):
        ask(order)


@pytest.mark.parametrize("is_disputed", [True, False])
def test_the_key_of_a_license_whose_money_went_back_is_not_shown_again(mapped, shop, ask, deliver, is_disputed):
    order = photon_order(shop)
    ask(order)
    deliver(order)
    deliver(shop.chargeback(order["data"]["id"]) if is_disputed else shop.refund(order))
    with pytest.raises(KeysNotReady, match="have been taken away since"):
        ask(order)


def test_a_subscription_that_waits_for_its_renewal_is_given_its_key(mapped, shop, ask, deliver, cryptlex):
    """FastSpring asks before the charge that ends the suspension."""
    map_product("pro", overdue_action="suspend", overdue_grace_days=0)
    subscription, (activation, order) = shop.subscribe(AVA, "pro")
    key = ask(order, subscription=subscription.id)
    deliver(activation, order, shop.change(subscription, "subscription.paused", state="paused"))
    assert states(cryptlex) == ["suspended"]
    assert ask(order, subscription=subscription.id, reference="REF-RENEWAL", sequence="2") == key


def test_the_key_of_a_license_that_somebody_deleted_is_not_shown_again(mapped, shop, ask, work, vendor):
    order = photon_order(shop)
    key = ask(order)
    vendor.delete(LicenseLink.objects.get().external_id)
    interventions.resync_link(LicenseLink.objects.get().pk, user_id=None, reason="")
    work()
    assert "no longer exists" in sentences()
    with pytest.raises(KeysNotReady, match=f"…{key[-6:]} needs a person") as refusal:
        ask(order)
    assert key not in str(refusal.value)
