"""Points in time and subscription intervals in the wire format of the emulated services; standard library only."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, timedelta

# RFC 3339 with any number of fraction digits; the offset is mandatory, as "format: date-time" demands.
_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})")

# The same pattern as in the OpenAPI description; it also matches the empty string, which means "no interval".
_INTERVAL = re.compile(
    r"(?:P(?=.)(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?)?"
)


def utc_now() -> datetime:
    """The real time, aware, UTC."""
    return datetime.now(UTC)


def to_wire(moment: datetime) -> str:
    """``2026-03-01T09:30:00.1234560Z``: UTC, always seven fraction digits, so that texts sort like the times."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return f"{moment.isoformat(timespec='microseconds')[:26]}0Z"


def from_wire(text: str) -> datetime:
    """Read an RFC 3339 date-time with offset; digits below the microsecond are cut off. ``ValueError`` otherwise."""
    if not _DATE_TIME.fullmatch(text):
        raise ValueError("not an RFC 3339 date-time with offset")
    return datetime.fromisoformat(text.upper()).astimezone(UTC)


def is_interval(text: str) -> bool:
    """Whether the text is an ISO 8601 duration as used for subscription intervals, or empty."""
    return _INTERVAL.fullmatch(text) is not None


def add_interval(moment: datetime, interval: str) -> datetime:
    """``moment`` plus an ISO 8601 duration: months first, clamped to the end of the month, then the exact rest.

    ``ValueError`` for what is no duration, ``OverflowError`` for a result beyond the year 9999.
    """
    match = _INTERVAL.fullmatch(interval)
    if match is None or not interval:
        raise ValueError("not an ISO 8601 duration")
    parts = {name: int(number or 0) for name, number in match.groupdict().items()}
    shifted = add_months(moment, months=12 * parts.pop("years") + parts.pop("months"))
    return shifted + timedelta(**parts)


def add_months(moment: datetime, *, months: int) -> datetime:
    """So many calendar months later, clamped to the end of the month; ``OverflowError`` beyond the year 9999."""
    year, month_index = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    if year > 9999:
        raise OverflowError("date beyond the year 9999")
    last_day = calendar.monthrange(year, month_index + 1)[1]
    return moment.replace(year=year, month=month_index + 1, day=min(moment.day, last_day))
