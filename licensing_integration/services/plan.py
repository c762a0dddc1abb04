"""plan: fold facts into purchases and write down what every license should look like. One transaction, no HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from licensing_integration import conf, jobs
from licensing_integration.domain.desired import ItemContext, Override
from licensing_integration.domain.facts import (
    CustomerFact,
    DisputeFact,
    ItemFact,
    NoteFact,
    OrderFact,
    PreparationFact,
    PurchaseFact,
    ReturnFact,
    SubscriptionFact,
)
from licensing_integration.domain.features import Feature, counting_codes
from licensing_integration.domain.folding import fold, is_stale
from licensing_integration.domain.items import first_line, items_of
from licensing_integration.domain.outcomes import EventState, LicenseState, PurchaseKind, PurchaseStatus
from licensing_integration.domain.planning import ItemPlan, plan_item
from licensing_integration.domain.preparation import order_of, unordered_preparations
from licensing_integration.domain.purchases import MAIN_LINE, KnownOrder, PurchaseState
from licensing_integration.domain.refunds import UNCLEAR_REFUND, unclear_refund
from licensing_integration.domain.terms import Terms
from licensing_integration.models import (
    HistoryEntry,
    LicenseLink,
    ProductMapping,
    Purchase,
    PurchaseItem,
    WebhookEvent,
)
from licensing_integration.services import features, history, preparations, takeover
from licensing_integration.services.codec import from_json, to_json
from licensing_integration.services.connections import adapter_of
from licensing_integration.services.customers import remember_customer, with_known_customer
from licensing_integration.services.purchases import (
    add_aliases,
    add_customer_alias,
    beside,
    customer_of,
    load_state,
    lock_orders,
    store_state,
    take_over_early_refunds,
)
from licensing_integration.services.slots import write_slots
from licensing_integration.services.terms import effective_policies, effective_terms, has_moved, mapping_of, mappings_of

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

# A mapping saved while an item is being planned does not see that it waits; so the item looks for it once more.
MAPPING_RACE = timedelta(minutes=1)

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
    siblings: list[int] = field(default_factory=list)
    is_awaited: bool = False  # the store waits for the keys
    by_reference: bool = False  # the store may have asked for keys before it completed the order
    order: Mapping[str, KnownOrder] = field(default_factory=dict)  # with ``by_reference``: what this event completes

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
        case CustomerFact():
            return ("customer", fact.customer.external_id)
        case NoteFact():
            return (fact.kind.value, fact.purchase_id)
        case PreparationFact():
            return ("order", fact.reference)
        case OrderFact() | ReturnFact() | DisputeFact():
            return ("order", fact.order_id)


def _finish(batch: _Batch) -> None:
    HistoryEntry.objects.bulk_create(batch.entries)
    # A buyer in front of the order page lets nobody pass.
    jobs.enqueue_links(batch.other_links, priority=jobs.AWAITED_PRIORITY if batch.is_awaited else jobs.BULK_PRIORITY)
    jobs.enqueue_purchases(batch.siblings)


def _learn(purchase: Purchase, fact: PurchaseFact, event: WebhookEvent, batch: _Batch) -> None:
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
        purchase.attention = takeover.question(after, fact) or purchase.attention
    add_aliases(purchase, order_ids=new_orders)
    if new_customer:
        add_customer_alias(purchase, new_customer)
    _plan(purchase, after, batch, has_taken_over=has_taken_over)
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


# --- planning the items of one locked purchase ---------------------------------------------------------------------


def _plan(purchase: Purchase, state: PurchaseState, batch: _Batch, *, has_taken_over: bool = False) -> None:
    known = {row.line: row for row in purchase.items.all()} if has_taken_over or _may_have_rows(purchase) else {}
    wanted = _wanted_items(state, known)
    has_links = state.is_prepared or any(row.terms for row in known.values())
    links = _links_by_item(purchase) if known and has_links else {}
    mappings = mappings_of(purchase.store, [*wanted.values(), *state.beside.values()])
    before = {line: _row_values(row) for line, row in known.items()}
    _rename_guessed_row(known, before, wanted)
    rows = {line: known.get(line) or _new_row(purchase, item) for line, item in wanted.items()}
    had_problem = {line: row.problem for line, row in rows.items()}
    terms = {
        line: _settle_terms(rows[line], item, mapping_of(item, mappings), kind=state.kind)
        for line, item in wanted.items()
    }
    placement = features.place(state, wanted, terms=terms, rows=rows, mappings=mappings)
    for line, row in rows.items():
        _note_problem(purchase, row, batch, before=had_problem[line], has_terms=terms[line] is not None)
    if state.beside and any(had_problem[line] and not rows[line].problem for line in features.lines_of(terms)):
        # A mapping has made a feature of what waited here; its license may be in another purchase of the order.
        batch.siblings.extend(beside(purchase, order_ids=state.order_ids))
    plans = {
        line: _plan_row(
            purchase,
            state,
            item,
            rows[line],
            mapping_of(item, mappings),
            links.get(rows[line].pk, {}),
            batch,
            terms=terms[line],
            bought_for_it=placement.by_line.get(line, ()),
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
    reviews = [plan.review_at for plan in plans.values() if plan.review_at]
    if any(row.problem and row.problem != had_problem[line] for line, row in rows.items()):
        reviews.append(batch.now + MAPPING_RACE)
    elif batch.event and purchase.review_at and any(row.problem for row in rows.values()):
        reviews.append(purchase.review_at)  # an event in between is not the second look, which comes without one
    purchase.review_at = min(reviews, default=None)


def _wanted_items(state: PurchaseState, known: Mapping[str, PurchaseItem]) -> Mapping[str, ItemFact]:
    """The items of a purchase; those that a store's list of subscribed items no longer holds with a quantity of 0."""
    wanted = items_of(state)
    unordered = [known[line] for line in unordered_preparations(state) if line in known]
    wanted = {**wanted, **{row.line: _dropped_item(row) for row in unordered}}
    if state.subscription is None or not state.subscription.items:
        return wanted
    is_renamed = first_line(wanted) not in known  # what stood for the whole purchase becomes its first item
    dropped = [row for line, row in known.items() if line not in wanted and not (line == MAIN_LINE and is_renamed)]
    return {**wanted, **{row.line: _dropped_item(row) for row in dropped}}


def _dropped_item(row: PurchaseItem) -> ItemFact:
    return ItemFact(
        line=row.line,
        product=row.product,
        variant=row.variant,
        quantity=0,
        display=row.display,
        attributes=row.attributes,
    )


def _rename_guessed_row(
    known: dict[str, PurchaseItem], before: dict[str, list[object]], wanted: Mapping[str, ItemFact]
) -> None:
    """The line ``main`` stood for the purchase until its items were told; it becomes the first of them and keeps its
    licenses."""
    if MAIN_LINE not in known or MAIN_LINE in wanted or not wanted:
        return
    line = first_line(wanted)
    if line in known:
        return
    row = known[line] = known.pop(MAIN_LINE)
    before[line] = before.pop(MAIN_LINE)
    row.line = line


_ROW_FIELDS = [
    "line",
    "product",
    "variant",
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
    return PurchaseItem(
        purchase=purchase, store=purchase.store, line=item.line, product=item.product[:200], variant=item.variant[:200]
    )


def _may_have_rows(purchase: Purchase) -> bool:
    """A purchase that was made in this very statement has no rows to read."""
    return purchase.first_seen_at != purchase.updated_at


def _links_by_item(purchase: Purchase) -> dict[int, dict[int, LicenseLink]]:
    links: dict[int, dict[int, LicenseLink]] = {}
    for link in purchase.links.select_for_update(no_key=True).order_by("id"):
        links.setdefault(link.item_id, {})[link.unit] = link
    return links


def _settle_terms(
    row: PurchaseItem, item: ItemFact, mapping: ProductMapping | None, *, kind: PurchaseKind
) -> Terms | None:
    """The terms that count for an item, and the item's facts on its ``row`` (unsaved)."""
    is_moved = bool(row.terms) and has_moved(row, item, mapping)
    row.product, row.variant, row.display = item.product[:200], item.variant[:200], item.display[:300]
    row.quantity, row.attributes = item.quantity, dict(item.attributes)
    return effective_terms(row, item, mapping, kind=kind, is_moved=is_moved)


def _plan_row(
    purchase: Purchase,
    state: PurchaseState,
    item: ItemFact,
    row: PurchaseItem,
    mapping: ProductMapping | None,
    links: dict[int, LicenseLink],
    batch: _Batch,
    *,
    terms: Terms | None,
    bought_for_it: Sequence[Feature],
) -> ItemPlan:
    if terms is not None and terms.feature_code:
        return ItemPlan()
    if terms is None:
        return _plan_without_terms(purchase, state, item, row, mapping, links, batch)
    context = _context(purchase, state, item, mapping, links, batch, terms=terms, bought_for_it=bought_for_it)
    plan = plan_item(state, item, context, first_seen_at=purchase.first_seen_at, now=batch.now)
    row.returned_quantity = plan.returned_quantity
    if plan.slots:
        row.terms = to_json(terms)
    return plan


def _plan_without_terms(
    purchase: Purchase,
    state: PurchaseState,
    item: ItemFact,
    row: PurchaseItem,
    mapping: ProductMapping | None,
    links: dict[int, LicenseLink],
    batch: _Batch,
) -> ItemPlan:
    """What becomes of the licenses an item has, now that nothing says what it should be. Where it waits for a person,
    they stay; yet what is no longer paid for is taken away. Where no license is needed, none is paid for."""
    if not row.terms or not links:
        return ItemPlan()
    pinned = from_json(row.terms, Terms)
    context = _context(purchase, state, item, mapping, links, batch, terms=pinned, bought_for_it=())
    units = min(item.quantity, max(links)) if row.problem else 0
    now, first_seen_at = batch.now, purchase.first_seen_at
    plan = plan_item(state, replace(item, quantity=units), context, first_seen_at=first_seen_at, now=now)
    if not row.problem:
        row.terms = to_json(replace(pinned, is_withdrawn=True))
        return plan
    return replace(plan, slots=tuple(slot for slot in plan.slots if slot.desired.state is not LicenseState.ACTIVE))


def _context(
    purchase: Purchase,
    state: PurchaseState,
    item: ItemFact,
    mapping: ProductMapping | None,
    links: dict[int, LicenseLink],
    batch: _Batch,
    *,
    terms: Terms,
    bought_for_it: Sequence[Feature],
) -> ItemContext:
    adapter = adapter_of(purchase.store)
    policies = effective_policies(terms, mapping, stores_own=adapter.policies)
    written, *searched = adapter.reference_keys[state.kind]
    vendor_id = _vendor_id(purchase, state)
    return ItemContext(
        terms=terms,
        policies=policies,
        existing={unit: _override_of(link) for unit, link in links.items()},
        is_adoptable=_is_adoptable(purchase, state, terms, batch),
        vendor_metadata={written: vendor_id} if vendor_id else {},
        searched_metadata=dict.fromkeys(searched, vendor_id) if vendor_id else {},
        metadata={f"{adapter.slug}_driver": item.driver.replace(":", "_", 1)} if item.driver else {},
        features=counting_codes(state, bought_for_it, policies=policies),
    )


def _note_problem(purchase: Purchase, row: PurchaseItem, batch: _Batch, *, before: str, has_terms: bool) -> None:
    if row.problem and row.problem != before:
        batch.note(purchase, "item.waiting", f"{row.display or row.product} waits: {row.problem}")
    elif has_terms and before and not row.problem:
        batch.note(purchase, "item.mapped", f"{row.display or row.product} no longer waits.")


def _vendor_id(purchase: Purchase, state: PurchaseState) -> str:
    """What the vendor's own integration would write; empty where it has nothing but a placeholder."""
    if state.kind is PurchaseKind.SUBSCRIPTION:
        return purchase.external_id
    if state.is_prepared and not state.initial_order_id:
        return ""  # only its reference is known yet
    return purchase.external_id if state.transaction_id == "" else state.transaction_id or ""


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
    is_initial = any(charge.is_initial for charge in state.charges.values())
    has_seen_its_order = state.customer_is_buyer or is_initial or state.is_prepared
    return not has_seen_its_order or _is_in_later_period(state)


def _is_in_later_period(state: PurchaseState) -> bool:
    is_numbered_later = state.last_paid_sequence > 1 or (
        state.subscription is not None and (state.subscription.sequence or 1) > 1
    )
    unnumbered = [charge for charge in state.charges.values() if charge.sequence is None and not charge.is_proration]
    return is_numbered_later or any(not charge.is_initial for charge in unnumbered)
