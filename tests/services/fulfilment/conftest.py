"""A FastSpring that asks for keys before it completes an order, and a worker that comes by in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from licensing_integration.exceptions import KeysNotReady
from licensing_integration.models import Purchase
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.fastspring import DemoSubscription, Event, FastSpringShop
from licensing_integration.sandbox.fastspring_fulfilment import CONTENT_TYPE, key_request
from licensing_integration.services.fulfilment import give_keys
from licensing_integration.services.sweep import sweep
from tests.services.conftest import AVA
from tests.services.scenario import map_product

PRIVATE_KEY = "0123456789abcdef0123456789abcdef"
Ask = Callable[..., str]


@pytest.fixture(autouse=True)
def gives_out_keys(settings: Settings) -> None:
    settings.STORES = [{**settings.STORES[0], "fulfilment_keys": (PRIVATE_KEY,)}]
    settings.FULFILMENT_WAIT_SECONDS = 0  # the worker runs between two requests


@pytest.fixture
def mapped(db: None, cryptlex: CryptlexSandbox) -> None:
    for product in ("photon", "studio", "brushes"):
        map_product(product)


@pytest.fixture
def request_keys(db: None) -> Ask:
    """One request of FastSpring for the keys of a line; what it is told."""

    def _request(order: Event, **options: Any) -> str:
        body = key_request(order, **{"private_key": PRIVATE_KEY, **options}).encode()
        return give_keys("fastspring", query=b"", body=body, content_type=CONTENT_TYPE, is_post=True)

    return _request


@pytest.fixture
def ask(request_keys: Ask, work: Callable[[], int]) -> Ask:
    """FastSpring asks, a worker comes by, FastSpring gets its answer."""

    def _ask(order: Event, **options: Any) -> str:
        try:
            return request_keys(order, **options)
        except KeysNotReady:
            work()
        return request_keys(order, **options)

    return _ask


def forget_reference(subscription: DemoSubscription, activation: Event) -> None:
    """A subscription of the years in which FastSpring's events did not name the order that began it."""
    subscription.order_reference = ""
    for name in ("initialOrderId", "initialOrderReference"):
        del activation["data"][name]


def photon_order(shop: FastSpringShop, **options: Any) -> Event:
    return shop.buy(AVA, "photon", **options)


def let_pass(hours: float, work: Callable[[], int]) -> None:
    """So many hours since the keys were asked for, and the sweep comes by."""
    asked_at = (timezone.now() - timedelta(hours=hours)).isoformat()
    for purchase in Purchase.objects.filter(state__has_key="prepared"):
        for preparation in purchase.state["prepared"].values():
            preparation["asked_at"] = asked_at
        purchase.review_at = timezone.now()
        purchase.save()
    sweep()
    work()
