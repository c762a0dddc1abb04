"""Which function reads which event type. Pure: the same payload gives the same facts, in a year's time.

docs/stores/stripe.md lists the same types, and a test compares. What each type means:
https://docs.stripe.com/api/events/types
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from licensing_integration.stores.base import Translator
from licensing_integration.stores.stripe import changes, notes, sessions
from licensing_integration.stores.stripe.customers import translate_customer_updated
from licensing_integration.stores.stripe.invoices import history_only, translate_paid
from licensing_integration.stores.stripe.refunds import (
    translate_charge_refunded,
    translate_dispute,
    translate_refund,
)
from licensing_integration.stores.stripe.subscriptions import CREATED, DELETED, lifecycle

TRANSLATORS: Final[Mapping[str, Translator]] = MappingProxyType(
    {
        "checkout.session.completed": sessions.translate_completed,
        "checkout.session.async_payment_succeeded": sessions.translate_payment_succeeded,
        "checkout.session.async_payment_failed": sessions.translate_payment_failed,
        "checkout.session.expired": sessions.translate_expired,
        "invoice.paid": translate_paid,
        "invoice.payment_succeeded": translate_paid,
        "invoice.payment_failed": history_only(notes.payment_failed),
        "invoice.payment_action_required": history_only(notes.action_required),
        "customer.subscription.created": lifecycle(notes.created, rank=CREATED),
        "customer.subscription.updated": lifecycle(changes.updated),
        "customer.subscription.deleted": lifecycle(notes.deleted, rank=DELETED),
        "customer.subscription.paused": lifecycle(notes.paused),
        "customer.subscription.resumed": lifecycle(notes.resumed),
        "customer.subscription.trial_will_end": lifecycle(notes.trial_will_end),
        "customer.subscription.pending_update_applied": lifecycle(notes.update_applied),
        "customer.subscription.pending_update_expired": lifecycle(notes.update_expired),
        "charge.refunded": translate_charge_refunded,
        "refund.created": translate_refund,
        "refund.updated": translate_refund,
        "refund.failed": translate_refund,
        "charge.refund.updated": translate_refund,
        "charge.dispute.created": translate_dispute,
        "charge.dispute.updated": translate_dispute,
        "charge.dispute.closed": translate_dispute,
        "charge.dispute.funds_withdrawn": translate_dispute,
        "charge.dispute.funds_reinstated": translate_dispute,
        "customer.updated": translate_customer_updated,
    }
)

# Known, and nothing for licensing: what matters of them is told by a handled type as well.
IGNORED: Final = frozenset(
    {
        "customer.created",
        "customer.deleted",
        "entitlements.active_entitlement_summary.updated",
        "invoice.created",
        "invoice.deleted",
        "invoice.finalization_failed",
        "invoice.finalized",
        "invoice.marked_uncollectible",
        "invoice.overdue",
        "invoice.overpaid",
        "invoice.payment_attempt_required",
        "invoice.sent",
        "invoice.upcoming",
        "invoice.updated",
        "invoice.voided",
        "invoice.will_be_due",
        "invoice_payment.paid",
        "payment_link.created",
        "payment_link.updated",
        "price.created",
        "price.deleted",
        "price.updated",
        "product.created",
        "product.deleted",
        "product.updated",
        "radar.early_fraud_warning.created",
        "subscription_schedule.aborted",
        "subscription_schedule.canceled",
        "subscription_schedule.completed",
        "subscription_schedule.created",
        "subscription_schedule.expiring",
        "subscription_schedule.released",
        "subscription_schedule.updated",
    }
)
