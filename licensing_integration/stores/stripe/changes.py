"""What ``customer.subscription.updated`` changed, in words, from ``previous_attributes``.

Those are documented for words only: what is missing there was not necessarily unchanged. So nothing here decides
anything, and what cannot be read costs no more than a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from licensing_integration.domain.wording import format_day
from licensing_integration.exceptions import MalformedPayload
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.stripe.notes import name_of, on_day, period_end, word
from licensing_integration.stores.stripe.shapes import inside, list_data, previous_attributes, price_of, read_object
from licensing_integration.stores.wording import listing

Words = Iterator[str]

_BY_BOTH: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("trialing", "active"): "Trial over, the subscription goes on",
        ("trialing", "past_due"): "Trial over, its first payment is overdue",
        ("incomplete", "active"): "First payment received",
        ("past_due", "active"): "Overdue payment received, in good standing again",
        ("unpaid", "active"): "Overdue payment received, in good standing again",
        ("paused", "active"): "Subscription resumed",
    }
)
_BY_STATUS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "past_due": "Payment overdue, Stripe keeps trying",
        "unpaid": "Payment given up by Stripe after its last attempt, the subscription stays unpaid",
        "paused": "Subscription paused",
        "canceled": "Subscription ended",
        "incomplete_expired": "First payment never made, the subscription came to nothing",
    }
)


def updated(event: Payload) -> str:
    """``Quantity changed from 3 to 5 (CAD Studio Pro).``"""
    try:
        before = previous_attributes(event)
        if before is None or not before.is_mapping:
            return "Subscription updated."
        found = list(_changes(read_object(event), before))
    except MalformedPayload:
        return "Subscription updated."
    return " ".join(f"{sentence}." for sentence in found) or "Subscription updated."


def _changes(now: Payload, before: Payload) -> Words:
    known = before.raw
    for key, describe in _DESCRIBERS.items():
        if key in known:
            yield from describe(now, before)


def _status(now: Payload, before: Payload) -> Words:
    old, new = (part.text("status", default="") for part in (before, now))
    yield _BY_BOTH.get((old, new)) or _BY_STATUS.get(new) or f"Status changed from {word(old)} to {word(new)}"


def _flag(now: Payload, before: Payload) -> Words:
    """Flexible billing sets the date alone, classic billing the flag as well: said once."""
    if "cancel_at" not in before.raw:
        yield from _cancellation(now, before)


def _cancellation(now: Payload, before: Payload) -> Words:
    del before
    end = now.epoch_s("cancel_at", default=None)
    if end is None and now.boolean("cancel_at_period_end", default=False):
        end = period_end(now)
    if end is None:
        yield "Cancellation withdrawn, the subscription renews again"
        return
    details = inside(now, "cancellation_details")
    feedback = word(details.text("feedback", default="")).replace("_", " ") if details is not None else ""
    yield f"Cancellation scheduled, usable until {format_day(end)}{f' (feedback: {feedback})' if feedback else ''}"


def _collection(now: Payload, before: Payload) -> Words:
    del before
    pause = inside(now, "pause_collection")
    if pause is None:
        yield "Collection of payments goes on"
        return
    until = on_day(pause.epoch_s("resumes_at", default=None), " until")
    yield f"Collection of payments paused by the seller{until}, the service goes on"


def _items(now: Payload, before: Payload) -> Words:
    """By item: since 2025-03-31.basil the period stands on the items, so that a renewal changes them all."""
    old = {item.identifier("id"): item for item in list_data(before, "items")}
    new = {item.identifier("id"): item for item in list_data(now, "items")}
    for name, item in new.items():
        yield from _item(item, old.get(name))
    if gone := [name_of(item) for name, item in old.items() if name not in new]:
        yield f"No longer subscribed to: {listing(gone)}"
    if any(_begin(new[name]) != _begin(old[name]) for name in new.keys() & old.keys()):
        yield f"New period begun{on_day(period_end(now), ', until')}; its invoice tells when it is paid"


def _item(now: Payload, before: Payload | None) -> Words:
    quantity = now.integer("quantity", default=1)
    if before is None:
        yield f"Added: {quantity} × {name_of(now)}"
        return
    former = before.integer("quantity", default=1)
    if former != quantity:
        yield f"Quantity changed from {former} to {quantity} ({name_of(now)})"
    if price_of(before) != price_of(now):
        yield f"Price changed from {_price_name(before)} to {_price_name(now)}"


def _price_name(item: Payload) -> str:
    name = name_of(item)
    return name if name == price_of(item) else f"{name} ({price_of(item)})"


def _begin(item: Payload) -> int | None:
    return item.integer("current_period_start", default=None)


def _period(now: Payload, before: Payload) -> Words:
    """Before basil the period stands on the subscription."""
    if before.integer("current_period_start", default=None) != now.integer("current_period_start", default=None):
        yield f"New period begun{on_day(period_end(now), ', until')}; its invoice tells when it is paid"


def _pending(now: Payload, before: Payload) -> Words:
    del before
    if now.has("pending_update"):
        yield "A change waits for its payment"


def _trial_end(now: Payload, before: Payload) -> Words:
    if before.has("trial_end") and now.text("status", default="") == "trialing":
        yield f"End of the trial moved{on_day(now.epoch_s('trial_end', default=None), ' to')}"


def _said(words: str) -> Callable[[Payload, Payload], Words]:
    def describe(now: Payload, before: Payload) -> Words:
        del now, before
        yield words

    return describe


# In the order in which they are said.
_DESCRIBERS: Final[Mapping[str, Callable[[Payload, Payload], Words]]] = MappingProxyType(
    {
        "status": _status,
        "cancel_at": _cancellation,
        "cancel_at_period_end": _flag,
        "pause_collection": _collection,
        "items": _items,
        "current_period_start": _period,
        "pending_update": _pending,
        "trial_end": _trial_end,
        "default_payment_method": _said("Payment method changed"),
        "metadata": _said("Metadata changed"),
    }
)
