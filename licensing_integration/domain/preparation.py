"""Keys given out on the order page, before the order was completed: which of its items they turn out to be for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from licensing_integration.domain.facts import ItemFact, OrderFact, PurchaseFact, SubscriptionFact
from licensing_integration.domain.items import items_of, told_items
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus
from licensing_integration.domain.purchases import MAIN_LINE, KnownOrder, Preparation, PurchaseState


def order_of(facts: Iterable[PurchaseFact]) -> Mapping[str, KnownOrder]:
    """The completed order that these facts are of, by its reference; empty if they are of something else."""
    reference, order_id, products = "", "", set[str]()
    for fact in facts:
        match fact:
            case OrderFact(status=PurchaseStatus.COMPLETED):
                bought: tuple[ItemFact, ...] = (*fact.items, *fact.beside)
            case SubscriptionFact(customer_is_buyer=True):
                bought = (*fact.add_ons, *fact.beside)
                products |= {fact.snapshot.product} if fact.snapshot else set()
            case _:
                continue
        reference, order_id = fact.reference, fact.order_id
        products |= {item.product for item in bought}
    return {reference: KnownOrder(order_id=order_id, products=tuple(sorted(products)))} if reference else {}


def waiting_preparations(state: PurchaseState) -> Mapping[str, Preparation]:
    """What was prepared and is under none of the purchase's own lines: its order is waited for, or it is another's."""
    told = told_items(state)
    return {
        line: preparation
        for line, preparation in state.prepared.items()
        if not preparation.line and not preparation.is_elsewhere and line not in told
    }


def unordered_preparations(state: PurchaseState) -> Mapping[str, ItemFact]:
    """What was prepared but turned out not to be in its order, by line."""
    return {
        line: preparation.item
        for line, preparation in waiting_preparations(state).items()
        if (order := state.known_orders.get(preparation.reference)) and preparation.item.product not in order.products
    }


def settled(state: PurchaseState, moves: Mapping[str, str]) -> PurchaseState:
    """What was prepared has become a line of this purchase: old → new."""
    return _changed(state, {line: replace(state.prepared[line], line=new) for line, new in moves.items()})


def released(state: PurchaseState, line: str) -> PurchaseState:
    """What was prepared turned out to be another purchase's."""
    return _changed(state, {line: replace(state.prepared[line], is_elsewhere=True)})


def _changed(state: PurchaseState, changed: Mapping[str, Preparation]) -> PurchaseState:
    return replace(state, prepared={**state.prepared, **changed}) if changed else state


# --- lines -----------------------------------------------------------------------------------------------------------


def lines_of_order(state: PurchaseState, order: KnownOrder | None) -> Mapping[str, ItemFact]:
    """The items that an order bought; without one, what the purchase is about, which any event tells."""
    told = told_items(state)
    return {
        line: item
        for line, item in told.items()
        if (item.order_id == order.order_id if order else line == MAIN_LINE and state.kind is PurchaseKind.SUBSCRIPTION)
    }


def find_line(
    item: ItemFact,
    items: Mapping[str, ItemFact],
    *,
    keys: Collection[str] = (),
    given_keys: Mapping[str, Collection[str]],
) -> str | None:
    """The line of an order that a prepared item with these license ``keys`` is, or ``None``.

    By the keys that the store shows for it, else by product; of several lines the one with the same quantity.
    """
    by_key = [line for line, given in given_keys.items() if line in items and not set(given).isdisjoint(keys)]
    by_product = [line for line, other in items.items() if other.product == item.product]
    lines = by_key or by_product
    return min(lines, key=lambda line: (items[line].quantity != item.quantity, len(line), line), default=None)


def requested_line(state: PurchaseState, *, reference: str, product: str, quantity: int) -> str | None:
    """The line of the purchase that a request for keys is about: as it was prepared, else as its order told, else what
    the purchase is about."""
    items = items_of(state)
    for line, prepared in state.prepared.items():
        is_asked_for = (prepared.reference, prepared.item.product) == (reference, product) and not prepared.is_elsewhere
        if is_asked_for and (prepared.line or line in items):
            return prepared.line or line
    asked = ItemFact(line="", product=product, quantity=quantity)
    order = state.known_orders.get(reference)
    of_order = find_line(asked, lines_of_order(state, order), given_keys={}) if order else None
    return of_order or find_line(asked, {line: i for line, i in items.items() if _is_own(state, line)}, given_keys={})


def _is_own(state: PurchaseState, line: str) -> bool:
    return state.kind is PurchaseKind.ORDER or line == MAIN_LINE
