"""The only speaker to the queue. Jobs wake workers; what is to be done stands in our own tables.

Everything here joins the caller's transaction: a job exists exactly if the rows it speaks of do. Tasks are named, not
imported, so that services never depend on tasks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.db import connection
from procrastinate.contrib.django import app
from procrastinate.jobs import Job

PROCESS_EVENTS = "licensing_integration.process_events"
APPLY_LINKS = "licensing_integration.apply_links"
PLAN_PURCHASES = "licensing_integration.plan_purchases"
SWEEP = "licensing_integration.sweep"
CATCH_UP = "licensing_integration.catch_up"

QUEUE = "default"

# The first license of an item is applied right after planning; the rest of a bulk order lets other customers pass.
BULK_PRIORITY = -10
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


def enqueue_events(event_ids: Sequence[int]) -> None:
    """Translate, plan and apply these webhook events, one job each."""
    _defer(PROCESS_EVENTS, [{"event_ids": [event_id]} for event_id in event_ids], priority=0)


def take_waiting_events() -> list[int]:
    """Take over the events of the next waiting job, for a worker that has just finished one; empty if there is none.

    Under load this saves the queue's own cost of a job, about 3 ms of CPU. Nothing can be lost: if we are killed with
    the job gone, the sweep finds the events on their rows.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_EVENTS, {"task": PROCESS_EVENTS, "queue": QUEUE})
        row = cursor.fetchone()
    return list(json.loads(row[0])) if row else []


def enqueue_links(link_ids: Sequence[int], *, priority: int = BULK_PRIORITY) -> None:
    """Apply these license links, a few per job: each job costs about 3 ms whatever it does."""
    chunks = [list(link_ids[i : i + LINKS_PER_JOB]) for i in range(0, len(link_ids), LINKS_PER_JOB)]
    _defer(APPLY_LINKS, [{"link_ids": chunk} for chunk in chunks], priority=priority)


def enqueue_purchases(purchase_ids: Sequence[int]) -> None:
    """Plan these purchases again, one job each."""
    _defer(PLAN_PURCHASES, [{"purchase_ids": [purchase_id]} for purchase_id in purchase_ids], priority=0)


def _defer(task_name: str, all_args: Sequence[dict[str, Any]], *, priority: int) -> None:
    if not all_args:
        return
    jobs = [
        Job(
            id=None,
            queue=QUEUE,
            lock=None,
            queueing_lock=None,
            task_name=task_name,
            task_kwargs=args,
            priority=priority,
        )
        for args in all_args
    ]
    app.job_manager.batch_defer_jobs(jobs=jobs)
