"""Domain values to JSON and back, for the JSON columns of our tables."""

from __future__ import annotations

from typing import Any, TypeVar

from cattrs.preconf.json import make_converter

T = TypeVar("T")

_converter = make_converter(omit_if_default=True)


def to_json(value: object) -> Any:
    """JSON-ready data: datetimes as ISO text, enums as values, what equals its default left out."""
    return _converter.unstructure(value)


def from_json(data: Any, kind: type[T]) -> T:
    """The value ``to_json`` was given. Raises ``cattrs.ClassValidationError`` for data that never was one."""
    return _converter.structure(data, kind)
