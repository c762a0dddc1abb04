"""Sample purchases: the event FastSpring would send for one, with what we read of it and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from licensing_integration.domain.samples import Sample, SampleKind
from licensing_integration.stores.base import SampleEvent
from licensing_integration.stores.fastspring.split import read_event

ORDER: Final = SampleKind(slug="order", label="A one-time order")
SUBSCRIPTION: Final = SampleKind(slug="subscription", label="A new monthly subscription")
KINDS: Final = (ORDER, SUBSCRIPTION)

_ORDER_ID: Final = "sampleOrder0000000000A"
_SUBSCRIPTION_ID: Final = "sampleSubscription000A"
_ACCOUNT_ID: Final = "sampleAccount00000000A"
_REFERENCE: Final = "SAMPLE-0001"
_BUYER: Final = MappingProxyType(
    {"first": "Sam", "last": "Sample", "email": "sam.sample@example.com", "company": None, "phone": None}
)
_PRICE: Final = 10.0


def build_sample(sample: Sample, at: datetime) -> SampleEvent:
    """``order.completed``, which FastSpring sends for both kinds; ``at``: when it was bought."""
    line = {**_line(sample), **_MEMBERS[sample.kind](sample, at)}
    data = {
        "id": _ORDER_ID,
        "order": _ORDER_ID,
        "reference": _REFERENCE,
        "completed": True,
        "live": True,
        "currency": "USD",
        "account": {"id": _ACCOUNT_ID, "account": _ACCOUNT_ID, "contact": dict(_BUYER)},
        "total": line["subtotal"],
        "customer": dict(_BUYER),
        "recipients": [],
        "items": [line],
    }
    event = {"id": "SAMPLE", "type": "order.completed", "created": _ms(at), "live": True, "data": data}
    return SampleEvent(event=read_event(event))


def _line(sample: Sample) -> dict[str, Any]:
    return {
        "product": sample.product,
        "quantity": sample.quantity,
        "display": sample.product,
        "subtotal": _PRICE * sample.quantity,
        "attributes": dict(sample.attributes),
        "fulfillments": {},
    }


def _subscription(sample: Sample, at: datetime) -> dict[str, Any]:
    """https://developer.fastspring.com/reference/subscriptionactivated"""
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    subscription = {
        "id": _SUBSCRIPTION_ID,
        "subscription": _SUBSCRIPTION_ID,
        "active": True,
        "state": "active",
        "account": _ACCOUNT_ID,
        "product": sample.product,
        "display": sample.product,
        "quantity": sample.quantity,
        "attributes": dict(sample.attributes),
        "sequence": 1,
        "begin": _ms(midnight),
        "next": _ms(midnight + timedelta(days=30)),
        "end": None,
        "intervalUnit": "month",
        "intervalLength": 1,
        "initialOrderId": _ORDER_ID,
        "initialOrderReference": _REFERENCE,
    }
    return {"isSubscription": True, "subscription": subscription}


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


_MEMBERS: Final[Mapping[str, Callable[[Sample, datetime], dict[str, Any]]]] = MappingProxyType(
    {ORDER.slug: lambda sample, at: {}, SUBSCRIPTION.slug: _subscription}
)
