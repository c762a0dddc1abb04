"""Figures: each day counted from its own events and history, and again while that can change it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from procrastinate import JobContext
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import Job

from licensing_integration import jobs, tasks
from licensing_integration.domain.figures import Figures
from licensing_integration.models import DailyFigures
from licensing_integration.services import figures
from licensing_integration.services.codec import from_json
from tests.admin.statistics import forget_statistics
from tests.factories import HistoryEntryFactory, LicenseLinkFactory, WebhookEventFactory

pytestmark = pytest.mark.django_db

DAY = date(2026, 6, 30)
START, END = datetime(2026, 6, 30, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)
NOON = START + timedelta(hours=12)
INSTANT = timedelta(microseconds=1)
NOW = datetime(2026, 7, 1, 8, 0, tzinfo=UTC)
TODAY = date(2026, 7, 1)


def _told(kind: str, at: datetime = NOON, **fields: Any) -> Any:
    link = fields.pop("link", None) or LicenseLinkFactory(server=fields.pop("server", "cryptlex"))
    return HistoryEntryFactory(link=link, kind=f"license.{kind}", at=at, **fields)


# --- one day ---------------------------------------------------------------------------------------------------------


def test_a_day_without_anything_has_no_figures() -> None:
    assert figures.count_day(DAY) == Figures()


def test_events_are_counted_by_verdict_from_midnight_to_midnight_in_utc() -> None:
    for moment in (START - INSTANT, START, NOON, END - INSTANT, END):
        WebhookEventFactory(received_at=moment)
    WebhookEventFactory(received_at=NOON, state="failed")
    assert figures.count_day(DAY).events == {"applied": 3, "failed": 1}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("issued", {"issued": 1}),
        ("renewed", {"renewed": 1}),
        ("suspended", {"suspended": 1}),
        ("revoked", {"ended": 1}),
        ("deleted", {"ended": 1}),
        ("changed", {}),
        ("failed", {}),
    ],
)
def test_licenses_are_counted_by_what_happened_to_them(kind: str, expected: dict[str, int]) -> None:
    _told(kind)
    assert figures.count_day(DAY).licenses == expected


def test_a_license_counts_once_however_often_it_happened_to_it() -> None:
    link = _told("suspended").link
    _told("suspended", link=link)
    _told("suspended")
    assert figures.count_day(DAY).licenses == {"suspended": 2}


def test_licenses_of_other_days_do_not_count() -> None:
    for moment in (START - INSTANT, START, END - INSTANT, END):
        _told("renewed", moment)
    assert figures.count_day(DAY).licenses == {"renewed": 2}


def test_errors_are_counted_by_license_server() -> None:
    link = _told("failed").link
    _told("failed", link=link)
    _told("failed", server="licensespring")
    _told("failed", server="licensespring")
    assert figures.count_day(DAY).errors == {"cryptlex": 1, "licensespring": 2}


def test_the_time_from_event_to_license_is_that_of_licenses_issued() -> None:
    for seconds in range(1, 102):
        event = WebhookEventFactory(received_at=NOON - timedelta(seconds=seconds))
        _told("issued", event=event)
    _told("renewed", event=WebhookEventFactory(received_at=NOON - timedelta(days=300)))
    _told("issued", at=END, event=WebhookEventFactory(received_at=NOON))
    _told("issued")  # by a person or by the clock
    counted = figures.count_day(DAY)
    assert (counted.seconds_p50, counted.seconds_p95) == (51.0, 96.0)


# --- which days ------------------------------------------------------------------------------------------------------


def test_the_first_time_every_day_is_counted_the_newest_first() -> None:
    counted = figures.count_days(now=NOW)
    assert counted == [TODAY - timedelta(days=n) for n in range(figures.DAYS)]
    assert list(DailyFigures.objects.values_list("day", flat=True)) == counted


def test_later_only_today_yesterday_and_the_day_counted_longest_ago_are_counted_again() -> None:
    figures.count_days(now=NOW)
    stale = TODAY - timedelta(days=9)
    DailyFigures.objects.filter(day=stale).update(counted_at=NOW - timedelta(hours=1))
    later = NOW + timedelta(minutes=5)
    assert figures.count_days(now=later) == [TODAY, TODAY - timedelta(days=1), stale]
    assert DailyFigures.objects.get(day=stale).counted_at == later


def test_days_that_are_missing_are_counted() -> None:
    figures.count_days(now=NOW)
    missing = {TODAY - timedelta(days=3), TODAY - timedelta(days=29)}
    DailyFigures.objects.filter(day__in=missing).delete()
    assert missing < set(figures.count_days(now=NOW))


def test_every_older_day_has_its_turn() -> None:
    counted: set[date] = set()
    for n in range(figures.DAYS):
        counted |= set(figures.count_days(now=NOW + n * timedelta(minutes=5))[:3])
    assert len(counted) == figures.DAYS


def test_counting_again_replaces_the_figures() -> None:
    figures.count_days(now=NOW)
    WebhookEventFactory(received_at=NOW)
    figures.count_days(now=NOW)
    row = DailyFigures.objects.get(day=TODAY)
    assert from_json(row.values, Figures).events == {"applied": 1}


def test_the_last_days_are_read_today_last_and_unknown_where_not_counted() -> None:
    WebhookEventFactory(received_at=NOON)
    figures.count_days(now=NOW)
    DailyFigures.objects.filter(day=TODAY).delete()
    assert figures.recent(2, now=NOW) == [(DAY, Figures(events={"applied": 1})), (TODAY, None)]


def test_reading_is_one_query(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert len(figures.recent(30, now=NOW)) == 30


def test_each_day_is_a_few_queries(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(3):
        figures.count_day(DAY)


def test_a_day_is_found_by_the_index_of_days() -> None:
    with connection.cursor() as cursor:
        forget_statistics(cursor)
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {figures._SECONDS}", {"kinds": ["license.issued"], "start": START, "end": END})
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "history_by_day" in plan
    assert "Seq Scan" not in plan


# --- the task --------------------------------------------------------------------------------------------------------


def test_the_task_stops_between_days_when_the_worker_stops() -> None:
    stops = iter([None, "shutdown", "shutdown"])
    job = Job(id=1, queue=jobs.QUEUE, lock=None, queueing_lock=None, task_name=jobs.COUNT_FIGURES, task_kwargs={})
    context = JobContext(app=app, job=job, start_timestamp=0.0, abort_reason=lambda: next(stops))
    tasks.count_figures_task.func(context, timestamp=0)
    assert DailyFigures.objects.count() == 1


def test_it_runs_every_five_minutes_and_waits_in_the_queue_only_once() -> None:
    crons = {task.task.name: task.cron for task in app.periodic_registry.periodic_tasks.values()}
    assert crons[jobs.COUNT_FIGURES] == "*/5 * * * *"
    tasks.count_figures_task.defer(timestamp=1)
    with pytest.raises(AlreadyEnqueued), transaction.atomic():
        tasks.count_figures_task.defer(timestamp=2)
