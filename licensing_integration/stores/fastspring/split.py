"""A FastSpring delivery carries a list of events: ``{"events": [...]}``, of any length, mixed types, in no order.

Splitting never fails. The usual body is decoded and each event written out again. When that does not work because one
event is broken, or nested too deep, a scanner finds where each event begins and ends, so that one unreadable event
never holds back the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import orjson

from licensing_integration.stores.base import Delivery, RawEvent
from licensing_integration.stores.fastspring.shapes import is_live, occurred_at
from licensing_integration.stores.raw_events import EventReader, unreadable

# A string (one that never ends counts too, so that scanning stays linear) or a mark of structure.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{},:]', re.DOTALL)

_READER = EventReader(occurred_at=occurred_at, is_live=is_live)


def split(delivery: Delivery) -> tuple[RawEvent, ...]:
    """The events of a delivery, each id once. What cannot be read comes as an event with a ``problem``."""
    try:
        events = _split_decoded(delivery.body)
    except (ValueError, TypeError):  # what orjson raises on loading and on dumping
        events = _split_scanned(delivery.body)
    unique: dict[str, RawEvent] = {}
    for event in events:
        unique.setdefault(event.external_id, event)
    return tuple(unique.values())


def read_event(value: object) -> RawEvent:
    """One event that is decoded already, as FastSpring's API lists it."""
    return _READER.read_listed(value)


def _split_decoded(body: bytes) -> list[RawEvent]:
    document = orjson.loads(body)
    events = document.get("events") if isinstance(document, dict) else None
    if not isinstance(events, list):
        return [unreadable(body, 'The body is not {"events": [...]}.')]
    if not events:
        return [unreadable(body, "The delivery holds no events.")]
    return [_READER.read(event, orjson.dumps(event)) for event in events]


def _split_scanned(body: bytes) -> list[RawEvent]:
    spans = [span for span in _event_spans(body) if span.strip()]
    if not spans:
        return [unreadable(body, 'The body is not JSON, or not {"events": [...]}.')]
    return [_READER.decode(span) for span in spans]


def _event_spans(body: bytes) -> Iterator[bytes]:
    """The bytes of each element of the ``events`` array of the outermost object; nothing if there is none."""
    tokens = _TOKEN.finditer(body)
    begin = _find_events(tokens)
    return iter(()) if begin is None else _elements(body, tokens, begin)


def _find_events(tokens: Iterable[re.Match[bytes]]) -> int | None:
    """Move ``tokens`` behind the opening bracket of the array and return its position."""
    depth = 0
    before: tuple[bytes, bytes] = (b"", b"")
    for token in tokens:
        mark = token.group()
        if mark == b"[" and depth == 1 and before == (b'"events"', b":"):
            return token.end()
        depth += _step(mark)
        before = (before[1], mark)
    return None


def _elements(body: bytes, tokens: Iterable[re.Match[bytes]], begin: int) -> Iterator[bytes]:
    depth = 0
    for token in tokens:
        mark = token.group()
        if depth == 0 and mark in {b",", b"]", b"}"}:
            yield body[begin : token.start()]
            begin = token.end()
            if mark != b",":
                return
        depth += _step(mark)
    yield body[begin:]


def _step(mark: bytes) -> int:
    return 1 if mark in {b"[", b"{"} else -1 if mark in {b"]", b"}"} else 0
