"""What people may do: replay an event or set it aside, resync or override a license, close a dispute.

Each leaves a history entry and an audit entry; the history entry of a replay is the one of its event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from licensing_integration import jobs
from licensing_integration.domain.outcomes import UNPROCESSABLE, EventState, FailureMode, LicenseState, SyncState
from licensing_integration.domain.purchases import Version
from licensing_integration.domain.wording import format_day, format_moment
from licensing_integration.models import HistoryEntry, LicenseLink, Purchase, WebhookEvent
from licensing_integration.services import audit, history
from licensing_integration.services.erasure import ERASED_BODY
from licensing_integration.services.purchases import load_state, store_state


def replay_events(event_ids: Sequence[int], *, user_id: int | None, reason: str) -> int:
    """Translate and plan these events again, test events that are held included. Safe for any event: one that is
    already applied changes nothing, one that waits or is ignored is left alone. Returns how many were set in motion."""
    with transaction.atomic():
        events = WebhookEvent.objects.filter(pk__in=set_in_motion(event_ids)).defer("body", "fetched", "headers")
        for event in events:
            audit.record("event.replay", f"Replay of {event} asked for.", user_id=user_id, reason=reason, event=event)
    return len(events)


def replayable(event_ids: Sequence[int]) -> QuerySet[WebhookEvent]:
    """Those of these events that a replay does not leave alone: they do not wait, are not of a type that means nothing,
    and their personal data, without which nothing could be planned, was not erased."""
    chosen = WebhookEvent.objects.filter(pk__in=event_ids).exclude(state=EventState.RECEIVED)
    return chosen.exclude(state=EventState.IGNORED, problem="").exclude(body=ERASED_BODY)


def set_in_motion(event_ids: Sequence[int], *, priority: int = 0) -> list[int]:
    """Give workers these events as if they had just arrived, in the caller's transaction; for ``replay_events`` and
    ``services.replays``, which tell the audit. Returns the ids of those that were not left alone."""
    ids = list(replayable(event_ids).select_for_update(no_key=True).order_by("id").values_list("id", flat=True))
    WebhookEvent.objects.filter(pk__in=ids).update(
        state=EventState.RECEIVED,
        problem="",
        failing_since=None,
        retry_at=None,
        attempts=0,
        fetched=None,
        # Says that it does not wait since it came.
        processed_at=Coalesce(F("processed_at"), F("received_at")),
    )
    jobs.enqueue_events(ids, priority=priority)
    return ids


def set_aside(event_id: int, *, user_id: int | None, reason: str) -> None:
    """Ignore an event that cannot be processed and need not be. What was wrong with it becomes, with the reason, its
    problem, and it can still be replayed.

    Raises ``ValueError`` when no reason is given, or when somebody has replayed the event or set it aside meanwhile.
    """
    if not reason.strip():
        raise ValueError("Give a reason; a colleague will ask for it.")
    with transaction.atomic():
        events = WebhookEvent.objects.defer("body", "fetched", "headers").select_for_update(no_key=True)
        event = events.get(pk=event_id)
        if event.state not in UNPROCESSABLE:
            raise ValueError(f"Its verdict is no longer what it was; it is {event.get_state_display().lower()} now.")
        told = audit.record("event.set_aside", f"Set {event} aside.", user_id=user_id, reason=reason, event=event)
        was = ": ".join(part for part in (event.get_state_display(), event.problem.rstrip(".")) if part)
        event.problem = f"{was}. Set aside by {told.user_name}: {reason}"
        event.state, event.failing_since = EventState.IGNORED, None
        event.save(update_fields=["state", "problem", "failing_since"])


def is_set_aside(event: WebhookEvent) -> bool:
    """Whether a person set it aside. What is ignored for its type has no problem."""
    return event.state == EventState.IGNORED and bool(event.problem)


def resync_link(link_id: int, *, user_id: int | None, reason: str) -> None:
    """Ask the server for the license as it is now and make every field match the plan, also those changed by hand."""
    with transaction.atomic():
        link = LicenseLink.objects.select_for_update(no_key=True).get(pk=link_id)
        link.applied, link.observed = None, None
        _wake(link)
        _write(link, kind="license.resync", sentence="Resync asked for.", reason=reason, user_id=user_id)


def issue_again(link_id: int, *, user_id: int | None, reason: str) -> None:
    """Forget a license that was deleted on the server, and issue a new one for its slot."""
    with transaction.atomic():
        link = LicenseLink.objects.select_for_update(no_key=True).get(pk=link_id)
        gone = f"Forgot license {link.shown_key} to issue a new one."
        link.external_id, link.key, link.applied, link.observed = "", "", None, None
        link.state, link.expires_at, link.issued_at, link.observed_at = LicenseState.ABSENT, None, None, None
        link.is_adoptable = True
        _wake(link)
        _write(link, kind="license.issue_again", sentence=gone, reason=reason, user_id=user_id)


def override_link(
    link_id: int,
    *,
    user_id: int | None,
    reason: str,
    until: datetime,
    state: LicenseState | None = None,
    expires_at: datetime | None = None,
) -> None:
    """Let a staff decision win over the plan until ``until``; afterwards what the store said meanwhile is applied.

    Raises ``ValueError`` when nothing is overridden, no reason is given, or ``until`` is past.
    """
    if state is None and expires_at is None:
        raise ValueError("Choose a state or an expiry date to override.")
    if not reason.strip():
        raise ValueError("Give a reason; the customer or a colleague will ask for it.")
    if until <= timezone.now():
        raise ValueError("The override must end in the future.")
    what = " and ".join(
        part
        for part in (
            f"state {state.value}" if state else "",
            f"expiry {format_day(expires_at)}" if expires_at else "",
        )
        if part
    )
    with transaction.atomic():
        link = LicenseLink.objects.select_for_update(no_key=True).get(pk=link_id)
        link.override_state = state.value if state else ""
        link.override_expires_at, link.override_until = expires_at, until
        link.override_reason, link.override_by_id = reason, user_id
        link.save()
        _write(
            link,
            kind="license.overridden",
            sentence=f"Override: {what} until {format_moment(until)}.",
            reason=reason,
            user_id=user_id,
        )
        jobs.enqueue_purchases([link.purchase_id])


def end_override(link_id: int, *, user_id: int | None, reason: str = "") -> None:
    """Let the plan win again, now."""
    with transaction.atomic():
        link = LicenseLink.objects.select_for_update(no_key=True).get(pk=link_id)
        link.override_state, link.override_expires_at, link.override_until = "", None, None
        link.override_reason, link.override_by = "", None
        link.save()
        _write(link, kind="license.override_ended", sentence="Override ended.", reason=reason, user_id=user_id)
        jobs.enqueue_purchases([link.purchase_id])


def close_disputes(purchase_id: int, *, user_id: int | None, reason: str) -> None:
    """Note that the open disputes of a purchase were won; FastSpring sends no event for that."""
    with transaction.atomic():
        purchase = Purchase.objects.select_for_update(no_key=True).get(pk=purchase_id)
        state = load_state(purchase)
        # Dated now, so that a replay of the event that opened it does not open it again.
        version = Version(occurred_at=timezone.now(), event_id="")
        closed = {n: replace(d, is_open=False, version=version) for n, d in state.disputes.items() if d.is_open}
        store_state(purchase, replace(state, disputes={**state.disputes, **closed}))
        purchase.save()
        _write_of_purchase(
            purchase, kind="purchase.dispute_closed", sentence="Dispute closed as won.", reason=reason, user_id=user_id
        )
        jobs.enqueue_purchases([purchase.pk])


def acknowledge_purchase(purchase_id: int, *, user_id: int | None, reason: str) -> None:
    """Take a purchase off the attention list; a person has looked."""
    with transaction.atomic():
        purchase = Purchase.objects.select_for_update(no_key=True).get(pk=purchase_id)
        purchase.attention = ""
        purchase.save(update_fields=["attention"])
        _write_of_purchase(
            purchase, kind="purchase.acknowledged", sentence="Looked after.", reason=reason, user_id=user_id
        )


def plan_again(purchase_id: int, *, user_id: int | None, reason: str) -> None:
    """Work out anew what the licenses of a purchase should look like; changes nothing that is already right."""
    with transaction.atomic():
        purchase = Purchase.objects.select_for_update(no_key=True).get(pk=purchase_id)
        _write_of_purchase(
            purchase, kind="purchase.plan_again", sentence="Planned again.", reason=reason, user_id=user_id
        )
        jobs.enqueue_purchases([purchase.pk])


def reveal_key(link_id: int, *, user_id: int | None) -> str:
    """The whole license key, to be shown; that somebody looked is kept. Empty, and nothing kept, if there is none."""
    return _hand_out_key(
        link_id, kind="license.key_revealed", sentence="The whole license key was shown.", user_id=user_id
    )


def copy_key(link_id: int, *, user_id: int | None) -> str:
    """The whole license key, for the clipboard; that somebody took it is kept. Empty, and nothing kept, if there is
    none."""
    return _hand_out_key(
        link_id, kind="license.key_copied", sentence="The whole license key was copied.", user_id=user_id
    )


def _hand_out_key(link_id: int, *, kind: str, sentence: str, user_id: int | None) -> str:
    with transaction.atomic():
        link = LicenseLink.objects.filter(pk=link_id).exclude(key="").first()
        if link is None:
            return ""
        _write(link, kind=kind, sentence=sentence, user_id=user_id)
    return link.key


def why_not_issue_again(link: LicenseLink) -> str:
    """Why this slot must not get a new license; empty when it may: it has none, or its server refused for good."""
    if link.desired.get("state") == LicenseState.ABSENT:
        return "No license is wanted for this slot; the purchase does not entitle to one."
    if not link.external_id:
        return "" if link.sync_state == SyncState.ATTENTION else "The license is being issued already."
    if link.sync_state == SyncState.ATTENTION and link.failure_mode == FailureMode.PERMANENT:
        return ""
    return "The license exists. Issue again is for licenses that were deleted on the license server."


def _wake(link: LicenseLink) -> None:
    link.sync_state, link.failure_mode, link.failure_message = SyncState.PENDING, FailureMode.NONE, ""
    link.failing_since, link.retry_at = None, None
    link.lease_token = None  # the answer to an attempt that is under way must not undo this
    link.save()
    jobs.enqueue_links([link.pk])


def _write(link: LicenseLink, *, kind: str, sentence: str, user_id: int | None, reason: str = "") -> None:
    """Tell it in the license's history and in the audit."""
    told = f"{sentence} {reason}".strip()
    HistoryEntry.objects.bulk_create([history.link_entry(link, kind=kind, sentence=told, user_id=user_id)])
    audit.record(kind, sentence, user_id=user_id, reason=reason, link=link)


def _write_of_purchase(purchase: Purchase, *, kind: str, sentence: str, user_id: int | None, reason: str) -> None:
    """Tell it in the purchase's history and in the audit."""
    history.purchase_entry(purchase, kind=kind, sentence=f"{sentence} {reason}".strip(), user_id=user_id).save()
    audit.record(kind, sentence, user_id=user_id, reason=reason, purchase=purchase)
