"""What FastSpring sells, for the mapping form: paths, however the answer wraps them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from licensing_integration.exceptions import CredentialsRejected, TransientRemoteError
from licensing_integration.sandbox.http_server import HttpRequest, HttpServer, Reply
from licensing_integration.stores.fastspring import ADAPTER
from licensing_integration.stores.fastspring.enrich import FastSpringApi


class Store:
    """Answers ``GET /products`` with ``answer``."""

    def __init__(self) -> None:
        self.answer: Any = []
        self.status = 200
        self._server = HttpServer(application=self._receive)
        self.base_url = f"http://127.0.0.1:{self._server.start(host='127.0.0.1', port=0)}"

    def stop(self) -> None:
        self._server.stop()

    def listed(self) -> list[str]:
        assert ADAPTER.list_products is not None
        api = FastSpringApi(username="user", password="password", base_url=self.base_url)
        return [product.id for product in ADAPTER.list_products(api)]

    def _receive(self, request: HttpRequest) -> Reply:
        assert (request.method, request.path, request.query) == ("GET", "/products", "")
        return Reply(status=self.status, body=json.dumps(self.answer).encode())


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store()
    yield made
    made.stop()


@pytest.mark.parametrize(
    "answer",
    [
        ["photon-editor", "studio"],
        {"action": "product.getall", "result": "success", "products": ["photon-editor", "studio"]},
        {"products": [{"product": "photon-editor"}, {"product": "studio", "result": "success"}]},
    ],
)
def test_paths_are_read_from_every_shape_of_answer(answer: Any, store: Store) -> None:
    store.answer = answer
    assert store.listed() == ["photon-editor", "studio"]


@pytest.mark.parametrize("answer", ["no list", {"products": 5}, [None], [{"path": "studio"}]])
def test_an_unreadable_answer_is_a_sentence_and_no_crash(answer: Any, store: Store) -> None:
    store.answer = answer
    with pytest.raises(TransientRemoteError, match="FastSpring: GET /products answered without a readable list"):
        store.listed()


def test_rejected_credentials_are_told_as_such(store: Store) -> None:
    store.status = 401
    with pytest.raises(CredentialsRejected):
        store.listed()
