"""What is known to go wrong with the vendor's own integration, one test for each flaw."""

from __future__ import annotations

import pytest

from licensing_integration.models import Purchase, WebhookEvent
from licensing_integration.sandbox.stripe import StripeShop, delivery, sign
from tests.services.scenario import map_product, metadata, states
from tests.services.stripe.conftest import AVA, CRYPTLEX, SECRET, line, show, stock

pytestmark = pytest.mark.django_db


def test_unpaid_sessions_were_licensed(account, send, cryptlex):
    _, events = account.buy(AVA, line("price_studio"), metadata=CRYPTLEX, is_delayed=True)
    send(*events)
    assert cryptlex.licenses == []


def test_setup_sessions_were_licensed(account, send, cryptlex):
    session, events = account.set_up(AVA)
    for event in events:
        event["data"]["object"].setdefault("metadata", {}).update(CRYPTLEX)
    send(*events)
    assert cryptlex.licenses == []
    assert not Purchase.objects.filter(external_id=session["id"], status="completed").exists()


@pytest.mark.parametrize("version", ["2024-06-20", "2025-08-27.basil", "2026-10-28.endive"])
def test_customers_on_some_api_versions_shared_one_id(shop_clock, send, cryptlex, version):
    account = StripeShop(clock=shop_clock, api_version=version, enabled_events=None)
    stock(account)
    map_product("prod_team", store="stripe")
    subscriptions = []
    for buyer in (AVA, AVA):
        session, events = account.subscribe(buyer, line("price_month"))
        subscriptions.append(session["subscription"])
        send(*events)
    assert {metadata(one)["stripe_subscription_id"] for one in cryptlex.licenses} == set(subscriptions)
    send(*account.renew(subscriptions[0]))
    assert len({one["expiresAt"] for one in cryptlex.licenses}) == 2


def test_only_the_first_of_several_licenses_was_renewed(account, send, cryptlex):
    map_product("prod_team", store="stripe")
    session, events = account.subscribe(AVA, line("price_month", 3))
    send(*events)
    before = {one["expiresAt"] for one in cryptlex.licenses}
    send(*account.renew(session["subscription"]))
    after = [one["expiresAt"] for one in cryptlex.licenses]
    assert len(set(after)) == 1
    assert before.isdisjoint(after)


def test_the_quantity_was_ignored(account, send, cryptlex):
    map_product("prod_team", store="stripe")
    _, events = account.subscribe(AVA, line("price_month", 4))
    send(*events)
    assert states(cryptlex) == ["active"] * 4


@pytest.mark.parametrize(
    "event_type", ["account.updated", "invoice.upcoming", "something.nobody.knows", "v1.invoice.paid"]
)
def test_types_nobody_handles_were_answered_with_400(client, account, event_type):
    (event,) = account.report("customer.created", {"id": "cus_1", "object": "customer"})
    body = delivery({**event, "type": event_type})
    signature = sign(body, secret=SECRET, at=account.clock())
    answer = client.post(
        "/webhooks/stripe/", body, content_type="application/json", headers={"Stripe-Signature": signature}
    )
    assert answer.status_code == 200
    assert WebhookEvent.objects.get().state in {"ignored", "unsupported"}


def test_a_new_customer_renamed_an_administrator(account, send, cryptlex, vendor):
    body = {"email": "boss@example.com", "firstName": "The", "lastName": "Boss", "password": "Aa1!" + "x" * 20}
    boss = vendor.call("POST", "/v3/users", json={**body, "role": "admin"})
    (event,) = [
        event
        for event in account.create_subscription(
            type(AVA)(email="boss@example.com", first="Somebody", last="Else"), line("price_month")
        )[1]
        if event["type"] == "customer.created"
    ]
    send(event)
    assert {user["firstName"] for user in cryptlex.users if user["id"] == boss["id"]} == {"The"}
    assert WebhookEvent.objects.get().state == "ignored"


def test_all_free_purchases_shared_transaction_empty(rest, account, send, cryptlex):
    map_product("prod_studio", store="stripe")
    sessions = []
    for _ in range(2):
        session, events = account.buy(AVA, line("price_studio"), is_free=True)
        sessions.append(session["id"])
        show(rest, account)
        send(*events)
    slots = {metadata(one)["licensing_integration_slot"] for one in cryptlex.licenses}
    assert {slot.split("/")[2] for slot in slots} == set(sessions)
    values = {value for one in cryptlex.licenses for value in metadata(one).values()}
    assert values.isdisjoint({"transaction_empty", "subscription_empty", ""})
