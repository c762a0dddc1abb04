"""The webhook log: what each store sent, our verdict, what it touched, and replay. And how much was refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from licensing_integration import conf
from licensing_integration.admin.attention import AttentionFilter
from licensing_integration.admin.mixins import NoForm, PageAction, ReadOnlyAdmin, SearchMixin, in_utc
from licensing_integration.admin.payloads import readable_json
from licensing_integration.domain.outcomes import EventState
from licensing_integration.exceptions import ConfigurationProblem
from licensing_integration.models import HistoryEntry, LicenseLink, RejectedDelivery, WebhookEvent
from licensing_integration.services import interventions, rejections, search
from licensing_integration.services.connections import adapter_of

MOST_REPLAYED = 5_000
MOST_TOUCHED = 100

# Verdict → what it means, what to do next.
VERDICTS: Mapping[str, tuple[str, str]] = {
    EventState.RECEIVED: (
        "Received. Work is waiting for a worker.",
        "Nothing. If it stays so for more than a minute, see whether a worker is running.",
    ),
    EventState.APPLIED: ("Applied. The purchases it speaks of are up to date with it.", "Nothing."),
    EventState.IGNORED: ("Ignored. We know this type; it means nothing for licensing.", "Nothing."),
    EventState.UNSUPPORTED: (
        "Unsupported. We do not know this type, so nothing was done.",
        "Switch the type off in the store, or replay it after an update that knows it.",
    ),
    EventState.MALFORMED: (
        "Malformed. It cannot be read.",
        "Compare the payload below with the store's dashboard. Replay it after an update that can read it.",
    ),
    EventState.HELD: (
        "Held. It is a test event, and test events of this store are held back.",
        "Replay it to apply it all the same.",
    ),
    EventState.FAILED: (
        "Failed. We could not process it.",
        "Mend what the problem below names, then replay it.",
    ),
}


class TypeFilter(admin.SimpleListFilter):
    """Event types, from what the stores' adapters declare: asking the table for its types would read all of it."""

    title = "type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        types: set[str] = set()
        for store in conf.stores():
            try:
                adapter = adapter_of(store)
            except ConfigurationProblem:
                continue
            types |= {*adapter.translators, *adapter.ignored}
        return [(name, name) for name in sorted(types)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(event_type=self.value()) if self.value() else queryset


class StoreFilter(admin.SimpleListFilter):
    """The configured stores."""

    title = "store"
    parameter_name = "store"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [(name, name) for name in conf.stores()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(store=self.value()) if self.value() else queryset


def _why_not_replay(event: WebhookEvent) -> str:
    if event.state == EventState.RECEIVED:
        return "This event is waiting for a worker already."
    if event.state == EventState.IGNORED:
        return "Events of this type mean nothing for licensing; there is nothing to replay."
    return ""


def _replay(event: WebhookEvent, user_id: int, values: Mapping[str, Any]) -> str:
    interventions.replay_events([event.pk])
    return "The event is translated and planned again; this takes a moment."


@admin.register(WebhookEvent)
class WebhookEventAdmin(SearchMixin, ReadOnlyAdmin):
    list_display = (
        "received", "store", "type_or_nothing", "external_id", "state", "is_live",
        "deliveries", "attempts", "short_problem",
    )  # fmt: skip
    list_display_links = ("received", "external_id")
    list_filter = (AttentionFilter, "state", StoreFilter, "is_live", "received_at", TypeFilter)
    ordering = ("-id",)
    sortable_by = ()
    actions = ("replay_selected",)
    found = search.events_of
    page_template = "admin/licensing_integration/webhook_event.html"
    empty_sentence = "No webhook events yet. They appear here as soon as a store sends the first one."
    page_actions: ClassVar = (
        PageAction(
            name="replay",
            label="Replay",
            permission="licensing_integration.replay_webhookevent",
            explanation="The event is translated and planned again, as if it had just arrived. "
            "An event that is applied already changes nothing.",
            form=NoForm,
            run=_replay,
            why_not=_why_not_replay,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEvent]:
        """Without the payloads, which may be megabytes each; the event's own page reads its one."""
        return super().get_queryset(request).defer("body", "fetched")

    @admin.display(description="received (UTC)")
    def received(self, event: WebhookEvent) -> SafeString:
        return in_utc(event.received_at, seconds=True)

    @admin.display(description="type", ordering="event_type", empty_value="unreadable")
    def type_or_nothing(self, event: WebhookEvent) -> str:
        return event.event_type

    @admin.display(description="problem")
    def short_problem(self, event: WebhookEvent) -> str:
        return Truncator(event.problem).chars(80)

    def page_context(self, request: HttpRequest, row: WebhookEvent) -> dict[str, Any]:
        meaning, next_step = VERDICTS[row.state]
        entries = HistoryEntry.objects.filter(event=row).select_related("purchase", "link__item").order_by("-id")
        entries = entries.defer("purchase__state", "link__desired", "link__applied", "link__observed")
        told = list(entries[:MOST_TOUCHED])
        purchases = {entry.purchase_id: entry.purchase for entry in told}
        return {
            "meaning": meaning,
            "next_step": next_step,
            "payload": readable_json(row.body),
            "fetched": readable_json(row.fetched) if row.fetched is not None else None,
            "entries": told,
            "purchases": [purchases[pk] for pk in sorted(purchases)],
            "links": _links_touched(row, told),
            "most_touched": MOST_TOUCHED,
        }

    # --- many at once ------------------------------------------------------------------------------------------------

    def has_bulk_replay_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("licensing_integration.bulk_replay_webhookevent"))

    @admin.action(description="Replay…", permissions=["bulk_replay"])
    def replay_selected(self, request: HttpRequest, queryset: QuerySet[WebhookEvent]) -> HttpResponse | None:
        """Ask first, with the number of events by verdict."""
        ids = list(queryset.order_by("id").values_list("id", flat=True)[: MOST_REPLAYED + 1])
        if len(ids) > MOST_REPLAYED:
            self.message_user(
                request, f"That is more than {MOST_REPLAYED} events; replay them in smaller lots.", messages.ERROR
            )
            return None
        return self._confirm_replay(request, ids)

    def _confirm_replay(self, request: HttpRequest, ids: list[int]) -> HttpResponse:
        chosen = WebhookEvent.objects.filter(pk__in=ids).order_by("state")
        counts = chosen.values("state").annotate(number=Count("id"))
        labels = dict(WebhookEvent._meta.get_field("state").flatchoices)
        verdicts = [
            {"label": labels[row["state"]], "number": row["number"], "is_skipped": row["state"] in _NOT_REPLAYED}
            for row in counts
        ]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Replay webhook events",
            "ids": ",".join(str(pk) for pk in ids),
            "verdicts": verdicts,
            "total": sum(verdict["number"] for verdict in verdicts if not verdict["is_skipped"]),
            "post_url": reverse("admin:licensing_integration_webhookevent_replay_many"),
            "list_url": reverse("admin:licensing_integration_webhookevent_changelist"),
        }
        return TemplateResponse(request, "admin/licensing_integration/replay_many.html", context)

    def replay_many_view(self, request: HttpRequest) -> HttpResponse:
        """Replay exactly the events whose confirmation page was shown, whatever arrived meanwhile."""
        if not (self.has_view_permission(request) and self.has_bulk_replay_permission(request)):
            raise PermissionDenied
        back = HttpResponseRedirect(reverse("admin:licensing_integration_webhookevent_changelist"))
        ids = [int(part) for part in request.POST.get("ids", "").split(",") if part.isascii() and part.isdigit()]
        if request.method != "POST" or not 0 < len(ids) <= MOST_REPLAYED:
            return back
        chosen = WebhookEvent.objects.filter(pk__in=ids).exclude(state__in=_NOT_REPLAYED).defer("body", "fetched")
        events = list(chosen)
        number = interventions.replay_events([event.pk for event in events])
        LogEntry.objects.log_actions(request.user.pk, events, CHANGE, "Replayed together with others")
        self.message_user(request, f"{number} event{'' if number == 1 else 's'} set in motion.", messages.SUCCESS)
        return back

    def get_urls(self) -> list[URLPattern]:
        view: Callable[..., HttpResponse] = self.admin_site.admin_view(self.replay_many_view)
        own = [path("replay/", view, name="licensing_integration_webhookevent_replay_many")]
        return [*own, *super().get_urls()]


_NOT_REPLAYED = (EventState.RECEIVED, EventState.IGNORED)


def _links_touched(event: WebhookEvent, entries: list[HistoryEntry]) -> list[LicenseLink]:
    """The licenses the event's history entries speak of, and those whose plan it changed last."""
    told = {entry.link.pk: entry.link for entry in entries if entry.link}
    planned = LicenseLink.objects.filter(cause=event).select_related("item").order_by("id")
    planned = planned.defer("desired", "applied", "observed")[:MOST_TOUCHED]
    links = told | {link.pk: link for link in planned}
    return [links[pk] for pk in sorted(links)]


@admin.register(RejectedDelivery)
class RejectedDeliveryAdmin(ReadOnlyAdmin):
    list_display = ("last", "store", "why", "count", "first", "what_to_do")
    ordering = ("-last_at",)
    sortable_by = ()
    page_template = "admin/licensing_integration/rejected_delivery.html"
    empty_sentence = "No delivery has been refused. When one is, it is counted here, and nothing else of it is kept."

    @admin.display(description="last (UTC)")
    def last(self, row: RejectedDelivery) -> SafeString:
        return in_utc(row.last_at, seconds=True)

    @admin.display(description="first (UTC)")
    def first(self, row: RejectedDelivery) -> SafeString:
        return in_utc(row.first_at, seconds=True)

    @admin.display(description="why")
    def why(self, row: RejectedDelivery) -> str:
        return rejections.explain(row).meaning

    @admin.display(description="what to do")
    def what_to_do(self, row: RejectedDelivery) -> str:
        return rejections.explain(row).advice

    def page_context(self, request: HttpRequest, row: RejectedDelivery) -> dict[str, Any]:
        return {"explanation": rejections.explain(row)}
