from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from licensing_integration.stores.base import Delivery, RawEvent
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.stripe import ADAPTER
from licensing_integration.stores.stripe.split import read_event
from tests.stores.stripe import samples

CREATED = 1791201608
MOMENT = datetime(2026, 10, 5, 12, 0, 8, tzinfo=UTC)
THIN = {
    "id": "evt_thin",
    "object": "v2.core.event",
    "type": "v1.invoice.paid",
    "created": "2026-10-05T12:00:08.250Z",
    "livemode": True,
    "related_object": {"id": "in_1", "type": "invoice", "url": "/v1/invoices/in_1"},
}


def split(body: bytes) -> RawEvent:
    (event,) = ADAPTER.split(Delivery(body=body, headers={}))
    return event


def envelope(**changes: object) -> dict[str, Any]:
    known = {"id": "evt_1", "object": "event", "type": "invoice.paid", "created": CREATED, "livemode": True, "data": {}}
    return {**known, **changes}


def raw(**changes: object) -> bytes:
    return json.dumps(envelope(**changes)).encode()


def malformed_id(content: bytes) -> str:
    return f"malformed:{hashlib.sha256(content).hexdigest()}"


@pytest.mark.parametrize("name", samples.NAMES)
def test_the_stored_body_is_the_event_to_the_letter(name: str) -> None:
    event = split(samples.body(name))
    assert event.body == samples.body(name).decode().strip()
    assert event.event_type == name.partition("--")[0]
    assert event.external_id.startswith("evt_")
    assert not event.is_live
    assert not event.problem


def test_the_head_of_an_event() -> None:
    event = split(raw())
    assert (event.external_id, event.event_type, event.occurred_at) == ("evt_1", "invoice.paid", MOMENT)
    assert event.is_live


@pytest.mark.parametrize(("livemode", "is_live"), [(True, True), (False, False), (None, True), ("false", False)])
def test_live_mode(livemode: object, is_live: bool) -> None:
    event = split(raw(livemode=livemode))
    assert (event.is_live, event.problem) == (is_live, "")


def test_an_unreadable_live_flag_is_a_problem() -> None:
    event = split(raw(livemode="perhaps"))
    assert (event.external_id, event.problem) == ("evt_1", "livemode: neither true nor false")


@pytest.mark.parametrize("created", [None, "", "yesterday", "Tomorrow", "2026-10-05T12:00", True, -1, 0, 1e30, {}, []])
def test_an_event_without_a_sensible_time_is_malformed_but_keeps_its_id(created: object) -> None:
    event = split(raw(created=created))
    assert (event.external_id, event.event_type, event.occurred_at) == ("evt_1", "invoice.paid", None)
    assert event.problem.startswith("created: ")


def test_a_thin_event_is_kept_under_its_type_which_nobody_handles() -> None:
    event = split(json.dumps(THIN).encode())
    assert (event.external_id, event.event_type, event.occurred_at) == ("evt_thin", "v1.invoice.paid", MOMENT)
    assert not event.problem
    assert event.event_type not in {*ADAPTER.translators, *ADAPTER.ignored}


@pytest.mark.parametrize("name", ["Zoë 🎉", "A\x00va"])
def test_text_survives_and_an_escaped_nul_stays_escaped(name: str) -> None:
    event = split(raw(data={"name": name}))
    assert "\x00" not in event.body
    assert not event.problem
    assert Payload.from_json(event.body).require("data").text("name") == name.replace("\x00", "")


@pytest.mark.parametrize(
    ("name", "read"),
    [
        (b'"A\\ud83d"', "A�"),
        (b'"\\uDE00va"', "�va"),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"A\xffva"', "A�va"),
    ],
)
def test_half_a_character_in_a_name_costs_nobody_the_license(name: bytes, read: str) -> None:
    event = split(raw()[:-1] + b',"name":' + name + b"}")
    assert (event.external_id, event.problem) == ("evt_1", "")
    assert json.loads(event.body)["name"] == read


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[]", b"null", b"7", b"{}", b'"x"', b"\xff\xfe\x00", b"[" * 10_000]
)
def test_a_body_that_is_no_event_is_kept_as_malformed(body: bytes) -> None:
    event = split(body)
    assert event.external_id == malformed_id(body)
    assert event.problem
    assert event.occurred_at is None


def test_bytes_that_are_no_text_are_kept_escaped() -> None:
    assert split(b"\x00\xff{").body == r"\x00\xff{"


@pytest.mark.parametrize("key", ["id", "type"])
@pytest.mark.parametrize("value", [None, "", "  ", "\x00", "x" * 201, True, [], {}])
def test_an_event_needs_an_id_and_a_type_that_can_be_stored(key: str, value: object) -> None:
    event = split(raw(**{key: value}))
    assert event.external_id.startswith("malformed:")
    assert event.problem.startswith(f"{key}: ")


def test_an_event_without_an_id_still_says_its_type() -> None:
    """As some test tools send it: only type and data."""
    event = split(b'{"type":"checkout.session.completed","data":{"object":{}}}')
    assert (event.event_type, event.problem) == ("checkout.session.completed", "id: missing")


def test_a_listed_event_is_read_like_a_delivered_one() -> None:
    delivered = split(raw(data={"name": "Zoë"}))
    listed = read_event(envelope(data={"name": "Zoë"}))
    assert json.loads(listed.body) == json.loads(delivered.body)
    assert (listed.external_id, listed.occurred_at) == (delivered.external_id, delivered.occurred_at)
