"""The Cryptlex client: paths, paging, and what it refuses to send."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from licensing_integration.exceptions import TransientRemoteError
from licensing_integration.license_servers.cryptlex.client import CryptlexClient
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.http_server import HttpServer, Reply
from tests.license_servers.cryptlex.openapi_contract import assert_valid_request

TOKEN = "sandbox-token"


@pytest.fixture
def box() -> Iterator[CryptlexSandbox]:
    """Every request of a test is checked against the OpenAPI description when the test is over."""
    with CryptlexSandbox(access_token=TOKEN) as box:
        yield box
    for request in box.requests:
        assert_valid_request(request.method, request.path, request.raw_query, request.body)


@pytest.fixture
def client(box: CryptlexSandbox) -> Iterator[CryptlexClient]:
    client = CryptlexClient("main", base_url=box.base_url, access_token=TOKEN)
    yield client
    client.close()


@pytest.mark.parametrize(
    "search",
    [
        lambda client: client.licenses_with_metadata("", value="x"),
        lambda client: client.licenses_with_metadata("x", value=""),
        lambda client: client.licenses_with_metadata("x", value=" "),
        lambda client: client.licenses_with_metadata("x", value="y", product_id=""),
        lambda client: client.users_with_email(""),
        lambda client: client.get_license(""),
        lambda client: client.update_license("", body={"suspended": True}),
        lambda client: client.update_license("x", body={}),
        lambda client: client.set_expires_at("", expires_at=None),
        lambda client: client.renew_license(""),
        lambda client: client.delete_license(""),
    ],
)
def test_a_missing_id_makes_no_call(
    box: CryptlexSandbox, client: CryptlexClient, search: Callable[[CryptlexClient], object]
) -> None:
    with pytest.raises(ValueError, match="without"):
        search(client)
    assert box.requests == []


def test_filters_are_written_with_brackets_and_every_list_with_page_and_limit(
    box: CryptlexSandbox, client: CryptlexClient
) -> None:
    client.licenses_with_metadata("key", value="value", product_id="product")
    client.users_with_email("ada@example.com")
    client.list_products()
    client.list_templates()
    paging = {"page": "1", "limit": "100"}
    assert [request.query for request in box.requests] == [
        {"metadata.key[eq]": "key", "metadata.value[eq]": "value", "productId[eq]": "product", **paging},
        {"email[eq]": "ada@example.com", **paging},
        paging,
        paging,
    ]


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (99, 1), (100, 2), (101, 2), (200, 3), (250, 3)])
def test_every_page_is_read(count: int, pages: int) -> None:
    with CryptlexSandbox(access_token=TOKEN, templates=[{"name": f"T{n}"} for n in range(count)]) as box:
        client = CryptlexClient("main", base_url=box.base_url, access_token=TOKEN)
        names = [entry["name"] for entry in client.list_templates()]
        client.close()
    assert names == [f"T{n}" for n in range(count)]
    assert len(box.requests) == pages


@pytest.fixture
def answering() -> Iterator[Callable[[Callable[[str], bytes]], CryptlexClient]]:
    """A client of a server that answers every query with what the function makes of it."""
    stops: list[Callable[[], None]] = []

    def answering(answer: Callable[[str], bytes]) -> CryptlexClient:
        server = HttpServer(application=lambda request: Reply(status=200, body=answer(request.query)))
        client = CryptlexClient(
            "main", base_url=f"http://127.0.0.1:{server.start(host='127.0.0.1', port=0)}", access_token=TOKEN
        )
        stops.extend([client.close, server.stop])
        return client

    yield answering
    for stop in stops:
        stop()


def entries(ids: range) -> bytes:
    return json.dumps([{"id": str(number)} for number in ids]).encode()


def test_an_entry_that_slips_to_the_next_page_counts_once(
    answering: Callable[[Callable[[str], bytes]], CryptlexClient],
) -> None:
    pages = {"page=1": range(100), "page=2": range(99, 150)}
    client = answering(lambda query: entries(pages[query.split("&")[0]]))
    assert [entry["id"] for entry in client.list_products()] == [str(number) for number in range(150)]


def test_a_server_that_ignores_the_page_does_not_hold_us_forever(
    answering: Callable[[Callable[[str], bytes]], CryptlexClient],
) -> None:
    client = answering(lambda query: entries(range(100)))
    assert len(client.list_products()) == 100


@pytest.mark.parametrize("body", [b"{}", b"null", b'{"id": 7}', b'[{"id": "x"}]', b'{"status": "maintenance"}'])
def test_an_answer_that_is_no_license_may_have_succeeded(
    answering: Callable[[Callable[[str], bytes]], CryptlexClient], body: bytes
) -> None:
    client = answering(lambda query: body)
    with pytest.raises(TransientRemoteError, match="POST /v3/licenses") as failure:
        client.create_license({"productId": "x"})
    assert failure.value.may_have_succeeded


@pytest.mark.parametrize("body", [b"{}", b"[1]", b'[{"name": "without id"}]'])
def test_a_list_that_is_none_is_not_taken_for_an_empty_one(
    answering: Callable[[Callable[[str], bytes]], CryptlexClient], body: bytes
) -> None:
    client = answering(lambda query: body)
    with pytest.raises(TransientRemoteError):
        client.users_with_email("ada@example.com")


def test_the_budget_is_asked_for_every_page(box: CryptlexSandbox) -> None:
    asked: list[Any] = []
    client = CryptlexClient(
        "main", base_url=box.base_url, access_token=TOKEN, before_request=lambda: asked.append(None)
    )
    client.list_products()
    client.get_profile()
    client.close()
    assert len(asked) == len(box.requests) == 2
