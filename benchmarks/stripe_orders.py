"""Orders by Stripe Checkout for the load generator, alternately of a one-time product and of a subscription.

A one-time order is one delivery, a subscription two: its session and its first invoice, because Stripe sends one event
at a time. The product is named by metadata, as without an API key. The pretend shop makes the three bodies once; a new
order costs a few replacements and its signatures.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from benchmarks.orders import ATTRIBUTES
from licensing_integration.sandbox.fastspring import Buyer
from licensing_integration.sandbox.stripe import StripeShop, delivery, sign
from licensing_integration.sandbox.stripe_account import Event, Object
from licensing_integration.sandbox.stripe_steps import Line

SECRET: Final = "whsec_benchmark"
METADATA: Final = {
    "CRYPTLEX_PRODUCT_ID": ATTRIBUTES["cryptlex_product_id"],
    "CRYPTLEX_LICENSE_TEMPLATE": ATTRIBUTES["cryptlex_license_template_id"],
}

_BUYER = "buyer-" + "B" * 16
_PARTS = 3  # deliveries of two orders


@dataclass(frozen=True, kw_only=True)
class _Template:
    """A body, and which bytes of it become an id of the order: each the old id with the prefix of the new one."""

    body: bytes
    ids: Mapping[str, str]
    order_prefix: str

    def filled(self, unique: str) -> bytes:
        body = self.body.replace(_BUYER.encode(), f"buyer-{unique}".encode())
        for old, prefix in self.ids.items():
            body = body.replace(old.encode(), f"{prefix}{unique}".encode())
        return body


@dataclass(frozen=True, kw_only=True)
class StripeBook:
    """``count`` orders under one ``run`` name, an even number; each has a buyer of its own.

    The times in the templates are those of their making: make a book right before its orders are posted.
    """

    run: str
    templates: tuple[_Template, ...]
    count: int

    @property
    def deliveries(self) -> int:
        return _PARTS * self.count // 2

    def order_id(self, number: int) -> str:
        return self._template(number).order_prefix + self._unique(number)

    def request(self, number: int) -> bytes:
        body = self._template(number).filled(self._unique(number))
        signature = sign(body, secret=SECRET, at=datetime.now(UTC))
        head = (
            "POST /webhooks/stripe/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json; charset=utf-8\r\n"
            f"Stripe-Signature: {signature}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def _template(self, number: int) -> _Template:
        return self.templates[number % _PARTS]

    def _unique(self, number: int) -> str:
        """The deliveries of one order share it."""
        order = 2 * (number // _PARTS) + min(1, number % _PARTS)
        return f"{self.run}{order:014d}"


def new_stripe_book(count: int) -> StripeBook:
    """Orders nobody has seen before."""
    shop = StripeShop(seed="benchmark")
    shop.add_product("Photon Editor", product_id="prod_photon")
    once, monthly = shop.add_price("prod_photon"), shop.add_price("prod_photon", interval="month")
    buyer = Buyer(email=f"{_BUYER}@example.com", company="Northlight Media Ltd")
    _, (bought,) = shop.buy(buyer, Line(price=once["id"]), metadata=METADATA)
    _, (_created, subscribed, paid) = shop.subscribe(
        buyer, Line(price=monthly["id"]), metadata=METADATA, subscription_metadata=METADATA
    )
    subscription = next(iter(shop.subscriptions.values()))
    templates = (
        _template(bought, prefix="cs_live_"),
        _template(subscribed, subscription=subscription, prefix="sub_"),
        _template(paid, subscription=subscription, prefix="sub_"),
    )
    return StripeBook(run=secrets.token_hex(4), templates=templates, count=count)


def _template(event: Event, *, prefix: str, subscription: Object | None = None) -> _Template:
    told = event["data"]["object"]
    is_session = told["object"] == "checkout.session"
    ids = {event["id"]: f"evt_{'s' if is_session else 'i'}"}
    if is_session:
        ids[told["id"]] = "cs_live_"
    if subscription is not None:
        item = subscription["items"]["data"][0]["id"]
        ids |= {subscription["id"]: "sub_", item: "si_", subscription["latest_invoice"]: "in_"}
    for name, new in (("customer", "cus_"), ("payment_intent", "pi_")):
        if told.get(name):
            ids[told[name]] = new
    return _Template(body=delivery(event), ids=ids, order_prefix=prefix)
