"""One search box for everything: straight to the page when only one row is meant, else what was found by purchase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.contrib.postgres.expressions import ArraySubquery
from django.core.exceptions import PermissionDenied
from django.db.models import Model, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from licensing_integration.admin.addresses import list_url, may, row_url
from licensing_integration.models import HistoryEntry, LicenseLink, Purchase, WebhookEvent
from licensing_integration.services import search

MOST_SHOWN = 20
MOST_LINKS = 5
MOST_EVENTS = 3
_ENTRIES_READ = 12  # one event may leave several sentences, so more of these than events are looked at


@dataclass(frozen=True, kw_only=True)
class Card:
    """A purchase that was found, with the newest of its licenses and events, those that the term names among them.
    ``found_by``: by which of the purchase's own names, if by any."""

    purchase: Any
    found_by: search.Name | None
    links: Sequence[LicenseLink]
    events: Sequence[WebhookEvent]

    @property
    def is_found_by_alias(self) -> bool:
        return self.found_by is search.Name.ALIAS

    @property
    def has_more_links(self) -> bool:
        return len(self.purchase.newest_links) > MOST_LINKS


def search_page(request: HttpRequest) -> HttpResponse:
    """``/admin/search/?q=``"""
    if not any(may(request, "view", model) for model in (Purchase, LicenseLink, WebhookEvent)):
        raise PermissionDenied
    term = search.clean(request.GET.get("q", ""))
    hits = _permitted(request, search.find(term))
    only = _only_hit(hits)
    if only is not None:
        model, pk, found_by = only
        messages.info(request, f"Found by {found_by}.")
        return HttpResponseRedirect(row_url(model, pk))
    context = {
        **admin.site.each_context(request),
        "title": f"Search: {term}" if term else "Search",
        "term": term,
        "most_shown": MOST_SHOWN,
        "key_ending": search.KEY_ENDING,
        "is_short": 0 < len(term) < search.KEY_ENDING,
        **_found(request, hits),
    }
    return TemplateResponse(request, "admin/licensing_integration/search.html", context)


def _permitted(request: HttpRequest, hits: search.Hits) -> search.Hits:
    """Without what the user may not look at."""
    return search.Hits(
        purchases=hits.purchases if may(request, "view", Purchase) else {},
        links=hits.links if may(request, "view", LicenseLink) else {},
        events=hits.events if may(request, "view", WebhookEvent) else {},
    )


def _only_hit(hits: search.Hits) -> tuple[type[Model], int, search.Name] | None:
    """The one row that the term names, and by which of its names."""
    if hits.total != 1:
        return None
    named = ((Purchase, hits.purchases), (LicenseLink, hits.links), (WebhookEvent, hits.events))
    return next((model, pk, found_by) for model, rows in named for pk, found_by in rows.items())


def _found(request: HttpRequest, hits: search.Hits) -> dict[str, Any]:
    """The cards, newest purchase first, and what the term names beside their purchases."""
    ids = sorted(search.purchases_of(hits), reverse=True) if may(request, "view", Purchase) else []
    purchases = list(_purchases(ids[:MOST_SHOWN]))
    links = _links(request, hits, purchases)
    events = _events(request, hits, purchases)
    cards = [_card(purchase, hits, links=links, events=events) for purchase in purchases]
    in_cards = {event.pk for card in cards for event in card.events}
    return {
        "cards": cards,
        "has_more": len(ids) > MOST_SHOWN,
        "lone_links": [link for link in links.values() if link.pk in hits.links and link.purchase_id not in ids],
        "lone_events": [] if len(ids) > MOST_SHOWN else [e for e in events.values() if e.pk not in in_cards],
        "named_links": hits.links.keys(),
        "named_events": hits.events.keys(),
        "links_url": list_url(LicenseLink),
        "purchases_url": list_url(Purchase),
    }


def _purchases(ids: Sequence[int]) -> QuerySet[Purchase]:
    """With the ids of the newest licenses and events of each, taken from the ends of their indexes: a purchase may have
    thousands."""
    links = LicenseLink.objects.filter(purchase=OuterRef("pk")).order_by("-id").values("pk")[: MOST_LINKS + 1]
    told = HistoryEntry.objects.filter(purchase=OuterRef("pk"), event__isnull=False).order_by("-id")
    found = Purchase.objects.filter(pk__in=ids).defer("state").prefetch_related("items").order_by("-id")
    return found.annotate(
        newest_links=ArraySubquery(links), newest_events=ArraySubquery(told.values("event_id")[:_ENTRIES_READ])
    )


def _links(request: HttpRequest, hits: search.Hits, purchases: Sequence[Any]) -> dict[int, LicenseLink]:
    if not may(request, "view", LicenseLink):
        return {}
    ids = {*hits.links, *(pk for purchase in purchases for pk in purchase.newest_links[:MOST_LINKS])}
    rows = LicenseLink.objects.filter(pk__in=ids).select_related("item").order_by("-id")
    shown = (
        *("key", "unit", "state", "sync_state", "question", "expires_at", "desired"),
        *("external_id", "purchase_id"),
        *("item__display", "item__product", "item__quantity"),
    )
    return {link.pk: link for link in rows.only(*shown)}


def _events(request: HttpRequest, hits: search.Hits, purchases: Sequence[Any]) -> dict[int, WebhookEvent]:
    if not may(request, "view", WebhookEvent):
        return {}
    ids = {*hits.events, *(pk for purchase in purchases for pk in _newest_events(purchase))}
    rows = WebhookEvent.objects.filter(pk__in=ids).order_by("-id")
    return {event.pk: event for event in rows.only("external_id", "event_type", "state", "received_at", "is_live")}


def _newest_events(purchase: Any) -> list[int]:
    return list(dict.fromkeys(purchase.newest_events))[:MOST_EVENTS]


def _card(purchase: Any, hits: search.Hits, *, links: dict[int, LicenseLink], events: dict[int, WebhookEvent]) -> Card:
    named = [link.pk for link in links.values() if link.purchase_id == purchase.pk and link.pk in hits.links]
    touched = [pk for pk in hits.events if pk in purchase.newest_events]
    shown_links = dict.fromkeys((*named, *purchase.newest_links[:MOST_LINKS]))
    shown_events = dict.fromkeys((*touched, *_newest_events(purchase)))
    return Card(
        purchase=purchase,
        found_by=hits.purchases.get(purchase.pk),
        links=[links[pk] for pk in shown_links if pk in links],
        events=[events[pk] for pk in shown_events if pk in events],
    )


admin.site.add_page("search/", search_page, name="search")
