"""JSON over HTTP as the sandboxes speak it, and the record they keep of each request."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from licensing_integration.sandbox.errors import invalid
from licensing_integration.sandbox.http_server import HttpRequest, Reply

_encode = json.JSONEncoder(separators=(",", ":")).encode


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedRequest:
    """A request and its answer. ``template``: path with placeholders, empty if unknown. ``status`` 0: not answered."""

    method: str
    path: str
    template: str
    raw_query: str
    raw_body: bytes
    status: int
    raw_response: bytes

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.raw_query, keep_blank_values=True))

    @property
    def body(self) -> Any:
        """The parsed request body; ``None`` if there was none or it was no JSON."""
        return _parsed(self.raw_body)

    @property
    def response(self) -> Any:
        """The parsed answer; ``None`` if there was none or it was no JSON."""
        return _parsed(self.raw_response)


def json_reply(status: int, payload: Any) -> Reply:
    return Reply(status=status, body=_encode(payload).encode("ascii"))


def read_json(request: HttpRequest) -> Any:
    """The request body; a 400 ``ApiError`` for anything but JSON that says it is JSON."""
    if not request.headers.get("content-type", "").lower().startswith("application/json"):
        raise invalid("Invalid request body: the content type must be application/json.")
    try:
        return _decode(request.body.decode("utf-8"))
    except ValueError:
        raise invalid("Invalid request body: not valid JSON.") from None


def read_pairs(query: str) -> dict[str, str]:
    """Decoded parameters; 400 if one is given twice."""
    if not query:
        return {}
    pairs = parse_qsl(query, keep_blank_values=True)
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise invalid("Invalid query: a parameter is given twice.")
    return parameters


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return None
