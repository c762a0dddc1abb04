"""Points in time, days and durations as the emulated LicenseSpring API writes them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from licensing_integration.sandbox.moments import add_months

# Management API pages show d, m and y; the FastSpring guide and a vendor demo also use w.
_DURATION = re.compile(r"([1-9]\d{0,5})([dwmy])")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_DAY_AND_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?")


def to_stamp(moment: datetime) -> str:
    """``2021-08-30T06:44:45Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_duration(text: str) -> bool:
    return _DURATION.fullmatch(text) is not None


def is_day(text: str) -> bool:
    """``YYYY-MM-DD``, and on the calendar."""
    return _DAY.fullmatch(text) is not None and _exists(text)


def day_of(text: str) -> str | None:
    """The day of a text that is one, or begins with one and goes on with a time of day; ``None`` otherwise."""
    match = _DAY_AND_TIME.fullmatch(text)
    day = match[1] if match else text
    return day if is_day(day) else None


def is_order_time(text: str) -> bool:
    """``YYYY-MM-DD HH:MM:SS``, as orders are dated."""
    try:
        datetime.strptime(text, "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return False
    return True


def add_duration(day: date, duration: str) -> date:
    """The day so many days, weeks, calendar months or years later."""
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise ValueError("not a duration")
    number, unit = int(match[1]), match[2]
    if unit in "dw":
        return day + timedelta(days=number if unit == "d" else 7 * number)
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return add_months(start, months=number if unit == "m" else 12 * number).date()


def _exists(day: str) -> bool:
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True
