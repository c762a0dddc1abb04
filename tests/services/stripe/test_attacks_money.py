"""Ways to a license that nobody paid for, or to losing one that somebody did: what counts as paid, what goes back."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta

import pytest

from licensing_integration.domain.outcomes import PurchaseStatus
from licensing_integration.models import Purchase
from licensing_integration.sandbox import stripe_steps as steps
from tests.services.conftest import only_purchase
from tests.services.scenario import map_product, states
from tests.services.stripe.conftest import AVA, CRYPTLEX, line, only, show
from tests.stores.stripe.old_shapes import as_acacia

pytestmark = pytest.mark.django_db

COMPLETED = "checkout.session.completed"
PAID = "invoice.paid"
CREATED = "customer.subscription.created"
UPDATED = "customer.subscription.updated"
LEEWAY = timedelta(days=3)


@pytest.fixture(params=[False, True], ids=["no key", "with a key"])
def api(request, account):
    return request.getfixturevalue("rest") if request.param else None


@pytest.fixture
def tell(api, account, send):
    """Send events with Stripe's API up to date."""

    def _tell(*events):
        if api:
            show(api, account)
        send(*events)

    return _tell


@pytest.fixture
def told(rest, account, send):
    """As ``tell``, and always with a key: without one Stripe names no invoice of a refund."""

    def _tell(*events):
        show(rest, account)
        send(*events)

    return _tell


@pytest.fixture
def monthly(account, send, cryptlex):
    """A monthly subscription, paid."""
    map_product("prod_team", store="stripe")
    session, events = account.subscribe(AVA, line("price_month"))
    send(*events)
    assert states(cryptlex) == ["active"]
    return account.subscriptions[session["subscription"]]


def ends(cryptlex) -> set[datetime]:
    return {datetime.fromisoformat(one["expiresAt"]) for one in cryptlex.licenses}


def period_end(item) -> datetime:
    return datetime.fromtimestamp(item["current_period_end"], tz=UTC)


def items_of(subscription):
    return {item["price"]["id"]: item for item in subscription["items"]["data"]}


def payment_of_latest(account, subscription) -> str:
    return account.payment_of_invoice(subscription["latest_invoice"])


# What is no payment for a period


def test_a_change_that_cost_nothing_does_not_license_an_unpaid_subscription(tell, account, cryptlex):
    map_product("prod_team", store="stripe")
    subscription, events = account.create_subscription(AVA, line("price_month", 3))
    tell(*only(events, CREATED))
    tell(*account.change_quantity(subscription["id"], 1, is_invoiced_now=True))
    assert cryptlex.licenses == []
    tell(*only(events, PAID))
    assert states(cryptlex) == ["active"]


def test_where_only_invoices_are_told_a_change_does_not_license_what_is_unpaid(account, send, cryptlex):
    session, events = account.subscribe(AVA, line("price_month", 3), metadata=CRYPTLEX, is_delayed=True)
    send(*only(events, COMPLETED))
    send(*only(account.change_quantity(session["subscription"], 1, is_invoiced_now=True), PAID))
    assert cryptlex.licenses == []
    send(*only(account.settle(session["id"]), PAID))
    assert states(cryptlex) == ["active"] * 3


def test_an_invoice_for_usage_in_between_extends_nothing(monthly, account, send, shop_clock, cryptlex):
    before = ends(cryptlex)
    shop_clock.advance(days=31)
    (paid,) = only(account.renew(monthly["id"]), PAID)
    paid["data"]["object"]["billing_reason"] = "subscription_threshold"
    send(paid)
    assert ends(cryptlex) == before


def test_an_invoice_for_usage_in_between_settles_no_overdue_period(monthly, account, send, shop_clock):
    shop_clock.advance(days=31)
    send(*account.fail_renewal(monthly["id"]))
    invoice = copy.deepcopy(account.invoices[monthly["latest_invoice"]])
    invoice.update(id="in_usage", status="paid", billing_reason="subscription_threshold")
    send(*account.report(PAID, invoice))
    assert only_purchase().status == PurchaseStatus.OVERDUE


def test_a_later_period_that_is_paid_settles_what_was_given_up(monthly, account, send, shop_clock, cryptlex):
    before = copy.deepcopy(monthly)
    send(*account.report(UPDATED, {**monthly, "status": "unpaid"}, before=before))
    assert states(cryptlex) == ["suspended"]
    shop_clock.advance(days=31)
    send(*only(account.renew(monthly["id"]), PAID))
    assert states(cryptlex) == ["active"]


def test_a_paid_session_licenses_a_subscription_that_was_incomplete_when_it_was_made(account, send, cryptlex):
    map_product("prod_team", store="stripe")
    _, events = account.subscribe(AVA, line("price_month"), metadata=CRYPTLEX)
    (created,) = only(events, CREATED)
    created["data"]["object"]["status"] = "incomplete"
    send(*only(events, COMPLETED), created)
    assert states(cryptlex) == ["active"]


# Money that goes back


@pytest.mark.parametrize(("refunded", "active"), [("first", {"price_month"}), ("month's", {"price_year"})])
def test_a_refund_takes_what_its_invoice_paid_for(told, account, shop_clock, cryptlex, refunded, active):
    map_product("price_month", store="stripe")
    map_product("price_year", store="stripe", template_id="tmpl-2")
    session, events = account.subscribe(AVA, line("price_month"), line("price_year"))
    told(*events)
    subscription = account.subscriptions[session["subscription"]]
    shop_clock.advance(days=31)
    told(*_renew_only_the_month(account, subscription))
    invoice = session["invoice"] if refunded == "first" else subscription["latest_invoice"]
    told(*account.refund(account.payment_of_invoice(invoice)))
    by_line = {link.item.variant: link.desired["state"] for link in only_purchase().links.all()}
    assert {price for price, state in by_line.items() if state == "active"} == active
    assert sorted(states(cryptlex)) == ["active", "suspended"]


def _renew_only_the_month(account, subscription):
    before = copy.deepcopy(subscription)
    item = items_of(subscription)["price_month"]
    account._set_period(subscription, item, start=item["current_period_end"])
    lines = [one for one in steps.period_lines(account, subscription) if _item_of(one) == item["id"]]
    invoice = account._bill(subscription, lines, reason="subscription_cycle", since=item["current_period_start"])
    return account.report(UPDATED, subscription, before=before) + steps.pay_invoice(account, invoice)


def _item_of(invoice_line) -> str:
    return invoice_line["parent"]["subscription_item_details"]["subscription_item"]


def test_a_refund_of_a_change_asks_a_person(told, account, shop_clock, cryptlex):
    map_product("prod_team", store="stripe")
    session, events = account.subscribe(AVA, line("price_month"))
    told(*events)
    shop_clock.advance(days=1)
    told(*account.change_quantity(session["subscription"], 3, is_invoiced_now=True))
    subscription = account.subscriptions[session["subscription"]]
    told(*account.refund(payment_of_latest(account, subscription)))
    assert states(cryptlex) == ["active"] * 3
    assert "fits no number of units" in only_purchase().attention


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=str)
def test_a_full_refund_of_a_subscription_leaves_no_question(told, account, cryptlex, order):
    map_product("prod_team", store="stripe")
    session, events = account.subscribe(AVA, line("price_month"))
    told(*events)
    refund = account.refund(account.payment_of_invoice(session["invoice"]))
    told(*(refund[index] for index in order))
    assert only_purchase().attention == ""
    assert states(cryptlex) == ["suspended"]


def test_a_sale_whose_session_names_no_invoice_is_refunded_by_its_payment(told, account, cryptlex):
    map_product("prod_studio", store="stripe")
    session, events = account.buy(AVA, line("price_studio"), has_invoice=True)
    (completed,) = only(events, COMPLETED)
    completed["data"]["object"]["invoice"] = None
    told(completed)
    assert states(cryptlex) == ["active"]
    told(*account.refund(session["payment_intent"]))
    assert states(cryptlex) == ["suspended"]
    assert not Purchase.objects.exclude(attention="").exists()


def test_a_dispute_over_a_payment_nobody_knows_asks_a_person_until_the_sale_comes(tell, account, cryptlex):
    map_product("prod_studio", store="stripe")
    session, events = account.buy(AVA, line("price_studio"), metadata=CRYPTLEX)
    tell(*account.dispute(session["payment_intent"]))
    assert "no sale is known" in only_purchase().attention
    tell(*events)
    assert not Purchase.objects.exclude(attention="").exists()
    assert states(cryptlex) == ["suspended"]


def test_a_subscriptions_placeholder_no_longer_asks_once_its_payment_is_known(rest, account, send, cryptlex):
    map_product("prod_team", store="stripe")
    session, events = account.subscribe(AVA, line("price_month"))
    refund = account.refund(account.payment_of_invoice(session["invoice"]))
    show(rest, account)
    send(*refund)
    assert "no sale is known" in only_purchase().attention
    send(*events)
    assert not Purchase.objects.exclude(attention="").exists()
    assert states(cryptlex) == ["suspended"]


# What invoices say of items


def test_usage_on_an_invoice_is_no_number_of_licenses(account, tell, shop_clock, cryptlex):
    map_product("prod_team", store="stripe")
    account.add_price("prod_team", price_id="price_usage", interval="month", amount=1)
    account.prices["price_usage"]["recurring"]["usage_type"] = "metered"
    session, events = account.subscribe(AVA, line("price_month"), line("price_usage"))
    subscription = account.subscriptions[session["subscription"]]
    metered = items_of(subscription)["price_usage"]
    metered.pop("quantity")
    tell(*_with_usage(events, metered, 0))
    before = len(cryptlex.licenses)
    shop_clock.advance(days=31)
    metered["quantity"] = 0  # the pretend shop multiplies
    renewal = account.renew(session["subscription"])
    metered.pop("quantity")
    renewal = _with_usage(renewal, metered, 37)
    tell(*only(renewal, PAID))
    assert len(cryptlex.licenses) == before
    tell(*only(renewal, UPDATED))
    assert len(cryptlex.licenses) == before


def _with_usage(events, metered, usage):
    for event in events:
        thing = event["data"]["object"]
        if thing["object"] == "subscription":
            for item in thing["items"]["data"]:
                if item["id"] == metered["id"]:
                    item.pop("quantity", None)
        if thing["object"] == "invoice":
            for one in thing["lines"]["data"]:
                if _item_of(one) == metered["id"]:
                    one["quantity"] = usage
    return events


def test_steps_of_one_price_add_up(account, send, cryptlex):
    map_product("prod_team", store="stripe")
    _, events = account.subscribe(AVA, line("price_month", 5))
    (paid,) = only(events, PAID)
    lines = paid["data"]["object"]["lines"]["data"]
    lines[:] = [{**lines[0], "quantity": 3}, {**lines[0], "id": "il_second_step", "quantity": 2}]
    send(paid)
    assert states(cryptlex) == ["active"] * 5


def test_an_invoice_with_more_lines_than_its_event_asks_a_person(monthly, account, send, shop_clock, cryptlex):
    before = ends(cryptlex)
    shop_clock.advance(days=31)
    (paid,) = only(account.renew(monthly["id"]), PAID)
    lines = paid["data"]["object"]["lines"]
    first = copy.deepcopy(lines["data"][0])
    first["parent"]["subscription_item_details"]["proration"] = True
    lines.update(data=[{**first, "id": f"il_{n}"} for n in range(10)], has_more=True)
    send(paid)
    assert "more lines" in only_purchase().attention
    assert ends(cryptlex) == before


def test_invoices_of_old_versions_that_name_no_item_make_no_second_license(account, send, shop_clock, cryptlex):
    map_product("prod_team", store="stripe")
    session, events = account.subscribe(AVA, line("price_month"))
    (paid,) = only(events, PAID)
    old = as_acacia(paid)
    for one in old["data"]["object"]["lines"]["data"]:
        one.pop("subscription_item", None)
    send(old)
    shop_clock.advance(days=31)
    renewal = account.renew(session["subscription"])
    send(*only(renewal, PAID), *only(renewal, UPDATED))
    (item,) = account.subscriptions[session["subscription"]]["items"]["data"]
    assert states(cryptlex) == ["active"]
    assert ends(cryptlex) == {period_end(item) + LEEWAY}
    send(*account.cancel_now(session["subscription"]))
    assert states(cryptlex) == ["suspended"]
