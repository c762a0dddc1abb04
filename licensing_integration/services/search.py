"""Search: one box for e-mail, order, subscription, license key and event id. Exact matches on indexed columns only, so
it stays fast however large the tables grow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Right

from licensing_integration import conf
from licensing_integration.models import HistoryEntry, LicenseLink, Purchase, PurchaseAlias, WebhookEvent

KEY_ENDING = 6  # how much of a key we show, and therefore what people paste

# Nobody reads further; an address with more purchases is found by order.
MOST_FOUND = 500


@dataclass(frozen=True, kw_only=True)
class Hits:
    """Ids of the rows a term names itself."""

    purchases: frozenset[int]
    links: frozenset[int]
    events: frozenset[int]

    @property
    def total(self) -> int:
        return len(self.purchases) + len(self.links) + len(self.events)


def find(term: str) -> Hits:
    """The rows that ``term`` names: an e-mail address, order id or reference, subscription id, license key (whole, or
    its last six characters or more), license id, or event id."""
    term = term.strip().lstrip("…").strip()
    if not term or "\x00" in term:
        return Hits(purchases=frozenset(), links=frozenset(), events=frozenset())
    return Hits(purchases=_ids(_purchases(term)), links=_ids(_links(term)), events=_ids(_events(term)))


def purchases_of(hits: Hits) -> frozenset[int]:
    """The purchases named, and those of the licenses and events named."""
    return hits.purchases | _purchases_of_links(hits) | _purchases_of_events(hits)


def links_of(hits: Hits) -> frozenset[int]:
    """The licenses named, and those of the purchases and events named."""
    purchases = hits.purchases | _purchases_of_events(hits)
    rows = LicenseLink.objects.filter(purchase__in=purchases).order_by("-id")
    return hits.links | _ids(rows.values_list("id"))


def events_of(hits: Hits) -> frozenset[int]:
    """The events named, and those that touched the purchases named or the purchases of the licenses named."""
    purchases = hits.purchases | _purchases_of_links(hits)
    told = HistoryEntry.objects.filter(purchase__in=purchases).exclude(event=None).order_by()
    return hits.events | _ids(told.values_list("event_id").distinct())


# Ids go from one query to the next as values: an OR of subqueries would read whole tables.
def _purchases_of_links(hits: Hits) -> frozenset[int]:
    return _ids(LicenseLink.objects.filter(pk__in=hits.links).order_by().values_list("purchase_id").distinct())


def _purchases_of_events(hits: Hits) -> frozenset[int]:
    told = HistoryEntry.objects.filter(event__in=hits.events).order_by()
    return _ids(told.values_list("purchase_id").distinct())


def _purchases(term: str) -> QuerySet[Any, tuple[int]]:
    rows = Purchase.objects.order_by().values_list("id")
    aliases = PurchaseAlias.objects.filter(value=term).order_by().values_list("purchase_id")
    return rows.filter(customer_email=term.lower()).union(
        rows.filter(external_id=term), rows.filter(reference=term), aliases
    )


def _links(term: str) -> QuerySet[Any, tuple[int]]:
    rows = LicenseLink.objects.order_by().values_list("id")
    spellings = {term, term.upper()}
    by_license_id = rows.filter(server__in=list(conf.license_servers()), external_id=term)
    by_key = rows.filter(key__in=spellings)
    if len(term) < KEY_ENDING:
        return by_key.union(by_license_id)
    endings = {spelling[-KEY_ENDING:] for spelling in spellings}
    longer = Q(*(Q(key__endswith=spelling) for spelling in spellings), _connector=Q.OR)
    by_ending = rows.alias(ending=Right("key", KEY_ENDING)).filter(longer, ending__in=endings)
    return by_key.union(by_license_id, by_ending)


def _events(term: str) -> QuerySet[Any, tuple[int]]:
    return WebhookEvent.objects.filter(external_id=term).order_by().values_list("id")


def _ids(rows: QuerySet[Any, tuple[int]]) -> frozenset[int]:
    return frozenset(row[0] for row in rows[:MOST_FOUND])
