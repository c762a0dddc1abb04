"""From the bytes of one event to a row of the inbox, the same for every store that sends JSON.

Reading never fails: half a character is replaced, and what still cannot be read is kept with the reason.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from licensing_integration.exceptions import MalformedPayload
from licensing_integration.stores.base import RawEvent
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.storable import storable

# Half of a surrogate pair, where the other half is missing; the first group is what is to be left alone.
_ESCAPE = re.compile(
    r"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\[^u])|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


@dataclass(frozen=True, kw_only=True)
class EventReader:
    """How a store tells when an event happened and whether it is live; both raise ``MalformedPayload``.

    Id and type stand in ``id`` and ``type``.
    """

    occurred_at: Callable[[Payload], datetime]
    is_live: Callable[[Payload], bool]

    def decode(self, content: bytes) -> RawEvent:
        """One event: as it is, else with unreadable characters replaced, else unreadable."""
        for text in (content.strip(), _repair(content)):
            try:
                return self.read(orjson.loads(text), text)
            except ValueError:
                continue
        return unreadable(content, "The event is not JSON, or nested too deep.")

    def read(self, value: Any, text: bytes) -> RawEvent:
        """One event that is decoded already; ``text`` is its JSON."""
        event = Payload(value)
        try:
            external_id, event_type = event.identifier("id"), event.identifier("type")
        except MalformedPayload as error:
            return unreadable(text, str(error), event_type=_type_of(event))
        moment, live, problem = self._head(event)
        return RawEvent(
            external_id=external_id,
            event_type=event_type,
            occurred_at=moment,
            is_live=live,
            body=text.decode(),
            problem=problem,
        )

    def read_listed(self, value: object) -> RawEvent:
        """One event as the store's API lists it."""
        value = storable(value)
        return self.read(value, json.dumps(value, ensure_ascii=False).encode())

    def _head(self, event: Payload) -> tuple[datetime | None, bool, str]:
        """When it happened, whether it is live, and what is wrong with either."""
        try:
            return self.occurred_at(event), self.is_live(event), ""
        except MalformedPayload as error:
            return None, True, str(error)


def unreadable(content: bytes, problem: str, *, event_type: str = "") -> RawEvent:
    """The trace of something authentic that is no event we can read."""
    return RawEvent(
        external_id=f"malformed:{hashlib.sha256(content).hexdigest()}",
        event_type=event_type,
        occurred_at=None,
        is_live=True,
        body=content.decode("utf-8", "backslashreplace").replace("\x00", r"\x00"),
        problem=problem,
    )


def _repair(content: bytes) -> bytes:
    """Half a character in a buyer's name must not cost that buyer the license."""
    text = content.decode("utf-8", "replace").strip()
    return _ESCAPE.sub(lambda match: match[1] or r"\ufffd", text).encode()


def _type_of(event: Payload) -> str:
    try:
        return event.identifier("type")
    except MalformedPayload:
        return ""
