"""Holding the requests that were announced against those that were sent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from licensing_integration.license_servers.base import PlannedCall
from licensing_integration.sandbox.wire import RecordedRequest


def assert_sent_as_planned(planned: Sequence[PlannedCall], sent: Sequence[RecordedRequest]) -> None:
    """Same methods, paths and bodies in the same order; where a value was not known yet, any will do."""
    assert [(call.method, call.path) for call in planned] == [
        (request.method, re.sub(r"\{\w+\}", "{id}", request.template)) for request in sent
    ]
    for call, request in zip(planned, sent, strict=True):
        assert _filled(call.body, request.body) == request.body


def _filled(planned: object, sent: object) -> object:
    """``planned`` with what was sent in the places of what was not known."""
    if isinstance(planned, str) and planned.startswith("‹"):
        return sent or planned  # an empty value is none
    if isinstance(planned, Mapping) and isinstance(sent, Mapping):
        return {name: _filled(value, sent.get(name)) for name, value in planned.items()}
    if isinstance(planned, list) and isinstance(sent, list) and len(planned) == len(sent):
        return [_filled(*pair) for pair in zip(planned, sent, strict=True)]
    return planned
