"""The filter of licenses by what happened to them on which days; the charts of the start page link their numbers to it.

The list's filters offer it only while it is chosen: the choice is made in a chart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.contrib import admin
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import BooleanField, F, Func, QuerySet
from django.http import HttpRequest

from licensing_integration.domain.figures import KINDS, Happening
from licensing_integration.models import HistoryEntry
from licensing_integration.services.figures import span_of


@dataclass(frozen=True, kw_only=True)
class Happened:
    """What happened, from the first to the last of these days in UTC; ``server``: only on that license server."""

    happening: Happening
    first: date
    last: date
    server: str = ""

    def __str__(self) -> str:
        """As the value in an address."""
        parts = [self.happening.value, self.first.isoformat(), self.last.isoformat(), self.server]
        return ",".join(part for part in parts if part)

    @classmethod
    def read(cls, value: str) -> Happened | None:
        """``None`` for what is no such value."""
        happening, first, last, server = [*value.split(","), "", "", "", ""][:4]
        try:
            chosen = cls(
                happening=Happening(happening),
                first=date.fromisoformat(first),
                last=date.fromisoformat(last),
                server=server,
            )
            span_of(chosen.first, chosen.last)
        except (ValueError, OverflowError):  # the calendar's last day has no end
            return None
        return chosen

    @property
    def label(self) -> str:
        days = f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"
        where = f" on {self.server}" if self.server else ""
        return f"{self.happening.value.capitalize()}{where}, {days} (UTC)"

    def narrow(self, links: QuerySet[Any]) -> QuerySet[Any]:
        start, end = span_of(self.first, self.last)
        entries = HistoryEntry.objects.filter(at__gte=start, at__lt=end, kind__in=KINDS[self.happening]).order_by()
        found = links.filter(is_among(entries.values("link_id")))
        return found.filter(server=self.server) if self.server else found


def is_among(ids: QuerySet[Any]) -> Func:
    """Whether the primary key is one of these. With ``IN (SELECT …)`` and a limit PostgreSQL may go through all
    licenses, the newest first, and ask of each; so it is made to find the ids beforehand."""
    return Func(
        F("pk"), ArraySubquery(ids), arg_joiner=" = ANY(", template="%(expressions)s)", output_field=BooleanField()
    )


class HappenedFilter(admin.SimpleListFilter):
    """Licenses to which something happened in a span of days."""

    title = "what happened"
    parameter_name = "happened"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        chosen = Happened.read(self.value() or "")
        return [(str(self.value()), chosen.label)] if chosen else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = Happened.read(self.value() or "")
        return chosen.narrow(queryset) if chosen else queryset
