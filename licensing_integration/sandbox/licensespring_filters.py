"""Query parameters of the emulated LicenseSpring lists: paging, ordering and filters, and the page they select."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from licensing_integration.sandbox.licensespring_errors import wrong_field
from licensing_integration.sandbox.licensespring_options import LicenseSpringOptions
from licensing_integration.sandbox.records import Collection, Record

DEFAULT_LIMIT = 20
ORDER_BY = "order_by"

_INTEGER = re.compile(r"\d{1,19}")
_BOOLEANS = {"true": True, "false": False, "True": True, "False": False}
_order_of_chance = random.Random(4)  # noqa: S311 - an order nobody can rely on, repeatable


@dataclass(frozen=True, kw_only=True)
class Filter:
    """One filter of a list: how its text is read, which value of a record it looks at, and when that fits.

    ``read`` raises ``ValueError``. ``many``: ``get`` gives several values, one of which must fit. ``index``: the
    collection's index for it. ``is_text``: may be made loose by the options.
    """

    read: Callable[[str], Any]
    get: Callable[[Any], Any]
    fits: Callable[[Any, Any], bool]
    many: bool = False
    index: str = ""
    is_text: bool = False

    def admits(self, record: Record, wanted: Any) -> bool:
        actual = self.get(record)
        return any(self.fits(value, wanted) for value in actual) if self.many else self.fits(actual, wanted)


@dataclass(frozen=True, kw_only=True)
class OrderBy:
    """The members a list can be ordered by."""

    members: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class ListQuery:
    """A validated query. ``conditions``: filter and wanted value; ``order_by``: member, and whether descending."""

    limit: int = DEFAULT_LIMIT
    offset: int = 0
    order_by: tuple[str, bool] | None = None
    conditions: tuple[tuple[Filter, Any], ...] = field(default=())


# Kinds of filters -----------------------------------------------------------------------------------------------------


def read_integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError("a whole number is required")
    return int(text)


def read_boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text]
    except KeyError:
        raise ValueError("true or false is required") from None


def read_integers(text: str) -> frozenset[int]:
    return frozenset(read_integer(part) for part in text.split(","))


def contains(actual: Any, wanted: str) -> bool:
    """Upper and lower case are the same; as ``icontains``."""
    return actual is not None and wanted.lower() in str(actual).lower()


def starts(actual: Any, wanted: str) -> bool:
    return actual is not None and str(actual).startswith(wanted)


def equals(actual: Any, wanted: Any) -> bool:
    return bool(actual == wanted)


def equals_in_any_case(actual: Any, wanted: str) -> bool:
    return actual is not None and str(actual).lower() == wanted.lower()


# Reading a query ------------------------------------------------------------------------------------------------------


def parse_query(query: str, *, filters: Mapping[str, Any], options: LicenseSpringOptions) -> ListQuery:
    """400 for what the list does not know, unless the options say that it is ignored."""
    members: dict[str, Any] = {}
    conditions = []
    for name, text in _pairs(query).items():
        known = filters.get(name)
        if name in ("limit", "offset"):
            members[name] = _page_number(name, text, options=options)
        elif isinstance(known, OrderBy):
            members[ORDER_BY] = _read_order(text, known=known)
        elif isinstance(known, Filter):
            if name not in options.ignored_filters:
                conditions.append(_condition(name, text, known=known, options=options))
        elif options.unknown_filters == "refuse":
            raise wrong_field(name, "This list has no such filter.")
    return ListQuery(conditions=tuple(conditions), **members)


def read_parameters(query: str, *, known: Iterable[str]) -> dict[str, str]:
    """The parameters of what is not a list; 400 for others."""
    pairs = _pairs(query)
    for name in pairs:
        if name not in known:
            raise wrong_field(name, "There is no such parameter.")
    return pairs


def _pairs(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise wrong_field("", "A parameter is given twice.")
    return parameters


def _page_number(name: str, text: str, *, options: LicenseSpringOptions) -> int:
    low = 1 if name == "limit" else 0
    if not _INTEGER.fullmatch(text) or int(text) < low:
        raise wrong_field(name, f"A whole number of at least {low} is required.")
    return min(int(text), options.page_cap) if name == "limit" else int(text)


def _read_order(text: str, *, known: OrderBy) -> tuple[str, bool]:
    member = text.removeprefix("-")
    if member not in known.members:
        raise wrong_field(ORDER_BY, "There is no such attribute to order by.")
    return member, text.startswith("-")


def _condition(name: str, text: str, *, known: Filter, options: LicenseSpringOptions) -> tuple[Filter, Any]:
    if known.is_text and name in options.loose_filters:
        known = Filter(read=str, get=known.get, fits=contains, many=known.many)
    try:
        return known, known.read(text)
    except ValueError as problem:
        raise wrong_field(name, f"Wrong value: {problem}.") from None


# Selecting a page -----------------------------------------------------------------------------------------------------


def select(
    collection: Collection[Any], query: ListQuery, *, now: datetime, visibility_delay: float, default_order: str
) -> list[Any]:
    """Every record the query is about, in order."""
    found = [record for record in _candidates(collection, query) if _is_wanted(record, query)]
    if visibility_delay:
        latest = now - timedelta(seconds=visibility_delay)
        found = [record for record in found if record.stored_at <= latest]
    return _ordered(found, query, default_order=default_order)


def envelope(found: list[Any], query: ListQuery, *, url: str, raw_query: str) -> dict[str, Any]:
    """One page of what was found; ``results`` still holds records. ``url``: of the list, without a query."""
    after, before = query.offset + query.limit, query.offset - query.limit
    return {
        "count": len(found),
        "next": _link(url, raw_query, query=query, offset=after) if after < len(found) else None,
        "previous": _link(url, raw_query, query=query, offset=max(before, 0)) if query.offset else None,
        "results": found[query.offset : after],
    }


def _link(url: str, raw_query: str, *, query: ListQuery, offset: int) -> str:
    others = [pair for pair in parse_qsl(raw_query, keep_blank_values=True) if pair[0] not in ("limit", "offset")]
    return f"{url}?{urlencode([*others, ('limit', query.limit), ('offset', offset)])}"


def _candidates(collection: Collection[Any], query: ListQuery) -> Iterable[Any]:
    for condition, wanted in query.conditions:
        if condition.index and collection.is_indexed(condition.index):
            return collection.found_by(condition.index, wanted)
    return collection


def _is_wanted(record: Record, query: ListQuery) -> bool:
    return all(condition.admits(record, wanted) for condition, wanted in query.conditions)


def _ordered(found: list[Any], query: ListQuery, *, default_order: str) -> list[Any]:
    if query.order_by is None:
        return _by_default(found, default_order=default_order)
    member, is_descending = query.order_by

    def key(record: Record) -> Any:
        # Seconds are shown, but the service keeps more: what came first is first.
        value = record.stored_at if member == "created_at" else record.data[member]
        return value is not None, value, record.data["id"]

    return sorted(found, key=key, reverse=is_descending)


def _by_default(found: list[Any], *, default_order: str) -> list[Any]:
    found = sorted(found, key=lambda record: (record.stored_at, record.data["id"]))
    if default_order == "newest_first":
        found.reverse()
    elif default_order == "unstable":
        _order_of_chance.shuffle(found)
    return found
