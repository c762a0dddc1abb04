"""takeover: licenses whose keys were given out on the order page find their items once the order is told.

They were planned for the product alone, in a purchase named by the order's reference or by its subscription. When the
order arrives, rows and links go where they belong; the references of the slots, which stand on the licenses, stay.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from licensing_integration import jobs
from licensing_integration.domain.facts import ItemFact, OrderFact, PurchaseFact, SubscriptionFact
from licensing_integration.domain.folding import with_preparation
from licensing_integration.domain.preparation import (
    assign_lines,
    lines_of_order,
    released,
    settled,
    unordered_preparations,
    waiting_preparations,
)
from licensing_integration.domain.purchases import MAIN_LINE, KnownOrder, Preparation, PurchaseState
from licensing_integration.models import HistoryEntry, LicenseLink, Purchase, PurchaseItem
from licensing_integration.services.preparations import with_reference
from licensing_integration.services.purchases import load_state, store_state

Note = Callable[[Purchase, str, str], None]
RECOGNISED = "order.recognised"


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """A prepared item with its row."""

    line: str
    preparation: Preparation
    row: PurchaseItem
    links: tuple[LicenseLink, ...]


def take_over(
    purchase: Purchase, state: PurchaseState, fact: PurchaseFact, *, order: Mapping[str, KnownOrder], note: Note
) -> tuple[PurchaseState, bool]:
    """Give the items that ``fact`` told of the locked ``purchase`` the licenses that were prepared for them, in this
    purchase or in another one. ``order``: the completed order that the fact is of, see ``order_of``.

    Returns the state, and whether any rows have moved.
    """
    if not isinstance(fact, OrderFact | SubscriptionFact):
        return state, False
    reference = fact.reference or state.reference
    is_known = reference in state.known_orders  # then its other purchases have nothing more for this one
    state = replace(state, known_orders={**state.known_orders, **order})
    items = lines_of_order(state, order.get(reference))
    moves = _settle_own(purchase, state, items, fact)
    state = settled(state, moves)
    if items and reference and not is_known:
        state, taken = _take_from_others(purchase, state, items, fact, reference=reference, note=note)
        moves |= taken
    if order and not is_known:
        _tell(purchase, state, reference, note=note)
    return state, bool(moves)


def question(purchase: Purchase, before: PurchaseState, state: PurchaseState, fact: PurchaseFact) -> str:
    """What a person should look at after the store told of the order; empty if it is as it was prepared.

    To be asked after ``take_over``, and before the items are planned. ``before``: the state before ``fact``.
    """
    if not isinstance(fact, OrderFact | SubscriptionFact):
        return ""
    if asked := _question_of_keys(purchase, before, fact):
        return asked
    unordered = unordered_preparations(state)
    rows = PurchaseItem.objects.filter(purchase=purchase, line__in=unordered) if unordered else ()
    products = ", ".join(sorted(row.product for row in rows))
    if products:
        return (
            f"A key of {products} was given out on the order page, but the order does not contain it, or not in that "
            "quantity. Its license is ended. Compare the order in the store with the fulfilments of its products."
        )
    return ""


def _question_of_keys(purchase: Purchase, before: PurchaseState, fact: OrderFact | SubscriptionFact) -> str:
    """About the keys that the store shows the buyer."""
    given = sorted({key for keys in fact.given_keys.values() for key in keys})
    if not given:
        return ""
    links = LicenseLink.objects.filter(key__in=given).values_list("key", "purchase_id", "item__line")
    places = {key: (owner, line) for key, owner, line in links}
    if foreign := [key for key in given if key not in places]:
        return (
            f"The store shows the buyer a license key that is not from here ({_endings(foreign)}). Compare the "
            "product's fulfilments in the store with its set-up here, and tell the buyer which key counts."
        )
    if isinstance(fact, SubscriptionFact) and fact.reference in before.known_orders:
        return ""  # told before; what it consists of may have changed since
    for line, quantity in _quantities(fact).items():
        keys = sorted(set(fact.given_keys.get(line, ())))
        if elsewhere := [key for key in keys if places[key] != (purchase.pk, line)]:
            return (
                f"The store shows the buyer {_endings(elsewhere)} for {line}, which is the key of another license. "
                f"Nobody was shown the key of the license made for {line}: send it to the buyer. A product needs a "
                "line of its own in each order."
            )
        if len(keys) > quantity:
            return (
                f"The store shows the buyer {len(keys)} license keys for {line} ({_endings(keys)}), but the order has "
                f"a quantity of {quantity}. The licenses above it are ended. Tell the buyer which key counts."
            )
    return ""


def _quantities(fact: OrderFact | SubscriptionFact) -> dict[str, int]:
    """How many units of each line the order bought."""
    if isinstance(fact, OrderFact):
        return {item.line: item.quantity for item in fact.items}
    main = {MAIN_LINE: fact.snapshot.quantity} if fact.snapshot else {}
    return {**main, **{item.line: item.quantity for item in fact.add_ons}}


def _endings(keys: Sequence[str]) -> str:
    return ", ".join(f"…{key[-6:]}" for key in keys[:5])


def _tell(purchase: Purchase, state: PurchaseState, reference: str, *, note: Note) -> None:
    prepared = [(line, p) for line, p in state.prepared.items() if p.reference == reference and not p.is_elsewhere]
    lines = {p.line or line for line, p in prepared}
    number = LicenseLink.objects.filter(purchase=purchase, item__line__in=lines).count() if lines else 0
    if number:
        note(purchase, RECOGNISED, f"Recognised the {_licenses(number)} given out on the order page.")


def _licenses(number: int) -> str:
    return "license" if number == 1 else f"{number} licenses"


# --- from where to where ---------------------------------------------------------------------------------------------


def _settle_own(
    purchase: Purchase, state: PurchaseState, items: Mapping[str, ItemFact], fact: OrderFact | SubscriptionFact
) -> dict[str, str]:
    """What was prepared in this purchase gets the names that its lines turn out to have: old → new."""
    rows = list(_prepared_rows(purchase, state, reference=fact.reference))
    moves = _lines_of(rows, state, items, fact)
    for prepared in rows:
        if line := moves.get(prepared.line):
            _move(prepared, purchase, line, items[line])
    return moves


def _take_from_others(
    purchase: Purchase,
    state: PurchaseState,
    items: Mapping[str, ItemFact],
    fact: OrderFact | SubscriptionFact,
    *,
    reference: str,
    note: Note,
) -> tuple[PurchaseState, dict[str, str]]:
    """What was prepared in the order's other purchases and is this one's, which from now on has prepared it itself;
    returns its state, and old line → new line."""
    taken: dict[str, str] = {}
    others = with_reference(purchase.store, reference).exclude(pk=purchase.pk)
    for other in others.order_by("pk").select_for_update(no_key=True):
        theirs = load_state(other)
        rows = list(_prepared_rows(other, theirs, reference=reference))
        lines = _lines_of(rows, state, items, fact)
        for prepared in rows:
            if line := lines.get(prepared.line):
                _move(prepared, purchase, line, items[line])
                _tell_release(other, prepared, purchase, note=note)
                state = with_preparation(state, replace(prepared.preparation, line=line))
                theirs = released(theirs, prepared.line)
        if lines:
            store_state(other, theirs)
            other.save()
            if unordered_preparations(theirs):
                jobs.enqueue_purchases([other.pk])  # it was planned when they might still have been this one's
        taken |= lines
    return state, taken


def _tell_release(other: Purchase, prepared: _Prepared, purchase: Purchase, *, note: Note) -> None:
    licenses = _licenses(len(prepared.links))
    where = f"{purchase.kind} {purchase.external_id}"
    note(other, RECOGNISED, f"The {licenses} given out on the order page went over to {where}.")


def _prepared_rows(purchase: Purchase, state: PurchaseState, *, reference: str) -> Iterator[_Prepared]:
    """Empty ``reference``: of any order."""
    waiting = {
        line: preparation
        for line, preparation in waiting_preparations(state).items()
        if reference in {"", preparation.reference}
    }
    if not waiting:
        return
    # Those of no quantity were given up as not ordered.
    for row in PurchaseItem.objects.filter(purchase=purchase, line__in=waiting, quantity__gt=0):
        links = LicenseLink.objects.filter(item=row).order_by("id").select_for_update(no_key=True)
        row.purchase = purchase
        yield _Prepared(line=row.line, preparation=waiting[row.line], row=row, links=tuple(links))


def _lines_of(
    rows: Iterable[_Prepared], state: PurchaseState, items: Mapping[str, ItemFact], fact: OrderFact | SubscriptionFact
) -> dict[str, str]:
    """Prepared line → the line of ``items`` that it turns out to be."""
    prepared = {row.line: (row.preparation.item, {link.key for link in row.links if link.key}) for row in rows}
    taken = {p.line for p in state.prepared.values() if p.line}
    return assign_lines(prepared, items, given_keys=fact.given_keys, taken=taken)


# --- moving ----------------------------------------------------------------------------------------------------------


def _move(prepared: _Prepared, purchase: Purchase, line: str, item: ItemFact) -> None:
    """Make the row the one of ``line``; or give its links to that one, if there is one already."""
    row = prepared.row
    present = PurchaseItem.objects.filter(purchase=purchase, line=line).first()
    if present is None:
        if row.purchase.kind != purchase.kind:
            row.terms = None  # an order's; a subscription's end differs
        row.purchase, row.line, row.product = purchase, line, item.product[:200]
        row.save()
    else:
        _make_room(present, units={link.unit for link in prepared.links})
    LicenseLink.objects.filter(item=row).update(item=present or row, purchase=purchase)
    HistoryEntry.objects.filter(link__in=prepared.links).update(purchase=purchase)
    if present is not None:
        row.delete()


def _make_room(row: PurchaseItem, *, units: Collection[int]) -> None:
    """The buyer has the prepared keys: licenses that were made beside them meanwhile give up their units. Those are
    above the quantity then, so planning ends them."""
    links = list(LicenseLink.objects.filter(item=row).order_by("unit").select_for_update(no_key=True))
    last = max([*units, *(link.unit for link in links)], default=0)
    for number, link in enumerate((link for link in links if link.unit in units), start=last + 1):
        link.unit = number
        link.save(update_fields=["unit", "updated_at"])
