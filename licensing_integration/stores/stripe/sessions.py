"""Checkout sessions, those of Payment Links included: who bought, and whether it is paid.

``checkout.session.completed`` does not mean paid: a bank debit takes days, and its fate comes as an event of its own.
https://docs.stripe.com/checkout/fulfillment
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from licensing_integration.domain.facts import Charge, NoteFact, OrderFact, PurchaseFact, SubscriptionFact
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.stripe import notes
from licensing_integration.stores.stripe.items import guess_item, read_one_time_items
from licensing_integration.stores.stripe.shapes import (
    Head,
    expanded,
    id_of,
    price_object,
    read_buyer,
    read_head,
    read_object,
    read_reference,
)
from licensing_integration.stores.stripe.subscriptions import fetched_snapshot

# https://docs.stripe.com/api/checkout/sessions/object
PAYMENT: Final = "payment"
SUBSCRIPTION: Final = "subscription"
SETUP: Final = "setup"  # collects a payment method and sells nothing
SELLING: Final = frozenset({PAYMENT, SUBSCRIPTION})
UNPAID: Final = "unpaid"


def translate_completed(event: Payload) -> tuple[PurchaseFact, ...]:
    """The buyer is done. Where the payment takes its time, the purchase is known but waits."""
    session = read_object(event)
    session.require("payment_status")
    return _translate(event, status=PurchaseStatus.PENDING if is_unpaid(session) else PurchaseStatus.COMPLETED)


def translate_payment_succeeded(event: Payload) -> tuple[PurchaseFact, ...]:
    """A delayed payment has arrived."""
    return _translate(event, status=PurchaseStatus.COMPLETED)


def translate_payment_failed(event: Payload) -> tuple[PurchaseFact, ...]:
    """A delayed payment will not arrive."""
    return _translate(event, status=PurchaseStatus.NOT_PAID)


def translate_expired(event: Payload) -> tuple[PurchaseFact, ...]:
    """The buyer left without paying, so no subscription was ever made either."""
    if _mode(read_object(event)) != PAYMENT:
        return ()
    return (_order(read_head(event), read_object(event), status=PurchaseStatus.NOT_PAID, note=notes.expired()),)


def is_selling(session: Payload) -> bool:
    return _read_word(session, "mode") in SELLING


def is_unpaid(session: Payload) -> bool:
    return _read_word(session, "payment_status") == UNPAID


def _read_word(session: Payload, key: str) -> str:
    return session.text(key, default="").strip().lower()


def _translate(event: Payload, *, status: PurchaseStatus) -> tuple[PurchaseFact, ...]:
    head, session = read_head(event), read_object(event)
    mode = _mode(session)
    if mode == PAYMENT:
        return (_order(head, session, status=status, note=notes.checkout(session, status=status)),)
    return _subscription_facts(head, session, status=status) if mode == SUBSCRIPTION else ()


def _mode(session: Payload) -> str:
    mode = _read_word(session, "mode")
    if mode not in {*SELLING, SETUP}:
        raise session.require("mode").malformed("a mode we do not know")
    return mode


# One-time sales


def _order(head: Head, session: Payload, *, status: PurchaseStatus, note: str) -> OrderFact:
    session_id, lines = session.identifier("id"), _lines(session)
    payment_id, invoice_id = id_of(session, "payment_intent"), id_of(session, "invoice")
    metadata = session.strings("metadata")
    items = read_one_time_items(lines, order_id=session_id, purchase=(metadata,)) or (
        guess_item(metadata, order_id=session_id),
    )
    is_completed = status is PurchaseStatus.COMPLETED
    return OrderFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        note=notes.with_items(note, items if lines else ()),
        order_id=session_id,
        status=status,
        reference=read_reference(session),
        customer=read_buyer(session),
        items=items if is_completed else (),
        items_are_guessed=is_completed and not lines,
        aliases=tuple(filter(None, (payment_id, invoice_id))),
        transaction_id=payment_id or None,  # a free order has none, and the vendor's integration then writes a constant
    )


def _lines(session: Payload) -> tuple[Payload, ...]:
    """Events come without their lines; ``enrich`` fetches them."""
    fetched = session.fetched("sessions", session.identifier("id"))
    return fetched.items("line_items") if fetched is not None else ()


# Subscriptions


def _subscription_facts(head: Head, session: Payload, *, status: PurchaseStatus) -> tuple[PurchaseFact, ...]:
    if status is not PurchaseStatus.COMPLETED and not session.has("subscription"):
        return ()  # made only after the payment
    subscription_id = id_of(session, "subscription") or session.identifier("subscription")
    if status is PurchaseStatus.NOT_PAID:
        return (_failed_note(head, subscription_id),)
    fact = _subscription(head, session, subscription_id=subscription_id, is_paid=status is PurchaseStatus.COMPLETED)
    one_time = [line for line in _lines(session) if not _is_recurring(line)]
    if not one_time or status is not PurchaseStatus.COMPLETED:
        return (fact,)
    return (fact, _beside(fact, session, one_time))


def _subscription(head: Head, session: Payload, *, subscription_id: str, is_paid: bool) -> SubscriptionFact:
    session_id, invoice_id = session.identifier("id"), id_of(session, "invoice")
    recurring = [line for line in _lines(session) if _is_recurring(line)]
    is_trial = _begins_trial(session)
    return SubscriptionFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        note=notes.subscribed(session, recurring, is_paid=is_paid, is_trial=is_trial),
        subscription_id=subscription_id,
        **fetched_snapshot(session, subscription_id=subscription_id),
        order_id=invoice_id,
        reference=read_reference(session),
        customer=read_buyer(session),
        customer_is_buyer=True,
        guessed_item=guess_item(session.strings("metadata"), order_id=invoice_id, lines=recurring),
        charge=Charge(order_id=invoice_id, is_initial=True, is_trial=is_trial) if is_paid and invoice_id else None,
        is_confirmed=is_paid,
        aliases=tuple(filter(None, (session_id, invoice_id))),
    )


def _beside(fact: SubscriptionFact, session: Payload, lines: Sequence[Payload]) -> OrderFact:
    """One-time lines sold together with a subscription. The session's metadata speaks of the subscription."""
    session_id, invoice_id = session.identifier("id"), id_of(session, "invoice")
    items = read_one_time_items(lines, order_id=session_id)
    return OrderFact(
        occurred_at=fact.occurred_at,
        is_live=fact.is_live,
        note=notes.bought_beside(items),
        order_id=session_id,
        status=PurchaseStatus.COMPLETED,
        reference=fact.reference,
        customer=fact.customer,
        items=items,
        aliases=tuple(filter(None, (invoice_id,))),
        transaction_id=id_of(session, "payment_intent") or None,
    )


def _is_recurring(line: Payload) -> bool:
    price = price_object(line)
    return price is not None and (price.has("recurring") or price.text("type", default="") == "recurring")


def _begins_trial(session: Payload) -> bool:
    """Whether nothing was due because a trial comes first. A price that a discount took to zero is no trial."""
    if session.amount("amount_subtotal", default=None) == 0:
        return True
    totals = expanded(session, "total_details")
    discount = totals.amount("amount_discount", default=0) if totals is not None else 0
    return session.text("payment_status", default="") == "no_payment_required" and discount == 0


def _failed_note(head: Head, subscription_id: str) -> NoteFact:
    return NoteFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        note=notes.delayed_payment_failed(),
        kind=PurchaseKind.SUBSCRIPTION,
        purchase_id=subscription_id,
    )
