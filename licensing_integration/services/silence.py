"""Stores that say nothing: configured, but no event has come for longer than theirs usually take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import connection

from licensing_integration import conf
from licensing_integration.services.connection_checks import TEST_EVENT_PREFIX

QUIET_AT_LEAST: Final = timedelta(hours=24)

# A store that sells twice a week is not silent after a day. So its own pace counts: the usual gap between its last
# events, several times over.
EVENTS_LOOKED_AT: Final = 20
USUAL_GAPS: Final = 5

_LAST_EVENTS = """
SELECT store.name, count(event.received_at), min(event.received_at), max(event.received_at)
  FROM unnest(%(stores)s::varchar[]) AS store (name)
  LEFT JOIN LATERAL (
       SELECT received_at FROM licensing_integration_webhookevent
        WHERE store = store.name AND external_id NOT LIKE %(ours)s ORDER BY id DESC LIMIT %(events)s) event ON true
 GROUP BY store.name
"""


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """When a configured store last sent an event, ``None`` for never, and whether that is unusually long ago."""

    store: str
    last_at: datetime | None
    is_silent: bool


def pulses(*, now: datetime) -> list[Pulse]:
    """Every store that is set up to send us events, in the order of the setting; one query."""
    names = [name for name, store in conf.stores().items() if store.webhook_secrets]
    with connection.cursor() as cursor:
        cursor.execute(_LAST_EVENTS, {"stores": names, "events": EVENTS_LOOKED_AT, "ours": f"{TEST_EVENT_PREFIX}%"})
        rows = {name: _pulse(name, number, first, last, now=now) for name, number, first, last in cursor.fetchall()}
    return [rows[name] for name in names]


def _pulse(store: str, number: int, first: datetime | None, last: datetime | None, *, now: datetime) -> Pulse:
    if first is None or last is None:
        return Pulse(store=store, last_at=None, is_silent=True)
    usual_gap = (last - first) / max(number - 1, 1)
    return Pulse(store=store, last_at=last, is_silent=now - last > max(QUIET_AT_LEAST, USUAL_GAPS * usual_gap))
