"""The pretend Stripe shop and the whole line: signed deliveries in any number, licenses on the server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
from pytest_django import Settings

from licensing_integration.models import LicenseLink, WebhookEvent
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.stripe import StripeShop
from licensing_integration.sandbox.stripe_account import Event
from licensing_integration.sandbox.stripe_old_shapes import OLD_VERSION
from licensing_integration.sandbox.stripe_steps import Line
from tests.services.conftest import ShopClock
from tests.services.scenario import map_product, states
from tests.services.stripe.conftest import AVA, CRYPTLEX, STORE, post

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["endive", OLD_VERSION])
def stripe_shop(request: pytest.FixtureRequest, shop_clock: ShopClock) -> StripeShop:
    version = {} if request.param == "endive" else {"api_version": request.param}
    shop = StripeShop(clock=shop_clock, **version)
    shop.add_product("Studio", product_id="prod_studio")
    shop.add_price("prod_studio", price_id="price_month", interval="month")
    shop.add_price("prod_studio", price_id="price_once")
    return shop


@pytest.fixture
def send(settings: Settings, work: Callable[[], int]) -> Callable[[list[Event]], None]:
    """Post each event as one signed delivery, and work them off."""
    settings.STORES = [*settings.STORES, STORE]

    def _send(events: list[Event]) -> None:
        for event in events:
            post(event)
        work()

    return _send


def test_a_subscription_lives_and_ends(stripe_shop, send, shop_clock, cryptlex: CryptlexSandbox):
    map_product("prod_studio", store="stripe")
    session, events = stripe_shop.subscribe(AVA, Line(price="price_month", quantity=3))
    send(events)
    assert states(cryptlex) == ["active"] * 3
    first_end = _expiry()
    shop_clock.advance(days=31)
    send(stripe_shop.renew(session["subscription"]))
    assert _expiry() > first_end
    shop_clock.advance(days=31)
    send(stripe_shop.fail_renewal(session["subscription"]))
    send(stripe_shop.recover(session["subscription"]))
    assert states(cryptlex) == ["active"] * 3
    shop_clock.advance(days=3)
    send(stripe_shop.change_quantity(session["subscription"], 4))
    assert states(cryptlex) == ["active"] * 4
    shop_clock.advance(days=3)
    send(stripe_shop.cancel_now(session["subscription"]))
    assert "active" not in states(cryptlex)
    _assert_all_applied()


def test_a_purchase_is_licensed_and_refunded(stripe_shop, send, cryptlex: CryptlexSandbox):
    session, events = stripe_shop.buy(AVA, Line(price="price_once"), metadata=CRYPTLEX)
    send(events)
    assert states(cryptlex) == ["active"]
    send(stripe_shop.refund(session["payment_intent"]))
    assert states(cryptlex) == ["suspended"]
    _assert_all_applied()


def test_a_delayed_payment_is_waited_for(stripe_shop, send, cryptlex: CryptlexSandbox):
    session, events = stripe_shop.buy(AVA, Line(price="price_once"), metadata=CRYPTLEX, is_delayed=True)
    send(events)
    assert states(cryptlex) == []
    send(stripe_shop.settle(session["id"]))
    assert states(cryptlex) == ["active"]
    _assert_all_applied()


def _expiry() -> datetime:
    (expiry,) = set(LicenseLink.objects.values_list("expires_at", flat=True))
    assert expiry is not None
    return expiry


def _assert_all_applied() -> None:
    assert set(WebhookEvent.objects.values_list("state", flat=True)) == {"applied"}
