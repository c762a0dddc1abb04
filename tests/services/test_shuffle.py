"""Whatever the order in which events arrive and however often: the license server and the purchases end the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from licensing_integration.domain.outcomes import PurchaseStatus
from licensing_integration.models import LicenseLink, Purchase, WebhookEvent
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.fastspring import Event, FastSpringShop, resent
from tests.services.conftest import ATTRIBUTES, AVA, ShopClock
from tests.services.scenario import add_on_line, metadata

ACTIONS = (
    "renew",
    "overdue",
    "prorate",
    "more seats",
    "fewer seats",
    "pause",
    "resume",
    "cancel",
    "uncancel",
    "buy add-on",
    "refund first order",
    "refund last charge",
    "charge back",
    "remind",
    "resend something",
    "end",
)


class Story:
    """A subscription with a one-time item in its order, and what happens to it, one event after the other."""

    def __init__(self, *, trial: bool, quantity: int) -> None:
        self.clock = ShopClock()
        self.shop = FastSpringShop(clock=self.clock)
        self.subscription, self.events = self.shop.subscribe(
            AVA, "studio", quantity=quantity, attributes=ATTRIBUTES, trial=trial
        )
        self.order = self.events[-1]
        self.order["data"]["items"].append(self.shop.item("photon", attributes=ATTRIBUTES))
        self.charges: list[Event] = []

    def happen(self, action: str, *, pick: int) -> None:
        self.clock.advance(hours=7)
        self.events.extend(self._events(action, pick))

    def _events(self, action: str, pick: int) -> list[Event]:
        shop, subscription = self.shop, self.subscription
        match action:
            case "renew":
                self.charges.append(shop.renew(subscription))
                return [self.charges[-1]]
            case "prorate":
                return shop.prorate(subscription, quantity=1 + pick % 4)
            case "more seats":
                return [self._change("subscription.updated", quantity=subscription.quantity + 1)]
            case "fewer seats":
                return [self._change("subscription.updated", quantity=max(0, subscription.quantity - 1))]
            case "buy add-on":
                line = add_on_line(shop, subscription, "node", quantity=1 + pick % 2, attributes=ATTRIBUTES)
                return [shop.order(AVA, line)]
            case "refund first order":
                return [shop.refund(self.order)]
            case "refund last charge":
                return [self._refund(self.charges[-1])] if self.charges else []
            case "charge back":
                return [shop.chargeback(self.order["data"]["id"])]
            case "resend something":
                return [resent(self.events[pick % len(self.events)], at=self.clock())]
        event_type, state = {
            "overdue": ("subscription.payment.overdue", "overdue"),
            "pause": ("subscription.paused", "paused"),
            "resume": ("subscription.resumed", "active"),
            "cancel": ("subscription.canceled", "canceled"),
            "uncancel": ("subscription.uncanceled", "active"),
            "remind": ("subscription.payment.reminder", subscription.state),
            "end": ("subscription.deactivated", "deactivated"),
        }[action]
        return [self._change(event_type, state=state)]

    def _change(self, event_type: str, **changes: Any) -> Event:
        return self.shop.change(self.subscription, event_type, **changes)

    def _refund(self, charge: Event) -> Event:
        order = charge["data"]["order"]
        return self.shop.refund({"data": {**self.order["data"], **order}})


def _seen(box: CryptlexSandbox) -> tuple[object, ...]:
    """Everything the customer and support can tell a difference by."""
    licenses = sorted(
        (
            metadata(license)["licensing_integration_slot"],
            license["productId"],
            license["suspended"],
            license["revoked"],
            license["expiresAt"],
            license["user"]["email"],
        )
        for license in box.licenses
    )
    # A refund that overtakes its order leaves a placeholder behind, which says nothing about a license.
    known = Purchase.objects.exclude(status=PurchaseStatus.UNKNOWN)
    purchases = sorted(known.values_list("kind", "external_id", "status", "paid_through"))
    return licenses, purchases, set(LicenseLink.objects.values_list("sync_state", flat=True))


@contextmanager
def _told(box: CryptlexSandbox, deliver: Callable[..., None], batches: list[list[Event]]) -> Iterator[None]:
    """The world after these deliveries; afterwards it is forgotten."""
    box.reset()
    with transaction.atomic():
        for batch in batches:
            deliver(*batch)
        yield
        transaction.set_rollback(True)


@pytest.mark.django_db
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    trial=st.booleans(),
    quantity=st.integers(1, 3),
    actions=st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 50)), min_size=2, max_size=8),
    seed=st.integers(0, 2**32),
)
def test_any_order_of_delivery_with_repetitions_ends_the_same(deliver, cryptlex, trial, quantity, actions, seed):
    story = Story(trial=trial, quantity=quantity)
    for action, pick in actions:
        story.happen(action, pick=pick)
    with _told(cryptlex, deliver, [[event] for event in story.events]):
        expected = _seen(cryptlex)
        assert set(WebhookEvent.objects.values_list("state", flat=True)) == {"applied"}
    with _told(cryptlex, deliver, _shuffled(story.events, random.Random(seed))):
        assert _seen(cryptlex) == expected


def _shuffled(events: list[Event], source: random.Random) -> list[list[Event]]:
    """The events in any order, some of them twice, in batches of any size."""
    everything = [*events, *source.choices(events, k=len(events) // 3)]
    source.shuffle(everything)
    batches: list[list[Event]] = []
    while everything:
        size = source.randint(1, 3)
        batches.append(everything[:size])
        everything = everything[size:]
    return batches
