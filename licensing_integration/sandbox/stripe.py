"""A pretend Stripe shop: sells, bills, and makes the events Stripe would send; and signs their deliveries.

Every step changes the account's objects (``shop.subscriptions`` and so on, as the REST API would show them) and answers
with the events the webhook endpoint gets, in causal order. Deliver them in any order: Stripe promises none.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import datetime

from licensing_integration.sandbox.stripe_account import Event
from licensing_integration.sandbox.stripe_life import SubscriptionLife
from licensing_integration.sandbox.stripe_returns import MoneyBack
from licensing_integration.sandbox.stripe_selling import Selling


class StripeShop(Selling, SubscriptionLife, MoneyBack):
    """A Stripe account that sells, in one object; ``StripeAccount`` tells what can be set."""


def sign(body: bytes, *, secret: str, at: datetime) -> str:
    """The value of the ``Stripe-Signature`` header for a body sent at this moment."""
    seconds = int(at.timestamp())
    digest = hmac.new(secret.encode(), b"%d.%s" % (seconds, body), hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def delivery(event: Event) -> bytes:
    """The body of one webhook request, which is always one event."""
    return json.dumps(event, ensure_ascii=False, indent=2).encode()
