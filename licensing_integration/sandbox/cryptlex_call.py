"""What every operation of the emulated Cryptlex API gets to work with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from licensing_integration.sandbox.cryptlex_catalog import Catalog
from licensing_integration.sandbox.cryptlex_filters import ListQuery
from licensing_integration.sandbox.cryptlex_store import Collection, CryptlexStore, Record, new_id
from licensing_integration.sandbox.errors import invalid
from licensing_integration.sandbox.moments import from_wire, to_wire

DUPLICATE = "DUPLICATE_FIELD_VALUE"  # the only machine code the vendor publishes


@dataclass(kw_only=True)
class SandboxOptions:
    """Behaviour the vendor's documentation leaves open; the defaults are the better supported or the worse cases.

    ``rate_limit``: requests and length of the window in seconds, per client address; ``None`` = no limit.
    """

    metadata_patch: Literal["merge", "replace"] = "merge"
    duplicate_key_status: int = 409
    duplicate_user_status: int = 409
    duplicate_user_patch_status: int = 400
    past_expiry_rejected: bool = False
    key_pattern_enforced: bool = False
    default_page_size: int = 10
    rate_limit: tuple[int, float] | None = None
    retry_after_sent: bool = True
    accept_any_product: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One admitted request: the path's ids, the validated query or body, and the account it works on."""

    store: CryptlexStore
    catalog: Catalog
    options: SandboxOptions
    now: datetime
    stamp: str  # the same moment as the API writes it
    visibility_delay: float = 0.0
    scopes: frozenset[str] = frozenset()
    ids: tuple[str, ...] = ()
    query: ListQuery = field(default_factory=ListQuery)
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.ids[0]

    def page(
        self, collection: Collection, *, is_delayed: bool = False, among: Iterable[Record] | None = None
    ) -> list[dict[str, Any]]:
        """The page the query asks for, of the whole collection or of some of its records."""
        return collection.page(
            self.query,
            now=self.now,
            default_limit=self.options.default_page_size,
            visibility_delay=self.visibility_delay if is_delayed else 0.0,
            among=among,
        )

    def head(self, *, created_at: str = "") -> dict[str, Any]:
        """The members every new resource begins with."""
        return {"id": new_id(), "createdAt": created_at or self.stamp, "updatedAt": self.stamp}

    def touch(self, record: Record) -> None:
        record.data["updatedAt"] = self.stamp


def merge_metadata(call: Call, current: list[dict[str, Any]], *, most: int) -> list[dict[str, Any]]:
    """The entries after the body's ``metadata`` is applied: merged by key, or replaced, as the options say."""
    wanted = call.body["metadata"]
    by_key = {entry["key"]: entry for entry in current}
    if call.options.metadata_patch == "replace":
        return [_metadata_entry(call, entry, by_key.get(entry["key"])) for entry in wanted]
    merged = list(current)
    for entry in wanted:
        old = by_key.get(entry["key"])
        new = _metadata_entry(call, entry, old)
        if old is None:
            merged.append(new)
        else:
            merged[merged.index(old)] = new
        by_key[entry["key"]] = new
    if len(merged) > most:
        raise invalid(f"Invalid request body: at most {most} metadata entries are allowed.")
    return merged


def new_metadata(call: Call) -> list[dict[str, Any]]:
    """The entries of a resource that is being created."""
    return [_metadata_entry(call, entry, None) for entry in call.body.get("metadata") or ()]


def _metadata_entry(call: Call, wanted: Mapping[str, Any], old: Mapping[str, Any] | None) -> dict[str, Any]:
    permissions = wanted.get("viewPermissions")
    if permissions is None:
        permissions = [] if old is None else old["viewPermissions"]
    return {
        **(call.head() if old is None else {**old, "updatedAt": call.stamp}),
        "key": wanted["key"],
        "value": wanted["value"],
        "viewPermissions": permissions,
        "visible": bool(permissions),
    }


def wire_date(text: str | None) -> str | None:
    """A date-time of a request in the form the API shows it."""
    return None if text is None else to_wire(from_wire(text))


def clearable(value: str) -> str | None:
    """The empty string clears an id or a text."""
    return value or None


def refuse_unknown(value: str | None, *, member: str, what: str) -> None:
    """400 for an id of a kind of thing the emulated account has none of."""
    if value:
        raise invalid(f"Invalid request body: '{member}' names no {what}.")
