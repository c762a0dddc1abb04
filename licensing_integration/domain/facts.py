"""What an event says about a purchase. Facts name stores' ids, never a license server.

A fact is a value: the same event gives the same facts, in a year's time. Translators make them, ``folding.py``
folds them. All datetimes are aware and in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus


@dataclass(frozen=True, kw_only=True)
class Customer:
    """The person to be licensed. ``email`` is lower-case, or empty when the store gave none."""

    email: str = ""
    first_name: str = ""
    last_name: str = ""
    company: str = ""
    external_id: str = ""


@dataclass(frozen=True, kw_only=True)
class ItemFact:
    """One product in a purchase.

    ``line`` names the item inside its purchase and is the same in every event that mentions it:
    ``main`` for a subscription's own product or the store's id of a subscription item, ``addon:<product>:<order id>``
    for an add-on, and for one-time items the product (or its ``variant``), with ``#2``, ``#3`` … appended when it
    stands on several lines of one order. ``product`` is empty when the store did not say what was bought.
    ``variant``: the store's finer id (a Stripe price) which a mapping may name instead of the product and which wins.
    ``order_id`` is the order that bought it, ``subtotal`` that line's total in major currency units.
    """

    line: str
    product: str
    quantity: int
    variant: str = ""
    display: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    order_id: str = ""
    subtotal: float | None = None
    is_metered: bool = False  # billed for usage: the quantity on its invoices is usage, not units
    driver: str = ""  # "bundle:<path>" or "addon:<path>", else empty


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """A subscription as the store described it in one event (a snapshot).

    ``paid_through``: end of the period that is paid for, the next charge date; ``None`` where only charges tell.
    ``sequence``: number of the current period, 1 for the first. ``begun_on``: first day; together with ``sequence`` it
    orders snapshots. Stores that number no periods give ``period_began_at``, the start of the current period.
    ``items``: everything subscribed to, where the store lists it; then ``product`` … ``display`` are not used.
    ``is_paid_by_charges``: being active proves no payment; only a charge (or a trial) does.
    ``add_ons``: the products of its add-ons, where the store lists them; ``None`` where this event does not.
    """

    status: PurchaseStatus
    paid_through: datetime | None = None
    ends_at: datetime | None = None
    quantity: int = 1
    product: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    sequence: int | None = None
    begun_on: date | None = None
    interval: str = ""  # ISO 8601 duration of one period, such as P1M; empty when unknown
    display: str = ""
    items: tuple[ItemFact, ...] = ()
    period_began_at: datetime | None = None
    is_paid_by_charges: bool = False
    add_ons: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Charge:
    """Money received for a subscription. ``is_proration``: it paid for a change, not for a new period.

    ``order_id``: the order or invoice; ``aliases``: other ids a refund or dispute may name it by (a payment intent, a
    charge). ``paid_through``: line of an item → end of what was paid for; empty where the subscription itself tells.
    ``period_began_at``: the latest start among those periods. ``is_trial``: nothing was paid, it began a trial.
    """

    order_id: str
    sequence: int | None = None
    is_proration: bool = False
    is_initial: bool = False  # the order that began the subscription
    is_trial: bool = False
    aliases: tuple[str, ...] = ()
    paid_through: Mapping[str, datetime] = field(default_factory=dict)
    period_began_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ReturnedLine:
    """``is_full``: the whole line was refunded; else ``quantity`` units, or only money when ``amount`` is too small."""

    product: str
    quantity: int
    is_full: bool
    amount: float | None = None
    subscription_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Common head. ``occurred_at`` is the store's time. ``note``: one sentence for the history."""

    occurred_at: datetime
    note: str


@dataclass(frozen=True, kw_only=True)
class OrderFact(Fact):
    """An order's one-time items, or the fate of an order that was never paid.

    ``aliases``: other ids of the same order (its payment intent, its invoice): facts that share any of them speak of
    one purchase. ``transaction_id``: what the license server vendor's own integration writes to find the license
    again; empty = the order id, ``None`` = it writes nothing of use. ``items_are_guessed``: the store did not tell the
    lines; ``items`` is what its metadata says, and gives way to any lines that are told. ``beside``: what the same
    order bought as subscriptions; it is in facts of its own, too. ``given_keys``: line → license keys that the store
    has shown the buyer for it.
    """

    order_id: str
    status: PurchaseStatus  # PENDING, NOT_PAID or COMPLETED
    reference: str = ""
    customer: Customer | None = None
    items: tuple[ItemFact, ...] = ()
    items_are_guessed: bool = False
    beside: tuple[ItemFact, ...] = ()
    aliases: tuple[str, ...] = ()
    transaction_id: str | None = ""
    given_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    is_live: bool = True


@dataclass(frozen=True, kw_only=True)
class SubscriptionFact(Fact):
    """What an event says of one subscription; every part may be missing.

    ``customer_is_buyer``: the customer was typed into the checkout and wins over account data. ``customer_is_fetched``:
    it was read from the store with the snapshot, and is as recent.
    ``is_confirmed``: the event itself proves that money or a trial was agreed on (an order, a charge), so a license may
    be issued from it; an activation alone waits a while for its order.
    ``snapshot_rank`` orders snapshots of the same period and time (0 = first: "created"), ``snapshot_at``: when the
    store described it so, if that is not ``occurred_at`` (it was fetched later).
    ``overdue_at`` and ``overdue_period`` (a start, as ``period_began_at``): since when, and in which period, if that is
    not the event's time and the snapshot's period.
    ``charged_items``: what a charge's lines say of the items, used where no newer snapshot lists them.
    ``guessed_item``: what metadata says where nothing told the items yet. ``beside``: what the same order bought
    besides this subscription; it is in facts of its own, too. ``aliases`` and ``given_keys`` as in ``OrderFact``.
    """

    subscription_id: str
    snapshot: Subscription | None = None
    order_id: str = ""
    reference: str = ""
    customer: Customer | None = None
    customer_is_buyer: bool = False
    customer_is_fetched: bool = False
    add_ons: tuple[ItemFact, ...] = ()
    charged_items: tuple[ItemFact, ...] = ()
    guessed_item: ItemFact | None = None
    beside: tuple[ItemFact, ...] = ()
    charge: Charge | None = None
    overdue: bool = False
    overdue_at: datetime | None = None
    overdue_period: datetime | None = None
    is_confirmed: bool = False
    snapshot_rank: int = 0
    snapshot_at: datetime | None = None
    aliases: tuple[str, ...] = ()
    given_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    is_live: bool = True


@dataclass(frozen=True, kw_only=True)
class PreparationFact(Fact):
    """The store asked for the keys of one item, to show them to the buyer, before it completed the order.

    All it tells of the order is its ``reference``, and of a subscription its id where the merchant has it sent.
    """

    reference: str
    item: ItemFact
    subscription_id: str = ""
    customer: Customer | None = None
    is_live: bool = True


@dataclass(frozen=True, kw_only=True)
class ReturnFact(Fact):
    """A completed refund of (part of) an order. ``is_whole_order``: everything was given back.

    ``order_id`` may be any name of the order or charge (see ``aliases`` there). Stores that tell no lines give
    ``amount`` in major currency units: of this refund, or with ``is_cumulative`` of all refunds of the payment so far.
    ``has_failed``: the refund did not go through after all; it counts as not given. ``aliases``: further names of the
    order, where the store tells several.
    """

    return_id: str
    order_id: str
    lines: tuple[ReturnedLine, ...] = ()
    is_whole_order: bool = False
    amount: float | None = None
    is_cumulative: bool = False
    has_failed: bool = False
    aliases: tuple[str, ...] = ()
    is_live: bool = True


@dataclass(frozen=True, kw_only=True)
class DisputeFact(Fact):
    """A chargeback on an order (named as in ``ReturnFact``). ``is_lost``: the bank decided for the buyer."""

    dispute_id: str
    order_id: str
    is_open: bool = True
    is_lost: bool = False
    aliases: tuple[str, ...] = ()
    is_live: bool = True


@dataclass(frozen=True, kw_only=True)
class CustomerFact(Fact):
    """A customer changed name or address; ``customer.external_id`` names the purchases it is about. A customer nobody
    bought as means nothing."""

    customer: Customer
    is_live: bool = True


@dataclass(frozen=True, kw_only=True)
class NoteFact(Fact):
    """Something worth a history entry that changes nothing.

    ``purchase_id`` of ``kind``; ``reference``: of its order, where told. ``attention``: a person should look.
    """

    kind: PurchaseKind
    purchase_id: str
    reference: str = ""
    attention: str = ""
    is_live: bool = True


PurchaseFact = OrderFact | SubscriptionFact | PreparationFact | ReturnFact | DisputeFact | CustomerFact | NoteFact
