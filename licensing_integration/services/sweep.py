"""The sweep: every few seconds, whatever should have moved and did not is set in motion again.

Jobs only wake workers; what is to be done stands in our tables. So a killed worker, a lost job, a restarted database
or a license server that was away all end here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeVar

from django.db import connection, transaction
from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from licensing_integration import conf, jobs
from licensing_integration.domain.outcomes import EventState, SyncState
from licensing_integration.models import LicenseLink, Purchase, WebhookEvent
from licensing_integration.services import replays

T = TypeVar("T", bound=Model)

AT_ONCE = 500
SECOND_LOOK = timedelta(minutes=1)

# Workers report every ten seconds.
GIVE_UP_WORKERS_AFTER = timedelta(seconds=60)

# A worker that was killed leaves its jobs "doing" for ever; their rows are swept anyway, so the jobs may go.
_DELETE_STALLED_JOBS = """
DELETE FROM procrastinate_jobs j
 WHERE j.status = 'doing' AND j.queue_name = %s
   AND NOT EXISTS (SELECT 1 FROM procrastinate_workers w
                    WHERE w.id = j.worker_id AND w.last_heartbeat > %s)
"""


def sweep(*, now: datetime | None = None) -> dict[str, int]:
    """Wake workers for everything that is due. Returns how many rows of each kind were found."""
    now = now or timezone.now()
    with transaction.atomic():
        events, links, purchases = _due_events(now), _due_links(now), _due_purchases(now)
        _look_again_later(now, events=events, links=links, purchases=purchases)
        jobs.enqueue_events(events)
        jobs.enqueue_links(links)
        jobs.enqueue_purchases(purchases)
        replays.go_on()
        with connection.cursor() as cursor:
            cursor.execute(_DELETE_STALLED_JOBS, [jobs.QUEUE, now - GIVE_UP_WORKERS_AFTER])
    return {"events": len(events), "links": len(links), "purchases": len(purchases)}


def _look_again_later(now: datetime, *, events: list[int], links: list[int], purchases: list[int]) -> None:
    """Behind a long queue the rows stay due for a while; without this every sweep would queue them once more."""
    WebhookEvent.objects.filter(pk__in=events).update(retry_at=now + _second_look())
    LicenseLink.objects.filter(pk__in=links).update(retry_at=None, updated_at=now)
    Purchase.objects.filter(pk__in=purchases).update(review_at=now + _second_look())


def _grace() -> timedelta:
    return timedelta(seconds=conf.sweep_grace_seconds())


def _second_look() -> timedelta:
    """For how long a job that the sweep has queued is believed to be on its way."""
    return min(SECOND_LOOK, 4 * _grace())


def _due_events(now: datetime) -> list[int]:
    due = Q(retry_at__isnull=True, received_at__lt=now - _grace()) | Q(retry_at__lte=now)
    waiting = WebhookEvent.objects.filter(due, state=EventState.RECEIVED)
    return list(_unlocked(waiting).order_by("id").values_list("id", flat=True)[:AT_ONCE])


def _due_links(now: datetime) -> list[int]:
    is_free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    is_due = Q(retry_at__isnull=True, updated_at__lt=now - _grace()) | Q(retry_at__lte=now)
    pending = LicenseLink.objects.filter(is_free, is_due, sync_state=SyncState.PENDING)
    return list(_unlocked(pending).order_by("id").values_list("id", flat=True)[:AT_ONCE])


def _due_purchases(now: datetime) -> list[int]:
    due = Purchase.objects.filter(review_at__lte=now)
    return list(_unlocked(due).order_by("review_at").values_list("id", flat=True)[:AT_ONCE])


def _unlocked(rows: QuerySet[T]) -> QuerySet[T]:
    """The rows nobody works on at this moment, held until they are marked. Waiting for a row could deadlock with
    planning, and whoever holds one is moving it anyway."""
    return rows.select_for_update(no_key=True, skip_locked=True)
