"""A delivery as Stripe would send it, made by us, to see that the endpoint's secret and address work."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final

from licensing_integration.stores.base import Delivery, Secret
from licensing_integration.stores.stripe.enrich import API_VERSION
from licensing_integration.stores.stripe.signature import HEADER, sign

TYPE: Final = "product.updated"  # one of the ignored types, so nothing can come of it


def make_test_event(secret: Secret, *, event_id: str, now: datetime) -> Delivery:
    """See ``stores.base.MakeTestEvent``."""
    seconds = int(now.timestamp())
    event = {
        "id": event_id,
        "object": "event",
        "api_version": API_VERSION,
        "created": seconds,
        "livemode": False,
        "type": TYPE,
        "data": {"object": {"object": "product", "description": "Made by Licensing Integration. It is no product."}},
    }
    body = json.dumps(event).encode()
    headers = {"content-type": "application/json", HEADER: sign(body, secret, timestamp=seconds)}
    return Delivery(body=body, headers=headers)
