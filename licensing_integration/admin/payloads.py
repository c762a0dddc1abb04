"""Payloads for people: pretty-printed where that is possible, as received where it is not, never endless."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

MOST_CHARACTERS = 200_000
_HIDDEN = "•••"


@dataclass(frozen=True, kw_only=True)
class Readable:
    """``text`` as it is shown. ``is_raw``: it is not JSON, or JSON nobody can print; it stands as it was received."""

    text: str
    is_raw: bool
    is_cut: bool


def readable_json(value: object, *, keys: Iterable[str] = ()) -> Readable:
    """JSON text, or a value decoded from JSON, indented; without license keys, of which ``keys`` are known."""
    text, is_raw = _pretty(value)
    for key in keys:
        text = text.replace(key, f"…{key[-6:]}")
    # Half a surrogate pair is legal in JSON text and cannot be sent to a browser.
    sendable = text[:MOST_CHARACTERS].encode("utf-8", "backslashreplace").decode()
    return Readable(text=sendable, is_raw=is_raw, is_cut=len(text) > MOST_CHARACTERS)


def _pretty(value: object) -> tuple[str, bool]:
    try:
        data = json.loads(value) if isinstance(value, str) else value
        return json.dumps(_without_keys(data), indent=2, ensure_ascii=False), False
    except (ValueError, RecursionError):
        return str(value), True


def _without_keys(value: object) -> object:
    """FastSpring tells the keys a buyer was given as ``{"type": "license", "license": …}``."""
    if isinstance(value, list):
        return [_without_keys(element) for element in value]
    if not isinstance(value, dict):
        return value
    hidden = {"license": _HIDDEN} if value.get("type") == "license" and value.get("license") else {}
    return {name: _without_keys(member) for name, member in value.items()} | hidden
