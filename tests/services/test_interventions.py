"""What people do by hand: on the license server, and here."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from licensing_integration.domain.outcomes import FailureMode, LicenseState, SyncState
from licensing_integration.models import AuditEntry, LicenseLink
from licensing_integration.sandbox.moments import from_wire
from licensing_integration.services import interventions
from licensing_integration.services.sweep import sweep
from tests.factories import WebhookEventFactory
from tests.services.conftest import ATTRIBUTES, AVA, only_link
from tests.services.scenario import (
    kinds,
    map_product,
    photon_order,
    sentences,
    states,
)

# --- events set aside ------------------------------------------------------------------------------------------------


def test_what_is_set_aside_says_what_was_wrong_even_where_nothing_was_told(db):
    event = WebhookEventFactory(state="unsupported", attempts=1, failing_since=timezone.now())
    interventions.set_aside(event.pk, user_id=None, reason="We sell no gift cards.")
    event.refresh_from_db()
    assert (event.state, event.failing_since) == ("ignored", None)
    assert event.problem == "Unsupported. Set aside by command line: We sell no gift cards."
    assert interventions.is_set_aside(event)
    (entry,) = AuditEntry.objects.all()
    assert (entry.action, entry.event, entry.reason) == ("event.set_aside", event, "We sell no gift cards.")


@pytest.mark.parametrize(("verdict", "reason"), [("received", "Why not."), ("applied", "Why not."), ("failed", " ")])
def test_nothing_is_set_aside_that_is_worked_on_or_without_a_reason(verdict, reason, db):
    event = WebhookEventFactory(state=verdict)
    with pytest.raises(ValueError, match=r"reason|no longer"):
        interventions.set_aside(event.pk, user_id=None, reason=reason)
    event.refresh_from_db()
    assert (event.state, event.problem, AuditEntry.objects.count()) == (verdict, "", 0)


def test_only_what_a_person_set_aside_is_replayed_of_what_is_ignored(db):
    aside, ignored = WebhookEventFactory(state="malformed"), WebhookEventFactory(state="ignored")
    interventions.set_aside(aside.pk, user_id=None, reason="Not ours.")
    both = [aside.pk, ignored.pk]
    assert list(interventions.replayable(both).values_list("pk", flat=True)) == [aside.pk]
    assert interventions.replay_events(both, user_id=None, reason="It is ours.") == 1


# --- changes made by hand --------------------------------------------------------------------------------------------


def test_a_license_deleted_by_hand_calls_a_person_who_may_issue_again(shop, deliver, work, cryptlex, vendor):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    old_key = only_link().key
    vendor.delete(only_link().external_id)
    deliver(shop.renew(subscription))
    link = only_link()
    assert (link.sync_state, link.failure_mode) == (SyncState.ATTENTION, FailureMode.PERMANENT)
    assert "Issue again" in link.failure_message
    interventions.issue_again(link.pk, user_id=None, reason="Deleted by mistake.")
    work()
    assert [license["key"] for license in cryptlex.licenses] == [only_link().key]
    assert only_link().key != old_key
    assert from_wire(cryptlex.licenses[0]["expiresAt"]) == subscription.next + timedelta(days=1)
    assert old_key not in sentences()


def test_a_license_deleted_by_hand_may_end(shop, deliver, cryptlex, vendor):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    vendor.delete(only_link().external_id)
    deliver(shop.deactivate(subscription))
    assert (only_link().sync_state, only_link().state) == (SyncState.SETTLED, LicenseState.ABSENT)


def test_issue_again_takes_the_old_license_back_if_it_is_still_there(shop, deliver, work, cryptlex):
    deliver(photon_order(shop))
    before = only_link().external_id
    interventions.issue_again(only_link().pk, user_id=None, reason="I thought it was gone.")
    work()
    assert only_link().external_id == before
    assert len(cryptlex.licenses) == 1


def test_changes_made_by_hand_survive_events_that_do_not_concern_them(shop, deliver, cryptlex, vendor):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    vendor.patch(only_link().external_id, allowedActivations=9, notes="friend of the house")
    deliver(shop.renew(subscription))
    deliver(shop.overdue(subscription))
    (license,) = cryptlex.licenses
    assert (license["allowedActivations"], license["notes"]) == (9, "friend of the house")
    assert license["suspended"] is True


def test_a_resync_makes_every_field_match_the_plan(shop, deliver, work, cryptlex, vendor):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    license_id = only_link().external_id
    vendor.patch(license_id, suspended=True)
    vendor.call("PATCH", f"/v3/licenses/{license_id}/expires-at", json={"expiresAt": "2040-01-01T00:00:00Z"})
    interventions.resync_link(only_link().pk, user_id=None, reason="It looked odd.")
    work()
    (license,) = cryptlex.licenses
    assert license["suspended"] is False
    assert from_wire(license["expiresAt"]) == subscription.next + timedelta(days=1)
    assert "Resync asked for. It looked odd." in sentences()


def test_a_resync_of_what_is_right_changes_nothing(shop, deliver, work, cryptlex, api_calls):
    deliver(photon_order(shop))
    api_calls()
    interventions.resync_link(only_link().pk, user_id=None, reason="Just looking.")
    work()
    assert api_calls() == [f"GET /v3/licenses/{only_link().external_id}"]


# --- overrides -------------------------------------------------------------------------------------------------------


def _override(link: LicenseLink, **what: Any) -> None:
    until = timezone.now() + timedelta(days=10)
    interventions.override_link(link.pk, user_id=None, reason="Promised on the phone.", until=until, **what)


def test_an_override_wins_over_what_the_store_says_until_it_is_ended(shop, shop_clock, deliver, work, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    _override(only_link(), state=LicenseState.ACTIVE)
    work()
    deliver(shop.overdue(subscription))
    assert states(cryptlex) == ["active"]
    interventions.end_override(only_link().pk, user_id=None)
    work()
    assert states(cryptlex) == ["suspended"]
    assert "Promised on the phone." in sentences(kind="license.overridden")
    assert kinds(kind="license.override_ended") == ["license.override_ended"]


def test_an_override_ends_by_itself_and_what_was_paid_meanwhile_is_applied(shop, shop_clock, deliver, work, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    promised = timezone.now() + timedelta(days=300)
    _override(only_link(), state=LicenseState.SUSPENDED, expires_at=promised)
    work()
    assert states(cryptlex) == ["suspended"]
    deliver(shop.renew(subscription))
    assert states(cryptlex) == ["suspended"]
    assert abs(from_wire(cryptlex.licenses[0]["expiresAt"]) - promised) < timedelta(seconds=1)
    LicenseLink.objects.update(override_until=timezone.now())
    sweep(now=timezone.now() + timedelta(days=11))
    work()
    assert states(cryptlex) == ["active"]
    assert from_wire(cryptlex.licenses[0]["expiresAt"]) == subscription.next + timedelta(days=1)


def test_a_renewal_paid_during_an_override_counts_in_interval_mode_too(shop, deliver, work, cryptlex):
    map_product("studio", expiry="interval", interval="P1M")
    subscription, events = shop.subscribe(AVA, "studio")
    deliver(*events)
    _override(only_link(), expires_at=timezone.now() + timedelta(days=3))
    work()
    deliver(shop.renew(subscription))
    interventions.end_override(only_link().pk, user_id=None)
    work()
    assert from_wire(cryptlex.licenses[0]["expiresAt"]) == subscription.next + timedelta(days=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": "x", "days": 1},
        {"reason": "  ", "days": 1, "state": LicenseState.ACTIVE},
        {"reason": "x", "days": 0, "state": LicenseState.ACTIVE},
    ],
    ids=["nothing overridden", "no reason", "already over"],
)
def test_an_override_needs_a_content_a_reason_and_an_end(shop, deliver, cryptlex, wrong):
    deliver(photon_order(shop))
    until = timezone.now() + timedelta(days=wrong.pop("days"))
    with pytest.raises(ValueError, match=r"\w"):
        interventions.override_link(only_link().pk, user_id=None, until=until, **wrong)
    assert only_link().override_until is None
