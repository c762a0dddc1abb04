"""What we know of a purchase after any number of events, as values; ``folding.py`` makes them of facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final

from licensing_integration.domain.facts import (
    Charge,
    Customer,
    ItemFact,
    ReturnedLine,
    Subscription,
)
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus

MAIN_LINE = "main"
_TRIAL, _UNPAID = PurchaseStatus.TRIAL, PurchaseStatus.UNPAID
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_SETTLED_BY_PAYMENT: Final = frozenset({PurchaseStatus.OVERDUE, PurchaseStatus.UNPAID, PurchaseStatus.PENDING})


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
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        return frozenset({self.order_id, *self.aliases})


@dataclass(frozen=True, kw_only=True)
class Dispute:
    order_id: str
    is_open: bool
    version: Version
    is_lost: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        return frozenset({self.order_id, *self.aliases})


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Keys given out on the order page. ``asked_at``: of the first request; ``told_at``: of the newest one, whose item
    counts. ``subscription_id``: as the request named it. ``line``: what it is in the purchase, once its order told;
    ``is_elsewhere``: it turned out to be another purchase's."""

    item: ItemFact
    reference: str
    asked_at: datetime
    told_at: datetime
    subscription_id: str = ""
    line: str = ""
    is_elsewhere: bool = False


@dataclass(frozen=True, kw_only=True)
class KnownOrder:
    """``products``: all that was bought together, each as often as there are lines of it."""

    order_id: str
    products: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PurchaseState:
    """All we know of a purchase. Stored as JSON on its row; build it only through ``fold``.

    ``overdue_notices``: start of a period, as ISO text → the first notice that it is not paid; for stores that number
    no periods. ``promised_through``: until when the store last said that the subscription runs without a charge.
    ``guessed_item``: what metadata says of the purchase as a whole. ``is_contested``: two descriptions of the same time
    contradict each other, and only the store knows which is right. ``is_test``: bought in the store's test mode; what
    its row says, whatever is learned.
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
    overdue_since: datetime | None = None
    overdue_notices: Mapping[str, datetime] = field(default_factory=dict)
    promised_through: datetime | None = None
    promise_version: Version | None = None
    is_confirmed: bool = False
    began_as_trial: bool = False
    is_contested: bool = False
    aliases: tuple[str, ...] = ()
    transaction_id: str | None = ""
    beside: Mapping[str, ItemFact] = field(default_factory=dict)  # by order and line: what was bought along with it
    listed_add_ons: tuple[str, ...] = ()  # every product the store ever listed as an add-on of the subscription
    prepared: Mapping[str, Preparation] = field(default_factory=dict)  # by the line it has until its order comes
    known_orders: Mapping[str, KnownOrder] = field(default_factory=dict)  # by reference, where keys are given out early
    is_test: bool = False

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
    def _period_charges(self) -> list[Charge]:
        """Charges for whole periods; what paid for a change in between extends and settles nothing."""
        return [charge for charge in self.charges.values() if not charge.is_proration]

    @property
    def _status_by_charges(self) -> PurchaseStatus:
        if not self._period_charges:
            is_waiting = self.is_prepared and not self.is_confirmed
            return PurchaseStatus.PREPARED if is_waiting else PurchaseStatus.UNKNOWN
        return _TRIAL if all(charge.is_trial for charge in self._period_charges) else PurchaseStatus.ACTIVE

    @property
    def is_prepared(self) -> bool:
        """Whether keys were given out on the order page, and their licenses are this purchase's."""
        return any(not preparation.is_elsewhere for preparation in self.prepared.values())

    @property
    def prepared_at(self) -> datetime | None:
        """When the first of those keys was asked for."""
        return min((p.asked_at for p in self.prepared.values() if not p.is_elsewhere), default=None)

    @property
    def is_current_period_paid(self) -> bool:
        """Whether a charge is known for the period the subscription is in, or for a later one. A first payment may
        not tell its period. What the store gave up collecting is settled by a later period only: something else may be
        owed for this one."""
        known = self.subscription
        if known is None:
            return bool(self._period_charges)
        if known.period_began_at is None:
            return self.last_paid_sequence > (known.sequence or 0)
        if known.status is PurchaseStatus.PENDING and any(charge.is_initial for charge in self._period_charges):
            return True
        paid = self._last_paid_period
        return paid > known.period_began_at or (paid == known.period_began_at and known.status is not _UNPAID)

    @property
    def _last_paid_period(self) -> datetime:
        """Its start."""
        return max((charge.period_began_at or _LONG_AGO for charge in self._period_charges), default=_LONG_AGO)

    @property
    def grace_began_at(self) -> datetime | None:
        """The first notice since the last payment that something is overdue."""
        if not self.overdue_notices:
            return self.overdue_since
        notices = {datetime.fromisoformat(period): at for period, at in self.overdue_notices.items()}
        unpaid = [at for period, at in notices.items() if period > self._last_paid_period]
        return min(unpaid, default=notices[max(notices)])

    @property
    def is_waiting_for_payment(self) -> bool:
        """Whether the subscription looks alive, but nothing proves that it was ever paid for."""
        known = self.subscription
        if known is None or known.status is _TRIAL:
            return False
        return known.is_paid_by_charges and not self._period_charges

    @property
    def paid_through(self) -> datetime | None:
        """The end of what is paid for, of the item that is paid for longest."""
        return max((end for line in (None, *self._paid_lines) if (end := self.paid_through_of(line))), default=None)

    @property
    def _paid_lines(self) -> frozenset[str]:
        return frozenset(line for charge in self._period_charges for line in charge.paid_through)

    def paid_through_of(self, line: str | None) -> datetime | None:
        """The end of what is paid for of one item: as its last charge says where there is one, but not before what the
        store promised without; else as the store says of the subscription. A trial ends when the store says, whatever
        was invoiced for it."""
        told = self.subscription.paid_through if self.subscription else None
        if told and self.status is _TRIAL:
            return told
        lines = [line] if line is not None and line in self._paid_lines else self._paid_lines
        ends = [self._charged_through(name) for name in lines]
        return max(filter(None, [*ends, told, self.promised_through]), default=None)

    def _charged_through(self, line: str) -> datetime:
        charges = [charge for charge in self._period_charges if line in charge.paid_through]
        latest = max(charges, key=lambda charge: (charge.period_began_at or _LONG_AGO, charge.paid_through[line]))
        return latest.paid_through[line]

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
        return self.paying_order_ids("")

    def paying_order_ids(self, line: str) -> frozenset[str]:
        """The same of one item: the yearly one is not paid by the invoice of a month."""
        paid = [charge for charge in self._period_charges if line in charge.paid_through] or self._period_charges
        latest = max(paid, key=_charge_rank, default=None)
        return frozenset({latest.order_id, *latest.aliases} if latest else {self.initial_order_id})

    @property
    def proration_order_ids(self) -> frozenset[str]:
        """The names of what paid for changes in between."""
        prorations = [charge for charge in self.charges.values() if charge.is_proration]
        return frozenset(name for charge in prorations for name in (charge.order_id, *charge.aliases))

    @property
    def has_open_dispute(self) -> bool:
        return any(dispute.is_open for dispute in self.disputes.values())

    @property
    def has_lost_dispute(self) -> bool:
        """Whether the bank took back what pays for the licenses now."""
        paying = self.order_ids if self.kind is PurchaseKind.ORDER else self.current_order_ids
        return any(dispute.is_lost and not dispute.names.isdisjoint(paying) for dispute in self.disputes.values())

    @property
    def order_ids(self) -> frozenset[str]:
        """Every name a refund or dispute of this purchase may use."""
        names = {self.initial_order_id, *self.aliases, *self.charges, *(i.order_id for i in self.items.values())}
        return frozenset(names.union(*(charge.aliases for charge in self.charges.values())) - {""})


def _charge_rank(charge: Charge) -> tuple[int, datetime, str]:
    return (charge.sequence or 0, charge.period_began_at or _LONG_AGO, charge.order_id)
