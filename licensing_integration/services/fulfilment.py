"""fulfilment: a store asks for the keys of an order and holds it back until it has them.

The licenses are made as always: the request is stored as an event, a worker plans and applies. All that is new here is
that somebody waits for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from licensing_integration import conf, jobs
from licensing_integration.conf import StoreConfig
from licensing_integration.domain.outcomes import EventState, LicenseState, SyncState
from licensing_integration.exceptions import (
    DeliveryTooLarge,
    FulfilmentDisabled,
    KeysNotReady,
    PayloadError,
    UnknownStore,
)
from licensing_integration.models import HistoryEntry, Purchase
from licensing_integration.services import history
from licensing_integration.services.receive import store_events
from licensing_integration.stores.base import FulfilmentRequest, KeyRequest, ReadFulfilment, StoreAdapter
from licensing_integration.stores.registry import get_adapter

logger = logging.getLogger(__name__)

# Seconds between two looks: soon at first, since most licenses take less than half a second.
_FIRST_PAUSE: Final = 0.015
_LONGEST_PAUSE: Final = 0.1
_GROWTH: Final = 1.3

# One look, by indexes alone: the event's verdict, and the licenses of its item wherever the order has taken it.
_LOOK = """
SELECT e.state, e.problem, item.purchase_id, item.id, item.quantity, item.problem,
       link.key, link.state, link.desired ->> 'state', link.sync_state
  FROM licensing_integration_webhookevent e
  LEFT JOIN licensing_integration_purchaseitem item
    ON e.state = 'applied' AND item.product = %(product)s AND item.purchase_id IN (
       SELECT id FROM licensing_integration_purchase WHERE reference = %(reference)s AND store = %(store)s
       UNION ALL
       SELECT purchase_id FROM licensing_integration_purchasealias
        WHERE value = %(reference)s AND store = %(store)s AND kind = 'reference'
       UNION ALL
       SELECT id FROM licensing_integration_purchase
        WHERE external_id IN (%(reference)s, %(subscription)s) AND store = %(store)s)
  LEFT JOIN licensing_integration_licenselink link ON link.item_id = item.id
 WHERE e.external_id = %(event)s AND e.store = %(store)s
 ORDER BY item.id, link.unit
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

    keys: tuple[str, ...] | None = None
    refusal: str = ""
    purchase_id: int | None = None


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
    rows = _rows(store, asked)
    state, problem = rows[0][:2] if rows else (EventState.FAILED, "")
    if state == EventState.RECEIVED:
        return _Look()
    if state != EventState.APPLIED:
        return _Look(refusal=_STOPPED.get(state, problem or "The request cannot be worked on."))
    return _look_at(rows, quantity=asked.quantity)


def _rows(store: str, asked: KeyRequest) -> list[tuple[Any, ...]]:
    arguments = {
        "store": store,
        "event": asked.event.external_id,
        "reference": asked.reference,
        "subscription": asked.subscription_id or asked.reference,
        "product": asked.product,
    }
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, arguments)
        return list(cursor.fetchall())


def _look_at(rows: Sequence[tuple[Any, ...]], *, quantity: int) -> _Look:
    """The item's licenses. Of several items of the product the one that was asked for: with licenses, of that
    quantity."""
    items = [list(group) for _, group in groupby(rows, key=lambda row: row[3])]
    item = min(items, key=lambda group: (group[0][6] is None, group[0][4] != quantity))
    purchase_id, item_id, _, problem = item[0][2:6]
    wanted = [row[6:] for row in item if row[8] in _USABLE]
    if item_id is None:
        return _Look(refusal="The order has no such product.")
    if not wanted:
        return _Look(refusal=problem or "The product comes without a license of its own.", purchase_id=purchase_id)
    if any(sync_state == SyncState.ATTENTION and not key for key, _, _, sync_state in wanted):
        return _Look(refusal="A license could not be made; its history says why.", purchase_id=purchase_id)
    are_made = all(key and state in _USABLE for key, state, _, _ in wanted)
    return _Look(keys=tuple(row[0] for row in wanted) if are_made else None, purchase_id=purchase_id)


# --- when there are none ---------------------------------------------------------------------------------------------


def _not_ready(reason: str, look: _Look) -> KeysNotReady:
    """Also told in the purchase's history, once for as long as nothing else happens to it."""
    sentence = f"The store was given no key. {reason}"
    purchase = Purchase.objects.filter(pk=look.purchase_id).first() if look.purchase_id else None
    if purchase is not None:
        last = HistoryEntry.objects.filter(purchase=purchase).order_by("-id").values_list("sentence", flat=True).first()
        if last != sentence:
            history.purchase_entry(purchase, kind="fulfilment.refused", sentence=sentence).save()
    return KeysNotReady(sentence)
