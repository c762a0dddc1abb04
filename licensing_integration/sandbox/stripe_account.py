"""A pretend Stripe account: its objects as they are now, its clock, its ids, and the events it has made.

Objects are kept in the shape of the newest API version, whatever version the events are rendered in.
"""

from __future__ import annotations

import copy
import hashlib
import string
import uuid
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from licensing_integration.sandbox.stripe_old_shapes import Payment, in_old_shape

Object = dict[str, Any]
Event = dict[str, Any]

NEW_VERSION = "2026-10-28.endive"
BASIL = "2025-03-31"
_ALPHABET = string.digits + string.ascii_letters
# Stripe's recommendation for a license server, and what else the adapter reads; not ``invoice.payment_succeeded``, the
# twin of ``invoice.paid``.
USUAL_EVENTS = frozenset(
    {
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
        "invoice.paid",
        "invoice.payment_failed",
        "customer.subscription.created",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "customer.subscription.paused",
        "customer.subscription.resumed",
        "customer.subscription.trial_will_end",
        "charge.refunded",
        "refund.failed",
        "charge.dispute.created",
        "charge.dispute.closed",
        "customer.updated",
    }
)


class StripeAccount:
    """``clock`` gives aware UTC moments. The same ``seed`` and the same steps give the same ids.

    ``enabled_events`` are the types the webhook endpoint listens to, None all; ``events`` has every event, oldest
    first, as Stripe's own list of events does. ``payment_delay`` passes between a new period and its payment.
    ``prorations`` wait for the next invoice of their subscription.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        api_version: str = NEW_VERSION,
        live: bool = True,
        seed: str = "shop",
        enabled_events: Collection[str] | None = USUAL_EVENTS,
        payment_delay: timedelta = timedelta(hours=1),
    ) -> None:
        self.clock = clock
        self.api_version = api_version
        self.live = live
        self.seed = seed
        self.enabled_events = enabled_events
        self.payment_delay = payment_delay.total_seconds()
        self.products: dict[str, Object] = {}
        self.prices: dict[str, Object] = {}
        self.customers: dict[str, Object] = {}
        self.sessions: dict[str, Object] = {}
        self.subscriptions: dict[str, Object] = {}
        self.invoices: dict[str, Object] = {}
        self.invoice_payments: dict[str, Object] = {}
        self.charges: dict[str, Object] = {}
        self.refunds: dict[str, Object] = {}
        self.disputes: dict[str, Object] = {}
        self.events: list[Event] = []
        self.prorations: dict[str, list[Object]] = {}
        self._count = 0
        self._latest = 0

    @property
    def is_old(self) -> bool:
        """Whether events have the shapes from before 2025-03-31.basil."""
        return self.api_version < BASIL

    # -- time and ids -------------------------------------------------------------------------------------------------

    def now(self) -> int:
        """Epoch seconds; never before anything that has happened here already."""
        self._latest = max(self._latest, int(self.clock().timestamp()))
        return self._latest

    def pass_time(self, seconds: float) -> int:
        """The account's clock runs ahead of the injected one, until that has caught up; what it shows then."""
        self._latest = self.now() + int(seconds)
        return self._latest

    def new_id(self, prefix: str, *, length: int = 22) -> str:
        """The prefix, such as ``sub_1``, and letters; looks like Stripe's and never repeats in this account."""
        self._count += 1
        number = int.from_bytes(self._digest(prefix) * 2)
        letters = []
        for _ in range(length):
            number, rest = divmod(number, len(_ALPHABET))
            letters.append(_ALPHABET[rest])
        return prefix + "".join(letters)

    def _digest(self, purpose: str) -> bytes:
        return hashlib.sha256(f"{self.seed} {purpose} {self._count}".encode()).digest()

    # -- payments -----------------------------------------------------------------------------------------------------

    def payment_of_invoice(self, invoice_id: str) -> str | None:
        """The payment intent of an invoice; None if there was nothing to pay."""
        found = [entry for entry in self.invoice_payments.values() if entry["invoice"] == invoice_id]
        return found[-1]["payment"]["payment_intent"] if found else None

    def invoice_of_payment(self, payment_intent: str) -> str | None:
        found = (
            entry["invoice"]
            for entry in self.invoice_payments.values()
            if entry["payment"]["payment_intent"] == payment_intent
        )
        return next(found, None)

    def charge_of_payment(self, payment_intent: str) -> Object | None:
        """The charge that succeeded; None while the payment is not made."""
        found = (charge for charge in self.charges.values() if charge["payment_intent"] == payment_intent)
        return next(found, None)

    # -- events -------------------------------------------------------------------------------------------------------

    def report(
        self, event_type: str, thing: Object, *, before: Object | None = None, by_api: bool = False
    ) -> list[Event]:
        """Make the event; it is in the answer if the endpoint listens to its type.

        ``before`` is the object as it was, for ``previous_attributes``; ``by_api`` says that a request caused it.
        """
        now = self._rendered(thing)
        data: Object = {"object": now}
        if before is not None:
            data["previous_attributes"] = _previous(self._rendered(before), now)
        event = {
            "id": self.new_id("evt_1"),
            "object": "event",
            "api_version": self.api_version,
            "created": self.now(),
            "data": data,
            "livemode": self.live,
            "pending_webhooks": 1,
            "request": self._request() if by_api else {"id": None, "idempotency_key": None},
            "type": event_type,
        }
        self.events.append(event)
        is_enabled = self.enabled_events is None or event_type in self.enabled_events
        return [event] if is_enabled else []

    def _request(self) -> Object:
        return {"id": self.new_id("req_", length=14), "idempotency_key": str(uuid.UUID(bytes=self._digest("key")[:16]))}

    def _rendered(self, thing: Object) -> Object:
        shown = {name: value for name, value in thing.items() if name != "line_items"}
        if self.is_old:
            shown = in_old_shape(shown, payment_of=self._payment, price_of=self.prices.__getitem__)
        return copy.deepcopy(shown)

    def _payment(self, thing: Object) -> Payment:
        """The payment of an invoice, or of a charge."""
        if thing["object"] == "charge":
            intent: str | None = thing["payment_intent"]
        else:
            intent = self.payment_of_invoice(thing["id"])
        charge = self.charge_of_payment(intent) if intent else None
        return Payment(
            payment_intent=intent,
            charge=charge["id"] if charge else None,
            invoice=self.invoice_of_payment(intent) if intent else None,
        )


def _previous(before: Object, now: Object) -> Object:
    """The old values of what changed: objects by member, lists whole."""
    changed: Object = {}
    for name, value in now.items():
        old = before.get(name)
        if old == value:
            continue
        both_objects = isinstance(old, dict) and isinstance(value, dict)
        changed[name] = _previous(old or {}, value) if both_objects else old
    return changed
