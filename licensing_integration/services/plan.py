"""plan: fold facts into purchases and write down what every license should look like. One transaction, no HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from licensing_integration import jobs
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
from licensing_integration.domain.folding import fold, is_stale
from licensing_integration.domain.outcomes import EventState, PurchaseStatus
from licensing_integration.domain.preparation import order_of
from licensing_integration.domain.purchases import PurchaseState
from licensing_integration.domain.refunds import UNCLEAR_REFUND, unclear_refund
from licensing_integration.models import (
    HistoryEntry,
    Purchase,
    WebhookEvent,
)
from licensing_integration.services import preparations, takeover
from licensing_integration.services.connections import adapter_of
from licensing_integration.services.customers import remember_customer, with_known_customer
from licensing_integration.services.items import Batch, plan_items
from licensing_integration.services.purchases import (
    add_aliases,
    add_customer_alias,
    customer_of,
    load_state,
    lock_orders,
    store_state,
    take_over_early_refunds,
)

NO_DATE = (
    "A renewal was paid, but the store did not say until when. Turn on webhook expansion at the store or configure its "
    "API credentials, then replay the event; until then the licenses keep their end date."
)

CONTESTED = (
    "The store described this subscription twice in the same second, and differently. Configure its API key, so that "
    "the current state is fetched, and replay the latest event; until then the description with the higher event id "
    "counts."
)

UNKNOWN_PAYMENT = (
    "Money went back, or is disputed, for a payment of which no sale is known here, so no license was touched. Look it "
    "up in the store; if a license belongs to it, override that one. With the store's API key such payments are found."
)


def plan_event(event: WebhookEvent, facts: Sequence[PurchaseFact], *, now: datetime | None = None) -> list[int]:
    """Fold an event's facts and plan the purchases they speak of.

    Returns the ids of the links to apply at once, the first of each item; jobs for the others are enqueued. An
    event that is no longer waiting changes nothing.
    """
    batch = Batch(now=now or timezone.now(), event=event, has_several_facts=len(facts) > 1)
    with transaction.atomic():
        taken = WebhookEvent.objects.filter(pk=event.pk, state=EventState.RECEIVED).update(
            state=EventState.APPLIED, problem="", retry_at=None, processed_at=batch.now, attempts=event.attempts + 1
        )
        if not taken:
            return []
        has_several_names = adapter_of(event.store).has_several_names
        batch.is_awaited = any(isinstance(fact, PreparationFact) for fact in facts)
        batch.by_reference = batch.is_awaited or preparations.are_keys_given_out(event.store)
        batch.order = order_of(facts) if batch.by_reference else {}
        names = preparations.names_of(facts, has_several_names=has_several_names, by_reference=batch.by_reference)
        lock_orders(event.store, names)
        for fact in sorted(facts, key=_lock_order):
            if isinstance(fact, CustomerFact):
                remember_customer(event.store, fact, event_id=event.external_id)
            for purchase in preparations.purchases_of(
                event.store, fact, has_several_names=has_several_names, by_reference=batch.by_reference
            ):
                _learn(purchase, fact, event, batch)
        _finish(batch)
    return batch.first_links


def plan_purchase(purchase_id: int, *, now: datetime | None = None) -> list[int]:
    """Plan a purchase again with nothing new learned: a mapping was saved, an override set, grace ended."""
    batch = Batch(now=now or timezone.now())
    with transaction.atomic():
        purchase = Purchase.objects.select_for_update(no_key=True).filter(pk=purchase_id).first()
        if purchase is None:
            return []
        plan_items(purchase, load_state(purchase), batch)
        purchase.save()
        _finish(batch)
    return batch.first_links


def _lock_order(fact: PurchaseFact) -> tuple[str, str]:
    """Facts of one event in the order in which every transaction locks purchases."""
    match fact:
        case SubscriptionFact():
            return ("subscription", fact.subscription_id)
        case CustomerFact():
            return ("customer", fact.customer.external_id)
        case NoteFact():
            return (fact.kind.value, fact.purchase_id)
        case PreparationFact():
            return ("order", fact.reference)
        case OrderFact() | ReturnFact() | DisputeFact():
            return ("order", fact.order_id)


def _finish(batch: Batch) -> None:
    HistoryEntry.objects.bulk_create(batch.entries)
    # A buyer in front of the order page lets nobody pass.
    jobs.enqueue_links(batch.other_links, priority=jobs.AWAITED_PRIORITY if batch.is_awaited else jobs.BULK_PRIORITY)
    jobs.enqueue_purchases(batch.siblings)


def _learn(purchase: Purchase, fact: PurchaseFact, event: WebhookEvent, batch: Batch) -> None:
    before = load_state(purchase)
    after = fold(before, fact, event_id=event.external_id)
    new_customer = _new_customer(fact, before) if adapter_of(event.store).has_several_names else ""
    if new_customer:
        after = with_known_customer(event.store, after, customer_id=new_customer)
    new_orders = after.order_ids - before.order_ids
    may_have_siblings = isinstance(fact, SubscriptionFact) or batch.has_several_facts or bool(after.aliases)
    # An unpaid order does not tell what it would consist of, and once it is paid its id is no news any more.
    is_unpaid = isinstance(fact, OrderFact) and fact.status is not PurchaseStatus.COMPLETED
    if new_orders and (may_have_siblings or is_unpaid):
        after = take_over_early_refunds(purchase, after, order_ids=new_orders)
    batch.note(purchase, f"event.{event.event_type}", _sentence(fact, before, after, event))
    has_taken_over = False
    if batch.by_reference:
        after, has_taken_over = takeover.take_over(purchase, after, fact, order=batch.order, note=batch.note)
    store_state(purchase, after)
    purchase.attention = _attention(purchase.attention, fact, after)
    if _is_unknown_payment(purchase, fact, after):
        purchase.attention = UNKNOWN_PAYMENT
    if batch.by_reference:
        preparations.add_reference_alias(purchase, fact)
        purchase.attention = takeover.question(purchase, before, after, fact) or purchase.attention
    add_aliases(purchase, order_ids=new_orders)
    if new_customer:
        add_customer_alias(purchase, new_customer)
    plan_items(purchase, after, batch, has_taken_over=has_taken_over)
    purchase.save()


def _is_unknown_payment(purchase: Purchase, fact: PurchaseFact, state: PurchaseState) -> bool:
    """Stores with several names for a sale may tell one by which we do not know it; the others had the sale first, or
    it is none of ours."""
    is_money_back = isinstance(fact, ReturnFact | DisputeFact)
    return is_money_back and state.status is PurchaseStatus.UNKNOWN and adapter_of(purchase.store).has_several_names


def _new_customer(fact: PurchaseFact, before: PurchaseState) -> str:
    """The store's id of a customer whom the purchase did not know; empty if the fact names none such."""
    known = before.customer.external_id if before.customer else ""
    named = customer_of(fact)
    return "" if named == known or isinstance(fact, CustomerFact) else named


def _attention(present: str, fact: PurchaseFact, state: PurchaseState) -> str:
    """What a person should look at, after ``fact``."""
    if isinstance(fact, OrderFact | ReturnFact) and (question := unclear_refund(state)):
        return question
    if present.startswith(UNCLEAR_REFUND):  # answered since, by another refund or by more of its lines
        present = ""
    if isinstance(fact, OrderFact) and state.status is PurchaseStatus.COMPLETED:
        return ""
    if state.is_date_outdated:
        return NO_DATE
    if state.is_contested:
        return CONTESTED
    if isinstance(fact, NoteFact) and fact.attention and state.status is not PurchaseStatus.COMPLETED:
        return fact.attention
    return "" if present in {NO_DATE, CONTESTED} else present


def _sentence(fact: PurchaseFact, before: PurchaseState, after: PurchaseState, event: WebhookEvent) -> str:
    if isinstance(fact, NoteFact) or after != before:
        return fact.note
    if is_stale(before, fact, event_id=event.external_id):
        return f"{fact.note} It is older than what is known, so nothing changed."
    return f"{fact.note} Nothing new."
