"""The LicenseSpring client: paging, what it refuses to send, and answers that are none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs

import pytest

from licensing_integration.exceptions import TransientRemoteError
from licensing_integration.license_servers.licensespring.client import LicenseSpringClient
from licensing_integration.sandbox.http_server import HttpRequest, HttpServer, Reply

Answering = Callable[[Callable[[HttpRequest], object]], LicenseSpringClient]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """A client of a server that answers every request with what the function makes of it."""
    stops: list[Callable[[], None]] = []

    def answering(answer: Callable[[HttpRequest], object]) -> LicenseSpringClient:
        def reply(request: HttpRequest) -> Reply:
            return Reply(status=200, body=json.dumps(answer(request)).encode())

        server = HttpServer(application=reply)
        port = server.start(host="127.0.0.1", port=0)
        client = LicenseSpringClient("main", base_url=f"http://127.0.0.1:{port}", access_token="key")
        stops.extend([client.close, server.stop])
        return client

    yield answering
    for stop in stops:
        stop()


def offset_of(request: HttpRequest) -> int:
    return int(parse_qs(request.query)["offset"][0])


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.orders_starting_with(""),
        lambda client: client.licenses_of_orders_starting_with(" "),
        lambda client: client.licenses_of_subscription(""),
        lambda client: client.custom_fields_of(""),
        lambda client: client.find_product(""),
        lambda client: client.get_license(""),
        lambda client: client.update_license("", body={"note": ""}),
        lambda client: client.update_license("1", body={}),
        lambda client: client.enable_license(""),
        lambda client: client.disable_license(""),
        lambda client: client.replace_features("", features=[]),
        lambda client: client.assign_user("", body={}),
        lambda client: client.create_order({"append": False}),
        lambda client: client.create_order({"id": "li-1"}),
        lambda client: client.create_order({"id": "li-1", "append": True}),
    ],
)
def test_what_could_mean_something_else_makes_no_call(
    answering: Answering, call: Callable[[LicenseSpringClient], object]
) -> None:
    requests: list[HttpRequest] = []
    client = answering(requests.append)
    with pytest.raises(ValueError, match="without"):
        call(client)
    assert requests == []


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (7, 1), (8, 2), (15, 3)])
def test_every_page_is_read_however_few_entries_a_page_has(answering: Answering, count: int, pages: int) -> None:
    asked: list[int] = []

    def page(request: HttpRequest) -> object:
        asked.append(offset_of(request))
        entries = [{"id": number + 1} for number in range(count)]
        return {"count": count, "results": entries[asked[-1] : asked[-1] + 7]}

    assert [entry["id"] for entry in answering(page).list_products()] == list(range(1, count + 1))
    assert len(asked) == pages


def test_an_entry_that_slips_to_the_next_page_counts_once(answering: Answering) -> None:
    pages = {0: range(1, 101), 100: range(100, 150)}
    client = answering(
        lambda request: {"count": 149, "results": [{"id": number} for number in pages[offset_of(request)]]}
    )
    assert [entry["id"] for entry in client.list_products()] == list(range(1, 150))


def test_a_server_that_ignores_the_offset_does_not_hold_us_forever(answering: Answering) -> None:
    asked: list[int] = []

    def page(request: HttpRequest) -> object:
        asked.append(offset_of(request))
        return {"count": 10_000, "results": [{"id": 1}, {"id": 2}]}

    with pytest.raises(TransientRemoteError, match="not show everything"):
        answering(page).list_products()
    assert asked == [0, 2]


@pytest.mark.parametrize("last", [[], [{"id": 100, "order_store_id": "li-1"}]])
def test_a_look_that_misses_something_is_no_answer(answering: Answering, last: list[object]) -> None:
    first = [{"id": number, "order_store_id": "li-1"} for number in range(1, 101)]
    client = answering(lambda request: {"count": 101, "results": last if offset_of(request) else first})
    with pytest.raises(TransientRemoteError, match="not show everything"):
        client.licenses_of_orders_starting_with("li-1")


@pytest.mark.parametrize(
    "answer", [[], {}, {"results": []}, {"count": "1", "results": []}, {"count": 1, "results": [{}]}, "maintenance"]
)
def test_an_answer_that_is_no_page_is_tried_again(answering: Answering, answer: object) -> None:
    client = answering(lambda request: answer)
    with pytest.raises(TransientRemoteError, match="GET /api/v1/products/"):
        client.list_products()


@pytest.mark.parametrize("answer", [[], {}, None, {"id": "1"}, {"id": True}, {"detail": "Licenses updated."}])
def test_an_answer_that_is_no_order_may_have_succeeded(answering: Answering, answer: object) -> None:
    client = answering(lambda request: answer)
    with pytest.raises(TransientRemoteError, match="create_order") as failure:
        client.create_order({"id": "li-1", "append": False})
    assert failure.value.may_have_succeeded


@pytest.mark.parametrize("answer", [[], [""], [7], ["A", "B"], {"key": "A"}, None])
def test_an_answer_that_is_no_key_is_tried_again(answering: Answering, answer: object) -> None:
    client = answering(lambda request: answer)
    with pytest.raises(TransientRemoteError, match="generate_license"):
        client.generate_key("app")


def test_the_password_of_a_new_user_goes_nowhere(answering: Answering) -> None:
    client = answering(lambda request: {"message": "License assigned.", "new_password": "secret-of-theirs"})
    assert client.assign_user("1", body={"email": "ada@customer.example"}) is None  # type: ignore[func-returns-value]
