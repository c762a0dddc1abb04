"""Subscriptions: their life, and the charges that keep them alive."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

from licensing_integration.domain.facts import Charge, NoteFact, PurchaseFact, Subscription, SubscriptionFact
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus
from licensing_integration.stores.base import Translator
from licensing_integration.stores.fastspring import notes
from licensing_integration.stores.fastspring.shapes import (
    Head,
    find_subscription,
    linked_id,
    read_account_owner,
    read_head,
    read_payer,
    read_reference,
    read_subscription,
    required_id,
)
from licensing_integration.stores.payload import Payload

# https://developer.fastspring.com/reference/ordercompleted. These fields are zero on every ordinary item.
PRORATION_FIELDS: Final = (
    "proratedItemChangeAmount",
    "proratedItemProratedCharge",
    "proratedItemCreditAmount",
    "proratedItemTaxAmount",
    "proratedItemTotal",
)


def lifecycle(
    describe: Callable[[Subscription, Payload], str], *, states: Collection[PurchaseStatus] = tuple(PurchaseStatus)
) -> Translator:
    """A translator for the events whose ``data`` is the subscription itself; ``states`` are those that go with it.

    The events are not in order and a manual resend shows a later state than its type says, so the state is what counts.
    """

    def translate(event: Payload) -> tuple[PurchaseFact, ...]:
        head, data = read_head(event), event.require("data")
        snapshot = read_subscription(data)
        note = describe(snapshot, data) if snapshot.status in states else notes.out_of_step(snapshot, event)
        fact = SubscriptionFact(
            occurred_at=head.occurred_at,
            is_live=head.is_live,
            note=note,
            subscription_id=data.identifier("id", "subscription"),
            snapshot=snapshot,
            order_id=linked_id(data, "initialOrderId"),
            reference=read_reference(data, "initialOrderReference"),
            customer=read_account_owner(data),
            overdue=_is_overdue(snapshot, event),
            is_confirmed=(snapshot.sequence or 0) > 1,  # a second period begins with money, not with a click
        )
        return (fact,)

    return translate


def _is_overdue(snapshot: Subscription, event: Payload) -> bool:
    """By its state; an overdue notice counts too where the state cannot say so (a trial or cancellation hides it)."""
    hidden = snapshot.status in {PurchaseStatus.TRIAL, PurchaseStatus.CANCELED}
    is_notice = event.text("type", default="") == "subscription.payment.overdue"
    return snapshot.status is PurchaseStatus.OVERDUE or (is_notice and hidden)


def translate_charge_completed(event: Payload) -> tuple[PurchaseFact, ...]:
    """A renewal, the first payment after a trial, or a proration. Its order is the new one, not the initial one."""
    head, data = read_head(event), event.require("data")
    subscription_id = required_id(data, "subscription")
    status = data.text("status", default="successful").strip().lower()
    if status != "successful":
        return (
            _subscription_note(head, subscription_id, f"Charge reported with status {status[:50]}; nothing changed."),
        )
    subscription = find_subscription(data, subscription_id=subscription_id)
    snapshot = _paid_snapshot(subscription) if subscription else None
    charge = _read_charge(data, snapshot=snapshot)
    fact = SubscriptionFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        note=notes.charged(snapshot, sequence=charge.sequence, is_proration=charge.is_proration),
        subscription_id=subscription_id,
        snapshot=snapshot,
        order_id=linked_id(subscription, "initialOrderId") if subscription else "",
        reference=read_reference(subscription, "initialOrderReference") if subscription else "",
        customer=read_payer(data),
        charge=charge,
        is_confirmed=True,
    )
    return (fact,)


def _paid_snapshot(subscription: Payload) -> Subscription:
    """Money has come in, so a state that still says otherwise is a little behind."""
    snapshot = read_subscription(subscription)
    if snapshot.status in {PurchaseStatus.OVERDUE, PurchaseStatus.TRIAL}:
        return replace(snapshot, status=PurchaseStatus.ACTIVE)
    return snapshot


def _read_charge(data: Payload, *, snapshot: Subscription | None) -> Charge:
    order = data.require("order")
    return Charge(
        order_id=required_id(data, "order"),
        sequence=data.integer("sequence", default=snapshot.sequence if snapshot else None),
        is_proration=order.is_mapping and any(_is_prorated(item) for item in order.items("items")),
    )


def _is_prorated(item: Payload) -> bool:
    return any(item.number(name, default=0.0) for name in PRORATION_FIELDS)


def translate_charge_failed(event: Payload) -> tuple[PurchaseFact, ...]:
    """History only: the state nested here is not reliable, and an overdue notice follows when it matters."""
    head, data = read_head(event), event.require("data")
    return (_subscription_note(head, required_id(data, "subscription"), notes.charge_failed(data)),)


def _subscription_note(head: Head, subscription_id: str, note: str) -> NoteFact:
    return NoteFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        note=note,
        kind=PurchaseKind.SUBSCRIPTION,
        purchase_id=subscription_id,
    )
