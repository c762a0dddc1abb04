"""The only speaker to the queue. Jobs wake workers; what is to be done stands in our own tables.

Everything here joins the caller's transaction: a job exists exactly if the rows it speaks of do. Tasks are named, not
imported, so that services never depend on tasks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from procrastinate.contrib.django import app
from procrastinate.jobs import Job

PROCESS_EVENTS = "licensing_integration.process_events"
APPLY_LINKS = "licensing_integration.apply_links"
PLAN_PURCHASES = "licensing_integration.plan_purchases"
SWEEP = "licensing_integration.sweep"
CATCH_UP = "licensing_integration.catch_up"
COUNT_FIGURES = "licensing_integration.count_figures"
REPLAY = "licensing_integration.replay"
SEND_KEY_MAILS = "licensing_integration.send_key_mails"

QUEUE = "default"

# The first license of an item is applied right after planning; the rest of a bulk order lets other customers pass.
BULK_PRIORITY = -10
REPLAY_PRIORITY = -20  # the next batch of a bulk replay is begun when nothing else waits
AWAITED_PRIORITY = 10  # the store holds an order back until these are done
LINKS_PER_JOB = 5

_TAKE_EVENTS = """
DELETE FROM procrastinate_jobs WHERE id = (
    SELECT id FROM procrastinate_jobs
     WHERE status = 'todo' AND task_name = %(task)s AND queue_name = %(queue)s
       AND (scheduled_at IS NULL OR scheduled_at <= now())
     ORDER BY priority DESC, id LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING args ->> 'event_ids'
"""

_IS_WAITING = "SELECT FROM procrastinate_jobs WHERE queueing_lock = %s AND status = 'todo'"

_OLDEST_WAITING = """
SELECT min(event.at) FROM procrastinate_events event
 WHERE event.type = 'deferred' AND event.job_id = (
    SELECT id FROM procrastinate_jobs
     WHERE status = 'todo' AND queue_name = %(queue)s AND (scheduled_at IS NULL OR scheduled_at <= %(now)s)
     ORDER BY id LIMIT 1)
"""


def enqueue_events(event_ids: Sequence[int], *, priority: int = 0) -> None:
    """Translate, plan and apply these webhook events, one job each."""
    _defer(PROCESS_EVENTS, [{"event_ids": [event_id]} for event_id in event_ids], priority=priority)


def take_waiting_events() -> list[int]:
    """Take over the events of the next waiting job, for a worker that has just finished one; empty if there is none.

    Under load this saves the queue's own cost of a job, about 3 ms of CPU. Nothing can be lost: if we are killed with
    the job gone, the sweep finds the events on their rows.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_EVENTS, {"task": PROCESS_EVENTS, "queue": QUEUE})
        row = cursor.fetchone()
    return list(json.loads(row[0])) if row else []


def oldest_waiting_at(*, now: datetime) -> datetime | None:
    """Since when the oldest job that could run has been waiting for a worker; ``None`` if none is."""
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST_WAITING, {"queue": QUEUE, "now": now})
        row = cursor.fetchone()
    return row[0] if row else None


def enqueue_links(link_ids: Sequence[int], *, priority: int = BULK_PRIORITY) -> None:
    """Apply these license links, a few per job: each job costs about 3 ms whatever it does."""
    chunks = [list(link_ids[i : i + LINKS_PER_JOB]) for i in range(0, len(link_ids), LINKS_PER_JOB)]
    _defer(APPLY_LINKS, [{"link_ids": chunk} for chunk in chunks], priority=priority)


def enqueue_purchases(purchase_ids: Sequence[int]) -> None:
    """Plan these purchases again, one job each."""
    _defer(PLAN_PURCHASES, [{"purchase_ids": [purchase_id]} for purchase_id in purchase_ids], priority=0)


def enqueue_key_mails(mail_ids: Sequence[int]) -> None:
    """Send these mails with license keys, one job each: a person on the telephone waits for them."""
    _defer(SEND_KEY_MAILS, [{"mail_ids": [mail_id]} for mail_id in mail_ids], priority=AWAITED_PRIORITY)


def enqueue_replay(replay_id: int) -> None:
    """Go on with this bulk replay, unless a job waits that will. Only for whoever holds its row locked: two at once
    would both see no job, and the second would fail."""
    queueing_lock = f"{REPLAY}:{replay_id}"
    with connection.cursor() as cursor:
        cursor.execute(_IS_WAITING, [queueing_lock])
        if cursor.fetchone() is None:
            _defer(REPLAY, [{"replay_id": replay_id}], priority=REPLAY_PRIORITY, queueing_lock=queueing_lock)


def _defer(
    task_name: str, all_args: Sequence[dict[str, Any]], *, priority: int, queueing_lock: str | None = None
) -> None:
    if not all_args:
        return
    jobs = [
        Job(
            id=None,
            queue=QUEUE,
            lock=None,
            queueing_lock=queueing_lock,
            task_name=task_name,
            task_kwargs=args,
            priority=priority,
        )
        for args in all_args
    ]
    app.job_manager.batch_defer_jobs(jobs=jobs)
