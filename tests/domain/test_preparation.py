"""Keys given out before their order: what counts until it comes, and that no order of arrival makes a difference."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing_integration.domain.facts import Customer, ItemFact, OrderFact, PreparationFact, PurchaseFact
from licensing_integration.domain.folding import fold
from licensing_integration.domain.items import items_of
from licensing_integration.domain.outcomes import LicenseState, PurchaseKind, PurchaseStatus
from licensing_integration.domain.planning import Standing, judge
from licensing_integration.domain.preparation import (
    find_line,
    order_of,
    released,
    requested_line,
    settled,
    unordered_preparations,
    waiting_preparations,
)
from licensing_integration.domain.purchases import KnownOrder, PurchaseState
from licensing_integration.domain.terms import Policies
from tests.domain.samples import AVA, bought, charged, day, described

BEN = Customer(email="ben@example.com", first_name="Ben")


def _item(product: str = "photon", quantity: int = 1, **more: Any) -> ItemFact:
    return ItemFact(**{"line": product, "product": product, "quantity": quantity, **more})


def _prepared(at: float = 0.0, product: str = "photon", quantity: int = 1, **more: Any) -> PreparationFact:
    values: dict[str, Any] = {"reference": "REF-1", "customer": BEN, **more}
    return PreparationFact(occurred_at=day(at), note="", item=_item(product, quantity), **values)


def _order(status: PurchaseStatus = PurchaseStatus.COMPLETED, *items: ItemFact, at: float = 0.5) -> OrderFact:
    return OrderFact(
        occurred_at=day(at),
        note="",
        order_id="order-1",
        reference="REF-1",
        status=status,
        customer=AVA,
        items=items or (_item(order_id="order-1"),),
    )


PENDING = _order(PurchaseStatus.PENDING, at=0.1)
FAILED = _order(PurchaseStatus.NOT_PAID, at=0.2)
COMPLETED = _order()


def _folded(*facts: PurchaseFact, kind: PurchaseKind = PurchaseKind.ORDER) -> PurchaseState:
    state = PurchaseState(kind=kind)
    for fact in facts:
        state = fold(state, fact, event_id=f"{fact.occurred_at:%d%H%M}")
    return state


def _subscribed(*facts: PurchaseFact) -> PurchaseState:
    return _folded(*facts, kind=PurchaseKind.SUBSCRIPTION)


def _judged(state: PurchaseState, *, now: datetime, **policies: Any) -> Standing:
    return judge(state, Policies(**policies), first_seen_at=day(0), now=now)


# --- what counts -----------------------------------------------------------------------------------------------------


def test_what_was_prepared_counts_until_the_order_is_told():
    assert items_of(_folded(_prepared(quantity=2))) == {"photon": _item(quantity=2)}
    assert items_of(_folded(_prepared(quantity=2), PENDING, FAILED)) == {"photon": _item(quantity=2)}
    assert items_of(_folded(_prepared(quantity=2), COMPLETED)) == {"photon": COMPLETED.items[0]}


def test_of_two_requests_the_larger_counts():
    one, other = _prepared(quantity=2), _prepared(1, quantity=5)
    assert items_of(_folded(one, other)) == items_of(_folded(other, one)) == {"photon": _item(quantity=5)}


def test_the_order_knows_its_buyer_better():
    assert _folded(_prepared()).customer == BEN
    assert _folded(_prepared(1), COMPLETED).customer == AVA
    assert _folded(COMPLETED, _prepared(1)).customer == AVA


def test_a_subscription_expects_what_was_prepared_until_its_order_is_known():
    state = _subscribed(_prepared(product="node"), described(1))
    assert set(items_of(state)) == {"main", "REF-1:node"}
    known = replace(state, known_orders=_known("studio"))
    assert set(items_of(known)) == {"main"}
    assert set(unordered_preparations(known)) == {"REF-1:node"}
    assert not unordered_preparations(replace(state, known_orders=_known("node", "studio")))


def test_another_order_of_a_subscription_is_waited_for_by_itself():
    state = replace(_subscribed(described(1)), known_orders=_known("studio"))
    state = fold(state, _prepared(2, "node", reference="REF-2"), event_id="later")
    assert set(items_of(state)) == {"main", "REF-2:node"}


def test_what_was_prepared_for_the_subscriptions_own_product_is_no_item_beside_it():
    state = _subscribed(_prepared(product="studio"), described(1))
    assert set(items_of(state)) == {"main"}
    assert set(waiting_preparations(state)) == {"REF-1:studio"}


def test_what_went_over_to_another_purchase_counts_no_more():
    state = released(_folded(_prepared()), "photon")
    assert not items_of(state)
    assert not state.is_prepared
    assert state.status is PurchaseStatus.COMPLETED


def _known(*products: str) -> dict[str, KnownOrder]:
    return {"REF-1": KnownOrder(order_id="order-1", products=products)}


# --- standing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PurchaseKind)
def test_a_prepared_license_counts_for_a_day(kind):
    state = _folded(_prepared(), _prepared(0.9), kind=kind)
    assert state.status is PurchaseStatus.PREPARED
    early, late = _judged(state, now=day(0.99)), _judged(state, now=day(1))
    assert (early.state, early.review_at) == (LicenseState.ACTIVE, day(1))
    assert (late.state, late.review_at) == (LicenseState.SUSPENDED, None)
    assert late.reason == "The order was never completed."


def test_how_long_is_a_policy():
    state = _folded(_prepared())
    assert _judged(state, now=day(0) + timedelta(hours=2), prepared_hours=2).state is LicenseState.SUSPENDED
    assert _judged(state, now=day(2), prepared_hours=72).state is LicenseState.ACTIVE


@pytest.mark.parametrize("facts", [(_prepared(), FAILED), (FAILED, _prepared()), (FAILED, _prepared(), PENDING)])
def test_an_order_that_failed_suspends_whatever_came_first(facts):
    assert _judged(_folded(*facts), now=day(0.3)).state is LicenseState.SUSPENDED


def test_without_a_preparation_nothing_is_made_of_an_unpaid_order():
    assert _judged(_folded(FAILED), now=day(0.3)).state is LicenseState.ABSENT


@pytest.mark.parametrize(
    "facts", [(_prepared(), COMPLETED), (COMPLETED, _prepared()), (_prepared(), FAILED, COMPLETED)]
)
def test_a_completed_order_is_in_force_however_late(facts):
    assert _judged(_folded(*facts), now=day(99)).state is LicenseState.ACTIVE


def test_a_prepared_subscription_does_not_wait_for_its_order():
    assert _judged(_subscribed(described(0.01)), now=day(0.02)).is_waiting
    state = _subscribed(_prepared(product="studio"), described(0.01))
    assert _judged(state, now=day(0.02)).state is LicenseState.ACTIVE
    assert _judged(state, now=day(9)).state is LicenseState.ACTIVE


def test_an_ended_subscription_is_ended_although_it_was_prepared():
    state = _subscribed(_prepared(product="studio"), described(3, PurchaseStatus.ENDED))
    assert _judged(state, now=day(3)).state is LicenseState.ABSENT


# --- finding its place -----------------------------------------------------------------------------------------------


def test_the_product_tells_the_line():
    items = {"main": _item("studio", line="main"), "addon:node:o": _item("node", line="addon:node:o")}
    assert find_line(_item("node"), items, given_keys={}) == "addon:node:o"
    assert find_line(_item("photon"), items, given_keys={}) is None


def test_of_several_lines_of_a_product_the_quantity_tells():
    items = {"photon": _item(quantity=1), "photon#2": _item(quantity=3, line="photon#2")}
    assert find_line(_item(quantity=3), items, given_keys={}) == "photon#2"
    assert find_line(_item(quantity=1), items, given_keys={}) == "photon"
    assert find_line(_item(quantity=2), items, given_keys={}) == "photon"


def test_the_keys_in_the_order_tell_more_than_the_product():
    items = {"photon": _item(), "brushes": _item("brushes")}
    assert find_line(_item(), items, keys={"K-1"}, given_keys={"brushes": ["K-1"]}) == "brushes"
    assert find_line(_item(), items, keys={"K-1"}, given_keys={"brushes": ["K-2"], "gone": ["K-1"]}) == "photon"


def test_the_facts_of_an_order_tell_all_of_its_products():
    order = replace(COMPLETED, beside=(_item("studio"),))
    subscription = replace(bought(add_ons=[_item("node")]), beside=(_item(),))
    assert order_of([order, subscription]) == {
        "REF-1": KnownOrder(order_id="order-1", products=("node", "photon", "studio"))
    }
    assert not order_of([FAILED, described(1), charged(30, 2)])
    assert not order_of([replace(COMPLETED, reference="")])


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ([_prepared()], "photon"),
        ([COMPLETED], "photon"),
        ([_prepared(), COMPLETED], "photon"),
        ([_prepared(product="brushes"), COMPLETED], None),
    ],
)
def test_a_request_finds_its_line_of_an_order(facts, line):
    product = "photon" if line else "studio"
    assert requested_line(_folded(*facts), reference="REF-1", product=product, quantity=1) == line


def test_a_request_finds_its_line_of_a_subscription():
    def _line(state: PurchaseState, product: str, reference: str = "REF-1") -> str | None:
        return requested_line(state, reference=reference, product=product, quantity=1)

    add_ons = [_item("node", line="addon:node:order-1", order_id="order-1")]
    state = _subscribed(_prepared(product="studio"), _prepared(product="node"))
    assert (_line(state, "studio"), _line(state, "node")) == ("REF-1:studio", "REF-1:node")
    state = fold(state, bought(add_ons=add_ons), event_id="order")
    state = settled(state, {"REF-1:studio": "main"})
    state = replace(state, known_orders={"REF-1": KnownOrder(order_id="order-1", products=("node", "studio"))})
    assert (_line(state, "studio"), _line(state, "node")) == ("main", "addon:node:order-1")
    assert (_line(state, "studio", "REF-1-RENEWAL"), _line(state, "node", "REF-2")) == ("main", None)
    moved = fold(state, described(5, product="studio-max"), event_id="change")
    assert (_line(moved, "studio"), _line(moved, "studio-max")) == ("main", "main")


# --- any order -------------------------------------------------------------------------------------------------------

ONE_TIME: tuple[PurchaseFact, ...] = (
    _prepared(),
    _prepared(0.3, "photon", 2),
    _prepared(0.01, "brushes"),
    PENDING,
    FAILED,
    COMPLETED,
)
SUBSCRIPTION: tuple[PurchaseFact, ...] = (
    _prepared(product="studio"),
    _prepared(0.2, "node"),
    described(0.01),
    bought(0.02),
    charged(30, 2),
    described(31, PurchaseStatus.OVERDUE, sequence=2),
)


@pytest.mark.parametrize(("kind", "story"), [(PurchaseKind.ORDER, ONE_TIME), (PurchaseKind.SUBSCRIPTION, SUBSCRIPTION)])
@given(data=st.data())
def test_every_order_with_repetitions_ends_in_the_same_state(kind, story, data):
    facts = data.draw(st.lists(st.sampled_from(story), min_size=1, max_size=8))
    shuffled = [*facts, *facts[:2]]
    random.Random(data.draw(st.integers(0, 1000))).shuffle(shuffled)
    assert _folded(*shuffled, kind=kind) == _folded(*facts, kind=kind)
