"""What a new purchase would get by a mapping that nobody has saved yet. Nothing is sent, and nothing is kept."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final

from django.db.models import CharField, Q, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone

from licensing_integration import conf
from licensing_integration.domain.effects import is_wanted
from licensing_integration.domain.facts import NoteFact, PreparationFact, PurchaseFact, SubscriptionFact
from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.outcomes import PolicyPreset
from licensing_integration.domain.samples import Sample, SampleKind
from licensing_integration.domain.terms import Policies, Terms
from licensing_integration.exceptions import LicensingIntegrationError
from licensing_integration.license_servers.base import PlannedCall
from licensing_integration.models import (
    HistoryEntry,
    LicenseLink,
    LicensingUser,
    ProductMapping,
    Purchase,
    PurchaseAlias,
    PurchaseItem,
    WebhookEvent,
)
from licensing_integration.services import mapping_versions, preparations
from licensing_integration.services.codec import from_json
from licensing_integration.services.connections import adapter_of, backend_of, store_config
from licensing_integration.services.plan import plan_event
from licensing_integration.services.purchases import ORDER_ALIAS, lock_orders, of_orders
from licensing_integration.services.rehearsal import Busy, undone
from licensing_integration.services.terms import effective_policies
from licensing_integration.services.translate import translate_as_stored

MOST_SHOWN: Final = 20
"""Licenses shown of one purchase; those of the other units look the same."""

MOST_EVENTS: Final = 20
LATEST_ITEMS: Final = 5_000  # items by product have no index of their own, but for those that wait
# What a mapping may say of them; how long a prepared license waits for its order is no mapping's business.
_POLICIES: Final = tuple(policy.name for policy in fields(Policies) if policy.name != "prepared_hours")
_MAPPED: Final = "product mapping"
_HIDDEN: Final = Concat(Value("hidden "), Cast("pk", CharField()))  # a name that nothing speaks of
_PRESETS: Final = {PolicyPreset.CRYPTLEX: "Cryptlex's guide", PolicyPreset.LICENSESPRING: "LicenseSpring's guide"}


@dataclass(frozen=True, kw_only=True)
class RehearsedValue:
    """A value and where it came from, such as ``product mapping`` or ``the store's default``."""

    label: str
    value: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class RehearsedLicense:
    """One license as it would be. ``link`` is the slot, with its item, of a row that does not exist. ``requests``: what
    would be sent for it, in this order. ``notes``: what the license server cannot do, and why nothing is sent if
    nothing is. ``policies``: what would happen to it later."""

    link: LicenseLink
    requests: tuple[PlannedCall, ...] = ()
    notes: tuple[str, ...] = ()
    policies: tuple[RehearsedValue, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """``story``: what the event says, as it would stand in the history. ``problems``: what keeps the purchase waiting,
    or why there is no license. ``more``: licenses that are not shown."""

    licenses: tuple[RehearsedLicense, ...] = ()
    problems: tuple[str, ...] = ()
    story: tuple[str, ...] = ()
    more: int = 0


def samples_of(store: str) -> Sequence[SampleKind]:
    """The kinds of sample the store offers; none for a store that is configured no more."""
    return adapter_of(store).samples if conf.store(store) else ()


def events_of_product(store: str, product: str) -> list[WebhookEvent]:
    """The newest events of late or waiting purchases of this product, newest first, without their bodies."""
    is_product = Q(product=product) | Q(variant=product)
    last_looked_at = PurchaseItem.objects.order_by("-id").values_list("pk", flat=True)[LATEST_ITEMS - 1 : LATEST_ITEMS]
    recent = PurchaseItem.objects.filter(is_product, store=store, pk__gte=last_looked_at.first() or 0)
    waiting = PurchaseItem.objects.filter(~Q(problem="") | Q(terms__isnull=True), store=store, product=product)
    purchases = {
        purchase_id
        for rows in (recent, waiting)
        for purchase_id in rows.order_by("-id").values_list("purchase_id", flat=True)[:MOST_EVENTS]
    }
    entries = HistoryEntry.objects.filter(purchase_id__in=purchases, event__isnull=False, link=None).order_by("-id")
    ids = list(dict.fromkeys(entries.values_list("event_id", flat=True)[: 3 * MOST_EVENTS]))[:MOST_EVENTS]
    return list(WebhookEvent.objects.filter(pk__in=ids).defer("body", "fetched").order_by("-id"))


def rehearse(mapping: ProductMapping, *, event: WebhookEvent | None = None, sample: Sample | None = None) -> Rehearsal:
    """What a purchase like this would get today, if it were new and ``mapping`` (unsaved) counted.

    Either ``event``, a stored one of the mapping's store, or ``sample``. The store is not asked, nor is any license
    server; what only their answers tell is marked in the requests.
    """
    try:
        with undone():
            return _rehearse(mapping, _first_event(mapping, event=event, sample=sample))
    except Busy:
        return Rehearsal(problems=("Somebody is working on that purchase just now. Try again in a moment.",))
    except LicensingIntegrationError as error:
        return Rehearsal(problems=(str(error),))


# --- the purchase that never was -------------------------------------------------------------------------------------


def _first_event(mapping: ProductMapping, *, event: WebhookEvent | None, sample: Sample | None) -> WebhookEvent:
    """An event like ``event`` or ``sample`` that nobody has heard of."""
    store_config(mapping.store)
    if event is not None:
        copied = {name: getattr(event, name) for name in ("event_type", "is_live", "occurred_at", "body", "fetched")}
        return _new_event(mapping.store, **copied)
    build = adapter_of(mapping.store).build_sample
    if build is None or sample is None:
        raise ValueError("a rehearsal needs an event, or a sample of a store that offers them")
    made = build(sample, timezone.now())
    told = made.event
    return _new_event(
        mapping.store,
        event_type=told.event_type,
        is_live=told.is_live,
        occurred_at=told.occurred_at,
        body=told.body,
        fetched=made.fetched,
    )


def _new_event(
    store: str,
    *,
    event_type: str,
    is_live: bool,
    occurred_at: datetime | None,
    body: str,
    fetched: Mapping[str, object] | None,
) -> WebhookEvent:
    return WebhookEvent(
        store=store,
        external_id=f"rehearsal/{uuid.uuid4()}",
        event_type=event_type,
        is_live=is_live,
        occurred_at=occurred_at,
        body=body,
        fetched=fetched,
    )


def _rehearse(mapping: ProductMapping, event: WebhookEvent) -> Rehearsal:
    """The purchase is planned for real, so what is told is what planning does; ``undone`` forgets it."""
    facts = translate_as_stored(event)
    _hide_known(event.store, facts)
    others = ProductMapping.objects.filter(store=mapping.store, store_product=mapping.store_product)
    others.exclude(pk=mapping.pk).update(store_product=_HIDDEN)
    copy.copy(mapping).save()  # what is given stays unsaved
    event.save()
    plan_event(event, facts)
    entries = HistoryEntry.objects.filter(event=event).order_by("id")
    purchases = {entry.purchase_id for entry in entries}
    items = list(PurchaseItem.objects.filter(purchase_id__in=purchases).select_related("purchase"))
    links = LicenseLink.objects.filter(cause=event, external_id="").order_by("id")
    licenses = _licenses(links.select_related("item__mapping", "purchase")[:MOST_SHOWN])
    return Rehearsal(
        licenses=licenses,
        problems=tuple(_problems(mapping, items, has_license=bool(licenses))),
        story=tuple(entry.sentence for entry in entries if entry.kind.startswith("event.")),
        more=max(links.count() - MOST_SHOWN, 0),
    )


def _hide_known(store: str, facts: Sequence[PurchaseFact]) -> None:
    """Every purchase the facts speak of goes by another name, so that they speak of a new one."""
    names = preparations.names_of(facts, has_several_names=True, by_reference=True)
    names |= {fact.subscription_id for fact in facts if isinstance(fact, SubscriptionFact | PreparationFact)}
    names |= {fact.purchase_id for fact in facts if isinstance(fact, NoteFact)}
    names.discard("")
    lock_orders(store, names)
    rows = Purchase.objects.filter(store=store)
    references = PurchaseAlias.objects.filter(
        store=store, kind__in=[ORDER_ALIAS, preparations.REFERENCE_ALIAS], value__in=names
    )
    known = {
        *rows.filter(external_id__in=names).values_list("pk", flat=True),
        *rows.filter(reference__in=names).values_list("pk", flat=True),
        *of_orders(store, names).values_list("pk", flat=True),
        *references.values_list("purchase_id", flat=True),
    }
    Purchase.objects.filter(pk__in=known).update(external_id=_HIDDEN, reference="")
    PurchaseAlias.objects.filter(purchase_id__in=known).delete()


# --- what it would get -----------------------------------------------------------------------------------------------


def _licenses(links: Iterable[LicenseLink]) -> tuple[RehearsedLicense, ...]:
    met: set[tuple[str, str]] = set()  # users that an earlier license of the purchase has made known
    return tuple(_license(link, met) for link in links)


def _license(link: LicenseLink, met: set[tuple[str, str]]) -> RehearsedLicense:
    desired = from_json(link.desired, DesiredLicense)
    policies = tuple(_policies(link))
    if not is_wanted(desired):
        return RehearsedLicense(link=link, notes=(f"No license would be issued. {link.reason}",), policies=policies)
    user = (link.server, desired.customer.email)
    is_known = user in met or LicensingUser.objects.filter(server=user[0], email=user[1]).exists()
    met.add(user)
    try:
        backend = backend_of(link.server)
        requests = tuple(backend.planned_calls(desired, slot=link.reference, is_user_known=is_known))
        notes = (*_search_notes(link.server), *backend.unsupported(desired))
    except LicensingIntegrationError as error:
        requests, notes = (), (f"The license could not be issued: {error}",)
    return RehearsedLicense(link=link, requests=requests, notes=notes, policies=policies)


def _search_notes(server: str) -> tuple[str, ...]:
    config = conf.license_server(server)
    if config is None or config.adopt != "always":
        return ()
    return ("Before these requests the license server is searched for a license that somebody else made for it.",)


def _policies(link: LicenseLink) -> Iterable[RehearsedValue]:
    """What would happen to the license later, and who says so."""
    terms, mapping = from_json(link.item.terms, Terms), link.item.mapping
    effective = effective_policies(terms, mapping, stores_own=adapter_of(link.item.store).policies)
    default = _PRESETS[terms.preset] if terms.preset else "the store's default"
    for name in _POLICIES:
        mapped = getattr(mapping, name) if mapping else None
        yield RehearsedValue(
            label=mapping_versions.label_of(name),
            value=mapping_versions.in_words(name, getattr(effective, name)),
            origin=default if mapped in (None, "") else _MAPPED,
        )


def _problems(mapping: ProductMapping, items: Sequence[PurchaseItem], *, has_license: bool) -> Iterable[str]:
    """What waits and why; else why there is no license."""
    waiting = [f"{item.name} would wait: {item.problem}" for item in items if item.problem]
    if waiting or has_license:
        return waiting
    products = {name for item in items for name in (item.product, item.variant) if name}
    if products and mapping.store_product not in products:
        return [f"The event speaks of {', '.join(sorted(products))}, not of {mapping.store_product}."]
    if products and not mapping.is_license_needed:
        return ["The mapping says that this product comes without a license."]
    return ["By itself, this event would make no license: it does not say that something was bought and paid for."]
