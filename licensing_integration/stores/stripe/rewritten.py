"""What a body may have looked like before something on the way read its JSON and wrote it anew.

Only to explain a refused delivery: a right secret with a changed body looks like a wrong secret, and sends people to
the wrong place. What comes out here is never trusted or stored.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Final

LARGEST: Final = 128 * 1024  # bytes; whoever sends it need not be Stripe, so no more work than that

_EMPTY_AT_END = re.compile(r"^( *)(.*?)(\[\]|\{\})(,?)$", re.MULTILINE)


def originals(body: bytes) -> Iterator[bytes]:
    """Likely originals of ``body``, as Stripe or another honest sender would have written it."""
    if len(body) > LARGEST:
        return
    yield from _other_bytes(body)
    for content in (body, _unwrapped(body)):
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            continue
        yield from _other_spellings(value)


def _other_bytes(body: bytes) -> Iterator[bytes]:
    """The same text in another wrapping: line ends, white space around it, another character set, base64."""
    yield body.strip()
    yield body.strip() + b"\n"
    yield body.replace(b"\r\n", b"\n")
    yield body.removeprefix(b"\xef\xbb\xbf")
    yield body.decode("latin-1").encode()
    yield _unwrapped(body)


def _unwrapped(body: bytes) -> bytes:
    """API gateways hand on bodies in base64."""
    try:
        return base64.b64decode(body, validate=True)
    except ValueError:
        return b""


def _other_spellings(value: object) -> Iterator[bytes]:
    """Keys that were sorted cannot be put back, unless they were sorted before."""
    for is_ascii in (False, True):
        indented = json.dumps(value, ensure_ascii=is_ascii, indent=2)
        texts = [
            indented,
            _with_open_empties(indented),
            json.dumps(value, ensure_ascii=is_ascii, separators=(",", ":")),
            json.dumps(value, ensure_ascii=is_ascii),
        ]
        for text in texts:
            yield text.encode("utf-8", "replace")
            yield f"{text}\n".encode("utf-8", "replace")


def _with_open_empties(indented: str) -> str:
    """Stripe's own hand: empty objects and lists stand on lines of their own."""

    def opened(match: re.Match[str]) -> str:
        indent, before, empty, comma = match.groups()
        gap = "\n\n" if empty == "[]" else "\n"
        return f"{indent}{before}{empty[0]}{gap}{indent}{empty[1]}{comma}"

    return _EMPTY_AT_END.sub(opened, indented)
