"""One search box for everything: straight to the page when only one row is meant, else what was found by kind."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from licensing_integration.models import LicenseLink, Purchase, WebhookEvent
from licensing_integration.services import search

MOST_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class _Group:
    """One kind of row: those the term names, and those that belong to what it names."""

    model: type[Model]
    named: Collection[int]
    related: Collection[int]

    def url(self, what: str, *args: object) -> str:
        return reverse(f"admin:{self.model._meta.app_label}_{self.model._meta.model_name}_{what}", args=args)

    def rows(self) -> QuerySet[Any]:
        """The newest rows found, without the columns a line does not show."""
        rows = self.model._default_manager.filter(pk__in=self.related).order_by("-pk")[:MOST_SHOWN]
        if self.model is LicenseLink:
            return rows.select_related("item").only("key", "unit", "state", "item__display", "item__product")
        if self.model is Purchase:
            return rows.only("kind", "reference", "external_id", "status", "customer_email")
        return rows.only("event_type", "external_id", "state")


def search_page(request: HttpRequest) -> HttpResponse:
    """``/admin/search/?q=``"""
    permitted = [model for model in (LicenseLink, Purchase, WebhookEvent) if _may_view(request, model)]
    if not permitted:
        raise PermissionDenied
    term = request.GET.get("q", "").strip()
    groups = [group for group in _groups(search.find(term)) if group.model in permitted]
    named = [(group, pk) for group in groups for pk in group.named]
    if len(named) == 1:
        group, pk = named[0]
        return HttpResponseRedirect(group.url("change", pk))
    context = {
        **admin.site.each_context(request),
        "title": f"Search: {term}" if term else "Search",
        "term": term,
        "most_shown": MOST_SHOWN,
        "groups": [_shown(group) for group in groups if group.related],
    }
    return TemplateResponse(request, "admin/licensing_integration/search.html", context)


def _may_view(request: HttpRequest, model: type[Model]) -> bool:
    codename = f"{model._meta.app_label}.view_{model._meta.model_name}"
    return bool(request.user.has_perm(codename))


def _groups(hits: search.Hits) -> list[_Group]:
    if not hits.total:
        return []
    return [
        _Group(model=LicenseLink, named=hits.links, related=search.links_of(hits)),
        _Group(model=Purchase, named=hits.purchases, related=search.purchases_of(hits)),
        _Group(model=WebhookEvent, named=hits.events, related=search.events_of(hits)),
    ]


def _shown(group: _Group) -> dict[str, Any]:
    rows = [{"row": row, "url": group.url("change", row.pk)} for row in group.rows()]
    return {
        "title": group.model._meta.verbose_name_plural,
        "rows": rows,
        "total": len(group.related),
        "list_url": group.url("changelist"),
    }


admin.site.add_page("search/", search_page, name="search")
