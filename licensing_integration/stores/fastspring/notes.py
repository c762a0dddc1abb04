"""The sentence each fact leaves in the history: past tense, plain words, no customer data, no keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from licensing_integration.domain.facts import ItemFact, ReturnedLine, Subscription
from licensing_integration.domain.outcomes import PurchaseStatus
from licensing_integration.domain.wording import format_day
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.wording import listing

LONGEST_REASON: Final = 200


def read_reason(payload: Payload, key: str = "reason") -> str:
    """FastSpring's reason as it goes into a sentence: one line, short, without a full stop."""
    reason = " ".join(payload.text(key, default="").split()).rstrip(".")
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}…"


def _paid_through(snapshot: Subscription | None) -> str:
    return f", paid through {format_day(snapshot.paid_through)}" if snapshot and snapshot.paid_through else ""


def _on_next(snapshot: Subscription, words: str) -> str:
    return f"{words} {format_day(snapshot.paid_through)}" if snapshot.paid_through else ""


# Orders


def describe_items(items: Sequence[ItemFact]) -> str:
    return listing([f"{item.quantity} × {item.product}" for item in items])


def order_completed(items: Sequence[ItemFact]) -> str:
    return f"Order completed: {describe_items(items)}."


def subscription_bought(snapshot: Subscription, add_ons: Sequence[ItemFact]) -> str:
    extras = f" with {describe_items(add_ons)}" if add_ons else ""
    bought = f"{snapshot.quantity} × {snapshot.product}{extras}"
    if snapshot.status is PurchaseStatus.TRIAL:
        return f"Trial started: {bought}{_on_next(snapshot, ', until')}."
    return f"Subscription bought: {bought}{_paid_through(snapshot)}."


def add_ons_bought(add_ons: Sequence[ItemFact]) -> str:
    return f"Add-on bought: {describe_items(add_ons)}."


def keys_requested(product: str, *, quantity: int) -> str:
    many = "the key" if quantity == 1 else f"{quantity} keys"
    return f"FastSpring asked for {many} of {product}, to complete the order and show it to the buyer."


def payment_pending(order: Payload) -> str:
    del order  # paymentDueDate is prose in the order's own spelling
    return "Payment pending: the buyer chose a payment method that takes time."


def approval_pending(order: Payload) -> str:
    del order
    return "Order waited for the seller's approval of the payment."


def order_canceled(order: Payload) -> str:
    return f"Order canceled before it was paid{_because(order)}."


def order_failed(order: Payload) -> str:
    return f"Order failed: the payment was refused{_because(order)}."


def _because(payload: Payload) -> str:
    reason = read_reason(payload)
    return f" (reason {reason})" if reason else ""


# Subscriptions


def activated(snapshot: Subscription, data: Payload) -> str:
    del data
    if snapshot.status is PurchaseStatus.TRIAL:
        return f"Trial activated{_on_next(snapshot, ', until')}."
    return f"Subscription activated{_paid_through(snapshot)}."


def updated(snapshot: Subscription, data: Payload) -> str:
    if data.text("paymentMethodAction", default="none").lower() not in {"none", ""}:
        return "Payment method updated."
    ends = f", ends on {format_day(snapshot.ends_at)}" if snapshot.ends_at else ""
    state = "" if snapshot.status is PurchaseStatus.ACTIVE else f" ({snapshot.status})"
    return f"Subscription updated{state}: {snapshot.quantity} × {snapshot.product}{_paid_through(snapshot)}{ends}."


def trial_reminder(snapshot: Subscription, data: Payload) -> str:
    del data
    return f"Trial reminder sent{_on_next(snapshot, '; the trial ends on')}."


def payment_reminder(snapshot: Subscription, data: Payload) -> str:
    del data
    return f"Payment reminder sent{_on_next(snapshot, '; the next charge is on')}."


def payment_overdue(snapshot: Subscription, data: Payload) -> str:
    del snapshot
    plan = data.get("paymentOverdue")
    sent = plan.integer("sent", default=None) if plan else None
    total = plan.integer("total", default=None) if plan else None
    if sent is None or total is None:
        return "Payment overdue: FastSpring sent an overdue notice."
    return f"Payment overdue: FastSpring sent overdue notice {sent} of {total}."


def canceled(snapshot: Subscription, data: Payload) -> str:
    del data
    until = snapshot.ends_at or snapshot.paid_through
    return f"Subscription canceled{f'; stays usable until {format_day(until)}' if until else ''}."


def uncanceled(snapshot: Subscription, data: Payload) -> str:
    del data
    return f"Cancellation withdrawn{_on_next(snapshot, '; the subscription renews on')}."


def deactivated(snapshot: Subscription, data: Payload) -> str:
    del snapshot, data
    return "Subscription ended."


def paused(snapshot: Subscription, data: Payload) -> str:
    del snapshot, data
    return "Subscription paused."


def resumed(snapshot: Subscription, data: Payload) -> str:
    del data
    return f"Subscription resumed{_paid_through(snapshot)}."


def out_of_step(snapshot: Subscription, event: Payload) -> str:
    """The event's type says one thing, the subscription in it another: resent, or overtaken."""
    return f"Event {event.text('type')} received; by then FastSpring reported the subscription as {snapshot.status}."


def charged(snapshot: Subscription | None, *, sequence: int | None, is_proration: bool) -> str:
    if is_proration:
        return f"Change of the subscription paid (proration){_paid_through(snapshot)}."
    period = f", period {sequence}" if sequence is not None else ""
    return f"Renewal paid{period}{_paid_through(snapshot)}."


def charge_failed(data: Payload) -> str:
    reason = read_reason(data)
    return f"Charge failed: {reason}." if reason else "Charge failed; FastSpring gave no reason."


# Returns


def returned(lines: Sequence[ReturnedLine], *, is_whole_order: bool) -> str:
    whole = "Order refunded" if is_whole_order else "Part of the order refunded"
    listed = listing([_describe_return(line) for line in lines])
    return f"{whole}: {listed}." if listed else f"{whole}."


def _describe_return(line: ReturnedLine) -> str:
    return f"{line.quantity} × {line.product} ({'in full' if line.is_full else 'in part'})"
