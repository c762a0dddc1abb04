"""Subscriptions: their state, and the words for what changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from licensing_integration.domain.facts import Customer, NoteFact, Subscription, SubscriptionFact
from licensing_integration.domain.outcomes import PurchaseStatus
from tests.stores.stripe import expected_facts as expected
from tests.stores.stripe.old_shapes import as_acacia
from tests.stores.stripe.samples import answer, changed, event, translate, updated

RENEWAL, QUANTITY = "customer.subscription.updated--renewal", "customer.subscription.updated--quantity-3-to-5"
TRIALING, CREATED = "customer.subscription.created--trialing", "customer.subscription.created"
DELETED, PAST_DUE = "customer.subscription.deleted--period-end", "customer.subscription.updated--past_due"
PAUSED_COLLECTION = "customer.subscription.updated--pause_collection"
TEAM_SUBSCRIPTION = "GET_v1_subscriptions_ID--expand-items-price-product-and-customer"
FETCHED_AT = "2026-11-16T08:00:00+00:00"


def one(value: dict[str, Any], **fetched: Any) -> SubscriptionFact:
    (fact,) = translate(value, **fetched)
    assert isinstance(fact, SubscriptionFact)
    return fact


def snapshot_of(value: dict[str, Any], **fetched: Any) -> Subscription:
    snapshot = one(value, **fetched).snapshot
    assert snapshot is not None
    return snapshot


def current(**changes: Any) -> dict[str, Any]:
    """What is fetched of Priya's subscription."""
    return {"subscriptions": {expected.TEAM: {**answer(TEAM_SUBSCRIPTION), **changes}}, "fetched_at": FETCHED_AT}


def first_item(subscription: dict[str, Any]) -> dict[str, Any]:
    item: dict[str, Any] = subscription["items"]["data"][0]
    return item


# Versions


@pytest.mark.parametrize("name", [name for name in sorted(expected.LIFECYCLE) if not name.endswith("--acacia")])
def test_before_basil_a_subscription_says_the_same(name: str) -> None:
    old = as_acacia(event(name))
    if "status_details" in event(name)["data"]["object"]:
        assert snapshot_of(old) == snapshot_of(event(name))
    else:
        assert translate(old) == expected.EXPECTED[name]


def test_a_plan_of_old_is_read_like_a_price() -> None:
    def to_plan(subscription: dict[str, Any]) -> None:
        first_item(subscription).pop("price")

    value = changed("customer.subscription.updated--renewal-basil-shape", to_plan)
    assert snapshot_of(value) == expected.solo(expected.ACTIVE)


# State


@pytest.mark.parametrize(
    ("status", "expected_status", "overdue"),
    [
        ("trialing", PurchaseStatus.TRIAL, False),
        ("active", PurchaseStatus.ACTIVE, False),
        ("past_due", PurchaseStatus.OVERDUE, True),
        ("unpaid", PurchaseStatus.UNPAID, True),
        ("paused", PurchaseStatus.PAUSED, False),
        ("canceled", PurchaseStatus.ENDED, False),
        ("incomplete", PurchaseStatus.PENDING, False),
        ("incomplete_expired", PurchaseStatus.NOT_PAID, False),
    ],
)
def test_every_status_of_stripe(status: str, expected_status: PurchaseStatus, overdue: bool) -> None:
    fact = one(updated(RENEWAL, status=status))
    assert fact.snapshot is not None
    assert (fact.snapshot.status, fact.overdue) == (expected_status, overdue)
    assert fact.snapshot.is_paid_by_charges


def test_a_status_of_the_future_asks_for_a_person_and_changes_nothing() -> None:
    (fact,) = translate(updated(RENEWAL, status="hibernating"))
    assert isinstance(fact, NoteFact)
    assert (fact.purchase_id, "hibernating" in fact.attention) == (expected.TEAM, True)


@pytest.mark.parametrize(
    ("changes", "status", "ends_at"),
    [
        ({"cancel_at": 1796472004}, PurchaseStatus.CANCELED, expected.DECEMBER),
        ({"cancel_at_period_end": True}, PurchaseStatus.CANCELED, expected.DECEMBER),
        ({"cancel_at_period_end": True, "cancel_at": 1799150404}, PurchaseStatus.CANCELED, expected.JANUARY),
        ({"cancel_at": 1796472004, "status": "past_due"}, PurchaseStatus.OVERDUE, expected.DECEMBER),
        ({"cancel_at": 1796472004, "status": "trialing"}, PurchaseStatus.TRIAL, expected.DECEMBER),
        ({"canceled_at": 1796472004}, PurchaseStatus.ACTIVE, None),
        ({"status": "canceled", "ended_at": 1796472004, "canceled_at": 1}, PurchaseStatus.ENDED, expected.DECEMBER),
        ({"status": "canceled", "canceled_at": 1796472004}, PurchaseStatus.ENDED, expected.DECEMBER),
    ],
)
def test_how_a_subscription_ends(changes: dict[str, Any], status: PurchaseStatus, ends_at: datetime | None) -> None:
    snapshot = snapshot_of(updated(RENEWAL, **changes))
    assert (snapshot.status, snapshot.ends_at) == (status, ends_at)


@pytest.mark.parametrize(
    ("changes", "paid_through"),
    [
        ({}, None),
        ({"status": "past_due"}, None),
        ({"status": "trialing", "trial_end": 1799150404}, expected.JANUARY),
        ({"status": "trialing"}, expected.DECEMBER),
        ({"pause_collection": {"behavior": "void"}}, expected.DECEMBER),
        ({"pause_collection": {"behavior": "void"}, "status": "unpaid"}, None),
        ({"pause_collection": {"behavior": "void"}, "status": "canceled", "ended_at": 1796472004}, None),
    ],
)
def test_only_trials_and_paused_collection_run_without_an_invoice(
    changes: dict[str, Any], paid_through: datetime | None
) -> None:
    assert snapshot_of(updated(RENEWAL, **changes)).paid_through == paid_through


def test_what_is_billed_by_usage_is_paid_afterwards() -> None:
    def meter(subscription: dict[str, Any]) -> None:
        item = first_item(subscription)
        item.pop("quantity")
        item["price"]["recurring"]["usage_type"] = "metered"

    snapshot = snapshot_of(changed(RENEWAL, meter))
    assert snapshot.paid_through == expected.DECEMBER
    assert [item.quantity for item in snapshot.items] == [1]


@pytest.mark.parametrize(
    ("recurring", "interval"),
    [
        ({"interval": "year", "interval_count": 1}, "P1Y"),
        ({"interval": "week", "interval_count": 2}, "P2W"),
        ({"interval": "day"}, "P1D"),
        ({"interval": "decade", "interval_count": 1}, ""),
        ({"interval": "month", "interval_count": 0}, ""),
    ],
)
def test_the_interval(recurring: dict[str, Any], interval: str) -> None:
    value = changed(RENEWAL, lambda subscription: first_item(subscription)["price"].update(recurring=recurring))
    assert snapshot_of(value).interval == interval


def test_a_pending_update_is_not_yet_the_state() -> None:
    pending = {"subscription_items": [{"id": expected.TEAM_ITEM, "quantity": 50}]}
    assert snapshot_of(updated(RENEWAL, pending_update=pending)) == snapshot_of(event(RENEWAL))


def test_several_items_are_told_in_a_fixed_order_and_metadata_goes_to_the_first() -> None:
    described = {"cryptlex_product_id": "p-1"}

    def add(subscription: dict[str, Any]) -> None:
        other = {**first_item(subscription), "id": "si_1", "metadata": {"cryptlex_product_id": "p-2"}}
        subscription["items"]["data"] += [other]
        subscription["metadata"] = described

    first, second = snapshot_of(changed(RENEWAL, add)).items
    assert [first.line, second.line] == ["si_1", expected.TEAM_ITEM]
    assert [first.attributes, second.attributes] == [described, {}]


# Fetched


def test_what_was_fetched_counts_and_says_when() -> None:
    fact = one(event(RENEWAL), **current())
    assert fact.snapshot is not None
    (item,) = fact.snapshot.items
    assert (item.quantity, item.display) == (5, "CAD Studio Pro")
    assert item.attributes["cryptlex_product_id"] == "7959026d-9ae6-42f5-ae94-8ba85ce1441e"
    assert (fact.customer, fact.is_confirmed) == (expected.PRIYA, True)
    assert (fact.snapshot_rank, fact.snapshot_at) == (1, datetime(2026, 11, 16, 8, tzinfo=UTC))


def test_without_an_address_the_event_alone_issues_nothing() -> None:
    fact = one(event(RENEWAL), **current(customer={"id": "cus_9zoSTOdmptEFNF", "deleted": True}))
    assert (fact.customer, fact.is_confirmed) == (Customer(external_id="cus_9zoSTOdmptEFNF"), False)


def test_a_subscription_stripe_no_longer_knows_is_read_from_the_event() -> None:
    assert translate(event(RENEWAL), fetched_at=FETCHED_AT) == expected.LIFECYCLE[RENEWAL]


@pytest.mark.parametrize(("name", "rank"), [(CREATED, 1), (RENEWAL, 1), (DELETED, 2)])
def test_what_was_fetched_is_at_least_as_new_as_a_change(name: str, rank: int) -> None:
    assert one(event(name), **current()).snapshot_rank == rank


def test_a_late_event_says_how_it_turned_out() -> None:
    fact = one(event(PAST_DUE), **current())
    assert fact.note == "Payment overdue, Stripe keeps trying. By the time of reading Stripe reported it as active."
    # When and for which period it was overdue is known all the same; what counts now is the snapshot.
    assert (fact.overdue, fact.overdue_at) == (True, fact.occurred_at)
    assert fact.snapshot is not None
    assert fact.snapshot.status is PurchaseStatus.ACTIVE


def test_product_names_are_taken_from_what_was_fetched() -> None:
    assert one(event(QUANTITY), **current()).note == "Quantity changed from 3 to 5 (CAD Studio Pro)."


# Words


def words(before: dict[str, Any] | None, **now: Any) -> str:
    value = updated(RENEWAL, **now)
    value["data"]["previous_attributes"] = before
    return one(value).note


@pytest.mark.parametrize(
    ("before", "now", "sentence"),
    [
        (None, {}, "Subscription updated."),
        ({}, {}, "Subscription updated."),
        ({"latest_invoice": "in_1"}, {}, "Subscription updated."),
        ({"default_payment_method": "pm_1"}, {}, "Payment method changed."),
        ({"metadata": {"secret": "x"}}, {}, "Metadata changed."),
        ({"status": "incomplete"}, {}, "First payment received."),
        (
            {"status": "incomplete"},
            {"status": "incomplete_expired"},
            "First payment never made, the subscription came to nothing.",
        ),
        ({"status": "active"}, {"status": "paused"}, "Subscription paused."),
        ({"status": "active"}, {"status": "trialing"}, "Status changed from active to trialing."),
        ({"pause_collection": {"behavior": "void"}}, {}, "Collection of payments goes on."),
        (
            {"pause_collection": None},
            {"pause_collection": {}},
            "Collection of payments paused by the seller, the service goes on.",
        ),
        ({"pending_update": None}, {"pending_update": {"expires_at": 1}}, "A change waits for its payment."),
        (
            {"trial_end": 1793520000},
            {"status": "trialing", "trial_end": 1794729600},
            "End of the trial moved to 15 November 2026.",
        ),
        (
            {"cancel_at_period_end": False},
            {"cancel_at_period_end": True},
            "Cancellation scheduled, usable until 5 December 2026.",
        ),
        ({"cancel_at_period_end": True}, {}, "Cancellation withdrawn, the subscription renews again."),
        ({"cancel_at": None}, {"cancel_at": 1796472004}, "Cancellation scheduled, usable until 5 December 2026."),
        (
            {"cancel_at": None, "cancel_at_period_end": False},
            {"cancel_at": 1796472004, "cancel_at_period_end": True},
            "Cancellation scheduled, usable until 5 December 2026.",
        ),
        (
            {"cancel_at": 1796472004, "cancel_at_period_end": True},
            {},
            "Cancellation withdrawn, the subscription renews again.",
        ),
        ({"status": 7, "items": 7}, {}, "Subscription updated."),
        ({"items": {"data": [7]}}, {}, "Subscription updated."),
        ("nonsense", {}, "Subscription updated."),
    ],
)
def test_what_changed_in_words(before: dict[str, Any] | None, now: dict[str, Any], sentence: str) -> None:
    assert words(before, **now) == sentence


def test_items_that_came_and_went_in_words() -> None:
    gone = {
        **first_item(event(RENEWAL)["data"]["object"]),
        "id": "si_0",
        "price": {"id": "price_0", "nickname": "Basic"},
    }
    assert words({"items": {"data": [gone]}}) == "Added: 3 × prod_IQoZULjEhuxvnd. No longer subscribed to: Basic."


def test_words_never_touch_the_state() -> None:
    value = event(QUANTITY)
    plain = one(value)
    value["data"]["previous_attributes"] = {"items": {"data": "nonsense"}, "status": "canceled"}
    assert replace(one(value), note="") == replace(plain, note="")


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        (CREATED, {"status": "incomplete"}, "Subscription created: 3 × prod_IQoZULjEhuxvnd; its first payment is due."),
        (DELETED, {"cancellation_details": None}, "Subscription ended."),
        (DELETED, {"cancellation_details": {"reason": "something_new"}}, "Subscription ended."),
        ("customer.subscription.paused", {"status_details": None}, "Subscription paused."),
        ("customer.subscription.trial_will_end", {"trial_end": None}, "Trial ends soon."),
    ],
)
def test_other_sentences(name: str, changes: dict[str, Any], sentence: str) -> None:
    assert one(updated(name, **changes)).note == sentence


def test_a_change_that_was_not_paid_in_time_is_dropped() -> None:
    value = {
        **event("customer.subscription.pending_update_applied"),
        "type": "customer.subscription.pending_update_expired",
    }
    assert one(value).note == "Change that waited for its payment was dropped: it was not paid in time."
