"""fulfilment: a store asks for the keys of an order and holds it back until it has them.

The licenses are made as always: the request is stored as an event, a worker plans and applies. All that is new here is
that somebody waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from licensing_integration import conf, jobs
from licensing_integration.conf import StoreConfig
from licensing_integration.domain.outcomes import (
    EventState,
    FailureMode,
    LicenseState,
    PurchaseKind,
    PurchaseStatus,
    QuantityMode,
    SyncState,
)
from licensing_integration.domain.preparation import requested_line
from licensing_integration.exceptions import (
    DeliveryTooLarge,
    FulfilmentDisabled,
    KeysNotReady,
    PayloadError,
    UnknownStore,
)
from licensing_integration.models import HistoryEntry, Purchase, WebhookEvent
from licensing_integration.services import history
from licensing_integration.services.preparations import with_reference
from licensing_integration.services.purchases import load_state
from licensing_integration.services.receive import store_events
from licensing_integration.stores.base import FulfilmentRequest, KeyRequest, ReadFulfilment, StoreAdapter
from licensing_integration.stores.registry import get_adapter

logger = logging.getLogger(__name__)

# Seconds between two looks: soon at first, since most licenses take less than half a second.
_FIRST_PAUSE: Final = 0.015
_LONGEST_PAUSE: Final = 0.1
_GROWTH: Final = 1.3

_LICENSES = """
SELECT item.problem, item.terms ->> 'quantity_mode', link.desired ->> 'state',
       link.key, link.state, link.sync_state, link.failure_mode, link.external_id
  FROM licensing_integration_purchaseitem item
  LEFT JOIN licensing_integration_licenselink link ON link.item_id = item.id
 WHERE item.purchase_id = %s AND item.line = %s
 ORDER BY link.unit
"""
_STOPPED: Final = {
    EventState.HELD: "It is a test order, and the store's test events are held.",
    EventState.FAILED: "The request could not be worked on; the webhook log says why. Replay it there.",
}
_EXISTING: Final = frozenset({LicenseState.ACTIVE, LicenseState.SUSPENDED})


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What there is now. ``keys``: of every license of the item, ``None`` while one is missing. ``refusal``: why they
    will not come by themselves. ``is_per_unit``: whether each unit has a license, rather than one for all."""

    keys: tuple[str, ...] | None = field(default=None, repr=False)
    is_per_unit: bool = True
    refusal: str = ""
    purchase: Purchase | None = None


@dataclass(frozen=True)
class _Made:
    """A license that is wanted, as far as it has been made; the last columns of ``_LICENSES``."""

    key: str = field(repr=False)
    state: str
    sync_state: str
    failure_mode: str
    external_id: str

    @property
    def is_ready(self) -> bool:
        return bool(self.key) and self.state in _EXISTING

    @property
    def refusal(self) -> str:
        """Why its key will not come by itself, or must not be shown; empty while it may."""
        needs_person = self.sync_state == SyncState.ATTENTION
        if self.key:
            # The license server refuses it for good: somebody may have deleted it there.
            is_refused = needs_person and self.failure_mode == FailureMode.PERMANENT
            return f"License …{self.key[-6:]} needs a person; its history says why." if is_refused else ""
        if needs_person:
            return "A license could not be made; its history says why."
        if self.external_id and self.state in _EXISTING and self.sync_state == SyncState.SETTLED:
            return (
                f"License {self.external_id} has no key of its own: its user signs in instead. Remove the license "
                "fulfilment from the product in the store, or map it to a product with license keys."
            )
        return ""


class _Places:
    """The requests of this process that wait. Each keeps a thread of the web server, and webhooks need some, too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = 0

    @contextmanager
    def take(self, *, limit: int) -> Iterator[bool]:
        """Whether there was a place; it is given back at the end."""
        with self._lock:
            has_place = self._taken < limit
            self._taken += has_place
        try:
            yield has_place
        finally:
            with self._lock:
                self._taken -= has_place


_places: Final = _Places()


def give_keys(store_name: str, *, query: bytes, body: bytes, content_type: str, is_post: bool) -> str:
    """The text to show the buyer, once the licenses exist. The same request again gives the same keys.

    Raises ``DeliveryRejected`` or ``PayloadError`` for a request that is wrong (nothing stored), ``KeysNotReady``, or
    ``django.db.DatabaseError``. The store must never be given anything but all keys.
    """
    deadline = time.monotonic() + conf.fulfilment_wait_seconds()
    config = conf.store(store_name)
    if config is None:
        raise UnknownStore(f"No store named '{store_name}' is configured; see the STORES setting.")
    adapter, read = _adapter(config)
    if len(query) + len(body) > conf.webhook_max_bytes():
        raise DeliveryTooLarge(f"The request is larger than the limit of {conf.webhook_max_bytes()} bytes.")
    request = FulfilmentRequest(query=query, body=body, content_type=content_type, is_post=is_post)
    asked = read(request, config.fulfilment_keys, received_at=timezone.now())
    store_events([asked.event], store=config, adapter=adapter, priority=jobs.AWAITED_PRIORITY)
    return _write(_find_keys(config.name, asked, deadline=deadline), asked)


def _adapter(config: StoreConfig) -> tuple[StoreAdapter, ReadFulfilment]:
    adapter = get_adapter(config.adapter)
    if adapter.read_fulfilment is None or not config.fulfilment_keys:
        raise FulfilmentDisabled(f"Store '{config.name}' has no fulfilment key, so no keys are given out.")
    return adapter, adapter.read_fulfilment


def _write(look: _Look, asked: KeyRequest) -> str:
    try:
        return asked.write(look.keys or (), is_per_unit=look.is_per_unit)
    except PayloadError as error:
        raise _not_ready(str(error), look) from error


# --- waiting ---------------------------------------------------------------------------------------------------------


def _find_keys(store: str, asked: KeyRequest, *, deadline: float) -> _Look:
    """The keys, waited for if there is a place for it. Without one they are made all the same, for the next request."""
    look = _look(store, asked)
    if look.keys is not None:
        return look
    with _places.take(limit=conf.fulfilment_max_waiting()) as has_place:
        if not has_place:
            raise KeysNotReady(
                f"The store was given no key. As many requests waited as may, {conf.fulfilment_max_waiting()} in each "
                "process. See whether a worker runs and the license server answers in time; else raise "
                "FULFILMENT_MAX_WAITING."
            )
        return _wait(store, asked, look=look, deadline=deadline)


def _wait(store: str, asked: KeyRequest, *, look: _Look, deadline: float) -> _Look:
    """Look until the keys are there. Between two looks no transaction is open and nothing is held."""
    for pause in _pauses():
        left = deadline - time.monotonic()
        if left <= 0:
            break
        time.sleep(min(pause, left))
        look = _look(store, asked)
        if look.keys is not None:
            return look
    raise _not_ready(f"The keys were not ready within {conf.fulfilment_wait_seconds():g} seconds.", look)


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


def _look(store: str, asked: KeyRequest) -> _Look:
    """What there is now. Raises ``KeysNotReady`` if the keys will not come by themselves."""
    look = _look_at_event(store, asked)
    if look.refusal:
        raise _not_ready(look.refusal, look)
    return look


def _look_at_event(store: str, asked: KeyRequest) -> _Look:
    events = WebhookEvent.objects.filter(store=store, external_id=asked.event.external_id)
    state, problem = events.values_list("state", "problem").first() or (EventState.FAILED, "")
    if state == EventState.RECEIVED:
        return _Look()
    if state != EventState.APPLIED:
        return _Look(refusal=_STOPPED.get(EventState(state), problem or "The request cannot be worked on."))
    purchase, line = _find_item(store, asked)
    if purchase is None or line is None:
        return _Look(refusal="The order has no such product.", purchase=purchase)
    return _look_at(purchase, line, is_completed=_is_completed(purchase, asked.reference))


def _is_completed(purchase: Purchase, reference: str) -> bool:
    """Whether the order that keys are asked for has been completed before."""
    is_told = purchase.kind == PurchaseKind.ORDER and purchase.status == PurchaseStatus.COMPLETED
    return is_told or reference in load_state(purchase).known_orders


def _find_item(store: str, asked: KeyRequest) -> tuple[Purchase | None, str | None]:
    """Where what is asked for is now: in the subscription that the request names; else the order may have taken it to
    another purchase."""
    rows = list(with_reference(store, asked.reference).order_by("kind", "pk"))
    if asked.subscription_id:
        named = Purchase.objects.filter(store=store, kind=PurchaseKind.SUBSCRIPTION, external_id=asked.subscription_id)
        rows = [*named, *(row for row in rows if row.external_id != asked.subscription_id)]
    for row in rows:
        line = requested_line(
            load_state(row),
            reference=asked.reference,
            product=asked.product,
            quantity=asked.quantity,
            subscription_id=asked.subscription_id,
        )
        if line:
            return row, line
    return next(iter(rows), None), None


def _look_at(purchase: Purchase, line: str, *, is_completed: bool) -> _Look:
    """The item's licenses. A suspended one waits for its order to be completed; afterwards it was taken away."""
    with connection.cursor() as cursor:
        cursor.execute(_LICENSES, [purchase.pk, line])
        rows = cursor.fetchall()
    usable = {LicenseState.ACTIVE} if is_completed else _EXISTING
    wanted = [_Made(*row[3:]) for row in rows if row[2] in usable]
    if not wanted:
        problem = rows[0][0] if rows else ""
        return _Look(refusal=problem or _why_none([row[2] for row in rows]), purchase=purchase)
    if refusal := next((made.refusal for made in wanted if made.refusal), ""):
        return _Look(refusal=refusal, purchase=purchase)
    keys = tuple(made.key for made in wanted) if all(made.is_ready for made in wanted) else None
    is_per_unit = rows[0][1] in {None, QuantityMode.PER_UNIT}  # stored terms leave out what equals its default
    return _Look(keys=keys, is_per_unit=is_per_unit, purchase=purchase)


def _why_none(desired_states: Sequence[str | None]) -> str:
    if any(desired_states):
        return "The order was completed before, and its licenses have been taken away since; its history says why."
    return "The product comes without a license of its own."


# --- when there are none ---------------------------------------------------------------------------------------------


def _not_ready(reason: str, look: _Look) -> KeysNotReady:
    """Also told in the purchase's history."""
    sentence = f"The store was given no key. {reason}"
    if look.purchase is not None:
        _tell_once(look.purchase, sentence)
    return KeysNotReady(sentence)


def _tell_once(purchase: Purchase, sentence: str) -> None:
    """Once for as long as nothing else happens to the purchase. Whoever finds it locked has nothing to add: another
    request is telling the same, or something happens just now."""
    with transaction.atomic():
        rows = Purchase.objects.filter(pk=purchase.pk).select_for_update(no_key=True, skip_locked=True)
        entries = HistoryEntry.objects.filter(purchase=purchase).order_by("-id").values_list("sentence", flat=True)
        if rows.first() is not None and entries.first() != sentence:
            history.purchase_entry(purchase, kind="fulfilment.refused", sentence=sentence).save()
