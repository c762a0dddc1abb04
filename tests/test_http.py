"""The HTTP layer against real sockets on 127.0.0.1: every outcome becomes the right error, and nothing leaks."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from licensing_integration.exceptions import (
    ConfigurationProblem,
    CredentialsRejected,
    LicensingIntegrationError,
    PermanentRemoteError,
    TransientRemoteError,
)
from licensing_integration.http import RemoteSession, call_deadline, fill_path, mask, parse_retry_after
from licensing_integration.sandbox.http_server import Drop, HttpRequest, HttpServer, Later, Outcome, Reply

EMAIL, TOKEN, KEY = "ada@example.com", "s3cret-token", "5F1C7A-90B3D2-44E18C-0A6B7F-C1D2E3-F40516"


class Server:
    """Answers with ``outcome`` and remembers the requests."""

    def __init__(self) -> None:
        self.outcome: Outcome = Reply(status=200, body=b"{}")
        self.requests: list[HttpRequest] = []
        self._http = HttpServer(application=self._answer)
        self.base_url = f"http://127.0.0.1:{self._http.start(host='127.0.0.1', port=0)}"

    def _answer(self, request: HttpRequest) -> Outcome:
        self.requests.append(request)
        return self.outcome

    def stop(self) -> None:
        self._http.stop()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def connect(server: Server) -> Iterator[Callable[..., RemoteSession]]:
    with contextlib.ExitStack() as opened:

        def connect(**options: Any) -> RemoteSession:
            arguments = {"base_url": server.base_url, "headers": {"Authorization": f"Bearer {TOKEN}"}, **options}
            session = RemoteSession("main", **arguments)
            opened.callback(session.close)
            return session

        yield connect


def failure_of(session: RemoteSession, method: str = "POST", **arguments: Any) -> Any:
    with pytest.raises(LicensingIntegrationError) as failure:
        session.request(method, "/v3/users", **arguments)
    return failure.value


# What is sent, what comes back


def test_a_call_sends_what_it_is_given_and_decodes_the_answer(
    server: Server, connect: Callable[..., RemoteSession]
) -> None:
    server.outcome = Reply(status=201, body=b'{"id": "x"}', headers=(("X-Request-Id", "req-1"),))
    answer = connect().request(
        "POST", "/v3/licenses/{id}", ids={"id": "a b/c"}, params={"email[eq]": EMAIL}, json={"n": 1}
    )
    assert (answer.status, answer.data, answer.request_id) == (201, {"id": "x"}, "req-1")
    (request,) = server.requests
    assert request.path == "/v3/licenses/a b/c"
    assert request.query == "email%5Beq%5D=ada%40example.com"
    assert request.body == b'{"n": 1}'
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/json"


def test_a_parameter_with_several_values_is_sent_once_for_each(
    server: Server, connect: Callable[..., RemoteSession]
) -> None:
    connect().request("GET", "/v1/events", params={"types[]": ["a", "b"], "limit": 9})
    assert server.requests[0].query == "types%5B%5D=a&types%5B%5D=b&limit=9"


def test_a_call_without_body_sends_none(server: Server, connect: Callable[..., RemoteSession]) -> None:
    connect().request("POST", "/v3/licenses/{id}/renew", ids={"id": "x"})
    (request,) = server.requests
    assert request.body == b""
    assert "content-type" not in request.headers


@pytest.mark.parametrize("value", ["", "  ", ".", ".."])
def test_an_id_that_would_change_the_path_makes_no_call(
    server: Server, connect: Callable[..., RemoteSession], value: str
) -> None:
    with pytest.raises(ValueError, match="needs an id"):
        connect().request("DELETE", "/v3/licenses/{id}", ids={"id": value})
    assert server.requests == []


def test_an_id_cannot_leave_its_path_segment() -> None:
    assert fill_path("/v3/licenses/{id}/renew", ids={"id": "../a?b#c{d}"}) == (
        "/v3/licenses/..%2Fa%3Fb%23c%7Bd%7D/renew"
    )


@pytest.mark.parametrize(("method", "status"), [("PATCH", 204), ("DELETE", 200), ("DELETE", 202)])
def test_a_missing_body_is_fine_where_none_is_expected(
    server: Server, connect: Callable[..., RemoteSession], method: str, status: int
) -> None:
    server.outcome = Reply(status=status)
    assert connect().request(method, "/v3/licenses/{id}", ids={"id": "x"}).data is None


def test_one_session_serves_many_threads(server: Server, connect: Callable[..., RemoteSession]) -> None:
    session = connect()
    with ThreadPoolExecutor(max_workers=16) as pool:
        answers = list(pool.map(lambda _: session.request("GET", "/v3/me").status, range(64)))
    assert answers == [200] * 64
    assert len(server.requests) == 64


def test_cookies_are_not_carried_from_call_to_call(server: Server, connect: Callable[..., RemoteSession]) -> None:
    server.outcome = Reply(status=200, body=b"{}", headers=(("Set-Cookie", "session=1; Path=/"),))
    session = connect()
    session.request("GET", "/v3/me")
    session.request("GET", "/v3/me")
    assert "cookie" not in server.requests[1].headers


def test_proxy_settings_of_the_environment_are_ignored(
    server: Server, connect: Callable[..., RemoteSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert connect().request("GET", "/v3/me").status == 200


# Outcomes


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_a_server_fault_is_transient_and_may_have_succeeded(
    server: Server, connect: Callable[..., RemoteSession], status: int
) -> None:
    server.outcome = Reply(status=status, body=b"<html>down</html>", headers=(("Retry-After", "12"),))
    error = failure_of(connect())
    assert isinstance(error, TransientRemoteError)
    assert (error.retry_after, error.may_have_succeeded) == (12, True)
    assert f"main: POST /v3/users failed ({status})" in str(error)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [((("Retry-After", "7"),), 7.0), ((), 5.0), ((("Retry-After", "soon"),), 5.0)],
)
def test_too_many_requests_waits_as_told_and_has_changed_nothing(
    server: Server, connect: Callable[..., RemoteSession], headers: tuple[tuple[str, str], ...], expected: float
) -> None:
    server.outcome = Reply(status=429, headers=headers)
    waits: list[float] = []
    error = failure_of(connect(on_rate_limited=waits.append))
    assert isinstance(error, TransientRemoteError)
    assert (error.retry_after, error.may_have_succeeded, waits) == (expected, False, [expected])


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_come_with_advice(
    server: Server, connect: Callable[..., RemoteSession], status: int
) -> None:
    server.outcome = Reply(status=status, body=b'{"message": "Nope."}')
    error = failure_of(connect())
    assert isinstance(error, CredentialsRejected)
    assert str(status) in str(error)
    assert "token" in str(error)
    assert "Nope." in str(error)


@pytest.mark.parametrize("status", [400, 404, 405, 409, 422])
def test_another_refusal_is_permanent_and_quotes_the_server(
    server: Server, connect: Callable[..., RemoteSession], status: int
) -> None:
    server.outcome = Reply(
        status=status, body=b'{"message": "Taken!", "code": "DUPLICATE"}', headers=(("CF-Ray", "ray-9"),)
    )
    error = failure_of(connect())
    assert isinstance(error, PermanentRemoteError)
    assert (error.status, error.code, error.request_id) == (status, "DUPLICATE", "ray-9")
    assert "Taken!" in str(error)


def test_a_code_inside_an_error_object_is_found(server: Server, connect: Callable[..., RemoteSession]) -> None:
    server.outcome = Reply(status=404, body=b'{"error": {"code": "resource_missing", "message": "No such thing."}}')
    assert failure_of(connect()).code == "resource_missing"


def test_a_redirect_is_not_followed(server: Server, connect: Callable[..., RemoteSession]) -> None:
    server.outcome = Reply(status=302, headers=(("Location", f"{server.base_url}/elsewhere"),))
    error = failure_of(connect(), "GET")
    assert isinstance(error, PermanentRemoteError)
    assert error.status == 302
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"detail": "No."}', "No."),
        (b'{"message": null, "error": "No."}', "No."),
        (b'{"error": {"message": "No.", "type": "odd"}}', 'says: "No."'),
        (b'{"email": ["Enter a valid address."]}', "Enter a valid address."),
        (b'{"errors": [{"message": "No."}]}', "No."),
        (b'["No."]', "No."),
        (b'"No."', "No."),
    ],
)
def test_the_servers_sentence_is_found_in_many_shapes(
    server: Server, connect: Callable[..., RemoteSession], body: bytes, sentence: str
) -> None:
    server.outcome = Reply(status=400, body=body)
    assert sentence in str(failure_of(connect()))


@pytest.mark.parametrize("body", [b"", b"<html>Bad</html>", b"null", b"\xff\xfe", b"[" * 100_000])
def test_an_error_without_readable_body_keeps_its_status(
    server: Server, connect: Callable[..., RemoteSession], body: bytes
) -> None:
    server.outcome = Reply(status=400, body=body)
    error = failure_of(connect())
    assert isinstance(error, PermanentRemoteError)
    assert str(error) == "main: POST /v3/users was refused (400)."


@pytest.mark.parametrize("body", [b"", b"<html>Welcome</html>", b'{"id": '])
def test_success_without_readable_json_may_have_succeeded(
    server: Server, connect: Callable[..., RemoteSession], body: bytes
) -> None:
    server.outcome = Reply(status=200, body=body)
    error = failure_of(connect())
    assert isinstance(error, TransientRemoteError)
    assert error.may_have_succeeded


def test_a_dropped_connection_may_have_succeeded(server: Server, connect: Callable[..., RemoteSession]) -> None:
    server.outcome = Drop()
    error = failure_of(connect())
    assert isinstance(error, TransientRemoteError)
    assert error.may_have_succeeded
    assert len(server.requests) == 1


def test_an_answer_that_breaks_off_may_have_succeeded(connect: Callable[..., RemoteSession]) -> None:
    with raw_server(b'HTTP/1.1 201 Created\r\nContent-Length: 50\r\n\r\n{"id":') as base_url:
        error = failure_of(connect(base_url=base_url))
    assert isinstance(error, TransientRemoteError)
    assert error.may_have_succeeded


def test_a_late_answer_may_have_succeeded(server: Server, connect: Callable[..., RemoteSession]) -> None:
    server.outcome = Later(30.0, lambda: Reply(status=200))
    error = failure_of(connect(timeout=(1.0, 0.05)))
    assert isinstance(error, TransientRemoteError)
    assert error.may_have_succeeded
    assert "in time" in str(error)


def test_a_refused_connection_has_not_succeeded(connect: Callable[..., RemoteSession]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    error = failure_of(connect(base_url=f"http://127.0.0.1:{port}"))
    assert isinstance(error, TransientRemoteError)
    assert not error.may_have_succeeded
    assert "ConnectionRefusedError" in str(error)


def test_a_connection_that_is_never_made_has_not_succeeded(connect: Callable[..., RemoteSession]) -> None:
    with contextlib.ExitStack() as opened:
        full = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # fill the queue of connections nobody accepts
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        error = failure_of(connect(base_url=f"http://127.0.0.1:{full.getsockname()[1]}", timeout=(0.1, 1.0)))
    assert isinstance(error, TransientRemoteError)
    assert not error.may_have_succeeded


@pytest.mark.parametrize("base_url", ["", "api.example.com", "ftp://host", "https://user:pw@host", "https://h?x=1"])
def test_an_unusable_base_url_is_a_configuration_problem(base_url: str) -> None:
    with pytest.raises(ConfigurationProblem, match="base URL"):
        RemoteSession("main", base_url=base_url)


@pytest.mark.parametrize("token", [f"{TOKEN}\n", f"{TOKEN}\u2026"])
def test_a_mistyped_token_is_a_configuration_problem_that_does_not_show_it(server: Server, token: str) -> None:
    with pytest.raises(ConfigurationProblem) as failure:
        RemoteSession("main", base_url=server.base_url, headers={"Authorization": f"Bearer {token}"})
    assert TOKEN not in "".join(traceback.format_exception(failure.value))


# Budget and deadline


def test_the_budget_is_asked_before_every_call(server: Server, connect: Callable[..., RemoteSession]) -> None:
    asked: list[int] = []
    session = connect(before_request=lambda: asked.append(len(server.requests)))
    session.request("GET", "/v3/me")
    session.request("GET", "/v3/me")
    assert asked == [0, 1]


def test_no_call_is_made_without_budget(server: Server, connect: Callable[..., RemoteSession]) -> None:
    def refuse() -> None:
        raise TransientRemoteError("no budget", may_have_succeeded=False)

    assert str(failure_of(connect(before_request=refuse))) == "no budget"
    assert server.requests == []


@pytest.fixture
def lease() -> Iterator[Callable[[float], None]]:
    before = call_deadline.set(None)
    yield lambda seconds: call_deadline.set(time.monotonic() + seconds) and None
    call_deadline.reset(before)


def test_no_call_starts_after_the_lease(
    server: Server, connect: Callable[..., RemoteSession], lease: Callable[[float], None]
) -> None:
    asked: list[None] = []
    lease(0.0)
    error = failure_of(connect(before_request=lambda: asked.append(None)))
    assert isinstance(error, TransientRemoteError)
    assert not error.may_have_succeeded
    assert "lease ran out" in str(error)
    assert (server.requests, asked) == ([], [])


def test_the_lease_is_checked_again_after_waiting_for_the_budget(
    server: Server, connect: Callable[..., RemoteSession], lease: Callable[[float], None]
) -> None:
    lease(60.0)
    error = failure_of(connect(before_request=lambda: lease(0.0)))
    assert "lease ran out" in str(error)
    assert server.requests == []


def test_no_call_outlives_the_lease(
    server: Server, connect: Callable[..., RemoteSession], lease: Callable[[float], None]
) -> None:
    server.outcome = Later(30.0, lambda: Reply(status=200))
    started = time.monotonic()
    lease(0.3)
    error = failure_of(connect())
    assert time.monotonic() - started < 5
    assert error.may_have_succeeded


# Secrets


def test_nothing_confidential_enters_messages_tracebacks_or_logs(
    server: Server, connect: Callable[..., RemoteSession], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="licensing_integration")
    quoted = f'{{"message": "Address <{EMAIL}> of {KEY} is taken, ey: eyJhbGciOi.eyJzdWIi.c2ln"}}'.encode()
    session = connect()
    texts = []
    for outcome in (Reply(status=400, body=quoted), Reply(status=401, body=quoted), Drop(), Reply(status=500)):
        server.outcome = outcome
        error = failure_of(session, params={"email[eq]": EMAIL}, json={"key": KEY})
        texts.append("".join(traceback.format_exception(error)))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    error = failure_of(connect(base_url=f"http://127.0.0.1:{port}"), params={"email[eq]": EMAIL})
    text = "".join([*texts, *traceback.format_exception(error), caplog.text])
    for secret in (EMAIL, quote(EMAIL), TOKEN, KEY, "eyJ"):
        assert secret not in text.replace("ey: ", "")


@pytest.mark.parametrize("secret", ["rk_live_51aB", "sk_test_9_xY", "cs_test_a1gGAyUtx7", "cs_live_b1"])
def test_keys_of_stripe_and_ids_that_open_an_order_page_are_masked(secret: str) -> None:
    assert mask(f"No such checkout.session: '{secret}'; sub_1oWtMP stays") == (
        "No such checkout.session: '•••'; sub_1oWtMP stays"
    )


def test_ids_stay_readable_when_a_sentence_is_masked() -> None:
    sentence = "License 3f8a2c61-6b1d-4c1e-9a55-0d7c2e4b9f10 of order FSP-1 is unknown."
    assert mask(sentence) == sentence


def test_a_long_sentence_is_cut() -> None:
    assert len(mask("x " * 1000)) == 300


def test_every_call_is_one_log_line_with_fields(
    server: Server, connect: Callable[..., RemoteSession], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="licensing_integration.http")
    server.outcome = Reply(status=200, body=b"{}", headers=(("X-Request-Id", "req-1"),))
    session = connect()
    session.request("GET", "/v3/licenses/{id}", ids={"id": "x"})
    server.outcome = Reply(status=500)
    failure_of(session)
    server.outcome = Drop()
    failure_of(session)
    lines = [record for record in caplog.records if record.name == "licensing_integration.http"]
    assert [(line.levelname, line.__dict__["status"]) for line in lines] == [("DEBUG", 200), ("INFO", 500), ("INFO", 0)]
    fields = lines[0].__dict__
    assert (fields["server"], fields["method"], fields["path"]) == ("main", "GET", "/v3/licenses/{id}")
    assert fields["request_id"] == "req-1"
    assert fields["ms"] >= 0


# Retry-After


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "Sat, 21 Nov 2026 10:00:30 GMT"}, 30),
        ({"Retry-After": "Sat, 21 Nov 2026 09:00:00 GMT"}, 0),
        ({"Retry-After": "99999"}, 3600),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon", "X-Rate-Limit-Reset": "2026-11-21T10:00:04Z"}, 4),
        ({"X-Rate-Limit-Reset": "2026-11-21T10:00:03.5000000Z"}, 3.5),
        ({"X-Rate-Limit-Reset": "2026-11-21T11:00:03+01:00"}, 3),
        ({"X-Rate-Limit-Reset": "2026-11-21 10:00:02"}, 2),
        ({"X-Rate-Limit-Reset": "2026-11-21 10:00:02 UTC"}, 2),
        ({"X-Rate-Limit-Reset": "11/21/2026 10:00:06"}, 6),
        ({"X-Rate-Limit-Reset": "11/21/2026 10:00:06 AM"}, 6),
        ({"X-Rate-Limit-Reset": "Sat, 21 Nov 2026 10:00:05 GMT"}, 5),
        ({"X-Rate-Limit-Reset": "1795255205"}, 5),
        ({"X-Rate-Limit-Reset": "1795255205000"}, 5),
        ({"X-Rate-Limit-Reset": "garbage"}, None),
        ({"Retry-After": "inf"}, 3600),
        ({}, None),
    ],
)
def test_the_wait_is_read_from_what_the_server_sends(headers: dict[str, str], expected: float | None) -> None:
    assert parse_retry_after(headers, now=datetime(2026, 11, 21, 10, tzinfo=UTC)) == expected


def test_a_servers_wrong_clock_is_allowed_for() -> None:
    headers = {"Date": "Sat, 21 Nov 2020 10:00:00 GMT", "X-Rate-Limit-Reset": "2020-11-21T10:00:04Z"}
    assert parse_retry_after(headers, now=datetime(2026, 11, 21, tzinfo=UTC)) == 4


@contextlib.contextmanager
def raw_server(answer: bytes) -> Iterator[str]:
    """Sends exactly these bytes to the first caller and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()
