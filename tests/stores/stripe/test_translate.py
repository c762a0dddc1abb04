from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licensing_integration.exceptions import PayloadError, UnsupportedEvent
from licensing_integration.stores.base import Delivery
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.stripe import ADAPTER, is_session_id
from tests.stores.contract import JSON
from tests.stores.damage import damage
from tests.stores.stripe import expected_facts as expected
from tests.stores.stripe.samples import NAMES, body, event, translate

HANDLED = [name for name in NAMES if event(name)["type"] in ADAPTER.translators]

# Every fixture


def test_every_fixture_has_its_expected_facts() -> None:
    assert set(NAMES) == set(expected.EXPECTED)


def test_every_fixture_is_handled_or_ignored() -> None:
    ignored = {name for name in NAMES if event(name)["type"] in ADAPTER.ignored}
    assert ignored == set(expected.IGNORED)
    assert ignored | set(HANDLED) == set(NAMES)


@pytest.mark.parametrize("name", HANDLED)
def test_facts_of_a_fixture(name: str) -> None:
    (raw,) = ADAPTER.split(Delivery(body=body(name), headers={}))
    assert ADAPTER.translators[raw.event_type](Payload.from_json(raw.body)) == expected.EXPECTED[name]


@pytest.mark.parametrize("name", NAMES)
def test_sentences_are_whole_and_tell_nothing_private(name: str) -> None:
    for fact in expected.EXPECTED[name]:
        assert fact.note[0].isupper()
        assert fact.note.endswith(".")
        private = ("@", "Priya", "Natarajan", "Mia", "Tanaka", "Lena", "Fischer", "Orbit", "Project is over", "cus_")
        assert not [word for word in private if word in fact.note]


@pytest.mark.parametrize("name", HANDLED)
def test_the_payload_is_not_changed(name: str) -> None:
    value = event(name)
    before = copy.deepcopy(value)
    ADAPTER.translators[value["type"]](Payload(value))
    assert value == before


@pytest.mark.parametrize("name", HANDLED)
def test_live_mode_is_told_by_the_event(name: str) -> None:
    assert all(fact.is_live for fact in translate({**event(name), "livemode": True}))


# Ids


def test_no_two_customers_or_purchases_share_a_constant() -> None:
    """Placeholders such as ``transaction_empty`` would make one purchase of everybody's."""
    for name in HANDLED:
        for fact in expected.EXPECTED[name]:
            for key in ("order_id", "subscription_id", "purchase_id"):
                assert "empty" not in getattr(fact, key, "")
    free = translate(event("checkout.session.completed--payment-no-cost"))
    assert [getattr(fact, "transaction_id", "") for fact in free] == [None]


@pytest.mark.parametrize(
    ("reference", "is_secret"),
    [
        ("cs_test_a1D4scXp0NRFQajFnraduK4tY7ZHH1NVrVm631EWwcxyyhnNoXJ8OdH4fg", True),
        ("cs_live_" + "a" * 35, True),
        ("cs_live_" + "a" * 34, False),
        ("cs_" + "a" * 39, False),
        ("pi_3IuxklPqLk8WmTzD10sx1dkN" + "a" * 40, False),
        ("web-order-10231", False),
        ("cs_live_" + "a" * 40 + "/", False),
        ("cs_live_" + "a" * 40 + "\n", False),
        ("cs_live_" + "é" * 40, False),
        ("", False),
    ],
)
def test_a_session_id_is_a_secret_only_when_it_cannot_be_guessed(reference: str, is_secret: bool) -> None:
    assert is_session_id(reference) is is_secret


# Whose event


@pytest.mark.parametrize("name", HANDLED)
def test_an_event_of_a_connected_account_is_unsupported(name: str) -> None:
    with pytest.raises(UnsupportedEvent, match="connected account"):
        translate({**event(name), "account": "acct_1PqLk8WmTzDother"})


# Total on anything


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in entries:
        yield (*path, key)
        yield from _places(part, (*path, key))


PLACES = {name: list(_places(event(name))) for name in HANDLED}


@settings(max_examples=400, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_damaged_event_gives_facts_or_a_payload_error(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(HANDLED))
    value = event(name)
    for place in data.draw(st.lists(st.sampled_from(PLACES[name]), min_size=1, max_size=3)):
        damage(value, place, data.draw(st.just("drop") | JSON))
    try:
        facts = ADAPTER.translators[event(name)["type"]](Payload(value))
    except PayloadError:
        return
    json.dumps([str(fact) for fact in facts])


IDS = (expected.TEAM, expected.TRIED, expected.SOLO, expected.CART, expected.CART_INVOICE, expected.FIRST_INVOICE)
KINDS = ("subscriptions", "sessions", "invoice_lines", "sessions_of_invoice", "invoices_of_payment", "prices")


@settings(max_examples=100, deadline=None, derandomize=True)
@given(name=st.sampled_from(HANDLED), value=JSON)
def test_nonsense_that_was_fetched_gives_facts_or_a_payload_error(name: str, value: object) -> None:
    fetched = {kind: dict.fromkeys((*IDS, expected.PRO_PRICE, expected.LENAS_PAYMENT), value) for kind in KINDS}
    try:
        facts = translate(event(name), **fetched)
    except PayloadError:
        return
    json.dumps([str(fact) for fact in facts])
