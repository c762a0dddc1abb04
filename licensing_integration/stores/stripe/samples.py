"""Sample purchases: the event Stripe would send for one, with what we read of it and nothing more.

https://docs.stripe.com/api/checkout/sessions/object and https://docs.stripe.com/api/invoices/object
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from licensing_integration.domain.samples import Sample, SampleKind
from licensing_integration.stores.base import SampleEvent
from licensing_integration.stores.stripe.split import read_event

ORDER: Final = SampleKind(slug="order", label="A one-time sale by Checkout")
SUBSCRIPTION: Final = SampleKind(slug="subscription", label="A new monthly subscription")
KINDS: Final = (ORDER, SUBSCRIPTION)

_SESSION_ID: Final = "cs_sample"
_SUBSCRIPTION_ID: Final = "sub_sample"
_EMAIL, _NAME, _CUSTOMER_ID = "sam.sample@example.com", "Sam Sample", "cus_sample"
_CENTS: Final = 1000


def build_sample(sample: Sample, at: datetime) -> SampleEvent:
    """The event that makes a license of the purchase; ``at``: when it was paid."""
    return _BUILDERS[sample.kind](sample, at)


def _order(sample: Sample, at: datetime) -> SampleEvent:
    """A session's event never has its lines; they are fetched."""
    session = {
        "id": _SESSION_ID,
        "object": "checkout.session",
        "mode": "payment",
        "payment_status": "paid",
        "payment_intent": "pi_sample",
        "customer": _CUSTOMER_ID,
        "customer_details": {"email": _EMAIL, "name": _NAME},
        "currency": "usd",
        "amount_total": _CENTS * sample.quantity,
        "metadata": dict(sample.attributes),
    }
    product_id, price_id = _ids(sample)
    line = {
        "id": "li_sample",
        "object": "item",
        "quantity": sample.quantity,
        "currency": "usd",
        "amount_total": _CENTS * sample.quantity,
        "description": sample.product,
        "price": {"id": price_id, "object": "price", "type": "one_time", "product": product_id},
    }
    fetched = {"sessions": {_SESSION_ID: {"line_items": [line]}}}
    return SampleEvent(event=read_event(_event("checkout.session.completed", session, at)), fetched=fetched)


def _subscription(sample: Sample, at: datetime) -> SampleEvent:
    """The first invoice of a subscription is what proves its payment."""
    invoice = {
        "id": "in_sample",
        "object": "invoice",
        "status": "paid",
        "billing_reason": "subscription_create",
        "customer": _CUSTOMER_ID,
        "customer_email": _EMAIL,
        "customer_name": _NAME,
        "currency": "usd",
        "amount_paid": _CENTS * sample.quantity,
        "total": _CENTS * sample.quantity,
        "parent": {
            "type": "subscription_details",
            "subscription_details": {"subscription": _SUBSCRIPTION_ID, "metadata": dict(sample.attributes)},
        },
        "lines": {"object": "list", "has_more": False, "data": [_invoice_line(sample, at)]},
    }
    return SampleEvent(event=read_event(_event("invoice.paid", invoice, at)))


def _invoice_line(sample: Sample, at: datetime) -> dict[str, Any]:
    product_id, price_id = _ids(sample)
    return {
        "id": "il_sample",
        "object": "line_item",
        "amount": _CENTS * sample.quantity,
        "subtotal": _CENTS * sample.quantity,
        "currency": "usd",
        "quantity": sample.quantity,
        "description": sample.product,
        "parent": {
            "type": "subscription_item_details",
            "subscription_item_details": {"subscription": _SUBSCRIPTION_ID, "subscription_item": "si_sample"},
        },
        "period": {"start": _seconds(at), "end": _seconds(at + timedelta(days=30))},
        "pricing": {"type": "price_details", "price_details": {"price": price_id, "product": product_id}},
    }


def _ids(sample: Sample) -> tuple[str, str]:
    """Of the product and of its price; a mapping may name either."""
    is_price = sample.product.startswith("price_")
    return ("prod_sample", sample.product) if is_price else (sample.product, "price_sample")


def _event(event_type: str, thing: Mapping[str, object], at: datetime) -> dict[str, Any]:
    return {
        "id": "evt_sample",
        "object": "event",
        "type": event_type,
        "created": _seconds(at),
        "livemode": True,
        "data": {"object": dict(thing)},
    }


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


_BUILDERS: Final[Mapping[str, Callable[[Sample, datetime], SampleEvent]]] = MappingProxyType(
    {ORDER.slug: _order, SUBSCRIPTION.slug: _subscription}
)
