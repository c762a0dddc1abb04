"""What every store adapter is: a value that names functions. State means class, no state means functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from licensing_integration.domain.facts import PurchaseFact
from licensing_integration.domain.outcomes import PurchaseKind
from licensing_integration.stores.payload import Payload


class Secret(str):
    """A string that does not show itself in logs, tracebacks and debuggers."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('•••')"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One HTTP request of a store: the raw body and its headers, names in lower case."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class RawEvent:
    """One event of a delivery, ready to be stored.

    ``external_id`` is the store's event id, or ``malformed:<sha256>`` when it gave none. ``body`` is JSON text that
    PostgreSQL's ``text`` accepts; for an event that cannot be read, the received bytes with what is not UTF-8 escaped.
    ``problem``: why it cannot be read, empty if it can. ``event_type`` and ``occurred_at`` may be missing then.
    """

    external_id: str
    event_type: str
    occurred_at: datetime | None
    is_live: bool
    body: str
    problem: str = ""


class StoreApi(Protocol):
    """Read access to a store's own API, given to ``enrich`` when credentials are configured."""

    def get(self, path: str) -> object:
        """The decoded JSON at ``path``. Raises ``RemoteError`` or ``CredentialsRejected``."""
        ...


Translator = Callable[[Payload], tuple[PurchaseFact, ...]]
Enricher = Callable[[Payload, StoreApi], dict[str, object]]


@dataclass(frozen=True, kw_only=True)
class StoreAdapter:
    """A store. ``translators`` holds the handled event types, exactly; ``ignored`` the known ones that mean nothing
    for licensing; every other type is unsupported: stored and shown."""

    slug: str
    verify: Callable[[Delivery, Sequence[Secret]], None]  # raises InvalidSignature; tries every secret
    split: Callable[[Delivery], Sequence[RawEvent]]  # never raises; what cannot be read comes as a RawEvent
    translators: Mapping[str, Translator]
    ignored: frozenset[str]
    reference_keys: Mapping[PurchaseKind, str]  # metadata keys the license server vendor's own integration writes
    enrich: Enricher | None = None  # one I/O step; its result is stored and offered to the translator
