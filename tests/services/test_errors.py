"""What a license server may answer besides yes, and what follows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from licensing_integration.domain.outcomes import FailureMode, SyncState
from licensing_integration.models import LicenseLink
from licensing_integration.services import interventions
from tests.services.conftest import ATTRIBUTES, AVA, only_link
from tests.services.scenario import (
    CHANGE,
    CREATE,
    LOST_ANSWERS,
    NOTHING_DONE,
    kinds,
    photon_order,
    sentences,
    states,
    try_again,
)


@pytest.mark.parametrize("status", [401, 403])
def test_rejected_credentials_are_a_configuration_problem_that_is_tried_again(shop, deliver, work, cryptlex, status):
    cryptlex.faults.add(path="*", kind="status", status=status)
    deliver(photon_order(shop))
    link = only_link()
    assert (link.sync_state, link.failure_mode) == (SyncState.PENDING, FailureMode.CONFIG)
    assert timedelta(minutes=9) < link.retry_at - timezone.now() < timedelta(minutes=11)
    assert "access token" in link.failure_message
    try_again(work)
    assert only_link().sync_state == SyncState.SETTLED
    assert only_link().failure_mode == FailureMode.NONE


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_a_refusal_needs_a_person_and_is_told_in_the_servers_words(shop, deliver, work, cryptlex, status):
    fault = {"kind": "status", "status": status, "message": "The template demands metadata."}
    cryptlex.faults.add(**CREATE, **fault)
    deliver(photon_order(shop))
    link = only_link()
    assert (link.sync_state, link.failure_mode) == (SyncState.ATTENTION, FailureMode.PERMANENT)
    assert "The template demands metadata." in link.failure_message
    assert "It needs a person." in sentences(kind="license.failed")
    try_again(work)
    assert cryptlex.licenses == []
    interventions.resync_link(link.pk, user_id=None, reason="The template was mended.")
    work()
    assert states(cryptlex) == ["active"]
    assert only_link().sync_state == SyncState.SETTLED


def test_new_facts_may_mend_what_was_refused(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    cryptlex.faults.add(**CHANGE, kind="status", status=400)
    deliver(shop.overdue(subscription))
    assert only_link().sync_state == SyncState.ATTENTION
    deliver(shop.renew(subscription))
    assert only_link().sync_state == SyncState.SETTLED
    assert states(cryptlex) == ["active"]


@pytest.mark.parametrize(("header", "at_least"), [({"retry_after": 70}, 69), ({"reset_in": 90}, 88), ({}, 4)], ids=str)
def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(shop, deliver, work, cryptlex, header, at_least):
    cryptlex.faults.add(**CREATE, kind="status", status=429, **header)
    deliver(photon_order(shop))
    link = only_link()
    assert link.retry_at - timezone.now() > timedelta(seconds=at_least - 1)
    assert link.unclear_attempts == 0
    try_again(work)
    assert len(cryptlex.licenses) == 1
    assert cryptlex.request_counts.get("GET /v3/licenses", 0) == 0  # nothing was done, so nothing is looked for


def test_waits_grow_from_attempt_to_attempt(shop, deliver, work, cryptlex):
    cryptlex.faults.add(path="*", kind="status", status=500, times=None)
    deliver(photon_order(shop))
    waits = []
    for _ in range(5):
        waits.append((only_link().retry_at - timezone.now()).total_seconds())
        try_again(work)
    assert waits[-1] > 4 * waits[0]
    assert len(kinds(kind="license.failed")) == 2  # one for each call that failed, not one for each attempt


def test_after_three_days_a_person_is_asked(shop, deliver, work, cryptlex):
    cryptlex.faults.add(path="*", kind="status", status=500, times=None)
    deliver(photon_order(shop))
    LicenseLink.objects.update(failing_since=timezone.now() - timedelta(days=3, seconds=1))
    try_again(work)
    link = only_link()
    assert (link.sync_state, link.failure_mode) == (SyncState.ATTENTION, FailureMode.EXCEEDED)
    assert "Given up after three days" in link.failure_message
    cryptlex.faults.clear()
    interventions.resync_link(link.pk, user_id=None, reason="It is back.")
    try_again(work)
    assert len(cryptlex.licenses) == 1
    assert only_link().failing_since is None


def test_a_server_that_cannot_be_reached_is_tried_again(shop, deliver, work, cryptlex):
    cryptlex.stop()
    deliver(photon_order(shop))
    link = only_link()
    assert (link.sync_state, link.unclear_attempts) == (SyncState.PENDING, 0)
    assert "cannot be reached" in link.failure_message


def test_an_error_of_ours_stops_one_license_and_shows_nothing_of_it(shop, deliver, work, cryptlex, caplog):
    deliver(photon_order(shop))
    LicenseLink.objects.update(sync_state="pending", applied={"state": "no such state"}, desired={"nonsense": True})
    try_again(work)
    link = only_link()
    assert (link.sync_state, link.failure_mode) == (SyncState.ATTENTION, FailureMode.INTERNAL)
    assert "An error of ours stopped this" in link.failure_message
    assert any(record.exc_info for record in caplog.records)
    deliver(photon_order(shop))
    assert LicenseLink.objects.filter(sync_state=SyncState.SETTLED).count() == 1


def test_an_answer_our_tables_cannot_hold_stops_one_license_and_not_the_worker(shop, deliver, cryptlex):
    cryptlex.faults.add(**CREATE, kind="status", status=201, message="x")
    deliver(photon_order(shop), photon_order(shop))
    by_state = sorted(LicenseLink.objects.values_list("sync_state", flat=True))
    assert by_state == ["pending", "settled"]


def test_a_proxys_page_is_no_answer(shop, deliver, work, cryptlex):
    cryptlex.faults.add(**CREATE, kind="commit_then_status", status=200, raw_body="<html>Welcome</html>")
    deliver(photon_order(shop))
    assert only_link().sync_state == SyncState.PENDING
    try_again(work)
    assert [license["id"] for license in cryptlex.licenses] == [only_link().external_id]


def test_nothing_that_identifies_the_customer_is_logged(shop, deliver, work, cryptlex, caplog):
    caplog.set_level("DEBUG")
    for fault in (
        *LOST_ANSWERS,
        *NOTHING_DONE,
        {"kind": "status", "status": 400, "message": "ava.lindqvist@example.com"},
    ):
        cryptlex.faults.add(**CREATE, **fault)
        deliver(photon_order(shop))
        try_again(work)
    assert "ava.lindqvist" not in caplog.text.lower()
    assert not [license["key"] for license in cryptlex.licenses if license["key"] in caplog.text]
    told = " ".join(LicenseLink.objects.values_list("failure_message", flat=True)) + sentences()
    assert "ava.lindqvist" not in told.lower()
