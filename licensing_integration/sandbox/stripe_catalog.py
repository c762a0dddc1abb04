"""Stripe's product, price and customer objects, as API version 2026-10-28.endive gives them. Amounts are in the
smallest unit of the currency, times in epoch seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]


def product(product_id: str, *, name: str, metadata: Mapping[str, str], at: int, live: bool) -> Object:
    return {
        "id": product_id,
        "object": "product",
        "active": True,
        "created": at,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": live,
        "marketing_features": [],
        "metadata": dict(metadata),
        "name": name,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "tax_details": None,
        "type": "service",
        "unit_label": "seat",
        "updated": at,
        "url": None,
    }


def price(
    price_id: str,
    *,
    product_id: str,
    amount: int,
    currency: str,
    interval: str | None,
    metadata: Mapping[str, str],
    at: int,
    live: bool,
) -> Object:
    """``interval`` is day, week, month or year; None makes a one-time price."""
    recurring = {
        "interval": interval,
        "interval_count": 1,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }
    return {
        "id": price_id,
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": at,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": live,
        "lookup_key": None,
        "metadata": dict(metadata),
        "nickname": None,
        "product": product_id,
        "recurring": recurring if interval else None,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if interval else "one_time",
        "unit_amount": amount,
        "unit_amount_decimal": str(amount),
    }


def plan(price: Object) -> Object:
    """The older name of a recurring price, which subscription items still carry beside it."""
    shared = ("id", "active", "billing_scheme", "created", "currency", "livemode", "metadata", "nickname", "product")
    return {
        **{name: price[name] for name in shared},
        "object": "plan",
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        **{name: price["recurring"][name] for name in ("interval", "interval_count", "meter", "trial_period_days")},
        "tiers_mode": None,
        "transform_usage": None,
        "usage_type": "licensed",
    }


def customer(customer_id: str, *, email: str, name: str, invoice_prefix: str, at: int, live: bool) -> Object:
    return {
        "id": customer_id,
        "object": "customer",
        "address": address(),
        "balance": 0,
        "created": at,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": email,
        "invoice_prefix": invoice_prefix,
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": live,
        "metadata": {},
        "name": name,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": ["en-US"],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def address() -> Object:
    return {
        "city": "Austin",
        "country": "US",
        "line1": "410 Congress Ave",
        "line2": None,
        "postal_code": "78701",
        "state": "TX",
    }
