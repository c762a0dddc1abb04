"""plan: fold facts into purchases and write down what every license should look like. One transaction, no HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from licensing_integration import conf, jobs
from licensing_integration.domain.facts import ItemFact, NoteFact, PurchaseFact, SubscriptionFact
from licensing_integration.domain.outcomes import EventState, FailureMode, LicenseState, PurchaseStatus
from licensing_integration.domain.planning import ItemContext, ItemPlan, Override, items_of, plan_item
from licensing_integration.domain.purchases import PurchaseState, fold, is_stale
from licensing_integration.domain.terms import (
    MappingTerms,
    Terms,
    resolve_policies,
    resolve_terms,
)
from licensing_integration.exceptions import ConfigurationProblem
from licensing_integration.models import (
    HistoryEntry,
    LicenseLink,
    ProductMapping,
    Purchase,
    PurchaseItem,
    WebhookEvent,
)
from licensing_integration.services import history
from licensing_integration.services.codec import from_json, to_json
from licensing_integration.services.connections import adapter_of, server_config
from licensing_integration.services.purchases import (
    add_aliases,
    load_state,
    lock_orders,
    locked_purchases,
    order_ids_of,
    store_state,
    take_over_early_refunds,
)
from licensing_integration.services.slots import write_slots

# Above this a quantity is more likely a mistake than a purchase; a person decides.
LARGEST_QUANTITY = 5_000

NO_DATE = (
    "A renewal was paid, but the store did not say until when. Turn on webhook expansion at the store or configure its "
    "API credentials, then replay the event; until then the licenses keep their end date."
)

# An event processed this long after it happened may speak of a license that the vendor's own integration made.
FRESH_FOR = timedelta(minutes=10)


@dataclass(kw_only=True)
class _Batch:
    """Rows collected while planning, written together at the end of the transaction."""

    now: datetime
    event: WebhookEvent | None = None
    has_several_facts: bool = False
    entries: list[HistoryEntry] = field(default_factory=list)
    first_links: list[int] = field(default_factory=list)
    other_links: list[int] = field(default_factory=list)

    @property
    def event_id(self) -> int | None:
        return self.event.pk if self.event else None

    def note(self, purchase: Purchase, kind: str, sentence: str) -> None:
        self.entries.append(history.purchase_entry(purchase, kind=kind, sentence=sentence, event_id=self.event_id))


def plan_event(event: WebhookEvent, facts: Sequence[PurchaseFact], *, now: datetime | None = None) -> list[int]:
    """Fold an event's facts and plan the purchases they speak of.

    Returns the ids of the links to apply at once, the first of each item; jobs for the others are enqueued. An
    event that is no longer waiting changes nothing.
    """
    batch = _Batch(now=now or timezone.now(), event=event, has_several_facts=len(facts) > 1)
    with transaction.atomic():
        taken = WebhookEvent.objects.filter(pk=event.pk, state=EventState.RECEIVED).update(
            state=EventState.APPLIED, problem="", retry_at=None, processed_at=batch.now, attempts=event.attempts + 1
        )
        if not taken:
            return []
        lock_orders(event.store, order_ids_of(facts))
        for fact in sorted(facts, key=_lock_order):
            for purchase in locked_purchases(event.store, fact):
                _learn(purchase, fact, event, batch)
        _finish(batch)
    return batch.first_links


def plan_purchase(purchase_id: int, *, now: datetime | None = None) -> list[int]:
    """Plan a purchase again with nothing new learned: a mapping was saved, an override set, grace ended."""
    batch = _Batch(now=now or timezone.now())
    with transaction.atomic():
        purchase = Purchase.objects.select_for_update(no_key=True).filter(pk=purchase_id).first()
        if purchase is None:
            return []
        _plan(purchase, load_state(purchase), batch)
        purchase.save()
        _finish(batch)
    return batch.first_links


def _lock_order(fact: PurchaseFact) -> tuple[str, str]:
    """Facts of one event in the order in which every transaction locks purchases."""
    match fact:
        case SubscriptionFact():
            return ("subscription", fact.subscription_id)
        case NoteFact():
            return (fact.kind.value, fact.purchase_id)
        case _:
            return ("order", fact.order_id)


def _finish(batch: _Batch) -> None:
    HistoryEntry.objects.bulk_create(batch.entries)
    jobs.enqueue_links(batch.other_links)


def _learn(purchase: Purchase, fact: PurchaseFact, event: WebhookEvent, batch: _Batch) -> None:
    before = load_state(purchase)
    after = fold(before, fact, event_id=event.external_id)
    new_orders = after.order_ids - before.order_ids
    if new_orders and (isinstance(fact, SubscriptionFact) or batch.has_several_facts):
        after = take_over_early_refunds(purchase, after, order_ids=new_orders)
    batch.note(purchase, f"event.{event.event_type}", _sentence(fact, before, after, event))
    store_state(purchase, after)
    purchase.attention = _attention(purchase.attention, fact, after)
    add_aliases(purchase, order_ids=new_orders)
    _plan(purchase, after, batch)
    purchase.save()


def _attention(present: str, fact: PurchaseFact, state: PurchaseState) -> str:
    """What a person should look at, after ``fact``."""
    if state.status is PurchaseStatus.COMPLETED:
        return ""
    if state.is_date_outdated:
        return NO_DATE
    if isinstance(fact, NoteFact) and fact.attention:
        return fact.attention
    return "" if present == NO_DATE else present


def _sentence(fact: PurchaseFact, before: PurchaseState, after: PurchaseState, event: WebhookEvent) -> str:
    if isinstance(fact, NoteFact) or after != before:
        return fact.note
    if is_stale(before, fact, event_id=event.external_id):
        return f"{fact.note} It is older than what is known, so nothing changed."
    return f"{fact.note} Nothing new."


# --- planning the items of one locked purchase ---------------------------------------------------------------------


def _plan(purchase: Purchase, state: PurchaseState, batch: _Batch) -> None:
    wanted = items_of(state)
    known = {row.line: row for row in purchase.items.all()} if _may_have_rows(purchase) else {}
    links = _links_by_item(purchase) if any(row.terms for row in known.values()) else {}
    mappings = _mappings(purchase.store, wanted)
    rows = {line: known.get(line) or _new_row(purchase, item) for line, item in wanted.items()}
    before = {line: _row_values(row) for line, row in known.items()}
    plans = {
        line: _plan_row(
            purchase, state, item, rows[line], mappings.get(item.product), links.get(rows[line].pk, {}), batch
        )
        for line, item in wanted.items()
    }
    PurchaseItem.objects.bulk_create([row for line, row in rows.items() if line not in known])
    moved = [row for line, row in rows.items() if line in known and _row_values(row) != before[line]]
    if moved:
        PurchaseItem.objects.bulk_update(moved, _ROW_FIELDS)
    for line, plan in plans.items():
        pending = write_slots(rows[line], plan, links.get(rows[line].pk, {}), event=batch.event, now=batch.now)
        # The first license of an item is applied by whoever planned it, the others by jobs of their own.
        batch.first_links.extend(pending[:1])
        batch.other_links.extend(pending[1:])
    purchase.review_at = min((plan.review_at for plan in plans.values() if plan.review_at), default=None)


_ROW_FIELDS = [
    "product",
    "display",
    "quantity",
    "returned_quantity",
    "attributes",
    "mapping",
    "terms",
    "problem",
    "failure_mode",
]


def _row_values(row: PurchaseItem) -> list[object]:
    return [row.mapping_id if name == "mapping" else getattr(row, name) for name in _ROW_FIELDS]


def _new_row(purchase: Purchase, item: ItemFact) -> PurchaseItem:
    return PurchaseItem(purchase=purchase, store=purchase.store, line=item.line, product=item.product[:200])


def _may_have_rows(purchase: Purchase) -> bool:
    """A purchase that was made in this very statement has no rows to read."""
    return purchase.first_seen_at != purchase.updated_at


def _links_by_item(purchase: Purchase) -> dict[int, dict[int, LicenseLink]]:
    links: dict[int, dict[int, LicenseLink]] = {}
    for link in purchase.links.select_for_update(no_key=True).order_by("id"):
        links.setdefault(link.item_id, {})[link.unit] = link
    return links


def _mappings(store: str, wanted: Mapping[str, ItemFact]) -> dict[str, ProductMapping]:
    if not wanted:
        return {}
    products = sorted({item.product for item in wanted.values()})
    return {m.store_product: m for m in ProductMapping.objects.raw(_MAPPINGS, [store, products])}


# By hand because it runs for every event: composing it anew was a tenth of all the time planning takes (measured).
_MAPPINGS = "SELECT * FROM licensing_integration_productmapping WHERE store = %s AND store_product = ANY(%s)"


def _plan_row(
    purchase: Purchase,
    state: PurchaseState,
    item: ItemFact,
    row: PurchaseItem,
    mapping: ProductMapping | None,
    links: dict[int, LicenseLink],
    batch: _Batch,
) -> ItemPlan:
    is_moved = bool(row.terms) and row.product != item.product
    row.product, row.display = item.product[:200], item.display[:300]
    row.quantity, row.attributes = item.quantity, dict(item.attributes)
    terms = _effective_terms(purchase, state, item, row, mapping, is_moved=is_moved, batch=batch)
    if terms is None:
        return ItemPlan()
    mapping_terms = mapping.to_terms() if mapping else None
    adapter = adapter_of(purchase.store)
    context = ItemContext(
        terms=terms,
        policies=resolve_policies(mapping_terms),
        existing={unit: _override_of(link) for unit, link in links.items()},
        is_adoptable=_is_adoptable(purchase, state, terms, batch),
        vendor_metadata={adapter.reference_keys[state.kind]: purchase.external_id},
        metadata={f"{adapter.slug}_driver": item.driver.replace(":", "_", 1)} if item.driver else {},
    )
    plan = plan_item(state, item, context, first_seen_at=purchase.first_seen_at, now=batch.now)
    row.returned_quantity = plan.returned_quantity
    if plan.slots:
        row.terms = to_json(terms)
    return plan


def _effective_terms(
    purchase: Purchase,
    state: PurchaseState,
    item: ItemFact,
    row: PurchaseItem,
    mapping: ProductMapping | None,
    *,
    is_moved: bool,
    batch: _Batch,
) -> Terms | None:
    """The pinned terms of an item, or fresh ones; ``None`` when it gets no license or has to wait."""
    if row.terms and not is_moved and not row.problem and item.quantity <= LARGEST_QUANTITY:
        return from_json(row.terms, Terms)
    active = mapping.to_terms() if mapping and mapping.is_active else None
    row.mapping = mapping if active else None
    problem, failure_mode = "", FailureMode.NONE
    terms = None
    try:
        terms = _fresh_terms(active, item, state)
    except ConfigurationProblem as error:
        problem, failure_mode = str(error), FailureMode.CONFIG
    if problem and problem != row.problem:
        batch.note(purchase, "item.waiting", f"{item.display or item.product} waits: {problem}")
    elif terms and row.problem:
        batch.note(purchase, "item.mapped", f"{item.display or item.product} no longer waits.")
    row.problem, row.failure_mode = problem, failure_mode
    return terms


def _fresh_terms(mapping: MappingTerms | None, item: ItemFact, state: PurchaseState) -> Terms | None:
    if item.quantity > LARGEST_QUANTITY:
        raise ConfigurationProblem(
            f"The quantity is {item.quantity}; above {LARGEST_QUANTITY} a person must confirm it with the store."
        )
    default = next(iter(conf.license_servers()), "")
    terms = resolve_terms(mapping, item.attributes, kind=state.kind, default_server=default)
    if terms:
        server_config(terms.server)
    return terms


def _override_of(link: LicenseLink) -> Override | None:
    if link.override_until is None:
        return None
    return Override(
        until=link.override_until,
        state=LicenseState(link.override_state) if link.override_state else None,
        expires_at=link.override_expires_at,
    )


def _is_adoptable(purchase: Purchase, state: PurchaseState, terms: Terms, batch: _Batch) -> bool:
    """Whether a license may exist already that we did not make: the vendor's own integration ran before us, or beside
    us. A fresh purchase cannot have one, and looking would cost it a call."""
    server = conf.license_server(terms.server)
    if server is None or server.adopt == "always":
        return True
    began = batch.event.occurred_at if batch.event else None
    if began is None or began < purchase.first_seen_at - FRESH_FOR:
        return True
    has_seen_its_order = state.customer_is_buyer
    is_later_period = state.last_paid_sequence > 1 or (state.subscription and (state.subscription.sequence or 1) > 1)
    return not has_seen_its_order or bool(is_later_period)
