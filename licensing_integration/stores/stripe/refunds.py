"""Money that goes back: refunds and disputes.

Since version 2025-03-31.basil a charge names its payment intent, not its invoice; ``enrich`` asks which invoice that
intent paid. Without an API key the payment intent itself is the name, which a Checkout session told as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from licensing_integration.domain.facts import DisputeFact, NoteFact, PurchaseFact, ReturnFact
from licensing_integration.domain.outcomes import PurchaseKind
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.stripe.notes import word
from licensing_integration.stores.stripe.shapes import (
    Head,
    expanded,
    format_money,
    id_of,
    read_amount,
    read_head,
    read_object,
)

# https://docs.stripe.com/api/disputes/object: status → (is_open, is_lost). A warning is an inquiry that moved no money;
# after a loss an appeal opens the dispute again.
DISPUTES: Final[Mapping[str, tuple[bool, bool]]] = MappingProxyType(
    {
        **dict.fromkeys(("needs_response", "under_review"), (True, False)),
        **dict.fromkeys(("appeal_needs_response", "appeal_under_review"), (True, False)),
        **dict.fromkeys(("warning_needs_response", "warning_under_review", "warning_closed"), (False, False)),
        **dict.fromkeys(("won", "prevented"), (False, False)),
        "lost": (False, True),
    }
)

FAILED: Final = frozenset({"failed", "canceled"})  # https://docs.stripe.com/api/refunds/object; pending is on its way


def named_invoice(money: Payload) -> str:
    """The invoice that a charge, or the charge or payment intent within a refund or dispute, names itself."""
    holders = (money, expanded(money, "charge"), expanded(money, "payment_intent"))
    return next((name for holder in holders if holder is not None and (name := id_of(holder, "invoice"))), "")


def payment_of(money: Payload) -> str:
    """The payment intent of a charge, refund or dispute; empty for a payment made without one."""
    charge = expanded(money, "charge")
    return id_of(money, "payment_intent") or (id_of(charge, "payment_intent") if charge is not None else "")


def translate_charge_refunded(event: Payload) -> tuple[PurchaseFact, ...]:
    """What has been refunded of a charge in all, so a refund that is told by its own event as well counts once."""
    head, charge = read_head(event), read_object(event)
    charge_id, is_whole = charge.identifier("id"), charge.boolean("refunded", default=False)
    paid = f" of {format_money(charge, 'amount')}" if charge.has("amount") and not is_whole else ""
    fact = ReturnFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        note=f"{'Full' if is_whole else 'Partial'} refund: {format_money(charge, 'amount_refunded')}{paid}.",
        return_id=f"charge:{charge_id}",
        order_id=_order_of(charge, charge_id=charge_id),
        aliases=_other_names(charge, charge_id=charge_id),
        is_whole_order=is_whole,
        amount=read_amount(charge, "amount_refunded"),
        is_cumulative=True,
    )
    return (fact,)


def translate_refund(event: Payload) -> tuple[PurchaseFact, ...]:
    """One refund, which may fail days after it was given."""
    head, refund = read_head(event), read_object(event)
    status = _word(refund, "status")
    fact = ReturnFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        note=_describe_refund(refund, status=status),
        return_id=refund.identifier("id"),
        order_id=_order_of(refund, charge_id=id_of(refund, "charge")),
        aliases=_other_names(refund, charge_id=id_of(refund, "charge")),
        amount=read_amount(refund, "amount"),
        has_failed=status in FAILED,
    )
    return (fact,)


def translate_dispute(event: Payload) -> tuple[PurchaseFact, ...]:
    """Every event about a dispute carries its status, and the status is what counts."""
    head, dispute = read_head(event), read_object(event)
    dispute_id, status = dispute.identifier("id"), _word(dispute, "status")
    order_id = _order_of(dispute, charge_id=id_of(dispute, "charge"))
    if status not in DISPUTES:
        return (_unknown_dispute(head, dispute_id=dispute_id, order_id=order_id, status=status),)
    is_open, is_lost = DISPUTES[status]
    fact = DisputeFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        note=_describe_dispute(dispute, status=status),
        dispute_id=dispute_id,
        order_id=order_id,
        aliases=_other_names(dispute, charge_id=id_of(dispute, "charge")),
        is_open=is_open,
        is_lost=is_lost,
    )
    return (fact,)


def _order_of(money: Payload, *, charge_id: str) -> str:
    """The name under which a purchase knows this payment: its invoice, else its payment intent, else the charge."""
    payment_id = payment_of(money)
    fetched = money.fetched("invoices_of_payment", payment_id)
    name = (fetched.as_text() if fetched is not None else "") or named_invoice(money) or payment_id or charge_id
    return name or money.identifier("charge")  # not there either: the error that says so


def _other_names(money: Payload, *, charge_id: str) -> tuple[str, ...]:
    """The payment intent, where an invoice is named: a one-time sale tells its payment, not always its invoice."""
    payment_id = payment_of(money)
    return (payment_id,) if payment_id and payment_id != _order_of(money, charge_id=charge_id) else ()


def _unknown_dispute(head: Head, *, dispute_id: str, order_id: str, status: str) -> NoteFact:
    return NoteFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        note=f"Dispute in a state unknown here: {status}.",
        kind=PurchaseKind.ORDER,
        purchase_id=order_id,
        attention=f"Stripe reports dispute {dispute_id} as '{status}', which is not known here, so nothing changed. "
        "Look at it in the Stripe dashboard and suspend or reinstate the license by hand.",
    )


def _describe_refund(refund: Payload, *, status: str) -> str:
    if status in FAILED:
        reason = _word(refund, "failure_reason")
        return f"Refund of {format_money(refund, 'amount')} did not go through ({reason or status})."
    reason = _word(refund, "reason")
    pending = ", not yet completed" if status in {"pending", "requires_action"} else ""
    return f"Refund of {format_money(refund, 'amount')}{f' ({reason})' if reason else ''}{pending}."


def _describe_dispute(dispute: Payload, *, status: str) -> str:
    words, reason = status.replace("_", " "), _word(dispute, "reason")
    kind = "Inquiry by the buyer's bank" if status.startswith("warning") else "Dispute"
    return f"{kind} over {format_money(dispute, 'amount')}{f' ({reason})' if reason else ''}: {words}."


def _word(parent: Payload, key: str) -> str:
    return word(parent.text(key, default=""))
