"""The same on a LicenseSpring: keys before the order, with LicenseSpring's own attributes typed into the fulfilment."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_django import Settings

from licensing_integration.exceptions import KeysNotReady
from licensing_integration.models import LicenseLink, Purchase
from licensing_integration.sandbox.fastspring_fulfilment import show_keys
from licensing_integration.sandbox.licensespring import LicenseSpringSandbox
from tests.services.conftest import AVA
from tests.services.fulfilment.conftest import let_pass
from tests.services.guide.conftest import ACCOUNT, licensespring, make_spring
from tests.services.scenario import map_product, sentences

__all__ = ["make_spring"]

TYPED_IN = {"uuid": ACCOUNT, "product_short_code": "photon"}


@pytest.fixture
def spring(settings: Settings, make_spring: Callable[[], LicenseSpringSandbox]) -> LicenseSpringSandbox:
    box = make_spring()
    settings.LICENSE_SERVERS = [licensespring("spring", box, uuid=ACCOUNT)]
    return box


def _keys(box: LicenseSpringSandbox) -> list[str]:
    return sorted(license["license_key"] for license in box.licenses)


def test_a_key_per_unit_and_the_order_recognises_them(shop, ask, deliver, spring):
    order = shop.buy(AVA, "photon", quantity=3, attributes=TYPED_IN)
    keys = ask(order, **TYPED_IN).split("\n")
    assert sorted(keys) == _keys(spring)
    assert len(set(keys)) == 3
    deliver(show_keys(order, keys))
    assert sorted(keys) == _keys(spring)
    purchase = Purchase.objects.get()
    assert (purchase.status, purchase.attention) == ("completed", "")


def test_one_license_for_all_units(shop, ask, deliver, spring):
    attributes = {**TYPED_IN, "single_license": "true"}
    order = shop.buy(AVA, "photon", quantity=5, attributes=attributes)
    key = ask(order, **attributes)
    deliver(show_keys(order, [key]))
    assert _keys(spring) == [key]
    assert spring.licenses[0]["max_activations"] == 5


def test_a_subscription_takes_its_license_over(shop, ask, deliver, spring):
    subscription, (activation, order) = shop.subscribe(AVA, "photon", attributes=TYPED_IN)
    key = ask(order, **TYPED_IN)
    deliver(activation, show_keys(order, [key]))
    assert _keys(spring) == [key]
    assert LicenseLink.objects.get().purchase.external_id == subscription.id
    assert LicenseLink.objects.get().sync_state == "settled"


def test_an_order_that_never_comes_leaves_a_disabled_license(shop, ask, work, spring):
    ask(shop.buy(AVA, "photon"), **TYPED_IN)
    let_pass(24, work)
    assert [license["enabled"] for license in spring.licenses] == [False]


def test_a_license_without_a_key_is_not_waited_for(shop, ask, request_keys, settings, spring):
    """Its user signs in. The license is made once, and the buyer is not kept waiting for what will never come."""
    typed_in = {**TYPED_IN, "product_short_code": "team"}
    order = shop.buy(AVA, "team")
    with pytest.raises(KeysNotReady, match="has no key of its own: its user signs in"):
        ask(order, **typed_in)
    settings.FULFILMENT_WAIT_SECONDS = 2
    with pytest.raises(KeysNotReady, match="has no key of its own"):
        request_keys(order, **typed_in)
    assert [license["license_key"] for license in spring.licenses] == [None]
    assert LicenseLink.objects.get().sync_state == "settled"
    assert "Remove the license fulfilment from the product in the store" in sentences()


def test_one_order_with_keys_from_both_license_servers(shop, ask, deliver, settings, cryptlex, spring):
    settings.LICENSE_SERVERS = [
        {**settings.LICENSE_SERVERS[0]},
        {"name": "cryptlex", "backend": "cryptlex", "base_url": cryptlex.base_url, "access_token": "sandbox-token"},
    ]
    map_product("brushes", server="cryptlex")
    map_product("photon", server="spring", product_id="photon", template_id="")
    order = shop.order(AVA, shop.item("photon"), shop.item("brushes"))
    keys = [ask(order, line=0), ask(order, line=1)]
    deliver(show_keys(show_keys(order, keys[:1]), keys[1:], line=1))
    assert keys == [*_keys(spring), *(license["key"] for license in cryptlex.licenses)]
