"""Dates and numbers as people read them, the same in the history, on the pages and in the admin."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

# Not strftime's: that depends on the locale of the process.
MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def format_day(moment: datetime) -> str:
    """``1 July 2026``, the day in UTC."""
    day = moment.astimezone(UTC)
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def format_moment(moment: datetime) -> str:
    """``1 July 2026 09:30 UTC``."""
    return f"{format_day(moment)} {moment.astimezone(UTC):%H:%M} UTC"


def count_of(number: int, what: str, many: str = "") -> str:
    """``1 license``, ``2,000 licenses``. ``many``: the plural, where it is not ``what`` with an s."""
    return f"{number:,} {what if number == 1 else many or f'{what}s'}"
