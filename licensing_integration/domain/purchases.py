"""Folding facts: what we know of a purchase after any number of events, in any order.

Every part of the state is a register with its own rule for "newer" (a stale guard per fact), and every rule depends on
the facts alone, never on the order in which they arrived. So duplicates and late events are harmless, and every order
of delivery ends in the same state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from licensing_integration.domain.facts import (
    Charge,
    Customer,
    DisputeFact,
    ItemFact,
    NoteFact,
    OrderFact,
    PurchaseFact,
    ReturnedLine,
    ReturnFact,
    Subscription,
    SubscriptionFact,
)
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus

MAIN_LINE = "main"
_TRIAL = PurchaseStatus.TRIAL

_ORDER_RANK = {
    PurchaseStatus.UNKNOWN: 0,
    PurchaseStatus.PENDING: 1,
    PurchaseStatus.NOT_PAID: 2,
    PurchaseStatus.COMPLETED: 3,
}


@dataclass(frozen=True, kw_only=True)
class Version:
    """How recent a description of a purchase is. A later subscription period beats a later time stamp: a manual resend
    carries old data under a new time, and an overdue notice may arrive after the payment that settled it."""

    occurred_at: datetime
    event_id: str
    begun_on: date | None = None
    sequence: int | None = None

    @property
    def rank(self) -> tuple[date, int, datetime, str]:
        return (self.begun_on or date.min, self.sequence or 0, self.occurred_at, self.event_id)

    def is_older_than(self, other: Version | None) -> bool:
        return other is not None and self.rank < other.rank


@dataclass(frozen=True, kw_only=True)
class Return:
    """A refund. ``order_id`` tells which period of a subscription it gave back."""

    order_id: str
    lines: tuple[ReturnedLine, ...] = ()
    is_whole_order: bool = False


@dataclass(frozen=True, kw_only=True)
class Dispute:
    order_id: str
    is_open: bool
    version: Version


@dataclass(frozen=True, kw_only=True)
class PurchaseState:
    """All we know of a purchase. Stored as JSON on its row; build it only through ``fold``."""

    kind: PurchaseKind
    order_status: PurchaseStatus = PurchaseStatus.UNKNOWN
    subscription: Subscription | None = None
    version: Version | None = None
    items: Mapping[str, ItemFact] = field(default_factory=dict)
    item_versions: Mapping[str, Version] = field(default_factory=dict)  # of a subscription's add-ons
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
    overdue_since: datetime | None = None
    is_confirmed: bool = False
    began_as_trial: bool = False

    @property
    def status(self) -> PurchaseStatus:
        """The status that counts: a charge for a later period settles an overdue subscription."""
        if self.kind is PurchaseKind.ORDER:
            return self.order_status
        if self.subscription is None:
            return PurchaseStatus.ACTIVE if self.charges else PurchaseStatus.UNKNOWN
        if self.subscription.status is PurchaseStatus.OVERDUE and self.last_paid_sequence > (
            self.subscription.sequence or 0
        ):
            return PurchaseStatus.ACTIVE
        return self.subscription.status

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
        paid = [c for c in self.charges.values() if not (c.is_proration or (c.is_initial and self.began_as_trial))]
        if not paid:
            return 0 if self.status is PurchaseStatus.TRIAL else 1
        known = {charge.sequence for charge in paid if charge.sequence is not None}
        span = max(known) - min(known) + 1 if known else 0
        return max(span, len(known) + sum(charge.sequence is None for charge in paid))

    @property
    def current_order_id(self) -> str:
        """The order that paid for the latest period; a refund of an earlier one no longer matters."""
        renewals = [c for c in self.charges.values() if not c.is_proration]
        latest = max(renewals, key=lambda charge: charge.sequence or 0, default=None)
        return latest.order_id if latest else self.initial_order_id

    @property
    def has_open_dispute(self) -> bool:
        return any(dispute.is_open for dispute in self.disputes.values())

    @property
    def order_ids(self) -> frozenset[str]:
        """Every order id a refund or dispute of this purchase may name."""
        return frozenset({self.initial_order_id, *self.charges, *(i.order_id for i in self.items.values())} - {""})


def fold(state: PurchaseState, fact: PurchaseFact, *, event_id: str) -> PurchaseState:
    """The state after learning ``fact``; equal to ``state`` when the fact is old or already known."""
    match fact:
        case OrderFact():
            return _fold_order(state, fact, event_id)
        case SubscriptionFact():
            return _fold_subscription(state, fact, event_id)
        case ReturnFact():
            known = Return(order_id=fact.order_id, lines=fact.lines, is_whole_order=fact.is_whole_order)
            return replace(state, returns={**state.returns, fact.return_id: known})
        case DisputeFact():
            return _fold_dispute(state, fact, event_id)
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
    snapshot = fact.snapshot if isinstance(fact, SubscriptionFact) else None
    return Version(
        occurred_at=fact.occurred_at,
        event_id=event_id,
        begun_on=snapshot.begun_on if snapshot else None,
        sequence=snapshot.sequence if snapshot else None,
    )


def _fold_order(state: PurchaseState, fact: OrderFact, event_id: str) -> PurchaseState:
    version = _version_of(fact, event_id)
    state = _learn_customer(state, fact.customer, is_buyer=True, version=version)
    if _ORDER_RANK[fact.status] > _ORDER_RANK[state.order_status]:
        state = replace(state, order_status=fact.status)
    state = replace(
        state, initial_order_id=fact.order_id, reference=fact.reference or state.reference, is_confirmed=True
    )
    if fact.status is not PurchaseStatus.COMPLETED or version.is_older_than(state.version):
        return state
    return replace(state, version=version, items={item.line: item for item in fact.items})


def _fold_subscription(state: PurchaseState, fact: SubscriptionFact, event_id: str) -> PurchaseState:
    version = _version_of(fact, event_id)
    state = _learn_customer(state, fact.customer, is_buyer=fact.customer_is_buyer, version=version)
    state = _learn_overdue(state, fact)
    state = _learn_add_ons(state, fact.add_ons, version)
    is_add_on_order = bool(fact.add_ons) and fact.snapshot is None
    state = replace(
        state,
        charges=_with_charge(state.charges, fact.charge),
        subscription_id=fact.subscription_id,
        initial_order_id=state.initial_order_id or ("" if is_add_on_order else fact.order_id),
        reference=state.reference or ("" if is_add_on_order or _is_renewal(fact.charge) else fact.reference),
        is_confirmed=state.is_confirmed or fact.is_confirmed,
        began_as_trial=state.began_as_trial or (fact.snapshot is not None and fact.snapshot.status is _TRIAL),
    )
    if fact.snapshot is None or version.is_older_than(state.version):
        return state
    return replace(state, subscription=fact.snapshot, version=version)


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
    )


def _learn_add_ons(state: PurchaseState, add_ons: Iterable[ItemFact], version: Version) -> PurchaseState:
    newer = {i.line: i for i in add_ons if not version.is_older_than(state.item_versions.get(i.line))}
    if not newer:
        return state
    versions = {**state.item_versions, **dict.fromkeys(newer, version)}
    return replace(state, items={**state.items, **newer}, item_versions=versions)


def _learn_overdue(state: PurchaseState, fact: SubscriptionFact) -> PurchaseState:
    """Remember the *first* overdue notice of the latest overdue period: grace counts from there."""
    if not fact.overdue:
        return state
    sequence = (fact.snapshot.sequence if fact.snapshot else None) or 0
    if sequence < state.overdue_sequence:
        return state
    if sequence == state.overdue_sequence and state.overdue_since and state.overdue_since <= fact.occurred_at:
        return state
    return replace(state, overdue_sequence=sequence, overdue_since=fact.occurred_at)


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


def _fold_dispute(state: PurchaseState, fact: DisputeFact, event_id: str) -> PurchaseState:
    version = _version_of(fact, event_id)
    known = state.disputes.get(fact.dispute_id)
    if known and version.is_older_than(known.version):
        return state
    dispute = Dispute(order_id=fact.order_id, is_open=fact.is_open, version=version)
    return replace(state, disputes={**state.disputes, fact.dispute_id: dispute})
