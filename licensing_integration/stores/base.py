"""What every store adapter is: a value that names functions. State means class, no state means functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from licensing_integration.domain.facts import PurchaseFact
from licensing_integration.domain.outcomes import PurchaseKind
from licensing_integration.domain.samples import Sample, SampleKind
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


LONGEST_HEADER = 200


def whole(value: str) -> str:
    """A header's value as it came, up to 200 characters."""
    return value[:LONGEST_HEADER]


# What says which program sent a delivery, of what kind, and under which id the proxies before us know it.
KEPT_FROM_EVERY_STORE: Mapping[str, Callable[[str], str]] = {
    "content-type": whole,
    "user-agent": whole,
    "x-request-id": whole,
}


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
class SampleEvent:
    """The event of a purchase that never was. ``fetched``: what ``enrich`` would have fetched for it."""

    event: RawEvent
    fetched: Mapping[str, object] | None = None


@dataclass(frozen=True, kw_only=True)
class FulfilmentRequest:
    """One HTTP request of a store that asks for license keys and waits for them. ``query`` as it stood in the address,
    ``content_type`` and ``body`` are empty for GET."""

    query: bytes = b""
    body: bytes = b""
    content_type: str = ""
    is_post: bool = True


class WriteKeys(Protocol):
    def __call__(self, keys: Sequence[str], /, *, is_per_unit: bool) -> str: ...


@dataclass(frozen=True, kw_only=True)
class KeyRequest:
    """What a store asks the keys of. ``event`` is stored and worked on like any other; two requests for the same have
    the same id. ``write`` puts the keys into the answer, one for each unit with ``is_per_unit``, else one for all; it
    raises ``PayloadError`` when their number cannot be right.
    """

    event: RawEvent
    reference: str
    product: str
    quantity: int
    subscription_id: str
    write: WriteKeys


class ReadFulfilment(Protocol):
    def __call__(self, request: FulfilmentRequest, keys: Sequence[Secret], *, received_at: datetime) -> KeyRequest:
        """Raises ``InvalidSignature`` unless one of ``keys`` proves the request, ``PayloadError`` for what is wrong in
        it. Pure: the time comes from the caller."""
        ...


@dataclass(frozen=True, kw_only=True)
class StoreProduct:
    """A product as the store lists it. ``id``: what its events name the product by. ``name``: empty where it lists
    ids only."""

    id: str
    name: str = ""


class StoreApi(Protocol):
    """Read access to a store's own API, given to ``enrich`` when credentials are configured."""

    def get(self, path: str, *, ids: Mapping[str, str] | None = None, params: Query | None = None) -> object:
        """The decoded JSON at ``path``, which goes into messages; ``{…}`` in it is filled from ``ids``, which do not.

        Raises ``RemoteError`` or ``CredentialsRejected``.
        """
        ...


Translator = Callable[[Payload], tuple[PurchaseFact, ...]]
Enricher = Callable[[Payload, StoreApi], dict[str, object]]
ListProducts = Callable[[StoreApi], Iterable[StoreProduct]]
CatchUp = Callable[[StoreApi, datetime], Iterator[Sequence[RawEvent]]]
CheckApi = Callable[[StoreApi], Sequence[str]]
BuildSample = Callable[[Sample, datetime], SampleEvent]


class BuildApi(Protocol):
    """``username`` is empty where a store knows one key only, ``base_url`` empty for the store's public address."""

    def __call__(self, *, username: str, password: str, base_url: str) -> StoreApi: ...


class MakeTestEvent(Protocol):
    def __call__(self, secret: Secret, *, event_id: str, now: datetime) -> Delivery:
        """A delivery as the store would sign it, with one event of its test mode, of a type that is ignored: it can
        never lead to a license."""
        ...


@dataclass(frozen=True, kw_only=True)
class StoreAdapter:
    """A store. ``translators`` holds the handled event types, exactly; ``ignored`` the known ones that mean nothing
    for licensing; every other type is unsupported: stored and shown.

    ``reference_keys``: metadata keys under which the license server vendor's own integration keeps the purchase's id;
    the first is written on new licenses, all are looked for. ``policies``: what counts where no mapping says otherwise.
    ``kept_headers``: the headers of a delivery that are worth keeping, names in lower case, each with what is kept of
    its value. Never a signature.
    """

    slug: str
    verify: Callable[[Delivery, Sequence[Secret]], Sequence[Secret]]  # those that signed, or raises InvalidSignature
    split: Callable[[Delivery], Sequence[RawEvent]]  # never raises; what cannot be read comes as a RawEvent
    translators: Mapping[str, Translator]
    ignored: frozenset[str]
    reference_keys: Mapping[PurchaseKind, tuple[str, ...]]
    make_test_event: MakeTestEvent
    policies: Policies = field(default_factory=Policies)
    kept_headers: Mapping[str, Callable[[str], str]] = field(default_factory=lambda: KEPT_FROM_EVERY_STORE)
    has_several_names: bool = False  # its events name one purchase by several ids, or only its customer
    build_api: BuildApi | None = None
    api_needs_username: bool = False
    enrich: Enricher | None = None  # one I/O step; its result is stored and offered to the translator
    read_fulfilment: ReadFulfilment | None = None  # for stores that show our keys on their own order page
    catch_up: CatchUp | None = None  # pages of events since a time that the store could not deliver
    list_products: ListProducts | None = None  # what is for sale now, for the mapping form
    check_api: CheckApi | None = None  # what the credentials cannot do, in sentences; reads a little, changes nothing
    samples: Sequence[SampleKind] = ()  # what ``build_sample`` can make
    build_sample: BuildSample | None = None  # pure; a sample and when it is bought
    made_here: frozenset[str] = frozenset()  # handled types that we make ourselves, so the store knows none of them
    is_secret_reference: Callable[[str], bool] = lambda reference: False  # an id that nobody but the buyer can know
