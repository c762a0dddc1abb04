"""Licenses: why each is in its state, what is wanted and what is, its whole story, and what people may do to it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator, capfirst

from licensing_integration.admin import license_actions
from licensing_integration.admin.actions import is_id
from licensing_integration.admin.attention import AttentionFilter
from licensing_integration.admin.comparison import compare
from licensing_integration.admin.following import next_look
from licensing_integration.admin.happened import HappenedFilter
from licensing_integration.admin.history import entries_of_link, timeline
from licensing_integration.admin.mixins import ReadOnlyAdmin, SearchMixin
from licensing_integration.admin.of_purchase import PurchaseFilter
from licensing_integration.admin.standing import standing
from licensing_integration.domain.outcomes import SyncState
from licensing_integration.exceptions import ConfigurationProblem, RemoteError
from licensing_integration.models import LicenseLink
from licensing_integration.services import explain, interventions, resend, search
from licensing_integration.services.attention import concerns_of
from licensing_integration.services.connections import backend_of
from licensing_integration.services.purchases import load_state
from licensing_integration.services.refresh import Answer, ask_server
from licensing_integration.templatetags.console import IN_STEP, expires, in_step, state, tag

_MAY_REVEAL = "licensing_integration.reveal_key_licenselink"
_MAY_REFRESH = "licensing_integration.resync_licenselink"
_CHANGED_BY_HAND = ("different on the server", "warning")
_ADVICE = {concern.slug: concern.advice for concern in concerns_of(LicenseLink)}
_LONGEST_TROUBLE = 80
_NOT_STORED = {"Cache-Control": "no-store"}


class OverrideFilter(admin.SimpleListFilter):
    """Licenses that staff have decided about."""

    title = "override"
    parameter_name = "override"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [("any", "Set")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(override_until__gt=timezone.now()) if self.value() == "any" else queryset


class InStepFilter(admin.SimpleListFilter):
    """Whether licenses are as wanted, in the words of the list."""

    title = "in step"
    parameter_name = "sync_state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [(value, capfirst(words)) for value, words in IN_STEP.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(sync_state=self.value()) if self.value() in IN_STEP else queryset


@admin.register(LicenseLink)
class LicenseLinkAdmin(SearchMixin, ReadOnlyAdmin):
    list_display = ("key_ending", "customer", "product", "license_state", "expires", "in_step", "trouble")
    list_filter = (AttentionFilter, "state", InStepFilter, OverrideFilter, HappenedFilter, PurchaseFilter)
    ordering = ("-id",)
    sortable_by = ()
    found = search.links_of
    page_template = "admin/licensing_integration/license.html"
    many_permission = "licensing_integration.act_on_many_licenselink"
    empty_sentence = "No licenses yet. Each unit of a paid purchase whose product is mapped gets one."
    page_actions: ClassVar = (
        license_actions.RESYNC,
        license_actions.OVERRIDE,
        license_actions.END_OVERRIDE,
        license_actions.RESEND,
        license_actions.ISSUE_AGAIN,
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[LicenseLink]:
        rows: QuerySet[LicenseLink] = super().get_queryset(request).select_related("item", "purchase")
        return rows.defer("applied", "observed", "item__attributes", "item__terms", "purchase__state")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> LicenseLink | None:
        """With everything its page shows, in one query."""
        if not is_id(object_id):
            return None
        rows = LicenseLink.objects.select_related("item", "purchase", "override_by", "cause")
        heavy = ("cause__body", "cause__fetched", "cause__headers")
        return rows.defer(*heavy).filter(pk=object_id).first()

    @admin.display(description="key")
    def key_ending(self, link: LicenseLink) -> SafeString:
        return format_html('<span class="li-nowrap">{}</span>', link.masked_key or "none yet")

    @admin.display(description="product")
    def product(self, link: LicenseLink) -> str:
        return link.item.name or "an unnamed product"

    @admin.display(description="state")
    def license_state(self, link: LicenseLink) -> SafeString:
        return state(link.state, link.get_state_display())

    @admin.display(description="expires")
    def expires(self, link: LicenseLink) -> SafeString:
        return expires(link)

    @admin.display(description="in step")
    def in_step(self, link: LicenseLink) -> SafeString:
        return in_step(link.sync_state)

    @admin.display(description="customer", empty_value="unknown")
    def customer(self, link: LicenseLink) -> str:
        return link.purchase.customer_email

    @admin.display(description="trouble", empty_value="")
    def trouble(self, link: LicenseLink) -> SafeString | str:
        """In the license server's own words, where it said some; whole on hover."""
        text = link.failure_message or link.get_failure_mode_display() or link.question
        short = Truncator(text).chars(_LONGEST_TROUBLE)
        return format_html('<span class="li-problem" title="{}">{}</span>', text, short) if text else ""

    def row_title(self, row: LicenseLink) -> str:
        return f"License {row.shown_key} of {self.product(row)}"

    def title_among_others(self, row: LicenseLink) -> str:
        """With its purchase and customer: several may be without a key, or be units of one product."""
        unit = f"unit {row.unit}" if row.item.quantity > 1 else ""
        of = ", ".join(filter(None, [str(row.purchase), unit, row.purchase.customer_email]))
        return f"{self.row_title(row)} ({of})"

    # --- its page ----------------------------------------------------------------------------------------------------

    def page_context(self, request: HttpRequest, row: LicenseLink) -> dict[str, Any]:
        comparison = compare(row)
        differences = [line.label for line in comparison if line.is_different]
        is_changed = bool(differences) and row.sync_state == SyncState.SETTLED
        story = timeline(request, entries_of_link(row))
        may_resend = license_actions.RESEND.is_permitted(request)
        return {
            "product": self.product(row),
            "standing": standing(load_state(row.purchase)),
            "in_step": tag(*_CHANGED_BY_HAND) if is_changed else in_step(row.sync_state),
            "is_not_issued": row.sync_state == SyncState.ATTENTION and not row.external_id and row.failure_message,
            "wanted_state": explain.state_wanted_instead(row),
            "since": explain.state_since(row),
            "advice": _ADVICE.get(row.failure_mode, ""),
            "comparison": comparison,
            "differences": differences if is_changed else [],
            "timeline": story,
            "next_look": next_look(request, [row], story, now=timezone.now()),
            "explanation": explain.explain(row),
            "dashboard_url": _dashboard_url(row),
            "ends_before_override": explain.end_before(row, row.override_until) if row.is_overridden else None,
            "may_reveal": bool(row.key) and request.user.has_perm(_MAY_REVEAL),
            "reveal_url": self.action_url("reveal", row),
            "copy_url": self.action_url("copy", row),
            "refresh_url": self.action_url("refresh", row) if request.user.has_perm(_MAY_REFRESH) else "",
            "why_not_resend": resend.why_not_resend(row) if may_resend and row.key else "",
        }

    def get_urls(self) -> list[URLPattern]:
        views = {"reveal": self.reveal_view, "copy": self.copy_view, "refresh": self.refresh_view}
        own = [
            path(f"<int:object_id>/{name}/", self.admin_site.admin_view(view), name=self._url_name(name))
            for name, view in views.items()
        ]
        return [*own, *super().get_urls()]

    # --- the whole key -----------------------------------------------------------------------------------------------

    def reveal_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The page once more, with the whole key on it. Not by redirect: a key has no place in a cookie or session."""
        self._require_permission(request, _MAY_REVEAL)
        row = self.get_object(request, str(object_id))
        if row is None:
            return self._not_found(request, object_id)
        if request.method != "POST":
            return HttpResponseRedirect(self.row_url(row))
        key = interventions.reveal_key(row.pk, user_id=request.user.pk)
        response = self.page(request, row, {"revealed_key": key})
        response["Cache-Control"] = "no-store"
        return response

    def copy_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The whole key as JSON, for the page's script, which puts it on the clipboard."""
        self._require_permission(request, _MAY_REVEAL)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        key = interventions.copy_key(object_id, user_id=request.user.pk)
        answer, status = ({"key": key}, 200) if key else ({"error": "There is no key."}, 404)
        return JsonResponse(answer, status=status, headers=_NOT_STORED)

    # --- asking the license server -----------------------------------------------------------------------------------

    def refresh_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Ask the license server now, and show its answer beside what is wanted."""
        self._require_permission(request, _MAY_REFRESH)
        row = self.get_object(request, str(object_id))
        if row is None:
            return self._not_found(request, object_id)
        if request.method != "POST":
            return HttpResponseRedirect(self.row_url(row))
        try:
            answer = ask_server(row.pk, user_id=request.user.pk)
        except (ValueError, RemoteError, ConfigurationProblem) as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(self.row_url(row))
        self.message_user(request, _about(answer, row), messages.SUCCESS if answer.snapshot else messages.WARNING)
        if answer.is_kept or answer.snapshot is None:  # of what is gone there is nothing to show
            return HttpResponseRedirect(self.row_url(row))
        return self.page(request, row, {"comparison": compare(row, answer.snapshot), "answered_at": answer.at})

    def _not_found(self, request: HttpRequest, object_id: int) -> HttpResponse:
        answer: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, str(object_id))
        return answer

    def _require_permission(self, request: HttpRequest, permission: str) -> None:
        if not (self.has_view_permission(request) and request.user.has_perm(permission)):
            raise PermissionDenied


def _about(answer: Answer, link: LicenseLink) -> str:
    if answer.snapshot is None:
        told = f"{link.server} has no such license any more."
        return f"{told} A worker has it at the moment; look again soon." if not answer.is_kept else told
    news = "with something new" if answer.is_news else "with nothing new"
    kept = "" if answer.is_kept else " A worker has the license at the moment, so the answer is shown but not kept."
    return f"{link.server} has just answered, {news}.{kept}"


def _dashboard_url(link: LicenseLink) -> str:
    """The license in the license server's own dashboard; empty when there is none or its server is gone."""
    if not link.external_id:
        return ""
    try:
        return backend_of(link.server).dashboard_url(link.external_id)
    except ConfigurationProblem:
        return ""
