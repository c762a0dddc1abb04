"""Subscriptions as they are, from an event about one or as ``enrich`` fetched it.

Stripe moves the period forward before the renewal is paid, so a subscription proves no payment; its invoices do.
https://docs.stripe.com/billing/subscriptions/overview
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Final, TypedDict

from licensing_integration.domain.facts import Customer, NoteFact, PurchaseFact, Subscription, SubscriptionFact
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus
from licensing_integration.stores.base import Translator
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.stripe import notes
from licensing_integration.stores.stripe.items import read_subscription_items
from licensing_integration.stores.stripe.shapes import (
    Head,
    id_of,
    list_data,
    price_object,
    read_head,
    read_linked_customer,
    read_object,
    read_period,
)

# https://docs.stripe.com/api/subscriptions/object#subscription_object-status
STATUSES: Final[Mapping[str, PurchaseStatus]] = MappingProxyType(
    {
        "trialing": PurchaseStatus.TRIAL,
        "active": PurchaseStatus.ACTIVE,
        "past_due": PurchaseStatus.OVERDUE,
        "unpaid": PurchaseStatus.UNPAID,
        "paused": PurchaseStatus.PAUSED,
        "canceled": PurchaseStatus.ENDED,
        "incomplete": PurchaseStatus.PENDING,
        "incomplete_expired": PurchaseStatus.NOT_PAID,
    }
)
OVERDUE: Final = frozenset({PurchaseStatus.OVERDUE, PurchaseStatus.UNPAID})
RUNNING: Final = frozenset({PurchaseStatus.ACTIVE, PurchaseStatus.CANCELED, PurchaseStatus.OVERDUE})
INTERVAL_UNITS: Final = MappingProxyType({"day": "D", "week": "W", "month": "M", "year": "Y"})

# Of the same period and time: made, changed, ended. What was fetched is never older than a change.
CREATED, CHANGED, DELETED = 0, 1, 2


def lifecycle(describe: Callable[[Payload], str], *, rank: int = CHANGED) -> Translator:
    """A translator for events whose object is the subscription; ``describe`` finds the words.

    Events are not ordered, so where the subscription was fetched, what was fetched counts, not what the event holds.
    """

    def translate(event: Payload) -> tuple[PurchaseFact, ...]:
        head, told = read_head(event), read_object(event)
        subscription_id = told.identifier("id")
        fetched = told.fetched("subscriptions", subscription_id)
        subscription = told if fetched is None else fetched
        note, snapshot = notes.as_of(event, describe, fetched), read_subscription(subscription)
        if snapshot is None:
            return (_unknown(head, subscription, subscription_id=subscription_id),)
        customer = _read_customer(subscription)
        fact = SubscriptionFact(
            occurred_at=head.occurred_at,
            is_live=head.is_live,
            note=note,
            subscription_id=subscription_id,
            snapshot=snapshot,
            snapshot_rank=rank if fetched is None else max(rank, CHANGED),
            snapshot_at=None if fetched is None else told.fetched_at,
            customer=customer,
            customer_is_fetched=fetched is not None,
            overdue=snapshot.status in OVERDUE,
            is_confirmed=bool(customer and customer.email),
        )
        return (fact if fetched is None else _with_own_overdue(fact, told),)

    return translate


def _with_own_overdue(fact: SubscriptionFact, told: Payload) -> SubscriptionFact:
    """Since when it is overdue. What was fetched may be so since just now only; the event tells the time if it says the
    same itself, perhaps of an earlier period."""
    own = read_subscription(told)
    if own is None or own.status not in OVERDUE:
        return replace(fact, overdue_at=told.fetched_at) if fact.overdue else fact
    return replace(fact, overdue=True, overdue_at=fact.occurred_at, overdue_period=own.period_began_at)


def _unknown(head: Head, subscription: Payload, *, subscription_id: str) -> NoteFact:
    """A status of the future changes nothing until somebody has looked."""
    status = notes.word(subscription.text("status"))
    return NoteFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        note=f"Stripe reported the subscription as '{status}', a status unknown here; nothing changed.",
        kind=PurchaseKind.SUBSCRIPTION,
        purchase_id=subscription_id,
        attention=f"Stripe reports subscription {subscription_id} as '{status}', which is not known here. Look at it "
        "in the Stripe dashboard and decide whether its licenses should go on.",
    )


def _read_customer(subscription: Payload) -> Customer | None:
    """With its address only where it was fetched; else the id, by which a change of address finds the purchase."""
    customer_id = id_of(subscription, "customer")
    linked = read_linked_customer(subscription)
    return linked or (Customer(external_id=customer_id) if customer_id else None)


# The snapshot


def read_subscription(subscription: Payload) -> Subscription | None:
    """A snapshot; ``None`` if its status is unknown."""
    status = _read_status(subscription)
    if status is None:
        return None
    items = list_data(subscription, "items")
    periods = [read_period(subscription, item) for item in items]
    end = max((end for _, end in periods if end), default=None)
    return Subscription(
        status=status,
        paid_through=_paid_through(subscription, status=status, period_end=end),
        ends_at=_ends_at(subscription, status=status, period_end=end),
        interval=_read_interval(items[0]) if items else "",
        items=read_subscription_items(items, purchase=(subscription.strings("metadata"),)),
        period_began_at=max((begin for begin, _ in periods if begin), default=None),
        is_paid_by_charges=True,
    )


class FetchedSnapshot(TypedDict):
    """What a ``SubscriptionFact`` says of the subscription as it was fetched; nothing where it was not."""

    snapshot: Subscription | None
    snapshot_rank: int
    snapshot_at: datetime | None


def fetched_snapshot(thing: Payload, *, subscription_id: str) -> FetchedSnapshot:
    """For an event whose object is another ``thing``: a session, an invoice."""
    current = thing.fetched("subscriptions", subscription_id)
    if current is None:
        return {"snapshot": None, "snapshot_rank": CHANGED, "snapshot_at": None}
    return {"snapshot": read_subscription(current), "snapshot_rank": CHANGED, "snapshot_at": thing.fetched_at}


def _read_status(subscription: Payload) -> PurchaseStatus | None:
    """Scheduled to end counts as canceled: by a flag, or (flexible billing) by the date alone."""
    status = STATUSES.get(subscription.text("status").strip().lower())
    if status is PurchaseStatus.ACTIVE and _is_to_end(subscription):
        return PurchaseStatus.CANCELED
    return status


def _is_to_end(subscription: Payload) -> bool:
    return subscription.has("cancel_at") or subscription.boolean("cancel_at_period_end", default=False)


def _paid_through(subscription: Payload, *, status: PurchaseStatus, period_end: datetime | None) -> datetime | None:
    """A trial runs without payment, and so does a subscription whose invoices the seller holds back or that is billed
    for usage afterwards. For everything else invoices tell what is paid."""
    if status is PurchaseStatus.TRIAL:
        return subscription.epoch_s("trial_end", default=period_end)
    if status in RUNNING and (subscription.has("pause_collection") or _is_metered(subscription)):
        return period_end
    return None


def _is_metered(subscription: Payload) -> bool:
    items = list_data(subscription, "items")
    return bool(items) and all(_usage_type(item) == "metered" for item in items)


def _usage_type(item: Payload) -> str:
    recurring = _recurring(item)
    return recurring.text("usage_type", default="") if recurring is not None else ""


def _ends_at(subscription: Payload, *, status: PurchaseStatus, period_end: datetime | None) -> datetime | None:
    """When it ended, or will. ``canceled_at`` is when that was decided."""
    if status is PurchaseStatus.ENDED:
        return subscription.epoch_s("ended_at", default=None) or subscription.epoch_s("canceled_at", default=None)
    if not _is_to_end(subscription):
        return None
    return subscription.epoch_s("cancel_at", default=period_end)


def _recurring(item: Payload) -> Payload | None:
    """How an item's price repeats; a plan (very old) says it itself."""
    price = price_object(item)
    if price is None:
        return None
    recurring = price.get("recurring")
    return recurring if recurring is not None and recurring.is_mapping else price


def _read_interval(item: Payload) -> str:
    """ISO 8601."""
    recurring = _recurring(item)
    if recurring is None:
        return ""
    unit = INTERVAL_UNITS.get(recurring.text("interval", default="").lower())
    count = recurring.integer("interval_count", default=1)
    return f"P{count}{unit}" if unit and count > 0 else ""
