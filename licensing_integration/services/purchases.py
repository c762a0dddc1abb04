"""Finding and locking purchases: by their own id, or by any order id the store knows them under."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from licensing_integration.domain.facts import (
    CustomerFact,
    DisputeFact,
    NoteFact,
    OrderFact,
    PreparationFact,
    PurchaseFact,
    ReturnFact,
    SubscriptionFact,
)
from licensing_integration.domain.folding import absorb
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus
from licensing_integration.domain.purchases import PurchaseState
from licensing_integration.models import Purchase, PurchaseAlias
from licensing_integration.services.codec import from_json, to_json

ORDER_ALIAS = "order"
CUSTOMER_ALIAS = "customer"

# Inserts or finds the row and locks it until the end of the transaction, in one round trip.
_UPSERT = """
INSERT INTO licensing_integration_purchase
    (store, kind, external_id, reference, status, customer_email, customer_name, is_live, state, attention,
     first_seen_at, updated_at)
VALUES (%s, %s, %s, '', 'unknown', '', '', %s, '{}', '', %s, %s)
ON CONFLICT (store, kind, external_id) DO UPDATE SET updated_at = excluded.updated_at
RETURNING *
"""


def lock_orders(store: str, order_ids: Iterable[str]) -> None:
    """Serialise everything that speaks of these orders until the transaction ends.

    A refund may arrive while its order is being planned; without this each could miss the other.
    """
    numbers = sorted({_lock_number(store, order_id) for order_id in order_ids if order_id})
    if numbers:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(n) FROM unnest(%s::bigint[]) AS n", [numbers])


def order_ids_of(facts: Sequence[PurchaseFact], *, has_several_names: bool) -> set[str]:
    """Every order the facts name, and with ``has_several_names`` every customer."""
    ids: set[str] = set()
    for fact in facts:
        match fact:
            case OrderFact():
                ids.update({fact.order_id, *fact.aliases})
            case ReturnFact() | DisputeFact():
                ids.update({fact.order_id, *fact.aliases})
            case SubscriptionFact():
                ids.update({fact.order_id, *fact.aliases, *(item.order_id for item in fact.add_ons)})
                ids.update({fact.charge.order_id, *fact.charge.aliases} if fact.charge else ())
            case CustomerFact() | NoteFact() | PreparationFact():
                pass
        if has_several_names:
            ids.add(customer_of(fact))
    return ids


def customer_of(fact: PurchaseFact) -> str:
    """The store's id of the customer a fact names; empty if it names none."""
    match fact:
        case OrderFact(customer=customer) | SubscriptionFact(customer=customer) | CustomerFact(customer=customer):
            return customer.external_id if customer else ""
        case _:
            return ""


def locked_purchases(store: str, fact: PurchaseFact, *, has_several_names: bool) -> list[Purchase]:
    """The purchases a fact speaks of, locked; made if the store has not mentioned them before."""
    match fact:
        case OrderFact():
            known = _known_order(store, fact) if has_several_names else None
            return [known or _upsert(store, PurchaseKind.ORDER, fact.order_id, is_live=fact.is_live)]
        case SubscriptionFact():
            return [_upsert(store, PurchaseKind.SUBSCRIPTION, fact.subscription_id, is_live=fact.is_live)]
        case PreparationFact():
            kind = PurchaseKind.SUBSCRIPTION if fact.subscription_id else PurchaseKind.ORDER
            return [_upsert(store, kind, fact.subscription_id or fact.reference, is_live=fact.is_live)]
        case NoteFact():
            return [_upsert(store, fact.kind, fact.purchase_id, is_live=fact.is_live)]
        case CustomerFact():
            return _locked(_of_customer(store, fact.customer.external_id))
        case ReturnFact() | DisputeFact():
            found = _locked(of_orders(store, [fact.order_id, *fact.aliases]))
            return found or [_upsert(store, PurchaseKind.ORDER, fact.order_id, is_live=fact.is_live)]


def _locked(purchases: QuerySet[Purchase]) -> list[Purchase]:
    return list(purchases.order_by("id").select_for_update(no_key=True))


def _known_order(store: str, fact: OrderFact) -> Purchase | None:
    """The order, when it was made under another of its names: a Checkout session and its invoice are one order."""
    known = of_orders(store, [fact.order_id, *fact.aliases]).filter(kind=PurchaseKind.ORDER)
    return known.order_by("id").select_for_update(no_key=True).first()


def load_state(purchase: Purchase) -> PurchaseState:
    """The folded state of a purchase; empty for one that was just made."""
    known = from_json(purchase.state, PurchaseState) if purchase.state else None
    state = known or PurchaseState(kind=PurchaseKind(purchase.kind))
    return state if purchase.is_live else replace(state, is_test=True)


def take_over_early_refunds(purchase: Purchase, state: PurchaseState, *, order_ids: Iterable[str]) -> PurchaseState:
    """A refund that overtook its order waits on a placeholder, or on whichever purchase of that order was known by
    then; every other purchase of the order takes it over."""
    names = sorted(order_ids)
    others = list(of_orders(purchase.store, names).exclude(pk=purchase.pk).order_by("id")) if names else []
    placeholders = [other.pk for other in others if other.status == PurchaseStatus.UNKNOWN and other.attention]
    if placeholders:
        Purchase.objects.filter(pk__in=placeholders).update(attention="")  # the sale is known now
    for order_id in names:
        for other in others:
            state = absorb(state, load_state(other), order_id=order_id)
    return state


def beside(purchase: Purchase, *, order_ids: Iterable[str]) -> list[int]:
    """The other purchases of these orders of it."""
    others = of_orders(purchase.store, order_ids).exclude(pk=purchase.pk)
    return list(others.order_by("id").values_list("id", flat=True))


def store_state(purchase: Purchase, state: PurchaseState) -> None:
    """Copy a state onto its row (unsaved): the JSON, and the columns that lists and searches read."""
    purchase.state = to_json(state)
    purchase.status = state.status
    purchase.reference = state.reference
    purchase.paid_through = state.paid_through
    if state.customer:
        purchase.customer_email = state.customer.email
        purchase.customer_name = f"{state.customer.first_name} {state.customer.last_name}".strip()[:300]


def add_aliases(purchase: Purchase, *, order_ids: Iterable[str]) -> None:
    """Order ids under which refunds, disputes or people may look for this purchase later."""
    rows = [
        PurchaseAlias(store=purchase.store, kind=ORDER_ALIAS, value=order_id, purchase=purchase)
        for order_id in sorted(order_ids)
        if order_id != purchase.external_id
    ]
    if rows:
        PurchaseAlias.objects.bulk_create(rows, ignore_conflicts=True)


def add_customer_alias(purchase: Purchase, customer_id: str) -> None:
    """The store's id of the customer, by which later changes of the address find the purchase."""
    alias = PurchaseAlias(store=purchase.store, kind=CUSTOMER_ALIAS, value=customer_id, purchase=purchase)
    PurchaseAlias.objects.bulk_create([alias], ignore_conflicts=True)


def _of_customer(store: str, customer_id: str) -> QuerySet[Purchase]:
    aliases = PurchaseAlias.objects.filter(store=store, kind=CUSTOMER_ALIAS, value=customer_id)
    return Purchase.objects.filter(pk__in=aliases.values("purchase_id")) if customer_id else Purchase.objects.none()


def of_orders(store: str, order_ids: Iterable[str]) -> QuerySet[Purchase]:
    """The purchases of these orders: their one-time parts, and the subscriptions bought or renewed by them."""
    names = list(order_ids)
    own = Purchase.objects.filter(store=store, kind=PurchaseKind.ORDER, external_id__in=names).order_by()
    aliased = PurchaseAlias.objects.filter(store=store, kind=ORDER_ALIAS, value__in=names).order_by()
    # A union of ids: OR would read the whole table.
    return Purchase.objects.filter(pk__in=own.values("pk").union(aliased.values("purchase_id")))


def _upsert(store: str, kind: PurchaseKind, external_id: str, *, is_live: bool) -> Purchase:
    now = timezone.now()
    return Purchase.objects.raw(_UPSERT, [store, kind.value, external_id, is_live, now, now])[0]


def _lock_number(store: str, order_id: str) -> int:
    digest = hashlib.blake2b(f"{store}/{order_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
