"""Planning the items of one locked purchase: terms, slots, what each license should look like."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from licensing_integration import conf
from licensing_integration.domain.desired import ItemContext, Override
from licensing_integration.domain.facts import (
    ItemFact,
)
from licensing_integration.domain.features import Feature, counting_codes
from licensing_integration.domain.items import first_line, items_of
from licensing_integration.domain.outcomes import LicenseState, PurchaseKind
from licensing_integration.domain.planning import ItemPlan, plan_item
from licensing_integration.domain.preparation import unordered_preparations
from licensing_integration.domain.purchases import MAIN_LINE, KnownOrder, PurchaseState
from licensing_integration.domain.terms import Terms
from licensing_integration.models import (
    HistoryEntry,
    LicenseLink,
    ProductMapping,
    Purchase,
    PurchaseItem,
    WebhookEvent,
)
from licensing_integration.services import features, history
from licensing_integration.services.codec import from_json, to_json
from licensing_integration.services.connections import adapter_of
from licensing_integration.services.purchases import (
    beside,
)
from licensing_integration.services.slots import MAPPING_RACE, are_terms_pinned, is_refused, write_slots
from licensing_integration.services.terms import effective_policies, effective_terms, has_moved, mapping_of, mappings_of

# An event processed this long after it happened may speak of a license that the vendor's own integration made.
FRESH_FOR = timedelta(minutes=10)


@dataclass(kw_only=True)
class Batch:
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


def plan_items(purchase: Purchase, state: PurchaseState, batch: Batch, *, has_taken_over: bool = False) -> None:
    """Bring rows and links of a locked purchase up to its state; sets ``review_at`` (unsaved).

    ``has_taken_over``: rows came over from another purchase in this transaction.
    """
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
        line: _settle_terms(
            rows[line], item, mapping_of(item, mappings), links.get(rows[line].pk, {}).values(), batch, kind=state.kind
        )
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
    _save_rows(rows, before)
    for line, plan in plans.items():
        pending = write_slots(rows[line], plan, links.get(rows[line].pk, {}), event=batch.event, now=batch.now)
        # The first license of an item is applied by whoever planned it, the others by jobs of their own.
        batch.first_links.extend(pending[:1])
        batch.other_links.extend(pending[1:])
    is_new_problem = any(row.problem and row.problem != had_problem[line] for line, row in rows.items())
    purchase.review_at = _next_review(
        purchase, plans.values(), batch, is_new_problem=is_new_problem, is_looked_for=_is_looked_for(rows, links)
    )


def _save_rows(rows: Mapping[str, PurchaseItem], before: Mapping[str, list[object]]) -> None:
    """Create the rows that were not known ``before``, and write those that have changed since."""
    PurchaseItem.objects.bulk_create([row for line, row in rows.items() if line not in before])
    changed = [row for line, row in rows.items() if line in before and _row_values(row) != before[line]]
    if changed:
        PurchaseItem.objects.bulk_update(changed, _ROW_FIELDS)


def _is_looked_for(rows: Mapping[str, PurchaseItem], links: Mapping[int, Mapping[int, LicenseLink]]) -> bool:
    """Whether a corrected mapping could still change something: an item waits, or a license was refused."""
    return any(row.problem for row in rows.values()) or any(
        is_refused(link) for by_unit in links.values() for link in by_unit.values()
    )


def _next_review(
    purchase: Purchase, plans: Iterable[ItemPlan], batch: Batch, *, is_new_problem: bool, is_looked_for: bool
) -> datetime | None:
    """When the purchase is planned again by itself. ``is_looked_for``: its second look at the mappings may be due."""
    reviews = [plan.review_at for plan in plans if plan.review_at]
    if is_new_problem:
        reviews.append(batch.now + MAPPING_RACE)
    elif batch.event and purchase.review_at and is_looked_for:
        reviews.append(purchase.review_at)  # an event in between is not the second look, which comes without one
    return min(reviews, default=None)


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
    row: PurchaseItem,
    item: ItemFact,
    mapping: ProductMapping | None,
    links: Collection[LicenseLink],
    batch: Batch,
    *,
    kind: PurchaseKind,
) -> Terms | None:
    """The terms that count for an item, and the item's facts on its ``row`` (unsaved)."""
    is_moved = bool(row.terms) and has_moved(row, item, mapping)
    row.product, row.variant, row.display = item.product[:200], item.variant[:200], item.display[:300]
    row.quantity, row.attributes = item.quantity, dict(item.attributes)
    is_pinned = are_terms_pinned(links)
    terms = effective_terms(row, item, mapping, kind=kind, is_moved=is_moved, is_pinned=is_pinned)
    if links and not is_pinned and not is_moved:
        _note_correction(row, terms, batch)
    return terms


def _note_correction(row: PurchaseItem, terms: Terms | None, batch: Batch) -> None:
    """Tell that an item which has no license yet becomes something else than planned."""
    planned = from_json(row.terms, Terms) if row.terms else None
    fresh = None if terms is None or terms.feature_code else terms
    if planned is None or row.problem or fresh == (None if planned.is_withdrawn else planned):
        return
    words = "goes by the product mapping and attributes as they are now" if fresh else "needs no license of its own"
    batch.note(row.purchase, "item.planned_anew", f"{row.name} has no license yet and {words}.")


def _plan_row(
    purchase: Purchase,
    state: PurchaseState,
    item: ItemFact,
    row: PurchaseItem,
    mapping: ProductMapping | None,
    links: dict[int, LicenseLink],
    batch: Batch,
    *,
    terms: Terms | None,
    bought_for_it: Sequence[Feature],
) -> ItemPlan:
    if terms is None or terms.feature_code:
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
    batch: Batch,
) -> ItemPlan:
    """What becomes of the licenses an item has, now that nothing says what it should be. Where it waits for a person,
    they stay; yet what is no longer paid for is taken away. Where no license is needed, none is paid for."""
    if not row.terms or not links:
        return ItemPlan()
    pinned = from_json(row.terms, Terms)
    context = _context(purchase, state, item, mapping, links, batch, terms=pinned, bought_for_it=())
    units = min(item.quantity, max(links)) if row.problem else 0
    now, first_seen_at = batch.now, purchase.first_seen_at
    context = replace(context, is_license_needed=bool(row.problem))
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
    batch: Batch,
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


def _note_problem(purchase: Purchase, row: PurchaseItem, batch: Batch, *, before: str, has_terms: bool) -> None:
    if row.problem and row.problem != before:
        batch.note(purchase, "item.waiting", f"{row.name} waits: {row.problem}")
    elif has_terms and before and not row.problem:
        batch.note(purchase, "item.mapped", f"{row.name} no longer waits.")


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


def _is_adoptable(purchase: Purchase, state: PurchaseState, terms: Terms, batch: Batch) -> bool:
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
