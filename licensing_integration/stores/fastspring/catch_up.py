"""Events FastSpring could not deliver, asked for: https://developer.fastspring.com/reference/get-unprocessed-events.

Nothing is marked as processed: that would take the events from whoever else reads them there. FastSpring lists 25 at
most and knows no next page, so a time in which more happened is asked for again in two halves.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from licensing_integration.exceptions import MalformedPayload, PermanentRemoteError, TransientRemoteError
from licensing_integration.stores.base import RawEvent, StoreApi
from licensing_integration.stores.fastspring.split import read_event
from licensing_integration.stores.payload import Payload

PATH: Final = "/events/unprocessed"
OLDEST: Final = timedelta(days=30) - timedelta(hours=1)  # older than 30 days is refused, by FastSpring's clock
LISTED_AT_ONCE: Final = 25

logger = logging.getLogger(__name__)


def catch_up(api: StoreApi, since: datetime) -> Iterator[Sequence[RawEvent]]:
    """Undelivered events since ``since``, at most 30 days ago, oldest first; never an empty page, no id twice in one.

    The same event may stand on two pages. Raises ``RemoteError`` or ``CredentialsRejected``.
    """
    now = datetime.now(UTC)
    return _between(api, begin=_milliseconds(max(since, now - OLDEST)), end=_milliseconds(now))


def _between(api: StoreApi, *, begin: int, end: int) -> Iterator[Sequence[RawEvent]]:
    """The events of a window given in milliseconds since 1970."""
    events, has_more = _ask(api, begin=begin, end=end)
    if has_more and _can_be_halved(events, begin=begin, end=end):
        middle = (begin + end) // 2
        yield from _between(api, begin=begin, end=middle)
        yield from _between(api, begin=middle, end=end)  # nobody says whether a window's ends belong to it
        return
    if has_more:
        logger.warning("FastSpring holds more undelivered events of one moment than it lists; the rest stay there.")
    unique = {event.external_id: event for event in sorted(events, key=_age)}
    if unique:
        yield tuple(unique.values())


def _ask(api: StoreApi, *, begin: int, end: int) -> tuple[list[RawEvent], bool]:
    answer = Payload(api.get(PATH, params={"begin": begin, "end": end}), path="answer")
    try:
        if answer.text("result", default="") == "error":
            raise PermanentRemoteError(f"FastSpring: GET {PATH} was refused: it does not like the dates.", status=400)
        events = [read_event(event.raw) for event in answer.items("events")]
        more = answer.get("more")
    except MalformedPayload as error:
        raise TransientRemoteError(
            f"FastSpring: GET {PATH} answered without a readable list ({error}). It is tried again by itself.",
            may_have_succeeded=False,
        ) from None
    return events, len(events) >= LISTED_AT_ONCE or (more is not None and bool(more.raw))


def _can_be_halved(events: Sequence[RawEvent], *, begin: int, end: int) -> bool:
    """Whether a narrower window would tell more. An event from outside says that the window is not kept to."""
    moments = [_milliseconds(event.occurred_at) for event in events if event.occurred_at]
    return end - begin > 1 and all(begin <= moment <= end for moment in moments)


def _age(event: RawEvent) -> tuple[bool, float]:
    return (event.occurred_at is None, event.occurred_at.timestamp() if event.occurred_at else 0.0)


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
