"""A pretend FastSpring shop: makes the events a store would send, and signs their deliveries.

Shapes follow FastSpring's expanded webhooks, reduced to the fields that mean something; every event carries the time
its shop's clock shows.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Event = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Buyer:
    """Who buys; ``email`` as typed into the checkout."""

    email: str
    first: str = "Ava"
    last: str = "Lindqvist"
    company: str | None = None

    @property
    def name(self) -> str:
        return f"{self.first} {self.last}"

    def contact(self) -> dict[str, Any]:
        return {
            "first": self.first,
            "last": self.last,
            "email": self.email,
            "company": self.company,
            "phone": None,
            "subscribed": True,
        }


@dataclass(kw_only=True)
class DemoSubscription:
    """A subscription as the shop keeps it; ``FastSpringShop`` turns it into events."""

    id: str
    product: str
    quantity: int
    buyer: Buyer
    account_id: str
    order_id: str
    order_reference: str
    begin: datetime
    next: datetime
    state: str = "active"
    sequence: int = 1
    attributes: Mapping[str, str] = field(default_factory=dict)


def sign(body: bytes, *, secret: str) -> str:
    """The value of the ``X-FS-Signature`` header for a body."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def delivery(*events: Event) -> bytes:
    """The body of one webhook request with these events, compact as FastSpring writes it."""
    return json.dumps({"events": list(events)}, ensure_ascii=False, separators=(",", ":")).encode()


def resent(event: Event, *, at: datetime | None = None) -> Event:
    """The same event sent again by hand from FastSpring's app: same data under a new event id."""
    again = copy.deepcopy(event)
    again["id"] = _event_id()
    if at is not None:
        again["created"] = _ms(at)
    return again


class FastSpringShop:
    """Sells things and reports them. ``clock`` gives the event times, aware UTC."""

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC), live: bool = True) -> None:
        self.clock = clock
        self.live = live

    # -- orders -------------------------------------------------------------------------------------------------------

    def item(
        self,
        product: str,
        *,
        quantity: int = 1,
        price: float = 79.0,
        attributes: Mapping[str, str] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """An order line; ``more`` adds or replaces members, such as ``driver``."""
        line = {
            "product": product,
            "quantity": quantity,
            "display": product.replace("-", " ").title(),
            "subtotal": price * quantity,
            "attributes": dict(attributes or {}),
            "fulfillments": {},
        }
        return {**line, **more}

    def order(self, buyer: Buyer, *items: dict[str, Any], order_id: str | None = None) -> Event:
        """``order.completed`` with these lines."""
        order_id = order_id or _object_id()
        total = float(sum(item["subtotal"] for item in items))
        return self._event(
            "order.completed",
            {
                "order": order_id,
                "id": order_id,
                "reference": self._reference(),
                "completed": True,
                "changed": self._now_ms(),
                "live": self.live,
                "currency": "USD",
                "account": _account(buyer, _object_id()),
                "total": total,
                "customer": buyer.contact(),
                "recipients": [],
                "items": list(items),
            },
        )

    def buy(
        self, buyer: Buyer, product: str, *, quantity: int = 1, attributes: Mapping[str, str] | None = None
    ) -> Event:
        """``order.completed`` for one one-time product."""
        return self.order(buyer, self.item(product, quantity=quantity, attributes=attributes))

    def refund(self, order: Event, *, lines: Sequence[dict[str, Any]] | None = None) -> Event:
        """``return.created`` for a whole order, or for ``lines`` of it."""
        data = order["data"]
        returned = lines or [{**line, "refundType": "Full Refund"} for line in data["items"]]
        return self._event(
            "return.created",
            {
                "return": _object_id(),
                "reference": self._reference() + "D",
                "completed": True,
                "live": self.live,
                "account": data["account"],
                "currency": "USD",
                "totalReturn": float(sum(line["subtotal"] for line in returned)),
                "original": {"id": data["id"], "order": data["id"], "total": data["total"]},
                "customer": data["customer"],
                "type": "RETURN",
                "reason": "Other",
                "items": list(returned),
            },
        )

    def chargeback(self, order_id: str) -> Event:
        """``chargeback.created`` for an order."""
        return self._event(
            "chargeback.created",
            {"id": order_id, "order": order_id, "status": "NEW", "processorCaseId": _object_id(), "currency": "USD"},
        )

    # -- subscriptions ------------------------------------------------------------------------------------------------

    def subscribe(
        self,
        buyer: Buyer,
        product: str,
        *,
        quantity: int = 1,
        attributes: Mapping[str, str] | None = None,
        trial: bool = False,
    ) -> tuple[DemoSubscription, list[Event]]:
        """A new monthly subscription, and the ``subscription.activated`` and ``order.completed`` it causes, in the
        order in which FastSpring puts them into one delivery."""
        begin = self.clock()
        subscription = DemoSubscription(
            id=_object_id(),
            product=product,
            quantity=quantity,
            buyer=buyer,
            account_id=_object_id(),
            order_id=_object_id(),
            order_reference=self._reference(),
            begin=begin,
            next=_midnight(begin) + timedelta(days=14 if trial else 30),
            state="trial" if trial else "active",
            attributes=dict(attributes or {}),
        )
        line = self.item(product, quantity=quantity, price=0.0 if trial else 12.0, attributes=attributes)
        line |= {"isSubscription": True, "subscription": self._nested(subscription)}
        order = self.order(buyer, line, order_id=subscription.order_id)
        order["data"]["account"] = _account(buyer, subscription.account_id)
        order["data"]["reference"] = subscription.order_reference
        return subscription, [self.report("subscription.activated", subscription), order]

    def renew(self, subscription: DemoSubscription) -> Event:
        """The next period is charged: ``subscription.charge.completed``."""
        subscription.sequence += 1
        subscription.next += timedelta(days=30)
        subscription.state = "active"
        return self._charge(subscription, total=12.0 * subscription.quantity, prorated=0.0)

    def prorate(self, subscription: DemoSubscription, *, quantity: int) -> list[Event]:
        """A change of quantity with proration: ``subscription.updated`` and a charge for the difference."""
        subscription.quantity = quantity
        return [self.report("subscription.updated", subscription), self._charge(subscription, total=7.5, prorated=7.5)]

    def change(self, subscription: DemoSubscription, event_type: str, **changes: Any) -> Event:
        """Change the subscription and report it, such as ``change(s, "subscription.paused", state="paused")``."""
        for name, value in changes.items():
            setattr(subscription, name, value)
        return self.report(event_type, subscription)

    def overdue(self, subscription: DemoSubscription) -> Event:
        """The first overdue notice: ``subscription.payment.overdue``."""
        event = self.change(subscription, "subscription.payment.overdue", state="overdue")
        event["data"]["paymentOverdue"]["sent"] = 1
        return event

    def deactivate(self, subscription: DemoSubscription) -> Event:
        return self.change(subscription, "subscription.deactivated", state="deactivated")

    def report(self, event_type: str, subscription: DemoSubscription) -> Event:
        """A ``subscription.*`` life-cycle event with the subscription as it is now."""
        data = self._nested(subscription)
        data["account"] = _account(subscription.buyer, subscription.account_id)
        data["product"] = {"product": subscription.product, "attributes": dict(subscription.attributes)}
        return self._event(event_type, data)

    def _charge(self, subscription: DemoSubscription, *, total: float, prorated: float) -> Event:
        order_id = _object_id()
        line = self.item(subscription.product, quantity=subscription.quantity, attributes=subscription.attributes)
        line |= {"isSubscription": True, "subscription": subscription.id, "proratedItemProratedCharge": prorated}
        return self._event(
            "subscription.charge.completed",
            {
                "order": {
                    "order": order_id,
                    "id": order_id,
                    "reference": self._reference() + "B",
                    "completed": True,
                    "total": total,
                    "items": [line],
                },
                "currency": "USD",
                "total": total,
                "status": "successful",
                "timestamp": self._now_ms(),
                "sequence": subscription.sequence,
                "periods": None,
                "account": _account(subscription.buyer, subscription.account_id),
                "subscription": self._nested(subscription),
            },
        )

    def _nested(self, subscription: DemoSubscription) -> dict[str, Any]:
        return {
            "id": subscription.id,
            "subscription": subscription.id,
            "active": subscription.state != "deactivated",
            "state": subscription.state,
            "isPauseScheduled": False,
            "changed": self._now_ms(),
            "live": self.live,
            "currency": "USD",
            "account": subscription.account_id,
            "product": subscription.product,
            "display": subscription.product.replace("-", " ").title(),
            "quantity": subscription.quantity,
            "attributes": dict(subscription.attributes),
            "next": _ms(subscription.next),
            "end": None,
            "canceledDate": None,
            "deactivationDate": None,
            "sequence": subscription.sequence,
            "periods": None,
            "begin": _ms(subscription.begin),
            "intervalUnit": "month",
            "intervalLength": 1,
            "paymentOverdue": {"intervalUnit": "week", "intervalLength": 1, "total": 4, "sent": 0},
            "initialOrderId": subscription.order_id,
            "initialOrderReference": subscription.order_reference,
        }

    # -- parts --------------------------------------------------------------------------------------------------------

    def _event(self, event_type: str, data: dict[str, Any]) -> Event:
        return {
            "id": _event_id(),
            "processed": False,
            "created": self._now_ms(),
            "type": event_type,
            "live": self.live,
            "data": data,
        }

    def _now_ms(self) -> int:
        return _ms(self.clock())

    def _reference(self) -> str:
        number = secrets.randbelow(10**9)
        return f"ACM{self.clock():%y%m%d}-{number // 100000:04d}-{number % 100000:05d}"


def _account(buyer: Buyer, account_id: str) -> dict[str, Any]:
    return {"id": account_id, "account": account_id, "contact": buyer.contact(), "language": "en", "country": "US"}


def _object_id() -> str:
    return secrets.token_urlsafe(16)


def _event_id() -> str:
    return "EVW" + secrets.token_hex(14).upper()[:27]


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
