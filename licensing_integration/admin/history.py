"""History: every sentence, newest first. Nobody writes here; services do."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from licensing_integration.admin.mixins import ReadOnlyAdmin, SearchMixin, in_utc
from licensing_integration.models import HistoryEntry, LicenseLink, Purchase
from licensing_integration.services import search


def entries_of_link(link: LicenseLink) -> QuerySet[HistoryEntry]:
    """The whole story of a license: its own entries and those of its purchase, but not those of its siblings."""
    is_about_it = Q(link=link) | Q(link=None)
    return _shown_with_reasons(HistoryEntry.objects.filter(is_about_it, purchase_id=link.purchase_id))


def entries_of_purchase(purchase: Purchase) -> QuerySet[HistoryEntry]:
    """The story of a purchase and of all its licenses."""
    return (
        _shown_with_reasons(HistoryEntry.objects.filter(purchase=purchase))
        .select_related("link")
        .defer(*_HEAVY_OF_EVENT, *_HEAVY_OF_LINK)
    )


_HEAVY_OF_EVENT = ("event__body", "event__fetched")
_HEAVY_OF_LINK = ("link__desired", "link__applied", "link__observed")


def _shown_with_reasons(entries: QuerySet[HistoryEntry]) -> QuerySet[HistoryEntry]:
    return entries.select_related("event", "user").defer(*_HEAVY_OF_EVENT).order_by("-id")


def _entries_found(hits: search.Hits) -> QuerySet[Any]:
    wanted = HistoryEntry.objects.filter(purchase__in=search.purchases_of(hits))
    return wanted.order_by().values("pk")


@admin.register(HistoryEntry)
class HistoryEntryAdmin(SearchMixin, ReadOnlyAdmin):
    list_display = ("when", "sentence", "subject", "because_of")
    list_display_links = ("when",)
    ordering = ("-id",)
    sortable_by = ()
    found = _entries_found
    page_template = "admin/licensing_integration/history_entry.html"
    empty_sentence = "No history yet. Every change of a purchase or license leaves a sentence here."

    def get_queryset(self, request: HttpRequest) -> QuerySet[HistoryEntry]:
        rows = super().get_queryset(request).select_related("event", "user", "purchase", "link")
        return rows.defer(*_HEAVY_OF_EVENT, *_HEAVY_OF_LINK, "purchase__state")

    @admin.display(description="when (UTC)")
    def when(self, entry: HistoryEntry) -> SafeString:
        return in_utc(entry.at, seconds=True)

    @admin.display(description="about")
    def subject(self, entry: HistoryEntry) -> SafeString:
        if entry.link:
            url = reverse("admin:licensing_integration_licenselink_change", args=[entry.link_id])
            return format_html('<a href="{}">license {}</a>', url, entry.link.masked_key or "without a key")
        url = reverse("admin:licensing_integration_purchase_change", args=[entry.purchase_id])
        return format_html('<a href="{}">{}</a>', url, entry.purchase)

    @admin.display(description="because of")
    def because_of(self, entry: HistoryEntry) -> str:
        if entry.user:
            return entry.user.get_username()
        return entry.event.event_type if entry.event else "the clock"
