"""What Stripe sells, for the mapping form."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from licensing_integration.exceptions import CredentialsRejected
from licensing_integration.stores.base import StoreProduct
from licensing_integration.stores.stripe import ADAPTER
from tests.stores.stripe.rest_answers import example
from tests.stores.stripe.rest_stub import StripeRest

PRODUCT = example("GET_v1_products_ID")


@pytest.fixture
def rest() -> Iterator[StripeRest]:
    stub = StripeRest()
    stub.objects["products"].clear()
    yield stub
    stub.stop()


def add(rest: StripeRest, number: int, *, is_active: bool = True) -> None:
    rest.put(
        "products",
        *({**PRODUCT, "id": f"prod_{n}", "name": f"Photon {n}", "active": is_active} for n in range(number)),
    )


def listed(rest: StripeRest) -> list[StoreProduct]:
    assert ADAPTER.list_products is not None
    return list(ADAPTER.list_products(rest.api()))


def test_active_products_are_listed_with_their_names(rest: StripeRest) -> None:
    add(rest, 1)
    rest.put("products", {**PRODUCT, "id": "prod_old", "active": False})
    assert listed(rest) == [StoreProduct(id="prod_0", name="Photon 0")]
    assert rest.calls == ["/v1/products?active=true&limit=100"]


def test_every_page_is_read(rest: StripeRest) -> None:
    add(rest, 101)
    assert {product.id for product in listed(rest)} == {f"prod_{n}" for n in range(101)}
    assert len(rest.calls) == 2


def test_a_key_without_the_permission_says_so(rest: StripeRest) -> None:
    rest.forbid("products")
    with pytest.raises(CredentialsRejected):
        listed(rest)
