"""The sentence each fact leaves in the history: past tense, plain words, no customer data, no keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from licensing_integration.domain.facts import Charge, ItemFact
from licensing_integration.domain.outcomes import PurchaseStatus
from licensing_integration.domain.wording import format_day
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.stripe.shapes import (
    format_money,
    id_of,
    inside,
    list_data,
    price_object,
    price_of,
    product_of,
    read_object,
    read_period,
)
from licensing_integration.stores.wording import listing

LONGEST_WORD: Final = 100

_CHECKOUTS: Final[Mapping[PurchaseStatus, str]] = MappingProxyType(
    {
        PurchaseStatus.COMPLETED: "Checkout paid: {money}.",
        PurchaseStatus.PENDING: "Checkout completed: {money} on the way, by a payment method that takes days.",
        PurchaseStatus.NOT_PAID: "Delayed payment failed: {money} did not arrive.",
    }
)

# https://docs.stripe.com/api/subscriptions/object#subscription_object-cancellation_details
_ENDINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cancellation_requested": "it was canceled",
        "payment_failed": "its renewal was not paid",
        "payment_disputed": "a payment was disputed",
        "canceled_by_retention_policy": "Stripe ended it by its retention policy",
    }
)


def word(text: str) -> str:
    """One of Stripe's fixed words, fit for a sentence whatever it holds."""
    return " ".join(text.split())[:LONGEST_WORD]


def on_day(moment: datetime | None, words: str) -> str:
    """``words`` and the day, nothing without one."""
    return f"{words} {format_day(moment)}" if moment else ""


def name_of(line: Payload) -> str:
    """What a subscription item or session line is called: its product's name, the price's nickname, an id."""
    price = price_object(line)
    names = (
        _product_name(line) or _fetched_name(line),
        line.text("description", default=""),
        price.text("nickname", default="") if price is not None else "",
    )
    return next((word(name) for name in names if name.strip()), product_of(line) or price_of(line) or "an item")


def _product_name(line: Payload) -> str:
    product = inside(line, "price", "product")
    return product.text("name", default="") if product is not None else ""


def _fetched_name(item: Payload) -> str:
    """An event names a subscription's products by id; where the subscription was fetched their names are known."""
    subscription = item.fetched("subscriptions", id_of(item, "subscription"))
    known = list_data(subscription, "items") if subscription is not None else ()
    return next((_product_name(other) for other in known if product_of(other) == product_of(item)), "")


def describe_lines(lines: Sequence[Payload]) -> str:
    """``3 × CAD Studio Pro``."""
    return listing([f"{line.integer('quantity', default=1)} × {name_of(line)}" for line in lines])


# Sales


def with_items(note: str, items: Sequence[ItemFact]) -> str:
    """``note`` with what it was for, where that is known."""
    return f"{note[:-1]}, for {_listed(items)}." if items else note


def _listed(items: Sequence[ItemFact]) -> str:
    return listing([f"{item.quantity} × {word(item.display) or item.product or item.variant}" for item in items])


def checkout(session: Payload, *, status: PurchaseStatus) -> str:
    if status is PurchaseStatus.COMPLETED and session.amount("amount_total", default=None) == 0:
        return "Checkout completed at no cost."
    return _CHECKOUTS[status].format(money=format_money(session, "amount_total"))


def expired() -> str:
    return "Checkout left without payment; the session expired."


def bought_beside(items: Sequence[ItemFact]) -> str:
    return f"Bought together with a subscription: {_listed(items)}."


def invoice_paid(invoice: Payload) -> str:
    return f"Invoice paid: {format_money(invoice, 'total')}."


# Payments of subscriptions


def subscribed(session: Payload, lines: Sequence[Payload], *, is_paid: bool, is_trial: bool) -> str:
    bought = f": {describe_lines(lines)}" if lines else ""
    if not is_paid:
        return f"Subscription bought in Checkout{bought}; its payment is on the way and takes days."
    if is_trial:
        return f"Trial begun in Checkout{bought}."
    money = format_money(session, "amount_total")
    return f"Subscription bought in Checkout{bought}, {money} paid."


def delayed_payment_failed() -> str:
    return "Delayed payment of the subscription's checkout failed."


def paid(invoice: Payload, charge: Charge) -> str:
    until = max(charge.paid_through.values(), default=None)
    money = format_money(invoice, "total")
    if charge.is_trial:
        return f"Trial begun{on_day(until, ', until')}."
    if charge.is_proration:
        return f"Change or usage of the subscription paid: {money}; the paid period stays as it is."
    what = "First period" if charge.is_initial else "Renewal"
    return f"{what} paid: {money}{on_day(until, ', paid through')}."


def not_paid_after_all(invoice: Payload) -> str:
    status = word(invoice.text("status", default="")) or "not paid"
    return f"Invoice reported as paid, but its status is {status}; nothing changed."


def payment_failed(invoice: Payload) -> str:
    attempt = invoice.integer("attempt_count", default=0)
    tried = f" at attempt {attempt}" if attempt else ""
    return f"Payment of {format_money(invoice, 'amount_due')} failed{tried}; {_next_attempt(invoice)}."


def _next_attempt(invoice: Payload) -> str:
    retry = invoice.epoch_s("next_payment_attempt", default=None)
    return on_day(retry, "Stripe tries again on") or "Stripe has planned no further attempt"


def action_required(invoice: Payload) -> str:
    return (
        f"Payment of {format_money(invoice, 'amount_due')} needs the customer's consent (3-D Secure); "
        "Stripe asked for it."
    )


# The life of a subscription: each takes the event


def as_of(event: Payload, describe: Callable[[Payload], str], fetched: Payload | None) -> str:
    """``describe``'s words, and how it turned out in the meantime where that is known."""
    note, told = describe(event), read_object(event)
    now = word(fetched.text("status", default="")) if fetched is not None else ""
    is_same = now in {"", told.text("status", default="")}
    return note if is_same else f"{note} By the time of reading Stripe reported it as {now.replace('_', ' ')}."


def created(event: Payload) -> str:
    subscription = read_object(event)
    bought = describe_lines(list_data(subscription, "items"))
    match subscription.text("status", default=""):
        case "trialing":
            end = subscription.epoch_s("trial_end", default=None)
            return f"Trial subscription created: {bought}{on_day(end, ', until')}."
        case "incomplete":
            return f"Subscription created: {bought}; its first payment is due."
        case _:
            return f"Subscription created: {bought}."


def deleted(event: Payload) -> str:
    reason = inside(read_object(event), "cancellation_details")
    why = _ENDINGS.get(reason.text("reason", default=""), "") if reason is not None else ""
    return f"Subscription ended{f': {why}' if why else ''}."


def paused(event: Payload) -> str:
    details = inside(read_object(event), "status_details", "paused", "subscription")
    reason = word(details.text("type", default="")).replace("_", " ") if details is not None else ""
    return f"Subscription paused{f' ({reason})' if reason else ''}."


def resumed(event: Payload) -> str:
    return f"Subscription resumed{on_day(period_end(read_object(event)), '; its period ends on')}."


def trial_will_end(event: Payload) -> str:
    return f"Trial ends{on_day(read_object(event).epoch_s('trial_end', default=None), ' on') or ' soon'}."


def update_applied(event: Payload) -> str:
    bought = describe_lines(list_data(read_object(event), "items"))
    return f"Change that waited for its payment took effect: {bought}."


def update_expired(event: Payload) -> str:
    del event
    return "Change that waited for its payment was dropped: it was not paid in time."


def period_end(subscription: Payload) -> datetime | None:
    """The latest end of the current periods of its items."""
    ends = (read_period(subscription, item)[1] for item in list_data(subscription, "items"))
    return max((end for end in ends if end), default=None)
