"""Folding facts: what we know of a purchase after any number of events, in any order.

Every part of the state is a register with its own rule for "newer" (a stale guard per fact), and every rule depends on
the facts alone, never on the order in which they arrived. So duplicates and late events are harmless, and every order
of delivery ends in the same state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from licensing_integration.domain.facts import (
    Charge,
    Customer,
    CustomerFact,
    DisputeFact,
    ItemFact,
    NoteFact,
    OrderFact,
    PreparationFact,
    PurchaseFact,
    ReturnFact,
    Subscription,
    SubscriptionFact,
)
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus
from licensing_integration.domain.purchases import (
    MAIN_LINE,
    Dispute,
    Preparation,
    PurchaseState,
    Return,
    Version,
)

_TRIAL = PurchaseStatus.TRIAL
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_FINAL: Final = frozenset({PurchaseStatus.ENDED, PurchaseStatus.NOT_PAID})
_ORDER_RANK = {
    PurchaseStatus.UNKNOWN: 0,
    PurchaseStatus.PENDING: 1,
    PurchaseStatus.PREPARED: 2,
    PurchaseStatus.NOT_PAID: 3,
    PurchaseStatus.COMPLETED: 4,
}


def fold(state: PurchaseState, fact: PurchaseFact, *, event_id: str) -> PurchaseState:
    """The state after learning ``fact``; equal to ``state`` when the fact is old or already known."""
    match fact:
        case OrderFact():
            return _fold_order(state, fact, event_id)
        case SubscriptionFact():
            return _fold_subscription(state, fact, event_id)
        case PreparationFact():
            return _fold_preparation(state, fact, event_id)
        case ReturnFact():
            return _fold_return(state, fact)
        case DisputeFact():
            return _fold_dispute(state, fact, event_id)
        case CustomerFact():
            # What the customer says of itself today beats what was typed into a checkout earlier.
            return _learn_customer(state, fact.customer, is_buyer=True, version=_version_of(fact, event_id))
        case NoteFact():
            return state


def absorb(state: PurchaseState, other: PurchaseState, *, order_id: str) -> PurchaseState:
    """``state`` with the refunds and disputes of an order that ``other`` learned of first: another purchase of that
    order, or a placeholder made by an event that overtook it."""
    returns = {name: refund for name, refund in other.returns.items() if order_id in refund.names}
    disputes = {name: dispute for name, dispute in other.disputes.items() if order_id in dispute.names}
    return replace(state, returns={**returns, **state.returns}, disputes={**disputes, **state.disputes})


def is_stale(state: PurchaseState, fact: PurchaseFact, *, event_id: str) -> bool:
    """Whether ``fact`` describes the purchase at an earlier time than one we already know."""
    if not isinstance(fact, SubscriptionFact) or fact.snapshot is None:
        return False
    return _version_of(fact, event_id).is_older_than(state.version)


def _version_of(fact: PurchaseFact, event_id: str) -> Version:
    match fact:
        case SubscriptionFact(snapshot=snapshot) if snapshot:
            return Version(
                occurred_at=fact.snapshot_at or fact.occurred_at,
                event_id=event_id,
                begun_on=snapshot.begun_on,
                sequence=snapshot.sequence,
                is_final=snapshot.is_paid_by_charges and snapshot.status in _FINAL,
                step=fact.snapshot_rank,
            )
        case DisputeFact():
            return Version(occurred_at=fact.occurred_at, event_id=event_id, step=0 if fact.is_open else 1)
        case _:
            return Version(occurred_at=fact.occurred_at, event_id=event_id)


def _fold_order(state: PurchaseState, fact: OrderFact, event_id: str) -> PurchaseState:
    version = _version_of(fact, event_id)
    state = _learn_customer(state, fact.customer, is_buyer=True, version=version)
    if _ORDER_RANK[fact.status] > _ORDER_RANK[state.order_status]:
        state = replace(state, order_status=fact.status)
    state = replace(
        state,
        initial_order_id=min(filter(None, (state.initial_order_id, fact.order_id))),
        reference=fact.reference or state.reference,
        is_confirmed=True,
        aliases=_with_aliases(state, state.initial_order_id, fact.order_id, *fact.aliases),
        transaction_id=_merged_transaction(state.transaction_id, fact.transaction_id),
        beside=_with_beside(state, fact.beside),
    )
    if fact.status is not PurchaseStatus.COMPLETED:
        return state
    if fact.items_are_guessed or fact.aliases:
        # Such an order is described several times, and not every description repeats the metadata of the sale.
        state = _learn_guess(state, fact.items[0] if fact.items else None, version)
    if fact.items_are_guessed or version.is_older_than(state.version):
        return state
    return replace(state, version=version, items={item.line: item for item in fact.items})


def _fold_preparation(state: PurchaseState, fact: PreparationFact, event_id: str) -> PurchaseState:
    """Whatever tells of the order itself knows better, so nothing of what is known gives way."""
    state = _learn_customer(state, fact.customer, is_buyer=False, version=_version_of(fact, event_id))
    told = Preparation(
        item=fact.item,
        reference=fact.reference,
        asked_at=fact.occurred_at,
        told_at=fact.occurred_at,
        subscription_id=fact.subscription_id,
    )
    if state.kind is PurchaseKind.ORDER:
        status = max(state.order_status, PurchaseStatus.PREPARED, key=_ORDER_RANK.__getitem__)
        state = replace(state, order_status=status, reference=state.reference or fact.reference)
    return with_preparation(state, told)


def with_preparation(state: PurchaseState, told: Preparation) -> PurchaseState:
    """An order has one reference; a subscription may be bought by one order and get add-ons by others.

    Another quantity is another line of the order, until the order tells: no key that was shown may depend on a second
    request. The store asks again when the merchant has corrected what the fulfilment says, so the newest item counts.
    """
    name = f"{told.item.product}*{told.item.quantity}"
    line = name if state.kind is PurchaseKind.ORDER else f"{told.reference}:{name}"
    told = replace(told, item=replace(told.item, line=line))
    known = state.prepared.get(line, told)
    newest = max(known, told, key=lambda preparation: (preparation.told_at, repr(preparation.item)))
    merged = replace(
        known,
        item=newest.item,
        told_at=newest.told_at,
        asked_at=min(known.asked_at, told.asked_at),
        subscription_id=known.subscription_id or told.subscription_id,
        line=known.line or told.line,
    )
    return replace(state, prepared={**state.prepared, line: merged})


def _with_beside(state: PurchaseState, items: Iterable[ItemFact]) -> Mapping[str, ItemFact]:
    """An order's other items never change; of two descriptions of one the fuller counts."""
    known = dict(state.beside)
    for item in items:
        name = f"{item.order_id}/{item.line}/{item.product}"
        known[name] = max(known.get(name, item), item, key=lambda told: (len(told.attributes), repr(told)))
    return known


def _with_listed(state: PurchaseState, snapshot: Subscription | None) -> tuple[str, ...]:
    told = snapshot.add_ons if snapshot else None
    return tuple(sorted({*state.listed_add_ons, *told})) if told else state.listed_add_ons


def _merged_transaction(one: str | None, other: str | None) -> str | None:
    """An id over the certainty that there is none, over nothing said."""
    if one and other:
        return min(one, other)
    return one or other or (None if one is None or other is None else "")


def _with_aliases(state: PurchaseState, *names: str) -> tuple[str, ...]:
    """The names of a purchase. One that has a single name needs no list of them."""
    known = {*state.aliases, *names} - {""}
    return tuple(sorted(known)) if len(known) > 1 or state.kind is not PurchaseKind.ORDER else ()


def _learn_guess(state: PurchaseState, guess: ItemFact | None, version: Version) -> PurchaseState:
    if guess is None:
        return state
    if state.guessed_item and state.guessed_item_version:
        known = (bool(state.guessed_item.attributes), state.guessed_item_version.rank)
        if (bool(guess.attributes), version.rank) < known:
            return state
    return replace(state, guessed_item=replace(guess, line=MAIN_LINE), guessed_item_version=version)


def _fold_subscription(state: PurchaseState, fact: SubscriptionFact, event_id: str) -> PurchaseState:
    version = _version_of(fact, event_id)
    told = replace(version, occurred_at=fact.occurred_at)  # what the event itself says is no younger than the event
    customer_version = version if fact.customer_is_fetched else told
    state = _learn_customer(state, fact.customer, is_buyer=fact.customer_is_buyer, version=customer_version)
    state = _learn_overdue(state, fact)
    state = _learn_add_ons(state, fact.add_ons, told)
    state = _learn_charged_items(state, fact, told)
    state = _learn_guess(state, fact.guessed_item, told)
    is_add_on_order = bool(fact.add_ons) and fact.snapshot is None
    state = replace(
        state,
        charges=_with_charge(state.charges, fact.charge),
        subscription_id=fact.subscription_id,
        initial_order_id=state.initial_order_id or ("" if is_add_on_order else fact.order_id),
        reference=state.reference or ("" if is_add_on_order or _is_renewal(fact.charge) else fact.reference),
        is_confirmed=state.is_confirmed or fact.is_confirmed,
        began_as_trial=state.began_as_trial or _begins_as_trial(fact),
        beside=_with_beside(state, fact.beside),
        listed_add_ons=_with_listed(state, fact.snapshot),
        aliases=_with_aliases(state, *fact.aliases),
    )
    if fact.snapshot is None:
        return state
    state = _learn_promise(state, fact.snapshot, version)
    known = state.version
    if known and version.age == known.age and fact.snapshot != state.subscription:
        state = replace(state, is_contested=fact.snapshot.is_paid_by_charges)
    if version.is_older_than(known):
        return state
    is_newer = known is None or version.age > known.age
    is_contested = state.is_contested and not is_newer
    return replace(state, subscription=fact.snapshot, version=version, is_contested=is_contested)


def _begins_as_trial(fact: SubscriptionFact) -> bool:
    is_on_trial = fact.snapshot is not None and fact.snapshot.status is _TRIAL
    return is_on_trial or (fact.charge is not None and fact.charge.is_trial)


def _is_renewal(charge: Charge | None) -> bool:
    return charge is not None and not charge.is_initial


def _with_charge(charges: Mapping[str, Charge], charge: Charge | None) -> Mapping[str, Charge]:
    if charge is None or not charge.order_id:
        return charges
    known = charges.get(charge.order_id)
    return {**charges, charge.order_id: _merged(known, charge) if known else charge}


def _merged(one: Charge, other: Charge) -> Charge:
    """The same charge told twice, once perhaps with less detail: what either says counts."""
    sequences = [charge.sequence for charge in (one, other) if charge.sequence is not None]
    return Charge(
        order_id=one.order_id,
        sequence=min(sequences, default=None),
        is_proration=one.is_proration or other.is_proration,
        is_initial=one.is_initial or other.is_initial,
        is_trial=one.is_trial or other.is_trial,
        aliases=tuple(sorted({*one.aliases, *other.aliases})),
        paid_through=_latest_ends(one.paid_through, other.paid_through),
        period_began_at=max(filter(None, (one.period_began_at, other.period_began_at)), default=None),
    )


def _latest_ends(one: Mapping[str, datetime], other: Mapping[str, datetime]) -> Mapping[str, datetime]:
    return {line: max(ends[line] for ends in (one, other) if line in ends) for line in sorted({*one, *other})}


def _learn_add_ons(state: PurchaseState, add_ons: Iterable[ItemFact], version: Version) -> PurchaseState:
    newer = {i.line: i for i in add_ons if not version.is_older_than(state.item_versions.get(i.line))}
    if not newer:
        return state
    versions = {**state.item_versions, **dict.fromkeys(newer, version)}
    return replace(state, items={**state.items, **newer}, item_versions=versions)


def _learn_charged_items(state: PurchaseState, fact: SubscriptionFact, version: Version) -> PurchaseState:
    """By line, as the invoice for the latest period says."""
    if not fact.charged_items or fact.charge is None:
        return state
    version = replace(version, occurred_at=fact.charge.period_began_at or fact.occurred_at)
    known = state.charged_item_versions
    newer = {i.line: i for i in fact.charged_items if not version.is_older_than(known.get(i.line))}
    return replace(
        state,
        charged_items={**state.charged_items, **newer},
        charged_item_versions={**known, **dict.fromkeys(newer, version)},
    )


def _learn_overdue(state: PurchaseState, fact: SubscriptionFact) -> PurchaseState:
    """Remember the *first* overdue notice: of every period, or of the latest where they have only numbers."""
    if not fact.overdue:
        return state
    since = fact.overdue_at or fact.occurred_at
    period = fact.overdue_period or (fact.snapshot.period_began_at if fact.snapshot else None)
    if period is not None:
        first = min(since, state.overdue_notices.get(period.isoformat(), since))
        return replace(state, overdue_notices={**state.overdue_notices, period.isoformat(): first})
    sequence = (fact.snapshot.sequence if fact.snapshot else None) or 0
    if sequence < state.overdue_sequence:
        return state
    if sequence == state.overdue_sequence and state.overdue_since and state.overdue_since <= since:
        return state
    return replace(state, overdue_sequence=sequence, overdue_since=since)


def _learn_promise(state: PurchaseState, snapshot: Subscription, version: Version) -> PurchaseState:
    """Until when the store says that the subscription runs, paid or not: a trial, a collection paused on purpose."""
    if not snapshot.is_paid_by_charges or snapshot.paid_through is None or version.is_older_than(state.promise_version):
        return state
    return replace(state, promised_through=snapshot.paid_through, promise_version=version)


def _learn_customer(
    state: PurchaseState, customer: Customer | None, *, is_buyer: bool, version: Version
) -> PurchaseState:
    """Somebody with an e-mail address wins over nobody in particular; the buyer typed into the checkout over account
    data, which may be older; then the newest wins."""
    if customer is None:
        return state
    incoming_rank = (bool(customer.email), is_buyer, version.occurred_at, version.event_id)
    if state.customer and (known := state.customer_version):
        known_rank = (bool(state.customer.email), state.customer_is_buyer, known.occurred_at, known.event_id)
        if incoming_rank < known_rank:
            return state
    return replace(state, customer=customer, customer_is_buyer=is_buyer, customer_version=version)


def _fold_return(state: PurchaseState, fact: ReturnFact) -> PurchaseState:
    """A refund that failed stays so, and a sum of refunds only grows, whichever notice comes last."""
    known = state.returns.get(fact.return_id)
    told = Return(
        order_id=fact.order_id,
        lines=fact.lines,
        is_whole_order=fact.is_whole_order,
        amount=fact.amount,
        is_cumulative=fact.is_cumulative,
        has_failed=fact.has_failed,
        aliases=fact.aliases,
    )
    if known and (told.has_failed, told.amount or 0.0) < (known.has_failed, known.amount or 0.0):
        return state
    return replace(state, returns={**state.returns, fact.return_id: told})


def _fold_dispute(state: PurchaseState, fact: DisputeFact, event_id: str) -> PurchaseState:
    version = _version_of(fact, event_id)
    known = state.disputes.get(fact.dispute_id)
    if known and version.is_older_than(known.version):
        return state
    dispute = Dispute(
        order_id=fact.order_id, is_open=fact.is_open, version=version, is_lost=fact.is_lost, aliases=fact.aliases
    )
    return replace(state, disputes={**state.disputes, fact.dispute_id: dispute})
