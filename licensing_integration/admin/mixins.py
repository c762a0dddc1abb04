"""What the admin's pages share: read-only rows, capped counts, and actions that ask before they act."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString

from licensing_integration.services import search

# Lists count no further: beyond this, people search and filter.
MOST_COUNTED = 10_000


class CappedPaginator(Paginator):
    """Counts at most ``MOST_COUNTED`` rows, newest first, so that a list of millions opens as fast as an empty one."""

    @cached_property
    def count(self) -> int:
        return self.object_list[:MOST_COUNTED].count()

    @property
    def is_capped(self) -> bool:
        return self.count >= MOST_COUNTED


class ReasonForm(forms.Form):
    """The one thing every intervention needs."""

    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
        help_text="Kept in the history. The customer or a colleague will ask for it.",
    )


class NoForm(forms.Form):
    """For actions that only ask whether they should go on."""


def in_utc(moment: datetime | None, *, seconds: bool = False) -> SafeString:
    """A moment for a narrow column; every time in the admin is UTC."""
    if moment is None:
        return SafeString("")
    text = moment.strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")
    return format_html('<span class="nowrap">{}</span>', text)


def _always(_row: Any) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class PageAction:
    """A button on a row's page that leads to a confirmation page with a form.

    ``name`` is part of the address. ``permission``: what the user needs, with the app label. ``run`` gets the row, the
    user's id and the form's values, does its work through a service and returns the sentence to show; a ``ValueError``
    is shown as an error of the form. ``why_not``: why the row has no such button now, or empty.
    """

    name: str
    label: str
    permission: str
    explanation: str
    run: Callable[[Any, int, Mapping[str, Any]], str]
    form: type[forms.Form] = ReasonForm
    why_not: Callable[[Any], str] = _always

    def is_permitted(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(self.permission))


class SearchMixin(admin.ModelAdmin):
    """The search box finds by exact ids on indexed columns, see ``services.search``."""

    search_fields: ClassVar = ("pk",)  # only makes the box appear
    search_help_text = (
        "E-mail address, order id or reference, subscription id, license key (whole, or its last six characters or "
        "more), or event id. Exact matches only."
    )
    found: ClassVar[Callable[[search.Hits], Collection[int]]]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        return queryset.filter(pk__in=type(self).found(search.find(search_term))), False


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows nobody adds, edits or deletes here, not even superusers. Each has a page with action buttons."""

    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = CappedPaginator
    actions: ClassVar = ()
    page_template: str
    page_actions: ClassVar[tuple[PageAction, ...]] = ()
    empty_sentence = ""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only what a filter beside the list offers: with others somebody could guess a key letter by letter."""
        offered = {entry if isinstance(entry, str) else entry.parameter_name for entry in self.list_filter}
        return lookup.split("__")[0] in offered

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.action_view)
        own = [
            path(f"<int:object_id>/{action.name}/", view, {"action": action}, name=self._url_name(action.name))
            for action in self.page_actions
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The row's page. There is no form on it, so nothing can be posted to it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return self.page(request, row, extra_context)

    def page(self, request: HttpRequest, row: Model, extra_context: Mapping[str, Any] | None = None) -> HttpResponse:
        """The page of one row, with the buttons this user may press."""
        context = {
            **self._context(request, row),
            "buttons": [
                {"label": action.label, "url": self.action_url(action.name, row)}
                for action in self.page_actions
                if action.is_permitted(request) and not action.why_not(row)
            ],
            **self.page_context(request, row),
            **(extra_context or {}),
        }
        return TemplateResponse(request, self.page_template, context)

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the page's template shows beside the row."""
        return {}

    def row_title(self, row: Any) -> str:
        """What the row is called on its own pages."""
        return str(row)

    def action_view(self, request: HttpRequest, object_id: int, action: PageAction) -> HttpResponse:
        """The confirmation page of an action, and the action itself."""
        if not (self.has_view_permission(request) and action.is_permitted(request)):
            raise PermissionDenied
        row = self.get_object(request, str(object_id))
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(object_id))
        refusal = action.why_not(row)
        if refusal:
            self.message_user(request, refusal, messages.WARNING)
            return HttpResponseRedirect(self.row_url(row))
        form = action.form(request.POST if request.method == "POST" else None)
        if form.is_valid() and self._has_run(request, row, action, form):
            return HttpResponseRedirect(self.row_url(row))
        context = {**self._context(request, row), "title": action.label, "action": action, "form": form}
        context |= {"row_url": self.row_url(row), "row_title": self.row_title(row)}
        return TemplateResponse(request, "admin/licensing_integration/confirm.html", context)

    def _has_run(self, request: HttpRequest, row: Model, action: PageAction, form: forms.Form) -> bool:
        try:
            sentence = action.run(row, request.user.pk, form.cleaned_data)
        except ValueError as error:
            form.add_error(None, str(error))
            return False
        self.log_change(request, row, f"{action.label}: {form.cleaned_data.get('reason') or 'no reason asked for'}")
        self.message_user(request, sentence, messages.SUCCESS)
        return True

    def action_url(self, name: str, row: Model) -> str:
        return reverse(f"{self.admin_site.name}:{self._url_name(name)}", args=[row.pk])

    def row_url(self, row: Model) -> str:
        return reverse(f"{self.admin_site.name}:{self._url_name('change')}", args=[row.pk])

    def _context(self, request: HttpRequest, row: Model) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts, "row": row, "title": self.row_title(row)}

    def _url_name(self, what: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{what}"
