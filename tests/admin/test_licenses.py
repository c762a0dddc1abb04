"""A license's page answers why it is so; its buttons change it and leave a trace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from licensing_integration.admin.comparison import compare
from licensing_integration.domain.facts import Customer
from licensing_integration.domain.licenses import DesiredLicense, LicenseSnapshot
from licensing_integration.domain.outcomes import ExpiryMode, LicenseState
from licensing_integration.models import HistoryEntry, LicenseLink
from licensing_integration.services.codec import to_json
from tests.admin.conftest import url
from tests.factories import (
    HistoryEntryFactory,
    LicenseLinkFactory,
    UserFactory,
    WebhookEventFactory,
)

REASON = {"reason": "The customer asked."}


def _page(client: Client, link: LicenseLink) -> str:
    return client.get(url("licenselink", "change", link.pk)).content.decode()


def test_the_first_sentence_says_why(support: Client) -> None:
    link = LicenseLinkFactory(reason="The payment is overdue since 3 March 2026.")
    content = _page(support, link).split('class="li-page"')[1]
    assert content.split('<p class="li-why">')[1].split("</p>")[0] == "The payment is overdue since 3 March 2026."


def test_what_is_wanted_stands_beside_what_is_reported_and_where_it_comes_from(support: Client) -> None:
    day = datetime(2026, 3, 1, tzinfo=UTC)
    wanted = DesiredLicense(
        state=LicenseState.ACTIVE,
        server="cryptlex",
        product_id="prod-1",
        customer=Customer(email="ava@example.com"),
        expiry=ExpiryMode.PAID_THROUGH,
        expires_at=day,
        max_release_version="2.0",
    )
    reported = LicenseSnapshot(
        license_id="x", key="y", product_id="prod-1", state=LicenseState.SUSPENDED, expires_at=day, activations=3
    )
    link = LicenseLinkFactory(desired=to_json(wanted), observed=to_json(reported), sync_state="pending")
    answer = support.get(url("licenselink", "change", link.pk))
    lines = {line.label: line for line in answer.context["comparison"]}
    assert (lines["State"].wanted, lines["State"].reported, lines["State"].is_different) == (
        "active",
        "suspended",
        True,
    )
    assert lines["Expires"].wanted == lines["Expires"].reported
    assert "2026-03-01 00:00 UTC" in lines["Expires"].wanted
    assert not lines["Expires"].is_different
    assert lines["License product"].origin == "product mapping"
    assert lines["Highest release"].origin == "store attribute cryptlex_max_allowed_release_version"
    assert lines["Highest release"].is_different
    assert (lines["Activations"].wanted, lines["Activations"].is_different) == ("as the license template says", False)
    assert "store attribute cryptlex_max_allowed_release_version" in answer.content.decode()


@pytest.mark.parametrize(
    ("reported_end", "ends_with_day", "is_different"),
    [
        (datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC), True, False),
        (datetime(2026, 3, 2, 23, 59, 59, tzinfo=UTC), True, True),
        (datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC), True, True),
        (None, True, True),
        (datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC), False, True),
    ],
)
def test_the_last_day_is_no_difference_where_the_server_knows_only_days(
    support: Client, reported_end: datetime | None, ends_with_day: bool, is_different: bool
) -> None:
    wanted = DesiredLicense(
        state=LicenseState.ACTIVE,
        server="licensespring",
        product_id="pro",
        expiry=ExpiryMode.PAID_THROUGH,
        expires_at=datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
        grace_hours=24,  # which such a server keeps apart
    )
    reported = LicenseSnapshot(
        license_id="x",
        key="y",
        product_id="pro",
        state=LicenseState.ACTIVE,
        expires_at=reported_end,
        ends_with_day=ends_with_day,
    )
    link = LicenseLinkFactory(desired=to_json(wanted), observed=to_json(reported))
    (line,) = [line for line in compare(link) if line.label == "Expires"]
    assert line.is_different is is_different


def test_nothing_differs_before_the_server_was_asked(support: Client) -> None:
    answer = support.get(url("licenselink", "change", LicenseLinkFactory(is_new=True).pk))
    assert not any(line.is_different for line in answer.context["comparison"])
    assert "not reported yet" in answer.content.decode()


def test_the_history_is_whole_newest_first_and_without_its_siblings(support: Client) -> None:
    link = LicenseLinkFactory()
    sibling = LicenseLinkFactory(item=link.item, unit=2)
    stranger = LicenseLinkFactory()
    event = WebhookEventFactory(event_type="order.completed")
    HistoryEntryFactory(purchase=link.purchase, event=event, sentence="The order was paid.")
    HistoryEntryFactory(link=sibling, sentence="Issued the sibling.")
    HistoryEntryFactory(link=stranger, sentence="Issued a stranger.")
    HistoryEntryFactory(link=link, event=event, sentence="Issued this one.", request_id="req-7")
    HistoryEntryFactory(link=link, user=UserFactory(username="mia"), sentence="Resync asked for.")
    page = _page(support, link)
    places = [page.index(text) for text in ("Resync asked for.", "Issued this one.", "The order was paid.")]
    assert places == sorted(places)
    assert "mia" in page
    assert "req-7" in page
    assert url("webhookevent", "change", event.pk) in page
    assert "sibling" not in page
    assert "stranger" not in page


def test_a_failure_is_told(support: Client) -> None:
    link = LicenseLinkFactory(
        sync_state="attention", failure_mode="permanent", failure_message="Refused: no such plan."
    )
    assert "Refused: no such plan." in _page(support, link)


def test_the_key_is_masked_everywhere_until_it_is_revealed(support: Client) -> None:
    link = LicenseLinkFactory()
    for address in (url("licenselink", "change", link.pk), url("licenselink", "changelist")):
        content = support.get(address).content.decode()
        assert link.masked_key in content
        assert link.key not in content
    answer = support.post(url("licenselink", "reveal", link.pk))
    assert link.key in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    entry = HistoryEntry.objects.get(kind="license.key_revealed")
    assert (entry.link, entry.user) == (link, support.user)
    assert link.key not in _page(support, link)


def test_asking_for_the_key_by_its_address_reveals_nothing(support: Client) -> None:
    link = LicenseLinkFactory()
    assert link.key not in support.get(url("licenselink", "reveal", link.pk), follow=True).content.decode()
    assert not HistoryEntry.objects.exists()


def test_resync_forgets_what_was_reported(support: Client, queued: Callable[[], list[Any]]) -> None:
    link = LicenseLinkFactory(sync_state="attention", failure_mode="config", failure_message="No.")
    support.post(url("licenselink", "resync", link.pk), REASON)
    link.refresh_from_db()
    assert (link.sync_state, link.failure_mode, link.observed, link.applied) == ("pending", "", None, None)
    assert queued() == [("apply_links", {"link_ids": [link.pk]})]
    entry = HistoryEntry.objects.get()
    assert (entry.kind, entry.user) == ("license.resync", support.user)
    assert "The customer asked." in entry.sentence


def _override(client: Client, link: LicenseLink, **values: str) -> Any:
    data = {**REASON, "until": "2199-01-01T12:30", **values}
    return client.post(url("licenselink", "override", link.pk), data)


def test_override_sets_state_and_expiry(staff: Client, queued: Callable[[], list[Any]]) -> None:
    link = LicenseLinkFactory()
    _override(staff, link, state="suspended", expires_at="2198-02-03T04:05")
    link.refresh_from_db()
    assert link.override_state == "suspended"
    assert link.override_expires_at == datetime(2198, 2, 3, 4, 5, tzinfo=UTC)
    assert link.override_until == datetime(2199, 1, 1, 12, 30, tzinfo=UTC)
    assert (link.override_reason, link.override_by) == ("The customer asked.", staff.user)
    assert queued() == [("plan_purchases", {"purchase_ids": [link.purchase_id]})]
    assert HistoryEntry.objects.get().kind == "license.overridden"
    page = _page(staff, link)
    assert "Override until" in page
    assert "2199-01-01 12:30:00 UTC" in page
    assert "(staff)" in page


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "Choose a state or an expiry date"),
        ({"state": "suspended", "until": "2001-01-01T00:00"}, "must end in the future"),
        ({"state": "suspended", "until": "9999-12-31T23:59", "zone": "America/New_York"}, "from 2000 to 2200"),
        ({"expires_at": "0001-01-01T00:00", "zone": "Asia/Tokyo"}, "from 2000 to 2200"),
        ({"state": "absent"}, "Select a valid choice"),
        ({"state": "suspended", "until": ""}, "required"),
        ({"state": "suspended", "reason": ""}, "required"),
    ],
)
def test_an_override_that_makes_no_sense_is_refused(values: dict[str, str], sentence: str, staff: Client) -> None:
    link = LicenseLinkFactory()
    assert sentence in _override(staff, link, **values).content.decode()
    link.refresh_from_db()
    assert link.override_until is None
    assert not HistoryEntry.objects.exists()


def test_ending_an_override(staff: Client, queued: Callable[[], list[Any]]) -> None:
    link = LicenseLinkFactory(override_state="suspended", override_until=timezone.now() + timedelta(days=1))
    staff.post(url("licenselink", "end-override", link.pk), REASON)
    link.refresh_from_db()
    assert (link.override_state, link.override_until) == ("", None)
    assert queued() == [("plan_purchases", {"purchase_ids": [link.purchase_id]})]


def test_there_is_no_override_to_end(staff: Client) -> None:
    link = LicenseLinkFactory()
    staff.post(url("licenselink", "end-override", link.pk), REASON)
    assert not HistoryEntry.objects.exists()


def test_issue_again_forgets_a_license_that_is_gone(staff: Client, queued: Callable[[], list[Any]]) -> None:
    link = LicenseLinkFactory(sync_state="attention", failure_mode="permanent", failure_message="It is gone.")
    staff.post(url("licenselink", "issue-again", link.pk), REASON)
    link.refresh_from_db()
    assert (link.external_id, link.key, link.sync_state, link.is_adoptable) == ("", "", "pending", True)
    assert queued() == [("apply_links", {"link_ids": [link.pk]})]
    assert HistoryEntry.objects.get().kind == "license.issue_again"


def test_issue_again_helps_a_license_that_was_never_issued(staff: Client, queued: Callable[[], list[Any]]) -> None:
    link = LicenseLinkFactory(is_new=True, sync_state="attention", failure_mode="permanent")
    staff.post(url("licenselink", "issue-again", link.pk), REASON)
    assert queued() == [("apply_links", {"link_ids": [link.pk]})]


_REFUSED = {"sync_state": "attention", "failure_mode": "permanent"}
_NOT_WANTED = {"state": "absent", "server": "cryptlex", "product_id": "prod-1"}


@pytest.mark.parametrize(
    "values",
    [{}, {**_REFUSED, "failure_mode": "config"}, {"is_new": True}, {**_REFUSED, "desired": _NOT_WANTED}],
    ids=["fine", "misconfigured", "on its way", "not wanted"],
)
def test_a_license_that_is_there_or_not_wanted_is_not_issued_again(
    values: dict[str, Any], staff: Client, queued: Callable[[], list[Any]]
) -> None:
    link = LicenseLinkFactory(**values)
    address = url("licenselink", "issue-again", link.pk)
    assert address not in _page(staff, link)
    staff.post(address, REASON)
    assert queued() == []
    assert not HistoryEntry.objects.exists()


def test_what_only_some_license_servers_know_is_compared_where_it_is_wanted(db: None) -> None:
    link = LicenseLinkFactory()
    link.desired |= {
        "license_type": "subscription",
        "is_trial": True,
        "grace_hours": 48,
        "features": ["pdf"],
        "custom_fields": {"Seats": "5"},
        "maintenance_duration": "1y",
        "end_date_note": "2031-05-01",
    }
    link.item.terms["origins"]["grace_hours"] = "store attribute grace_period"
    link.item.save()
    link.save()
    rows = {row.label: row for row in compare(link)}
    assert (rows["Hours of grace"].wanted, rows["Hours of grace"].origin) == ("48", "store attribute grace_period")
    assert (rows["Trial"].wanted, rows["Trial"].reported) == ("yes", "no")
    assert (rows["Features"].wanted, rows["Custom fields"].wanted) == ("pdf", "Seats = 5")
    assert (rows["Maintenance"].wanted, rows["Noted end"].wanted) == ("1y", "2031-05-01")
    assert "Users" not in rows


@pytest.mark.parametrize(("hours", "is_different"), [(0, False), (48, False), (47, True)])
def test_hours_of_grace_in_the_end_date_are_no_difference(hours: int, is_different: bool, db: None) -> None:
    end = datetime(2031, 5, 1, tzinfo=UTC)
    link = LicenseLinkFactory()
    link.desired |= {"expiry": "paid_through", "expires_at": end.isoformat(), "grace_hours": 48}
    link.observed |= {"expires_at": (end + timedelta(hours=hours)).isoformat()}
    (row,) = [row for row in compare(link) if row.label == "Expires"]
    assert row.is_different is is_different
