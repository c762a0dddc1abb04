"""The yardstick that does nothing but check a signature."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import Settings

from licensing_integration.exceptions import InvalidSignature
from licensing_integration.sandbox.fastspring import Buyer, FastSpringShop, delivery, sign

SECRET = "long-enough-for-a-yardstick"


@pytest.mark.urls("benchmarks.bare.urls")
def test_it_says_that_it_runs_and_takes_what_is_signed(settings: Settings) -> None:
    settings.MIDDLEWARE = []
    settings.STORES = [{**settings.STORES[0], "webhook_secrets": [SECRET]}]
    client = Client()
    assert client.get("/health/live").status_code == 200
    body = delivery(FastSpringShop().buy(Buyer(email="ava@example.com"), "photon"))

    def post(secret: str) -> int:
        headers = {"X-FS-Signature": sign(body, secret=secret)}
        return client.post("/webhooks/fastspring/", body, "application/json", headers=headers).status_code

    assert post(SECRET) == 200
    with pytest.raises(InvalidSignature):
        post("another")
