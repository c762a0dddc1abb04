"""How long work has been waiting for a worker."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from licensing_integration import jobs
from licensing_integration.services.backlog import queue_waits_since

pytestmark = pytest.mark.django_db


def _waiting(*, age: timedelta) -> datetime:
    """Queue a job as if it had been done so some time ago."""
    jobs.enqueue_events([1])
    moment = timezone.now() - age
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE procrastinate_events SET at = %s WHERE job_id = (SELECT max(id) FROM procrastinate_jobs)", [moment]
        )
    return moment


def test_an_empty_queue_keeps_nobody_waiting() -> None:
    assert queue_waits_since(now=timezone.now()) is None


def test_the_oldest_job_tells_since_when_the_queue_waits() -> None:
    oldest = _waiting(age=timedelta(minutes=10))
    _waiting(age=timedelta(minutes=5))
    assert queue_waits_since(now=timezone.now()) == oldest


def test_a_job_that_has_just_come_is_no_backlog() -> None:
    _waiting(age=timedelta(seconds=30))
    assert queue_waits_since(now=timezone.now()) is None


@pytest.mark.parametrize("change", ["status = 'doing'", "scheduled_at = now() + interval '1 hour'"])
def test_jobs_at_work_and_jobs_for_later_do_not_wait(change: str) -> None:
    _waiting(age=timedelta(minutes=10))
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE procrastinate_jobs SET {change}")
    assert queue_waits_since(now=timezone.now()) is None
