"""A delivery as FastSpring would send it, made by us, to see that the webhook's secret and address work."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final

from licensing_integration.stores.base import Delivery, Secret
from licensing_integration.stores.fastspring.signature import HEADER, sign

TYPE: Final = "account.updated"  # one of the ignored types, so nothing can come of it


def make_test_event(secret: Secret, *, event_id: str, now: datetime) -> Delivery:
    """See ``stores.base.MakeTestEvent``."""
    event = {
        "id": event_id,
        "processed": False,
        "created": int(now.timestamp() * 1000),
        "type": TYPE,
        "live": False,
        "data": {"note": "Made by Licensing Integration to try the connection. It concerns no account."},
    }
    body = json.dumps({"events": [event]}).encode()
    return Delivery(body=body, headers={"content-type": "application/json", HEADER: sign(body, secret)})
