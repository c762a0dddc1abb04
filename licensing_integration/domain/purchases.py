"""Folding facts: what we know of a purchase after any number of events, in any order.

Every part of the state is a register with its own rule for "newer" (a stale guard per fact), and every rule depends on
the facts alone, never on the order in which they arrived. So duplicates and late events are harmless, and every order
of delivery ends in the same state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
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
    ReturnedLine,
    ReturnFact,
    Subscription,
    SubscriptionFact,
)
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus

MAIN_LINE = "main"
_TRIAL = PurchaseStatus.TRIAL
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_SETTLED_BY_PAYMENT: Final = frozenset({PurchaseStatus.OVERDUE, PurchaseStatus.UNPAID, PurchaseStatus.PENDING})
_FINAL: Final = frozenset({PurchaseStatus.ENDED, PurchaseStatus.NOT_PAID})

_ORDER_RANK = {
    PurchaseStatus.UNKNOWN: 0,
    PurchaseStatus.PENDING: 1,
    PurchaseStatus.PREPARED: 2,
    PurchaseStatus.NOT_PAID: 3,
    PurchaseStatus.COMPLETED: 4,
}


@dataclass(frozen=True, kw_only=True)
class Version:
    """How recent a description of a purchase is. A later subscription period beats a later time stamp: a manual resend
    carries old data under a new time, and an overdue notice may arrive after the payment that settled it.

    ``is_final``: it tells an end that nothing undoes. ``step`` orders descriptions of the same time: created, changed,
    ended.
    """

    occurred_at: datetime
    event_id: str
    begun_on: date | None = None
    sequence: int | None = None
    is_final: bool = False
    step: int = 0

    @property
    def age(self) -> tuple[date, int, bool, datetime, int]:
        return (self.begun_on or date.min, self.sequence or 0, self.is_final, self.occurred_at, self.step)

    @property
    def rank(self) -> tuple[tuple[date, int, bool, datetime, int], str]:
        """``age``, and the event id to make the order total."""
        return (self.age, self.event_id)

    def is_older_than(self, other: Version | None) -> bool:
        return other is not None and self.rank < other.rank


@dataclass(frozen=True, kw_only=True)
class Return:
    """A refund. ``order_id`` tells which period of a subscription it gave back; the rest as in ``ReturnFact``."""

    order_id: str
    lines: tuple[ReturnedLine, ...] = ()
    is_whole_order: bool = False
    amount: float | None = None
    is_cumulative: bool = False
    has_failed: bool = False


@dataclass(frozen=True, kw_only=True)
class Dispute:
    order_id: str
    is_open: bool
    version: Version
    is_lost: bool = False


@dataclass(frozen=True, kw_only=True)
class PurchaseState:
    """All we know of a purchase. Stored as JSON on its row; build it only through ``fold``.

    ``guessed_item``: what metadata says of the purchase as a whole. ``is_contested``: two descriptions of the same time
    contradict each other, and only the store knows which is right.
    """

    kind: PurchaseKind
    order_status: PurchaseStatus = PurchaseStatus.UNKNOWN
    subscription: Subscription | None = None
    version: Version | None = None
    items: Mapping[str, ItemFact] = field(default_factory=dict)
    item_versions: Mapping[str, Version] = field(default_factory=dict)  # of a subscription's add-ons
    charged_items: Mapping[str, ItemFact] = field(default_factory=dict)
    charged_item_versions: Mapping[str, Version] = field(default_factory=dict)
    guessed_item: ItemFact | None = None
    guessed_item_version: Version | None = None
    customer: Customer | None = None
    customer_version: Version | None = None
    customer_is_buyer: bool = False
    subscription_id: str = ""  # empty for an order
    initial_order_id: str = ""
    reference: str = ""
    charges: Mapping[str, Charge] = field(default_factory=dict)
    returns: Mapping[str, Return] = field(default_factory=dict)
    disputes: Mapping[str, Dispute] = field(default_factory=dict)
    overdue_sequence: int = 0
    overdue_period: datetime | None = None
    overdue_since: datetime | None = None
    is_confirmed: bool = False
    began_as_trial: bool = False
    is_contested: bool = False
    aliases: tuple[str, ...] = ()
    transaction_id: str | None = ""
    beside: Mapping[str, ItemFact] = field(default_factory=dict)  # by order and line: what was bought along with it
    listed_add_ons: tuple[str, ...] = ()  # every product the store ever listed as an add-on of the subscription
    prepared: Mapping[str, ItemFact] = field(default_factory=dict)  # by product: of what keys were given out early
    prepared_at: datetime | None = None  # first
    released: tuple[str, ...] = ()  # what of it turned out to be of another purchase

    @property
    def status(self) -> PurchaseStatus:
        """The status that counts: a payment for the current period settles what a late notice still calls unpaid."""
        if self.kind is PurchaseKind.ORDER:
            is_elsewhere = self.order_status is PurchaseStatus.PREPARED and not self.is_prepared
            return PurchaseStatus.COMPLETED if is_elsewhere else self.order_status
        if self.subscription is None:
            return self._status_by_charges
        if self.subscription.status in _SETTLED_BY_PAYMENT and self.is_current_period_paid:
            return PurchaseStatus.ACTIVE
        return self.subscription.status

    @property
    def _status_by_charges(self) -> PurchaseStatus:
        if not self.charges:
            is_waiting = self.is_prepared and not self.is_confirmed
            return PurchaseStatus.PREPARED if is_waiting else PurchaseStatus.UNKNOWN
        return _TRIAL if all(charge.is_trial for charge in self.charges.values()) else PurchaseStatus.ACTIVE

    @property
    def is_prepared(self) -> bool:
        """Whether keys were given out on the order page, and their licenses are this purchase's."""
        return not set(self.prepared) <= set(self.released)

    @property
    def is_current_period_paid(self) -> bool:
        """Whether a charge is known for the period the subscription is in, or for a later one."""
        if self.subscription is None:
            return bool(self.charges)
        began = self.subscription.period_began_at
        if began is not None:
            return any(charge.period_began_at and charge.period_began_at >= began for charge in self.charges.values())
        return self.last_paid_sequence > (self.subscription.sequence or 0)

    @property
    def is_waiting_for_payment(self) -> bool:
        """Whether the subscription looks alive, but nothing proves that it was ever paid for."""
        known = self.subscription
        return known is not None and known.is_paid_by_charges and not self.charges and known.status is not _TRIAL

    @property
    def paid_through(self) -> datetime | None:
        """The end of what is paid for, of the item that is paid for longest."""
        return max((end for line in (None, *self._paid_lines) if (end := self.paid_through_of(line))), default=None)

    @property
    def _paid_lines(self) -> frozenset[str]:
        return frozenset(line for charge in self.charges.values() for line in charge.paid_through)

    def paid_through_of(self, line: str | None) -> datetime | None:
        """The end of what is paid for of one item: as its charges say where they do, else as the store says of the
        subscription. A trial ends when the store says, whatever was invoiced for it."""
        told = self.subscription.paid_through if self.subscription else None
        if told and self.status is _TRIAL:
            return told
        lines = {line} if line in self._paid_lines else self._paid_lines
        ends = [end for charge in self.charges.values() for name, end in charge.paid_through.items() if name in lines]
        return max([*ends, *([told] if told else [])], default=None)

    @property
    def last_paid_sequence(self) -> int:
        return max((charge.sequence or 0 for charge in self.charges.values()), default=0)

    @property
    def is_date_outdated(self) -> bool:
        """Whether a period was paid whose end the store has not told: its charge named the subscription only by id."""
        return self.subscription is not None and self.last_paid_sequence > (self.subscription.sequence or 0) > 0

    @property
    def paid_periods(self) -> int:
        """Paid periods, the first included; prorations and repeated charges of one period do not count twice. A trial
        has paid for none, and the order that began it never does, whatever it looks like when it is resent later.

        The span from the first to the last paid period heals a charge event that was lost on the way.
        """
        paid = [c for c in self.charges.values() if not (c.is_proration or self._is_trial_charge(c))]
        if not paid:
            return 0 if self.status is PurchaseStatus.TRIAL else 1
        known = {charge.sequence for charge in paid if charge.sequence is not None}
        span = max(known) - min(known) + 1 if known else 0
        unnumbered = [charge for charge in paid if charge.sequence is None]
        renewals = sum(not charge.is_initial for charge in unnumbered)
        begun = 1 if renewals < len(unnumbered) else 0  # a first payment may be known by more than one name
        return max(span, len(known) + renewals + begun)

    def _is_trial_charge(self, charge: Charge) -> bool:
        return charge.is_trial or (charge.is_initial and self.began_as_trial)

    @property
    def is_unpaid_trial(self) -> bool:
        """Whether it began with a trial and nothing was paid since; a payment for a change counts too."""
        is_trial = self.began_as_trial or self.status is _TRIAL
        return is_trial and all(self._is_trial_charge(charge) for charge in self.charges.values())

    @property
    def current_order_ids(self) -> frozenset[str]:
        """The names of the order that paid for the latest period; a refund of an earlier one no longer matters."""
        renewals = [c for c in self.charges.values() if not c.is_proration]
        latest = max(renewals, key=_charge_rank, default=None)
        return frozenset({latest.order_id, *latest.aliases} if latest else {self.initial_order_id})

    @property
    def has_open_dispute(self) -> bool:
        return any(dispute.is_open for dispute in self.disputes.values())

    @property
    def has_lost_dispute(self) -> bool:
        """Whether the bank took back what pays for the licenses now."""
        paying = self.order_ids if self.kind is PurchaseKind.ORDER else self.current_order_ids
        return any(dispute.is_lost and dispute.order_id in paying for dispute in self.disputes.values())

    @property
    def order_ids(self) -> frozenset[str]:
        """Every name a refund or dispute of this purchase may use."""
        names = {self.initial_order_id, *self.aliases, *self.charges, *(i.order_id for i in self.items.values())}
        return frozenset(names.union(*(charge.aliases for charge in self.charges.values())) - {""})


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
    returns = {name: refund for name, refund in other.returns.items() if refund.order_id == order_id}
    disputes = {name: dispute for name, dispute in other.disputes.items() if dispute.order_id == order_id}
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
    if _ORDER_RANK[state.order_status] < _ORDER_RANK[PurchaseStatus.PREPARED]:
        state = replace(state, order_status=PurchaseStatus.PREPARED)
    line = fact.item.line
    item = max(state.prepared.get(line, fact.item), fact.item, key=lambda told: (told.quantity, repr(told)))
    return replace(
        state,
        reference=state.reference or fact.reference,
        prepared={**state.prepared, line: item},
        prepared_at=min(filter(None, (state.prepared_at, fact.occurred_at))),
    )


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
    state = _learn_customer(state, fact.customer, is_buyer=fact.customer_is_buyer, version=version)
    state = _learn_overdue(state, fact)
    state = _learn_add_ons(state, fact.add_ons, version)
    state = _learn_charged_items(state, fact, version)
    state = _learn_guess(state, fact.guessed_item, version)
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


def _charge_rank(charge: Charge) -> tuple[int, datetime, str]:
    return (charge.sequence or 0, charge.period_began_at or _LONG_AGO, charge.order_id)


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
    """Remember the *first* overdue notice of the latest overdue period: grace counts from there."""
    if not fact.overdue:
        return state
    sequence = (fact.snapshot.sequence if fact.snapshot else None) or 0
    period = fact.snapshot.period_began_at if fact.snapshot else None
    known = (state.overdue_sequence, state.overdue_period or _LONG_AGO)
    if (sequence, period or _LONG_AGO) < known:
        return state
    is_same = (sequence, period or _LONG_AGO) == known
    if is_same and state.overdue_since and state.overdue_since <= fact.occurred_at:
        return state
    return replace(state, overdue_sequence=sequence, overdue_period=period, overdue_since=fact.occurred_at)


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
    )
    if known and (told.has_failed, told.amount or 0.0) < (known.has_failed, known.amount or 0.0):
        return state
    return replace(state, returns={**state.returns, fact.return_id: told})


def _fold_dispute(state: PurchaseState, fact: DisputeFact, event_id: str) -> PurchaseState:
    version = _version_of(fact, event_id)
    known = state.disputes.get(fact.dispute_id)
    if known and version.is_older_than(known.version):
        return state
    dispute = Dispute(order_id=fact.order_id, is_open=fact.is_open, version=version, is_lost=fact.is_lost)
    return replace(state, disputes={**state.disputes, fact.dispute_id: dispute})
