"""figures: count each day once, so that the start page reads thirty rows whatever has happened.

A day is counted again while it lasts and on the day after. Later only a replay can change it; so one of the older days
is counted anew each time, and all of them within hours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta

from django.db import connection
from django.db.models import Case, CharField, Count, Value, When
from django.utils import timezone

from licensing_integration.domain.figures import KINDS, Figures, Happening
from licensing_integration.models import DailyFigures, HistoryEntry, WebhookEvent
from licensing_integration.services.codec import from_json, to_json

DAYS = 30

_SECONDS = """
SELECT percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM entry.at - event.received_at))
  FROM licensing_integration_historyentry entry
  JOIN licensing_integration_webhookevent event ON event.id = entry.event_id
 WHERE entry.kind = ANY(%(kinds)s) AND entry.at >= %(start)s AND entry.at < %(end)s
"""


def _never() -> bool:
    return False


def count_days(*, now: datetime | None = None, should_stop: Callable[[], bool] = _never) -> list[date]:
    """Count the days that are due, newest first, each a few small queries. Returns which."""
    now = now or timezone.now()
    counted = []
    for day in _due_days(now):
        if should_stop():
            break
        row = DailyFigures(day=day, values=to_json(count_day(day)), counted_at=now)
        DailyFigures.objects.bulk_create(
            [row], update_conflicts=True, unique_fields=["day"], update_fields=["values", "counted_at"]
        )
        counted.append(day)
    return counted


def recent(days: int, *, now: datetime) -> list[tuple[date, Figures | None]]:
    """The last ``days`` days, today last; ``None`` for a day that has not been counted yet. One query."""
    wanted = _last_days(days, now)
    rows = DailyFigures.objects.filter(day__in=wanted).values_list("day", "values")
    known = {day: from_json(values, Figures) for day, values in rows}
    return [(day, known.get(day)) for day in reversed(wanted)]


def span_of(first: date, last: date) -> tuple[datetime, datetime]:
    """From the start of the first day to the end of the last, in UTC; the end is not part of it."""
    start, end = (datetime.combine(day, time.min, tzinfo=UTC) for day in (first, last + timedelta(days=1)))
    return start, end


def count_day(day: date) -> Figures:
    """The figures of one day, from its own events and history alone."""
    start, end = span_of(day, day)
    licenses, errors = _count_licenses(start, end)
    p50, p95 = _seconds(start, end)
    return Figures(events=_count_events(start, end), licenses=licenses, errors=errors, seconds_p50=p50, seconds_p95=p95)


def _last_days(days: int, now: datetime) -> list[date]:
    today = now.astimezone(UTC).date()
    return [today - timedelta(days=number) for number in range(days)]


def _due_days(now: datetime) -> list[date]:
    """Today, yesterday, every day that is missing, and the one whose count is oldest."""
    wanted = _last_days(DAYS, now)
    known = dict(DailyFigures.objects.filter(day__in=wanted).values_list("day", "counted_at"))
    settled = [day for day in wanted[2:] if day in known]
    stale = min(settled, key=lambda day: known[day], default=None)
    return [day for day in wanted if day not in settled or day == stale]


def _count_events(start: datetime, end: datetime) -> dict[str, int]:
    events = WebhookEvent.objects.filter(received_at__gte=start, received_at__lt=end).order_by()
    return dict(events.values_list("state").annotate(Count("pk")))


def _count_licenses(start: datetime, end: datetime) -> tuple[dict[str, int], dict[str, int]]:
    """Licenses by what happened to them, and those with a failure by license server. A license counts once, however
    often it happened to it on that day."""
    happening = Case(
        *(When(kind__in=kinds, then=Value(happening.value)) for happening, kinds in KINDS.items()),
        output_field=CharField(),
    )
    entries = HistoryEntry.objects.filter(at__gte=start, at__lt=end, kind__in=_all_kinds(KINDS.values())).order_by()
    rows = entries.values_list(happening, "link__server").annotate(Count("link", distinct=True))
    licenses, errors = Counter[str](), Counter[str]()
    for name, server, number in rows:
        if name == Happening.FAILED:
            errors[server] += number
        else:
            licenses[name] += number
    return dict(licenses), dict(errors)


def _all_kinds(kinds: Iterable[tuple[str, ...]]) -> list[str]:
    return [kind for group in kinds for kind in group]


def _seconds(start: datetime, end: datetime) -> tuple[float | None, float | None]:
    with connection.cursor() as cursor:
        cursor.execute(_SECONDS, {"kinds": list(KINDS[Happening.ISSUED]), "start": start, "end": end})
        (percentiles,) = cursor.fetchone()
    p50, p95 = percentiles or (None, None)
    return p50, p95
