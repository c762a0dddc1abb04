"""Events of today as versions before 2025-03-31.basil rendered them. Where each value was: docs/stores/stripe.md."""

from __future__ import annotations

import copy
from typing import Any

ACACIA = "2024-10-28.acacia"


def as_acacia(
    event: dict[str, Any], *, payment_intent: str = "", charge: str = "", invoice: str = ""
) -> dict[str, Any]:
    """``event`` in the old shape. The ids are what old objects told and new ones do not."""
    old = {**copy.deepcopy(event), "api_version": ACACIA}
    thing, before = old["data"]["object"], old["data"].get("previous_attributes", {})
    match thing["object"]:
        case "invoice":
            _age_invoice(thing, payment_intent=payment_intent, charge=charge)
        case "subscription":
            _age_subscription(thing)
            if "items" in before:
                _age_subscription(before)
        case "charge":
            thing["invoice"] = invoice or None
    return old


def _age_invoice(invoice: dict[str, Any], *, payment_intent: str, charge: str) -> None:
    parent = invoice.pop("parent")
    details = parent["subscription_details"] if parent else None
    invoice["subscription"] = details["subscription"] if details else None
    invoice["subscription_details"] = {"metadata": details["metadata"] if details else None}
    invoice["payment_intent"], invoice["charge"] = payment_intent or None, charge or None
    invoice["paid"] = invoice["status"] == "paid"
    invoice["tax"], invoice["total_tax_amounts"], invoice["discount"] = None, [], None
    del invoice["total_taxes"]
    for line in invoice["lines"]["data"]:
        _age_line(line)


def _age_line(line: dict[str, Any]) -> None:
    parent, pricing = line.pop("parent"), line.pop("pricing")["price_details"]
    item, extra = parent["subscription_item_details"], parent["invoice_item_details"]
    details = item or extra
    is_one_time = item is None or item["invoice_item"]
    line["type"] = "invoiceitem" if is_one_time else "subscription"
    line["proration"] = details["proration"]
    line["proration_details"] = {"credited_items": None}
    line["subscription"] = details["subscription"]
    if item:
        line["subscription_item"] = item["subscription_item"]
    line["price"] = {
        "id": pricing["price"],
        "object": "price",
        "product": pricing["product"],
        "metadata": {},
        "nickname": None,
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"} if item else None,
        "type": "recurring" if item else "one_time",
    }
    line["plan"] = {"id": pricing["price"], "object": "plan", "product": pricing["product"]} if item else None
    line["tax_amounts"] = [{"amount": tax["amount"], "inclusive": False} for tax in line.pop("taxes", [])]
    for name in ("quantity_decimal", "subtotal"):
        line.pop(name, None)


def _age_subscription(subscription: dict[str, Any]) -> None:
    """The period stood on the subscription; the object had further leftovers of the time of one plan."""
    for item in subscription["items"]["data"]:
        for name in ("current_period_start", "current_period_end"):
            subscription[name] = item.pop(name)
    for name in ("billing_mode", "billing_schedules", "status_details"):
        subscription.pop(name, None)
