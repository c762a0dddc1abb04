"""Stripe's Checkout session and its line items, as API version 2026-10-28.endive gives them.

A session's event never has its line items; they belong to the session all the same, so they stand in the object and are
left out where it is put into an event (``stripe_account.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from licensing_integration.sandbox.stripe_catalog import address

Object = dict[str, Any]

_ABSENT = dict.fromkeys(
    (
        "after_expiration",
        "allow_promotion_codes",
        "allowed_payment_method_types",
        "billing_address_collection",
        "client_secret",
        "collected_information",
        "consent",
        "consent_collection",
        "currency_conversion",
        "customer_account",
        "customer_email",
        "integration_identifier",
        "locale",
        "origin_context",
        "payment_link",
        "permissions",
        "recovered_from",
        "saved_payment_method_options",
        "setup_intent",
        "shipping_address_collection",
        "shipping_cost",
        "submit_type",
        "url",
    )
)
_DAY = 86_400


def session(
    session_id: str,
    *,
    mode: str,
    items: Sequence[Object],
    metadata: Mapping[str, str],
    reference: str | None,
    customer: str | None,
    method_configuration: str,
    at: int,
    live: bool,
) -> Object:
    """An open session; ``mode`` is payment, subscription or setup."""
    subtotal = sum(item["amount_subtotal"] for item in items)
    is_setup = mode == "setup"
    return {
        **_ABSENT,
        "id": session_id,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": False},
        "amount_subtotal": None if is_setup else subtotal,
        "amount_total": None if is_setup else subtotal,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "branding_settings": _branding(),
        "cancel_url": "https://shop.example.com/cart",
        "client_reference_id": reference,
        "created": at,
        "currency": items[0]["currency"] if items else None,
        "custom_fields": [],
        "custom_text": dict.fromkeys(
            ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance"), None
        ),
        "customer": customer,
        "customer_creation": None if is_setup else "always" if customer else "if_required",
        "customer_details": None,
        "discounts": [],
        "expires_at": at + _DAY,
        "invoice": None,
        "invoice_creation": invoice_creation(enabled=False) if mode == "payment" else None,
        "livemode": live,
        "managed_payments": {"enabled": False},
        "metadata": dict(metadata),
        "mode": mode,
        "payment_intent": None,
        "payment_method_collection": "if_required" if mode == "payment" else "always",
        "payment_method_configuration_details": {"id": method_configuration, "parent": None},
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card", "link"],
        "payment_status": "unpaid",
        "phone_number_collection": {"enabled": False},
        "saved_payment_method_options": _saved_methods() if mode == "subscription" else None,
        "shipping_options": [],
        "status": "open",
        "subscription": None,
        "success_url": "https://shop.example.com/thanks?session_id={CHECKOUT_SESSION_ID}",
        "total_details": None if is_setup else {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "wallet_options": None,
        "line_items": {
            "object": "list",
            "data": list(items),
            "has_more": False,
            "url": f"/v1/checkout/sessions/{session_id}/line_items",
        },
    }


def line_item(item_id: str, *, price: Object, quantity: int, description: str, is_trial: bool) -> Object:
    amount = 0 if is_trial else price["unit_amount"] * quantity
    return {
        "id": item_id,
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": description,
        "metadata": {},
        "price": price,
        "quantity": quantity,
    }


def customer_details(*, email: str, name: str, company: str | None) -> Object:
    """What the buyer typed into Checkout."""
    return {
        "address": address(),
        "business_name": company,
        "email": email,
        "individual_name": None,
        "name": name,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [],
    }


def invoice_creation(*, enabled: bool) -> Object:
    return {
        "enabled": enabled,
        "invoice_data": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"} if enabled else None,
            "metadata": {},
            "rendering_options": None,
        },
    }


def _branding() -> Object:
    return {
        "background_color": "#ffffff",
        "border_style": "rounded",
        "button_color": "#0074d4",
        "display_name": "Example Shop",
        "font_family": "default",
        "icon": None,
        "logo": None,
    }


def _saved_methods() -> Object:
    return {
        "allow_redisplay_filters": ["always"],
        "payment_method_remove": "disabled",
        "payment_method_save": None,
    }
