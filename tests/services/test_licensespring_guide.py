"""LicenseSpring's FastSpring guide from the store to both license servers: the same products, the same events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_django import Settings

from licensing_integration.models import LicenseLink, PurchaseItem
from licensing_integration.sandbox.fastspring import Event, FastSpringShop
from licensing_integration.sandbox.licensespring import LicenseSpringSandbox
from tests.services.conftest import ATTRIBUTES, AVA, only_link
from tests.services.scenario import add_on_line, map_product, metadata, sentences, states, waiting_products

BASE = {"uuid": "account-1", "product_short_code": "studio"}
PDF = {"feature_code": "pdf"}


@pytest.fixture
def spring(cryptlex: Any, settings: Settings) -> Iterator[LicenseSpringSandbox]:
    """A LicenseSpring beside the Cryptlex, which stays the first."""
    products = [{"short_code": code, "name": code} for code in ("studio", "photon")]
    with LicenseSpringSandbox(api_key="sandbox.key", products=products) as box:
        for product in products:
            box.add_feature(product=product["short_code"], code="pdf", name="PDF")
        spring = {
            "name": "spring",
            "backend": "licensespring",
            "base_url": box.base_url,
            "access_token": "sandbox.key",
            "request_limit": 0,
        }
        settings.LICENSE_SERVERS = [*settings.LICENSE_SERVERS, spring]
        yield box


def _features(box: LicenseSpringSandbox) -> list[list[str]]:
    return [[entry["product_feature"] for entry in license["product_features"]] for license in box.licenses]


def _one_time(shop: FastSpringShop, quantity: int = 1, **attributes: str) -> Event:
    return shop.buy(AVA, "photon", quantity=quantity, attributes={**BASE, "product_short_code": "photon", **attributes})


# --- two license servers ---------------------------------------------------------------------------------------------


def test_each_item_goes_to_the_license_server_its_attributes_name(shop, deliver, cryptlex, spring):
    spring_line = shop.item("studio", attributes={**BASE, "product_short_code": "photon"})
    deliver(shop.order(AVA, shop.item("photon", attributes=ATTRIBUTES), spring_line))
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
    deliver(shop.buy(AVA, "photon", attributes={**ATTRIBUTES, "product_short_code": "photon"}))
    assert waiting_products() == ["photon"]
    assert "choose the license server in a product mapping" in sentences(kind="item.waiting")
    map_product("photon", server="spring", product_id="", template_id="")
    work()
    assert waiting_products() == []
    assert (len(cryptlex.licenses), len(spring.licenses)) == (0, 1)


def test_where_each_term_came_from_is_kept(shop, deliver, spring):
    deliver(_one_time(shop, max_activations="5", custom_field_Seats="x"))
    origins = PurchaseItem.objects.get().terms["origins"]
    assert origins["server"] == origins["product_id"] == "store attribute product_short_code"
    assert origins["max_activations"] == "store attribute max_activations"


def test_a_bad_value_holds_its_item_back_and_heals_by_a_mapping(shop, deliver, work, spring):
    deliver(_one_time(shop, license_type="forever"))
    assert waiting_products() == ["photon"]
    assert "Store attribute license_type is 'forever'; it must be one of perpetual" in sentences(kind="item.waiting")
    map_product("photon", server="spring", product_id="", template_id="", license_type="perpetual")
    work()
    assert [license["license_type"] for license in spring.licenses] == ["perpetual"]


# --- a subscription's life -------------------------------------------------------------------------------------------


def test_a_trial_becomes_a_full_license_with_its_first_charge(shop, deliver, spring):
    subscription, events = shop.subscribe(AVA, "studio", attributes={**BASE, "license_type": "perpetual"}, trial=True)
    deliver(*events)
    (license,) = spring.licenses
    assert (license["license_type"], license["is_trial"]) == ("subscription", True)
    deliver(shop.renew(subscription))
    (license,) = spring.licenses
    assert license["is_trial"] is False
    assert license["validity_period"].startswith(f"{subscription.next:%Y-%m-%d}")


def test_a_trial_on_cryptlex_is_marked_until_its_first_charge(shop, deliver, cryptlex):
    map_product("studio", server="cryptlex", template_id="tmpl-1")
    subscription, events = shop.subscribe(AVA, "studio", attributes=BASE, trial=True)
    deliver(*events)
    assert metadata(cryptlex.licenses[0])["licensing_integration_trial"] == "true"
    deliver(shop.renew(subscription))
    assert metadata(cryptlex.licenses[0])["licensing_integration_trial"] == "false"


def test_payment_trouble_changes_nothing_and_the_end_disables_until_it_is_active_again(shop, deliver, spring):
    subscription, events = shop.subscribe(AVA, "studio", attributes=BASE)
    deliver(*events)
    for event in (
        shop.overdue(subscription),
        shop.change(subscription, "subscription.paused", state="paused"),
        shop.change(subscription, "subscription.canceled", state="canceled"),
    ):
        deliver(event)
        assert spring.licenses[0]["enabled"] is True
    deliver(shop.deactivate(subscription))
    assert spring.licenses[0]["enabled"] is False
    deliver(shop.change(subscription, "subscription.activated", state="active"))
    assert spring.licenses[0]["enabled"] is True


def test_refunds_and_disputes_are_not_part_of_the_guide(shop, deliver, spring):
    order = _one_time(shop)
    deliver(order, shop.refund(order), shop.chargeback(order["data"]["id"]))
    assert [license["enabled"] for license in spring.licenses] == [True]


def test_the_policies_of_a_mapping_win_over_the_guides(shop, deliver, spring):
    map_product("studio", server="spring", product_id="", template_id="", overdue_action="suspend")
    subscription, events = shop.subscribe(AVA, "studio", attributes=BASE)
    deliver(*events)
    deliver(shop.change(subscription, "subscription.paused", state="paused"))
    assert spring.licenses[0]["enabled"] is True  # left open by the mapping, so the guide's
    deliver(shop.overdue(subscription))
    assert spring.licenses[0]["enabled"] is False


def test_a_quantity_follows_on_a_single_license(shop, deliver, spring):
    attributes = {**BASE, "single_license": "true", "max_activations": "20"}
    subscription, events = shop.subscribe(AVA, "studio", quantity=3, attributes=attributes)
    deliver(*events)
    assert [license["max_activations"] for license in spring.licenses] == [3]
    deliver(shop.change(subscription, "subscription.updated", quantity=5))
    assert [license["max_activations"] for license in spring.licenses] == [5]


def test_the_announced_end_is_noted(shop, deliver, spring):
    subscription, events = shop.subscribe(AVA, "studio", attributes=BASE)
    deliver(*events)
    update = shop.report("subscription.updated", subscription)
    update["data"]["end"] = int(datetime(2031, 5, 1, tzinfo=UTC).timestamp() * 1000)
    deliver(update)
    assert "2031-05-01" in spring.licenses[0]["note"]


def test_what_has_no_equivalent_is_said_when_the_license_is_issued(shop, deliver, cryptlex):
    map_product("photon", server="cryptlex")
    deliver(_one_time(shop, is_license_manager="true", maintenance_duration="1y"))
    (link,) = LicenseLink.objects.all()
    issued = sentences(link=link, kind="license.issued")
    assert "Cryptlex knows no license manager" in issued
    assert "name one in the product mapping" in issued


# --- features --------------------------------------------------------------------------------------------------------


def test_a_feature_sold_along_goes_on_the_license_and_makes_none(shop, deliver, spring):
    deliver(shop.order(AVA, shop.item("studio", quantity=2, attributes=BASE), shop.item("pdf", attributes=PDF)))
    assert _features(spring) == [["pdf"], ["pdf"]]
    assert waiting_products() == []


def test_a_feature_on_cryptlex_is_an_entitlement_or_a_mark(shop, deliver, cryptlex):
    map_product("studio", server="cryptlex")
    deliver(shop.order(AVA, shop.item("studio"), shop.item("pdf", attributes=PDF)))
    assert metadata(cryptlex.licenses[0])["feature_pdf"] == "true"
    assert "Cryptlex has no feature named pdf" in sentences(link=only_link(), kind="license.issued")


def test_an_add_on_of_a_subscription_comes_and_goes_with_what_the_store_lists(shop, deliver, spring):
    subscription, (activated, order) = shop.subscribe(AVA, "studio", attributes=BASE)
    deliver(activated, order)
    assert _features(spring) == [[]]
    deliver(shop.order(AVA, add_on_line(shop, subscription, "pdf", attributes=PDF)))
    assert _features(spring) == [["pdf"]]
    for listed, features in (([{"product": "pdf"}], ["pdf"]), ([], []), ([{"product": "pdf"}], ["pdf"])):
        update = shop.report("subscription.updated", subscription)
        update["data"]["addons"] = listed
        deliver(update)
        assert _features(spring) == [features]


def test_a_one_time_feature_bought_with_a_subscription_goes_on_its_license_whatever_comes_first(shop, deliver, spring):
    _, (activated, order) = shop.subscribe(AVA, "studio", attributes=BASE)
    order["data"]["items"].append(shop.item("pdf", attributes=PDF))
    deliver(order)
    deliver(activated)
    assert _features(spring) == [["pdf"]]
    assert waiting_products() == []


def test_a_feature_that_a_mapping_makes_one_later_reaches_the_subscription_it_was_bought_with(
    shop, deliver, work, spring
):
    _, (activated, order) = shop.subscribe(AVA, "studio", attributes=BASE)
    order["data"]["items"].append(shop.item("extra"))
    deliver(activated, order)
    assert (waiting_products(), _features(spring)) == (["extra"], [[]])
    map_product("extra", product_id="", template_id="", feature_code="pdf")
    work()
    assert (waiting_products(), _features(spring)) == ([], [["pdf"]])


def test_a_feature_without_a_home_waits_and_is_told_once(shop, deliver, spring):
    items = [shop.item(name, attributes={**BASE, "product_short_code": name}) for name in ("studio", "photon")]
    order = shop.order(AVA, *items, shop.item("pdf", attributes=PDF))
    deliver(order)
    deliver({**order, "id": order["id"] + "-again"})
    assert waiting_products() == ["pdf"]
    assert _features(spring) == [[], []]
    assert sentences(kind="item.waiting").count("Nothing says which license gets the feature 'pdf'") == 1


def test_a_refunded_feature_goes_where_the_policy_takes_licenses(shop, deliver, spring):
    map_product("studio", server="spring", product_id="", template_id="", refund_action="suspend")
    pdf = shop.item("pdf", attributes=PDF)
    order = shop.order(AVA, shop.item("studio", attributes=BASE), pdf)
    deliver(order)
    deliver(shop.refund(order, lines=[{**pdf, "refundType": "Full Refund"}]))
    assert _features(spring) == [[]]
    assert spring.licenses[0]["enabled"] is True


def test_an_add_on_that_names_a_license_on_cryptlex_is_one(shop, deliver, cryptlex):
    add_on = shop.item("pdf", attributes={**ATTRIBUTES, **PDF})
    deliver(shop.order(AVA, shop.item("photon", attributes=ATTRIBUTES), add_on))
    assert states(cryptlex) == ["active", "active"]
