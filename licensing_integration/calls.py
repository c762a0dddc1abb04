"""What was said to a server and what it answered, kept for people without what nobody should read there.

Addresses, names, license keys, passwords and tokens are masked before anything is kept, so that a stored call tells no
more about a customer than the sentence it stands beside.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

LONGEST_BODY: Final = 4_000
"""Characters kept of a request's or an answer's body."""

MOST_CALLS: Final = 40
"""Calls kept of one piece of work; a search through a whole account tells nothing more after these."""

_HIDDEN: Final = "•••"
# What has to be in a text for the pattern to match (looking for that costs nothing), the pattern, what takes its place.
_MASKED: Final = (
    (("@",), re.compile(r"[^\s@<>\"'(),;:]+@[^\s@<>\"'(),;:]+"), "•••@•••"),  # e-mail address
    (("eyJ",), re.compile(r"\beyJ[\w-]+(?:\.[\w-]+)*"), _HIDDEN),  # JSON web token
    # Stripe's API keys, and ids that open an order page
    (("_live_", "_test_"), re.compile(r"\b(?:[rs]k|cs)_(?:live|test)_\w+"), _HIDDEN),
    # License key; ids are lower-case and stay readable
    (("-",), re.compile(r"\b[A-Z0-9]{4,}(?:-[A-Z0-9]{4,}){2,}\b"), _HIDDEN),
)
# Members of JSON objects, in lower case and without underscores. A customer's place is as personal as the name.
_HIDDEN_MEMBERS: Final = frozenset(
    {
        *("key", "licensekey", "allowedkey", "apikey", "accesskey", "sharedkey", "hardwareid"),
        *("password", "initialpassword", "newpassword", "token", "accesstoken", "refreshtoken", "secret"),
        *("firstname", "lastname", "company", "companyname", "phone", "address", "city", "postcode"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request and its answer. ``path`` is a template such as ``/v3/licenses/{id}``. ``status`` is 0 where no answer
    came; ``answer`` then says why. ``request`` is the masked JSON body, of a search its parameters; ``ms``: until the
    answer was complete."""

    at: datetime
    method: str
    path: str
    status: int = 0
    ms: float = 0.0
    request_id: str = ""
    request: str = ""
    answer: str = ""


_kept: ContextVar[list[Call] | None] = ContextVar("kept_calls", default=None)


@contextmanager
def kept_calls() -> Iterator[list[Call]]:
    """Keep the calls that are made inside, in their order, those that fail included."""
    calls: list[Call] = []
    token = _kept.set(calls)
    try:
        yield calls
    finally:
        _kept.reset(token)


def keep(
    *, method: str, path: str, said: object, answer: bytes | str, ms: float, status: int = 0, request_id: str = ""
) -> None:
    """Keep a call for whoever does; masking costs time, so it is done for nobody else. ``said``: the decoded body, or
    the parameters; ``answer``: the body as it came, or a sentence on why there is none."""
    kept = _kept.get()
    if kept is None or len(kept) >= MOST_CALLS:
        return
    kept.append(
        Call(
            at=datetime.now(UTC) - timedelta(milliseconds=ms),
            method=method,
            path=path,
            status=status,
            ms=ms,
            request_id=request_id,
            request=masked_json(said),
            answer=masked_body(answer) if isinstance(answer, bytes) else _cut(mask(answer)),
        )
    )


def mask(text: str) -> str:
    """``text`` without e-mail addresses, tokens and license keys."""
    for hints, pattern, replacement in _MASKED:
        if any(hint in text for hint in hints):
            text = pattern.sub(replacement, text)
    return text


def masked_json(value: object) -> str:
    """A decoded JSON value as compact text, masked, cut to what is kept of a body. Nothing for ``None``.

    A bare list of texts is one of fresh license keys, of whatever form.
    """
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(element, str) for element in value):
        value = [_HIDDEN for _ in value]
    return _cut(mask(json.dumps(_masked(value), ensure_ascii=False, default=str)))


def masked_body(content: bytes) -> str:
    """A body as it was received, masked and cut; what is not JSON is a proxy's page and kept as text."""
    try:
        return masked_json(json.loads(content)) if content.strip() else ""
    except (ValueError, RecursionError):
        return _cut(mask(content[: 2 * LONGEST_BODY].decode("utf-8", "replace")))


def _masked(value: object) -> object:
    """Without what the members' names give away. An object with ``key`` and ``value`` is an entry, and its key no
    secret; one with an address is a person, whose name is one."""
    if isinstance(value, list):
        return [_masked(element) for element in value]
    if not isinstance(value, Mapping):
        return value
    hidden = _HIDDEN_MEMBERS - {"key"} if "key" in value and "value" in value else _HIDDEN_MEMBERS
    hidden = hidden | {"name"} if "email" in value else hidden
    return {
        name: _HIDDEN if _is_hidden(name, member, hidden=hidden) else _masked(member) for name, member in value.items()
    }


def _is_hidden(name: str, member: object, *, hidden: frozenset[str]) -> bool:
    if member in (None, "") or isinstance(member, bool | dict | list):
        return False
    return name.replace("_", "").lower() in hidden


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_BODY else text[: LONGEST_BODY - 1] + "…"
