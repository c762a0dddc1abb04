"""Bulk replays: batch by batch, each event once, whatever is killed, repeated or canceled in between."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event as Flag
from threading import Thread
from typing import Any

import pytest
from django.db import connection, transaction

from licensing_integration import jobs, tasks
from licensing_integration.domain.outcomes import EventState, ReplayState
from licensing_integration.models import AuditEntry, BulkReplay, WebhookEvent
from licensing_integration.services import pipeline, replays
from licensing_integration.services.erasure import ERASED_BODY
from licensing_integration.services.sweep import sweep
from tests.factories import UserFactory, WebhookEventFactory
from tests.services.conftest import ATTRIBUTES, AVA


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "EVENTS_PER_BATCH", 2)


@pytest.fixture
def failed(db: None) -> list[WebhookEvent]:
    return WebhookEventFactory.create_batch(5, state="failed", problem="No.", attempts=3)


def _start(events: Sequence[WebhookEvent]) -> BulkReplay:
    return replays.start([event.pk for event in events], user_id=None, reason="The server is back.")


def _now(replay: BulkReplay) -> tuple[str, int]:
    replay.refresh_from_db()
    return replay.state, replay.done


def _jobs(task: str) -> list[tuple[int, dict[str, Any]]]:
    """Priority and arguments of the task's jobs, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT priority, args::text FROM procrastinate_jobs WHERE task_name = %s ORDER BY id", [task])
        return [(priority, json.loads(arguments)) for priority, arguments in cursor.fetchall()]


def _lose_jobs() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")


def _set_in_motion() -> list[int]:
    return [arguments["event_ids"][0] for _, arguments in _jobs(jobs.PROCESS_EVENTS)]


# --- starting --------------------------------------------------------------------------------------------------------


def test_it_begins_with_one_job_and_tells_the_audit_who_and_why(failed: list[WebhookEvent]) -> None:
    user = UserFactory()
    replay = replays.start([event.pk for event in reversed(failed)], user_id=user.pk, reason="The server is back.")
    assert (replay.state, replay.done, replay.event_ids) == (ReplayState.WAITING, 0, [event.pk for event in failed])
    assert _jobs(jobs.REPLAY) == [(jobs.REPLAY_PRIORITY, {"replay_id": replay.pk})]
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.user, entry.reason) == ("event.replay_many", user, "The server is back.")
    assert "of 5 events started" in entry.sentence
    assert _set_in_motion() == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("ids", "reason", "sentence"),
    [([], "because", "None of these"), ([1, 2, 3], "because", "too many"), ([1], "  ", "Give a reason")],
)
def test_what_makes_no_sense_is_refused(
    ids: list[int], reason: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "MOST_EVENTS", 2)
    with pytest.raises(ValueError, match=sentence):
        replays.start(ids, user_id=None, reason=reason)
    assert (BulkReplay.objects.count(), AuditEntry.objects.count(), _jobs(jobs.REPLAY)) == (0, 0, [])


# --- working through -------------------------------------------------------------------------------------------------


def test_every_event_is_set_in_motion_once_and_in_order(small_batches: None, failed: list[WebhookEvent]) -> None:
    replay = _start(failed)
    steps = []
    for _ in range(4):
        replays.work_through(replay.pk)
        steps.append(_now(replay))
    assert steps == [("running", 2), ("running", 4), ("done", 5), ("done", 5)]
    assert replay.finished_at is not None
    assert _set_in_motion() == [event.pk for event in failed]
    assert set(WebhookEvent.objects.values_list("state", "problem", "attempts")) == {("received", "", 0)}


def test_each_batch_leaves_a_job_for_the_next_and_the_last_leaves_none(
    small_batches: None, failed: list[WebhookEvent]
) -> None:
    replay = _start(failed)
    found = []
    for _ in range(3):
        _lose_jobs()
        replays.work_through(replay.pk)
        found.append(len(_jobs(jobs.REPLAY)))
    assert found == [1, 1, 0]


def test_everything_else_passes_it(small_batches: None, failed: list[WebhookEvent]) -> None:
    replays.work_through(_start(failed).pk)
    priorities = {priority for priority, _ in _jobs(jobs.PROCESS_EVENTS)}
    assert priorities == {jobs.BULK_PRIORITY}
    assert 0 > jobs.BULK_PRIORITY > jobs.REPLAY_PRIORITY


def test_what_has_nothing_to_replay_or_is_gone_is_passed_over(failed: list[WebhookEvent]) -> None:
    ignored, deleted = WebhookEventFactory(state="ignored"), WebhookEventFactory(state="failed")
    replay = _start([*failed, ignored, deleted])
    deleted.delete()
    replays.work_through(replay.pk)
    assert _now(replay) == ("done", 7)
    assert _set_in_motion() == [event.pk for event in failed]


def test_an_event_whose_personal_data_was_erased_is_not_counted(failed: list[WebhookEvent]) -> None:
    WebhookEvent.objects.filter(pk=failed[0].pk).update(body=ERASED_BODY)
    ids = [event.pk for event in failed]
    assert replays.what_can_be_replayed(ids) == ids[1:]


def test_replayed_events_become_licenses(shop, post, work, cryptlex, monkeypatch) -> None:
    monkeypatch.setattr(replays, "EVENTS_PER_BATCH", 1)
    orders = [shop.buy(AVA, f"photon-{n}", attributes=ATTRIBUTES) for n in range(3)]
    for order in orders:
        post(order)
    _lose_jobs()
    WebhookEvent.objects.update(state=EventState.FAILED)
    replay = _start(list(WebhookEvent.objects.all()))
    for _ in orders:
        _lose_jobs_of_replays()
        tasks.replay_task(replay.pk)
        _lose_jobs_of_replays()
        work()
    assert _now(replay) == ("done", 3)
    assert len(cryptlex.licenses) == 3
    assert replays.outcome(replay) == {EventState.APPLIED: 3}


def _lose_jobs_of_replays() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs WHERE task_name = %s", [jobs.REPLAY])


# --- killed, repeated, canceled --------------------------------------------------------------------------------------


def test_a_worker_killed_in_the_middle_of_a_batch_leaves_no_trace_of_it(
    small_batches: None, failed: list[WebhookEvent]
) -> None:
    replay = _start(failed)
    replays.work_through(replay.pk)
    with transaction.atomic():
        replays.work_through(replay.pk)
        transaction.set_rollback(True)  # what PostgreSQL does when a worker is gone
    assert _now(replay) == ("running", 2)
    assert _set_in_motion() == [event.pk for event in failed[:2]]
    replays.work_through(replay.pk)
    replays.work_through(replay.pk)
    assert _now(replay) == ("done", 5)
    assert _set_in_motion() == [event.pk for event in failed]


def test_a_lost_job_is_made_again_by_the_sweep_once(failed: list[WebhookEvent]) -> None:
    replay = _start(failed)
    _lose_jobs()
    for _ in range(3):
        sweep()
    assert _jobs(jobs.REPLAY) == [(jobs.REPLAY_PRIORITY, {"replay_id": replay.pk})]


def test_a_finished_replay_gets_no_job(failed: list[WebhookEvent]) -> None:
    replays.work_through(_start(failed).pk)
    canceled = _start(failed)
    replays.cancel(canceled.pk, user_id=None)
    _lose_jobs()
    sweep()
    assert _jobs(jobs.REPLAY) == []


@pytest.mark.django_db(transaction=True)
def test_of_two_jobs_at_once_one_does_nothing(small_batches: None) -> None:
    failed = WebhookEventFactory.create_batch(5, state="failed")
    replay = _start(failed)
    with _another_worker_at(replay):
        replays.work_through(replay.pk)
        sweep()
    assert _now(replay) == ("running", 2)
    assert len(_jobs(jobs.REPLAY)) == 1  # the first one; that of the worker makes none beside it
    assert _set_in_motion() == [event.pk for event in failed[:2]]


@pytest.mark.django_db(transaction=True)
def test_a_second_job_that_comes_later_repeats_nothing(small_batches: None) -> None:
    failed = WebhookEventFactory.create_batch(5, state="failed")
    replay = _start(failed)
    threads = [Thread(target=_work_alone, args=[replay.pk]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while _now(replay)[0] != ReplayState.DONE:
        replays.work_through(replay.pk)
    assert sorted(_set_in_motion()) == [event.pk for event in failed]


def test_a_canceled_replay_stops_between_batches(small_batches: None, failed: list[WebhookEvent]) -> None:
    replay, user = _start(failed), UserFactory()
    replays.work_through(replay.pk)
    assert replays.cancel(replay.pk, user_id=user.pk) is True
    replays.work_through(replay.pk)
    assert _now(replay) == ("canceled", 2)
    assert replay.finished_at is not None
    assert _set_in_motion() == [event.pk for event in failed[:2]]
    entry = AuditEntry.objects.get(action="event.replay_canceled")
    assert (entry.user, entry.sentence) == (user, f"Bulk replay {replay.pk} canceled after 2 of 5 events.")


def test_there_is_nothing_to_cancel_in_one_that_has_ended(failed: list[WebhookEvent]) -> None:
    replay = _start(failed)
    replays.work_through(replay.pk)
    assert replays.cancel(replay.pk, user_id=None) is False
    assert _now(replay) == ("done", 5)
    assert replays.cancel(0, user_id=None) is False


@pytest.mark.django_db(transaction=True)
def test_canceling_waits_for_the_batch_under_way() -> None:
    replay = _start(WebhookEventFactory.create_batch(5, state="failed"))
    with _another_worker_at(replay) as let_go:
        canceler = Thread(target=_cancel_alone, args=[replay.pk])
        canceler.start()
        let_go.set()
        canceler.join()
    assert _now(replay) == ("done", 5)


# --- looking ---------------------------------------------------------------------------------------------------------


def test_verdicts_are_counted(failed: list[WebhookEvent]) -> None:
    ignored = WebhookEventFactory(state="ignored")
    ids = [*(event.pk for event in failed), ignored.pk, 0]
    assert replays.survey(ids) == {"failed": 5, "ignored": 1}
    assert replays.what_can_be_replayed(reversed(ids)) == [event.pk for event in failed]
    assert replays.survey([]) == {}


def test_the_outcome_speaks_of_what_was_set_in_motion_only(small_batches: None, failed: list[WebhookEvent]) -> None:
    replay = _start(failed)
    assert replays.outcome(replay) == {}
    replays.work_through(replay.pk)
    replay.refresh_from_db()
    assert replays.outcome(replay) == {"received": 2}
    pipeline.process_events([failed[0].pk])  # its body says nothing, so it is malformed
    assert replays.outcome(replay) == {"received": 1, "malformed": 1}


def test_the_number_of_events_is_known_without_reading_their_ids(
    failed: list[WebhookEvent], django_assert_num_queries: Any
) -> None:
    _start(failed)
    with django_assert_num_queries(1):
        (replay,) = replays.with_total(BulkReplay.objects.all())
        assert replay.total == 5
    assert replay.get_deferred_fields() == {"event_ids"}


@contextmanager
def _another_worker_at(replay: BulkReplay) -> Iterator[Flag]:
    """Another worker that has done its batch and commits when the block ends, or when the flag is set."""
    has_begun, let_go = Flag(), Flag()

    def _run() -> None:
        try:
            with transaction.atomic():
                replays.work_through(replay.pk)
                has_begun.set()
                let_go.wait(10)
        finally:
            connection.close()

    worker = Thread(target=_run)
    worker.start()
    assert has_begun.wait(10)
    yield let_go
    let_go.set()
    worker.join()


def _work_alone(replay_id: int) -> None:
    try:
        replays.work_through(replay_id)
    finally:
        connection.close()


def _cancel_alone(replay_id: int) -> None:
    try:
        replays.cancel(replay_id, user_id=None)
    finally:
        connection.close()
