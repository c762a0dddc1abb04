"""Dates as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from licensing_integration.domain.wording import count_of, format_day, format_moment

EARLY = datetime(2026, 7, 1, 0, 5, tzinfo=UTC)


def test_a_day_and_a_moment_are_told_without_leading_zero():
    assert format_day(EARLY) == "1 July 2026"
    assert format_moment(EARLY) == "1 July 2026 00:05 UTC"


def test_the_zone_of_a_moment_does_not_move_the_day():
    elsewhere = EARLY.astimezone(timezone(timedelta(hours=-8)))
    assert format_day(elsewhere) == "1 July 2026"
    assert format_moment(elsewhere) == "1 July 2026 00:05 UTC"


def test_a_count_has_the_plural_that_fits() -> None:
    assert [count_of(number, "license") for number in (0, 1, 2000)] == ["0 licenses", "1 license", "2,000 licenses"]
    assert [count_of(number, "entry", "entries") for number in (1, 2)] == ["1 entry", "2 entries"]
