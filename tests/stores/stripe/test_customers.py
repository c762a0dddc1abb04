"""Customers who change their name or address."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from licensing_integration.domain.facts import Customer, CustomerFact
from licensing_integration.exceptions import MalformedPayload, UnsupportedEvent
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.stripe.customers import translate_customer_updated
from tests.stores.stripe.samples import event

NAME = "customer.updated--email-change"


def changed(before: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    value = event(NAME)
    value["data"]["object"].update(changes)
    if before is not None:
        value["data"]["previous_attributes"] = before
    return value


def translate(value: dict[str, Any]) -> CustomerFact:
    (fact,) = translate_customer_updated(Payload(value))
    assert isinstance(fact, CustomerFact)
    return fact


def test_the_fact_is_the_customer_as_it_is_now() -> None:
    assert translate(event(NAME)) == CustomerFact(
        occurred_at=datetime.fromtimestamp(1794819600, UTC),
        is_live=False,
        note="Customer changed in Stripe: e-mail address.",
        customer=Customer(
            email="licensing@northwind.example",
            first_name="Priya",
            last_name="Natarajan",
            external_id="cus_9zoSTOdmptEFNF",
        ),
    )


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ({"name": "Old Name", "email": None}, "e-mail address and name"),
        ({"metadata": {"tier": "gold"}}, "other details"),
        ({}, "other details"),
        ({"individual_name": "Ann", "name": "Ann"}, "name"),
    ],
)
def test_the_note_says_what_changed_but_never_from_what_to_what(before: dict[str, Any], words: str) -> None:
    fact = translate(changed(before))
    assert fact.note == f"Customer changed in Stripe: {words}."


@pytest.mark.parametrize("email", [None, "", "x" * 300 + "@example.com"])
def test_a_customer_without_a_usable_address_is_told_all_the_same(email: str | None) -> None:
    fact = translate(changed(email=email))
    assert (fact.customer.email, fact.customer.external_id) == ("", "cus_9zoSTOdmptEFNF")


def test_a_customer_without_id_is_malformed() -> None:
    with pytest.raises(MalformedPayload, match=r"data\.object\.id"):
        translate(changed(id=None))


def test_a_customer_of_a_connected_account_is_not_ours() -> None:
    with pytest.raises(UnsupportedEvent):
        translate({**event(NAME), "account": "acct_1"})
