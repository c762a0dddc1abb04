"""Catching up with FastSpring, against a list of events as its API gives it: 25 at most, and no next page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest

from licensing_integration.exceptions import CredentialsRejected, PermanentRemoteError, TransientRemoteError
from licensing_integration.sandbox.http_server import HttpRequest, HttpServer, Reply
from licensing_integration.stores.base import Delivery, RawEvent
from licensing_integration.stores.fastspring import ADAPTER
from licensing_integration.stores.fastspring.enrich import FastSpringApi
from tests.stores.fastspring.samples import event

MOMENT = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
HOUR = timedelta(hours=1)


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


@dataclass(kw_only=True)
class Store:
    """``events``: what FastSpring still has. ``answer`` overrules what it says; ``first_day`` is what it refuses."""

    url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    requests: list[HttpRequest] = field(default_factory=list)
    answer: Reply | None = None
    keeps_to_the_window: bool = True
    says_more: bool = True
    listed_at_once: int = 25

    def add(self, number: int, *, at: datetime, apart: timedelta = timedelta()) -> list[str]:
        first = len(self.events)
        for index in range(number):
            created = milliseconds(at + index * apart)
            name = f"e{first + index}"
            self.events.append({**event("subscription.deactivated"), "id": name, "event": name, "created": created})
        return [value["id"] for value in self.events[first:]]

    def catch_up(self, since: datetime = MOMENT) -> list[list[RawEvent]]:
        assert ADAPTER.catch_up is not None
        api = FastSpringApi(username="user", password="password", base_url=self.url)
        return [list(page) for page in ADAPTER.catch_up(api, since)]

    def receive(self, request: HttpRequest) -> Reply:
        self.requests.append(request)
        assert (request.method, request.path) == ("GET", "/events/unprocessed")
        query = dict(parse_qsl(request.query, strict_parsing=True))
        assert set(query) == {"begin", "end"}
        self.queries.append(query)
        return self.answer or Reply(
            status=200, body=json.dumps(self.list(int(query["begin"]), int(query["end"]))).encode()
        )

    def list(self, begin: int, end: int) -> dict[str, Any]:
        assert begin < end
        found = [e for e in self.events if not self.keeps_to_the_window or begin <= e["created"] < end]
        more = {"more": True} if len(found) > self.listed_at_once and self.says_more else {}
        # Newest first: the reference promises no order.
        return {
            "action": "events.get",
            "result": "success",
            "total": len(found),
            "events": found[::-1][: self.listed_at_once],
            **more,
        }


@pytest.fixture
def store() -> Iterator[Store]:
    state = Store()
    server = HttpServer(application=state.receive)
    state.url = f"http://127.0.0.1:{server.start(host='127.0.0.1', port=0)}"
    yield state
    server.stop()


def names(pages: list[list[RawEvent]]) -> list[str]:
    return [entry.external_id for page in pages for entry in page]


def test_an_undelivered_event_reads_like_a_delivered_one(store: Store) -> None:
    delivered = {**event("order.completed--one-time-qty1"), "created": milliseconds(MOMENT + HOUR)}
    store.events = [{**delivered, "event": delivered["id"]}]
    ((fetched,),) = store.catch_up()
    (split,) = ADAPTER.split(Delivery(body=json.dumps({"events": store.events}).encode(), headers={}))
    assert json.loads(fetched.body) == json.loads(split.body)
    assert fetched.occurred_at == MOMENT + HOUR
    assert (fetched.external_id, fetched.event_type, fetched.is_live, fetched.problem) == (
        split.external_id,
        split.event_type,
        split.is_live,
        "",
    )


def test_nothing_undelivered_is_no_page_and_one_call(store: Store) -> None:
    assert store.catch_up() == []
    assert len(store.queries) == 1


def test_the_window_goes_from_the_time_asked_for_until_now(store: Store) -> None:
    before = milliseconds(datetime.now(UTC))
    store.catch_up()
    (query,) = store.queries
    assert int(query["begin"]) == milliseconds(MOMENT)
    assert before <= int(query["end"]) <= milliseconds(datetime.now(UTC))


def test_a_time_that_fastspring_would_refuse_is_not_asked_for(store: Store) -> None:
    store.catch_up(datetime(2020, 1, 1, tzinfo=UTC))
    age = datetime.now(UTC) - timedelta(days=30) - datetime.fromtimestamp(int(store.queries[0]["begin"]) / 1000, UTC)
    assert timedelta(hours=-2) < age < timedelta()


@pytest.mark.parametrize("says_more", [True, False])
def test_more_events_than_are_listed_at_once_are_all_fetched_oldest_first(store: Store, says_more: bool) -> None:
    store.says_more = says_more
    expected = store.add(140, at=MOMENT + HOUR, apart=timedelta(minutes=7))
    pages = store.catch_up()
    assert list(dict.fromkeys(names(pages))) == expected
    assert all(page and len(page) <= 25 for page in pages)
    assert len(store.queries) < 40


def test_what_is_said_to_be_more_is_fetched_however_few_are_listed(store: Store) -> None:
    store.listed_at_once = 10
    expected = store.add(30, at=MOMENT + HOUR, apart=timedelta(hours=1))
    assert names(store.catch_up()) == expected


def test_no_id_comes_twice_in_a_page(store: Store) -> None:
    store.add(1, at=MOMENT + HOUR)
    store.events *= 2
    assert names(store.catch_up()) == ["e0"]


def test_an_event_on_the_border_of_two_windows_is_not_lost(store: Store) -> None:
    store.add(60, at=MOMENT + HOUR, apart=timedelta(milliseconds=1))
    assert set(names(store.catch_up())) == {f"e{number}" for number in range(60)}


def test_more_events_of_one_moment_than_are_listed_do_not_hold_the_others_up(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.add(30, at=MOMENT + HOUR)
    late = store.add(1, at=MOMENT + 2 * HOUR)
    found = names(store.catch_up())
    assert found[-1:] == late
    assert len(set(found)) == 26
    assert "more undelivered events of one moment" in caplog.text


def test_a_list_that_does_not_keep_to_the_window_ends_the_search(store: Store) -> None:
    store.keeps_to_the_window = False
    store.add(40, at=MOMENT - 24 * HOUR)
    assert len(set(names(store.catch_up()))) == 25
    assert len(store.queries) == 1


def test_an_unreadable_event_is_kept_with_its_problem(store: Store) -> None:
    store.add(1, at=MOMENT + HOUR)
    store.events.append({"created": milliseconds(MOMENT + HOUR), "type": "order.completed"})
    good, bad = sorted(store.catch_up()[0], key=lambda entry: entry.external_id)
    assert (good.external_id, good.problem) == ("e0", "")
    assert bad.external_id.startswith("malformed:")
    assert bad.problem


def test_what_the_database_refuses_is_taken_out(store: Store) -> None:
    store.add(1, at=MOMENT + HOUR)
    store.events[0]["data"] = {"first": "A\x00\ud83d", "number": 2**70}
    ((fetched,),) = store.catch_up()
    assert json.loads(fetched.body)["data"] == {"first": "A?", "number": 2**70}


def test_nothing_is_ever_marked_as_processed(store: Store) -> None:
    store.add(30, at=MOMENT + HOUR, apart=timedelta(minutes=1))
    store.catch_up()
    assert {request.method for request in store.requests} == {"GET"}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Reply(status=404), TransientRemoteError),
        (Reply(status=401), CredentialsRejected),
        (Reply(status=200, body=b'{"result": "error", "error": {"begin": "Begin required."}}'), PermanentRemoteError),
        (Reply(status=200, body=b"[]"), TransientRemoteError),
        (Reply(status=200, body=b'{"events": 7}'), TransientRemoteError),
    ],
)
def test_refusals_and_odd_answers_are_errors_of_the_store(store: Store, answer: Reply, error: type[Exception]) -> None:
    store.answer = answer
    with pytest.raises(error):
        store.catch_up()
