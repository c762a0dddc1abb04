"""Refunds and disputes: which payment, how much, and whether it still counts."""

from __future__ import annotations

from typing import Any

import pytest

from licensing_integration.domain.facts import DisputeFact, NoteFact, ReturnFact
from licensing_integration.domain.outcomes import PurchaseKind
from licensing_integration.exceptions import MalformedPayload, UnsupportedEvent
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.stripe.refunds import (
    translate_charge_refunded,
    translate_dispute,
    translate_refund,
)
from tests.stores.stripe.samples import event, updated

CHARGE, PAYMENT = "ch_3vAVL2PqLk8WmTzDgUVQ9K5n", "pi_3IuxklPqLk8WmTzD10sx1dkN"
REFUND, DISPUTE = "re_3kojtqPqLk8WmTzDVndHJ6Gi", "du_1etYlQPqLk8WmTzDh6NfYJAl"


def refunded(value: dict[str, Any], **fetched: Any) -> ReturnFact:
    (fact,) = translate_charge_refunded(Payload(value, fetched=fetched))
    assert isinstance(fact, ReturnFact)
    return fact


def refund(value: dict[str, Any], **fetched: Any) -> ReturnFact:
    (fact,) = translate_refund(Payload(value, fetched=fetched))
    assert isinstance(fact, ReturnFact)
    return fact


def dispute(value: dict[str, Any], **fetched: Any) -> DisputeFact:
    (fact,) = translate_dispute(Payload(value, fetched=fetched))
    assert isinstance(fact, DisputeFact)
    return fact


# Charges


def test_a_full_refund_gives_everything_back() -> None:
    fact = refunded(event("charge.refunded--full"))
    assert (fact.return_id, fact.order_id) == (f"charge:{CHARGE}", PAYMENT)
    assert (fact.is_whole_order, fact.amount, fact.is_cumulative, fact.has_failed) == (True, 299.0, True, False)
    assert fact.note == "Full refund: 299.00 USD."
    assert not fact.is_live


def test_a_partial_refund_tells_how_much_has_been_refunded_in_all() -> None:
    fact = refunded(event("charge.refunded--partial"))
    assert (fact.is_whole_order, fact.amount, fact.is_cumulative) == (False, 49.0, True)
    assert fact.note == "Partial refund: 49.00 USD of 147.00 USD."


@pytest.mark.parametrize(
    ("currency", "amount", "expected", "words"),
    [
        ("jpy", 29900, 29900.0, "29900 JPY"),
        ("bhd", 29900, 29.9, "29.900 BHD"),
        ("idr", 5 * 10**9, 5e7, "50000000.00 IDR"),
    ],
)
def test_the_amount_is_in_major_units_whatever_the_currency(
    currency: str, amount: int, expected: float, words: str
) -> None:
    fact = refunded(updated("charge.refunded--full", currency=currency, amount_refunded=amount))
    assert fact.amount == expected
    assert words in fact.note


# What it was for


@pytest.mark.parametrize(
    ("name", "translate"),
    [("charge.refunded--full", refunded), ("refund.created", refund), ("charge.dispute.created", dispute)],
)
@pytest.mark.parametrize(
    ("changes", "fetched", "expected"),
    [
        ({}, {"invoices_of_payment": {PAYMENT: "in_9"}}, "in_9"),
        ({}, {"invoices_of_payment": {PAYMENT: ""}}, PAYMENT),
        ({}, {"invoices_of_payment": {"pi_other": "in_9"}}, PAYMENT),
        ({"payment_intent": None}, {}, CHARGE),
        ({"payment_intent": {"id": "pi_8", "object": "payment_intent"}}, {}, "pi_8"),
        ({"payment_intent": {"id": "pi_8", "object": "payment_intent", "invoice": "in_7"}}, {}, "in_7"),
        ({"invoice": "in_6"}, {}, "in_6"),
        ({"invoice": {"id": "in_6", "object": "invoice"}}, {}, "in_6"),
    ],
)
def test_a_payment_is_named_by_its_invoice_else_its_intent_else_its_charge(
    name: str, translate: Any, changes: dict[str, Any], fetched: dict[str, Any], expected: str
) -> None:
    assert translate(updated(name, **changes), **fetched).order_id == expected


@pytest.mark.parametrize(("name", "translate"), [("refund.created", refund), ("charge.dispute.created", dispute)])
def test_a_charge_that_came_with_it_names_the_payment_too(name: str, translate: Any) -> None:
    charge = {"id": CHARGE, "object": "charge", "payment_intent": "pi_old", "invoice": None}
    assert translate(updated(name, payment_intent=None, charge=charge)).order_id == "pi_old"
    assert translate(updated(name, payment_intent=None, charge={**charge, "invoice": "in_old"})).order_id == "in_old"


def test_a_refund_of_nothing_is_malformed() -> None:
    with pytest.raises(MalformedPayload, match=r"data\.object\.charge: missing"):
        refund(updated("refund.created", payment_intent=None, charge=None))


# Single refunds


@pytest.mark.parametrize("name", ["refund.created", "refund.updated"])
def test_a_refund_is_one_of_its_own(name: str) -> None:
    fact = refund(event(name))
    assert (fact.return_id, fact.order_id, fact.amount) == (REFUND, PAYMENT, 299.0)
    assert (fact.is_whole_order, fact.is_cumulative, fact.has_failed) == (False, False, False)
    assert fact.note == "Refund of 299.00 USD (requested_by_customer)."


@pytest.mark.parametrize("status", ["pending", "requires_action", "succeeded"])
def test_a_refund_on_its_way_counts_as_given(status: str) -> None:
    fact = refund(updated("refund.updated", status=status))
    assert not fact.has_failed
    assert ("not yet completed" in fact.note) == (status != "succeeded")


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_refund_that_did_not_go_through_is_taken_back(status: str) -> None:
    fact = refund(updated("refund.updated", status=status, failure_reason="expired_or_canceled_card"))
    assert fact.has_failed
    assert fact.return_id == REFUND
    assert fact.note == "Refund of 299.00 USD did not go through (expired_or_canceled_card)."


def test_an_event_of_the_old_kind_says_the_same() -> None:
    old = {**event("refund.updated"), "type": "charge.refund.updated"}
    assert refund(old) == refund(event("refund.updated"))


# Disputes


@pytest.mark.parametrize(
    ("name", "is_open", "is_lost"),
    [
        ("charge.dispute.created", True, False),
        ("charge.dispute.funds_withdrawn", True, False),
        ("charge.dispute.created--inquiry", False, False),
        ("charge.dispute.closed--won", False, False),
        ("charge.dispute.funds_reinstated", False, False),
        ("charge.dispute.closed--lost", False, True),
    ],
)
def test_a_dispute_is_what_its_status_says(name: str, is_open: bool, is_lost: bool) -> None:
    fact = dispute(event(name))
    assert (fact.is_open, fact.is_lost) == (is_open, is_lost)


@pytest.mark.parametrize(
    ("status", "is_open", "is_lost"),
    [
        ("needs_response", True, False),
        ("under_review", True, False),
        ("appeal_needs_response", True, False),
        ("appeal_under_review", True, False),
        ("warning_needs_response", False, False),
        ("warning_under_review", False, False),
        ("warning_closed", False, False),
        ("won", False, False),
        ("prevented", False, False),
        ("lost", False, True),
    ],
)
def test_every_status_of_a_dispute_is_known(status: str, is_open: bool, is_lost: bool) -> None:
    fact = dispute(updated("charge.dispute.closed--won", status=status))
    assert (fact.dispute_id, fact.order_id) == (DISPUTE, PAYMENT)
    assert (fact.is_open, fact.is_lost) == (is_open, is_lost)


def test_a_dispute_says_what_it_is_about_and_names_nobody() -> None:
    assert dispute(event("charge.dispute.created")).note == "Dispute over 299.00 USD (fraudulent): needs response."
    inquiry = dispute(event("charge.dispute.created--inquiry"))
    assert inquiry.note == "Inquiry by the buyer's bank over 147.00 USD (general): warning needs response."


def test_a_status_nobody_knows_changes_nothing_and_asks_for_a_look() -> None:
    (fact,) = translate_dispute(Payload(updated("charge.dispute.closed--won", status="arbitration")))
    assert isinstance(fact, NoteFact)
    assert (fact.kind, fact.purchase_id) == (PurchaseKind.ORDER, PAYMENT)
    assert "'arbitration'" in fact.attention
    assert DISPUTE in fact.attention


@pytest.mark.parametrize(
    ("name", "translate"),
    [
        ("charge.refunded--full", translate_charge_refunded),
        ("refund.created", translate_refund),
        ("charge.dispute.created", translate_dispute),
    ],
)
def test_the_money_of_a_connected_account_is_not_ours(name: str, translate: Any) -> None:
    with pytest.raises(UnsupportedEvent, match="connected account"):
        translate(Payload({**event(name), "account": "acct_1"}))
