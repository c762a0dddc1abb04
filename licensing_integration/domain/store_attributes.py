"""A store's custom attributes of a product, read without case and spaces, with sentences for what means nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from licensing_integration.exceptions import InvalidTerm

T = TypeVar("T")
Parser = Callable[[str], T]

CUSTOM_FIELD: Final = "custom_field_"  # what follows is the name of a field of the license, with its capitals

_TRUE = frozenset({"true", "yes", "y", "1", "on"})
_FALSE = frozenset({"false", "no", "n", "0", "off", ""})


@dataclass(frozen=True, kw_only=True)
class StoreAttributes:
    """``values``: name in lower case → value. ``custom_fields``: by their own names. Empty values are left out."""

    values: Mapping[str, str] = field(default_factory=dict)
    custom_fields: Mapping[str, str] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def text(self, name: str) -> str:
        return self.values.get(name, "")

    def parsed(self, name: str, parse: Parser[T]) -> T:
        """The value of an attribute that is there. ``InvalidTerm`` names it, its value and what is allowed."""
        value = self.values[name]
        try:
            return parse(value)
        except InvalidTerm as error:
            raise InvalidTerm(f"Store attribute {name} is '{value[:40]}'; {error}") from error


def read_attributes(attributes: Mapping[str, str]) -> StoreAttributes:
    """Raises ``InvalidTerm`` when one attribute is there twice, in different capitals, with different values."""
    values: dict[str, str] = {}
    custom_fields: dict[str, str] = {}
    for written, raw in attributes.items():
        name, value = written.strip(), raw.strip()
        if not value:
            continue
        if name.lower().startswith(CUSTOM_FIELD) and len(name) > len(CUSTOM_FIELD):
            custom_fields[name[len(CUSTOM_FIELD) :]] = value
        elif values.setdefault(name.lower(), value) != value:
            raise InvalidTerm(
                f"Store attribute {name.lower()} is there twice, with different values; keep one of them."
            )
    return StoreAttributes(values=values, custom_fields=custom_fields)


def parse_flag(text: str) -> bool:
    """A boolean in any spelling merchants use. Raises ``InvalidTerm`` for anything else."""
    lowered = text.strip().lower()
    if lowered not in _TRUE | _FALSE:
        raise InvalidTerm(f"'{text[:40]}' is neither true nor false.")
    return lowered in _TRUE
