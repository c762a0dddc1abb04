"""What needs attention: a filter on the three lists, one overview page, and the summary on the admin's first page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from licensing_integration.models import LicenseLink, Purchase, RejectedDelivery, WebhookEvent
from licensing_integration.services import attention

_ANY: dict[type[Model], Callable[[], Q]] = {
    LicenseLink: attention.links_needing_attention,
    Purchase: attention.purchases_needing_attention,
    WebhookEvent: attention.events_needing_attention,
}


class AttentionFilter(admin.SimpleListFilter):
    """Rows that wait for a person: all of them, or those with one reason."""

    title = "needs attention"
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        concerns = attention.concerns_of(model_admin.model)
        return [("any", "Yes, for any reason"), *((concern.slug, concern.label) for concern in concerns)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "any":
            return queryset.filter(_ANY[queryset.model]())
        conditions = {concern.slug: concern.condition for concern in attention.concerns_of(queryset.model)}
        return queryset.filter(conditions.get(self.value() or "", Q()))


def _list_url(concern: attention.Concern) -> str:
    options = concern.model._meta
    return f"{reverse(f'admin:{options.app_label}_{options.model_name}_changelist')}?attention={concern.slug}"


def _summary(request: HttpRequest) -> list[dict[str, Any]]:
    """What waits, for every model this user may see."""
    sections = []
    for model in _ANY:
        options = model._meta
        if not request.user.has_perm(f"{options.app_label}.view_{options.model_name}"):
            continue
        counts = attention.summarize(attention.concerns_of(model))
        rows = [{"concern": count.concern, "count": count, "url": _list_url(count.concern)} for count in counts]
        sections.append({"title": options.verbose_name_plural, "rows": rows, "any": any(c.number for c in counts)})
    if request.user.has_perm(f"{RejectedDelivery._meta.app_label}.view_rejecteddelivery"):
        sections.append(_refused_deliveries())
    return sections


def _refused_deliveries() -> dict[str, Any]:
    url = reverse("admin:licensing_integration_rejecteddelivery_changelist")
    rows = [{"concern": count.concern, "count": count, "url": url} for count in attention.refused_deliveries()]
    return {"title": "deliveries", "rows": rows, "any": bool(rows)}


def attention_page(request: HttpRequest) -> HttpResponse:
    """Everything that waits for a person, by reason, with what to do about it."""
    sections = _summary(request)
    if not sections:
        raise PermissionDenied
    context = {**admin.site.each_context(request), "title": "Needs attention", "sections": sections}
    return TemplateResponse(request, "admin/licensing_integration/attention.html", context)


def _index_context(request: HttpRequest) -> dict[str, Any]:
    sections = _summary(request)
    waiting = [
        {**row, "kind": section["title"]} for section in sections for row in section["rows"] if row["count"].number
    ]
    return {"is_licensing_shown": bool(sections), "waiting": waiting}


admin.site.index_context = _index_context
admin.site.add_page("attention/", attention_page, name="attention")
