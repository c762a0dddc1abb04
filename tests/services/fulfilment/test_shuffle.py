"""Whatever comes first, the requests for keys or the events of the order, and however often: the same licenses, and
those are the ones whose keys were shown."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction
from django.db.models import QuerySet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from licensing_integration.exceptions import KeysNotReady
from licensing_integration.models import LicenseLink, Purchase, PurchaseItem, WebhookEvent
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.fastspring import Event, FastSpringShop
from tests.services.conftest import AVA, ShopClock
from tests.services.fulfilment.conftest import Ask, forget_reference
from tests.services.scenario import add_on_line

Step = Event | tuple[Event, int, dict[str, str]]  # an event, or a request for the keys of an order's line


class Story:
    """An order with a subscription, an add-on and a one-time product, an order of the same add-on later, and what
    happens around them."""

    def __init__(self, *, quantity: int, names_subscription: bool, names_reference: bool, has_failed: bool) -> None:
        clock = ShopClock()
        self.shop = FastSpringShop(clock=clock)
        self.subscription, (activation, self.order) = self.shop.subscribe(AVA, "studio", quantity=quantity)
        lines = [add_on_line(self.shop, self.subscription, "brushes"), self.shop.item("photon", quantity=2)]
        self.order["data"]["items"] += lines
        if not names_reference:
            forget_reference(self.subscription, activation)
        named = {"subscription": self.subscription.id} if names_subscription else {}
        requests: list[Step] = [(self.order, 0, named), (self.order, 1, named), (self.order, 2, {})]
        failure: Event = {**self.order, "id": "EVW-failed", "type": "order.failed"}
        clock.advance(hours=1)
        charge = self.shop.renew(self.subscription)
        refund = self.shop.refund(self.order, lines=[{**lines[1], "refundType": "Full Refund"}])
        later = self.shop.order(AVA, add_on_line(self.shop, self.subscription, "brushes", quantity=quantity))
        self.steps: list[Step] = [*requests, *([failure] if has_failed else []), activation, self.order, charge, refund]
        self.steps += [(later, 0, named), later]


def _told(cryptlex: CryptlexSandbox) -> tuple[object, ...]:
    """What the customer and support can tell a difference by. Licenses are told by what they are for."""
    links = _existing().select_related("item", "purchase").order_by("purchase__kind", "item__line", "unit")
    by_key = {license["key"]: license for license in cryptlex.licenses}
    assert set(by_key) == {link.key for link in links}, "a license that nobody knows, or one that is gone"
    shown = ("productId", "suspended", "revoked", "expiresAt")
    licenses = [
        [link.purchase.external_id, link.item.line, link.unit, *(str(by_key[link.key][name]) for name in shown)]
        for link in links
    ]
    assert {link.sync_state for link in links} == {"settled"}
    lined = PurchaseItem.objects.values_list("purchase_id")
    purchases = Purchase.objects.filter(pk__in=lined).values_list("kind", "external_id", "status", "attention")
    return licenses, sorted(purchases)


def _existing() -> QuerySet[LicenseLink]:
    """Two may have been made for one unit, one of which was ended then."""
    return LicenseLink.objects.exclude(state="absent")


@contextmanager
def _world(cryptlex: CryptlexSandbox, run: Callable[[], None]) -> Iterator[None]:
    """The world after ``run``; afterwards it is forgotten."""
    cryptlex.reset()
    with transaction.atomic():
        run()
        yield
        transaction.set_rollback(True)


@pytest.mark.django_db
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    quantity=st.integers(1, 3),
    names_subscription=st.booleans(),
    names_reference=st.booleans(),
    has_failed=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_any_order_of_requests_and_events_ends_the_same(
    mapped, ask, deliver, cryptlex, quantity, names_subscription, names_reference, has_failed, seed
):
    story = Story(
        quantity=quantity,
        names_subscription=names_subscription,
        names_reference=names_reference,
        has_failed=has_failed,
    )
    with _world(cryptlex, lambda: _go(story.steps, ask, deliver)):
        expected = _told(cryptlex)
    source = random.Random(seed)
    steps = [*story.steps, *source.choices(story.steps, k=3)]
    source.shuffle(steps)
    with _world(cryptlex, lambda: _go(steps, ask, deliver)):
        assert _told(cryptlex) == expected
        assert set(WebhookEvent.objects.values_list("state", flat=True)) == {"applied"}


def _go(steps: list[Step], ask: Ask, deliver: Callable[..., None]) -> None:
    """Every key that is shown once is shown again at the end, and is a license's. What was refunded is not shown."""
    shown: dict[tuple[str, int], str] = {}
    is_refunded = False
    for step in steps:
        if isinstance(step, tuple):
            order, line, named = step
            keys = _keys_or_none(ask, order, line=line, **named)
            if not keys:
                is_refunded = True
                continue
            assert shown.setdefault((order["id"], line), keys) == keys
            assert len(set(keys.split("\n"))) == order["data"]["items"][line]["quantity"]
        else:
            deliver(step)
    everything = [key for keys in shown.values() for key in keys.split("\n")]
    existing = {link.key for link in _existing()}
    assert len(set(everything)) == len(everything)
    assert set(everything) <= existing if is_refunded else set(everything) == existing


def _keys_or_none(ask: Ask, order: Event, **options: Any) -> str:
    """Empty if the licenses were taken away before."""
    try:
        return ask(order, **options)
    except KeysNotReady as refusal:
        if "have been taken away since" not in str(refusal):
            raise
        return ""


def test_a_product_nobody_bought_has_no_key(mapped, shop, ask, deliver):
    order = shop.buy(AVA, "photon")
    deliver(order)
    other: Event = {**order, "data": {**order["data"], "items": [shop.item("brushes")]}}
    with pytest.raises(KeysNotReady, match="no such product"):
        ask(other)
