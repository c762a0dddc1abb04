"""Bulk replays: what one will do, before it is begun; how far it has come; and the button that stops it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from licensing_integration.admin.addresses import row_url
from licensing_integration.admin.mixins import ReadOnlyAdmin
from licensing_integration.domain.outcomes import UNPROCESSABLE, EventState
from licensing_integration.domain.wording import count_of
from licensing_integration.models import BulkReplay, WebhookEvent
from licensing_integration.services import replays
from licensing_integration.services.rehearsal import (
    LONG_PREVIEW_SECONDS,
    NOTHING,
    PREVIEW_SECONDS,
    ReplayPreview,
    preview_replay,
)
from licensing_integration.templatetags.console import moment, state

# Nobody reads further before pressing the button.
MOST_SENTENCES = 100

# With more of them the counts alone are shown at first.
MOST_UNFOLDED = 10

MAY_REPLAY_MANY = "licensing_integration.bulk_replay_webhookevent"

_VERDICTS = dict(WebhookEvent._meta.get_field("state").flatchoices)


def confirmation(event_ids: Sequence[int], *, form: forms.Form, is_long: bool) -> dict[str, Any]:
    """What the page shows that asks before many events are replayed: how many of which verdict, and the effects.
    ``is_long``: somebody waits to see more of them."""
    found = replays.survey(event_ids)
    chosen = replays.what_can_be_replayed(event_ids)
    preview = preview_replay(chosen, seconds=LONG_PREVIEW_SECONDS if is_long else PREVIEW_SECONDS)
    return {
        "title": "Replay webhook events",
        "verdicts": _by_verdict(found, left_out=found - replays.survey(chosen)),
        "total": len(chosen),
        "preview": preview_sentences(preview) if chosen else None,
        "may_look_longer": preview.not_looked_at > 0 and not is_long,
        "most_unfolded": MOST_UNFOLDED,
        "ids": ",".join(str(pk) for pk in chosen),
        "form": form,
        "post_url": reverse("admin:licensing_integration_webhookevent_bulk_replay"),
        "back_url": reverse("admin:licensing_integration_webhookevent_changelist"),
    }


def preview_sentences(preview: ReplayPreview) -> dict[str, list[str]]:
    """What replaying several events would change: ``counts``, and then one by one."""
    counts = (
        (preview.changed, "would change something", "would change something"),
        (preview.unchanged, "would change nothing", "would change nothing"),
        (preview.failed, "could not be processed this time either", "could not be processed this time either"),
        (preview.not_looked_at, "was not looked at for this preview", "were not looked at for this preview"),
    )
    told = [f"{number} {one if number == 1 else many}" for number, one, many in counts if number]
    changes = [sentence for sentence in preview.sentences if sentence != NOTHING]
    more = len(changes) - MOST_SENTENCES
    left_out = [f"And {more} more changes."] if more > 0 else []
    summary = [preview.summary] if preview.summary else []
    return {
        "counts": [f"Of the events chosen, {', '.join(told)}.", *summary],
        "changes": [*changes[:MOST_SENTENCES], *left_out],
    }


def _by_verdict(found: Counter[str], *, left_out: Counter[str] | None = None) -> list[dict[str, Any]]:
    none_of = left_out or Counter[str]()
    return [
        {"state": one, "label": _VERDICTS[one], "number": found[one], "left_out": none_of[one]}
        for one in EventState
        if found[one]
    ]


@admin.register(BulkReplay)
class BulkReplayAdmin(ReadOnlyAdmin):
    list_display = ("started", "progress", "how_far", "created_by", "short_reason")
    ordering = ("-id",)
    sortable_by = ()
    page_template = "admin/licensing_integration/bulk_replay.html"
    empty_sentence = "No bulk replays yet. Choose events in the webhook log, then the action Replay."

    def get_queryset(self, request: HttpRequest) -> QuerySet[BulkReplay]:
        return replays.with_total(super().get_queryset(request)).select_related("created_by")

    @admin.display(description="started")
    def started(self, replay: BulkReplay) -> SafeString:
        return moment(replay.created_at, "seconds")

    @admin.display(description="state")
    def how_far(self, replay: BulkReplay) -> SafeString:
        return state(replay.state, replay.get_state_display())

    @admin.display(description="events")
    def progress(self, replay: Any) -> str:
        return f"{replay.done} of {replay.total}"

    @admin.display(description="reason")
    def short_reason(self, replay: BulkReplay) -> str:
        return Truncator(replay.reason).chars(80)

    def row_title(self, row: Any) -> str:
        return f"Replay of {count_of(row.total, 'event')}"

    def page_context(self, request: HttpRequest, row: BulkReplay) -> dict[str, Any]:
        became = replays.outcome(row)
        is_unfinished = row.state in replays.UNFINISHED
        return {
            "became": _by_verdict(became),
            "is_unfinished": is_unfinished,
            "waiting": became[EventState.RECEIVED],
            "is_moving": is_unfinished or became[EventState.RECEIVED] > 0,
            "needs_attention": any(became[verdict] for verdict in UNPROCESSABLE),
            "most_counted": replays.MOST_COUNTED,
            "may_cancel": request.user.has_perm(MAY_REPLAY_MANY),
            "progress_url": self.action_url("progress", row),
            "cancel_url": self.action_url("cancel", row),
            "log_url": reverse("admin:licensing_integration_webhookevent_changelist"),
        }

    def progress_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The part of the page that changes while it works; the page asks for it every two seconds."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, str(object_id))
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(object_id))
        context = {"row": row, "is_part": True, **self.page_context(request, row)}
        return TemplateResponse(request, "admin/licensing_integration/includes/replay_progress.html", context)

    def cancel_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        if not (self.has_view_permission(request) and request.user.has_perm(MAY_REPLAY_MANY)):
            raise PermissionDenied
        if request.method == "POST":
            if replays.cancel(object_id, user_id=request.user.pk):
                self.message_user(request, "Canceled. No further event is replayed.", messages.SUCCESS)
            else:
                self.message_user(request, "There was nothing left to cancel.", messages.WARNING)
        return HttpResponseRedirect(row_url(BulkReplay, object_id))

    def get_urls(self) -> list[URLPattern]:
        progress, cancel = self.admin_site.admin_view(self.progress_view), self.admin_site.admin_view(self.cancel_view)
        own = [
            path("<int:object_id>/progress/", progress, name="licensing_integration_bulkreplay_progress"),
            path("<int:object_id>/cancel/", cancel, name="licensing_integration_bulkreplay_cancel"),
        ]
        return [*own, *super().get_urls()]
