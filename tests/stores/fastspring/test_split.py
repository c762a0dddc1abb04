from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from licensing_integration.stores.base import Delivery, RawEvent
from licensing_integration.stores.fastspring import ADAPTER
from licensing_integration.stores.payload import Payload
from tests.stores.fastspring import samples

CREATED = 1742584397661
MOMENT = datetime(2025, 3, 21, 19, 13, 17, 661000, tzinfo=UTC)


def split(body: bytes) -> list[RawEvent]:
    return list(ADAPTER.split(Delivery(body=body, headers={})))


def split_events(*events: object) -> list[RawEvent]:
    return split(json.dumps({"events": events}).encode())


def envelope(**changes: object) -> dict[str, Any]:
    return {"id": "e1", "type": "order.completed", "created": CREATED, "live": True, "data": {}, **changes}


def raw(**changes: object) -> bytes:
    return json.dumps(envelope(**changes)).encode()


def in_list(*spans: bytes) -> bytes:
    return b'{"events":[' + b",".join(spans) + b"]}"


def malformed_id(content: bytes) -> str:
    return f"malformed:{hashlib.sha256(content).hexdigest()}"


def test_every_event_of_a_batch_is_kept_in_the_order_sent() -> None:
    first, second = split(samples.body("order.completed--batch-with-subscription.activated"))
    assert (first.external_id, first.event_type) == ("EVWH2C6PHG2IYCYUT5V2HD24B47GUC", "subscription.activated")
    assert (second.external_id, second.event_type) == ("EVWJ3GZE7ZFEGOH6TTACCJKB5XUFTS", "order.completed")
    assert first.occurred_at == MOMENT
    assert second.occurred_at == datetime(2025, 3, 21, 19, 13, 17, 636000, tzinfo=UTC)
    assert not first.problem
    assert not second.problem


@pytest.mark.parametrize("name", samples.NAMES)
def test_the_stored_body_is_the_event_unchanged(name: str) -> None:
    sent = json.loads(samples.body(name))["events"]
    assert [json.loads(event.body) for event in split(samples.body(name))] == sent


def test_text_beyond_ascii_survives() -> None:
    (event,) = split(
        in_list(json.dumps(envelope(data={"totalDisplay": "28,00\u00a0€ 🎉"}), ensure_ascii=False).encode())
    )
    assert json.loads(event.body)["data"]["totalDisplay"] == "28,00\u00a0€ 🎉"


def test_an_escaped_nul_stays_escaped() -> None:
    (event,) = split_events(envelope(data={"first": "A\x00va"}))
    assert not event.problem
    assert "\x00" not in event.body
    assert Payload.from_json(event.body).require("data").text("first") == "Ava"


def test_a_repeated_event_counts_once_and_the_first_wins() -> None:
    events = split_events(envelope(data={"n": 1}), envelope(data={"n": 2}), envelope(id="e2"))
    assert [event.external_id for event in events] == ["e1", "e2"]
    assert json.loads(events[0].body)["data"] == {"n": 1}


@pytest.mark.parametrize(
    ("changes", "live"),
    [
        ({"live": True}, True),
        ({"live": False}, False),
        ({"live": "false"}, False),
        ({"live": None, "data": {"live": False}}, False),
        ({"live": True, "data": {"live": False}}, True),
        ({"live": None}, True),
        ({"live": None, "data": None}, True),
        ({"live": None, "data": [1]}, True),
    ],
)
def test_live_comes_from_the_envelope_then_the_object_then_is_assumed(changes: dict[str, Any], live: bool) -> None:
    (event,) = split_events(envelope(**changes))
    assert event.is_live is live
    assert not event.problem


def test_created_may_be_spelled_as_text() -> None:
    (event,) = split_events(envelope(created=str(CREATED)))
    assert (event.occurred_at, event.problem) == (MOMENT, "")


@pytest.mark.parametrize("created", [None, "", "yesterday", True, -1, 0, 1742584397, 10**18, 1.5, {}, []])
def test_an_event_without_a_sensible_time_is_malformed_but_keeps_its_id(created: object) -> None:
    (event,) = split_events(envelope(created=created))
    assert (event.external_id, event.event_type, event.occurred_at) == ("e1", "order.completed", None)
    assert event.problem.startswith("created: ")


def test_an_unreadable_live_flag_is_a_problem() -> None:
    (event,) = split_events(envelope(live="perhaps"))
    assert (event.external_id, event.problem) == ("e1", "live: neither true nor false")


# What cannot be read


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b"7",
        b"{}",
        b'"events"',
        b'{"events":null}',
        b'{"events":{}}',
        b'{"data":{"events":[{"id":"e1"}]}}',
        b'[{"events":[{"id":"e1"}]}',
        b'{"not":["events":',
        b"\xff\xfe\x00\x01",
        b'{"events"',
        b"[" * 10_000,
    ],
)
def test_a_body_of_the_wrong_shape_is_kept_as_one_malformed_event(body: bytes) -> None:
    (event,) = split(body)
    assert event.external_id == malformed_id(body)
    assert event.problem
    assert event.occurred_at is None


def test_a_delivery_without_events_leaves_a_trace() -> None:
    (event,) = split(b'{"events":[]}')
    assert event.external_id == malformed_id(b'{"events":[]}')
    assert event.problem == "The delivery holds no events."
    assert event.body == '{"events":[]}'


def test_bytes_that_are_no_text_are_kept_escaped() -> None:
    (event,) = split(b"\x00\xff{")
    assert event.body == r"\x00\xff{"


@pytest.mark.parametrize("stray", [None, 7, "text", [], {}, {"id": "e9"}, {"type": "order.completed"}])
def test_a_stray_element_does_not_block_its_neighbours(stray: object) -> None:
    first, odd, last = split_events(envelope(), stray, envelope(id="e2"))
    assert (first.problem, last.problem) == ("", "")
    assert odd.external_id == malformed_id(json.dumps(stray, separators=(",", ":")).encode())
    assert odd.problem


@pytest.mark.parametrize("key", ["id", "type"])
@pytest.mark.parametrize("value", [None, "", "  ", "\x00", "x" * 201, True, [], {}])
def test_an_event_needs_an_id_and_a_type_that_can_be_stored(key: str, value: object) -> None:
    (event,) = split_events(envelope(**{key: value}))
    assert event.external_id.startswith("malformed:")
    assert event.problem.startswith(f"{key}: ")


def test_a_malformed_event_says_its_type_where_it_can() -> None:
    (event,) = split_events(envelope(id=None))
    assert event.event_type == "order.completed"


# One broken element


@pytest.mark.parametrize(
    "broken",
    [
        b'{"id": }',
        b'{"id":"e9","type":"order.completed","created":NaN}',
        b'{"id":"e9","amount":1e999}',
        b"nonsense",
        b'{"id":"e9","list":[1,,2]}',
        b'{"id":"e9","text":"a\nb"}',
        b'{"id":"e9","deep":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    ],
)
def test_one_broken_event_never_blocks_the_others(broken: bytes) -> None:
    first, odd, last = split(in_list(raw(data={"s": 'a "quoted" ] } , [ { \\'}), broken, raw(id="e2")))
    assert (first.external_id, first.problem) == ("e1", "")
    assert json.loads(first.body)["data"]["s"] == 'a "quoted" ] } , [ { \\'
    assert (last.external_id, last.problem) == ("e2", "")
    assert odd.external_id == malformed_id(broken)
    assert odd.body == broken.decode()
    assert odd.problem


def test_an_event_nested_deeper_than_we_can_write_is_still_read() -> None:
    deep = raw()[:-1] + b',"deep":' + b"[" * 500 + b"]" * 500 + b"}"
    (event,) = split(in_list(deep))
    assert (event.external_id, event.problem) == ("e1", "")
    assert event.body == deep.decode()


@pytest.mark.parametrize(
    ("name", "read"),
    [
        (b'"A\\ud83d"', "A�"),
        (b'"\\uDE00va"', "�va"),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"\\\\ud83d \\ud83d!"', "\\ud83d �!"),
        (b'"A\xffva"', "A�va"),
    ],
)
def test_half_a_character_in_a_name_costs_nobody_the_license(name: bytes, read: str) -> None:
    damaged = b'{"id":"e1","type":"order.completed","created":1742584397661,"data":{"first":' + name + b"}}"
    event, other = split(in_list(damaged, raw(id="e2")))
    assert (event.external_id, event.problem) == ("e1", "")
    assert json.loads(event.body)["data"]["first"] == read
    assert other.external_id == "e2"


@pytest.mark.parametrize(
    "frame",
    [
        b'{"note":"\\"events\\":[1]","other":{"events":[7]},"events":[%s],"last":NaN}',
        b'\xef\xbb\xbf{"events":[%s]}',
        b'{ "events" :\n[ %s , ]}',
        b'{"events":[%s]}trailing',
        b'{"events":[%s',
    ],
)
def test_the_events_are_found_in_an_unreadable_frame(frame: bytes) -> None:
    (event,) = split(frame.replace(b"%s", raw()))
    assert (event.external_id, event.problem) == ("e1", "")


# Speed


def test_hostile_bodies_take_linear_time() -> None:
    for body in (b'{"events":["' + b'\\"' * 200_000, b'{"events":[' + b"[" * 200_000, b'{"events":[' + b'"' * 200_001):
        started = time.perf_counter()
        assert split(body)
        assert time.perf_counter() - started < 2


def test_an_ordinary_delivery_takes_a_fraction_of_a_millisecond() -> None:
    body = in_list(raw(data=samples.event("order.completed--subscription-qty5")["data"]))
    times = []
    for _ in range(50):
        started = time.perf_counter()
        split(body)
        times.append(time.perf_counter() - started)
    assert len(body) > 10_000
    assert min(times) < 0.001
