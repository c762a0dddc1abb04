"""What a pretend FastSpring shop does before it completes an order: it asks for the license keys of each product."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from licensing_integration.sandbox.fastspring import Event

CONTENT_TYPE = "application/x-www-form-urlencoded; charset=UTF-8"


def signed(parameters: Mapping[str, str], *, private_key: str) -> dict[str, str]:
    """The parameters with their ``security_request_hash``."""
    text = "".join(parameters[name] for name in sorted(parameters)) + private_key
    made = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return {**parameters, "security_request_hash": made}


def key_request(
    order: Event, *, private_key: str, line: int = 0, subscription: str | None = None, **custom: str
) -> str:
    """The form in which FastSpring asks for the keys of one line of an order that it is about to complete.

    ``subscription``: its id, where the merchant has it sent. ``custom``: the merchant's own pairs; they may replace
    FastSpring's.
    """
    data, item = order["data"], order["data"]["items"][line]
    customer = data["customer"]
    parameters = {
        "name": f"{customer['first']} {customer['last']}",
        "email": customer["email"],
        "company": customer["company"] or "",
        "product": item["product"],
        "quantity": str(item["quantity"]),
        "reference": data["reference"],
        "referrer": "",
        **({"subscription": subscription} if subscription is not None else {}),
        **({} if data["live"] else {"test": "true"}),
        **custom,
    }
    return urlencode(signed(parameters, private_key=private_key))


def show_keys(order: Event, keys: Sequence[str], *, line: int = 0) -> Event:
    """The order as it is completed, with the keys that the buyer was shown in it."""
    item: dict[str, Any] = order["data"]["items"][line]
    shown = [{"license": key, "display": "License Key", "type": "license"} for key in keys]
    item["fulfillments"] = {f"{item['product']}_license_0": shown, "instructions": "<p>Thank you.</p>"}
    return order
