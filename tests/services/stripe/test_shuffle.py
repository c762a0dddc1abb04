"""Stripe promises no order. Whatever comes when, and however often: the end is the same, with and without its API."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from licensing_integration.domain.outcomes import PurchaseStatus
from licensing_integration.models import LicenseLink, Purchase, WebhookEvent
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.stripe import StripeShop
from licensing_integration.sandbox.stripe_account import Event
from licensing_integration.sandbox.stripe_life import ImpossibleStepError
from tests.services.scenario import map_product, metadata
from tests.services.stripe.conftest import AVA, line, show, stock
from tests.stores.stripe.rest_stub import StripeRest

ACTIONS = (
    "renew",
    "fail",
    "recover",
    "give up",
    "seats",
    "seats, invoiced",
    "price",
    "cancel",
    "undo",
    "reach the end",
    "cancel now",
    "pause",
    "resume",
    "pause collection",
    "resume collection",
    "refund",
    "partial refund",
    "dispute",
    "win",
    "customer",
)
CHECK = settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
STORIES = {
    "trial": st.booleans(),
    "quantity": st.integers(1, 3),
    "actions": st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 50)), min_size=2, max_size=6),
    "seed": st.integers(0, 2**32),
}


BEGINNING = datetime.now(UTC).replace(microsecond=0) - timedelta(days=400)


class FrozenClock:
    """Moves only when told to, so that one story told twice is the same to the second."""

    def __init__(self) -> None:
        self.moment = BEGINNING

    def __call__(self) -> datetime:
        return self.moment


class Story:
    """A subscription and what happens to it; ``chapters`` are the events of each step, in causal order."""

    def __init__(self, *, trial: bool, quantity: int) -> None:
        self.clock = FrozenClock()
        self.shop = StripeShop(clock=self.clock, enabled_events=None)
        stock(self.shop)
        session, events = self.shop.subscribe(AVA, line("price_month", quantity), trial_days=14 if trial else 0)
        self.subscription = session["subscription"]
        self.customer = session["customer"]
        self.chapters: list[list[Event]] = [events]

    def happen(self, action: str, *, pick: int) -> None:
        self.clock.moment += timedelta(days=3)
        with suppress(ImpossibleStepError, ValueError):  # not every step is possible in every state
            self.chapters.append(self._events(action, pick))

    def _events(self, action: str, pick: int) -> list[Event]:
        shop, name = self.shop, self.subscription
        steps: dict[str, Callable[[], list[Event]]] = {
            "renew": lambda: shop.renew(name),
            "fail": lambda: shop.fail_renewal(name),
            "recover": lambda: shop.recover(name),
            "give up": lambda: shop.give_up(name, is_canceled=bool(pick % 2)),
            "seats": lambda: shop.change_quantity(name, 1 + pick % 4),
            "seats, invoiced": lambda: shop.change_quantity(name, 1 + pick % 4, is_invoiced_now=True),
            "price": lambda: shop.change_price(name, ("price_month", "price_year")[pick % 2]),
            "cancel": lambda: shop.cancel_at_period_end(name),
            "undo": lambda: shop.undo_cancellation(name),
            "reach the end": lambda: shop.reach_cancellation(name),
            "cancel now": lambda: shop.cancel_now(name),
            "pause": lambda: shop.pause(name),
            "resume": lambda: shop.resume(name),
            "pause collection": lambda: shop.pause_collection(name),
            "resume collection": lambda: shop.resume_collection(name),
            "refund": lambda: shop.refund(self._payment()),
            "partial refund": lambda: shop.refund(self._payment(), amount=100 + pick),
            "dispute": lambda: shop.dispute(self._payment()),
            "win": lambda: shop.close_dispute(next(iter(shop.disputes), ""), status="won"),
            "customer": lambda: shop.change_customer(self.customer, email=f"ava{pick}@example.com"),
        }
        try:
            return steps[action]()
        except KeyError as error:
            raise ImpossibleStepError(str(error)) from error

    def _payment(self) -> str:
        latest = self.shop.subscriptions[self.subscription]["latest_invoice"]
        payment = self.shop.payment_of_invoice(latest)
        if not payment:
            raise ImpossibleStepError("Nothing was paid for the latest period.")
        return payment


def _seen(box: CryptlexSandbox) -> tuple[object, ...]:
    """Everything the customer and support can tell a difference by."""
    licenses = sorted(
        (
            metadata(license)["stripe_subscription_id"],
            license["productId"],
            license["suspended"],
            license["revoked"],
            license["expiresAt"] and datetime.fromisoformat(license["expiresAt"]),
            license["user"]["email"],
        )
        for license in box.licenses
    )
    # A refund that overtakes its invoice leaves a placeholder behind, which says nothing about a license.
    known = Purchase.objects.exclude(status=PurchaseStatus.UNKNOWN)
    purchases = sorted(known.values_list("kind", "external_id", "status", "paid_through"))
    return licenses, purchases, set(LicenseLink.objects.values_list("sync_state", flat=True))


@contextmanager
def _world(box: CryptlexSandbox) -> Iterator[None]:
    """A world that is forgotten afterwards."""
    box.reset()
    with transaction.atomic():
        # What is no longer paid for is deleted: suspended, it would tell which came first, the license or the end.
        map_product("prod_team", store="stripe", ended_action="delete")
        yield
        transaction.set_rollback(True)


def _shuffled(events: list[Event], source: random.Random) -> list[Event]:
    """The events in any order, some of them twice."""
    everything = [*events, *source.choices(events, k=len(events) // 3)]
    source.shuffle(everything)
    return everything


@pytest.mark.django_db
@CHECK
@given(**STORIES)
def test_without_the_api_any_order_ends_the_same(send, cryptlex, trial, quantity, actions, seed):
    story = Story(trial=trial, quantity=quantity)
    for action, pick in actions:
        story.happen(action, pick=pick)
    events = [event for chapter in story.chapters for event in chapter]
    with _world(cryptlex):
        send(*events)
        expected = _seen(cryptlex)
        assert set(WebhookEvent.objects.values_list("state", flat=True)) <= {"applied", "ignored"}
    with _world(cryptlex):
        send(*_shuffled(events, random.Random(seed)))
        assert _seen(cryptlex) == expected


@pytest.mark.django_db
@CHECK
@given(**STORIES)
def test_with_the_api_any_delay_ends_the_same(send, cryptlex, rest, trial, quantity, actions, seed):
    """Each event comes when it happened or any time later, while the API always tells how things are by then."""
    expected = _lived(send, cryptlex, rest, trial=trial, quantity=quantity, actions=actions, delays=None)
    delays = random.Random(seed)
    assert _lived(send, cryptlex, rest, trial=trial, quantity=quantity, actions=actions, delays=delays) == expected


def _lived(
    send: Callable[..., None],
    box: CryptlexSandbox,
    rest: StripeRest,
    *,
    trial: bool,
    quantity: int,
    actions: list[tuple[str, int]],
    delays: random.Random | None,
) -> tuple[object, ...]:
    with _world(box):
        story = Story(trial=trial, quantity=quantity)
        waiting: list[Event] = []
        for step in [None, *actions]:
            told = len(story.chapters) if step else 0
            if step:
                story.happen(step[0], pick=step[1])
            waiting += [event for chapter in story.chapters[told:] for event in chapter]
            show(rest, story.shop)
            coming = [event for event in waiting if delays is None or delays.random() < 0.6]
            waiting = [event for event in waiting if event not in coming]
            send(*(coming if delays is None else _shuffled(coming, delays) if coming else ()))
        send(*(_shuffled(waiting, delays) if delays and waiting else waiting))
        return _seen(box)
