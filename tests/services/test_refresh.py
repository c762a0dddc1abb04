"""Asking a license server what a license looks like now."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from licensing_integration.domain.licenses import DesiredLicense, LicenseSnapshot
from licensing_integration.domain.outcomes import LicenseState, SyncState
from licensing_integration.exceptions import TransientRemoteError
from licensing_integration.models import AuditEntry, HistoryEntry, LicenseLink
from licensing_integration.services import explain, interventions, leases, refresh
from licensing_integration.services.codec import from_json
from tests.services.conftest import only_link
from tests.services.scenario import map_product, photon_order


def _set_pending(link: LicenseLink) -> None:
    LicenseLink.objects.filter(pk=link.pk).update(sync_state=SyncState.PENDING)


def test_a_change_made_by_hand_is_found_kept_and_told(shop, deliver, cryptlex, vendor):
    deliver(photon_order(shop))
    vendor.patch(only_link().external_id, suspended=True)
    before = timezone.now()
    answer = refresh.ask_server(only_link().pk, user_id=None)
    assert answer.snapshot is not None
    assert (answer.snapshot.state, answer.is_kept, answer.is_news) == (LicenseState.SUSPENDED, True, True)
    link = only_link()
    assert (link.state, from_json(link.observed, LicenseSnapshot)) == (LicenseState.SUSPENDED, answer.snapshot)
    assert link.observed_at >= before
    assert link.sync_state == SyncState.SETTLED  # what is wanted, and was brought about, is as before
    entry = HistoryEntry.objects.get(kind="license.observed")
    assert entry.changes["state"] == ["active", "suspended"]
    assert AuditEntry.objects.get().action == "license.refreshed"


def test_nothing_new_is_told_by_its_time_alone(shop, deliver, cryptlex):
    deliver(photon_order(shop))
    LicenseLink.objects.update(observed_at=timezone.now() - timedelta(days=1))
    answer = refresh.ask_server(only_link().pk, user_id=None)
    assert (answer.is_kept, answer.is_news) == (True, False)
    assert timezone.now() - only_link().observed_at < timedelta(minutes=1)
    assert not HistoryEntry.objects.filter(kind="license.observed").exists()


def test_the_answer_is_only_shown_while_a_worker_has_the_license(shop, deliver, cryptlex, vendor):
    deliver(photon_order(shop))
    link = only_link()
    _set_pending(link)
    assert leases.claim(link.pk) is not None
    vendor.patch(link.external_id, suspended=True)
    before = only_link()
    answer = refresh.ask_server(link.pk, user_id=None)
    assert answer.snapshot is not None
    assert (answer.snapshot.state, answer.is_kept) == (LicenseState.SUSPENDED, False)
    assert (only_link().observed, only_link().state) == (before.observed, LicenseState.ACTIVE)


def test_an_answer_older_than_a_workers_is_dropped(shop, deliver, work, cryptlex):
    """The worker begins and ends between our question and the moment we could keep the answer."""
    deliver(photon_order(shop))
    read_before = only_link()
    answered = from_json(read_before.observed, LicenseSnapshot)
    _set_pending(read_before)
    claimed = leases.claim(read_before.pk)
    assert claimed is not None
    leases.settle(claimed, applied=_desired(claimed), snapshot=answered, entries=())
    assert only_link().sync_state == SyncState.SETTLED
    assert leases.keep_answer(read_before, answered) is False


def test_an_answer_asked_for_while_a_worker_was_busy_is_dropped_though_it_has_finished(shop, deliver, cryptlex):
    deliver(photon_order(shop))
    _set_pending(only_link())
    claimed = leases.claim(only_link().pk)
    assert claimed is not None
    read_while_busy = only_link()
    answered = from_json(claimed.observed, LicenseSnapshot)
    leases.settle(claimed, applied=_desired(claimed), snapshot=answered, entries=())
    assert leases.keep_answer(read_while_busy, answered) is False
    assert leases.keep_answer(only_link(), answered) is True


def _desired(link: LicenseLink) -> DesiredLicense:
    return from_json(link.desired, DesiredLicense)


def test_a_license_that_is_gone_is_noted_and_needs_a_person(shop, deliver, cryptlex, vendor):
    deliver(photon_order(shop))
    vendor.delete(only_link().external_id)
    answer = refresh.ask_server(only_link().pk, user_id=None)
    assert (answer.snapshot, answer.is_kept, answer.is_news) == (None, True, True)
    link = only_link()
    assert (link.state, link.observed, link.expires_at) == (LicenseState.ABSENT, None, None)
    assert (link.sync_state, link.failure_mode) == (SyncState.ATTENTION, "permanent")
    assert "Issue again" in link.failure_message
    assert "has no such license any more" in HistoryEntry.objects.get(kind="license.observed").sentence
    assert "works" not in explain.explain(link)


def test_a_license_that_was_only_away_for_a_moment_is_settled_again(shop, deliver, work, cryptlex):
    deliver(photon_order(shop))
    cryptlex.faults.add(kind="status", method="GET", path="/v3/licenses/{id}", status=404, times=1)
    refresh.ask_server(only_link().pk, user_id=None)
    assert only_link().sync_state == SyncState.ATTENTION
    refresh.ask_server(only_link().pk, user_id=None)
    work()
    link = only_link()
    assert (link.state, link.sync_state, link.failure_message) == (LicenseState.ACTIVE, SyncState.SETTLED, "")
    assert HistoryEntry.objects.filter(kind="license.observed").count() == 2


def test_a_license_that_is_rightly_gone_needs_nobody(shop, deliver, cryptlex):
    map_product("photon", refund_action="delete")
    order = photon_order(shop)
    deliver(order)
    external_id = only_link().external_id
    deliver(shop.refund(order))
    LicenseLink.objects.update(external_id=external_id)  # a release that still knew it
    refresh.ask_server(only_link().pk, user_id=None)
    assert only_link().sync_state == SyncState.SETTLED


def test_a_resync_of_a_license_that_is_gone_says_so_in_its_state(shop, deliver, work, cryptlex, vendor):
    deliver(photon_order(shop))
    link = only_link()
    vendor.delete(link.external_id)
    interventions.resync_link(link.pk, user_id=None, reason="The customer asks.")
    work()
    link = only_link()
    assert (link.state, link.sync_state, link.observed) == (LicenseState.ABSENT, SyncState.ATTENTION, None)
    assert "It works" not in explain.explain(link)

    interventions.issue_again(link.pk, user_id=None, reason="It was a mistake.")
    assert (only_link().state, only_link().issued_at) == (LicenseState.ABSENT, None)
    work()
    link = only_link()
    assert (link.state, link.sync_state) == (LicenseState.ACTIVE, SyncState.SETTLED)
    assert link.issued_at is not None
    assert [license["id"] for license in cryptlex.licenses] == [link.external_id]


def test_a_server_that_is_away_is_said_in_a_sentence(shop, deliver, cryptlex):
    deliver(photon_order(shop))
    cryptlex.stop()
    with pytest.raises(TransientRemoteError, match="gave no answer"):
        refresh.ask_server(only_link().pk, user_id=None)


def test_a_slot_without_a_license_cannot_be_asked_for(shop, deliver, cryptlex):
    deliver(photon_order(shop))
    LicenseLink.objects.update(external_id="")
    with pytest.raises(ValueError, match="no license on the server yet"):
        refresh.ask_server(only_link().pk, user_id=None)


def test_when_the_server_reported_it_is_kept_with_every_attempt(shop, deliver, cryptlex):
    before = timezone.now()
    deliver(photon_order(shop))
    assert only_link().observed_at >= before
