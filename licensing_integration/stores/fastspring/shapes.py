"""FastSpring's objects, read into our values.

With "Enable webhook expansion" a reference to another object holds the object, without it (and in many places even
with it) only its id, so every reader here takes both. Beside the ids every field may be missing. Wire facts:
https://developer.fastspring.com/reference/webhook-expansion and the pages of the single events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from licensing_integration.domain.facts import Customer, ItemFact, Subscription
from licensing_integration.domain.outcomes import PurchaseStatus
from licensing_integration.exceptions import MalformedPayload
from licensing_integration.stores.payload import IDENTIFIER_LENGTH, Payload

# https://developer.fastspring.com/reference/subscriptions-1; "paused" is not on that page but sent all the same.
STATES: Final = MappingProxyType(
    {
        "active": PurchaseStatus.ACTIVE,
        "trial": PurchaseStatus.TRIAL,
        "overdue": PurchaseStatus.OVERDUE,
        "paused": PurchaseStatus.PAUSED,
        "canceled": PurchaseStatus.CANCELED,  # will not renew; usable until it is deactivated
        "deactivated": PurchaseStatus.ENDED,
    }
)

INTERVAL_UNITS: Final = MappingProxyType({"day": "D", "week": "W", "month": "M", "year": "Y"})

# Under which names an object carries its own id, by the key it is found under.
ID_NAMES: Final = MappingProxyType(
    {
        "account": ("id", "account"),
        "initialOrderId": ("id", "order"),
        "order": ("id", "order"),
        "parentSubscription": ("id", "subscription"),
        "product": ("product",),
        "subscription": ("id", "subscription"),
    }
)


MAX_EMAIL: Final = 254  # RFC 5321: a path of 256 with its angle brackets


@dataclass(frozen=True, kw_only=True)
class Head:
    """What every fact of an event begins with."""

    occurred_at: datetime
    is_live: bool


def read_head(event: Payload) -> Head:
    return Head(occurred_at=occurred_at(event), is_live=is_live(event))


def occurred_at(event: Payload) -> datetime:
    """When FastSpring created the event; a redelivery keeps it, a manual resend does not."""
    return event.epoch_ms("created")


def is_live(event: Payload) -> bool:
    """False for test orders. The envelope says it for every type; an event that nowhere says it counts as live."""
    if event.has("live"):
        return event.boolean("live")
    data = event.get("data")
    return data.boolean("live", default=True) if data is not None and data.is_mapping else True


def linked_id(parent: Payload, key: str) -> str:
    """The id of the object that ``parent`` refers to under ``key``; empty if it refers to none."""
    child = parent.get(key)
    if child is None:
        return ""
    return child.identifier(*ID_NAMES[key]) if child.is_mapping else child.as_identifier()


def required_id(parent: Payload, key: str) -> str:
    """The id of the object that ``parent`` has to refer to under ``key``."""
    parent.require(key)
    return linked_id(parent, key)


def find_subscription(parent: Payload, *, subscription_id: str) -> Payload | None:
    """The subscription object under ``parent.subscription``, else the one ``enrich`` fetched."""
    child = parent.get("subscription")
    if child is not None and is_whole_subscription(child):
        return child
    return parent.fetched("subscriptions", subscription_id)


def is_whole_subscription(subscription: Payload) -> bool:
    """Whether this is the object and not merely its id."""
    return subscription.is_mapping and (subscription.has("state") or subscription.has("active"))


# Customers


def read_buyer(order: Payload) -> Customer:
    """The person to be licensed: who typed the checkout, else the first recipient, else the account's owner.

    The first of them that has an e-mail address; what stands behind it is not looked at, so it can do no harm.
    """
    account_id = linked_id(order, "account")
    best = None
    for contact in _contacts(order):
        customer = _read_contact(contact, account_id=account_id)
        if customer.email:
            return customer
        best = best or customer
    return best or Customer(external_id=account_id)


def read_payer(charge: Payload) -> Customer | None:
    """Who pays for a subscription: the account's owner, else who typed the checkout."""
    owner, order = read_account_owner(charge), charge.get("order")
    if owner is None and order is not None and order.is_mapping and order.has("customer"):
        return read_buyer(order)
    return owner


def read_account_owner(parent: Payload) -> Customer | None:
    """Who owns ``parent.account``, when the payload or ``enrich`` has more of it than the id."""
    contact = _account_contact(parent)
    return None if contact is None else _read_contact(contact, account_id=linked_id(parent, "account"))


def _contacts(order: Payload) -> Iterator[Payload]:
    if (customer := order.get("customer")) is not None:
        yield customer
    for entry in order.items("recipients")[:1]:
        if (recipient := entry.get("recipient")) is not None:
            yield recipient
    if (contact := _account_contact(order)) is not None:
        yield contact


def _account_contact(parent: Payload) -> Payload | None:
    account = parent.get("account")
    if account is None:
        return None
    if not (account.is_mapping and account.has("contact")):
        account = parent.fetched("accounts", linked_id(parent, "account"))
    return None if account is None else account.get("contact")


def _read_email(contact: Payload) -> str:
    """Lower-case. What is longer than any address counts as none: the sale goes on, for a license without user."""
    email = contact.text("email", default="").strip().lower()
    return email if len(email) <= MAX_EMAIL else ""


def _read_contact(contact: Payload, *, account_id: str) -> Customer:
    return Customer(
        email=_read_email(contact),
        first_name=contact.text("first", default="").strip(),
        last_name=contact.text("last", default="").strip(),
        company=contact.text("company", default="").strip(),
        external_id=account_id,
    )


# Order lines


def read_reference(parent: Payload, key: str) -> str:
    """An order reference, for people; absent on orders that were never completed."""
    return parent.text(key, default="").strip()[:IDENTIFIER_LENGTH]


def read_item(item: Payload, *, line: str, order_id: str) -> ItemFact:
    return ItemFact(
        line=line,
        product=required_id(item, "product"),
        quantity=item.integer("quantity", minimum=0),
        display=read_display(item),
        attributes=item.strings("attributes"),
        order_id=order_id,
        subtotal=item.number("subtotal", default=None),
        driver=read_driver(item),
    )


def read_given_keys(item: Payload) -> tuple[str, ...]:
    """The license keys FastSpring has shown the buyer for a line.

    ``fulfillments`` holds lists, of files or of licenses, and the text ``instructions``; one key is one entry, or one
    line of it. What reads otherwise holds none.
    """
    fulfillments = item.get("fulfillments")
    if fulfillments is None or not fulfillments.is_mapping:
        return ()
    lists = [value for value in fulfillments.mapping.values() if value.is_list]
    entries = [entry for value in lists for entry in value.elements if entry.is_mapping]
    texts = [entry.raw.get("license") for entry in entries if entry.raw.get("type") == "license"]
    keys = [line.strip() for text in texts if isinstance(text, str) for line in text.splitlines()]
    return tuple(dict.fromkeys(filter(None, keys)))


def read_driver(item: Payload) -> str:
    """``bundle:<path>`` or ``addon:<path>``. Other drivers (``cross-sell``, ``configuration`` …) are marketing."""
    driver = item.get("driver")
    if driver is None or not driver.is_mapping:
        return ""
    kind = driver.text("type", default="")
    return f"{kind}:{driver.text('path', default='')}" if kind in {"bundle", "addon"} else ""


def is_add_on(item: Payload) -> bool:
    """An add-on of a subscription. ``isAddon`` does not tell: it stands on ordinary products too."""
    return read_driver(item).startswith("addon:") and item.has("parentSubscription")


def read_display(named: Payload) -> str:
    """The name for people; a product object has it by language."""
    display = named.get("display")
    if display is None:
        return ""
    if display.is_mapping:
        return display.text("en", default="")
    return display.as_text()


# Subscriptions


def read_subscription(subscription: Payload, *, line: ItemFact | None = None) -> Subscription:
    """A snapshot. ``line`` is the order line that bought it and supplies what the object lacks."""
    product = linked_id(subscription, "product") or (line.product if line else "")
    begin = subscription.epoch_ms("begin", default=None)
    return Subscription(
        status=read_status(subscription),
        paid_through=subscription.epoch_ms("next", default=None),
        ends_at=_ends_at(subscription),
        quantity=_quantity(subscription, line=line),
        product=product,
        attributes={**_attributes(subscription), **_session_attributes(line, product=product)},
        sequence=subscription.integer("sequence", default=None),
        begun_on=begin.date() if begin else None,
        interval=_interval(subscription),
        display=read_display(subscription) or (line.display if line else ""),
        add_ons=_add_ons(subscription),
    )


def _add_ons(subscription: Payload) -> tuple[str, ...] | None:
    """The products of its add-ons. That list is believed to exist, in a shape that no page documents: one that reads
    otherwise counts as not told."""
    try:
        listed = subscription.get("addons")
        return None if listed is None else tuple(sorted({required_id(entry, "product") for entry in listed.elements}))
    except MalformedPayload:
        return None


def _session_attributes(line: ItemFact | None, *, product: str) -> Mapping[str, str]:
    """An order line also has the attributes its checkout session set. Once the subscription has moved to another
    product (the order was resent later) they no longer apply."""
    return line.attributes if line is not None and line.product == product else {}


def read_status(subscription: Payload) -> PurchaseStatus:
    """``active: false`` appears only after deactivation and outranks the state."""
    if not subscription.boolean("active", default=True):
        return PurchaseStatus.ENDED
    status = STATES.get(subscription.text("state").strip().lower())
    if status is None:
        raise subscription.require("state").malformed("a subscription state we do not know")
    if status is PurchaseStatus.ACTIVE and _is_in_trial(subscription):
        return PurchaseStatus.TRIAL
    return status


def _is_in_trial(subscription: Payload) -> bool:
    """Whether the current price segment is a trial: the last one that begins before the next charge.

    Told by dates inside the object, so that the answer stays the same in a year; a price of zero tells nothing.
    """
    segments = subscription.items("instructions")
    next_charge = subscription.epoch_ms("next", default=None)
    if next_charge is None:
        return any(_is_trial_segment(segment) for segment in segments[:1])
    begun = [segment for segment in segments if _begins_before(segment, next_charge)]
    return any(_is_trial_segment(segment) for segment in begun[-1:])


def _begins_before(segment: Payload, moment: datetime) -> bool:
    start = segment.epoch_ms("periodStartDate", default=None)
    return start is None or start < moment


def _is_trial_segment(segment: Payload) -> bool:
    return segment.text("type", default="").lower() == "trial" or not segment.boolean("isNotTrial", default=True)


def _ends_at(subscription: Payload) -> datetime | None:
    """The day access ends; ``end`` alone says when the last charge is."""
    return subscription.epoch_ms("deactivationDate", default=None) or subscription.epoch_ms("end", default=None)


def _quantity(subscription: Payload, *, line: ItemFact | None) -> int:
    if line is not None and not subscription.has("quantity"):
        return line.quantity
    return subscription.integer("quantity", minimum=0)


def _attributes(subscription: Payload) -> Mapping[str, str]:
    """The copy of the product's attributes, else the expanded product's own."""
    product = subscription.get("product")
    if not subscription.has("attributes") and product is not None and product.is_mapping:
        return product.strings("attributes")
    return subscription.strings("attributes")


def _interval(subscription: Payload) -> str:
    """ISO 8601. Subscriptions billed on demand have no period."""
    unit = INTERVAL_UNITS.get(subscription.text("intervalUnit", default="").lower())
    length = subscription.integer("intervalLength", default=0)
    if unit is None or length <= 0 or subscription.boolean("adhoc", default=False):
        return ""
    return f"P{length}{unit}"
