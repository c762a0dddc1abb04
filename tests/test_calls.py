"""What is kept of the calls to a server, and what is never kept."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from licensing_integration.calls import LONGEST_BODY, MOST_CALLS, Call, kept_calls, masked_body, masked_json
from licensing_integration.exceptions import PermanentRemoteError, TransientRemoteError
from licensing_integration.http import RemoteSession
from licensing_integration.sandbox.http_server import Drop, HttpServer, Outcome, Reply

EMAIL, KEY, JWT = "ada@example.com", "5F1C7A-90B3D2-44E18C-0A6B7F", "eyJhbGciOi.eyJzdWIi.abc"


class Service:
    def __init__(self) -> None:
        self.outcome: Outcome = Reply(status=200, body=b"{}")
        self._http = HttpServer(application=lambda request: self.outcome)
        port = self._http.start(host="127.0.0.1", port=0)
        self.session = RemoteSession(
            "main", base_url=f"http://127.0.0.1:{port}", headers={"Authorization": "Bearer s3cret"}
        )

    def stop(self) -> None:
        self.session.close()
        self._http.stop()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.stop()


def test_a_call_is_kept_with_request_and_answer(service: Service) -> None:
    service.outcome = Reply(status=201, body=b'{"id": "x", "n": 2}', headers=(("X-Request-Id", "req-1"),))
    before = time.time()

    with kept_calls() as calls:
        service.session.request("POST", "/v3/licenses/{id}", ids={"id": "secret-id"}, json={"productId": "p"})

    (call,) = calls
    assert (call.method, call.path, call.status, call.request_id) == ("POST", "/v3/licenses/{id}", 201, "req-1")
    assert (json.loads(call.request), json.loads(call.answer)) == ({"productId": "p"}, {"id": "x", "n": 2})
    assert call.ms > 0
    assert before - 1 < call.at.timestamp() < time.time()


def test_a_search_keeps_its_parameters(service: Service) -> None:
    with kept_calls() as calls:
        service.session.request("GET", "/v3/users", params={"email[eq]": EMAIL, "limit": 1})

    assert json.loads(calls[0].request) == {"email[eq]": "•••@•••", "limit": 1}


def test_a_refused_call_is_kept_with_the_servers_words(service: Service) -> None:
    service.outcome = Reply(status=400, body=b'{"message": "ada@example.com may not."}')

    with kept_calls() as calls, pytest.raises(PermanentRemoteError):
        service.session.request("POST", "/v3/licenses", json={})

    assert (calls[0].status, json.loads(calls[0].answer)) == (400, {"message": "•••@••• may not."})


def test_a_call_without_answer_is_kept_with_the_reason(service: Service) -> None:
    service.outcome = Drop()

    with kept_calls() as calls, pytest.raises(TransientRemoteError) as failure:
        service.session.request("POST", "/v3/licenses", json={"productId": "p"})

    assert (calls[0].status, calls[0].answer) == (0, str(failure.value))


def test_nothing_is_kept_outside(service: Service) -> None:
    with kept_calls() as calls:
        pass
    service.session.request("GET", "/v3/me")

    assert calls == []


def test_a_work_of_many_calls_keeps_the_first_ones(service: Service) -> None:
    with kept_calls() as calls:
        for _ in range(MOST_CALLS + 3):
            service.session.request("GET", "/v3/me")

    assert len(calls) == MOST_CALLS


@pytest.mark.parametrize(
    "name",
    [
        "key", "license_key", "licenseKey", "allowedKey", "password", "initial_password", "token", "accessToken",
        "api_key", "firstName", "last_name", "company", "company_name", "phone",
    ],
)  # fmt: skip
def test_what_a_member_is_called_hides_its_value(name: str) -> None:
    told = masked_json({"data": [{name: "visible-nowhere", "id": "1"}]})

    assert json.loads(told) == {"data": [{name: "•••", "id": "1"}]}


@pytest.mark.parametrize("value", [EMAIL, KEY, JWT])
def test_what_a_value_looks_like_hides_it_wherever_it_stands(value: str) -> None:
    told = masked_json({"note": f"for {value}, please", value: 1})

    assert value not in told
    assert "please" in told


def test_metadata_keeps_the_names_of_its_entries() -> None:
    told = masked_json({"metadata": [{"key": "licensing_integration_slot", "value": "fastspring/order/1/main/1"}]})

    assert "licensing_integration_slot" in told
    assert "fastspring/order/1/main/1" in told


def test_a_name_is_hidden_where_it_is_a_persons() -> None:
    told = masked_json({"name": "App", "user": {"name": "Ada Byron", "email": EMAIL}})

    assert json.loads(told) == {"name": "App", "user": {"name": "•••", "email": "•••@•••"}}


def test_a_list_of_fresh_license_keys_is_hidden_whatever_they_look_like() -> None:
    assert json.loads(masked_body(b'["abcd", "efgh"]')) == ["•••", "•••"]


def test_an_empty_secret_is_shown_to_be_empty() -> None:
    assert json.loads(masked_json({"key": "", "password": None})) == {"key": "", "password": None}


def test_a_long_body_is_cut_after_masking() -> None:
    told = masked_json({"text": "x" * (LONGEST_BODY - 20), "email": EMAIL * 3})

    assert len(told) == LONGEST_BODY
    assert told.endswith("…")
    assert "ada" not in told


def test_what_is_no_json_is_kept_as_masked_text() -> None:
    assert masked_body(b"<html>write to ada@example.com</html>") == "<html>write to •••@•••</html>"
    assert masked_body(b" ") == ""


def test_a_call_says_no_more_than_it_has_to() -> None:
    assert set(Call.__dataclass_fields__) == {
        "at", "method", "path", "status", "ms", "request_id", "request", "answer",
    }  # fmt: skip
