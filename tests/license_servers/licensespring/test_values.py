"""LicenseSpring's JSON and our values: what is missing, what is written in several ways, what cannot be read."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from licensing_integration.domain.outcomes import LicenseState
from licensing_integration.exceptions import TransientRemoteError
from licensing_integration.license_servers.licensespring.values import (
    add_duration,
    last_moment,
    noted_end_date,
    to_duration,
    to_snapshot,
    with_end_date,
)

DAY = date(2031, 1, 31)


def test_a_license_may_show_hardly_anything() -> None:
    snapshot = to_snapshot({"id": 1, "license_key": None, "customer": None, "product": 7, "metadata": None})
    assert (snapshot.license_id, snapshot.key, snapshot.product_id) == ("1", "", "")
    assert snapshot.state is LicenseState.ACTIVE
    assert snapshot.expires_at is None


@pytest.mark.parametrize(
    ("members", "state"),
    [
        ({"enabled": True, "status": "Inactive"}, LicenseState.ACTIVE),
        ({"status": "inactive"}, LicenseState.ACTIVE),
        ({"enabled": False, "status": "active"}, LicenseState.SUSPENDED),
        ({"status": "Disabled"}, LicenseState.SUSPENDED),
        ({"enabled": True, "status": "disabled"}, LicenseState.SUSPENDED),
    ],
)
def test_disabled_overrides_everything(members: dict[str, Any], state: LicenseState) -> None:
    assert to_snapshot({"id": 1, **members}).state is state


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", None),
        ("0000-00-00", None),
        ("0000-00-00T00:00:00Z", None),
        ("2031-01-31", datetime(2031, 1, 31, 23, 59, 59, tzinfo=UTC)),
        ("2031-01-31T00:00:00Z", datetime(2031, 1, 31, 23, 59, 59, tzinfo=UTC)),
        ("2031-01-31 12:00:00", datetime(2031, 1, 31, 23, 59, 59, tzinfo=UTC)),
        ("2031-02-01T00:30:00+02:00", datetime(2031, 1, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_license_lasts_through_its_last_day(value: str, expected: datetime | None) -> None:
    assert last_moment(value) == expected


def test_an_unreadable_end_does_not_pass_for_none() -> None:
    with pytest.raises(TransientRemoteError):
        last_moment("soon")


@pytest.mark.parametrize(
    ("interval", "duration"),
    [
        ("P1D", "1d"),
        ("P2W", "2w"),
        ("P06M", "6m"),
        ("P1Y", "1y"),
        ("PT72H", "3d"),
        ("PT1H", ""),
        ("P1Y6M", ""),
        ("", ""),
    ],
)
def test_an_interval_in_licensesprings_words(interval: str, duration: str) -> None:
    assert to_duration(interval) == duration


def test_months_are_added_one_by_one_and_end_with_the_month() -> None:
    start = datetime(2031, 1, 31, tzinfo=UTC)
    assert add_duration(start, duration="1m", times=2) == datetime(2031, 3, 28, tzinfo=UTC)
    assert add_duration(start, duration="2w", times=1) == datetime(2031, 2, 14, tzinfo=UTC)


def test_our_line_in_a_note_is_read_and_written_without_the_others() -> None:
    note = "Call Bob.\n  End Date: 2030-12-31 \nNo End Date: 2030-12-31"
    assert noted_end_date(note) == date(2030, 12, 31)
    assert noted_end_date("No End Date: 2030-12-31") is None
    assert noted_end_date("End Date: 2030-13-31") is None
    assert with_end_date(note, day=DAY) == "Call Bob.\nNo End Date: 2030-12-31\nEnd Date: 2031-01-31"
    assert with_end_date(note, day=None) == "Call Bob.\nNo End Date: 2030-12-31"


def test_features_are_listed_by_code_whatever_the_form() -> None:
    entries = [{"product_feature": {"code": "b"}}, {"code": "a"}, {"product_feature": 5}, "x"]
    assert to_snapshot({"id": 1, "product_features": entries}).features == ("a", "b")
