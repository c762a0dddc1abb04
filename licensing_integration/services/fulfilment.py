"""fulfilment: a store asks for the keys of an order and holds it back until it has them.

The licenses are made as always: the request is stored as an event, a worker plans and applies. All that is new here is
that somebody waits for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from django.db import connection
from django.utils import timezone

from licensing_integration import conf, jobs
from licensing_integration.conf import StoreConfig
from licensing_integration.domain.outcomes import EventState, LicenseState, PurchaseKind, SyncState
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
SELECT item.problem, link.key, link.state, link.desired ->> 'state', link.sync_state
  FROM licensing_integration_purchaseitem item
  LEFT JOIN licensing_integration_licenselink link ON link.item_id = item.id
 WHERE item.purchase_id = %s AND item.line = %s
 ORDER BY link.unit
"""
_STOPPED: Final = {
    EventState.HELD: "It is a test order, and the store's test events are held.",
    EventState.FAILED: "The request could not be worked on; the webhook log says why. Replay it there.",
}
_USABLE: Final = frozenset({LicenseState.ACTIVE, LicenseState.SUSPENDED})


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What there is now. ``keys``: of every license of the item, ``None`` while one is missing. ``refusal``: why they
    will not come by themselves."""

    keys: tuple[str, ...] | None = field(default=None, repr=False)
    refusal: str = ""
    purchase: Purchase | None = None


def give_keys(store_name: str, *, query: bytes, body: bytes, content_type: str, is_post: bool) -> str:
    """The text to show the buyer, once the licenses exist. The same request again gives the same keys.

    Raises ``DeliveryRejected`` or ``PayloadError`` for a request that is wrong (nothing stored), ``KeysNotReady``, or
    ``django.db.DatabaseError``. The store must never be given anything but all keys.
    """
    config = conf.store(store_name)
    if config is None:
        raise UnknownStore(f"No store named '{store_name}' is configured; see the STORES setting.")
    adapter, read = _adapter(config)
    if len(query) + len(body) > conf.webhook_max_bytes():
        raise DeliveryTooLarge(f"The request is larger than the limit of {conf.webhook_max_bytes()} bytes.")
    request = FulfilmentRequest(query=query, body=body, content_type=content_type, is_post=is_post)
    asked = read(request, config.fulfilment_keys, received_at=timezone.now())
    store_events([asked.event], store=config, adapter=adapter, priority=jobs.AWAITED_PRIORITY)
    return _write(_wait(config.name, asked), asked)


def _adapter(config: StoreConfig) -> tuple[StoreAdapter, ReadFulfilment]:
    adapter = get_adapter(config.adapter)
    if adapter.read_fulfilment is None or not config.fulfilment_keys:
        raise FulfilmentDisabled(f"Store '{config.name}' has no fulfilment key, so no keys are given out.")
    return adapter, adapter.read_fulfilment


def _write(look: _Look, asked: KeyRequest) -> str:
    try:
        return asked.write(look.keys or ())
    except PayloadError as error:
        raise _not_ready(str(error), look) from error


# --- waiting ---------------------------------------------------------------------------------------------------------


def _wait(store: str, asked: KeyRequest) -> _Look:
    """Look until the keys are there. Between two looks no transaction is open and nothing is held."""
    deadline = time.monotonic() + conf.fulfilment_wait_seconds()
    for pause in _pauses():
        look = _look(store, asked)
        if look.refusal:
            raise _not_ready(look.refusal, look)
        if look.keys is not None:
            return look
        left = deadline - time.monotonic()
        if left <= 0:
            break
        time.sleep(min(pause, left))
    raise _not_ready(f"The keys were not ready within {conf.fulfilment_wait_seconds():g} seconds.", look)


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


def _look(store: str, asked: KeyRequest) -> _Look:
    events = WebhookEvent.objects.filter(store=store, external_id=asked.event.external_id)
    state, problem = events.values_list("state", "problem").first() or (EventState.FAILED, "")
    if state == EventState.RECEIVED:
        return _Look()
    if state != EventState.APPLIED:
        return _Look(refusal=_STOPPED.get(EventState(state), problem or "The request cannot be worked on."))
    purchase, line = _find_item(store, asked)
    if purchase is None or line is None:
        return _Look(refusal="The order has no such product.", purchase=purchase)
    return _look_at(purchase, line)


def _find_item(store: str, asked: KeyRequest) -> tuple[Purchase | None, str | None]:
    """Where what is asked for is now: the order may have taken it to another purchase."""
    rows = list(with_reference(store, asked.reference).order_by("kind", "pk"))
    if asked.subscription_id and not any(row.external_id == asked.subscription_id for row in rows):
        rows += Purchase.objects.filter(store=store, kind=PurchaseKind.SUBSCRIPTION, external_id=asked.subscription_id)
    for row in rows:
        state = load_state(row)
        if line := requested_line(state, reference=asked.reference, product=asked.product, quantity=asked.quantity):
            return row, line
    return next(iter(rows), None), None


def _look_at(purchase: Purchase, line: str) -> _Look:
    with connection.cursor() as cursor:
        cursor.execute(_LICENSES, [purchase.pk, line])
        rows = cursor.fetchall()
    wanted = [row[1:] for row in rows if row[3] in _USABLE]
    if not wanted:
        problem = rows[0][0] if rows else ""
        return _Look(refusal=problem or "The product comes without a license of its own.", purchase=purchase)
    if any(sync_state == SyncState.ATTENTION and not key for key, _, _, sync_state in wanted):
        return _Look(refusal="A license could not be made; its history says why.", purchase=purchase)
    are_made = all(key and state in _USABLE for key, state, _, _ in wanted)
    return _Look(keys=tuple(row[0] for row in wanted) if are_made else None, purchase=purchase)


# --- when there are none ---------------------------------------------------------------------------------------------


def _not_ready(reason: str, look: _Look) -> KeysNotReady:
    """Also told in the purchase's history, once for as long as nothing else happens to it."""
    sentence = f"The store was given no key. {reason}"
    if look.purchase is not None:
        entries = HistoryEntry.objects.filter(purchase=look.purchase).order_by("-id")
        if entries.values_list("sentence", flat=True).first() != sentence:
            history.purchase_entry(look.purchase, kind="fulfilment.refused", sentence=sentence).save()
    return KeysNotReady(sentence)
