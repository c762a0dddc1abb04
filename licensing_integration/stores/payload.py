"""Untrusted JSON as a type.

A ``Payload`` is a decoded value that knows where it came from. It is read only through methods that check what they
hand out, so a missing or unreadable field becomes a ``MalformedPayload`` that says where: ``data.items[2].quantity``.
``null`` and "not there" mean the same. Numbers may be spelled as text and truth in any usual spelling, because stores
do both; anything else of the wrong type is an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final, TypeVar

import orjson

from licensing_integration.exceptions import MalformedPayload

IDENTIFIER_LENGTH: Final = 200  # characters; no store comes near it, and every id column takes as many
LARGEST_INTEGER: Final = 2**31 - 1  # what a PostgreSQL integer takes
LONGEST_KEY: Final = 100
FETCHED_AT: Final = "fetched_at"  # beside the kinds of fetched objects
TRUE: Final = frozenset({"true", "yes", "on", "1"})
FALSE: Final = frozenset({"false", "no", "off", "0"})

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(?:\.0*)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS = 946_684_800_000  # 2000-01-01: older than any store; smaller values are seconds, or nonsense
_LAST_MS = 221_845_392_000_000  # 9000-01-01: days of grace may be added to it, and a datetime ends with the year 9999


class _Required(Enum):
    REQUIRED = "required"


_REQUIRED: Final = _Required.REQUIRED
Value = TypeVar("Value")
Default = TypeVar("Default")


class Payload:
    """One value of a store's JSON, and its path.

    ``fetched`` is what the adapter's ``enrich`` step stored beside the event, by kind and id.
    Every method may raise ``MalformedPayload``.
    """

    __slots__ = ("_fetched", "_value", "path")

    def __init__(self, value: Any, *, path: str = "", fetched: Mapping[str, Any] | None = None) -> None:
        self._value = value
        self._fetched = fetched or {}
        self.path = path

    @classmethod
    def from_json(cls, text: str | bytes, *, fetched: Mapping[str, Any] | None = None) -> Payload:
        """The payload of a stored event."""
        try:
            return cls(orjson.loads(text), fetched=fetched)
        except ValueError as error:
            raise MalformedPayload("event", "not JSON") from error

    def __repr__(self) -> str:
        return f"Payload({self.path or 'event'!r})"  # never the value: it holds customer data

    # Shape

    @property
    def is_mapping(self) -> bool:
        return isinstance(self._value, dict)

    @property
    def is_list(self) -> bool:
        return isinstance(self._value, list)

    @property
    def raw(self) -> Any:
        """The unchecked value, to be stored or passed on as a whole."""
        return self._value

    # Parts

    def has(self, key: str) -> bool:
        """Whether ``key`` is there and not ``null``."""
        return self._object().get(key) is not None

    def get(self, key: str) -> Payload | None:
        """The value under ``key``, or ``None`` if it is missing or ``null``."""
        value = self._object().get(key)
        return None if value is None else self._child(value, self._path_of(key))

    def require(self, key: str) -> Payload:
        """The value under ``key``, which has to be there."""
        child = self.get(key)
        if child is None:
            raise MalformedPayload(self._path_of(key), "missing")
        return child

    @property
    def mapping(self) -> dict[str, Payload]:
        """This object's values that are not ``null``, by key."""
        return {
            key: self._child(value, self._path_of(key)) for key, value in self._object().items() if value is not None
        }

    @property
    def elements(self) -> tuple[Payload, ...]:
        """This list's elements."""
        if not isinstance(self._value, list):
            raise self.malformed("not a list")
        return tuple(self._child(value, f"{self.path}[{index}]") for index, value in enumerate(self._value))

    def items(self, key: str) -> tuple[Payload, ...]:
        """The elements of the list under ``key``; none if it is missing."""
        child = self.get(key)
        return () if child is None else child.elements

    def strings(self, key: str) -> dict[str, str]:
        """The object under ``key`` as text by name, empty if it is missing. ``null`` values are left out.

        What is neither text nor ``null`` becomes its JSON spelling: one odd value must not hide the others.
        """
        child = self.get(key)
        return {} if child is None else {_clean(name): value.as_json_text() for name, value in child.mapping.items()}

    def fetched(self, kind: str, key: str) -> Payload | None:
        """What ``enrich`` stored as ``{kind: {key: value}}``, or ``None``."""
        objects = self._fetched.get(kind)
        value = objects.get(key) if isinstance(objects, dict) else None
        return None if value is None else self._child(value, f"fetched.{kind}[{key}]")

    @property
    def fetched_at(self) -> datetime | None:
        """When ``enrich`` began to fetch, by our clock; ``None`` if it has not."""
        moment = self._fetched.get(FETCHED_AT)
        return datetime.fromisoformat(moment) if isinstance(moment, str) else None

    # Values under a key: missing means the default, or an error if there is none; unreadable is always an error.

    def text(self, key: str, *, default: Default | _Required = _REQUIRED) -> str | Default:
        return self._read(key, Payload.as_text, default)

    def integer(
        self, key: str, *, default: Default | _Required = _REQUIRED, minimum: int = -LARGEST_INTEGER
    ) -> int | Default:
        return self._read(key, lambda child: child.as_integer(minimum=minimum), default)

    def amount(self, key: str, *, default: Default | _Required = _REQUIRED) -> int | Default:
        """Money in the smallest unit of its currency. 2.2 billion rupiahs are more than ``integer`` takes."""
        return self._read(key, Payload._whole_number, default)

    def number(self, key: str, *, default: Default | _Required = _REQUIRED) -> float | Default:
        return self._read(key, Payload.as_number, default)

    def boolean(self, key: str, *, default: Default | _Required = _REQUIRED) -> bool | Default:
        return self._read(key, Payload.as_boolean, default)

    def epoch_ms(self, key: str, *, default: Default | _Required = _REQUIRED) -> datetime | Default:
        """Milliseconds since 1970 as an aware datetime in UTC."""
        return self._read(key, Payload.as_epoch_ms, default)

    def epoch_s(self, key: str, *, default: Default | _Required = _REQUIRED) -> datetime | Default:
        """Seconds since 1970 as an aware datetime in UTC."""
        return self._read(key, Payload.as_epoch_s, default)

    def identifier(self, *keys: str) -> str:
        """The first of ``keys`` that is there, as somebody's id: never blank, never long. One has to be there."""
        for key in keys:
            child = self.get(key)
            if child is not None:
                return child.as_identifier()
        raise MalformedPayload(self._path_of(keys[0]), "missing")

    # This value itself

    def as_text(self) -> str:
        """Text without NUL characters, which PostgreSQL refuses. Numbers are taken as they are spelled."""
        if isinstance(self._value, str):
            return _clean(self._value)
        if isinstance(self._value, int | float) and not isinstance(self._value, bool):
            return str(self._value)
        raise self.malformed("not text")

    def as_json_text(self) -> str:
        """Text as it is; anything else as compact JSON."""
        if isinstance(self._value, str):
            return _clean(self._value)
        try:
            return orjson.dumps(self._value).decode()
        except TypeError as error:
            raise self.malformed("cannot be written as JSON") from error

    def as_identifier(self) -> str:
        text = self.as_text().strip()
        if not text:
            raise self.malformed("an empty id")
        if len(text) > IDENTIFIER_LENGTH:
            raise self.malformed(f"an id of more than {IDENTIFIER_LENGTH} characters")
        return text

    def as_integer(self, *, minimum: int = -LARGEST_INTEGER) -> int:
        number = self._whole_number()
        if not minimum <= number <= LARGEST_INTEGER:
            raise self.malformed("out of range")
        return number

    def as_number(self) -> float:
        value = self._value
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise self.malformed("not a number")
        try:
            number = float(value)
        except (ValueError, OverflowError) as error:
            raise self.malformed("not a number") from error
        if not math.isfinite(number):
            raise self.malformed("not a number")
        return number

    def as_boolean(self) -> bool:
        spelling = str(self._value).strip().lower() if isinstance(self._value, str | int) else ""
        if spelling in TRUE:
            return True
        if spelling in FALSE:
            return False
        raise self.malformed("neither true nor false")

    def as_epoch_ms(self) -> datetime:
        milliseconds = self._whole_number()
        if not _FIRST_MS <= milliseconds <= _LAST_MS:
            raise self.malformed("not a time in milliseconds")
        return _EPOCH + timedelta(milliseconds=milliseconds)

    def as_epoch_s(self) -> datetime:
        seconds = self._whole_number()
        if not _FIRST_MS // 1000 <= seconds <= _LAST_MS // 1000:
            raise self.malformed("not a time in seconds")
        return _EPOCH + timedelta(seconds=seconds)

    def malformed(self, problem: str) -> MalformedPayload:
        """The error that says ``problem`` of this value."""
        return MalformedPayload(self.path or "event", problem)

    # Inside

    def _whole_number(self) -> int:
        value = self._value
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value.strip()):
            return int(value.strip().partition(".")[0])
        raise self.malformed("not a whole number")

    def _object(self) -> dict[str, Any]:
        if not isinstance(self._value, dict):
            raise self.malformed("not an object")
        return self._value

    def _path_of(self, key: str) -> str:
        key = _clean(key)[:LONGEST_KEY]  # a path goes into a message, and keys come from outside
        return f"{self.path}.{key}" if self.path else key

    def _child(self, value: Any, path: str) -> Payload:
        return Payload(value, path=path, fetched=self._fetched)

    def _read(self, key: str, read: Callable[[Payload], Value], default: Default | _Required) -> Value | Default:
        child = self.get(key)
        if child is not None:
            return read(child)
        if isinstance(default, _Required):
            raise MalformedPayload(self._path_of(key), "missing")
        return default


def _clean(text: str) -> str:
    return text.replace("\x00", "")
