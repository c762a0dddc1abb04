"""Stripe's subscription, invoice and invoice-line objects, as API version 2026-10-28.endive gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from licensing_integration.sandbox.stripe_catalog import plan

Object = dict[str, Any]

_SUBSCRIPTION_ABSENT = dict.fromkeys(
    (
        "application",
        "application_fee_percent",
        "billing_cycle_anchor_config",
        "billing_thresholds",
        "cancel_at",
        "canceled_at",
        "customer_account",
        "days_until_due",
        "default_source",
        "description",
        "ended_at",
        "managed_payments",
        "next_pending_invoice_item_invoice",
        "on_behalf_of",
        "pause_collection",
        "pending_invoice_item_interval",
        "pending_setup_intent",
        "pending_update",
        "schedule",
        "test_clock",
        "transfer_data",
    )
)
_INVOICE_ABSENT = dict.fromkeys(
    (
        "account_tax_ids",
        "application",
        "automatically_finalizes_at",
        "custom_fields",
        "customer_account",
        "customer_phone",
        "customer_shipping",
        "default_payment_method",
        "default_source",
        "description",
        "due_date",
        "footer",
        "from_invoice",
        "last_finalization_error",
        "latest_revision",
        "next_payment_attempt",
        "on_behalf_of",
        "receipt_number",
        "rendering",
        "shipping_cost",
        "shipping_details",
        "statement_descriptor",
        "test_clock",
    )
)
_METHODS = ("acss_debit", "bancontact", "customer_balance", "konbini", "payto", "pix", "sepa_debit", "upi")


def subscription(
    subscription_id: str,
    *,
    customer: str,
    items: Sequence[Object],
    metadata: Mapping[str, str],
    is_classic: bool,
    trial_end: int | None,
    method: str | None,
    at: int,
    live: bool,
) -> Object:
    """An active subscription that began ``at``, or a trialing one."""
    billing_mode = {"flexible": {"proration_discounts": "included"}, "type": "flexible", "updated_at": at}
    return {
        **_SUBSCRIPTION_ABSENT,
        "id": subscription_id,
        "object": "subscription",
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": trial_end or at,
        "billing_mode": {"flexible": None, "type": "classic"} if is_classic else billing_mode,
        "billing_schedules": [],
        "cancel_at_period_end": False,
        "cancellation_details": cancellation(),
        "collection_method": "charge_automatically",
        "created": at,
        "currency": items[0]["price"]["currency"],
        "customer": customer,
        "default_payment_method": method,
        "default_tax_rates": [],
        "discounts": [],
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "items": {
            "object": "list",
            "data": list(items),
            "has_more": False,
            "total_count": len(items),
            "url": f"/v1/subscription_items?subscription={subscription_id}",
        },
        "latest_invoice": None,
        "livemode": live,
        "metadata": dict(metadata),
        "payment_settings": {
            "payment_method_options": _method_options({"network": None, "request_three_d_secure": "automatic"}),
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "start_date": at,
        "status": "trialing" if trial_end else "active",
        "trial_end": trial_end,
        "trial_settings": {
            "end_behavior": {
                "billing_cycle_anchor": None,
                "missing_payment_method": "pause" if trial_end else "create_invoice",
            }
        },
        "trial_start": at if trial_end else None,
    }


def cancellation(*, reason: str | None = None) -> Object:
    return {"comment": None, "feedback": None, "feedback_option": None, "reason": reason}


def subscription_item(item_id: str, *, subscription_id: str, price: Object, quantity: int, at: int, end: int) -> Object:
    return {
        "id": item_id,
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": at,
        "current_period_end": end,
        "current_period_start": at,
        "current_trial": None,
        "discounts": [],
        "metadata": {},
        "plan": plan(price),
        "price": price,
        "quantity": quantity,
        "subscription": subscription_id,
        "tax_rates": [],
    }


def invoice(
    invoice_id: str,
    *,
    customer: Object,
    lines: Sequence[Object],
    billing_reason: str,
    subscription: Object | None,
    period: tuple[int, int],
    at: int,
    live: bool,
) -> Object:
    """An open invoice over these lines. ``period`` is the window it bills, which is not the time that is paid for."""
    total = sum(line["amount"] for line in lines)
    due = max(0, total)
    amounts = dict.fromkeys(("total", "subtotal", "total_excluding_tax", "subtotal_excluding_tax"), total)
    number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
    return {
        **_INVOICE_ABSENT,
        **amounts,
        **_customer_fields(customer),
        "id": invoice_id,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Example Shop Inc.",
        "amount_due": due,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": due,
        "amount_shipping": 0,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "billing_reason": billing_reason,
        "collection_method": "charge_automatically",
        "created": at,
        "currency": lines[0]["currency"],
        "default_tax_rates": [],
        "discounts": [],
        "effective_at": at,
        "ending_balance": 0,
        "hosted_invoice_url": f"https://invoice.stripe.com/i/{invoice_id}",
        "invoice_pdf": f"https://pay.stripe.com/invoice/{invoice_id}/pdf",
        "issuer": {"type": "self"},
        "lines": {
            "object": "list",
            "data": [{**line, "invoice": invoice_id} for line in lines],
            "has_more": False,
            "total_count": len(lines),
            "url": f"/v1/invoices/{invoice_id}/lines",
        },
        "livemode": live,
        "metadata": {},
        "number": number,
        "parent": _invoice_parent(subscription),
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": _method_options({"request_three_d_secure": "automatic"}),
            "payment_method_types": None,
        },
        "period_end": period[1],
        "period_start": period[0],
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "starting_balance": 0,
        "status": "open",
        "status_transitions": {
            "finalized_at": at,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "total_discount_amounts": [],
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": at,
    }


def mark_paid(invoice: Object, *, at: int) -> None:
    transitions = {**invoice["status_transitions"], "paid_at": at}
    paid = {"amount_paid": invoice["amount_due"], "amount_remaining": 0, "attempted": True, "auto_advance": False}
    invoice.update(paid, status="paid", status_transitions=transitions, next_payment_attempt=None)


def subscription_line(
    line_id: str,
    *,
    item: Object,
    period: tuple[int, int],
    amount: int,
    quantity: int,
    description: str,
    proration: str | None = None,
) -> Object:
    """What a subscription's item costs for ``period``; ``proration`` is the invoice item of a change in mid-period."""
    details = {
        "invoice_item": proration,
        "proration": proration is not None,
        "proration_details": {"credited_items": None},
        "subscription": item["subscription"],
        "subscription_item": item["id"],
    }
    parent = {"invoice_item_details": None, "subscription_item_details": details, "type": "subscription_item_details"}
    line = _line(line_id, price=item["price"], quantity=quantity, amount=amount, description=description)
    return line | {
        "discountable": proration is None,
        "parent": parent,
        "period": {"end": period[1], "start": period[0]},
        "subscription": item["subscription"],
    }


def one_time_line(
    line_id: str,
    *,
    price: Object,
    quantity: int,
    description: str,
    invoice_item: str,
    subscription_id: str | None,
    at: int,
) -> Object:
    """A line that is paid once, alone or on the first invoice of a subscription."""
    details = {
        "invoice_item": invoice_item,
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": subscription_id,
    }
    parent = {"invoice_item_details": details, "subscription_item_details": None, "type": "invoice_item_details"}
    amount = price["unit_amount"] * quantity
    line = _line(line_id, price=price, quantity=quantity, amount=amount, description=description)
    return line | {"parent": parent, "period": {"end": at, "start": at}, "subscription": subscription_id}


def _line(line_id: str, *, price: Object, quantity: int, amount: int, description: str) -> Object:
    return {
        "id": line_id,
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"],
        "description": description,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "livemode": price["livemode"],
        "metadata": {},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subtotal": amount,
        "taxes": [],
    }


def _customer_fields(customer: Object) -> Object:
    return {
        "customer": customer["id"],
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
    }


def _invoice_parent(subscription: Object | None) -> Object | None:
    if subscription is None:
        return None
    details = {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]}
    return {"quote_details": None, "subscription_details": details, "type": "subscription_details"}


def _method_options(card: Object) -> Object:
    return {**dict.fromkeys(_METHODS), "card": card, "us_bank_account": None}
