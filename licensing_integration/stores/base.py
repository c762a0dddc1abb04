"""What every store adapter is: a value that names functions. State means class, no state means functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from licensing_integration.domain.facts import PurchaseFact
from licensing_integration.domain.outcomes import PurchaseKind
from licensing_integration.domain.terms import Policies
from licensing_integration.http import Query
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


@dataclass(frozen=True, kw_only=True)
class FulfilmentRequest:
    """One HTTP request of a store that asks for license keys and waits for them. ``query`` as it stood in the address,
    ``content_type`` and ``body`` are empty for GET."""

    query: bytes = b""
    body: bytes = b""
    content_type: str = ""
    is_post: bool = True


@dataclass(frozen=True, kw_only=True)
class KeyRequest:
    """What a store asks the keys of. ``event`` is stored and worked on like any other; two requests for the same have
    the same id. ``write`` puts the keys into the answer; it raises ``PayloadError`` when their number cannot be right.
    """

    event: RawEvent
    reference: str
    product: str
    quantity: int
    subscription_id: str
    write: Callable[[Sequence[str]], str]


class ReadFulfilment(Protocol):
    def __call__(self, request: FulfilmentRequest, keys: Sequence[Secret], *, received_at: datetime) -> KeyRequest:
        """Raises ``InvalidSignature`` unless one of ``keys`` proves the request, ``PayloadError`` for what is wrong in
        it. Pure: the time comes from the caller."""
        ...


class StoreApi(Protocol):
    """Read access to a store's own API, given to ``enrich`` when credentials are configured."""

    def get(self, path: str, *, ids: Mapping[str, str] | None = None, params: Query | None = None) -> object:
        """The decoded JSON at ``path``, which goes into messages; ``{…}`` in it is filled from ``ids``, which do not.

        Raises ``RemoteError`` or ``CredentialsRejected``.
        """
        ...


Translator = Callable[[Payload], tuple[PurchaseFact, ...]]
Enricher = Callable[[Payload, StoreApi], dict[str, object]]
CatchUp = Callable[[StoreApi, datetime], Iterator[Sequence[RawEvent]]]


class BuildApi(Protocol):
    """``username`` is empty where a store knows one key only, ``base_url`` empty for the store's public address."""

    def __call__(self, *, username: str, password: str, base_url: str) -> StoreApi: ...


@dataclass(frozen=True, kw_only=True)
class StoreAdapter:
    """A store. ``translators`` holds the handled event types, exactly; ``ignored`` the known ones that mean nothing
    for licensing; every other type is unsupported: stored and shown.

    ``reference_keys``: metadata keys under which the license server vendor's own integration keeps the purchase's id;
    the first is written on new licenses, all are looked for. ``policies``: what counts where no mapping says otherwise.
    """

    slug: str
    verify: Callable[[Delivery, Sequence[Secret]], None]  # raises InvalidSignature; tries every secret
    split: Callable[[Delivery], Sequence[RawEvent]]  # never raises; what cannot be read comes as a RawEvent
    translators: Mapping[str, Translator]
    ignored: frozenset[str]
    reference_keys: Mapping[PurchaseKind, tuple[str, ...]]
    policies: Policies = field(default_factory=Policies)
    has_several_names: bool = False  # its events name one purchase by several ids, or only its customer
    build_api: BuildApi | None = None
    api_needs_username: bool = False
    enrich: Enricher | None = None  # one I/O step; its result is stored and offered to the translator
    read_fulfilment: ReadFulfilment | None = None  # for stores that show our keys on their own order page
    catch_up: CatchUp | None = None  # pages of events since a time that the store could not deliver
    is_secret_reference: Callable[[str], bool] = lambda reference: False  # an id that nobody but the buyer can know
