"""Features that are sold as products of their own, where the guide's scenarios do not say it all."""

from __future__ import annotations

import pytest

from licensing_integration.models import ProductMapping
from tests.services.guide.proofs import on_both_servers
from tests.services.scenario import map_product, sentences, waiting_products

NOT_ONE_OF_ITS_OWN = {"product_id": "", "template_id": ""}


@on_both_servers
@pytest.mark.parametrize("is_order_first", [True, False])
def test_a_one_time_feature_bought_with_a_subscription_goes_on_its_license(guide, is_order_first):
    _, (activated, order) = guide.subscription()
    order["data"]["items"].append(guide.feature("pdf"))
    for event in (order, activated) if is_order_first else (activated, order):
        guide.deliver(event)
    guide.has_features("pdf")
    assert waiting_products() == []


@on_both_servers
def test_a_feature_that_a_mapping_makes_one_later_reaches_the_subscription_it_was_bought_with(guide, work):
    _, (activated, order) = guide.subscription()
    order["data"]["items"].append(guide.shop.item("extra"))
    guide.deliver(activated, order)
    assert waiting_products() == ["extra"]
    guide.has_features()
    map_product("extra", feature_code="pdf", **NOT_ONE_OF_ITS_OWN)
    work()
    assert waiting_products() == []
    guide.has_features("pdf")


@on_both_servers
def test_every_license_of_a_quantity_has_the_feature(guide):
    guide.sell_together(guide.item("studio", quantity=2), guide.feature("pdf"))
    assert len(guide.licenses) == 2
    guide.has_features("pdf")


@on_both_servers
def test_a_feature_without_a_home_waits_and_is_told_once(guide):
    order = guide.sell_together(guide.item("studio"), guide.item("photon"), guide.feature("pdf"))
    guide.deliver({**order, "id": order["id"] + "-again"})
    assert waiting_products() == ["pdf"]
    guide.has_features()
    assert sentences(kind="item.waiting").count("Nothing says which license gets the feature 'pdf'") == 1


@on_both_servers
def test_a_refunded_feature_goes_where_the_policy_takes_licenses(guide):
    if guide.server == "licensespring":
        map_product("studio", server="spring", **NOT_ONE_OF_ITS_OWN)
    ProductMapping.objects.filter(store_product="studio").update(refund_action="suspend")
    pdf = guide.feature("pdf")
    order = guide.sell_together(guide.item("studio"), pdf)
    guide.deliver(guide.shop.refund(order, lines=[{**pdf, "refundType": "Full Refund"}]))
    guide.has_features()
    guide.is_on()


@on_both_servers
def test_what_others_put_on_the_license_stays_there(guide):
    subscription = guide.subscribe()
    guide.sell_together(guide.add_on("pdf", subscription))
    guide.on.grant("ocr")
    guide.report("subscription.updated", subscription, addons=[{"product": "pdf"}])
    guide.report("subscription.updated", subscription, addons=[])
    guide.has_features("ocr")
