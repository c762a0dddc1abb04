"""Checkout sessions: what was bought, by whom, and whether it is paid."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from licensing_integration.domain.facts import Customer, OrderFact, SubscriptionFact
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus
from licensing_integration.exceptions import MalformedPayload
from tests.stores.stripe import expected_facts as expected
from tests.stores.stripe.samples import answer, event, translate, updated

PAID, CART = "checkout.session.completed--payment-paid", "checkout.session.completed--multi-quantity"
SUBSCRIBED, TRIAL = "checkout.session.completed--subscription", "checkout.session.completed--subscription-trial"
FREE, SUCCEEDED = "checkout.session.completed--payment-no-cost", "checkout.session.async_payment_succeeded"
FAILED, EXPIRED = "checkout.session.async_payment_failed", "checkout.session.expired"
FETCHED_AT = "2026-10-05T12:00:30+00:00"
DESCRIBED = {"CRYPTLEX_PRODUCT_ID": "p-1", "CRYPTLEX_LICENSE_TEMPLATE": "t-1", "order_ref": "web-order-1"}
TEAM_SUBSCRIPTION = "GET_v1_subscriptions_ID--expand-items-price-product-and-customer"


def order(value: dict[str, Any], **fetched: Any) -> OrderFact:
    (fact,) = translate(value, **fetched)
    assert isinstance(fact, OrderFact)
    return fact


def subscription(value: dict[str, Any], **fetched: Any) -> SubscriptionFact:
    fact = translate(value, **fetched)[0]
    assert isinstance(fact, SubscriptionFact)
    return fact


def lines_of(name: str) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = answer(f"GET_v1_checkout_sessions_ID_line_items--{name}")["data"]
    return data


def cart(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return {"sessions": {expected.CART: {"line_items": lines}}}


def team_session(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return {"sessions": {event(SUBSCRIBED)["data"]["object"]["id"]: {"line_items": lines}}}


# What was bought


def test_fetched_lines_tell_every_product_and_quantity() -> None:
    fact = order(event(CART), **cart(lines_of("multi-quantity")))
    assert fact.items == expected.CART_ITEMS
    assert not fact.items_are_guessed
    assert fact.note == "Checkout paid: 1593.00 USD, for 2 × Render Farm Add-on, 5 × CAD Studio Lifetime."


def test_a_session_and_its_invoice_tell_the_same_lines() -> None:
    fact = order(event(CART), **cart(lines_of("multi-quantity")))
    (invoice,) = expected.EXPECTED["invoice.paid--manual-from-checkout"]
    assert isinstance(invoice, OrderFact)
    assert [replace(item, order_id="") for item in fact.items] == [replace(i, order_id="") for i in invoice.items]
    assert invoice.order_id in fact.aliases


@pytest.mark.parametrize("order_of_lines", [1, -1])
def test_a_price_on_several_lines_is_named_alike_however_they_are_listed(order_of_lines: int) -> None:
    (line, _) = lines_of("multi-quantity")
    lines = [{**line, "id": f"li_{quantity}", "quantity": quantity} for quantity in (2, 7, 3)][::order_of_lines]
    fact = order(event(CART), **cart(lines))
    price = line["price"]["id"]
    assert [(item.line, item.quantity) for item in fact.items] == [(price, 7), (f"{price}#2", 3), (f"{price}#3", 2)]


def test_a_line_without_a_price_is_still_a_line() -> None:
    fact = order(event(CART), **cart([{"id": "li_1", "quantity": None, "description": "Something", "price": None}]))
    (item,) = fact.items
    assert (item.line, item.product, item.variant, item.quantity, item.display) == ("li_1", "", "", 1, "Something")


def test_what_was_paid_for_a_line_includes_its_discount_and_tax() -> None:
    (line, _) = lines_of("multi-quantity")
    line |= {"amount_discount": 10000, "amount_tax": 500, "amount_total": 140000}
    assert order(event(CART), **cart([line])).items[0].subtotal == 1400.0


@pytest.mark.parametrize(
    ("currency", "subtotal"), [("jpy", 149500.0), ("eur", 1495.0), ("kwd", 149.5), ("ugx", 1495.0)]
)
def test_amounts_are_in_major_units(currency: str, subtotal: float) -> None:
    (line, _) = lines_of("multi-quantity")
    assert order(event(CART), **cart([{**line, "currency": currency}])).items[0].subtotal == subtotal


@pytest.mark.parametrize("quantity", ["many", -1, 1.5, True])
def test_an_unreadable_quantity_is_never_guessed(quantity: object) -> None:
    (line, _) = lines_of("multi-quantity")
    with pytest.raises(MalformedPayload, match="quantity"):
        translate(event(CART), **cart([{**line, "quantity": quantity}]))


def test_without_lines_the_purchase_is_guessed_from_its_metadata() -> None:
    fact = order(updated(PAID, metadata=DESCRIBED))
    assert fact.items_are_guessed
    assert [(item.line, item.product, item.quantity, item.attributes) for item in fact.items] == [
        ("main", "", 1, DESCRIBED)
    ]


def test_metadata_that_describes_no_license_is_left_out() -> None:
    assert order(updated(PAID, metadata={"order_ref": "web-order-1"})).items[0].attributes == {}


# Which metadata counts


def described_line(**places: dict[str, str]) -> dict[str, Any]:
    """The cart's line that comes first by name, with metadata in places."""
    (_, line) = lines_of("multi-quantity")
    line["metadata"] = places.get("line", {})
    line["price"]["metadata"] = places.get("price", {})
    line["price"]["product"] = {"id": "prod_x", "name": "Render Farm", "metadata": places.get("product", {})}
    return line


@pytest.mark.parametrize("first", ["session", "line", "price", "product"])
def test_the_first_metadata_that_describes_a_license_gives_all_its_pairs(first: str) -> None:
    places = ["session", "line", "price", "product"]
    told = {place: {"cryptlex_product_id": place, "only": place} for place in places[places.index(first) :]}
    told |= {place: {"order_ref": "not about licenses"} for place in places[: places.index(first)]}
    fact = order(updated(CART, metadata=told["session"]), **cart([described_line(**told)]))
    assert fact.items[0].attributes == {"cryptlex_product_id": first, "only": first}


@pytest.mark.parametrize(
    "key", ["cryptlex_product_id", "CRYPTLEX_PRODUCT_ID", " Cryptlex_License_Template", "Product_Short_Code"]
)
def test_the_vendors_names_are_known_in_any_case(key: str) -> None:
    assert order(updated(PAID, metadata={key: "x"})).items[0].attributes == {key: "x"}


def test_the_metadata_of_a_session_describes_its_first_line_only() -> None:
    lines = lines_of("multi-quantity")
    fact = order(updated(CART, metadata=DESCRIBED), **cart(lines))
    assert [item.attributes for item in fact.items] == [DESCRIBED, {}]
    assert fact.items[0].line == min(item.line for item in fact.items)


# Paid or not


@pytest.mark.parametrize("status", ["paid", "no_payment_required", "something_new"])
def test_everything_but_unpaid_is_delivered(status: str) -> None:
    assert order(updated(PAID, payment_status=status)).status is PurchaseStatus.COMPLETED


def test_an_unpaid_session_waits() -> None:
    fact = order(updated(PAID, payment_status="unpaid"))
    assert (fact.status, fact.items, fact.items_are_guessed) == (PurchaseStatus.PENDING, (), False)


def test_a_session_that_does_not_say_whether_it_is_paid_is_malformed() -> None:
    with pytest.raises(MalformedPayload, match="payment_status: missing"):
        translate(updated(PAID, payment_status=None))


def test_a_delayed_payment_that_succeeded_counts_whatever_the_session_still_says() -> None:
    assert order(updated(SUCCEEDED, payment_status="unpaid")).status is PurchaseStatus.COMPLETED


@pytest.mark.parametrize("payment_status", ["no_payment_required", "paid", "unpaid"])
def test_setting_up_a_payment_method_sells_nothing(payment_status: str) -> None:
    assert translate(updated(PAID, mode="setup", payment_status=payment_status)) == ()


def test_a_mode_of_the_future_is_not_taken_for_a_sale() -> None:
    with pytest.raises(MalformedPayload, match="a mode we do not know"):
        translate(updated(PAID, mode="donation"))


@pytest.mark.parametrize("mode", ["subscription", "setup"])
def test_what_expires_without_a_sale_is_nothing(mode: str) -> None:
    assert translate(updated(EXPIRED, mode=mode)) == ()


def test_free_orders_share_no_transaction() -> None:
    assert order(event(FREE)).transaction_id is None
    assert order(event(FREE)).aliases == ()


def test_ids_may_be_expanded() -> None:
    changes = {
        "payment_intent": {"id": expected.CART_PAYMENT, "object": "payment_intent"},
        "invoice": {"id": expected.CART_INVOICE},
        "customer": {"id": expected.ORBIT.external_id},
    }
    assert (order(updated(CART, **changes)),) == expected.EXPECTED[CART]


# Who bought


@pytest.mark.parametrize(
    ("details", "prefilled", "customer"),
    [
        (
            {"email": " Ava@Example.COM ", "name": "Ava  Lind"},
            None,
            Customer(email="ava@example.com", first_name="Ava", last_name="Lind"),
        ),
        ({"email": "a@example.com"}, "b@example.com", Customer(email="a@example.com")),
        ({"email": None, "name": "Ava"}, "B@example.com", Customer(email="b@example.com", first_name="Ava")),
        (None, "b@example.com", Customer(email="b@example.com")),
        (None, None, Customer()),
        ({"email": "x" * 300 + "@example.com"}, None, Customer()),
        (
            {"email": "a@example.com", "name": "Acme Ltd", "business_name": "Acme Ltd"},
            None,
            Customer(email="a@example.com", first_name="Acme Ltd", company="Acme Ltd"),
        ),
        (
            {"email": "a@example.com", "name": "Acme Ltd", "business_name": "Acme Ltd", "individual_name": "Ava Lind"},
            None,
            Customer(email="a@example.com", first_name="Ava", last_name="Lind", company="Acme Ltd"),
        ),
    ],
)
def test_who_filled_in_the_checkout_comes_first(details: object, prefilled: object, customer: Customer) -> None:
    assert order(updated(PAID, customer_details=details, customer_email=prefilled)).customer == customer


# Subscriptions


def test_a_subscription_that_is_not_paid_yet_is_known_and_not_confirmed() -> None:
    fact = subscription(updated(SUBSCRIBED, payment_status="unpaid"))
    assert (fact.charge, fact.is_confirmed, fact.customer) == (None, False, expected.PRIYA)
    assert fact.note == "Subscription bought in Checkout; its payment is on the way and takes days."


def test_a_subscription_that_is_made_only_after_the_payment_is_nothing_yet() -> None:
    assert translate(updated(SUBSCRIBED, payment_status="unpaid", subscription=None, invoice=None)) == ()
    with pytest.raises(MalformedPayload, match="subscription: missing"):
        translate(updated(SUBSCRIBED, subscription=None))


def test_a_delayed_payment_of_a_subscription_confirms_it() -> None:
    value = {**updated(SUBSCRIBED, payment_status="unpaid"), "type": SUCCEEDED}
    assert subscription(value) == replace(
        expected.CHECKOUTS[SUBSCRIBED][0], note="Subscription bought in Checkout, 147.00 USD paid."
    )


def test_a_delayed_payment_of_a_subscription_that_failed_is_history() -> None:
    (note,) = translate({**event(SUBSCRIBED), "type": FAILED})
    assert (note.kind, note.purchase_id) == (PurchaseKind.SUBSCRIPTION, expected.TEAM)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "is_trial"),
    [
        ({}, True),
        ({"payment_status": "paid"}, True),
        ({"amount_subtotal": None}, True),
        ({"amount_subtotal": 4900, "payment_status": "paid"}, False),
        ({"amount_subtotal": 4900, "total_details": {"amount_discount": 4900}}, False),
        ({"amount_subtotal": 4900, "total_details": {"amount_discount": 0}}, True),
    ],
)
def test_a_trial_is_told_from_a_price_that_was_discounted_to_zero(changes: dict[str, Any], is_trial: bool) -> None:
    fact = subscription(updated(TRIAL, **changes))
    assert fact.charge is not None
    assert fact.charge.is_trial is is_trial
    assert ("Trial" in fact.note) is is_trial


def test_a_fetched_subscription_is_the_snapshot_and_session_metadata_stays_apart() -> None:
    current = answer(TEAM_SUBSCRIPTION)
    value = updated(SUBSCRIBED, metadata=DESCRIBED)
    fact = subscription(value, subscriptions={expected.TEAM: current}, fetched_at=FETCHED_AT)
    assert fact.snapshot is not None
    assert fact.snapshot.items[0].attributes == current["items"]["data"][0]["price"]["product"]["metadata"]
    assert fact.guessed_item is not None
    assert fact.guessed_item.attributes == DESCRIBED
    assert (fact.snapshot_rank, fact.snapshot_at) == (1, datetime(2026, 10, 5, 12, 0, 30, tzinfo=UTC))


def test_a_single_fetched_line_tells_what_was_subscribed_to() -> None:
    fact = subscription(event(SUBSCRIBED), **team_session(lines_of("subscription")))
    guess = fact.guessed_item
    assert guess is not None
    assert (guess.line, guess.product, guess.variant, guess.quantity) == ("main", expected.PRO, expected.PRO_PRICE, 3)
    assert fact.note == "Subscription bought in Checkout: 3 × CAD Studio Pro, 147.00 USD paid."


def test_one_time_lines_of_a_subscription_checkout_are_an_order_beside_it() -> None:
    lines = [*lines_of("subscription"), *lines_of("multi-quantity")]
    fact, beside = translate(updated(SUBSCRIBED, metadata=DESCRIBED), **team_session(lines))
    assert isinstance(fact, SubscriptionFact)
    assert isinstance(beside, OrderFact)
    session_id = event(SUBSCRIBED)["data"]["object"]["id"]
    assert (beside.order_id, beside.aliases, beside.status) == (
        session_id,
        (expected.FIRST_INVOICE,),
        PurchaseStatus.COMPLETED,
    )
    assert beside.items == tuple(replace(item, order_id=session_id) for item in expected.CART_ITEMS)
    assert beside.customer == expected.PRIYA
    assert beside.note == "Bought together with a subscription: 2 × Render Farm Add-on, 5 × CAD Studio Lifetime."
