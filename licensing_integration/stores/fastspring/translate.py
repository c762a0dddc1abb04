"""Which function reads which event type. Pure: the same payload gives the same facts, in a year's time.

docs/stores/fastspring.md lists the same types, and a test compares. What each type means:
https://developer.fastspring.com/reference/webhooks-overview and the pages of the single events.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from licensing_integration.domain.outcomes import PurchaseStatus
from licensing_integration.stores.base import Translator
from licensing_integration.stores.fastspring import notes
from licensing_integration.stores.fastspring.fulfilment import EVENT_TYPE as KEYS_REQUESTED
from licensing_integration.stores.fastspring.fulfilment import translate_fulfilment_requested
from licensing_integration.stores.fastspring.orders import (
    translate_fulfillment_failed,
    translate_order_completed,
    unpaid_order,
)
from licensing_integration.stores.fastspring.refunds import translate_chargeback, translate_return
from licensing_integration.stores.fastspring.subscriptions import (
    lifecycle,
    translate_charge_completed,
    translate_charge_failed,
)

USABLE: Final = frozenset({PurchaseStatus.ACTIVE, PurchaseStatus.TRIAL})
UNPAID: Final = frozenset({PurchaseStatus.OVERDUE, PurchaseStatus.TRIAL, PurchaseStatus.CANCELED})

TRANSLATORS: Final[Mapping[str, Translator]] = MappingProxyType(
    {
        "order.completed": translate_order_completed,
        "order.payment.pending": unpaid_order(PurchaseStatus.PENDING, notes.payment_pending),
        "order.approval.pending": unpaid_order(PurchaseStatus.PENDING, notes.approval_pending),
        "order.canceled": unpaid_order(PurchaseStatus.NOT_PAID, notes.order_canceled),
        "order.failed": unpaid_order(PurchaseStatus.NOT_PAID, notes.order_failed),
        "return.created": translate_return,
        "chargeback.created": translate_chargeback,
        "fulfillment.failed": translate_fulfillment_failed,
        KEYS_REQUESTED: translate_fulfilment_requested,  # ours: a request for keys, stored as an event
        "subscription.activated": lifecycle(notes.activated, states=USABLE),
        "subscription.updated": lifecycle(notes.updated),
        "subscription.trial.reminder": lifecycle(notes.trial_reminder),
        "subscription.payment.reminder": lifecycle(notes.payment_reminder),
        "subscription.charge.completed": translate_charge_completed,
        "subscription.charge.failed": translate_charge_failed,
        "subscription.payment.overdue": lifecycle(notes.payment_overdue, states=UNPAID),
        "subscription.canceled": lifecycle(notes.canceled, states={PurchaseStatus.CANCELED}),
        "subscription.uncanceled": lifecycle(notes.uncanceled, states=USABLE),
        "subscription.deactivated": lifecycle(notes.deactivated, states={PurchaseStatus.ENDED}),
        "subscription.paused": lifecycle(notes.paused, states={PurchaseStatus.PAUSED}),
        "subscription.resumed": lifecycle(notes.resumed, states=USABLE),
    }
)

# Known, and nothing for licensing. Group events (subscription.group.*) are not among them: nobody knows whether the
# members' own events are still sent, so they stay unsupported, that is stored, acknowledged and shown.
IGNORED: Final = frozenset(
    {
        "account.created",
        "account.updated",
        "invoice.reminder.email",
        "mailingListEntry.removed",
        "mailingListEntry.updated",
        "payoutEntry.created",
        "quote.created",
        "quote.updated",
    }
)
