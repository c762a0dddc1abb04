"""Real rows to make many of: purchases of two stores, sold by the pretend shops and licensed by the product itself.

Nothing of them stays in the database. What tells one purchase from another is replaced by marks, for which the
generator puts the ids of each row it makes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import transaction

from benchmarks.orders import SECRET, filler
from benchmarks.stripe_orders import METADATA
from benchmarks.stripe_orders import SECRET as STRIPE_SECRET
from licensing_integration.models import (
    HistoryEntry,
    LicenseLink,
    MappingVersion,
    ProductMapping,
    Purchase,
    PurchaseItem,
    WebhookEvent,
)
from licensing_integration.sandbox import fastspring, stripe
from licensing_integration.sandbox.fastspring import Buyer, FastSpringShop
from licensing_integration.sandbox.stripe import StripeShop
from licensing_integration.sandbox.stripe_steps import Line
from licensing_integration.services import pipeline
from licensing_integration.services.catalog import save_mapping
from licensing_integration.services.receive import receive

BODY_BYTES: Final = 3_000
_BUYER: Final = Buyer(email="buyer.of.samples@example.com", company="Northlight Media Ltd")
_PRODUCT: Final = "sampled-product"
_STRIPE_PRODUCT: Final = "prod_sampled"
_NOTHING_TO_US: Final = "mailingListEntry.updated"


@dataclass(frozen=True, kw_only=True)
class SampleEvent:
    """``role``: "first" begins a purchase, "later" goes on with it, "ignored" means nothing. ``headers``: JSON."""

    role: str
    event_type: str
    body: str
    headers: str | None


@dataclass(frozen=True, kw_only=True)
class SampleEntry:
    """What the history says of an event in this ``role``. ``changes`` and ``calls``: JSON."""

    role: str
    is_of_license: bool
    kind: str
    sentence: str
    changes: str
    calls: str | None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One purchase and what hangs on it. ``columns``: texts, of JSON columns their JSON, by ``table_column``."""

    store: str
    kind: str
    events: Sequence[SampleEvent]
    entries: Sequence[SampleEntry]
    columns: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """``mapping_values``: those of a saved version of a mapping."""

    purchases: Sequence[Sample]
    mapping_values: Mapping[str, Any]


def make_samples() -> Samples:
    """An order and a subscription of each store: sell them, read what became of them, take it all back.

    Wants a sandbox license server behind ``cryptlex`` and both stores in the settings.
    """
    with _taken_back():
        for store, product in (("fastspring", _PRODUCT), ("stripe", _STRIPE_PRODUCT)):
            mapping = ProductMapping(store=store, store_product=product, product_id="prod-1", template_id="tmpl-1")
            save_mapping(mapping, user_id=None)
        ago = datetime.now(UTC) - timedelta(days=40)
        _sell_by_fastspring(ago)
        _sell_by_stripe(ago)
        purchases = Purchase.objects.order_by("store", "kind")
        return Samples(
            purchases=[_read(purchase) for purchase in purchases],
            mapping_values=MappingVersion.objects.latest("pk").values,
        )


@contextmanager
def _taken_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


# --- selling ---------------------------------------------------------------------------------------------------------


def _sell_by_fastspring(ago: datetime) -> None:
    now = ago
    shop = FastSpringShop(clock=lambda: now)
    bought = shop.buy(_BUYER, _PRODUCT)
    subscription, begun = shop.subscribe(_BUYER, _PRODUCT)
    for event in (bought, *begun):
        _post_fastspring(event)
    now += timedelta(days=31)
    _post_fastspring(shop.renew(subscription))


def _post_fastspring(event: fastspring.Event) -> None:
    """As long as events are in real life, which say much that means nothing to us."""
    event["data"]["tags"] = {"attribution": filler(max(1, BODY_BYTES - len(json.dumps(event))))}
    body = fastspring.delivery(event)
    receive("fastspring", body=body, headers={"x-fs-signature": fastspring.sign(body, secret=SECRET)})
    pipeline.drain_inbox()


def _sell_by_stripe(ago: datetime) -> None:
    now = ago
    shop = StripeShop(clock=lambda: now, enabled_events=None)
    shop.add_product("Sampled product", product_id=_STRIPE_PRODUCT)
    once, monthly = shop.add_price(_STRIPE_PRODUCT), shop.add_price(_STRIPE_PRODUCT, interval="month")
    _, bought = shop.buy(_BUYER, Line(price=once["id"]), metadata=METADATA)
    _, subscribed = shop.subscribe(_BUYER, Line(price=monthly["id"]))
    _post_stripe(bought)
    _post_stripe(subscribed)
    now += timedelta(days=31)
    _post_stripe(shop.renew(next(iter(shop.subscriptions))))


def _post_stripe(events: Sequence[stripe.Event]) -> None:
    for event in events:
        body = stripe.delivery(event)
        signature = stripe.sign(body, secret=STRIPE_SECRET, at=datetime.now(UTC))
        receive("stripe", body=body, headers={"stripe-signature": signature})
        pipeline.drain_inbox()


# --- reading ---------------------------------------------------------------------------------------------------------

# Of each purchase: the event it begins with, and one with which it goes on.
_ROLES: Final[Mapping[tuple[str, str], Mapping[str, str]]] = {
    ("fastspring", "order"): {"first": "order.completed"},
    ("fastspring", "subscription"): {"first": "order.completed", "later": "subscription.charge.completed"},
    ("stripe", "order"): {"first": "checkout.session.completed"},
    ("stripe", "subscription"): {"first": "checkout.session.completed", "later": "invoice.paid"},
}


def _read(purchase: Purchase) -> Sample:
    item, link = purchase.items.get(), purchase.links.get()
    marks = _marks(purchase, link)
    events = list(_events(purchase, marks))
    return Sample(
        store=purchase.store,
        kind=purchase.kind,
        events=events,
        entries=[entry for event in events for entry in _entries(purchase, event, marks)],
        columns={name: _marked(text, marks) for name, text in _columns(purchase, item, link).items()},
    )


def _columns(purchase: Purchase, item: PurchaseItem, link: LicenseLink) -> dict[str, str]:
    return {
        "state": json.dumps(purchase.state),
        "line": item.line,
        "attributes": json.dumps(item.attributes),
        "terms": json.dumps(item.terms),
        "reference": link.reference,
        "desired": json.dumps(link.desired),
        "observed": json.dumps(link.observed),
        "reason": link.reason,
    }


def _marks(purchase: Purchase, link: LicenseLink) -> dict[str, str]:
    """What is peculiar to this purchase → the mark in its place; longer texts first."""
    orders = purchase.aliases.filter(kind="order").order_by("id").values_list("value", flat=True)
    found = {
        purchase.external_id: "@PURCHASE@",
        **{order: f"@ORDER@{number}" for number, order in enumerate(orders)},
        _BUYER.email: "@EMAIL@",
        _PRODUCT: "@PRODUCT@",
        _STRIPE_PRODUCT: "@PRODUCT@",
        link.external_id: "@LICENSE@",
        link.key: "@KEY@",
        link.desired["customer"].get("external_id", ""): "@CUSTOMER@",
    }
    return {text: found[text] for text in sorted(found, key=len, reverse=True) if text}


def _marked(text: str, marks: Mapping[str, str]) -> str:
    for found, mark in marks.items():
        text = text.replace(found, mark)
    return text


def _events(purchase: Purchase, marks: Mapping[str, str]) -> Iterator[SampleEvent]:
    told = WebhookEvent.objects.filter(history__purchase=purchase).order_by("id")
    for role, event_type in _ROLES[purchase.store, purchase.kind].items():
        event = told.filter(event_type=event_type).distinct().latest("id")
        yield _event(event, role, marks)
        if role == "first":
            yield _event(event, "ignored", marks, event_type=_NOTHING_TO_US)


def _event(event: WebhookEvent, role: str, marks: Mapping[str, str], *, event_type: str = "") -> SampleEvent:
    body = event.body.replace(event.external_id, "@EVENT@").replace(event.event_type, event_type or event.event_type)
    return SampleEvent(
        role=role,
        event_type=event_type or event.event_type,
        body=_marked(body, marks),
        headers=None if event.headers is None else json.dumps(event.headers),
    )


def _entries(purchase: Purchase, event: SampleEvent, marks: Mapping[str, str]) -> Iterator[SampleEntry]:
    told = HistoryEntry.objects.filter(purchase=purchase, event__event_type=event.event_type)
    for is_of_license in (False, True):
        entry = told.filter(link__isnull=not is_of_license).order_by("id").last()
        if entry is not None:
            yield SampleEntry(
                role=event.role,
                is_of_license=is_of_license,
                kind=entry.kind,
                sentence=_marked(entry.sentence, marks),
                changes=json.dumps(entry.changes),
                calls=None if entry.calls is None else _marked(json.dumps(entry.calls), marks),
            )
