"""Money first: what is licensed before it is paid, what goes back, and what the bank takes."""

from __future__ import annotations

import pytest

from licensing_integration.models import Purchase, WebhookEvent
from tests.services.conftest import only_purchase
from tests.services.scenario import map_product, sentences, states
from tests.services.stripe.conftest import AVA, CRYPTLEX, line, show

pytestmark = pytest.mark.django_db


@pytest.fixture
def sale(rest, account, send):
    """Three studios and a plugin, paid by card, with Stripe's API at hand."""
    map_product("prod_studio", store="stripe")
    map_product("prod_plugin", store="stripe")
    session, events = account.buy(AVA, line("price_studio", 3), line("price_plugin"))
    show(rest, account)
    send(*events)
    return session


# Delayed payments


def test_a_delayed_payment_is_waited_for(tell, account, cryptlex):
    session, events = account.buy(AVA, line("price_studio"), metadata=CRYPTLEX, is_delayed=True)
    tell(*events)
    assert cryptlex.licenses == []
    tell(*account.settle(session["id"]))
    assert states(cryptlex) == ["active"]


def test_a_delayed_payment_that_fails_ends_the_wait(tell, account, cryptlex):
    session, events = account.buy(AVA, line("price_studio"), metadata=CRYPTLEX, is_delayed=True)
    tell(*events, *account.settle(session["id"], succeeds=False))
    assert cryptlex.licenses == []
    assert only_purchase().status == "not_paid"


def test_success_counts_even_when_it_comes_first(tell, account, cryptlex):
    session, events = account.buy(AVA, line("price_studio"), metadata=CRYPTLEX, is_delayed=True)
    tell(*account.settle(session["id"]), *events)
    assert states(cryptlex) == ["active"]


def test_an_active_subscription_with_a_delayed_payment_waits(tell, account, cryptlex):
    map_product("prod_team", store="stripe")
    session, events = account.subscribe(AVA, line("price_month"), is_delayed=True)
    assert account.subscriptions[session["subscription"]]["status"] == "active"
    tell(*events)
    assert cryptlex.licenses == []
    tell(*account.settle(session["id"]))
    assert states(cryptlex) == ["active"]


def test_sessions_that_sell_nothing_leave_no_purchase(tell, account, cryptlex):
    _, saved = account.set_up(AVA)
    _, left = account.abandon(AVA, line("price_studio"))
    tell(*saved, *left)
    assert cryptlex.licenses == []
    assert set(WebhookEvent.objects.values_list("state", flat=True)) <= {"applied", "ignored"}
    assert not Purchase.objects.exclude(status__in=["not_paid", "unknown"]).exists()


def test_a_trial_is_not_a_free_order(tell, account, cryptlex):
    map_product("prod_team", store="stripe")
    _, events = account.subscribe(AVA, line("price_month"), trial_days=14)
    tell(*events)
    assert states(cryptlex) == ["active"]
    assert only_purchase().status == "trial"


# Refunds


def test_a_full_refund_takes_every_license(sale, account, send, cryptlex):
    send(*account.refund(sale["payment_intent"]))
    assert set(states(cryptlex)) == {"suspended"}


def test_a_refund_without_lines_is_told_by_the_amount(sale, account, send, cryptlex):
    send(*account.refund(sale["payment_intent"], amount=9900))
    assert sorted(states(cryptlex)) == ["active"] * 3 + ["suspended"]
    send(*account.refund(sale["payment_intent"], amount=1900))
    assert sorted(states(cryptlex)) == ["active"] * 2 + ["suspended"] * 2


def test_a_refund_that_fits_nothing_asks_a_person(sale, account, send, cryptlex):
    send(*account.refund(sale["payment_intent"], amount=1234))
    assert states(cryptlex) == ["active"] * 4
    assert "12.34" in only_purchase().attention


def test_a_refund_that_fails_gives_the_licenses_back(sale, account, send, shop_clock, cryptlex):
    events = account.refund(sale["payment_intent"])
    send(*events)
    shop_clock.advance(days=2)
    (refund_id,) = account.refunds
    send(*account.fail_refund(refund_id))
    assert states(cryptlex) == ["active"] * 4


def test_a_refund_that_overtakes_its_sale_is_not_lost(rest, account, send, cryptlex):
    map_product("prod_studio", store="stripe")
    session, events = account.buy(AVA, line("price_studio", 2))
    refund = account.refund(session["payment_intent"])
    show(rest, account)
    send(*refund, *events)
    assert set(states(cryptlex)) == {"suspended"}
    assert Purchase.objects.count() == 1


def test_a_refund_of_a_subscription_is_found_by_its_invoice(rest, account, send, cryptlex):
    map_product("prod_team", store="stripe")
    session, events = account.subscribe(AVA, line("price_month", 2))
    show(rest, account)
    send(*events)
    payment = account.payment_of_invoice(session["invoice"])
    refund = account.refund(payment)
    show(rest, account)
    send(*refund)
    assert states(cryptlex) == ["suspended"] * 2


def test_a_partial_refund_of_a_subscription_takes_nothing_by_itself(rest, account, send, cryptlex):
    map_product("prod_team", store="stripe")
    session, events = account.subscribe(AVA, line("price_month", 2))
    refund = account.refund(account.payment_of_invoice(session["invoice"]), amount=1000)
    show(rest, account)
    send(*events, *refund)
    assert states(cryptlex) == ["active"] * 2
    assert "10.00" in sentences()


# Disputes


@pytest.mark.parametrize(("status", "end"), [("won", "active"), ("lost", "revoked")])
def test_a_dispute_suspends_and_its_end_decides(sale, account, send, shop_clock, cryptlex, status, end):
    opened = account.dispute(sale["payment_intent"])
    send(*opened)
    assert set(states(cryptlex)) == {"suspended"}
    shop_clock.advance(days=10)
    (dispute_id,) = account.disputes
    send(*account.close_dispute(dispute_id, status=status))
    assert set(states(cryptlex)) == {end}


def test_an_inquiry_moves_no_money_and_no_license(sale, account, send, cryptlex):
    send(*account.dispute(sale["payment_intent"], is_inquiry=True))
    assert states(cryptlex) == ["active"] * 4


def test_a_refund_of_a_payment_nobody_knows_asks_a_person_until_the_sale_comes(tell, account, cryptlex):
    map_product("prod_studio", store="stripe")
    session, events = account.buy(AVA, line("price_studio"), metadata=CRYPTLEX)
    tell(*account.refund(session["payment_intent"]))
    assert only_purchase().status == "unknown"
    assert "no sale is known" in only_purchase().attention
    assert cryptlex.licenses == []
    tell(*events)
    assert only_purchase().attention == ""
    assert states(cryptlex) == ["suspended"]
