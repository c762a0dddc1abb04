"""Query parameters of the emulated Cryptlex lists: paging, sorting and filters.

Filters are written ``name[operator]=value``; a few are plain ``name=value``. Anything else is refused with 400.
``metadata.key`` and ``metadata.value`` are matched independently of each other: whether the service wants both on one
entry is unknown, and this is the worse case for a client.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from licensing_integration.sandbox.errors import invalid
from licensing_integration.sandbox.moments import from_wire, to_wire

Getter = Callable[[Any, datetime], Any]

_DEEP = re.compile(r"([\w.]+)\[(\w+)\]")
_SORT = re.compile(r"[+-]\w+(\.\w+)*(\|[+-]\w+(\.\w+)*){0,5}")
_INTEGER = re.compile(r"-?\d{1,19}")
_BOOLEANS = {"true": True, "false": False}
_MAX_PAGE = 2**31 - 1
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda actual, wanted: actual == wanted,
    "ne": lambda actual, wanted: actual != wanted,
    "gt": lambda actual, wanted: actual is not None and actual > wanted,
    "gte": lambda actual, wanted: actual is not None and actual >= wanted,
    "lt": lambda actual, wanted: actual is not None and actual < wanted,
    "lte": lambda actual, wanted: actual is not None and actual <= wanted,
    "sw": lambda actual, wanted: actual is not None and actual.startswith(wanted),
    "ew": lambda actual, wanted: actual is not None and actual.endswith(wanted),
    "cn": lambda actual, wanted: actual is not None and wanted in actual,
    "nc": lambda actual, wanted: actual is None or wanted not in actual,
    "in": lambda actual, wanted: actual in wanted,
    "nin": lambda actual, wanted: actual not in wanted,
}
_NEGATIVE = frozenset({"ne", "nc", "nin"})


class FilterKind(StrEnum):
    """The filter schemas of the published document."""

    STRING = "string"
    ID = "id"
    EQUALITY = "equality"
    INTEGER = "integer"
    DATE = "date"
    PLAIN = "plain"
    BOOLEAN = "plain boolean"
    PLAIN_DATE = "plain date"


OPERATORS: dict[FilterKind, frozenset[str]] = {
    FilterKind.STRING: frozenset({"eq", "ne", "sw", "ew", "cn", "nc", "in", "nin"}),
    FilterKind.ID: frozenset({"eq", "ne", "in", "nin"}),
    FilterKind.EQUALITY: frozenset({"eq", "ne"}),
    FilterKind.INTEGER: frozenset({"eq", "ne", "gt", "gte", "lt", "lte"}),
    FilterKind.DATE: frozenset({"eq", "ne", "gt", "gte", "lt", "lte"}),
}
_PLAIN_ONLY = frozenset({""})


@dataclass(frozen=True, kw_only=True)
class Filter:
    """One filter of a list. ``get`` reads the value, or with ``many`` the values, from an item."""

    kind: FilterKind
    get: Getter
    many: bool = False
    fold_case: bool = False
    plain_operator: str = "eq"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A filter in use."""

    name: str
    operator: str
    wanted: Any
    filter: Filter

    def holds(self, item: Any, *, now: datetime) -> bool:
        actual = self.filter.get(item, now)
        compare = _COMPARISONS[self.operator]
        if not self.filter.many:
            return compare(_fold(actual, filter_=self.filter), self.wanted)
        results = (compare(_fold(value, filter_=self.filter), self.wanted) for value in actual)
        return all(results) if self.operator in _NEGATIVE else any(results)


@dataclass(frozen=True, kw_only=True)
class ListQuery:
    """A validated query of one list."""

    page: int = 1
    limit: int | None = None
    sort: tuple[tuple[str, bool], ...] = ()
    search: str = ""
    conditions: tuple[Condition, ...] = field(default=())

    def equals(self, name: str) -> Any:
        """The value that ``name`` must equal, or ``None``; lets a store start from an index."""
        for condition in self.conditions:
            if condition.name == name and condition.operator == "eq":
                return condition.wanted
        return None

    def admits(self, item: Any, *, now: datetime) -> bool:
        """Whether the item fulfils every condition."""
        return all(condition.holds(item, now=now) for condition in self.conditions)


def parse_query(parameters: Mapping[str, str], *, filters: Mapping[str, Filter], searchable: bool = True) -> ListQuery:
    """Validate the parameters of a list; 400 for anything the list does not know."""
    paging: dict[str, Any] = {}
    conditions = []
    for name, value in parameters.items():
        if name == "page":
            paging["page"] = _whole_number(name, value, high=_MAX_PAGE)
        elif name == "limit":
            paging["limit"] = _whole_number(name, value, high=100)
        elif name == "sort":
            paging["sort"] = _read_sort(value)
        elif name == "search" and searchable:
            paging["search"] = _read_search(value)
        else:
            conditions.append(_read_condition(name, value, filters=filters))
    return ListQuery(conditions=tuple(conditions), **paging)


def _whole_number(name: str, value: str, *, high: int) -> int:
    if not _INTEGER.fullmatch(value) or not 1 <= int(value) <= high:
        raise invalid(f"Invalid query: '{name}' must lie between 1 and {high}.")
    return int(value)


def _read_sort(value: str) -> tuple[tuple[str, bool], ...]:
    if not _SORT.fullmatch(value):
        raise invalid("Invalid query: 'sort' needs a sign before every member; a plus sign must be percent-encoded.")
    return tuple((part[1:], part[0] == "-") for part in value.split("|"))


def _read_search(value: str) -> str:
    if len(value) > 256:
        raise invalid("Invalid query: 'search' must have at most 256 characters.")
    return value.lower()


def _read_condition(parameter: str, value: str, *, filters: Mapping[str, Filter]) -> Condition:
    match = _DEEP.fullmatch(parameter)
    name, operator = (match[1], match[2]) if match else (parameter, "")
    chosen = filters.get(name)
    if chosen is None:
        raise invalid(f"Invalid query: unknown parameter '{name}'.")
    if operator not in OPERATORS.get(chosen.kind, _PLAIN_ONLY):
        raise invalid(f"Invalid query: '{name}' does not allow the operator '{operator}'.")
    operator = operator or chosen.plain_operator
    return Condition(name=name, operator=operator, wanted=_wanted(name, operator, value, chosen), filter=chosen)


def _wanted(name: str, operator: str, value: str, chosen: Filter) -> Any:
    if operator in ("in", "nin"):
        return frozenset(_fold(part, filter_=chosen) for part in value.split(","))
    try:
        return _CONVERTERS[chosen.kind](value) if chosen.kind in _CONVERTERS else _fold(value, filter_=chosen)
    except (ValueError, KeyError):
        raise invalid(f"Invalid query: the value of '{name}' has the wrong type.") from None


def _fold(value: Any, *, filter_: Filter) -> Any:
    return value.lower() if filter_.fold_case and isinstance(value, str) else value


def _integer(value: str) -> int:
    if not _INTEGER.fullmatch(value):
        raise ValueError("not an integer")
    return int(value)


_CONVERTERS: dict[FilterKind, Callable[[str], Any]] = {
    FilterKind.INTEGER: _integer,
    FilterKind.BOOLEAN: _BOOLEANS.__getitem__,
    FilterKind.DATE: lambda value: to_wire(from_wire(value)),
    FilterKind.PLAIN_DATE: lambda value: to_wire(from_wire(value)),
}
