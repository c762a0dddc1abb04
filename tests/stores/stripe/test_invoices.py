"""Invoices: what a payment extends, what it does not, and sales that were invoiced by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from licensing_integration.domain.facts import Charge, NoteFact, OrderFact, SubscriptionFact
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus
from tests.stores.stripe import expected_facts as expected
from tests.stores.stripe.old_shapes import as_acacia
from tests.stores.stripe.samples import NAMES, answer, changed, event, translate, updated

FIRST, CYCLE = "invoice.paid--subscription_create", "invoice.paid--subscription_cycle"
CHANGE, TRIAL = "invoice.paid--subscription_update-proration", "invoice.paid--subscription_create-trial-zero"
BY_HAND, FAILED = "invoice.paid--manual-from-checkout", "invoice.payment_failed--subscription_cycle"
INVOICES = [name for name in NAMES if name.startswith("invoice.") and not name.endswith("--acacia")]
TEAM_SUBSCRIPTION = "GET_v1_subscriptions_ID--expand-items-price-product-and-customer"
FETCHED_AT = "2026-11-05T13:00:30+00:00"

Invoice = dict[str, Any]


def payment(value: dict[str, Any], **fetched: Any) -> SubscriptionFact:
    (fact,) = translate(value, **fetched)
    assert isinstance(fact, SubscriptionFact)
    return fact


def charge_of(value: dict[str, Any], **fetched: Any) -> Charge:
    charge = payment(value, **fetched).charge
    assert charge is not None
    return charge


def sale(value: dict[str, Any], **fetched: Any) -> OrderFact:
    (fact,) = translate(value, **fetched)
    assert isinstance(fact, OrderFact)
    return fact


def first_line(invoice: Invoice) -> dict[str, Any]:
    line: dict[str, Any] = invoice["lines"]["data"][0]
    return line


def one_time_line(**changes: Any) -> dict[str, Any]:
    return {**event(BY_HAND)["data"]["object"]["lines"]["data"][0], **changes}


# Versions


@pytest.mark.parametrize("name", INVOICES)
def test_before_basil_an_invoice_says_the_same(name: str) -> None:
    old = as_acacia(event(name))
    assert "parent" not in old["data"]["object"]
    assert translate(old) == expected.EXPECTED[name]


def test_customers_of_an_old_version_share_no_constant() -> None:
    """Read from its new place alone, every old invoice would belong to the same, empty subscription."""
    facts = [payment(as_acacia(event(name))) for name in (FIRST, CYCLE, TRIAL)]
    assert [fact.subscription_id for fact in facts] == [expected.TEAM, expected.TEAM, expected.TRIED]


@pytest.mark.parametrize("age", [lambda value: value, as_acacia])
def test_the_subscription_is_read_from_the_invoice_where_its_lines_do_not_name_it(
    age: Callable[[Invoice], Invoice],
) -> None:
    value = age(event(CHANGE))
    value["data"]["object"]["lines"]["data"] = []
    assert payment(value).subscription_id == expected.TEAM


@pytest.mark.parametrize("spelling", ["id", "object"])
def test_the_subscription_may_be_expanded(spelling: str) -> None:
    def expand(invoice: Invoice) -> None:
        if spelling == "object":
            invoice["parent"]["subscription_details"]["subscription"] = {"id": expected.TEAM, "object": "subscription"}

    assert payment(changed(FIRST, expand)) == expected.FIRST_PAYMENT


def test_a_subscription_that_only_the_lines_name_is_found() -> None:
    assert payment(updated(CYCLE, parent=None)).subscription_id == expected.TEAM


def test_both_places_of_a_proration_are_read() -> None:
    def as_invoice_items(invoice: Invoice) -> None:
        for line in invoice["lines"]["data"]:
            details = line["parent"].pop("subscription_item_details")
            line["parent"] |= {
                "type": "invoice_item_details",
                "invoice_item_details": {**details, "invoice_item": "ii"},
            }

    assert charge_of(changed(CHANGE, as_invoice_items)) == charge_of(event(CHANGE))


# What a payment extends


def test_the_twin_events_say_the_same_but_when() -> None:
    assert payment({**event(CYCLE), "type": "invoice.payment_succeeded"}) == expected.RENEWAL


def test_a_renewal_with_prorations_beside_it_extends_to_the_end_of_its_period() -> None:
    prorations = event(CHANGE)["data"]["object"]["lines"]["data"]
    later = [{**line, "period": {"start": 1796472004, "end": 1999999999}} for line in prorations]
    for lines in (
        [*later, first_line(event(CYCLE)["data"]["object"])],
        [first_line(event(CYCLE)["data"]["object"]), *later],
    ):
        charge = charge_of(changed(CYCLE, lambda invoice, lines=lines: invoice["lines"].update(data=lines)))  # type: ignore[misc]
        assert charge == expected.RENEWAL.charge


def test_another_subscriptions_lines_on_an_invoice_extend_nothing() -> None:
    def with_another(invoice: Invoice) -> None:
        line = copy.deepcopy(invoice["lines"]["data"][0])
        line["id"] += "another"
        line["period"]["end"] += 86_400
        line["parent"]["subscription_item_details"] |= {
            "subscription": "sub_another",
            "subscription_item": "si_another",
        }
        invoice["lines"]["data"].append(line)

    assert payment(changed(CYCLE, with_another)) == expected.RENEWAL


def test_a_change_of_the_interval_begins_a_new_period_at_once() -> None:
    """Then the new full period is on the invoice as an ordinary line beside the credit for the old one."""

    def full_year(invoice: Invoice) -> None:
        line = invoice["lines"]["data"][0]
        line["parent"]["subscription_item_details"]["proration"] = False
        line["period"] = {"start": 1794744004, "end": 1826280004}

    charge = charge_of(changed(CHANGE, full_year))
    assert not charge.is_proration
    assert charge.paid_through == {expected.TEAM_ITEM: datetime(2027, 11, 15, 12, 0, 4, tzinfo=UTC)}


@pytest.mark.parametrize("reason", ["subscription_threshold", "automatic_pending_invoice_item_invoice"])
def test_invoices_for_usage_and_loose_items_are_no_renewals(reason: str) -> None:
    assert charge_of(updated(CYCLE, billing_reason=reason)).is_proration


def test_a_loose_item_on_a_renewal_extends_nothing_by_itself() -> None:
    charge = charge_of(changed(CYCLE, lambda invoice: invoice["lines"]["data"].append(one_time_line())))
    assert charge == expected.RENEWAL.charge


def test_items_of_one_subscription_may_end_at_different_times() -> None:
    def second_item(invoice: Invoice) -> None:
        line = {**first_line(invoice), "id": "il_2", "period": {"start": 1793880004, "end": 1825416004}}
        line["parent"] = {
            "type": "subscription_item_details",
            "subscription_item_details": {"subscription_item": "si_2"},
        }
        invoice["lines"]["data"].append(line)

    charge = charge_of(changed(CYCLE, second_item))
    assert charge.paid_through == {
        expected.TEAM_ITEM: expected.DECEMBER,
        "si_2": datetime(2027, 11, 5, 12, 0, 4, tzinfo=UTC),
    }


def test_the_invoices_own_period_means_nothing() -> None:
    assert charge_of(updated(CYCLE, period_end=1999999999, period_start=1999999999)) == expected.RENEWAL.charge


@pytest.mark.parametrize("status", ["draft", "open", "uncollectible", "void"])
def test_an_invoice_that_is_not_paid_changes_nothing(status: str) -> None:
    (note,) = translate(updated(CYCLE, status=status))
    assert isinstance(note, NoteFact)
    assert note.note == f"Invoice reported as paid, but its status is {status}; nothing changed."
    assert translate(updated(BY_HAND, status=status)) == ()


@pytest.mark.parametrize(("paid", "kind"), [(True, SubscriptionFact), (False, NoteFact), (None, NoteFact)])
def test_very_old_invoices_have_a_flag_instead_of_a_status(paid: bool | None, kind: type) -> None:
    (fact,) = translate(updated(CYCLE, status=None, paid=paid))
    assert isinstance(fact, kind)


def test_paid_out_of_band_is_paid() -> None:
    assert payment(updated(CYCLE, amount_paid=0, paid_out_of_band=True, attempt_count=0)) == expected.RENEWAL


# Trials


@pytest.mark.parametrize(
    ("change", "is_trial"),
    [
        (lambda line: None, True),
        (lambda line: line.update(amount=4900, subtotal=4900, discount_amounts=[{"amount": 4900}]), False),
        (lambda line: line.update(amount=0, subtotal=4900), False),
    ],
)
def test_a_trial_is_told_from_a_price_that_was_discounted_to_zero(
    change: Callable[[dict[str, Any]], None], is_trial: bool
) -> None:
    assert charge_of(changed(TRIAL, lambda invoice: change(first_line(invoice)))).is_trial is is_trial


def test_a_renewal_of_zero_is_no_trial() -> None:
    assert not charge_of(updated(TRIAL, billing_reason="subscription_cycle")).is_trial


# Items and people


def test_metadata_of_the_subscription_describes_its_first_item() -> None:
    described = {"cryptlex_product_id": "p-1"}

    def describe(invoice: Invoice) -> None:
        invoice["parent"]["subscription_details"]["metadata"] = described

    (item,) = payment(changed(FIRST, describe)).charged_items
    assert item.attributes == described
    old = as_acacia(changed(FIRST, describe))
    assert payment(old).charged_items[0].attributes == described


def test_what_was_paid_for_a_line_includes_discounts_and_taxes_on_top() -> None:
    taxes = [{"amount": 300, "tax_behavior": "exclusive"}, {"amount": 200, "tax_behavior": "inclusive"}]
    change = {"discount_amounts": [{"amount": 1000}], "taxes": taxes}
    (item,) = payment(changed(FIRST, lambda invoice: first_line(invoice).update(change))).charged_items
    assert item.subtotal == 140.0


def test_a_fetched_subscription_is_the_snapshot() -> None:
    fact = payment(event(CYCLE), subscriptions={expected.TEAM: answer(TEAM_SUBSCRIPTION)}, fetched_at=FETCHED_AT)
    assert fact.snapshot is not None
    assert [(item.line, item.quantity) for item in fact.snapshot.items] == [(expected.TEAM_ITEM, 5)]
    assert fact.snapshot_at == datetime(2026, 11, 5, 13, 0, 30, tzinfo=UTC)
    assert fact.charge == expected.RENEWAL.charge
    assert fact.customer == expected.PRIYA


def test_an_invoice_without_an_address_takes_the_customers_of_today() -> None:
    value = updated(CYCLE, customer_email=None, customer_name=None)
    assert payment(value).customer == replace(expected.PRIYA, email="", first_name="", last_name="")
    fact = payment(value, subscriptions={expected.TEAM: answer(TEAM_SUBSCRIPTION)}, fetched_at=FETCHED_AT)
    assert fact.customer == expected.PRIYA
    assert not fact.customer_is_buyer


@pytest.mark.parametrize("step", [1, -1])
def test_all_lines_of_a_long_invoice_are_read_where_they_were_fetched(step: int) -> None:
    line = first_line(event(CYCLE)["data"]["object"])
    later = {**line, "quantity": 4, "period": {"start": 1793880004, "end": 1799150404}}
    fact = payment(event(CYCLE), invoice_lines={expected.SECOND_INVOICE: [line, later][::step]})
    assert fact.charge is not None
    assert fact.charge.paid_through == {expected.TEAM_ITEM: expected.JANUARY}
    assert [item.quantity for item in fact.charged_items] == [4]


def test_payments_of_an_invoice_are_names_it_goes_by() -> None:
    payments = [{"payment": {"type": "payment_intent", "payment_intent": "pi_1"}}, {"payment": {"charge": "ch_2"}}]
    charge = charge_of(updated(CYCLE, payments={"object": "list", "data": payments}))
    assert charge.aliases == ("pi_1", "ch_2")


# One-time lines on a first invoice


@pytest.mark.parametrize("age", [lambda value: value, as_acacia])
def test_one_time_lines_of_a_first_invoice_are_an_order_beside_it(age: Callable[[Invoice], Invoice]) -> None:
    value = age(changed(FIRST, lambda invoice: invoice["lines"]["data"].append(one_time_line())))
    fact, beside = translate(value)
    assert fact == expected.FIRST_PAYMENT
    assert isinstance(beside, OrderFact)
    assert (beside.order_id, beside.status, beside.customer) == (
        expected.FIRST_INVOICE,
        PurchaseStatus.COMPLETED,
        expected.PRIYA,
    )
    assert beside.items == (replace(expected.CART_ITEMS[1], order_id=expected.FIRST_INVOICE),)


def test_one_time_lines_of_later_invoices_are_fees() -> None:
    (fact,) = translate(changed(CYCLE, lambda invoice: invoice["lines"]["data"].append(one_time_line())))
    assert fact == expected.RENEWAL


# Made by hand


@pytest.mark.parametrize("reason", ["manual", "quote_accept", None])
def test_an_invoice_made_by_hand_is_a_sale(reason: str | None) -> None:
    assert (sale(updated(BY_HAND, billing_reason=reason)),) == expected.EXPECTED[BY_HAND]


def test_an_invoice_of_another_reason_without_a_subscription_is_nothing() -> None:
    assert translate(updated(BY_HAND, billing_reason="upcoming")) == ()


def test_an_invoice_of_a_checkout_tells_what_its_session_tells() -> None:
    lines = answer("GET_v1_checkout_sessions_ID_line_items--multi-quantity")["data"]
    fact = sale(
        event(BY_HAND),
        sessions_of_invoice={expected.CART_INVOICE: expected.CART},
        sessions={expected.CART: {"line_items": lines}},
    )
    assert (fact.order_id, fact.aliases) == (expected.CART, (expected.CART_INVOICE,))
    assert fact.items == expected.CART_ITEMS


def test_an_invoice_without_a_session_keeps_its_own_id() -> None:
    assert sale(event(BY_HAND), sessions_of_invoice={expected.CART_INVOICE: ""}).order_id == expected.CART_INVOICE


def test_fetched_prices_tell_names_and_metadata() -> None:
    price = answer("GET_v1_prices_ID--expand-product")
    price_id = expected.CART_ITEMS[0].variant
    fact = sale(event(BY_HAND), prices={price_id: {**price, "id": price_id}})
    assert (fact.items[0].display, fact.items[0].attributes) == ("CAD Studio Pro", price["product"]["metadata"])


def test_metadata_of_the_invoice_describes_its_first_line() -> None:
    described = {"CRYPTLEX_PRODUCT_ID": "p-1"}
    assert [item.attributes for item in sale(updated(BY_HAND, metadata=described)).items] == [described, {}]


@pytest.mark.parametrize(
    "change",
    [
        {"pricing": None},
        {"amount": -100},
        {"parent": {"type": "invoice_item_details", "invoice_item_details": {"proration": True}}},
    ],
)
def test_hours_credits_and_prorations_are_no_products(change: dict[str, Any]) -> None:
    def only(invoice: Invoice) -> None:
        invoice["lines"]["data"] = [one_time_line(**change)]

    assert translate(changed(BY_HAND, only)) == ()


def test_an_old_invoice_made_by_hand_names_its_payment() -> None:
    fact = sale(as_acacia(event(BY_HAND), payment_intent="pi_1", charge="ch_1"))
    assert (fact.transaction_id, fact.aliases) == ("pi_1", ("pi_1", "ch_1"))


# Failures


def test_a_failed_payment_is_history_only() -> None:
    (note,) = translate(updated(FAILED, next_payment_attempt=None, attempt_count=4))
    assert isinstance(note, NoteFact)
    assert (note.kind, note.purchase_id, note.attention) == (PurchaseKind.SUBSCRIPTION, expected.TEAM, "")
    assert note.note == "Payment of 245.00 USD failed at attempt 4; Stripe has planned no further attempt."


def test_an_unpaid_invoice_made_by_hand_is_no_purchase() -> None:
    for event_type in ("invoice.payment_failed", "invoice.payment_action_required"):
        assert translate({**updated(BY_HAND, status="open"), "type": event_type}) == ()
