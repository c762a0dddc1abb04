"""Stripe's objects, read into our values, whatever API version they were rendered in.

The version is fixed per webhook endpoint, so old and new shapes arrive side by side. Every value that moved with
version 2025-03-31.basil (subscription and prices of an invoice, period of a subscription) is read from its new place
first, then from its old one: https://docs.stripe.com/changelog/basil. Ids that can be expanded are text or an object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from licensing_integration.domain.facts import Customer
from licensing_integration.exceptions import UnsupportedEvent
from licensing_integration.stores.payload import IDENTIFIER_LENGTH, Payload

MAX_EMAIL: Final = 254  # RFC 5321: a path of 256 with its angle brackets
LONGEST_NAME: Final = 200

# https://docs.stripe.com/currencies: amounts are whole numbers of the smallest unit. UGX and ISK have no subunit, but
# Stripe counts them in hundredths all the same.
DECIMALS: Final[Mapping[str, int]] = MappingProxyType(
    {
        **dict.fromkeys(("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga"), 0),
        **dict.fromkeys(("pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"), 0),
        **dict.fromkeys(("bhd", "jod", "kwd", "omr", "tnd"), 3),
    }
)
USUAL_DECIMALS: Final = 2


@dataclass(frozen=True, kw_only=True)
class Head:
    """What every fact of an event begins with."""

    occurred_at: datetime
    is_live: bool


def read_head(event: Payload) -> Head:
    """Raises ``UnsupportedEvent`` for the event of a connected account: its objects are not ours to read."""
    if event.has("account"):
        raise UnsupportedEvent(
            "This event belongs to a connected account (Stripe Connect). Only the events of your own account are "
            "handled: let the webhook endpoint listen to 'Your account'."
        )
    return Head(occurred_at=occurred_at(event), is_live=is_live(event))


def occurred_at(event: Payload) -> datetime:
    """When Stripe created the event; every redelivery and manual resend keeps it. Thin events spell it as text."""
    created = event.require("created")
    if isinstance(created.raw, str) and "T" in created.raw:
        return _read_moment(created)
    return created.as_epoch_s()


def _read_moment(created: Payload) -> datetime:
    try:
        moment = datetime.fromisoformat(created.as_text().strip())
    except ValueError as error:
        raise created.malformed("not a time") from error
    if moment.tzinfo is None:
        raise created.malformed("a time without its zone")
    return Payload(int(moment.timestamp()), path=created.path).as_epoch_s()


def is_live(event: Payload) -> bool:
    """False in test mode and sandboxes. An event that does not say it counts as live."""
    return event.boolean("livemode", default=True)


def read_object(event: Payload) -> Payload:
    """The object the event is about, as it was when the event was created."""
    return event.require("data").require("object")


def previous_attributes(event: Payload) -> Payload | None:
    """The former values of what an ``*.updated`` event changed. For words only, never for state."""
    return event.require("data").get("previous_attributes")


def id_of(parent: Payload, key: str) -> str:
    """The id of the object ``parent`` refers to under ``key``, expanded or not; empty if it refers to none."""
    child = parent.get(key)
    if child is None:
        return ""
    return child.identifier("id") if child.is_mapping else child.as_identifier()


def expanded(parent: Payload, key: str) -> Payload | None:
    """The object under ``key`` if it is there as a whole, not merely as its id."""
    child = parent.get(key)
    return child if child is not None and child.is_mapping else None


def inside(parent: Payload, *keys: str) -> Payload | None:
    """The object at the end of a path of objects, ``None`` as soon as one of them is missing."""
    found: Payload | None = parent
    for key in keys:
        found = None if found is None else expanded(found, key)
    return found


def list_data(parent: Payload, key: str) -> tuple[Payload, ...]:
    """The elements of a Stripe list object (``{"object": "list", "data": [...]}``) under ``key``."""
    child = parent.get(key)
    if child is None:
        return ()
    return child.items("data") if child.is_mapping else child.elements


# Customers


def read_buyer(session: Payload) -> Customer:
    """Who filled in the checkout; what the shop had filled in before comes second."""
    details = expanded(session, "customer_details")
    customer_id = id_of(session, "customer")
    if details is None:
        return Customer(email=_read_email(session, "customer_email"), external_id=customer_id)
    return _customer(
        email=_read_email(details, "email") or _read_email(session, "customer_email"),
        name=_read_name(details, "individual_name") or _read_name(details, "name"),
        company=_read_name(details, "business_name"),
        external_id=customer_id,
    )


def read_payer(invoice: Payload) -> Customer:
    """Whom an invoice is addressed to, frozen when it was finalized."""
    return _customer(
        email=_read_email(invoice, "customer_email"),
        name=_read_name(invoice, "customer_name"),
        external_id=id_of(invoice, "customer"),
    )


def read_customer(customer: Payload) -> Customer:
    """A customer object. A deleted one has nothing but its id."""
    return _customer(
        email=_read_email(customer, "email"),
        name=_read_name(customer, "individual_name") or _read_name(customer, "name"),
        company=_read_name(customer, "business_name"),
        external_id=customer.identifier("id"),
    )


def read_linked_customer(parent: Payload) -> Customer | None:
    """The customer expanded under ``parent.customer``; ``None`` where only the id is known."""
    customer = expanded(parent, "customer")
    return None if customer is None else read_customer(customer)


def _customer(*, email: str, name: str, company: str = "", external_id: str = "") -> Customer:
    """Stripe has one name. Its last word goes where license servers want a family name; a company has none."""
    first_name, _, last_name = ("", "", name) if name == company else name.rpartition(" ")
    return Customer(
        email=email,
        first_name=first_name or last_name,
        last_name=last_name if first_name else "",
        company=company,
        external_id=external_id,
    )


def _read_email(parent: Payload, key: str) -> str:
    """Lower-case. What is longer than any address counts as none: the sale goes on, for a license without user."""
    email = parent.text(key, default="").strip().lower()
    return email if len(email) <= MAX_EMAIL else ""


def _read_name(parent: Payload, key: str) -> str:
    return " ".join(parent.text(key, default="").split())[:LONGEST_NAME].rstrip()


# Money and references


def read_currency(parent: Payload) -> str:
    return parent.text("currency", default="").strip().lower()


def in_major_units(amount: int, currency: str) -> float:
    """4900 of ``usd`` are 49.00, 4900 of ``jpy`` are 4900."""
    decimals = DECIMALS.get(currency, USUAL_DECIMALS)
    return round(amount / float(10**decimals), decimals)


def read_amount(parent: Payload, key: str) -> float | None:
    """The amount under ``key`` in major units of ``parent.currency``."""
    amount = parent.amount(key, default=None)
    return None if amount is None else in_major_units(amount, read_currency(parent))


def format_money(parent: Payload, key: str) -> str:
    """``147.00 USD``, for people."""
    amount, currency = read_amount(parent, key), read_currency(parent)
    if amount is None:
        return "an unknown amount"
    return f"{amount:.{DECIMALS.get(currency, USUAL_DECIMALS)}f} {currency.upper()}".rstrip()


def read_reference(session: Payload) -> str:
    """The shop's own number of the cart or order, for people."""
    return session.text("client_reference_id", default="").strip()[:IDENTIFIER_LENGTH]


# Subscriptions and their items


def subscription_of_invoice(invoice: Payload) -> str:
    """The subscription an invoice is for; empty for an invoice made by hand or by a one-time Checkout.

    Read from the invoice itself, then from its lines: never a constant, because every purchase is found by this id.
    """
    details = inside(invoice, "parent", "subscription_details")
    found = id_of(details, "subscription") if details is not None else ""
    return found or id_of(invoice, "subscription") or next(_subscriptions_of_lines(invoice), "")


def _subscriptions_of_lines(invoice: Payload) -> Iterator[str]:
    for line in list_data(invoice, "lines"):
        if subscription_id := subscription_of_line(line):
            yield subscription_id


def subscription_metadata_of_invoice(invoice: Payload) -> dict[str, str]:
    """The subscription's metadata as it was when the invoice was finalized."""
    details = inside(invoice, "parent", "subscription_details") or expanded(invoice, "subscription_details")
    return {} if details is None else details.strings("metadata")


def read_period(subscription: Payload, item: Payload) -> tuple[datetime | None, datetime | None]:
    """Begin and end of an item's current period, which older versions tell on the subscription."""
    home = item if item.has("current_period_end") else subscription
    return home.epoch_s("current_period_start", default=None), home.epoch_s("current_period_end", default=None)


def price_object(line: Payload) -> Payload | None:
    """The price (very old: plan) in a line item, subscription item or pre-basil invoice line."""
    return expanded(line, "price") or expanded(line, "plan")


def price_of(line: Payload) -> str:
    """The price id of a line item, a subscription item or an invoice line; empty if it has none."""
    details = inside(line, "pricing", "price_details")
    found = id_of(details, "price") if details is not None else ""
    return found or id_of(line, "price") or id_of(line, "plan")


def product_of(line: Payload) -> str:
    """The product id of a line item, a subscription item or an invoice line; empty if it has none."""
    details = inside(line, "pricing", "price_details")
    found = id_of(details, "product") if details is not None else ""
    price = price_object(line)
    return found or (id_of(price, "product") if price is not None else "")


# Invoice lines


def subscription_of_line(line: Payload) -> str:
    details = line_details(line)
    found = id_of(details, "subscription") if details is not None else ""
    return found or id_of(line, "subscription")


def line_details(line: Payload) -> Payload | None:
    """What a line came from, since basil: a subscription item, or an invoice item."""
    return inside(line, "parent", "subscription_item_details") or inside(line, "parent", "invoice_item_details")


def item_of_line(line: Payload) -> str:
    """The subscription item a line charges for; empty for a one-time line."""
    details = line_details(line)
    found = id_of(details, "subscription_item") if details is not None else ""
    return found or id_of(line, "subscription_item")


def is_proration(line: Payload) -> bool:
    """Whether a line pays for a change in the middle of a period. Both kinds of line can say so."""
    details = line_details(line)
    return (details is not None and details.boolean("proration", default=False)) or line.boolean(
        "proration", default=False
    )


def is_one_time(line: Payload) -> bool:
    """Whether a line was added by itself (an invoice item) rather than by a subscription."""
    return _line_kind(line) in {"invoice_item_details", "invoiceitem"}


def is_subscription_line(line: Payload) -> bool:
    """Whether a line charges for an item of a subscription."""
    return _line_kind(line) in {"subscription_item_details", "subscription"}


def _line_kind(line: Payload) -> str:
    parent = expanded(line, "parent")
    return line.text("type", default="") if parent is None else parent.text("type", default="")


def line_period(line: Payload) -> tuple[datetime | None, datetime | None]:
    """The service period of an invoice line, which the invoice's own period is not."""
    period = expanded(line, "period")
    if period is None:
        return None, None
    return period.epoch_s("start", default=None), period.epoch_s("end", default=None)
