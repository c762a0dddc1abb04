"""What planning makes of Stripe's events beyond the life of one subscription: names, items, questions for a person."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta

import pytest

from licensing_integration.domain.facts import Charge, Customer, CustomerFact, OrderFact, ReturnFact, SubscriptionFact
from licensing_integration.domain.outcomes import PurchaseStatus
from licensing_integration.models import LicenseLink, Purchase, PurchaseItem, WebhookEvent
from licensing_integration.services.plan import CONTESTED
from licensing_integration.services.purchases import order_ids_of
from tests.domain.samples import START
from tests.services.conftest import only_purchase
from tests.services.scenario import map_product, sentences, states
from tests.services.stripe.conftest import AVA, STORE, line, only, show

pytestmark = pytest.mark.django_db

UPDATED = "customer.subscription.updated"


@pytest.fixture
def with_two_items(account, tell, shop_clock):
    """A subscription to two products, some days old."""
    account.add_product("Support", product_id="prod_support")
    account.add_price("prod_support", price_id="price_support", interval="month", amount=900)
    map_product("prod_team", store="stripe")
    map_product("prod_support", store="stripe")
    session, events = account.subscribe(AVA, line("price_month", 2), line("price_support"))
    tell(*events)
    shop_clock.advance(days=3)
    return account.subscriptions[session["subscription"]]


@pytest.mark.parametrize(("removed", "left"), [(1, "prod_team"), (0, "prod_support")])
def test_an_item_taken_out_of_a_subscription_loses_its_licenses_only(
    with_two_items, account, tell, cryptlex, removed, left
):
    tell(*account.remove_item(with_two_items["id"], item=removed))
    of_product = {item.product: item for item in PurchaseItem.objects.all()}
    (gone,) = of_product.keys() - {left}
    assert of_product[gone].quantity == 0
    quantities = {"prod_team": 2, "prod_support": 1}
    assert sorted(states(cryptlex)) == ["active"] * quantities[left] + ["suspended"] * quantities[gone]
    assert "no longer paid for" in sentences(kind="license.suspended")


# Which time counts, and which description


def test_what_was_fetched_is_dated_before_the_first_request(rest, account, send, cryptlex):
    map_product("prod_team", store="stripe")
    _, events = account.subscribe(AVA, line("price_month"))
    show(rest, account)
    send(*only(events, "checkout.session.completed"))
    fetched_at = datetime.fromisoformat(WebhookEvent.objects.get().fetched["fetched_at"])
    assert fetched_at < min(rest.called_at)
    assert fetched_at > min(rest.called_at) - timedelta(minutes=1)


def test_two_descriptions_of_one_second_ask_a_person_until_a_later_one_comes(account, send, shop_clock, cryptlex):
    map_product("prod_team", store="stripe")
    session, events = account.subscribe(AVA, line("price_month", 2))
    send(*events)
    (more,) = account.change_quantity(session["subscription"], 3)
    less = copy.deepcopy(more)
    less["id"] += "twin"
    less["data"]["object"]["items"]["data"][0]["quantity"] = 1
    send(more)
    assert only_purchase().attention == ""
    send(less)
    assert only_purchase().attention == CONTESTED
    shop_clock.advance(days=1)
    send(*account.change_quantity(session["subscription"], 4))
    assert only_purchase().attention == ""


# Names of a purchase


def test_everything_two_events_may_share_is_locked():
    buyer = Customer(external_id="cus_1")
    moment = {"occurred_at": START, "note": ""}
    charge = Charge(order_id="in_1", aliases=("pi_1", "ch_1"))
    paid = SubscriptionFact(**moment, subscription_id="sub_1", customer=buyer, charge=charge, aliases=("cs_1",))
    sold = OrderFact(
        **moment,
        order_id="cs_2",
        status=PurchaseStatus.COMPLETED,
        customer=Customer(external_id="cus_2"),
        aliases=("pi_2",),
    )
    moved = CustomerFact(**moment, customer=Customer(external_id="cus_3"))
    refund = ReturnFact(**moment, return_id="re_1", order_id="pi_4")
    assert order_ids_of([paid], has_several_names=True) - {""} == {"cs_1", "in_1", "pi_1", "ch_1", "cus_1"}
    assert order_ids_of([sold, moved, refund], has_several_names=True) - {""} == {
        "cs_2",
        "pi_2",
        "cus_2",
        "cus_3",
        "pi_4",
    }
    assert order_ids_of([sold, moved, refund], has_several_names=False) - {""} == {"cs_2", "pi_2", "pi_4"}


def test_money_that_went_back_under_two_names_of_a_sale_is_all_found(rest, account, send, cryptlex, settings):
    """Read with a key the refund names the invoice, without one the dispute names the payment."""
    map_product("prod_studio", store="stripe")
    session, events = account.buy(AVA, line("price_studio", 3), has_invoice=True)
    refund = account.refund(session["payment_intent"], amount=9900)
    dispute = account.dispute(session["payment_intent"])
    show(rest, account)
    send(*refund)
    with_key, settings.STORES = settings.STORES, [*settings.STORES[:-1], STORE]
    send(*only(dispute, "charge.dispute.created"))
    assert Purchase.objects.filter(status=PurchaseStatus.UNKNOWN).count() == 2
    settings.STORES = with_key
    send(*only(events, "checkout.session.completed"))
    assert states(cryptlex) == ["suspended"] * 3
    assert not Purchase.objects.exclude(attention="").exists()


def test_a_unit_of_a_later_period_may_have_been_licensed_by_the_vendor(account, send, shop_clock, cryptlex, vendor):
    map_product("prod_team", store="stripe")
    session, events = account.subscribe(AVA, line("price_month"))
    send(*events)
    made = vendor.make(stripe_subscription_id=session["subscription"])
    shop_clock.advance(days=30)
    account.change_quantity(session["subscription"], 2)
    send(*only(account.renew(session["subscription"]), "invoice.paid"))
    assert LicenseLink.objects.filter(external_id=made, unit=2).exists()
    assert len(cryptlex.licenses) == 2
