"""receive: store what a store sent and wake a worker, in one statement, before the store gets its 200.

What we fetched ourselves goes the same way, see ``services.catch_up``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from django.db import InterfaceError, OperationalError, connection

from licensing_integration import conf, jobs
from licensing_integration.conf import StoreConfig
from licensing_integration.domain.outcomes import EventState
from licensing_integration.exceptions import DeliveryTooLarge, StoreDisabled, UnknownStore
from licensing_integration.services import secret_uses
from licensing_integration.stores.base import Delivery, RawEvent, StoreAdapter
from licensing_integration.stores.registry import get_adapter
from licensing_integration.stores.storable import storable

logger = logging.getLogger(__name__)

# One statement is one transaction and one round trip: measured, a third faster than insert + defer in atomic().
# ``xmax = 0`` tells an inserted row from one that was there: only new events wake a worker, repeated ones are counted.
_STORE_AND_WAKE = """
WITH stored AS (
    INSERT INTO licensing_integration_webhookevent
        (store, external_id, event_type, is_live, occurred_at, received_at, deliveries, body, state, problem, attempts,
         headers)
    VALUES {rows}
    ON CONFLICT (store, external_id) {if_known}
    RETURNING id, state, (xmax = 0) AS is_new
), waiting AS (
    SELECT jsonb_agg(id ORDER BY id) AS ids FROM stored WHERE is_new AND state = 'received'
), job AS (
    SELECT procrastinate_defer_jobs_v1(ARRAY[
        ROW(%s, %s, %s, NULL, NULL, jsonb_build_object('event_ids', ids), NULL)
    ]::procrastinate_job_to_defer_v1[]) FROM waiting WHERE ids IS NOT NULL
)
SELECT count(*) FILTER (WHERE is_new), (SELECT count(*) FROM job) FROM stored
"""
_COUNT_DELIVERY = "DO UPDATE SET deliveries = licensing_integration_webhookevent.deliveries + 1"
_LEAVE_ALONE = "DO NOTHING"
# A row of scalars each: arrays with unnest() cost three times the CPU, as the driver quotes their members in Python.
_ROW = "(%s, %s, %s, %s, %s, statement_timestamp(), {deliveries}, %s, %s, %s, 0, %s::jsonb)"


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """How many events there were, and how many of them were new to us."""

    events: int
    new: int


def receive(store_name: str, *, body: bytes, headers: Mapping[str, str], is_from_store: bool = True) -> Receipt:
    """Verify, store and enqueue one delivery; when this returns, it is committed.

    ``headers`` have lower-case names. ``is_from_store=False``: we signed it ourselves, to try the connection. Raises
    ``DeliveryRejected`` (nothing stored) or ``django.db.DatabaseError`` (nothing stored either; the store must be told
    to try again).
    """
    config = conf.store(store_name)
    if config is None:
        raise UnknownStore(f"No store named '{store_name}' is configured; see the STORES setting.")
    if not config.webhook_secrets:
        raise StoreDisabled(f"Store '{store_name}' has no webhook secret, so its endpoint is disabled.")
    if len(body) > conf.webhook_max_bytes():
        raise DeliveryTooLarge(f"The delivery has {len(body)} bytes; the limit is {conf.webhook_max_bytes()}.")
    adapter = get_adapter(config.adapter)
    delivery = Delivery(body=body, headers=headers)
    signed_with = adapter.verify(delivery, config.webhook_secrets)
    receipt = store_events(adapter.split(delivery), store=config, adapter=adapter, headers=_kept(headers, adapter))
    if is_from_store:
        secret_uses.note(store_name, signed_with)
    # The webhook log in the database has it all; a line for each would cost a tenth of the time an answer takes.
    logger.debug("delivery stored", extra={"store": store_name, "events": receipt.events, "new": receipt.new})
    return receipt


def store_events(
    events: Sequence[RawEvent],
    *,
    store: StoreConfig,
    adapter: StoreAdapter,
    headers: str | None = None,
    are_delivered: bool = True,
    priority: int = 0,
) -> Receipt:
    """Put events into the inbox with their first verdicts and wake a worker for the new ones, in one transaction.

    Within one call no event id comes twice, and there is at least one. ``headers``: those kept of the delivery, as
    JSON text. ``are_delivered=False``: we fetched them. That counts as no delivery, so an event nobody ever delivered
    says 0, and a known one stays exactly as it is.
    """
    hold_tests = store.test_events == "hold"
    rows = [
        _row(store.name, event, _first_state(event, adapter, hold_tests=hold_tests), headers=headers)
        for event in events
    ]
    row = _ROW.format(deliveries=int(are_delivered))
    if_known = _COUNT_DELIVERY if are_delivered else _LEAVE_ALONE
    sql = _STORE_AND_WAKE.format(rows=", ".join([row] * len(rows)), if_known=if_known)
    new = _execute_anyhow(sql, [*chain.from_iterable(rows), jobs.QUEUE, jobs.PROCESS_EVENTS, priority])
    return Receipt(events=len(rows), new=new)


def _first_state(event: RawEvent, adapter: StoreAdapter, *, hold_tests: bool) -> EventState:
    """The verdict that needs no work; ``RECEIVED`` for what does."""
    if event.problem:
        return EventState.MALFORMED
    if event.event_type in adapter.ignored:
        return EventState.IGNORED
    if event.event_type not in adapter.translators:
        return EventState.UNSUPPORTED
    if not event.is_live and hold_tests:
        return EventState.HELD
    return EventState.RECEIVED


def _execute_anyhow(sql: str, arguments: Sequence[Any]) -> int:
    # Django would ask a kept connection whether it is alive, one round trip for every delivery. The statement itself
    # tells, and may be repeated: at worst a delivery is counted twice.
    connection.health_check_done = True  # type: ignore[attr-defined]  # the stubs lack it
    try:
        return _execute(sql, arguments)
    except (OperationalError, InterfaceError):
        connection.close()
        return _execute(sql, arguments)


def _kept(headers: Mapping[str, str], adapter: StoreAdapter) -> str:
    """The headers worth keeping, as JSON text; one value for all events of the delivery."""
    kept = {name: keep(headers[name]) for name, keep in adapter.kept_headers.items() if name in headers}
    return json.dumps(storable(kept))


def _row(store_name: str, event: RawEvent, state: EventState, *, headers: str | None) -> tuple[Any, ...]:
    return (
        store_name,
        event.external_id,
        event.event_type[:200],
        event.is_live,
        event.occurred_at,
        event.body,
        state.value,
        event.problem,
        headers,
    )


def _execute(sql: str, arguments: Sequence[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        new, _ = cursor.fetchone()
    return int(new)
