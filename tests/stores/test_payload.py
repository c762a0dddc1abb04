from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing_integration.exceptions import MalformedPayload
from licensing_integration.stores.payload import Payload

ORDER = Payload(
    {"data": {"items": [{"quantity": 1}, {"quantity": 2}, {"quantity": "many"}], "reference": None, "name": "A\x00va"}}
)


def read(value: object) -> Payload:
    return Payload({"key": value})


def test_an_error_names_the_path_and_never_the_value() -> None:
    item = ORDER.require("data").items("items")[2]
    with pytest.raises(MalformedPayload) as error:
        item.integer("quantity")
    assert error.value.path == "data.items[2].quantity"
    assert str(error.value) == "data.items[2].quantity: not a whole number"


def test_a_missing_field_is_an_error_unless_there_is_a_default() -> None:
    data = ORDER.require("data")
    with pytest.raises(MalformedPayload, match=r"data\.total: missing"):
        data.number("total")
    assert data.number("total", default=None) is None
    assert data.text("total", default="") == ""


def test_null_is_the_same_as_missing() -> None:
    data = ORDER.require("data")
    with pytest.raises(MalformedPayload, match=r"data\.reference: missing"):
        data.text("reference")
    assert data.text("reference", default="") == ""
    assert data.get("reference") is None
    assert not data.has("reference")
    assert "reference" not in data.mapping


def test_an_unreadable_field_is_an_error_even_with_a_default() -> None:
    with pytest.raises(MalformedPayload, match="key: not text"):
        read({}).text("key", default="")


def test_its_representation_shows_no_data() -> None:
    assert repr(ORDER.require("data")) == "Payload('data')"
    assert repr(ORDER) == "Payload('event')"


def test_nul_characters_are_dropped_from_text_names_and_paths() -> None:
    assert ORDER.require("data").text("name") == "Ava"
    assert read({"a\x00": "b\x00"}).strings("key") == {"a": "b"}
    with pytest.raises(MalformedPayload) as error:
        Payload({"a\x00": 1}).items("a\x00")
    assert str(error.value) == "a: not a list"


@pytest.mark.parametrize(("value", "text"), [("", ""), (" x ", " x "), (7, "7"), (1.5, "1.5")])
def test_text(value: object, text: str) -> None:
    assert read(value).text("key") == text


@pytest.mark.parametrize("value", [True, False, {}, []])
def test_not_text(value: object) -> None:
    with pytest.raises(MalformedPayload, match="key: not text"):
        read(value).text("key")


@pytest.mark.parametrize(
    ("value", "number"), [(3, 3), ("3", 3), ("3.0", 3), (3.0, 3), (" 3 ", 3), ("-2", -2), ("+2", 2), (0, 0), ("007", 7)]
)
def test_whole_numbers(value: object, number: int) -> None:
    assert read(value).integer("key") == number


@pytest.mark.parametrize(
    "value", [True, "", "3.5", 3.5, "3e2", "0x3", "٣", float("nan"), float("inf"), {}, [3], "1" * 5000, "3 4"]
)
def test_not_whole_numbers(value: object) -> None:
    with pytest.raises(MalformedPayload, match="key: not a whole number"):
        read(value).integer("key")


@pytest.mark.parametrize("value", [2**31, -(2**31), 10**30, 1e30, "99999999999"])
def test_whole_numbers_fit_the_database(value: object) -> None:
    with pytest.raises(MalformedPayload, match="key: out of range"):
        read(value).integer("key")


def test_whole_numbers_may_have_a_minimum() -> None:
    assert read(0).integer("key", minimum=0) == 0
    with pytest.raises(MalformedPayload, match="key: out of range"):
        read(-1).integer("key", minimum=0)


@pytest.mark.parametrize(("value", "number"), [(79, 79.0), (79.5, 79.5), ("79.0", 79.0), ("-1e2", -100.0)])
def test_numbers(value: object, number: float) -> None:
    assert read(value).number("key") == number


@pytest.mark.parametrize("value", [True, "", "79,00", "nan", "inf", float("nan"), float("-inf"), 10**400, {}, []])
def test_not_numbers(value: object) -> None:
    with pytest.raises(MalformedPayload, match="key: not a number"):
        read(value).number("key")


@pytest.mark.parametrize("value", [True, "true", "True", "TRUE", " yes ", "1", 1, "on"])
def test_true(value: object) -> None:
    assert read(value).boolean("key") is True


@pytest.mark.parametrize("value", [False, "false", "False", "no", "0", 0, "off"])
def test_false(value: object) -> None:
    assert read(value).boolean("key") is False


@pytest.mark.parametrize("value", ["", "perhaps", 2, -1, 0.0, 1.0, {}, []])
def test_neither_true_nor_false(value: object) -> None:
    with pytest.raises(MalformedPayload, match="key: neither true nor false"):
        read(value).boolean("key")


@pytest.mark.parametrize("value", [1738052653763, "1738052653763", 1738052653763.0, "1738052653763.0"])
def test_times_are_aware_and_exact(value: object) -> None:
    assert read(value).epoch_ms("key") == datetime(2025, 1, 28, 8, 24, 13, 763000, tzinfo=UTC)


def test_the_last_time_there_is() -> None:
    assert read(221_845_392_000_000).epoch_ms("key").year == 9000


@pytest.mark.parametrize("value", [0, -1, 1738052653, 221_845_392_000_001, 10**30, 1e300])
def test_times_out_of_reach(value: object) -> None:
    with pytest.raises(MalformedPayload, match="key: not a time in milliseconds"):
        read(value).epoch_ms("key")


@pytest.mark.parametrize("value", ["2025-01-28", True, float("nan"), float("inf"), {}, 1.5])
def test_not_times(value: object) -> None:
    with pytest.raises(MalformedPayload, match="key: not a whole number"):
        read(value).epoch_ms("key")


def test_identifiers_take_the_first_name_that_is_there() -> None:
    assert Payload({"id": None, "order": " o1 "}).identifier("id", "order") == "o1"
    with pytest.raises(MalformedPayload, match="id: missing"):
        Payload({}).identifier("id", "order")


@pytest.mark.parametrize("value", ["", "  ", "\x00", "x" * 201])
def test_identifiers_are_never_blank_nor_endless(value: str) -> None:
    with pytest.raises(MalformedPayload, match="key: an"):
        read(value).identifier("key")


def test_strings_keep_odd_values_as_json_and_drop_nulls() -> None:
    value = {"text": "5", "true": True, "number": 5, "list": [1, "a"], "nothing": None}
    assert read(value).strings("key") == {"text": "5", "true": "true", "number": "5", "list": '[1,"a"]'}
    assert Payload({}).strings("key") == {}


def test_lists() -> None:
    assert [item.path for item in ORDER.require("data").items("items")] == [
        "data.items[0]",
        "data.items[1]",
        "data.items[2]",
    ]
    assert Payload({}).items("key") == ()
    with pytest.raises(MalformedPayload, match="key: not a list"):
        read("text").items("key")


@pytest.mark.parametrize("value", [None, "text", 7, []])
def test_only_objects_have_keys(value: object) -> None:
    with pytest.raises(MalformedPayload, match="event: not an object"):
        Payload(value).get("key")


def test_fetched_objects_are_found_from_anywhere_inside() -> None:
    event = Payload({"data": {"account": "a1"}}, fetched={"accounts": {"a1": {"country": 7}}})
    account = event.require("data").fetched("accounts", "a1")
    assert account is not None
    assert account.text("country") == "7"
    with pytest.raises(MalformedPayload, match=r"fetched\.accounts\[a1\]\.email: missing"):
        account.text("email")
    assert event.fetched("accounts", "a2") is None
    assert event.fetched("orders", "a1") is None
    assert Payload({}, fetched={"accounts": "odd"}).fetched("accounts", "a1") is None


def test_from_json() -> None:
    assert Payload.from_json('{"id":"e1"}').text("id") == "e1"
    with pytest.raises(MalformedPayload, match="event: not JSON"):
        Payload.from_json("{")


@given(value=st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()))
@pytest.mark.parametrize(
    "method", [Payload.text, Payload.integer, Payload.number, Payload.boolean, Payload.epoch_ms, Payload.identifier]
)
def test_readers_return_or_say_where(method: Callable[..., object], value: object) -> None:
    with suppress(MalformedPayload):
        method(read(value), "key")


def test_an_amount_may_be_larger_than_an_integer_column_takes() -> None:
    payload = Payload({"amount": 5_000_000_000, "odd": 1.5})
    assert payload.amount("amount") == 5_000_000_000
    assert payload.amount("tip", default=None) is None
    with pytest.raises(MalformedPayload, match="amount: out of range"):
        payload.integer("amount")
    with pytest.raises(MalformedPayload, match="odd: not a whole number"):
        payload.amount("odd")
