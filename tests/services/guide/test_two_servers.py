"""A LicenseSpring beside a Cryptlex, behind one shop."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_django import Settings

from licensing_integration.models import LicenseLink, PurchaseItem
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.licensespring import LicenseSpringSandbox
from tests.services.conftest import ATTRIBUTES, AVA
from tests.services.guide.conftest import licensespring
from tests.services.scenario import map_product, sentences, states, waiting_products

STUDIO = {"uuid": "account-1", "product_short_code": "studio"}


@pytest.fixture
def spring(
    cryptlex: CryptlexSandbox, settings: Settings, make_spring: Callable[[], LicenseSpringSandbox]
) -> LicenseSpringSandbox:
    """Beside the Cryptlex, which stays the first; for any account."""
    box = make_spring()
    settings.LICENSE_SERVERS = [*settings.LICENSE_SERVERS, licensespring("spring", box, uuid="")]
    return box


def test_each_item_goes_to_the_license_server_its_attributes_name(shop, deliver, cryptlex, spring):
    deliver(shop.order(AVA, shop.item("photon", attributes=ATTRIBUTES), shop.item("studio", attributes=STUDIO)))
    assert (len(cryptlex.licenses), len(spring.licenses)) == (1, 1)
    assert list(LicenseLink.objects.order_by("id").values_list("server", flat=True)) == ["cryptlex", "spring"]


def test_changing_one_field_of_the_mapping_issues_elsewhere_and_old_licenses_stay(
    shop, deliver, work, cryptlex, spring
):
    mapping = map_product("photon", server="spring", product_id="photon", template_id="")
    deliver(shop.buy(AVA, "photon"))
    mapping.server = "cryptlex"
    mapping.save()
    deliver(shop.buy(AVA, "photon"))
    assert (len(cryptlex.licenses), len(spring.licenses)) == (1, 1)


def test_attributes_of_both_vendors_wait_for_a_mapping_that_chooses(shop, deliver, work, cryptlex, spring):
    deliver(shop.buy(AVA, "photon", attributes={**ATTRIBUTES, **STUDIO}))
    assert waiting_products() == ["photon"]
    assert "choose the license server in a product mapping" in sentences(kind="item.waiting")
    map_product("photon", server="spring", product_id="", template_id="")
    work()
    assert waiting_products() == []
    assert (len(cryptlex.licenses), len(spring.licenses)) == (0, 1)


def test_an_add_on_that_names_a_license_on_cryptlex_is_one(shop, deliver, cryptlex):
    add_on = shop.item("pdf", attributes={**ATTRIBUTES, "feature_code": "pdf"})
    deliver(shop.order(AVA, shop.item("photon", attributes=ATTRIBUTES), add_on))
    assert states(cryptlex) == ["active", "active"]


def test_where_each_term_came_from_is_kept(shop, deliver, spring):
    deliver(shop.buy(AVA, "studio", attributes={**STUDIO, "max_activations": "5", "custom_field_Seats": "x"}))
    origins = PurchaseItem.objects.get().terms["origins"]
    assert origins["server"] == origins["product_id"] == "store attribute product_short_code"
    assert origins["max_activations"] == "store attribute max_activations"
    assert origins["custom field Seats"] == "store attribute custom_field_Seats"


def test_the_policies_of_a_mapping_win_over_the_guides(shop, deliver, spring):
    map_product("studio", server="spring", product_id="", template_id="", overdue_action="suspend")
    subscription, events = shop.subscribe(AVA, "studio", attributes=STUDIO)
    deliver(*events)
    deliver(shop.change(subscription, "subscription.paused", state="paused"))
    assert spring.licenses[0]["enabled"] is True  # left open by the mapping, so the guide's
    deliver(shop.overdue(subscription))
    assert spring.licenses[0]["enabled"] is False
