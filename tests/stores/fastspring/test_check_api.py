"""Whether FastSpring's API credentials work, asked of a server on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from licensing_integration.sandbox.http_server import HttpRequest, HttpServer, Reply
from licensing_integration.stores.fastspring.check_api import check_api
from licensing_integration.stores.fastspring.enrich import FastSpringApi

EMPTY = Reply(status=200, body=json.dumps({"action": "events.get", "result": "success", "events": []}).encode())


@pytest.fixture
def serve() -> Iterator[Callable[[Reply], tuple[FastSpringApi, list[HttpRequest]]]]:
    servers: list[HttpServer] = []

    def _serve(reply: Reply) -> tuple[FastSpringApi, list[HttpRequest]]:
        requests: list[HttpRequest] = []

        def _answer(request: HttpRequest) -> Reply:
            requests.append(request)
            return reply

        servers.append(HttpServer(application=_answer))
        base_url = f"http://127.0.0.1:{servers[-1].start(host='127.0.0.1', port=0)}"
        return FastSpringApi(username="user", password="the-password", base_url=base_url), requests

    yield _serve
    for server in servers:
        server.stop()


def test_credentials_that_work_take_one_cheap_call(serve):
    api, requests = serve(EMPTY)
    assert check_api(api) == []
    assert [(request.method, request.path) for request in requests] == [("GET", "/events/unprocessed")]


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_what_is_wrong_is_one_sentence_without_the_password(serve, status):
    api, _ = serve(Reply(status=status, body=b"{}"))
    (problem,) = check_api(api)
    assert str(status) in problem
    assert "the-password" not in problem
