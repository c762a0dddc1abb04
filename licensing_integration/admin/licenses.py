"""Licenses: why each is in its state, what is wanted and what is, its whole story, and what people may do to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from licensing_integration.admin.attention import AttentionFilter
from licensing_integration.admin.comparison import compare
from licensing_integration.admin.history import entries_of_link
from licensing_integration.admin.mixins import PageAction, ReadOnlyAdmin, ReasonForm, SearchMixin, in_utc
from licensing_integration.domain.outcomes import LicenseState, SyncState
from licensing_integration.exceptions import ConfigurationProblem
from licensing_integration.models import LicenseLink
from licensing_integration.services import interventions, search
from licensing_integration.services.connections import backend_of

_MAY_REVEAL = "licensing_integration.reveal_key_licenselink"
_IN_STEP: Mapping[str, str] = {
    SyncState.PENDING: "No, a worker is about to change it",
    SyncState.SETTLED: "Yes",
    SyncState.ATTENTION: "No, it was stopped and waits for a person",
}
_MAY_OVERRIDE = "licensing_integration.override_licenselink"


def _moment_field(label: str, *, is_required: bool, help_text: str) -> forms.DateTimeField:
    return forms.DateTimeField(
        label=label,
        required=is_required,
        help_text=help_text,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )


class OverrideForm(ReasonForm):
    """A staff decision: what it sets, and until when."""

    _KEPT = ("", "As the plan says")
    state = forms.ChoiceField(
        required=False,
        choices=[_KEPT, *((s.value, s.value.capitalize()) for s in LicenseState if s is not LicenseState.ABSENT)],
    )
    expires_at = _moment_field(
        "Expires (UTC)", is_required=False, help_text="When the license shall expire. Empty: as the plan says."
    )
    until = _moment_field(
        "Override until (UTC)",
        is_required=True,
        help_text="From then on the plan wins again, and what the store said meanwhile is applied.",
    )
    field_order = ("state", "expires_at", "until", "reason")


def _resync(link: LicenseLink, user_id: int, values: Mapping[str, Any]) -> str:
    interventions.resync_link(link.pk, user_id=user_id, reason=values["reason"])
    return "The license is compared with its server and corrected; this takes a moment."


def _override(link: LicenseLink, user_id: int, values: Mapping[str, Any]) -> str:
    until: datetime = values["until"]
    interventions.override_link(
        link.pk,
        user_id=user_id,
        reason=values["reason"],
        until=until,
        state=LicenseState(values["state"]) if values["state"] else None,
        expires_at=values["expires_at"],
    )
    return "The override is set; the license follows in a moment."


def _end_override(link: LicenseLink, user_id: int, values: Mapping[str, Any]) -> str:
    interventions.end_override(link.pk, user_id=user_id, reason=values["reason"])
    return "The override has ended; the license follows the plan in a moment."


def _issue_again(link: LicenseLink, user_id: int, values: Mapping[str, Any]) -> str:
    interventions.issue_again(link.pk, user_id=user_id, reason=values["reason"])
    return "A license is issued in a moment, unless one is found on the server after all."


@admin.register(LicenseLink)
class LicenseLinkAdmin(SearchMixin, ReadOnlyAdmin):
    list_display = ("key_ending", "customer", "product", "state", "expires", "sync_state", "trouble")  # fmt: skip
    list_filter = (AttentionFilter, "state", "sync_state")
    ordering = ("-id",)
    sortable_by = ()
    found = search.links_of
    page_template = "admin/licensing_integration/license.html"
    empty_sentence = "No licenses yet. Each unit of a paid purchase whose product is mapped gets one."
    page_actions: ClassVar = (
        PageAction(
            name="resync",
            label="Resync",
            permission="licensing_integration.resync_licenselink",
            explanation="The license server is asked for the license as it is now, and every field is made to match "
            "the plan, also those somebody changed there by hand.",
            run=_resync,
        ),
        PageAction(
            name="override",
            label="Override",
            permission=_MAY_OVERRIDE,
            explanation="Your decision wins over the plan until the date you give. An override that is set already is "
            "replaced.",
            form=OverrideForm,
            run=_override,
        ),
        PageAction(
            name="end-override",
            label="End override",
            permission=_MAY_OVERRIDE,
            explanation="The plan wins again, now.",
            run=_end_override,
            why_not=lambda link: "" if link.override_until else "The license is not overridden.",
        ),
        PageAction(
            name="issue-again",
            label="Issue again",
            permission="licensing_integration.issue_again_licenselink",
            explanation="The license that was deleted on the license server is forgotten and a new one is issued. The "
            "customer gets a new key.",
            run=_issue_again,
            why_not=interventions.why_not_issue_again,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[LicenseLink]:
        rows = super().get_queryset(request).select_related("item", "purchase")
        return rows.defer("desired", "applied", "observed", "item__attributes", "item__terms", "purchase__state")

    @admin.display(description="key")
    def key_ending(self, link: LicenseLink) -> SafeString:
        return format_html('<span class="nowrap">{}</span>', link.masked_key or "none yet")

    @admin.display(description="product")
    def product(self, link: LicenseLink) -> str:
        return link.item.display or link.item.product

    @admin.display(description="expires (UTC)")
    def expires(self, link: LicenseLink) -> SafeString:
        return in_utc(link.expires_at)

    @admin.display(description="customer", empty_value="unknown")
    def customer(self, link: LicenseLink) -> str:
        return link.purchase.customer_email

    @admin.display(description="failure", empty_value="")
    def trouble(self, link: LicenseLink) -> str:
        return link.get_failure_mode_display() or ("Question" if link.question else "")

    def row_title(self, row: LicenseLink) -> str:
        return f"License {row.masked_key or 'without a key'} of {row.item.display or row.item.product}"

    def page_context(self, request: HttpRequest, row: LicenseLink) -> dict[str, Any]:
        return {
            "in_step": _IN_STEP[row.sync_state],
            "comparison": compare(row),
            "entries": list(entries_of_link(row)),
            "dashboard_url": _dashboard_url(row),
            "has_override": row.override_until is not None and row.override_until > timezone.now(),
            "may_reveal": bool(row.key) and request.user.has_perm(_MAY_REVEAL),
            "reveal_url": reverse("admin:licensing_integration_licenselink_reveal", args=[row.pk]),
        }

    # --- the whole key -----------------------------------------------------------------------------------------------

    def reveal_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The page once more, with the whole key on it. Not by redirect: a key has no place in a cookie or session."""
        if not (self.has_view_permission(request) and request.user.has_perm(_MAY_REVEAL)):
            raise PermissionDenied
        row = self.get_object(request, str(object_id))
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(object_id))
        if request.method != "POST":
            return HttpResponseRedirect(self.row_url(row))
        key = interventions.reveal_key(row.pk, user_id=request.user.pk)
        response = self.page(request, row, {"revealed_key": key})
        response["Cache-Control"] = "no-store"
        return response

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.reveal_view)
        name = "licensing_integration_licenselink_reveal"
        return [path("<int:object_id>/reveal/", view, name=name), *super().get_urls()]


def _dashboard_url(link: LicenseLink) -> str:
    """The license in the license server's own dashboard; empty when there is none or its server is gone."""
    if not link.external_id:
        return ""
    try:
        return backend_of(link.server).dashboard_url(link.external_id)
    except ConfigurationProblem:
        return ""
