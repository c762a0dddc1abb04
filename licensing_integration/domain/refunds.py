"""How much of a purchase was given back: refunds in lines, units or mere sums, told as units of an item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from licensing_integration.domain.facts import ItemFact
from licensing_integration.domain.items import items_of
from licensing_integration.domain.outcomes import PurchaseKind
from licensing_integration.domain.purchases import MAIN_LINE, PurchaseState, Return

MONEY_TOLERANCE = 0.005  # half a cent: sums are floats
UNCLEAR_REFUND = "A refund of"  # what the question begins with
MOST_UNITS = 1_000  # of a line whose price is compared with a sum


class RefundedPart(StrEnum):
    """How much of what pays for a purchase went back, in words."""

    NOTHING = ""
    PART = "Partly refunded"
    ALL = "Refunded"


def refunded_part(state: PurchaseState) -> RefundedPart:
    """How much went back of an order, or of a subscription's current period: all of it where every unit did, and a part
    also where a sum fits no unit."""
    if not state.returns:
        return RefundedPart.NOTHING
    items = [item for item in items_of(state).values() if item.quantity > 0]
    if items and all(item.quantity <= returned_quantity(state, item) for item in items):
        return RefundedPart.ALL
    is_part = any(_is_touched(state, item) for item in items)
    return RefundedPart.PART if is_part else RefundedPart.NOTHING


def _is_touched(state: PurchaseState, item: ItemFact) -> bool:
    """Whether anything went back that paid for ``item``, be it less than a unit."""
    refunds = _refunds_of(state, _paying_order_ids(state, item))
    lines = [line for refund in refunds for line in refund.lines]
    ours = [line for line in lines if line.subscription_id in {"", state.subscription_id}]
    is_named = any(line.product == item.product for line in ours)
    return is_named or any(_sums(refunds)) or returned_quantity(state, item) > 0


def returned_quantity(state: PurchaseState, item: ItemFact) -> int:
    """How many units of ``item`` were refunded. Of a subscription only the current period's refund counts: a later
    charge pays for the licenses again, those of the add-ons bought with it included."""
    if not state.returns:
        return 0
    paying = _paying_order_ids(state, item)
    bought_together = _bought_together(state, paying)
    refunds = _refunds_of(state, paying)
    by_sum = _returned_by_sums(refunds, bought_together)
    if by_sum is None:
        return item.quantity
    alike = sorted((i for i in bought_together if i.product == item.product), key=lambda i: (len(i.line), i.line))
    # A refund names products, not lines: where a product stands on several lines, the last line gives back first.
    elsewhere = sum(other.quantity for other in alike[alike.index(item) + 1 :]) if len(alike) > 1 else 0
    returned = sum(_returned_units(refund, item, alike, state.subscription_id) for refund in refunds)
    return min(item.quantity, max(0, returned - elsewhere) + by_sum.get(item.line, 0))


def _bought_together(state: PurchaseState, paying: frozenset[str]) -> list[ItemFact]:
    """The items that the orders ``paying`` paid for; of an order, all."""
    items = list(items_of(state).values())
    if state.kind is PurchaseKind.ORDER:
        return items
    return [item for item in items if _paying_order_ids(state, item) == paying]


def unclear_refund(state: PurchaseState) -> str:
    """What a person has to decide about refunds that are mere sums and fit no number of units; empty if there is
    nothing to decide."""
    by_payment: dict[frozenset[str], list[ItemFact]] = {}
    for item in items_of(state).values():
        by_payment.setdefault(_paying_order_ids(state, item), []).append(item)
    unclear = _sums(_refunds_of(state, state.proration_order_ids))
    for paying, items in by_payment.items():
        unclear += _unclear_sums(_refunds_of(state, paying), items)
    if not unclear:
        return ""
    sums = " and ".join(f"{amount:.2f}" for amount in unclear)
    return (
        f"{UNCLEAR_REFUND} {sums} fits no number of units, so no license was touched. Decide whether one has to go and "
        "override it; then take this off the list."
    )


def _refunds_of(state: PurchaseState, names: frozenset[str]) -> list[Return]:
    return [refund for refund in state.returns.values() if not refund.names.isdisjoint(names)]


def _unclear_sums(refunds: Sequence[Return], items: Sequence[ItemFact]) -> list[float]:
    if _is_everything_returned(refunds, items):
        return []
    return [amount for amount in _sums(refunds) if amount and _units_for(amount, items) is None]


def _paying_order_ids(state: PurchaseState, item: ItemFact) -> frozenset[str]:
    if state.kind is PurchaseKind.ORDER:
        return state.order_ids
    is_renewed = item.line == MAIN_LINE or item.order_id in {"", state.initial_order_id}
    return state.paying_order_ids(item.line) if is_renewed else frozenset({item.order_id})


# --- refunds that are sums -----------------------------------------------------------------------------------------


def _returned_by_sums(refunds: Sequence[Return], items: Sequence[ItemFact]) -> Mapping[str, int] | None:
    """Line → units that refunds without lines gave back; ``None`` if they gave back everything."""
    if _is_everything_returned(refunds, items):
        return None
    found = [units for amount in _sums(refunds) if (units := _units_for(amount, items))]
    return {line: sum(count for name, count in found if name == line) for line in {name for name, _ in found}}


def _is_everything_returned(refunds: Sequence[Return], items: Sequence[ItemFact]) -> bool:
    sums = _sums(refunds)
    if not sums:
        return False
    has_failure = any(refund.has_failed for refund in refunds)
    if not has_failure and any(refund.is_whole_order for refund in refunds if refund.amount is not None):
        return True
    prices = [item.subtotal for item in items]
    return bool(prices) and None not in prices and sum(sums) > sum(filter(None, prices)) - MONEY_TOLERANCE


def _sums(refunds: Iterable[Return]) -> list[float]:
    """The amounts given back. Single refunds tell more than their total, but the total may know of more of them."""
    sums = [refund for refund in refunds if refund.amount is not None]
    single = [refund.amount or 0.0 for refund in sums if not refund.is_cumulative and not refund.has_failed]
    failed = sum(refund.amount or 0.0 for refund in sums if refund.has_failed)
    total = max((refund.amount or 0.0 for refund in sums if refund.is_cumulative), default=0.0) - failed
    if total > sum(single) + MONEY_TOLERANCE:
        return [total]
    return sorted(single)


def _units_for(amount: float, items: Sequence[ItemFact]) -> tuple[str, int] | None:
    """The only line, and number of its units, whose price is ``amount``; ``None`` if there is none or several."""
    fitting = [
        (item.line, count)
        for item in items
        if item.subtotal and item.quantity > 0
        for count in range(1, min(item.quantity, MOST_UNITS) + 1)
        if abs(amount - count * item.subtotal / item.quantity) < MONEY_TOLERANCE
    ]
    return fitting[0] if len(fitting) == 1 else None


# --- refunds in lines ----------------------------------------------------------------------------------------------


def _returned_units(refund: Return, item: ItemFact, lines: Sequence[ItemFact], subscription_id: str) -> int:
    """Units of ``item``'s product that a refund gave back, on all its ``lines`` together."""
    bought = sum(line.quantity for line in lines)
    if refund.is_whole_order and refund.amount is None:
        return bought
    returned = [r for r in refund.lines if r.product == item.product and r.subscription_id in {"", subscription_id}]
    if len(lines) == 1 and any(line.is_full for line in returned):
        return bought
    return sum(r.quantity for r in returned if r.is_full or not _is_money_only(r.amount, r.quantity, item))


def _is_money_only(amount: float | None, quantity: int, item: ItemFact) -> bool:
    """A goodwill amount below the price of the units it names takes no unit back."""
    if amount is None or not item.subtotal or item.quantity < 1:
        return False
    return amount < 0.99 * quantity * item.subtotal / item.quantity
