"""When Stripe's billing periods end, and what a part of one costs."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from typing import Any

_MONTHS = {"month": 1, "year": 12}
_DAYS = {"day": 1, "week": 7}


def period_end(anchor: int, *, after: int, recurring: dict[str, Any]) -> int:
    """The first boundary after a moment, counted from the billing-cycle anchor so that the 31st stays the 31st."""
    count = 0
    end = anchor
    while end <= after:
        count += recurring["interval_count"]
        end = _moved(anchor, interval=recurring["interval"], count=count)
    return end


def share(amount: int, *, at: int, start: int, end: int) -> int:
    """What is left of the price of a period at a moment in it."""
    return round(amount * (end - at) / (end - start))


def _moved(anchor: int, *, interval: str, count: int) -> int:
    moment = datetime.fromtimestamp(anchor, UTC)
    if interval in _DAYS:
        return int((moment + timedelta(days=count * _DAYS[interval])).timestamp())
    months = moment.year * 12 + moment.month - 1 + count * _MONTHS[interval]
    year, month = divmod(months, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return int(moment.replace(year=year, month=month + 1, day=day).timestamp())
