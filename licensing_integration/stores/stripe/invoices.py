"""Invoices: the proof that a period of a subscription is paid, and sales that were invoiced by hand.

An invoice's own period is not what it pays for; its lines' periods are. Since 2025-03-31.basil lines name their
subscription item and price elsewhere than before, see ``shapes``. https://docs.stripe.com/api/invoices/object
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from licensing_integration.domain.facts import (
    Charge,
    Customer,
    ItemFact,
    NoteFact,
    OrderFact,
    PurchaseFact,
    SubscriptionFact,
)
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus
from licensing_integration.stores.base import Translator
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.stripe import notes
from licensing_integration.stores.stripe.items import read_one_time_items, read_subscription_items, subscription_line
from licensing_integration.stores.stripe.shapes import (
    Head,
    expanded,
    id_of,
    is_one_time,
    is_proration,
    is_subscription_line,
    line_period,
    list_data,
    price_of,
    product_of,
    read_head,
    read_linked_customer,
    read_object,
    read_payer,
    subscription_metadata_of_invoice,
    subscription_of_invoice,
    subscription_of_line,
)
from licensing_integration.stores.stripe.subscriptions import fetched_snapshot

# https://docs.stripe.com/api/invoices/object#invoice_object-billing_reason
FIRST: Final = "subscription_create"
BY_HAND: Final = frozenset({"manual", "quote_accept", ""})  # very old versions give no reason
NO_PERIOD: Final = frozenset({"subscription_threshold", "automatic_pending_invoice_item_invoice"})  # usage, loose items


def translate_paid(event: Payload) -> tuple[PurchaseFact, ...]:
    """Also ``invoice.payment_succeeded``, its twin: both say the same, and saying it twice changes nothing."""
    head, invoice = read_head(event), read_object(event)
    subscription_id = subscription_of_invoice(invoice)
    if not is_paid(invoice):
        return _note(head, invoice, notes.not_paid_after_all(invoice))
    if not subscription_id:
        return _sale_by_hand(head, invoice)
    fact = _payment(head, invoice, subscription_id=subscription_id)
    return (fact, *_sold_beside(head, invoice), *_incomplete(head, invoice, subscription_id=subscription_id))


def history_only(describe: Callable[[Payload], str]) -> Translator:
    """A translator for invoices that change nothing; the subscription's own events tell what follows."""

    def translate(event: Payload) -> tuple[PurchaseFact, ...]:
        head, invoice = read_head(event), read_object(event)
        return _note(head, invoice, describe(invoice))

    return translate


def _note(head: Head, invoice: Payload, note: str) -> tuple[PurchaseFact, ...]:
    """For the subscription's history. An unpaid invoice made by hand is no purchase, so there is no history of it."""
    subscription_id = subscription_of_invoice(invoice)
    if not subscription_id:
        return ()
    fact = NoteFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        note=note,
        kind=PurchaseKind.SUBSCRIPTION,
        purchase_id=subscription_id,
    )
    return (fact,)


def is_paid(invoice: Payload) -> bool:
    """Very old versions tell no status."""
    status = invoice.text("status", default="").strip().lower()
    return status == "paid" if status else invoice.boolean("paid", default=False)


def _lines(invoice: Payload) -> tuple[Payload, ...]:
    """All of them: the event holds the first page only."""
    fetched = invoice.fetched("invoice_lines", invoice.identifier("id"))
    return fetched.elements if fetched is not None else list_data(invoice, "lines")


def _incomplete(head: Head, invoice: Payload, *, subscription_id: str) -> tuple[NoteFact, ...]:
    """Only the first lines are in the event, and those that extend something may be on the next page."""
    lines = expanded(invoice, "lines")
    is_whole = invoice.fetched("invoice_lines", invoice.identifier("id")) is not None
    if is_whole or lines is None or not lines.boolean("has_more", default=False):
        return ()
    fact = NoteFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        note="The invoice has more lines than its event holds.",
        kind=PurchaseKind.SUBSCRIPTION,
        purchase_id=subscription_id,
        attention=f"Invoice {invoice.identifier('id')} has more lines than Stripe's event holds, so what it paid for "
        "may not be known. Configure the store's API key, so that all lines are fetched, and replay the event.",
    )
    return (fact,)


def _payment_ids(invoice: Payload) -> tuple[str, ...]:
    """Payment intents and charges, by which refunds and disputes name the invoice; since basil they are rarely told."""
    payments = [payment for entry in list_data(invoice, "payments") if (payment := expanded(entry, "payment"))]
    found = [id_of(holder, key) for holder in (invoice, *payments) for key in ("payment_intent", "charge")]
    return tuple(dict.fromkeys(filter(None, found)))


def reason_of(invoice: Payload) -> str:
    """Why Stripe made the invoice."""
    return invoice.text("billing_reason", default="").strip().lower()


# Subscriptions


def _payment(head: Head, invoice: Payload, *, subscription_id: str) -> SubscriptionFact:
    invoice_id = invoice.identifier("id")
    lines = _period_lines(invoice, subscription_id=subscription_id)
    charge = _read_charge(invoice, lines)
    current = invoice.fetched("subscriptions", subscription_id)
    metadata = (subscription_metadata_of_invoice(invoice), invoice.strings("metadata"))
    return SubscriptionFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        note=notes.paid(invoice, charge),
        subscription_id=subscription_id,
        **fetched_snapshot(invoice, subscription_id=subscription_id),
        order_id=invoice_id if charge.is_initial else "",
        customer=_customer(invoice, current),
        charged_items=read_subscription_items(lines, order_id=invoice_id, purchase=metadata),
        charge=charge,
        is_confirmed=True,
        aliases=(invoice_id,),
    )


def _customer(invoice: Payload, subscription: Payload | None) -> Customer:
    """Whom the invoice names; its address may be empty where the customer was given one later."""
    payer = read_payer(invoice)
    linked = read_linked_customer(subscription) if subscription is not None else None
    return linked if linked is not None and linked.email and not payer.email else payer


def _period_lines(invoice: Payload, *, subscription_id: str) -> list[Payload]:
    """The lines that pay for a period: no prorations, no one-time lines, nothing of another subscription."""
    return [
        line
        for line in _lines(invoice)
        if is_subscription_line(line) and not is_proration(line) and subscription_of_line(line) in {"", subscription_id}
    ]


def _read_charge(invoice: Payload, lines: Sequence[Payload]) -> Charge:
    is_initial = reason_of(invoice) == FIRST
    begins = [begin for line in lines if (begin := line_period(line)[0])]
    return Charge(
        order_id=invoice.identifier("id"),
        is_proration=not lines or reason_of(invoice) in NO_PERIOD,
        is_initial=is_initial,
        is_trial=is_initial and bool(lines) and not any(_price_before_discounts(line) for line in lines),
        aliases=_payment_ids(invoice),
        paid_through=_paid_through(lines),
        period_began_at=max(begins, default=None),
    )


def _paid_through(lines: Sequence[Payload]) -> dict[str, datetime]:
    """Item → the latest end of a period it was charged for."""
    ends: dict[str, datetime] = {}
    for line in lines:
        name, end = subscription_line(line), line_period(line)[1]
        if end is not None:
            ends[name] = max(end, ends.get(name, end))
    return ends


def _price_before_discounts(line: Payload) -> int:
    return line.amount("subtotal", default=line.amount("amount", default=0))


def _sold_beside(head: Head, invoice: Payload) -> tuple[OrderFact, ...]:
    """One-time lines on a subscription's first invoice: a purchase of their own."""
    if reason_of(invoice) != FIRST:
        return ()
    items = _one_time_items(invoice, order_id=invoice.identifier("id"))
    if not items:
        return ()
    return (_order(head, invoice, items=items, order_id=invoice.identifier("id"), note=notes.bought_beside(items)),)


# Sales


def _sale_by_hand(head: Head, invoice: Payload) -> tuple[PurchaseFact, ...]:
    """An invoice written by hand, or by a one-time Checkout, whose session then names the same invoice."""
    if reason_of(invoice) not in BY_HAND:
        return ()
    invoice_id, session_id = invoice.identifier("id"), _session_of(invoice)
    order_id = session_id or invoice_id
    items = _session_items(invoice, session_id=session_id) or _one_time_items(
        invoice, order_id=order_id, purchase=invoice.strings("metadata")
    )
    if not items:
        return ()  # a bill for something else: hours, hardware
    note = notes.with_items(notes.invoice_paid(invoice), items)
    return (_order(head, invoice, items=items, order_id=order_id, note=note),)


def _order(head: Head, invoice: Payload, *, items: tuple[ItemFact, ...], order_id: str, note: str) -> OrderFact:
    payment_ids, invoice_id = _payment_ids(invoice), invoice.identifier("id")
    return OrderFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        note=note,
        order_id=order_id,
        status=PurchaseStatus.COMPLETED,
        customer=read_payer(invoice),
        items=items,
        aliases=tuple(name for name in (invoice_id, *payment_ids) if name != order_id),
        transaction_id=id_of(invoice, "payment_intent") or None,
    )


def _session_of(invoice: Payload) -> str:
    fetched = invoice.fetched("sessions_of_invoice", invoice.identifier("id"))
    return fetched.as_text().strip() if fetched is not None else ""


def _session_items(invoice: Payload, *, session_id: str) -> tuple[ItemFact, ...]:
    """As the session tells them, so that both events say the same."""
    session = invoice.fetched("sessions", session_id)
    if session is None:
        return ()
    return read_one_time_items(
        session.items("line_items"), order_id=session_id, purchase=(session.strings("metadata"),)
    )


def _one_time_items(invoice: Payload, *, order_id: str, purchase: dict[str, str] | None = None) -> tuple[ItemFact, ...]:
    """Lines with a product. A negative amount is a credit, not something bought."""
    lines = [
        line
        for line in _lines(invoice)
        if is_one_time(line)
        and not is_proration(line)
        and (price_of(line) or product_of(line))
        and line.amount("amount", default=0) >= 0
    ]
    return read_one_time_items(lines, order_id=order_id, purchase=(purchase,) if purchase else ())
