"""Events Stripe could not deliver, asked for: https://docs.stripe.com/webhooks/process-undelivered-events.

Stripe lists events for 30 days. One counts as undelivered until *every* endpoint that wants it has taken it, so some of
what comes here was delivered to us long ago; the inbox knows it by its id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from licensing_integration.http import Query
from licensing_integration.stores.base import RawEvent, StoreApi
from licensing_integration.stores.stripe.enrich import read_pages
from licensing_integration.stores.stripe.split import read_event
from licensing_integration.stores.stripe.translate import TRANSLATORS

PATH: Final = "/v1/events"
TYPES_AT_ONCE: Final = 20  # in one query


def catch_up(api: StoreApi, since: datetime) -> Iterator[Sequence[RawEvent]]:
    """Undelivered events of the handled types since ``since``, newest first for each query; never an empty page.

    Raises ``RemoteError`` or ``CredentialsRejected``.
    """
    types = sorted(TRANSLATORS)
    for start in range(0, len(types), TYPES_AT_ONCE):
        yield from _of_types(api, since=since, types=types[start : start + TYPES_AT_ONCE])


def _of_types(api: StoreApi, *, since: datetime, types: Sequence[str]) -> Iterator[Sequence[RawEvent]]:
    params: Query = {"delivery_success": "false", "created[gte]": int(since.timestamp()), "types[]": types}
    for page in read_pages(api, PATH, params=params):
        unique = {event.external_id: event for event in (read_event(entry.raw) for entry in page)}
        if unique:
            yield tuple(unique.values())
