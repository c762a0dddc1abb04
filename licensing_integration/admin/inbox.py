"""The webhook log: what each store sent, our verdict, what it touched, and replay. And how much was refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from licensing_integration import conf
from licensing_integration.admin.actions import PageAction, ReasonForm, read_ids
from licensing_integration.admin.addresses import row_url
from licensing_integration.admin.attention import AttentionFilter
from licensing_integration.admin.event_effects import MOST_SHOWN, Effects, effects_of
from licensing_integration.admin.mixins import ReadOnlyAdmin, SearchMixin
from licensing_integration.admin.payloads import readable_json
from licensing_integration.admin.replays import MAY_REPLAY_MANY, confirmation
from licensing_integration.domain.outcomes import UNPROCESSABLE, EventState
from licensing_integration.exceptions import ConfigurationProblem
from licensing_integration.models import BulkReplay, LicenseLink, RejectedDelivery, WebhookEvent
from licensing_integration.services import erasure, interventions, rejections, replays, search
from licensing_integration.services.connections import adapter_of
from licensing_integration.services.rehearsal import preview_replay
from licensing_integration.templatetags.console import moment, state, tag

# Verdict → what it means, beside its label; and what to do next, empty for nothing.
VERDICTS: Mapping[str, tuple[str, str]] = {
    EventState.RECEIVED: (
        "It waits for a worker.",
        "If it stays so for more than a minute, see whether a worker is running.",
    ),
    EventState.APPLIED: ("The purchases it speaks of are up to date with it.", ""),
    EventState.IGNORED: ("We know this type; it means nothing for licensing.", ""),
    EventState.UNSUPPORTED: (
        "We do not know this type, so nothing was done.",
        "Switch the type off in the store and set the event aside, or replay it after an update that knows it.",
    ),
    EventState.MALFORMED: (
        "It cannot be read.",
        "Compare the payload below with the store's dashboard. Replay it after an update that can read it, "
        "or set it aside.",
    ),
    EventState.HELD: (
        "It is a test event, and test events of this store are held back.",
        "Replay it to apply it all the same.",
    ),
    EventState.FAILED: (
        "We could not process it.",
        "Mend what the problem above names, then replay it. If nothing is to come of it, set it aside.",
    ),
}

_SET_ASIDE = ("A person set it aside, so nothing comes of it unless it is replayed.", "")

_HEAVY = ("body", "fetched", "headers")
_LONGEST_ID = 32  # the stores make theirs of some 30 characters


def _declared_types() -> dict[str, frozenset[str]]:
    """For each configured store, the types its adapter knows."""
    types = {}
    for store in conf.stores():
        try:
            adapter = adapter_of(store)
        except ConfigurationProblem:
            continue
        types[store] = frozenset({*adapter.translators, *adapter.ignored})
    return types


class TypeFilter(admin.SimpleListFilter):
    """Event types, from what the stores' adapters declare: asking the table for its types would read all of it."""

    title = "type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        declared = _declared_types()
        chosen = request.GET.get(StoreFilter.parameter_name, "")
        types = declared.get(chosen) or frozenset().union(*declared.values())
        return [(name, name) for name in sorted(types)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        if _is_of_others(self.value(), store=request.GET.get(StoreFilter.parameter_name, "")):
            return queryset.none()  # PostgreSQL would have to read every event of the type to find that out
        return queryset.filter(event_type=self.value())


def _is_of_others(event_type: str, *, store: str) -> bool:
    """Whether other stores have that type and this one cannot send it."""
    declared = _declared_types()
    return store in declared and event_type not in declared[store] and any(event_type in t for t in declared.values())


class StoreFilter(admin.SimpleListFilter):
    """The configured stores."""

    title = "store"
    parameter_name = "store"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [(name, name) for name in conf.stores()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(store=self.value()) if self.value() else queryset


def _keys_of(effects: Effects) -> list[str]:
    """Every key of the purchases, longest first, so that one inside another leaves nothing over."""
    purchases = [effect.purchase.pk for effect in effects.purchases]
    links = LicenseLink.objects.filter(purchase_id__in=purchases).exclude(key="").order_by()
    return sorted(links.values_list("key", flat=True), key=len, reverse=True)


def _why_not_replay(event: WebhookEvent) -> str:
    if erasure.is_erased(event):
        return erasure.WHY_NO_REPLAY
    if event.state == EventState.RECEIVED:
        return "This event is waiting for a worker already."
    if event.state == EventState.IGNORED and not interventions.is_set_aside(event):
        return "Events of this type mean nothing for licensing; there is nothing to replay."
    return ""


def _replay(event: WebhookEvent, user_id: int, values: Mapping[str, Any]) -> str:
    interventions.replay_events([event.pk], user_id=user_id, reason=values["reason"])
    return "The event is translated and planned again; this takes a moment."


def _why_not_set_aside(event: WebhookEvent) -> str:
    return "" if event.state in UNPROCESSABLE else "Only events that could not be processed are set aside."


def _set_aside(event: WebhookEvent, user_id: int, values: Mapping[str, Any]) -> str:
    interventions.set_aside(event.pk, user_id=user_id, reason=values["reason"])
    return "Set aside. It no longer needs attention."


def _verdict_in_words(event: WebhookEvent) -> tuple[str, str]:
    """What its verdict means, and what to do next."""
    if erasure.is_erased(event):
        return erasure.WHY_NO_REPLAY, ""
    return _SET_ASIDE if interventions.is_set_aside(event) else VERDICTS[event.state]


@admin.register(WebhookEvent)
class WebhookEventAdmin(SearchMixin, ReadOnlyAdmin):
    list_display = (
        "received", "verdict", "type_or_nothing", "store", "short_id", "attempts", "short_problem",
    )  # fmt: skip
    list_display_links = ("received", "short_id")
    list_filter = (AttentionFilter, "state", StoreFilter, "is_live", "received_at", TypeFilter)
    ordering = ("-id",)
    sortable_by = ()
    actions = ("replay_selected",)
    many_permission = MAY_REPLAY_MANY
    list_before_template = "admin/licensing_integration/includes/webhook_log_links.html"
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
            is_bulk=False,  # the list replays any number, in the background
            run=_replay,
            why_not=_why_not_replay,
            preview=lambda events: preview_replay([event.pk for event in events]).sentences,
        ),
        PageAction(
            name="set-aside",
            label="Set aside",
            permission="licensing_integration.replay_webhookevent",
            explanation="Nothing comes of the event, and it leaves what needs attention. What was wrong with it stays "
            "readable, beside the reason, and it can still be replayed.",
            run=_set_aside,
            why_not=_why_not_set_aside,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEvent]:
        """Without the payloads, which may be megabytes each."""
        return super().get_queryset(request).defer(*_HEAVY)

    def for_actions(self, rows: QuerySet[WebhookEvent]) -> QuerySet[WebhookEvent]:
        """Without the payloads here, too: what may be done to many asks for none."""
        return rows

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> WebhookEvent | None:
        """With the payload, all of it at once."""
        event: WebhookEvent | None = super().get_object(request, object_id, from_field)
        if event is not None:
            event.refresh_from_db(fields=_HEAVY)
        return event

    @admin.display(description="received")
    def received(self, event: WebhookEvent) -> SafeString:
        return format_html('<span class="li-nowrap">{}</span>', moment(event.received_at, "seconds"))

    @admin.display(description="verdict")
    def verdict(self, event: WebhookEvent) -> SafeString:
        return state(event.state, event.get_state_display())

    @admin.display(description="type")
    def type_or_nothing(self, event: WebhookEvent) -> SafeString:
        test = "" if event.is_live else tag("Test", "warning")
        return format_html("{} {}", event.event_type or "unreadable", test)

    @admin.display(description="event id")
    def short_id(self, event: WebhookEvent) -> SafeString:
        """Whole, as far as the stores' own ids go; anything longer is whole on hover."""
        short = Truncator(event.external_id).chars(_LONGEST_ID)
        return format_html('<span class="li-mono" title="{}">{}</span>', event.external_id, short)

    @admin.display(description="problem")
    def short_problem(self, event: WebhookEvent) -> SafeString | str:
        short = Truncator(event.problem).chars(60)
        return format_html('<span class="li-problem">{}</span>', short) if short else ""

    def page_context(self, request: HttpRequest, row: WebhookEvent) -> dict[str, Any]:
        meaning, next_step = _verdict_in_words(row)
        effects = effects_of(row)
        keys = _keys_of(effects)
        return {
            "meaning": meaning,
            "next_step": next_step,
            "effects": effects,
            "most_shown": MOST_SHOWN,
            "headers": sorted((row.headers or {}).items()),
            "payload": readable_json(row.body, keys=keys),
            "fetched": readable_json(row.fetched, keys=keys) if row.fetched is not None else None,
        }

    # --- many at once ------------------------------------------------------------------------------------------------

    def has_bulk_replay_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(MAY_REPLAY_MANY))

    @admin.action(description="Replay…", permissions=["bulk_replay"])
    def replay_selected(self, request: HttpRequest, queryset: QuerySet[WebhookEvent]) -> HttpResponse | None:
        """Ask first, with the number of events by verdict and what replaying them would change."""
        ids = list(queryset.order_by("-id").values_list("id", flat=True)[: replays.MOST_EVENTS + 1])
        if len(ids) > replays.MOST_EVENTS:
            sentence = f"That is more than {replays.MOST_EVENTS} events; filter them, and replay them in smaller lots."
            self.message_user(request, sentence, messages.ERROR)
            return None
        return self._ask_about_replay(request, ids, form=ReasonForm())

    def bulk_replay_view(self, request: HttpRequest) -> HttpResponse:
        """Begin to replay exactly the events whose confirmation page was shown, whatever arrived meanwhile; or show
        that page once more with a longer look at what would change."""
        if not (self.has_view_permission(request) and self.has_bulk_replay_permission(request)):
            raise PermissionDenied
        ids, form = read_ids(request.POST.get("ids", "")), ReasonForm(request.POST)
        if request.method != "POST" or not ids:
            return HttpResponseRedirect(self.list_url())
        if "look" in request.POST:
            form = ReasonForm(initial={"reason": request.POST.get("reason", "")})
            return self._ask_about_replay(request, ids[: replays.MOST_EVENTS], form=form, is_long=True)
        if form.is_valid():
            try:
                replay = replays.start(ids, user_id=request.user.pk, reason=form.cleaned_data["reason"])
            except ValueError as error:
                form.add_error(None, str(error))
            else:
                return HttpResponseRedirect(row_url(BulkReplay, replay.pk))
        return self._ask_about_replay(request, ids[: replays.MOST_EVENTS], form=form)

    def _ask_about_replay(
        self, request: HttpRequest, ids: list[int], *, form: ReasonForm, is_long: bool = False
    ) -> HttpResponse:
        context = {**self._context(request, None), **confirmation(ids, form=form, is_long=is_long)}
        return TemplateResponse(request, "admin/licensing_integration/replay_many.html", context)

    def get_urls(self) -> list[URLPattern]:
        view: Callable[..., HttpResponse] = self.admin_site.admin_view(self.bulk_replay_view)
        own = [path("bulk-replay/", view, name="licensing_integration_webhookevent_bulk_replay")]
        return [*own, *super().get_urls()]


@admin.register(RejectedDelivery)
class RejectedDeliveryAdmin(ReadOnlyAdmin):
    list_display = ("last", "store", "why", "count", "first", "what_to_do")
    ordering = ("-last_at",)
    sortable_by = ()
    page_template = "admin/licensing_integration/rejected_delivery.html"
    empty_sentence = "No delivery has been refused. When one is, it is counted here, and nothing else of it is kept."

    @admin.display(description="last")
    def last(self, row: RejectedDelivery) -> SafeString:
        return moment(row.last_at, "seconds")

    @admin.display(description="first")
    def first(self, row: RejectedDelivery) -> SafeString:
        return moment(row.first_at, "seconds")

    @admin.display(description="why")
    def why(self, row: RejectedDelivery) -> str:
        return rejections.explain(row).meaning

    @admin.display(description="what to do")
    def what_to_do(self, row: RejectedDelivery) -> str:
        return rejections.explain(row).advice

    def page_context(self, request: HttpRequest, row: RejectedDelivery) -> dict[str, Any]:
        return {"explanation": rejections.explain(row)}
