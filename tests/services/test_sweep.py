"""The sweep: what should have moved and did not is set in motion again, once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from licensing_integration.domain.outcomes import EventState, SyncState
from licensing_integration.models import LicenseLink, Purchase, WebhookEvent
from licensing_integration.services import pipeline
from licensing_integration.services.sweep import GIVE_UP_WORKERS_AFTER, SECOND_LOOK, sweep
from tests.services.conftest import ATTRIBUTES, AVA, only_link


def lose_all_jobs() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")


def count_jobs() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_jobs")
        return int(cursor.fetchone()[0])


@pytest.fixture
def later():
    return timezone.now() + timedelta(seconds=30)


def test_an_event_whose_job_was_lost_still_becomes_a_license(shop, post, work, cryptlex, later):
    post(shop.buy(AVA, "photon-editor", attributes=ATTRIBUTES))
    lose_all_jobs()
    assert sweep(now=later)["events"] == 1
    work()
    assert len(cryptlex.licenses) == 1


def test_licenses_whose_jobs_were_lost_are_applied(shop, post, work, cryptlex, later):
    post(shop.buy(AVA, "photon-editor", quantity=7, attributes=ATTRIBUTES))
    event = WebhookEvent.objects.get()
    lose_all_jobs()
    pipeline.process_events([event.pk])
    lose_all_jobs()
    assert len(cryptlex.licenses) == 1
    assert sweep(now=later)["links"] == 6
    work()
    assert len(cryptlex.licenses) == 7
    assert set(LicenseLink.objects.values_list("sync_state", flat=True)) == {SyncState.SETTLED}


def test_what_waits_behind_a_long_queue_is_not_queued_again_by_every_sweep(shop, post, later):
    post(shop.buy(AVA, "photon-editor", attributes=ATTRIBUTES))
    sweep(now=later)
    before = count_jobs()
    assert sweep(now=later + timedelta(seconds=5))["events"] == 0
    assert count_jobs() == before
    assert sweep(now=later + SECOND_LOOK)["events"] == 1


def test_a_review_that_is_due_is_planned_once(shop, deliver, work, cryptlex, later):
    _, events = shop.subscribe(AVA, "studio-team", attributes=ATTRIBUTES)
    deliver(events[0])  # the activation alone; its order never comes
    assert not LicenseLink.objects.exists()
    Purchase.objects.update(review_at=later, first_seen_at=timezone.now() - timedelta(hours=2))
    assert sweep(now=later)["purchases"] == 1
    assert sweep(now=later)["purchases"] == 0
    work()
    assert only_link().sync_state == SyncState.SETTLED
    assert Purchase.objects.get().review_at is None


def test_jobs_of_a_worker_that_died_do_not_stay_for_ever(shop, post, later):
    post(shop.buy(AVA, "photon-editor", attributes=ATTRIBUTES))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - %s) RETURNING id",
            [GIVE_UP_WORKERS_AFTER + timedelta(seconds=1)],
        )
        worker_id = cursor.fetchone()[0]
        cursor.execute("UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s", [worker_id])
    sweep()
    assert count_jobs() == 0


def test_a_worker_goes_on_with_the_events_whose_jobs_still_wait(shop, post, cryptlex):
    for number in range(3):
        post(shop.buy(AVA, f"photon-editor-{number}", attributes=ATTRIBUTES))
    pipeline.drain_inbox()
    assert count_jobs() == 0
    assert len(cryptlex.licenses) == 3
    assert set(WebhookEvent.objects.values_list("state", flat=True)) == {EventState.APPLIED}
