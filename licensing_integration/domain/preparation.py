"""Keys given out on the order page, before the order was completed: which of its items they turn out to be for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from licensing_integration.domain.facts import ItemFact, OrderFact, PurchaseFact, SubscriptionFact
from licensing_integration.domain.items import items_of, told_items
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus
from licensing_integration.domain.purchases import MAIN_LINE, KnownOrder, Preparation, PurchaseState


def order_of(facts: Iterable[PurchaseFact]) -> Mapping[str, KnownOrder]:
    """The completed order that these facts are of, by its reference; empty if they are of something else."""
    reference, order_id = "", ""
    products, beside = Counter[str](), set[str]()  # what stands beside one fact is mostly told by another, too
    for fact in facts:
        match fact:
            case OrderFact(status=PurchaseStatus.COMPLETED):
                products.update(item.product for item in fact.items)
            case SubscriptionFact(customer_is_buyer=True):
                products.update(item.product for item in fact.add_ons)
                products.update([fact.snapshot.product] if fact.snapshot else [])
            case _:
                continue
        reference, order_id = fact.reference, fact.order_id
        beside.update(item.product for item in fact.beside)
    bought = (products | Counter(beside)).elements()
    return {reference: KnownOrder(order_id=order_id, products=tuple(sorted(bought)))} if reference else {}


def waiting_preparations(state: PurchaseState) -> Mapping[str, Preparation]:
    """What was prepared and is under none of the purchase's own lines: its order is waited for, or it is another's."""
    return {
        line: preparation
        for line, preparation in state.prepared.items()
        if not preparation.line and not preparation.is_elsewhere
    }


def unordered_preparations(state: PurchaseState) -> Mapping[str, ItemFact]:
    """What was prepared but turned out not to be in its order, by line: every line of that product has its licenses."""
    settled_ones = Counter((p.reference, p.item.product) for p in state.prepared.values() if p.line or p.is_elsewhere)
    return {
        line: p.item
        for line, p in waiting_preparations(state).items()
        if (order := state.known_orders.get(p.reference))
        and order.products.count(p.item.product) <= settled_ones[p.reference, p.item.product]
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


def assign_lines(
    prepared: Mapping[str, tuple[ItemFact, Collection[str]]],
    items: Mapping[str, ItemFact],
    *,
    given_keys: Mapping[str, Collection[str]],
    taken: Collection[str] = (),
) -> dict[str, str]:
    """Which lines of an order the prepared items turn out to be: prepared line → line. One each; who finds none waits.

    ``prepared``: the item, and the keys of its licenses. A line is found by the keys that the store shows for it, else
    by product; of several the one with the same quantity. ``taken``: lines that have their prepared licenses already;
    only a key on the order page says otherwise.
    """
    fits = []
    for name, (item, keys) in prepared.items():
        for line, told in items.items():
            is_shown = not set(given_keys.get(line, ())).isdisjoint(keys)
            if is_shown or (told.product == item.product and line not in taken):
                fits.append((not is_shown, *_distance(item, told, line), name))
    found: dict[str, str] = {}
    for *_, line, name in sorted(fits):
        if name not in found and line not in found.values():
            found[name] = line
    return found


def _distance(item: ItemFact, told: ItemFact, line: str) -> tuple[bool, int, str]:
    return (told.quantity != item.quantity, len(line), line)


def requested_line(
    state: PurchaseState, *, reference: str, product: str, quantity: int, subscription_id: str = ""
) -> str | None:
    """The line of the purchase that a request for keys is about: as it was prepared, else as its order told, else what
    the purchase is about. Where another request of that order has named the subscription for that product, one that
    names none is for something else."""
    items = items_of(state)
    prepared = {
        line: p
        for line, p in state.prepared.items()
        if (p.reference, p.item.product) == (reference, product) and not p.is_elsewhere
    }
    if not subscription_id and any(p.subscription_id for p in prepared.values()):
        return None
    for line, p in prepared.items():
        if p.item.quantity == quantity and (p.line or line in items):
            return p.line or line
    asked = ItemFact(line="", product=product, quantity=quantity)
    order = state.known_orders.get(reference)
    of_order = _find_line(asked, lines_of_order(state, order)) if order else None
    return of_order or _find_line(asked, {line: item for line, item in items.items() if _is_own(state, line)})


def _find_line(asked: ItemFact, items: Mapping[str, ItemFact]) -> str | None:
    lines = [line for line, item in items.items() if item.product == asked.product]
    return min(lines, key=lambda line: _distance(asked, items[line], line), default=None)


def _is_own(state: PurchaseState, line: str) -> bool:
    return state.kind is PurchaseKind.ORDER or line == MAIN_LINE
