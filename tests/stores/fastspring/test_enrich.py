from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from licensing_integration.exceptions import (
    CredentialsRejected,
    MalformedPayload,
    PermanentRemoteError,
    TransientRemoteError,
)
from licensing_integration.stores.fastspring import ADAPTER
from licensing_integration.stores.fastspring.enrich import FastSpringApi
from licensing_integration.stores.payload import Payload
from tests.stores.fastspring.samples import NAMES, changed, event, translate

BY_ID = "order.completed--subscription-unexpanded"
CHARGED_BY_ID = "subscription.charge.completed--unexpanded"
ENDED_BY_ID = "subscription.deactivated--unexpanded"
UNEXPANDED = {BY_ID, CHARGED_BY_ID, ENDED_BY_ID, "subscription.charge.failed--unexpanded"}

SUBSCRIPTION = event("subscription.charge.completed")["data"]["subscription"]
ACCOUNT = event("subscription.charge.completed")["data"]["account"]


@dataclass(kw_only=True)
class Store:
    """FastSpring's API as far as a test wants it: an answer per path, and a list of what was asked."""

    url: str = ""
    answers: dict[str, tuple[int, object]] = field(default_factory=dict)
    requests: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _ in self.requests]

    def api(self) -> FastSpringApi:
        return FastSpringApi(username="user", password="pass:word", base_url=self.url)

    def enrich(self, value: dict[str, Any]) -> dict[str, object]:
        assert ADAPTER.enrich is not None
        return ADAPTER.enrich(Payload(value), self.api())


@pytest.fixture
def store() -> Iterator[Store]:
    state = Store()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.requests.append((self.command, self.path, headers))
            status, answer = state.answers.get(self.path, (500, {"error": "unexpected path"}))
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def subscription(subscription_id: str) -> dict[str, Any]:
    return {**SUBSCRIPTION, "id": subscription_id, "subscription": subscription_id}


def order_of(*subscription_ids: str) -> dict[str, Any]:
    """An unexpanded order of one line for each subscription."""
    value = event(BY_ID)
    (line,) = value["data"]["items"]
    value["data"]["items"] = [{**line, "subscription": subscription_id} for subscription_id in subscription_ids]
    return value


@pytest.mark.parametrize("name", [name for name in NAMES if name not in UNEXPANDED])
def test_a_complete_payload_makes_no_call(store: Store, name: str) -> None:
    assert store.enrich(event(name)) == {}
    assert store.paths == []


@pytest.mark.parametrize(
    "value",
    [event("subscription.charge.failed--unexpanded"), {**event(ENDED_BY_ID), "type": "subscription.payment.reminder"}],
)
def test_an_event_that_changes_nothing_is_not_worth_a_call(store: Store, value: dict[str, Any]) -> None:
    assert store.enrich(value) == {}
    assert store.paths == []


@pytest.mark.parametrize(
    "wrap",
    [
        lambda found: found,
        lambda found: [found],
        lambda found: {"action": "subscription.get", "result": "success", "subscriptions": [found]},
    ],
)
def test_an_unexpanded_order_gets_its_subscription(store: Store, wrap: Any) -> None:
    found = subscription("mZQxaMHTYL7Y_t9EkMubXw")
    store.answers["/subscriptions/mZQxaMHTYL7Y_t9EkMubXw"] = (200, wrap(found))
    value = event(BY_ID)
    fetched = store.enrich(value)
    assert fetched == {"subscriptions": {"mZQxaMHTYL7Y_t9EkMubXw": found}}
    (fact,) = translate(value, **fetched)
    assert fact.snapshot.paid_through is not None  # type: ignore[union-attr]


def test_an_unexpanded_charge_gets_its_subscription_and_account(store: Store) -> None:
    store.answers = {
        f"/subscriptions/{SUBSCRIPTION['id']}": (200, SUBSCRIPTION),
        f"/accounts/{ACCOUNT['id']}": (200, {"accounts": [ACCOUNT]}),
    }
    assert store.enrich(event(CHARGED_BY_ID)) == {
        "subscriptions": {SUBSCRIPTION["id"]: SUBSCRIPTION},
        "accounts": {ACCOUNT["id"]: ACCOUNT},
    }


def test_an_unexpanded_lifecycle_event_gets_its_account(store: Store) -> None:
    account = {**ACCOUNT, "id": "68fbbyc2hmcDlxZD9Mm_HQ"}
    store.answers["/accounts/68fbbyc2hmcDlxZD9Mm_HQ"] = (200, account)
    assert store.enrich(event(ENDED_BY_ID)) == {"accounts": {account["id"]: account}}


def test_an_order_without_any_address_gets_its_account(store: Store) -> None:
    account = {**ACCOUNT, "id": "a1"}
    store.answers["/accounts/a1"] = (200, account)
    value = changed(
        "order.completed--one-time-qty1", lambda data: data.update(customer=None, recipients=[], account="a1")
    )
    assert store.enrich(value) == {"accounts": {"a1": account}}
    assert store.paths == ["/accounts/a1"]


def test_several_subscriptions_take_one_call(store: Store) -> None:
    store.answers["/subscriptions/s1,s2"] = (200, {"subscriptions": [subscription("s2"), subscription("s1")]})
    fetched = store.enrich(order_of("s1", "s2", "s1"))
    assert fetched == {"subscriptions": {"s1": subscription("s1"), "s2": subscription("s2")}}
    assert store.paths == ["/subscriptions/s1,s2"]


def test_many_subscriptions_are_asked_for_in_batches(store: Store) -> None:
    ids = [f"s{number}" for number in range(25)]
    for batch in (ids[:20], ids[20:]):
        answer = {"subscriptions": [subscription(subscription_id) for subscription_id in batch]}
        store.answers[f"/subscriptions/{','.join(batch)}"] = (200, answer)
    fetched = store.enrich(order_of(*ids))
    assert list(fetched["subscriptions"]) == ids  # type: ignore[call-overload]
    assert len(store.paths) == 2


def test_what_the_store_does_not_know_is_left_out(store: Store) -> None:
    error = {"action": "subscription.get", "subscription": "s2", "result": "error", "error": {"subscription": "no"}}
    store.answers["/subscriptions/s1,s2"] = (200, {"subscriptions": [subscription("s1"), error]})
    assert store.enrich(order_of("s1", "s2")) == {"subscriptions": {"s1": subscription("s1")}}


def test_what_nobody_asked_for_is_left_out(store: Store) -> None:
    store.answers["/subscriptions/s1"] = (200, {"subscriptions": [subscription("s9"), "s1"]})
    assert store.enrich(order_of("s1")) == {}


@pytest.mark.parametrize("odd", ["../accounts", "s1,s2", "a b", "%2e", "{id}", "é", "."])
def test_an_id_that_could_mean_something_else_is_never_put_into_a_path(store: Store, odd: str) -> None:
    assert store.enrich(order_of(odd)) == {}
    assert store.paths == []


def test_an_answer_is_kept_in_a_form_the_database_takes(store: Store) -> None:
    odd = {**subscription("s1"), "display": "A\x00\ud83d", "price": float("inf"), "list": [{"n\x00": "\x00"}]}
    store.answers["/subscriptions/s1"] = (200, odd)
    assert store.enrich(order_of("s1")) == {
        "subscriptions": {"s1": {**subscription("s1"), "display": "A?", "price": None, "list": [{"n": ""}]}}
    }


def test_an_unreadable_event_fails_as_its_translator_would(store: Store) -> None:
    with pytest.raises(MalformedPayload, match=r"data\.items: not a list"):
        store.enrich(changed(BY_ID, lambda data: data.update(items=7)))


# The API


def test_every_call_has_credentials_and_a_user_agent(store: Store) -> None:
    store.answers["/accounts/a1"] = (200, {})
    assert ADAPTER.build_api is not None
    api = ADAPTER.build_api(username="user", password="pass:word", base_url=store.url)
    assert api.get("/accounts/a1") == {}
    ((method, path, headers),) = store.requests
    assert (method, path) == ("GET", "/accounts/a1")
    assert base64.b64decode(headers["authorization"].removeprefix("Basic ")) == b"user:pass:word"
    assert headers["user-agent"] == "licensing-integration"


def test_not_found_is_worth_another_try_because_it_may_mean_too_many_requests(store: Store) -> None:
    store.answers["/subscriptions/mZQxaMHTYL7Y_t9EkMubXw"] = (404, {})
    with pytest.raises(TransientRemoteError, match="404"):
        store.enrich(event(BY_ID))


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, CredentialsRejected), (403, CredentialsRejected), (400, PermanentRemoteError), (503, TransientRemoteError)],
)
def test_refusals_are_told_apart(store: Store, status: int, error: type[Exception]) -> None:
    store.answers["/accounts/a1"] = (status, {})
    with pytest.raises(error) as refusal:
        store.api().get("/accounts/a1")
    assert "pass:word" not in str(refusal.value)


def test_without_an_address_it_is_the_public_one() -> None:
    assert FastSpringApi(username="u", password="p").base_url == "https://api.fastspring.com"
