"""The page a Stripe shop links as its success URL."""

from __future__ import annotations

import pytest

from tests.services.scenario import map_product
from tests.services.stripe.conftest import AVA, CRYPTLEX, line, only

pytestmark = pytest.mark.django_db


def page(client, session_id):
    return client.get(f"/orders/stripe/{session_id}/", headers={"Accept": "application/json"})


def test_the_buyer_comes_before_the_webhook_and_sees_the_keys_after_it(client, account, send, cryptlex):
    session, events = account.buy(AVA, line("price_studio"), metadata=CRYPTLEX)
    assert page(client, session["id"]).json()["state"] == "preparing"
    send(*events)
    shown = page(client, session["id"]).json()
    assert shown["state"] == "ready"
    assert [one["key"] for one in shown["licenses"]] == [one["key"] for one in cryptlex.licenses]


@pytest.mark.parametrize("first", ["invoice.paid", "checkout.session.completed"])
def test_a_session_shows_the_keys_of_its_subscription(client, account, send, cryptlex, first):
    map_product("prod_team", store="stripe")
    session, events = account.subscribe(AVA, line("price_month", 3))
    send(*only(events, first), *events)
    shown = page(client, session["id"]).json()
    assert sorted(one["key"] for one in shown["licenses"]) == sorted(one["key"] for one in cryptlex.licenses)


def test_another_buyers_session_shows_nothing_of_it(client, account, send, cryptlex):
    mine, events = account.buy(AVA, line("price_studio"), metadata=CRYPTLEX)
    theirs, _ = account.buy(AVA, line("price_studio"), metadata=CRYPTLEX)
    send(*events)
    assert page(client, theirs["id"]).json()["licenses"] == []
    assert page(client, mine["id"]).json()["licenses"]


def test_what_is_not_secret_opens_nothing(client, account, send, cryptlex):
    session, events = account.buy(AVA, line("price_studio"), metadata=CRYPTLEX)
    send(*events)
    for name in (session["payment_intent"], "cs_test_1", session["id"][:-1]):
        answer = page(client, name)
        assert answer.status_code == 404 or answer.json()["licenses"] == []
