"""A Stripe account beside the FastSpring shop of the other tests: its events are posted signed, one per delivery."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.fastspring import Buyer
from licensing_integration.sandbox.stripe import StripeShop, delivery, sign
from licensing_integration.sandbox.stripe_account import Event
from licensing_integration.sandbox.stripe_steps import Line
from licensing_integration.services.receive import receive
from tests.services.conftest import ShopClock
from tests.stores.stripe.rest_stub import KEY, StripeRest

SECRET = "whsec_for_tests_0123456789"
AVA = Buyer(email="Ava.Lindqvist@Example.com")
CRYPTLEX = {"CRYPTLEX_PRODUCT_ID": "prod-1", "CRYPTLEX_LICENSE_TEMPLATE": "tmpl-1"}
STORE: dict[str, Any] = {
    "name": "stripe",
    "adapter": "stripe",
    "webhook_secrets": (SECRET,),
    "test_events": "apply",
}
KINDS = {
    "checkout_sessions": "sessions",
    "subscriptions": "subscriptions",
    "invoices": "invoices",
    "invoice_payments": "invoice_payments",
    "customers": "customers",
    "prices": "prices",
    "products": "products",
}

LISTS = {"items", "lines", "line_items"}


@pytest.fixture(autouse=True)
def _configured(settings: Any) -> None:
    settings.STORES = [*settings.STORES, STORE]


@pytest.fixture
def account(shop_clock: ShopClock) -> StripeShop:
    """A shop with a product for teams (a price per month, another per year), and two that are sold once."""
    account = StripeShop(clock=shop_clock, enabled_events=None)
    stock(account)
    return account


def stock(account: StripeShop) -> None:
    account.add_product("Team", product_id="prod_team")
    account.add_price("prod_team", price_id="price_month", interval="month", amount=4900)
    account.add_price("prod_team", price_id="price_year", interval="year", amount=49000)
    account.add_product("Studio", product_id="prod_studio")
    account.add_price("prod_studio", price_id="price_studio", amount=9900)
    account.add_product("Plugin", product_id="prod_plugin")
    account.add_price("prod_plugin", price_id="price_plugin", amount=1900)


def line(price: str, quantity: int = 1) -> Line:
    return Line(price=price, quantity=quantity)


@pytest.fixture
def send(work: Callable[[], int], cryptlex: CryptlexSandbox) -> Callable[..., None]:
    """Post these events, one delivery each, and work each off before the next."""

    def _send(*events: Event) -> None:
        for event in events:
            post(event)
            work()

    return _send


def post(event: Event) -> None:
    body = delivery(event)
    signature = sign(body, secret=SECRET, at=datetime.now(UTC))
    receive("stripe", body=body, headers={"stripe-signature": signature})


@pytest.fixture
def rest(settings: Any) -> Iterator[StripeRest]:
    """Stripe's own API, and the store configured to read it; ``show`` brings it up to date with an account."""
    stub = StripeRest()
    settings.STORES = [*settings.STORES[:-1], {**STORE, "api_password": KEY, "api_base_url": stub.base_url}]
    yield stub
    stub.stop()


@pytest.fixture(params=[False, True], ids=["no key", "with a key"])
def api(request: pytest.FixtureRequest, account: StripeShop) -> StripeRest | None:
    """A test that asks for this runs twice, without Stripe's own API and with it."""
    return request.getfixturevalue("rest") if request.param else None


@pytest.fixture
def tell(api: StripeRest | None, account: StripeShop, send: Callable[..., None]) -> Callable[..., None]:
    """Send events with Stripe's API up to date, if there is one."""

    def _tell(*events: Event) -> None:
        if api:
            show(api, account)
        send(*events)

    return _tell


def show(stub: StripeRest, account: StripeShop) -> None:
    """Bring the API up to date with the account."""
    for kind, name in KINDS.items():
        stub.put(kind, *(_with_plain_lists(held) for held in getattr(account, name).values()))


def _with_plain_lists(held: dict[str, Any]) -> dict[str, Any]:
    """The stub decides itself how much of a list it shows."""
    return {name: value["data"] if name in LISTS and value else value for name, value in held.items()}


def only(events: list[Event], *types: str) -> list[Event]:
    """Those of the events that an endpoint listening to these types gets."""
    return [event for event in events if event["type"] in types]
