"""Orders for the load generator: signed FastSpring deliveries of about 10 kB, each with ids and a buyer of its own.

One delivery is made by the sandbox's shop and kept as a template; a new order costs three replacements and a signature,
so that making load costs far less than taking it.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any, Final, Protocol

from licensing_integration.sandbox.fastspring import Buyer, FastSpringShop, delivery, sign

SECRET: Final = "benchmark-webhook-secret"
BODY_BYTES: Final = 10_000
ATTRIBUTES: Final = {"cryptlex_product_id": "benchmark-product", "cryptlex_license_template_id": "benchmark-template"}

_EVENT_ID, _ORDER_ID, _BUYER = "EVB" + "E" * 27, "O" * 22, "buyer-" + "B" * 16


class Book(Protocol):
    """Orders to post, under one ``run`` name. An order is one delivery or several, and becomes one license."""

    @property
    def run(self) -> str: ...

    @property
    def count(self) -> int:
        """How many orders."""

    @property
    def deliveries(self) -> int:
        """How many requests."""

    def order_id(self, number: int) -> str:
        """The purchase a delivery speaks of."""

    def request(self, number: int) -> bytes:
        """The whole HTTP request of a delivery."""


@dataclass(frozen=True, kw_only=True)
class OrderBook:
    """``count`` orders under one ``run`` name. Few ``buyers`` make known customers, ``None`` gives each order its own.

    The times in the template are those of its making: make a book right before its orders are posted.
    """

    run: str
    template: bytes
    count: int
    buyers: int | None = None

    @property
    def deliveries(self) -> int:
        return self.count

    def order_id(self, number: int) -> str:
        return f"{self.run}{number:014d}"

    def request(self, number: int) -> bytes:
        buyer = number % self.buyers if self.buyers else number
        body = (
            self.template.replace(_EVENT_ID.encode(), f"EVB{self.run}{number:019d}".encode())
            .replace(_ORDER_ID.encode(), self.order_id(number).encode())
            .replace(_BUYER.encode(), f"buyer-{self.run}{buyer:08d}".encode())
        )
        head = (
            "POST /webhooks/fastspring/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"X-FS-Signature: {sign(body, secret=SECRET)}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def new_book(count: int, *, quantity: int = 1, run: str = "", buyers: int | None = None) -> OrderBook:
    """Orders nobody has seen before; ``run`` (8 characters) repeats the buyers of an earlier book."""
    return OrderBook(run=run or secrets.token_hex(4), template=_template(quantity), count=count, buyers=buyers)


def sample_event_text() -> str:
    """The JSON text of one event, as it is stored."""
    return _template(1).decode()[len('{"events":[') : -len("]}")]


def _template(quantity: int) -> bytes:
    shop = FastSpringShop()
    buyer = Buyer(email=f"{_BUYER}@example.com", company="Northlight Media Ltd")
    line = shop.item("photon-editor", quantity=quantity, attributes=ATTRIBUTES, **_amounts("proratedItem"))
    event = shop.order(buyer, line, order_id=_ORDER_ID)
    event["id"] = _EVENT_ID
    event["data"] |= _order_members(event["data"])
    short = len(delivery(event))
    event["data"]["tags"] = {"attribution": filler(BODY_BYTES - short - len('"tags":{"attribution":""},'))}
    return delivery(event)


def _order_members(order: dict[str, Any]) -> dict[str, Any]:
    """What an expanded order has besides the members that mean something to us."""
    address = {"country": "US", "city": "Portland", "postal code": "97201", "region": "US-OR", "address line 1": None}
    recipient = {**order["customer"], "account": order["account"], "address": address}
    return {
        "invoiceUrl": f"https://acme.onfastspring.com/account/order/{_ORDER_ID}/invoice/IVX5AAHFBO4KVUGEDRTSH5ZORNQW",
        "payment": {"type": "creditcard", "creditcard": "visa", "cardEnding": "4242"},
        "billDescriptor": "FS* fsprg.com",
        "address": address,
        "recipients": [{"recipient": recipient}],
        **_amounts("order"),
    }


def _amounts(prefix: str) -> dict[str, Any]:
    """FastSpring writes every amount four times."""
    names = ("Total", "Tax", "Subtotal", "Discount", "DiscountWithTax", "CreditAmount", "ChangeAmount")
    amounts: dict[str, Any] = {}
    for name in names:
        for currency in ("", "InPayoutCurrency"):
            amounts |= {f"{prefix}{name}{currency}": 79.0, f"{prefix}{name}{currency}Display": "$79.00"}
    return amounts


def filler(length: int) -> str:
    """Text that compresses about as badly as ids and addresses do; the same in every run."""
    parts = (hashlib.sha256(str(number).encode()).hexdigest() for number in range(length // 64 + 1))
    return "".join(parts)[:length]
