"""The audit: who did what, to which license, and why. Nobody writes here; services do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from licensing_integration.admin.actions import is_id
from licensing_integration.admin.addresses import row_url
from licensing_integration.admin.csv_answer import csv_answer
from licensing_integration.admin.mixins import ReadOnlyAdmin, SearchMixin
from licensing_integration.domain.wording import count_of
from licensing_integration.models import AuditEntry, LicenseLink, ProductMapping
from licensing_integration.services import audit, search
from licensing_integration.templatetags.console import moment

MOST_EXPORTED = 10_000

_SUBJECTS = ("link", "purchase", "event", "mapping")
_NOBODY = "none"
_COLUMNS = ("at (UTC)", "who", "action", "what", "to what", "why")


class PersonFilter(admin.SimpleListFilter):
    """Whoever stands in the audit."""

    title = "person"
    parameter_name = "person"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        people = get_user_model()._default_manager.in_bulk(audit.user_ids())
        names = sorted((person.get_username(), str(pk)) for pk, person in people.items())
        return [*((pk, name) for name, pk in names), (_NOBODY, "Nobody signed in")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or ""
        if value == _NOBODY:
            return queryset.filter(user=None)
        return queryset.filter(user=int(value)) if is_id(value) else queryset


class ActionFilter(admin.SimpleListFilter):
    """What was ever done."""

    title = "action"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [(action, _words(action)) for action in audit.actions()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(action=self.value()) if self.value() else queryset


class DateFilter(admin.SimpleListFilter):
    """The last days, by the ids of their entries, so that the list stays one walk along an index."""

    title = "date"
    parameter_name = "days"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [("1", "Last 24 hours"), ("7", "Last 7 days"), ("30", "Last 30 days"), ("365", "Last year")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in dict(self.lookup_choices):
            return queryset
        since = timezone.now() - timedelta(days=int(str(self.value())))
        return queryset.filter(pk__gte=audit.first_id_since(since))


@admin.register(AuditEntry)
class AuditEntryAdmin(SearchMixin, ReadOnlyAdmin):
    list_display = ("when", "user_name", "what", "to_what", "why")
    list_display_links = None
    list_filter = (PersonFilter, ActionFilter, DateFilter)
    list_before_template = "admin/licensing_integration/includes/audit_export.html"
    ordering = ("-id",)
    sortable_by = ()
    found = search.audit_entries_of
    empty_sentence = "Nobody has done anything here yet. Every action of a person is kept, with its reason."

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        heavy = (
            *("link__desired", "link__applied", "link__observed", "purchase__state"),
            *("link__item__attributes", "link__item__terms"),
            *("event__body", "event__fetched", "event__headers"),
        )
        return super().get_queryset(request).select_related(*_SUBJECTS, "link__item").defer(*heavy)

    @admin.display(description="when")
    def when(self, entry: AuditEntry) -> SafeString:
        return format_html('<span class="li-nowrap">{}</span>', moment(entry.at, "seconds"))

    @admin.display(description="what")
    def what(self, entry: AuditEntry) -> SafeString:
        return format_html('<span class="li-problem">{}</span>', entry.sentence)

    @admin.display(description="to what", empty_value="–")
    def to_what(self, entry: AuditEntry) -> SafeString | None:
        subject = _subject(entry)
        return (
            format_html('<a class="li-link" href="{}">{}</a>', row_url(type(subject), subject.pk), _name_of(entry))
            if subject
            else None
        )

    @admin.display(description="why", empty_value="–")
    def why(self, entry: AuditEntry) -> SafeString | None:
        return format_html('<span class="li-problem">{}</span>', entry.reason) if entry.reason else None

    def page(self, request: HttpRequest, row: Any, extra_context: Any = None) -> HttpResponse:
        """An entry has no page: on to what it speaks of."""
        subject = _subject(row)
        return HttpResponseRedirect(row_url(type(subject), subject.pk) if subject else self.list_url())

    # --- as a file ---------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export_view)
        return [path("export/", view, name=self._url_name("export")), *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """The entries that the list shows, filtered by the same address, as a file. That too is kept in the audit."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            found = list(self.get_changelist_instance(request).get_queryset(request)[: MOST_EXPORTED + 1])
        except IncorrectLookupParameters:
            return HttpResponseRedirect(self.list_url())
        entries, is_cut = found[:MOST_EXPORTED], len(found) > MOST_EXPORTED
        what = f"{'the newest ' if is_cut else ''}{count_of(len(entries), 'entry', 'entries')}"
        audit.record("audit.exported", f"Exported {what} of the audit.", user_id=request.user.pk)
        return csv_answer("audit.csv", _rows(entries, is_cut=is_cut))


def _rows(entries: Sequence[AuditEntry], *, is_cut: bool) -> Iterator[Sequence[str]]:
    yield _COLUMNS
    for entry in entries:
        at = entry.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        yield at, entry.user_name, entry.action, entry.sentence, _name_of(entry), entry.reason
    if is_cut:
        only = f"Only the newest {MOST_EXPORTED:,} entries are in this file. For older ones filter the list."
        yield "", "", "", only, "", ""


def _subject(entry: AuditEntry) -> Model | None:
    """What it was done to; of a license its purchase is kept, too."""
    return next((subject for name in _SUBJECTS if (subject := getattr(entry, name))), None)


def _name_of(entry: AuditEntry) -> str:
    """What the entry speaks of; empty if of nothing. A license without a key is named by what it is for."""
    subject = _subject(entry)
    if isinstance(subject, ProductMapping):
        return f"mapping {subject}"
    if isinstance(subject, LicenseLink) and not subject.key:
        return f"license {subject.shown_key} for {subject.item.name or 'an unnamed product'} of {entry.purchase}"
    return str(subject) if subject else ""


def _words(action: str) -> str:
    about, _, verb = action.partition(".")
    return f"{about}: {verb}".replace("_", " ").capitalize()
