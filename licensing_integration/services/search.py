"""Search: one box for e-mail, order, subscription, license key and event id. Exact matches on indexed columns only, so
it stays fast however large the tables grow."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from django.db.models import CharField, Q, QuerySet, Value
from django.db.models.functions import Right

from licensing_integration import conf
from licensing_integration.models import AuditEntry, HistoryEntry, LicenseLink, Purchase, PurchaseAlias, WebhookEvent

KEY_ENDING = 6  # how much of a key we show, and therefore what people paste
_KEY_GROUPS: Final = (4, 5, 6)  # characters between two dashes of a key

# Nobody reads further; an address with more purchases is found by order.
MOST_FOUND = 500


class Name(StrEnum):
    """By which of its names a row was found."""

    EMAIL = "e-mail address"
    STORE_ID = "order or subscription id"
    REFERENCE = "order reference"
    ALIAS = "another id of the order"
    KEY = "license key"
    LICENSE_ID = "license id"
    KEY_ENDING = "ending of the license key"
    EVENT_ID = "event id"


_OF_LINKS: Final = frozenset({Name.KEY, Name.LICENSE_ID, Name.KEY_ENDING})


@dataclass(frozen=True, kw_only=True)
class Hits:
    """The rows a term names itself: id → by which name."""

    purchases: Mapping[int, Name]
    links: Mapping[int, Name]
    events: Mapping[int, Name]

    @property
    def total(self) -> int:
        return len(self.purchases) + len(self.links) + len(self.events)


def find(term: str) -> Hits:
    """The rows that ``term`` names: an e-mail address, order id or reference, subscription id, license key (whole, or
    its last six characters or more), license id, or event id. One query."""
    term = clean(term)
    hits = Hits(purchases={}, links={}, events={})
    if not term or "\x00" in term:
        return hits
    first, *others = (_labeled(rows, name) for name, rows in _queries(term))
    for pk, found_by in first.union(*others, all=True):
        name = Name(found_by)
        kind = hits.events if name is Name.EVENT_ID else hits.links if name in _OF_LINKS else hits.purchases
        if len(kind) < MOST_FOUND:
            kind.setdefault(pk, name)  # type: ignore[attr-defined]  # it is filled here and nowhere else
    return hits


def clean(term: str) -> str:
    """What was meant by what was pasted: without the spaces around it, without the dots before the ending of a key
    or the # before the number of an order, and of ``Ava <ava@example.com>`` or ``mailto:ava@example.com?subject=…`` the
    address."""
    term = term.strip()
    if bracketed := re.search(r"<([^<>]*)>\s*$", term):
        term = bracketed[1]
    if term.lower().startswith("mailto:"):
        term = term[len("mailto:") :].partition("?")[0]
    return term.strip().lstrip("…#").removeprefix("...").strip()


def purchases_of(hits: Hits) -> frozenset[int]:
    """The purchases named, and those of the licenses and events named."""
    return _purchases_of_links(hits).union(hits.purchases, _purchases_of_events(hits))


def links_of(hits: Hits) -> frozenset[int]:
    """The licenses named, and those of the purchases and events named."""
    purchases = _purchases_of_events(hits).union(hits.purchases)
    rows = LicenseLink.objects.filter(purchase__in=purchases).order_by("-id")
    return _ids(rows.values_list("id")).union(hits.links)


def events_of(hits: Hits) -> frozenset[int]:
    """The events named, and those that touched the purchases named or the purchases of the licenses named."""
    return _events_of_purchases(_purchases_of_links(hits).union(hits.purchases)).union(hits.events)


def audit_entries_of(hits: Hits) -> frozenset[int]:
    """The newest audit entries about what is named: about the purchases, their licenses and events; about the licenses,
    their purchases as a whole and their events; about the events."""
    of_links = _purchases_of_links(hits)
    events = _events_of_purchases(of_links.union(hits.purchases)).union(hits.events)
    entries = AuditEntry.objects.order_by("-id").values_list("id")
    first, *others = (
        entries.filter(about)[:MOST_FOUND]  # each by its own index
        for about in (
            Q(purchase__in=hits.purchases),
            Q(purchase__in=of_links, link=None),
            Q(link__in=hits.links),
            Q(event__in=events),
        )
    )
    return _ids(first.union(*others).order_by("-id"))


# Ids go from one query to the next as values: an OR of subqueries would read whole tables.
def _purchases_of_links(hits: Hits) -> frozenset[int]:
    return _ids(LicenseLink.objects.filter(pk__in=hits.links).order_by().values_list("purchase_id").distinct())


def _events_of_purchases(purchases: Collection[int]) -> frozenset[int]:
    told = HistoryEntry.objects.filter(purchase__in=purchases).exclude(event=None).order_by("-event_id")
    return _ids(told.values_list("event_id").distinct())


def _purchases_of_events(hits: Hits) -> frozenset[int]:
    told = HistoryEntry.objects.filter(event__in=hits.events).order_by()
    return _ids(told.values_list("purchase_id").distinct())


def _queries(term: str) -> Iterator[tuple[Name, QuerySet[Any]]]:
    """What is asked for, each with its own index. Stores' ids are case-sensitive; references and keys are written in
    capitals by nearly everybody who makes them, and typed in small letters by nearly everybody else."""
    spellings = {term, term.upper(), term.lower()}
    purchases, links = Purchase.objects.all(), LicenseLink.objects.all()
    yield Name.EMAIL, purchases.filter(customer_email=term.lower())
    yield Name.STORE_ID, purchases.filter(external_id=term)
    yield Name.REFERENCE, purchases.filter(reference__in=spellings)
    yield Name.ALIAS, PurchaseAlias.objects.filter(value=term)
    yield Name.KEY, links.filter(key__in={*spellings, *(key for text in spellings for key in _with_dashes(text))})
    yield Name.LICENSE_ID, links.filter(server__in=list(conf.license_servers()), external_id=term)
    yield Name.EVENT_ID, WebhookEvent.objects.filter(external_id=term)
    if len(term) >= KEY_ENDING:
        endings = {spelling[-KEY_ENDING:] for spelling in spellings}
        longer = Q(*(Q(key__endswith=spelling) for spelling in spellings), _connector=Q.OR)
        yield Name.KEY_ENDING, links.alias(ending=Right("key", KEY_ENDING)).filter(longer, ending__in=endings)


def _with_dashes(key: str) -> Iterator[str]:
    """A key that was typed without its dashes, as it may have been written with them."""
    for size in _KEY_GROUPS:
        if key.isalnum() and len(key) > size and len(key) % size == 0:
            yield "-".join(key[start : start + size] for start in range(0, len(key), size))


def _labeled(rows: QuerySet[Any], name: Name) -> QuerySet[Any, Any]:
    """(id, name), no more of them than anybody reads."""
    pk = "purchase_id" if name is Name.ALIAS else "id"
    label = Value(name.value, output_field=CharField())
    labeled: QuerySet[Any, Any] = rows.order_by().annotate(found_by=label).values_list(pk, "found_by")
    return labeled[:MOST_FOUND]


def _ids(rows: QuerySet[Any, tuple[int]]) -> frozenset[int]:
    return frozenset(row[0] for row in rows[:MOST_FOUND])
