"""What a new plan changes about a license, in words."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from licensing_integration.domain.effects import _LABELS, describe_effect
from licensing_integration.domain.facts import Customer
from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.outcomes import LicenseState

ACTIVE = DesiredLicense(state=LicenseState.ACTIVE, server="main", product_id="prod-1")
SUSPENDED = replace(ACTIVE, state=LicenseState.SUSPENDED)
ABSENT = replace(ACTIVE, state=LicenseState.ABSENT)
MAY = datetime(2026, 5, 1, tzinfo=UTC)


def effect(before: DesiredLicense | None, after: DesiredLicense, *, key: str = "") -> str:
    return describe_effect(before, after, name="Team, unit 2", key=key, has_license=bool(key))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": LicenseState.SUSPENDED}, "active → suspended"),
        ({"state": LicenseState.ABSENT}, "active → deleted"),
        ({"expires_at": MAY}, "valid until not set → 1 May 2026"),
        ({"activations": 5}, "activations not set → 5"),
        ({"customer": Customer(email="ava@example.com")}, "licensed to nobody → ava@example.com"),
        ({"features": ("a", "b")}, "features none → a, b"),
        ({"custom_fields": {"Seat": "1"}}, "custom fields none → Seat = 1"),
        ({"is_trial": True}, "trial no → yes"),
        ({"end_date_note": date(2026, 5, 1)}, "noted end not set → 2026-05-01"),
    ],
)
def test_a_change_of_a_license_is_told_with_both_values(changes: dict[str, Any], words: str) -> None:
    assert effect(ACTIVE, replace(ACTIVE, **changes), key="…ABC123") == f"License …ABC123 of Team, unit 2: {words}."


def test_several_changes_stand_in_one_sentence() -> None:
    told = effect(ACTIVE, replace(SUSPENDED, activations=2), key="…ABC123")
    assert told == "License …ABC123 of Team, unit 2: active → suspended; activations not set → 2."


@pytest.mark.parametrize("key", ["", "…ABC123"])
def test_nothing_new_is_no_sentence(key: str) -> None:
    assert effect(ACTIVE, ACTIVE, key=key) == ""


def test_what_nobody_sees_is_no_sentence() -> None:
    assert effect(ACTIVE, replace(ACTIVE, metadata={"a": "b"}, is_test=True), key="…ABC123") == ""


@pytest.mark.parametrize("before", [None, ABSENT, replace(ACTIVE, is_issuable=False)])
def test_a_new_license_is_told_as_issued(before: DesiredLicense | None) -> None:
    assert effect(before, ACTIVE) == "A license would be issued for Team, unit 2."
    told = effect(before, replace(SUSPENDED, expires_at=MAY))
    assert told == "A license would be issued for Team, unit 2, suspended, valid until 1 May 2026."


@pytest.mark.parametrize("after", [ABSENT, replace(ACTIVE, is_issuable=False)])
def test_a_license_that_is_wanted_no_more_is_told(after: DesiredLicense) -> None:
    assert effect(ACTIVE, after) == "No license would be made any more for Team, unit 2."
    assert effect(None, after) == ""


def test_a_license_still_to_be_issued_is_told_with_its_change() -> None:
    told = effect(ACTIVE, replace(ACTIVE, activations=3))
    assert told == "The license that is to be issued for Team, unit 2: activations not set → 3."


def test_every_field_is_told_or_left_out_on_purpose() -> None:
    silent = {
        "is_issuable", "vendor_metadata", "searched_metadata", "metadata", "is_floating_cloud", "is_test",
    }  # fmt: skip
    assert {field.name for field in fields(DesiredLicense)} == set(_LABELS) | silent
