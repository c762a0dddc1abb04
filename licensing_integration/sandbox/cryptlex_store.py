"""What the emulated Cryptlex account holds, with indexes so that filters need not look at everything."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from licensing_integration.sandbox import records
from licensing_integration.sandbox.cryptlex_filters import ListQuery
from licensing_integration.sandbox.errors import invalid

IndexValues = Callable[["Record"], Iterable[str]]


def new_id() -> str:
    """A random UUID (version 4), made several times faster than by ``uuid.uuid4``."""
    digits = secrets.token_hex(16)
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


@dataclass(slots=True, eq=False)
class Record(records.Record):
    """A resource. ``data`` is what the API shows, without an embedded user."""

    user: Record | None = None
    key_pattern: str = ""
    is_made_perpetual: bool = False

    @property
    def shown(self) -> dict[str, Any]:
        return self.data

    def member(self, path: str) -> Any:
        """The value at a dotted path of what is shown; ``KeyError`` if there is no such member."""
        value: Any = self.shown
        for name in path.split("."):
            value = None if value is None else value[name]
        return value


class LicenseRecord(Record):
    """A license; shows its user embedded."""

    __slots__ = ()

    @property
    def shown(self) -> dict[str, Any]:
        return {**self.data, "user": None if self.user is None else self.user.data}


@dataclass(slots=True, eq=False)
class LogRecord(Record):
    """An entry of the subscription log; can be found by the key of its license, which it does not show."""

    license_key: str = ""


class Collection(records.Collection[Record]):
    """Resources of one kind in order of creation. ``indexes``: filter name -> the values a record is found under."""

    def __init__(self, what: str, *, indexes: Mapping[str, IndexValues] | None = None) -> None:
        super().__init__(what, indexes=indexes)
        self._last_created = ""
        self._is_ordered = True

    def add(self, record: Record) -> Record:
        created = record.data["createdAt"]
        # Imported licenses may be older than what is there; only then lists have to be sorted.
        self._is_ordered = self._is_ordered and created >= self._last_created
        self._last_created = created
        return super().add(record)

    def page(
        self,
        query: ListQuery,
        *,
        now: datetime,
        default_limit: int,
        visibility_delay: float = 0.0,
        among: Iterable[Record] | None = None,
    ) -> list[dict[str, Any]]:
        """One page of a list: plain offset paging, which drifts when something is deleted meanwhile."""
        matches = self._candidates(query) if among is None else among
        if query.conditions:
            matches = (record for record in matches if query.admits(record, now=now))
        if query.search:
            matches = (record for record in matches if _mentions(record, query.search))
        if visibility_delay:
            latest = now - timedelta(seconds=visibility_delay)
            matches = (record for record in matches if record.stored_at <= latest)
        limit = query.limit or default_limit
        first = (query.page - 1) * limit
        return [record.shown for record in islice(_sorted(matches, query.sort), first, first + limit)]

    def _candidates(self, query: ListQuery) -> Iterable[Record]:
        wanted = query.equals("id")
        if wanted is not None:
            return [self.records[wanted]] if wanted in self.records else []
        for name in self._getters:
            wanted = query.equals(name)
            if wanted is not None:
                return sorted(self.found_by(name, wanted), key=_creation)
        return self.records.values() if self._is_ordered else sorted(self.records.values(), key=_creation)


def _creation(record: Record) -> Any:
    return record.data["createdAt"]


def _sorted(found: Iterable[Record], sort: tuple[tuple[str, bool], ...]) -> Iterable[Record]:
    """Stable: the last sort member is applied first; a missing value counts as the smallest."""
    for path, is_descending in reversed(sort):

        def key(record: Record, path: str = path) -> tuple[bool, Any]:
            value = record.member(path)
            return (value is not None, value)

        try:
            found = sorted(found, key=key, reverse=is_descending)
        except (KeyError, TypeError):
            raise invalid(f"Invalid query: cannot sort by '{path}'.") from None
    return found


def _mentions(record: Record, search: str) -> bool:
    texts = [record.data.get(name) for name in ("key", "name", "email", "notes", "displayName", "event")]
    if record.user is not None:
        texts += [record.user.data["email"], record.user.data["name"]]
    return any(search in text.lower() for text in texts if text)


def _metadata_values(record: Record) -> Iterable[str]:
    return [entry["value"] for entry in record.data["metadata"]]


def _metadata_ids(record: Record) -> Iterable[str]:
    return [entry["id"] for entry in record.data["metadata"]]


def _license_users(record: Record) -> Iterable[str]:
    owner = record.data["userId"]
    return [*([owner] if owner else []), *record.data["additionalUserIds"]]


LICENSE_INDEXES: dict[str, IndexValues] = {
    "key": lambda record: (record.data["key"],),
    "metadata.value": _metadata_values,
    "userId": _license_users,
    "user.email": lambda record: () if record.user is None else (record.user.data["email"].lower(),),
    "metadata.id": _metadata_ids,
    "meterAttribute.id": lambda record: [entry["id"] for entry in record.data["meterAttributes"]],
}
USER_INDEXES: dict[str, IndexValues] = {
    "email": lambda record: (record.data["email"].lower(),),
    "metadata.value": _metadata_values,
    "metadata.id": _metadata_ids,
}


class CryptlexStore:
    """All collections of one account."""

    def __init__(self) -> None:
        self.products = Collection("Product")
        self.templates = Collection("License template")
        self.entitlement_sets = Collection("Entitlement set")
        self.features = Collection("Feature")
        self.maintenance_policies = Collection("Maintenance policy")
        self.set_entitlements = Collection("Feature entitlement", indexes=_by("entitlementSetId"))
        self.forget_customers()

    def forget_customers(self) -> None:
        """Back to an account with its catalogue but without licenses and users."""
        self.licenses = Collection("License", indexes=LICENSE_INDEXES)
        self.users = Collection("User", indexes=USER_INDEXES)
        self.license_entitlements = Collection("Feature entitlement", indexes=_by("licenseId"))
        self.subscription_logs = Collection("Subscription log", indexes=_by("licenseId"))
        for product in self.products:
            product.data["totalLicenses"] = 0


def _by(member: str) -> dict[str, IndexValues]:
    return {member: lambda record: (record.data[member],)}
