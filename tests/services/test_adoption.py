"""Licenses that somebody else made are taken over, if they are ours to take."""

from __future__ import annotations

from datetime import timedelta

import pytest

from licensing_integration.models import LicenseLink
from licensing_integration.sandbox.moments import from_wire
from tests.services.conftest import ATTRIBUTES, AVA, only_link
from tests.services.scenario import (
    map_product,
    photon_order,
    states,
)


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
    order = photon_order(shop)
    theirs = vendor.make(fastspring_order_id=order["data"]["id"])
    deliver(order)
    assert only_link().external_id == theirs
    assert len(cryptlex.licenses) == 1


@pytest.mark.parametrize("adopt", ["auto", "always"])
def test_a_fresh_orders_license_is_looked_for_only_where_told_to(shop, deliver, cryptlex, vendor, settings, adopt):
    settings.LICENSE_SERVERS = [{**settings.LICENSE_SERVERS[0], "adopt": adopt}]
    order = photon_order(shop)
    theirs = vendor.make(fastspring_order_id=order["data"]["id"])
    deliver(order)
    assert (only_link().external_id == theirs) is (adopt == "always")


def test_a_license_is_never_adopted_twice(shop, shop_clock, deliver, cryptlex, vendor):
    shop_clock.advance(days=-40)
    order = photon_order(shop, quantity=2)
    theirs = vendor.make(fastspring_order_id=order["data"]["id"])
    deliver(order)
    ids = [link.external_id for link in LicenseLink.objects.order_by("unit")]
    assert ids[0] == theirs
    assert ids[1] != theirs
    assert len(cryptlex.licenses) == 2


def test_another_slots_license_is_left_alone(shop, shop_clock, deliver, cryptlex, vendor):
    shop_clock.advance(days=-40)
    order = photon_order(shop)
    slot = {"licensing_integration_slot": "fastspring/order/other/photon/1"}
    theirs = vendor.make(fastspring_order_id=order["data"]["id"], **slot)
    deliver(order)
    assert only_link().external_id != theirs


def test_key_and_value_must_stand_on_the_same_entry(shop, shop_clock, deliver, cryptlex, vendor):
    shop_clock.advance(days=-40)
    order = photon_order(shop)
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
