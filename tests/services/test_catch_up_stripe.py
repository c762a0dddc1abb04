"""catch up with Stripe, over its REST stub: undelivered events come in, by the same way as delivered ones."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from licensing_integration.models import WebhookEvent
from licensing_integration.services.catch_up import CaughtUp, catch_up, catch_up_stores, why_not
from licensing_integration.services.receive import receive
from licensing_integration.stores.stripe.signature import sign
from tests.stores.stripe.rest_stub import KEY, Json, StripeRest, example

SECRET = "whsec_for_tests"
PAID, UPDATED = "invoice.paid", "customer.subscription.updated"


@pytest.fixture
def stripe(settings: Any) -> Iterator[StripeRest]:
    """Stripe's API with no events yet; the store "stripe" reads it and applies test events."""
    stub = StripeRest()
    stub.objects["events"] = {}
    store = {"name": "stripe", "adapter": "stripe", "webhook_secrets": (SECRET,), "test_events": "apply"}
    settings.STORES = [{**store, "api_password": KEY, "api_base_url": stub.base_url}]
    yield stub
    stub.stop()


def _event(name: str, *, event_type: str = PAID, days_ago: float = 0, undelivered: int = 1) -> Json:
    samples = {event["type"]: event for event in example("GET_v1_events--newest-first")["data"]}
    created = int(time.time() - days_ago * 86_400)
    return {**samples[event_type], "id": f"evt_{name}", "created": created, "pending_webhooks": undelivered}


def _post(event: Json) -> None:
    body = json.dumps(event).encode()
    receive("stripe", body=body, headers={"stripe-signature": sign(body, SECRET, timestamp=int(time.time()))})


def _names() -> set[str]:
    return set(WebhookEvent.objects.values_list("external_id", flat=True))


@pytest.mark.django_db
def test_what_stripe_could_not_deliver_is_fetched_once(stripe: StripeRest) -> None:
    stripe.put("events", _event("1"), _event("2", event_type=UPDATED), _event("delivered", undelivered=0))
    assert catch_up("stripe") == CaughtUp(store="stripe", pulled=2, new=2)
    assert _names() == {"evt_1", "evt_2"}
    assert set(WebhookEvent.objects.values_list("state", "deliveries")) == {("received", 0)}
    assert catch_up("stripe") == CaughtUp(store="stripe", pulled=2, new=0)


@pytest.mark.django_db
def test_an_event_that_another_endpoint_did_not_take_stays_as_it_was_delivered(stripe: StripeRest) -> None:
    event = _event("1")
    _post(event)
    before = WebhookEvent.objects.values().get()
    stripe.put("events", event)
    assert catch_up("stripe") == CaughtUp(store="stripe", pulled=1, new=0)
    assert WebhookEvent.objects.values().get() == before


@pytest.mark.django_db
def test_a_fetched_event_is_stored_as_a_delivered_one_would_be(stripe: StripeRest) -> None:
    columns = ("external_id", "event_type", "is_live", "occurred_at", "state", "problem", "body")
    event = _event("1")
    _post(event)
    *delivered, delivered_body = WebhookEvent.objects.values_list(*columns).get()
    WebhookEvent.objects.all().delete()
    stripe.put("events", event)
    catch_up("stripe")
    *fetched, fetched_body = WebhookEvent.objects.values_list(*columns).get()
    assert fetched == delivered
    assert json.loads(fetched_body) == json.loads(delivered_body)


@pytest.mark.django_db
def test_test_events_are_held_where_the_store_says_so(stripe: StripeRest, settings: Any) -> None:
    settings.STORES = [{**settings.STORES[0], "test_events": "hold"}]
    stripe.put("events", {**_event("live"), "livemode": True}, {**_event("test"), "livemode": False})
    catch_up("stripe")
    assert dict(WebhookEvent.objects.values_list("external_id", "state")) == {
        "evt_live": "received",
        "evt_test": "held",
    }


@pytest.mark.django_db
def test_every_page_is_fetched_and_only_the_days_asked_for(stripe: StripeRest) -> None:
    stripe.put("events", _event("old", days_ago=8), *(_event(str(number), days_ago=6) for number in range(230)))
    assert catch_up("stripe", days=7) == CaughtUp(store="stripe", pulled=230, new=230)
    assert "evt_old" not in _names()


@pytest.mark.django_db
def test_what_came_before_a_failure_stays_and_the_rest_comes_next_time(stripe: StripeRest) -> None:
    stripe.put("events", *(_event(str(number)) for number in range(230)))
    stops = iter([False, True])
    first = catch_up("stripe", should_stop=lambda: next(stops)).new
    assert 0 < first < 230
    stripe.refuse_next(429)
    assert "too many requests" in catch_up("stripe").problem
    assert WebhookEvent.objects.count() == first
    assert catch_up("stripe").new == 230 - first


@pytest.mark.django_db
@pytest.mark.parametrize(("change", "status"), [({"api_password": "rk_test_revoked"}, 401), ({}, 403)])
def test_a_key_that_may_not_read_events_is_told_and_never_shown(
    stripe: StripeRest, settings: Any, caplog: pytest.LogCaptureFixture, change: dict[str, str], status: int
) -> None:
    settings.STORES = [{**settings.STORES[0], **change}]
    stripe.forbid("events")
    (result,) = catch_up_stores()
    assert f"was refused ({status})" in result.problem
    for secret in (KEY, "rk_test_revoked"):
        assert secret not in result.problem + caplog.text


@pytest.mark.django_db
def test_without_a_key_it_says_which_to_configure(stripe: StripeRest, settings: Any) -> None:
    settings.STORES = [{**settings.STORES[0], "api_password": ""}]
    assert why_not("stripe") == "Without API credentials nothing can be fetched from it; set STRIPE_API_KEY."
    assert stripe.calls == []
