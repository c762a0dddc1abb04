"""What an event says about a purchase. Facts name stores' ids, never a license server.

A fact is a value: the same event gives the same facts, in a year's time. Translators make them, ``purchases.py``
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
    ``main`` for a subscription's own product, ``addon:<product>:<order id>`` for an add-on, and for one-time items
    the product, with ``#2``, ``#3`` … appended when a product stands on several lines of one order.
    ``order_id`` is the order that bought it, ``subtotal`` that line's total in major currency units.
    """

    line: str
    product: str
    quantity: int
    display: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    order_id: str = ""
    subtotal: float | None = None
    driver: str = ""  # "bundle:<path>" or "addon:<path>", else empty


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """A subscription as the store described it in one event (a snapshot).

    ``paid_through``: end of the period that is paid for, the next charge date. ``sequence``: number of the current
    period, 1 for the first. ``begun_on``: first day; together with ``sequence`` it orders snapshots.
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


@dataclass(frozen=True, kw_only=True)
class Charge:
    """Money received for a subscription. ``is_proration``: it paid for a change, not for a new period."""

    order_id: str
    sequence: int | None
    is_proration: bool = False
    is_initial: bool = False  # the order that began the subscription


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
    """An order's one-time items, or the fate of an order that was never paid."""

    order_id: str
    status: PurchaseStatus  # PENDING, NOT_PAID or COMPLETED
    reference: str = ""
    customer: Customer | None = None
    items: tuple[ItemFact, ...] = ()
    is_live: bool = True


@dataclass(frozen=True, kw_only=True)
class SubscriptionFact(Fact):
    """What an event says of one subscription; every part may be missing.

    ``customer_is_buyer``: the customer was typed into the checkout and wins over account data.
    ``is_confirmed``: the event itself proves that money or a trial was agreed on (an order, a charge), so a license may
    be issued from it; an activation alone waits a while for its order.
    """

    subscription_id: str
    snapshot: Subscription | None = None
    order_id: str = ""
    reference: str = ""
    customer: Customer | None = None
    customer_is_buyer: bool = False
    add_ons: tuple[ItemFact, ...] = ()
    charge: Charge | None = None
    overdue: bool = False
    is_confirmed: bool = False
    is_live: bool = True


@dataclass(frozen=True, kw_only=True)
class ReturnFact(Fact):
    """A completed refund of (part of) an order. ``is_whole_order``: everything was given back."""

    return_id: str
    order_id: str
    lines: tuple[ReturnedLine, ...] = ()
    is_whole_order: bool = False
    is_live: bool = True


@dataclass(frozen=True, kw_only=True)
class DisputeFact(Fact):
    """A chargeback on an order."""

    dispute_id: str
    order_id: str
    is_open: bool = True
    is_live: bool = True


@dataclass(frozen=True, kw_only=True)
class NoteFact(Fact):
    """Something worth a history entry that changes nothing.

    ``purchase_id`` of ``kind``, or any purchase of ``order_id``. ``attention``: a person should look.
    """

    kind: PurchaseKind
    purchase_id: str
    attention: str = ""
    is_live: bool = True


PurchaseFact = OrderFact | SubscriptionFact | ReturnFact | DisputeFact | NoteFact
