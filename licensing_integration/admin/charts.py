"""The charts of the start page: what the theme's chart script wants, and the same numbers as a table of links."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

from licensing_integration.admin.addresses import list_url
from licensing_integration.admin.happened import Happened
from licensing_integration.domain.figures import Figures, Happening
from licensing_integration.domain.outcomes import EventState
from licensing_integration.domain.wording import MONTHS
from licensing_integration.models import LicenseLink, WebhookEvent
from licensing_integration.services.figures import span_of

Days = Sequence[tuple[date, Figures | None]]
Link = Callable[[date, date], str]

# Colors by the names of console.css; the words beside them say the same.
_VERDICTS: Final[Mapping[str, str]] = {
    EventState.APPLIED: "good",
    EventState.IGNORED: "quiet",
    EventState.HELD: "held",
    EventState.RECEIVED: "info",
    EventState.UNSUPPORTED: "warning",
    EventState.MALFORMED: "odd",
    EventState.FAILED: "bad",
}
_HAPPENINGS: Final[Mapping[Happening, str]] = {
    Happening.ISSUED: "good",
    Happening.RENEWED: "info",
    Happening.SUSPENDED: "warning",
    Happening.ENDED: "quiet",
}
_SERVERS: Final = ("bad", "held", "odd", "info", "quiet")

_TICKS: Final = {"color": "#7c8594", "maxRotation": 0, "autoSkipPadding": 12}
_NO_LEGEND: Final = {"legend": {"display": False}}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A number, as people read it, and the list of the rows it counts."""

    text: str = ""
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line or color of a chart. ``values``: one for each day. ``summary``: their sum, ``up to`` it where the same
    row may be counted on several days, or the latest where a sum makes no sense."""

    label: str
    color: str
    values: Sequence[float | None]
    cells: Sequence[Cell]
    summary: Cell


@dataclass(frozen=True, kw_only=True)
class Chart:
    """``kind``: ``bar`` or ``line``. ``empty``: the sentence for a chart without numbers."""

    slug: str
    title: str
    kind: str
    days: Sequence[date]
    series: Sequence[Series]
    empty: str

    @property
    def data(self) -> str:
        """For the theme's ``data-value``."""
        sets = [
            {
                "label": series.label,
                "data": list(series.values),
                "backgroundColor": f"var(--li-chart-{series.color})",
                "borderColor": f"var(--li-chart-{series.color})",
            }
            for series in self.series
        ]
        return json.dumps({"labels": [_short(day) for day in self.days], "datasets": sets})

    @property
    def options(self) -> str:
        """For the theme's ``data-options``."""
        is_bar = self.kind == "bar"
        y = {"stacked": is_bar, "beginAtZero": True, "border": {"display": False}}
        y |= {"ticks": {**_TICKS, "precision": 0, "maxTicksLimit": 5}} if is_bar else self._seconds
        x = {"stacked": is_bar, "offset": True, "grid": {"display": False}, "ticks": _TICKS}
        return json.dumps(
            {
                "animation": False,
                "responsive": True,
                "maintainAspectRatio": False,
                "maxBarThickness": 28,
                "spanGaps": True,
                "borderWidth": 0 if is_bar else 2,
                "pointRadius": 0 if is_bar else 3,
                "interaction": {"mode": "index", "intersect": False},
                "plugins": _NO_LEGEND,
                "scales": {"x": x, "y": y},
            }
        )

    @property
    def _seconds(self) -> dict[str, Any]:
        """The scale of a line: tenfold steps only where there are some, else nobody could tell one day from another."""
        values = [value for series in self.series for value in series.values if value]
        is_wide = bool(values) and max(values) >= 10 * min(values)
        ticks = _TICKS if is_wide else {**_TICKS, "maxTicksLimit": 5}
        title = {"display": True, "text": "seconds", "color": _TICKS["color"]}
        return {"type": "logarithmic" if is_wide else "linear", "ticks": ticks, "title": title}

    @property
    def rows(self) -> list[tuple[date, list[Cell]]]:
        """The table: newest day first, a cell for each series."""
        rows = [(day, [series.cells[n] for series in self.series]) for n, day in enumerate(self.days)]
        return rows[::-1]


def event_chart(days: Days) -> Chart:
    """Webhook events by verdict."""
    series = [
        _counted(days, state.capitalize(), color, lambda figures: figures.events, name=state, link=_events(state))
        for state, color in _VERDICTS.items()
    ]
    return Chart(
        slug="events",
        title="Webhook events by verdict",
        kind="bar",
        days=_days(days),
        series=_present(series),
        empty="No webhook event came in these days.",
    )


def license_chart(days: Days) -> Chart:
    """Licenses issued, renewed, suspended, ended."""
    series = [
        _counted(
            days,
            what.capitalize(),
            color,
            lambda figures: figures.licenses,
            name=what,
            link=_licenses(what),
            may_repeat=True,
        )
        for what, color in _HAPPENINGS.items()
    ]
    return Chart(
        slug="licenses",
        title="Licenses issued, renewed, suspended, ended",
        kind="bar",
        days=_days(days),
        series=_present(series),
        empty="Nothing happened to any license in these days.",
    )


def time_chart(days: Days) -> Chart:
    """How long it took from the event to the license."""
    series = [
        _timed(days, "Half within", "info", lambda figures: figures.seconds_p50),
        _timed(days, "95 % within", "held", lambda figures: figures.seconds_p95),
    ]
    return Chart(
        slug="time",
        title="Time from event to license",
        kind="line",
        days=_days(days),
        series=_present(series),
        empty="No license was issued in these days.",
    )


def error_chart(days: Days) -> Chart:
    """Licenses with errors, by license server."""
    servers = sorted({server for _, figures in days if figures for server in figures.errors})
    series = [
        _counted(
            days,
            server,
            _SERVERS[number % len(_SERVERS)],
            lambda figures: figures.errors,
            name=server,
            link=_licenses(Happening.FAILED, server=server),
            may_repeat=True,
        )
        for number, server in enumerate(servers)
    ]
    return Chart(
        slug="errors",
        title="Licenses with errors, by license server",
        kind="bar",
        days=_days(days),
        series=_present(series),
        empty="No license server refused or failed anything in these days.",
    )


def _short(day: date) -> str:
    return f"{MONTHS[day.month - 1][:3]} {day.day}"


def _days(days: Days) -> list[date]:
    return [day for day, _ in days]


def _present(series: Sequence[Series]) -> list[Series]:
    return [one for one in series if any(one.values)]


def _counted(
    days: Days,
    label: str,
    color: str,
    part: Callable[[Figures], Mapping[str, int]],
    *,
    name: str,
    link: Link,
    may_repeat: bool = False,
) -> Series:
    values = [part(figures).get(name, 0) if figures else 0 for _, figures in days]
    cells = [_number(value, link(day, day)) for (day, _), value in zip(days, values, strict=True)]
    total = _number(sum(values), link(days[0][0], days[-1][0]))
    if may_repeat and sum(1 for value in values if value) > 1:
        total = replace(total, text=f"up to {total.text}")
    return Series(label=label, color=color, values=values, cells=cells, summary=total)


def _timed(days: Days, label: str, color: str, part: Callable[[Figures], float | None]) -> Series:
    link = _licenses(Happening.ISSUED)
    values = [part(figures) if figures else None for _, figures in days]
    cells = [
        Cell(text=_duration(value), url="" if value is None else link(day, day))
        for (day, _), value in zip(days, values, strict=True)
    ]
    told = [(day, cell) for (day, _), cell in zip(days, cells, strict=True) if cell.url]
    latest = Cell(text=f"{told[-1][1].text} on {_short(told[-1][0])}", url=told[-1][1].url) if told else Cell()
    return Series(label=label, color=color, values=values, cells=cells, summary=latest)


def _number(value: int, url: str) -> Cell:
    return Cell(text=f"{value:,}", url=url if value else "")


def _duration(seconds: float | None) -> str:
    """``0.8 s``, ``45 s``, ``12 min``, ``3.5 h``, ``2.1 days``; nothing for ``None``."""
    if seconds is None:
        return ""
    for unit, length, limit in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < limit:
            return f"{seconds / length:.2g} {unit}" if seconds / length < 10 else f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.1f} days"


def _events(state: str) -> Link:
    def _link(first: date, last: date) -> str:
        start, end = span_of(first, last)
        span = {"received_at__gte": _exact(start), "received_at__lt": _exact(end)}
        return list_url(WebhookEvent, state__exact=state, **span)

    return _link


def _licenses(happening: Happening, *, server: str = "") -> Link:
    def _link(first: date, last: date) -> str:
        return list_url(LicenseLink, happened=Happened(happening=happening, first=first, last=last, server=server))

    return _link


def _exact(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
