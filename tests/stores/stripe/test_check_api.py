"""Whether Stripe's API key works and what it may read, asked of the REST stub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from licensing_integration.stores.stripe.check_api import PROBES, check_api
from tests.stores.stripe.rest_stub import StripeRest


@pytest.fixture
def rest() -> Iterator[StripeRest]:
    stub = StripeRest()
    yield stub
    stub.stop()


def test_a_key_that_may_read_everything_is_fine(rest: StripeRest) -> None:
    assert check_api(rest.api()) == []
    assert rest.calls == [f"{path}?limit=1" for path, _, _ in PROBES]


def test_each_missing_permission_is_named(rest: StripeRest) -> None:
    rest.forbid("customers")
    rest.forbid("prices")
    first, second = check_api(rest.api())
    assert "Customers: Read" in first
    assert "(403)" in first
    assert "Prices: Read" in second


def test_a_wrong_key_is_told_once(rest: StripeRest) -> None:
    (problem,) = check_api(rest.api(key="rk_test_wrong"))
    assert "(401)" in problem
    assert "rk_test_wrong" not in problem


def test_a_stripe_that_does_not_answer_is_told_once(rest: StripeRest) -> None:
    api = rest.api()
    rest.stop()
    (problem,) = check_api(api)
    assert "cannot be reached" in problem


def test_every_permission_is_on_the_stores_page() -> None:
    page = Path("docs/stores/stripe.md").read_text(encoding="utf-8")
    (row,) = {line for line in page.splitlines() if line.startswith("| Products, Prices |")}
    for _, permission, _ in PROBES:
        assert permission in row or f"| {permission} |" in page
