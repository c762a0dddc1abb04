"""Purchases whose keys were given out on the order page: known by the order's reference before it has an id."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import QuerySet

from licensing_integration import conf
from licensing_integration.domain.facts import NoteFact, OrderFact, PreparationFact, PurchaseFact, SubscriptionFact
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus
from licensing_integration.domain.preparation import requested_line
from licensing_integration.models import Purchase, PurchaseAlias
from licensing_integration.services.purchases import load_state, locked_purchases, order_ids_of

REFERENCE_ALIAS = "reference"


def are_keys_given_out(store: str) -> bool:
    """Whether the store may ask for keys. Only then is an order looked for by its reference, too."""
    config = conf.store(store)
    return config is not None and bool(config.fulfilment_keys)


def names_of(facts: Sequence[PurchaseFact], *, has_several_names: bool, by_reference: bool) -> set[str]:
    """What transactions that could miss each other have in common: order ids, and references where those count."""
    references = {name for fact in facts for name in _references_of(fact)} if by_reference else set()
    return order_ids_of(facts, has_several_names=has_several_names) | references


def _references_of(fact: PurchaseFact) -> tuple[str, ...]:
    match fact:
        case OrderFact() | SubscriptionFact() | PreparationFact():
            return (fact.reference,)
        case NoteFact(purchase_id=order_id, reference=reference) if reference:
            return (order_id, reference)
        case _:
            return ()


def purchases_of(store: str, fact: PurchaseFact, *, has_several_names: bool, by_reference: bool) -> list[Purchase]:
    """The purchases a fact speaks of, locked, and made if need be; with ``by_reference`` also those that are known by
    nothing but the reference of their order."""
    known = _known_by_reference(store, fact) if by_reference else None
    found = [known] if known else locked_purchases(store, fact, has_several_names=has_several_names)
    if isinstance(fact, OrderFact | SubscriptionFact):
        for purchase in found:
            if purchase.status == PurchaseStatus.PREPARED:
                purchase.is_live = fact.is_live  # unsaved; the request says so only where the merchant has it sent
    return found


def _known_by_reference(store: str, fact: PurchaseFact) -> Purchase | None:
    match fact:
        case OrderFact(order_id=order_id, reference=reference) if reference:
            return _known_order(store, order_id, reference)
        case NoteFact(kind=PurchaseKind.ORDER, purchase_id=order_id, reference=reference) if reference:
            return _known_order(store, order_id, reference)
        case PreparationFact(subscription_id=""):
            return _known_preparation(store, fact)
        case _:
            return None


def _known_order(store: str, order_id: str, reference: str) -> Purchase | None:
    """The order by its own id; else as it was prepared, which from now on goes by that id."""
    rows = Purchase.objects.filter(store=store, kind=PurchaseKind.ORDER, external_id__in=[order_id, reference])
    by_name = {row.external_id: row for row in rows.order_by("id").select_for_update(no_key=True)}
    known = by_name.get(order_id) or by_name.get(reference)
    if known:
        known.external_id = order_id  # unsaved; the references of its slots keep the other name
    return known


def with_reference(store: str, reference: str) -> QuerySet[Purchase]:
    """Every purchase that an order of this reference is known to be of, in no order."""
    rows = Purchase.objects.filter(store=store).order_by()
    aliases = PurchaseAlias.objects.filter(store=store, kind=REFERENCE_ALIAS, value=reference)
    ids = rows.filter(reference=reference).values("pk")
    orders = rows.filter(kind=PurchaseKind.ORDER, external_id=reference).values("pk")
    return rows.filter(pk__in=ids.union(orders, aliases.values("purchase_id")))


def add_reference_alias(purchase: Purchase, fact: PurchaseFact) -> None:
    """A subscription has the reference of the order that began it; keys and add-ons may be of another one."""
    if isinstance(fact, SubscriptionFact | PreparationFact) and fact.reference not in {"", purchase.reference}:
        alias = PurchaseAlias(store=purchase.store, kind=REFERENCE_ALIAS, value=fact.reference, purchase=purchase)
        PurchaseAlias.objects.bulk_create([alias], ignore_conflicts=True)


def _known_preparation(store: str, fact: PreparationFact) -> Purchase | None:
    """The purchase that has what is asked for; else the order, whose items may not be told yet."""
    rows = with_reference(store, fact.reference).order_by("pk").select_for_update(no_key=True)
    found = [(row, _has_requested(row, fact)) for row in rows]
    by_rank = sorted(found, key=lambda pair: (not pair[1], pair[0].kind != PurchaseKind.ORDER, pair[0].pk))
    return next((row for row, has_item in by_rank if has_item or row.kind == PurchaseKind.ORDER), None)


def _has_requested(purchase: Purchase, fact: PreparationFact) -> bool:
    """Whether the purchase has the item that keys are asked for, as far as is known."""
    item = fact.item
    state = load_state(purchase)
    line = requested_line(state, reference=fact.reference, product=item.product, quantity=item.quantity)
    return line is not None
