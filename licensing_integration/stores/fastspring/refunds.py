"""Money that goes back: refunds and chargebacks."""

from __future__ import annotations

from typing import Final

from licensing_integration.domain.facts import DisputeFact, NoteFact, PurchaseFact, ReturnedLine, ReturnFact
from licensing_integration.domain.outcomes import PurchaseKind
from licensing_integration.stores.fastspring import notes
from licensing_integration.stores.fastspring.shapes import linked_id, read_head, required_id
from licensing_integration.stores.payload import Payload

MONEY_TOLERANCE: Final = 0.005  # half a cent: sums are floats


def translate_return(event: Payload) -> tuple[PurchaseFact, ...]:
    """A refund. It ends no subscription by itself; if the seller ended it too, that comes as an event of its own."""
    head, data = read_head(event), event.require("data")
    original = data.require("original")
    order_id = original.identifier("id", "order")
    if not data.boolean("completed", default=True):
        note = "Refund begun; FastSpring has not completed it."
        return (
            NoteFact(
                occurred_at=head.occurred_at,
                is_live=head.is_live,
                note=note,
                kind=PurchaseKind.ORDER,
                purchase_id=order_id,
            ),
        )
    lines = tuple(_read_returned_line(item) for item in data.items("items"))
    is_whole_order = _is_whole_order(data, original)
    fact = ReturnFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        note=notes.returned(lines, is_whole_order=is_whole_order),
        return_id=data.identifier("return", "id"),
        order_id=order_id,
        lines=lines,
        is_whole_order=is_whole_order,
    )
    return (fact,)


def _is_whole_order(data: Payload, original: Payload) -> bool:
    returned, paid = data.number("totalReturn", default=None), original.number("total", default=None)
    return returned is not None and paid is not None and abs(returned - paid) < MONEY_TOLERANCE


def _read_returned_line(item: Payload) -> ReturnedLine:
    return ReturnedLine(
        product=required_id(item, "product"),
        quantity=item.integer("quantity", minimum=0),
        is_full=item.text("refundType", default="").strip().lower() == "full refund",
        amount=item.number("subtotal", default=None),
        subscription_id=linked_id(item, "subscription"),
    )


def translate_chargeback(event: Payload) -> tuple[PurchaseFact, ...]:
    """The bank opened a dispute. FastSpring sends nothing when it is decided."""
    head, data = read_head(event), event.require("data")
    reason = notes.read_reason(data, "reasonDescription")
    fact = DisputeFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        note=f"Chargeback opened by the buyer's bank{f' (reason {reason})' if reason else ''}.",
        dispute_id=data.identifier("processorCaseId") if data.has("processorCaseId") else event.identifier("id"),
        order_id=data.identifier("order", "id"),
    )
    return (fact,)
