"""The same objects as API version 2024-06-20 gives them: what Stripe moved in 2025-03-31.basil is in its old place.

Only what means something to a receiver is moved back: the subscription and payment of an invoice, the kind, price and
item of its lines, the period of a subscription, the invoice of a charge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from licensing_integration.sandbox.stripe_catalog import plan

Object = dict[str, Any]

OLD_VERSION = "2024-06-20"


@dataclass(frozen=True, kw_only=True)
class Payment:
    """What an old invoice or charge names itself, and a new one leaves to ``/v1/invoice_payments``."""

    payment_intent: str | None
    charge: str | None
    invoice: str | None


def in_old_shape(
    given: Object, *, payment_of: Callable[[Object], Payment], price_of: Callable[[str], Object]
) -> Object:
    """``payment_of`` finds the payment of an invoice or a charge, ``price_of`` a price by its id."""
    kind = given["object"]
    if kind == "invoice":
        return _invoice(given, payment=payment_of(given), price_of=price_of)
    if kind == "charge":
        return {**given, "invoice": payment_of(given).invoice}
    reshape = _RESHAPE.get(kind)
    return reshape(given) if reshape else given


def _subscription(given: Object) -> Object:
    items = given["items"]["data"]
    old = _without(given, "billing_mode", "billing_schedules", "customer_account", "managed_payments", "status_details")
    single = items[0] if len(items) == 1 else None
    return old | {
        "current_period_end": min(item["current_period_end"] for item in items),
        "current_period_start": max(item["current_period_start"] for item in items),
        "discount": None,
        "items": {**given["items"], "data": [_subscription_item(item) for item in items]},
        "plan": single["plan"] if single else None,
        "quantity": single["quantity"] if single else None,
    }


def _subscription_item(item: Object) -> Object:
    return _without(item, "current_period_end", "current_period_start", "current_trial")


def _invoice(given: Object, *, payment: Payment, price_of: Callable[[str], Object]) -> Object:
    parent = given["parent"]
    details = parent["subscription_details"] if parent else {"metadata": None, "subscription": None}
    old = _without(given, "parent", "amount_overpaid", "total_taxes", "total_pretax_credit_amounts", "customer_account")
    lines = [_line(line, price=price_of(line["pricing"]["price_details"]["price"])) for line in given["lines"]["data"]]
    return old | {
        "charge": payment.charge,
        "discount": None,
        "lines": {**given["lines"], "data": lines},
        "paid": given["status"] == "paid",
        "payment_intent": payment.payment_intent,
        "subscription": details["subscription"],
        "subscription_details": {"metadata": details["metadata"]},
        "tax": None,
        "total_tax_amounts": [],
    }


def _line(line: Object, *, price: Object) -> Object:
    parent = line["parent"]
    details = parent[parent["type"]]
    is_item = parent["type"] == "invoice_item_details" or details["proration"]
    old = _without(line, "parent", "pricing", "pretax_credit_amounts", "quantity_decimal", "subtotal", "taxes")
    return old | {
        "invoice_item": details["invoice_item"],
        "plan": plan(price) if price["recurring"] else None,
        "price": price,
        "proration": details["proration"],
        "proration_details": details["proration_details"],
        "subscription": details["subscription"],
        "subscription_item": details.get("subscription_item"),
        "tax_amounts": [],
        "type": "invoiceitem" if is_item else "subscription",
    }


def _session(given: Object) -> Object:
    new_names = ("customer_account", "managed_payments", "collected_information", "branding_settings")
    return _without(given, *new_names) | {"shipping_details": None, "ui_mode": "hosted"}


def _refund(given: Object) -> Object:
    return _without(given, "customer", "customer_account", "payment_method")


def _customer(given: Object) -> Object:
    return _without(given, "customer_account")


def _without(given: Object, *names: str) -> Object:
    return {name: value for name, value in given.items() if name not in names}


_RESHAPE: dict[str, Callable[[Object], Object]] = {
    "subscription": _subscription,
    "checkout.session": _session,
    "refund": _refund,
    "customer": _customer,
}
