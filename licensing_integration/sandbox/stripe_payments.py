"""Stripe's charge, refund, dispute and invoice-payment objects, as API version 2026-10-28.endive gives them."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

_CHARGE_ABSENT = dict.fromkeys(
    (
        "application",
        "application_fee",
        "application_fee_amount",
        "description",
        "failure_balance_transaction",
        "failure_code",
        "failure_message",
        "on_behalf_of",
        "receipt_email",
        "receipt_number",
        "review",
        "shipping",
        "source",
        "source_transfer",
        "statement_descriptor",
        "statement_descriptor_suffix",
        "transfer_data",
        "transfer_group",
    )
)
_EVIDENCE = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
    "appeal",
)


def charge(
    charge_id: str,
    *,
    payment_intent: str,
    amount: int,
    currency: str,
    customer: str | None,
    email: str,
    name: str,
    transaction: str,
    method: str,
    at: int,
    live: bool,
) -> Object:
    """A card payment that succeeded."""
    return {
        **_CHARGE_ABSENT,
        "id": charge_id,
        "object": "charge",
        "amount": amount,
        "amount_captured": amount,
        "amount_refunded": 0,
        "balance_transaction": transaction,
        "billing_details": {"address": _bare_address(), "email": email, "name": name, "phone": None, "tax_id": None},
        "calculated_statement_descriptor": "EXAMPLESHOP",
        "captured": True,
        "created": at,
        "currency": currency,
        "customer": customer,
        "disputed": False,
        "fraud_details": {},
        "livemode": live,
        "metadata": {},
        "outcome": {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "risk_score": 21,
            "seller_message": "Payment complete.",
            "type": "authorized",
        },
        "paid": True,
        "payment_intent": payment_intent,
        "payment_method": method,
        "payment_method_details": {"card": {"brand": "visa", "last4": "4242"}, "type": "card"},
        "radar_options": {},
        "receipt_url": f"https://pay.stripe.com/receipts/payment/{charge_id}",
        "refunded": False,
        "status": "succeeded",
    }


def refund(refund_id: str, *, charge: Object, amount: int, transaction: str, at: int) -> Object:
    return {
        "id": refund_id,
        "object": "refund",
        "amount": amount,
        "balance_transaction": transaction,
        "charge": charge["id"],
        "created": at,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": {
            "card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"},
            "type": "card",
        },
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": "requested_by_customer",
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def dispute(dispute_id: str, *, charge: Object, is_inquiry: bool, transaction: str, at: int) -> Object:
    """A chargeback, or with ``is_inquiry`` the bank's question that moves no money yet."""
    withdrawal = movement(transaction, dispute_id=dispute_id, charge=charge, sign=-1, at=at)
    return {
        "id": dispute_id,
        "object": "dispute",
        "amount": charge["amount"],
        "balance_transactions": [] if is_inquiry else [withdrawal],
        "charge": charge["id"],
        "created": at,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {
            **dict.fromkeys(_EVIDENCE),
            "customer_email_address": charge["billing_details"]["email"],
            "enhanced_evidence": {},
        },
        "evidence_details": {
            "due_by": at + 9 * 86_400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "intended_submission_method": None,
        "is_charge_refundable": is_inquiry,
        "livemode": charge["livemode"],
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": "visa",
                "case_type": "inquiry" if is_inquiry else "chargeback",
                "network": "visa",
                "network_reason_code": None if is_inquiry else "10.4",
            },
            "type": "card",
        },
        "reason": "general" if is_inquiry else "fraudulent",
        "status": "warning_needs_response" if is_inquiry else "needs_response",
    }


def movement(transaction: str, *, dispute_id: str, charge: Object, sign: int, at: int) -> Object:
    """The balance transaction of a dispute: ``sign`` -1 when the money is withdrawn, 1 when it comes back."""
    fee = 1500 if sign < 0 else 0
    word = "withdrawal" if sign < 0 else "reversal"
    return {
        "id": transaction,
        "object": "balance_transaction",
        "amount": sign * charge["amount"],
        "available_on": at + 7 * 86_400,
        "balance_type": "payments",
        "created": at,
        "currency": charge["currency"],
        "description": f"Chargeback {word} for {charge['id']}",
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [],
        "net": sign * charge["amount"] - fee,
        "reporting_category": "dispute" if sign < 0 else "dispute_reversal",
        "source": dispute_id,
        "status": "pending",
        "type": "adjustment",
    }


def invoice_payment(
    payment_id: str, *, invoice: Object, payment_intent: str, at: int, paid_at: int | None, live: bool
) -> Object:
    """What ties an invoice to its payment; ``paid_at`` is None while the payment is open."""
    return {
        "id": payment_id,
        "object": "invoice_payment",
        "amount_paid": invoice["amount_due"] if paid_at else None,
        "amount_requested": invoice["amount_due"],
        "created": at,
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": live,
        "payment": {"payment_intent": payment_intent, "type": "payment_intent"},
        "status": "paid" if paid_at else "open",
        "status_transitions": {"canceled_at": None, "paid_at": paid_at},
    }


def _bare_address() -> Object:
    return {"city": None, "country": "US", "line1": None, "line2": None, "postal_code": "94103", "state": None}
