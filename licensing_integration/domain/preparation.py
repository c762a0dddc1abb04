"""Keys given out on the order page, before the order was completed: which of its items they turn out to be for."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from licensing_integration.domain.facts import ItemFact
from licensing_integration.domain.items import items_of, open_preparations
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus
from licensing_integration.domain.purchases import PurchaseState


def is_told(state: PurchaseState) -> bool:
    """Whether the order itself is known, and not only that the store is about to complete it."""
    if state.kind is PurchaseKind.ORDER:
        return state.order_status is PurchaseStatus.COMPLETED
    return state.is_confirmed


def waiting_lines(state: PurchaseState) -> Mapping[str, ItemFact]:
    """What was prepared and is not among the purchase's own items: it is waited for, or it is another purchase's."""
    told = items_of(state)
    prepared = open_preparations(state)
    return {line: item for line, item in prepared.items() if told.get(line, item) is item}


def find_line(
    item: ItemFact,
    items: Mapping[str, ItemFact],
    *,
    keys: Collection[str] = (),
    given_keys: Mapping[str, Collection[str]],
) -> str | None:
    """The line of an order that a prepared item is, or ``None``.

    By the keys that the store shows for it, else by product; of several lines the one with the same quantity.
    """
    by_key = [line for line, given in given_keys.items() if line in items and set(given) & set(keys)]
    by_product = [line for line, other in items.items() if other.product == item.product]
    lines = by_key or by_product
    return min(lines, key=lambda line: (items[line].quantity != item.quantity, len(line), line), default=None)


def unordered(state: PurchaseState) -> tuple[ItemFact, ...]:
    """What was prepared but turned out not to be in the order."""
    if not is_told(state):
        return ()
    elsewhere = {item.product for item in (*items_of(state).values(), *state.beside.values())}
    return tuple(item for item in waiting_lines(state).values() if item.product not in elsewhere)
