"""A Stripe delivery is one event, a snapshot (``"object": "event"``) or a thin one (``"v2.core.event"``).

Splitting never fails: what cannot be read comes as an event with a ``problem``.
"""

from __future__ import annotations

from typing import Final

from licensing_integration.stores.base import Delivery, RawEvent
from licensing_integration.stores.raw_events import EventReader
from licensing_integration.stores.stripe.shapes import is_live, occurred_at

_READER: Final = EventReader(occurred_at=occurred_at, is_live=is_live)


def split(delivery: Delivery) -> tuple[RawEvent, ...]:
    """The only event of a delivery."""
    return (_READER.decode(delivery.body),)


def read_event(value: object) -> RawEvent:
    """One event that is decoded already, as Stripe's API lists it."""
    return _READER.read_listed(value)
