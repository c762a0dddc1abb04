"""What an emulated account holds, with indexes so that filters need not look at everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from licensing_integration.sandbox.errors import invalid, not_found


@dataclass(slots=True, eq=False)
class Record:
    """A resource. ``data`` is what the API shows of it alone; ``stored_at`` is when it really came."""

    data: dict[str, Any]
    stored_at: datetime
    indexed: list[tuple[str, list[Any]]] = field(default_factory=list)

    @property
    def id(self) -> Any:
        return self.data["id"]


R = TypeVar("R", bound=Record)


class Collection(Generic[R]):
    """Resources of one kind in order of arrival. ``indexes``: name -> the values a record is found under."""

    def __init__(self, what: str, *, indexes: Mapping[str, Callable[[R], Iterable[Any]]] | None = None) -> None:
        self.what = what
        self.records: dict[Any, R] = {}
        self._getters = dict(indexes or {})
        self._indexes: dict[str, dict[Any, dict[Any, R]]] = {name: {} for name in self._getters}

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[R]:
        return iter(self.records.values())

    def add(self, record: R) -> R:
        self.records[record.data["id"]] = record
        self.index(record)
        return record

    def get(self, record_id: Any) -> R:
        """404 if there is none."""
        try:
            return self.records[record_id]
        except KeyError:
            raise not_found(self.what) from None

    def require(self, record_id: Any, *, member: str) -> R:
        """The record a request body refers to; 400 if there is none."""
        try:
            return self.records[record_id]
        except KeyError:
            raise invalid(f"Invalid request body: '{member}' names no {self.what.lower()}.") from None

    def remove(self, record_id: Any) -> R:
        record = self.get(record_id)
        self._unindex(record)
        del self.records[record_id]
        return record

    def index(self, record: R) -> None:
        """Bring the indexes up to date after a change."""
        self._unindex(record)
        for name, getter in self._getters.items():
            values = list(getter(record))
            record.indexed.append((name, values))
            for value in values:
                self._indexes[name].setdefault(value, {})[record.data["id"]] = record

    def found_by(self, name: str, value: Any) -> list[R]:
        """The records an index holds under the value."""
        return list(self._indexes[name].get(value, {}).values())

    def is_indexed(self, name: str) -> bool:
        return name in self._getters

    def _unindex(self, record: R) -> None:
        for name, values in record.indexed:
            for value in values:
                bucket = self._indexes[name].get(value, {})
                bucket.pop(record.data["id"], None)
                if not bucket:
                    self._indexes[name].pop(value, None)
        record.indexed.clear()
