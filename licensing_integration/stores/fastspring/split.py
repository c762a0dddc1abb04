"""A FastSpring delivery carries a list of events: ``{"events": [...]}``, of any length, mixed types, in no order.

Splitting never fails. The usual body is decoded and each event written out again. When that does not work because one
event is broken, or nested too deep, a scanner finds where each event begins and ends, so that one unreadable event
never holds back the others.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import orjson

from licensing_integration.exceptions import MalformedPayload
from licensing_integration.stores.base import Delivery, RawEvent
from licensing_integration.stores.fastspring.shapes import is_live, occurred_at
from licensing_integration.stores.payload import Payload

# A string (one that never ends counts too, so that scanning stays linear) or a mark of structure.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{},:]', re.DOTALL)
# Half of a surrogate pair, where the other half is missing; the first group is what is to be left alone.
_ESCAPE = re.compile(
    r"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\[^u])|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


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


def _split_decoded(body: bytes) -> list[RawEvent]:
    document = orjson.loads(body)
    events = document.get("events") if isinstance(document, dict) else None
    if not isinstance(events, list):
        return [_unreadable(body, 'The body is not {"events": [...]}.')]
    if not events:
        return [_unreadable(body, "The delivery holds no events.")]
    return [_read(event, orjson.dumps(event)) for event in events]


def _split_scanned(body: bytes) -> list[RawEvent]:
    spans = [span for span in _event_spans(body) if span.strip()]
    if not spans:
        return [_unreadable(body, 'The body is not JSON, or not {"events": [...]}.')]
    return [_decode(span) for span in spans]


def _decode(span: bytes) -> RawEvent:
    """One event by itself: as it is, else with unreadable characters replaced, else unreadable."""
    for text in (span.strip(), _repair(span)):
        try:
            return _read(orjson.loads(text), text)
        except ValueError:
            continue
    return _unreadable(span, "The event is not JSON, or nested too deep.")


def _repair(span: bytes) -> bytes:
    """Half a character in a buyer's name must not cost that buyer the license."""
    text = span.decode("utf-8", "replace").strip()
    return _ESCAPE.sub(lambda match: match[1] or r"\ufffd", text).encode()


def _read(value: Any, text: bytes) -> RawEvent:
    event = Payload(value)
    try:
        external_id, event_type = event.identifier("id"), event.identifier("type")
    except MalformedPayload as error:
        return _unreadable(text, str(error), event_type=_type_of(event))
    moment, live, problem = _head(event)
    return RawEvent(
        external_id=external_id,
        event_type=event_type,
        occurred_at=moment,
        is_live=live,
        body=text.decode(),
        problem=problem,
    )


def _head(event: Payload) -> tuple[datetime | None, bool, str]:
    """When it happened, whether it is live, and what is wrong with either."""
    try:
        return occurred_at(event), is_live(event), ""
    except MalformedPayload as error:
        return None, True, str(error)


def _type_of(event: Payload) -> str:
    try:
        return event.identifier("type")
    except MalformedPayload:
        return ""


def _unreadable(content: bytes, problem: str, *, event_type: str = "") -> RawEvent:
    return RawEvent(
        external_id=f"malformed:{hashlib.sha256(content).hexdigest()}",
        event_type=event_type,
        occurred_at=None,
        is_live=True,
        body=content.decode("utf-8", "backslashreplace").replace("\x00", r"\x00"),
        problem=problem,
    )


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
