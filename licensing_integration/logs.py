"""One JSON object per line, and a last line of defence against secrets and personal data in logs.

What we log on purpose contains neither; the filter is for what other people's code and exceptions say.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime

# What every record has; anything beyond was given as ``extra`` and is ours to show.
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
# Objects that other libraries attach: whole requests, jobs and database parameters.
_NOT_SHOWN = frozenset({"request", "server_time", "job", "params", "sql", "alias", "worker", "task", "connection"})

_REDACTIONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), r"\1 [redacted]"),
    (re.compile(r"\b(?:[A-F0-9]{6}-){5}[A-F0-9]{6}\b", re.IGNORECASE), "[license key]"),
    (re.compile(r"(?i)[\w.+%'-]+?(?:@|%40)[\w-]+(?:\.[\w-]+)+"), "[e-mail]"),
    (re.compile(r"(?i)(://[^/\s:@]*:)[^/\s@]+@"), r"\1[redacted]@"),
    # An order's page: the id may be all it takes to see the keys, else it is the token.
    (re.compile(r"(/orders/[\w-]+/)[^/\s?\"']+"), r"\1[order]"),
    (re.compile(r"(?i)([?&]token=)[^&\s\"']+"), r"\1[redacted]"),
)


def redact(text: str) -> str:
    """``text`` without tokens, license keys, e-mail addresses, passwords in URLs and addresses of orders' pages."""
    for pattern, replacement in _REDACTIONS:
        text = pattern.sub(replacement, text)
    return text


def _extra(record: logging.LogRecord) -> Mapping[str, object]:
    """What the caller gave as ``extra``."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD and name not in _NOT_SHOWN}


class RedactionFilter(logging.Filter):
    """Cleans message, ``extra`` and traceback of every record that passes."""

    _tracebacks = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = self._tracebacks.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        for name, value in _extra(record).items():
            if not isinstance(value, bool | int | float | None):
                setattr(record, name, redact(str(value)))
        return True


class JsonFormatter(logging.Formatter):
    """``{"ts": …, "level": …, "logger": …, "message": …}`` and whatever the caller gave as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in _extra(record).items() if name not in line}
        if record.exc_info or record.exc_text:
            line["traceback"] = record.exc_text or self.formatException(record.exc_info)  # type: ignore[arg-type]
        return json.dumps(line, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """For a person at a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-8s %(name)s: %(message)s", datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        extra = " ".join(f"{name}={value}" for name, value in _extra(record).items())
        return super().formatMessage(record) + (f"  [{extra}]" if extra else "")
