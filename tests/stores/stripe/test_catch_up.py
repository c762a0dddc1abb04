"""Catching up with Stripe: its list of events that no endpoint took, against the REST stub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import pytest

from licensing_integration.exceptions import CredentialsRejected, TransientRemoteError
from licensing_integration.stores.base import Delivery, RawEvent
from licensing_integration.stores.stripe import ADAPTER
from licensing_integration.stores.stripe.translate import TRANSLATORS
from tests.stores.stripe.rest_stub import KEY, StripeRest
from tests.stores.stripe.samples import event

Json = dict[str, Any]

SINCE = datetime(2026, 11, 1, tzinfo=UTC)
RENEWAL = event("invoice.paid--subscription_cycle")


@pytest.fixture
def rest() -> Iterator[StripeRest]:
    stub = StripeRest()
    stub.objects["events"].clear()
    yield stub
    stub.stop()


def add(rest: StripeRest, number: int, **changes: Any) -> list[str]:
    """So many renewals, a minute apart; returns their ids, newest first."""
    begin = int(SINCE.timestamp()) + 60
    values = [{**RENEWAL, "id": f"evt_{n}", "created": begin + 60 * n, **changes} for n in range(number)]
    rest.put("events", *values)
    return [value["id"] for value in reversed(values)]


def catch_up(rest: StripeRest, *, since: datetime = SINCE) -> list[list[RawEvent]]:
    assert ADAPTER.catch_up is not None
    assert ADAPTER.build_api is not None
    api = ADAPTER.build_api(username="", password=KEY, base_url=rest.base_url)
    return [list(page) for page in ADAPTER.catch_up(api, since)]


def names(pages: list[list[RawEvent]]) -> list[str]:
    return [entry.external_id for page in pages for entry in page]


def test_an_undelivered_event_is_the_same_as_a_delivered_one(rest: StripeRest) -> None:
    add(rest, 1)
    ((fetched,),) = catch_up(rest)
    (delivered,) = ADAPTER.split(Delivery(body=json.dumps(rest.objects["events"]["evt_0"]).encode(), headers={}))
    assert json.loads(fetched.body) == json.loads(delivered.body)
    assert (fetched.external_id, fetched.event_type, fetched.occurred_at, fetched.is_live, fetched.problem) == (
        delivered.external_id,
        delivered.event_type,
        delivered.occurred_at,
        delivered.is_live,
        "",
    )


def test_every_handled_type_is_asked_for_once_and_never_more_than_twenty_at_a_time(rest: StripeRest) -> None:
    assert catch_up(rest) == []
    queries = [[pair.split("=") for pair in call.partition("?")[2].split("&")] for call in rest.calls]
    asked = [[value for name, value in query if name == "types[]"] for query in queries]
    assert sorted(chain.from_iterable(asked)) == sorted(TRANSLATORS)
    assert all(len(types) <= 20 for types in asked)
    assert len(asked) == 2


def test_only_undelivered_events_since_the_time_are_asked_for(rest: StripeRest) -> None:
    add(rest, 3)
    rest.change("events", "evt_1", pending_webhooks=0)
    rest.change("events", "evt_2", type="price.created")
    old = int((SINCE - timedelta(seconds=1)).timestamp())
    rest.put("events", {**RENEWAL, "id": "evt_old", "created": old})
    assert names(catch_up(rest)) == ["evt_0"]
    assert set(names(catch_up(rest, since=SINCE - timedelta(hours=1)))) == {"evt_0", "evt_old"}


@pytest.mark.parametrize(("number", "pages"), [(100, 1), (101, 2), (250, 3)])
def test_the_pages_are_followed_to_the_end(rest: StripeRest, number: int, pages: int) -> None:
    expected = add(rest, number)
    found = catch_up(rest)
    assert names(found) == expected
    assert len(found) == pages


def test_an_event_that_comes_in_while_paging_moves_nothing_out_of_sight(rest: StripeRest) -> None:
    expected = add(rest, 150)
    assert ADAPTER.catch_up is not None
    pages = ADAPTER.catch_up(rest.api(), SINCE)
    found = [entry.external_id for entry in next(pages)]
    rest.put("events", {**RENEWAL, "id": "evt_new"})
    found += [entry.external_id for page in pages for entry in page]
    assert found == expected


def test_types_of_both_queries_are_found(rest: StripeRest) -> None:
    first, last = min(TRANSLATORS), max(TRANSLATORS)
    rest.put("events", {**RENEWAL, "id": "evt_a", "type": first}, {**RENEWAL, "id": "evt_z", "type": last})
    assert sorted(names(catch_up(rest))) == ["evt_a", "evt_z"]


def test_an_unreadable_event_is_kept_with_its_problem(rest: StripeRest) -> None:
    add(rest, 2)
    rest.change("events", "evt_1", livemode="perhaps")
    ((bad, good),) = catch_up(rest)
    assert (bad.external_id, good.external_id) == ("evt_1", "evt_0")
    assert bad.problem
    assert not good.problem


def test_a_page_that_cannot_be_had_ends_it_after_the_ones_before(rest: StripeRest) -> None:
    expected = add(rest, 150)
    assert ADAPTER.catch_up is not None
    pages = ADAPTER.catch_up(rest.api(), SINCE)
    assert [entry.external_id for entry in next(pages)] == expected[:100]
    rest.refuse_next(429)
    with pytest.raises(TransientRemoteError, match="429"):
        next(pages)


def test_a_key_without_permission_for_events_is_told(rest: StripeRest) -> None:
    rest.forbid("events")
    with pytest.raises(CredentialsRejected, match="rak_event_read"):
        catch_up(rest)


def test_stripes_own_example_of_a_list_reads() -> None:
    stub = StripeRest()
    found = catch_up(stub, since=datetime(2026, 1, 1, tzinfo=UTC))
    stub.stop()
    assert sorted(names(found)) == ["evt_1ry8ErPqLk8WmTzDpOSHL7VZ", "evt_1uuCvyPqLk8WmTzDKwmRwp6X"]
