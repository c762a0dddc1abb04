"""Logs are one JSON object per line, and say nothing that must stay secret."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from licensing_integration.logs import JsonFormatter, RedactionFilter, TextFormatter, redact

KEY = "A1B2C3-D4E5F6-A1B2C3-D4E5F6-A1B2C3-D4E5F6"


class Log:
    def __init__(self, formatter: logging.Formatter) -> None:
        self.written = io.StringIO()
        self.logger = logging.Logger("a.logger")
        handler = logging.StreamHandler(self.written)
        handler.setFormatter(formatter)
        handler.addFilter(RedactionFilter())
        self.logger.addHandler(handler)

    def line(self) -> dict[str, Any]:
        (line,) = self.written.getvalue().splitlines()
        return dict(json.loads(line))


@pytest.fixture
def log() -> Iterator[Log]:
    return Log(JsonFormatter())


def test_a_line_has_time_level_logger_message_and_what_the_caller_adds(log: Log) -> None:
    log.logger.info("Received %s events.", 2, extra={"event_id": 7, "store": "main", "purchase": None})
    line = log.line()
    assert line.pop("ts").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "a.logger",
        "message": "Received 2 events.",
        "event_id": 7,
        "store": "main",
        "purchase": None,
    }


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("Authorization: Bearer abc.def-_~+/=", "Authorization: Bearer [redacted]"),
        ("authorization: basic dXNlcjpwYXNz", "authorization: basic [redacted]"),
        (f"license {KEY} issued", "license [license key] issued"),
        (f"license {KEY.lower()}.", "license [license key]."),
        ("to jane.o'neil+shop@mail.example.co.uk now", "to [e-mail] now"),
        ("GET /v3/users?email=jane%40example.com&page=1", "GET /v3/users?email=[e-mail]&page=1"),
        ("postgresql://user:pass-word@db/name", "postgresql://user:[redacted]@db/name"),
        ("order FS-2026-11 of store main", "order FS-2026-11 of store main"),
        ("Not Found: /orders/main/cs_live_a1b2", "Not Found: /orders/main/[order]"),
        ("Not Found: /orders/eu-1/-Wx_Rh7/", "Not Found: /orders/eu-1/[order]/"),
        ('"GET /orders/main/x1/?look=2&token=0a1b HTTP"', '"GET /orders/main/[order]/?look=2&token=[redacted] HTTP"'),
        ("GET /orders/x1 and /orders/", "GET /orders/x1 and /orders/"),
    ],
)
def test_redaction(text: str, safe: str) -> None:
    assert redact(text) == safe


def test_message_arguments_extra_and_traceback_are_redacted(log: Log) -> None:
    try:
        raise ValueError("no license for jane@example.com")
    except ValueError:
        log.logger.exception("Key %s", KEY, extra={"customer": "joe@example.com", "tries": 3, "body": {"key": KEY}})
    line = log.line()
    text = json.dumps(line)
    assert "ValueError: no license for [e-mail]" in line["traceback"]
    assert line["tries"] == 3
    assert not any(secret in text for secret in ("jane", "joe", KEY))


def test_what_is_no_json_is_written_as_text(log: Log) -> None:
    log.logger.info("It is", extra={"module_of": sys, "number": 1.5})
    assert log.line()["module_of"].startswith("<module 'sys'")


def test_line_breaks_cannot_forge_a_line(log: Log) -> None:
    log.logger.info('one\n{"level": "ERROR"}')
    assert log.line()["message"] == 'one\n{"level": "ERROR"}'


def test_the_objects_django_attaches_are_not_written(log: Log) -> None:
    log.logger.warning("Not found", extra={"request": object(), "status_code": 404})
    assert "request" not in log.line()
    assert log.line()["status_code"] == 404


def test_text_for_people_shows_the_same() -> None:
    log = Log(TextFormatter())
    log.logger.info("Received from jane@example.com", extra={"store": "main"})
    assert log.written.getvalue().rstrip().endswith("INFO     a.logger: Received from [e-mail]  [store=main]")
