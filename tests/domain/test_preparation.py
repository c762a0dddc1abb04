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
    assign_lines,
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
    prepared = {"photon*2": _item(quantity=2, line="photon*2")}
    assert items_of(_folded(_prepared(quantity=2))) == prepared
    assert items_of(_folded(_prepared(quantity=2), PENDING, FAILED)) == prepared
    assert items_of(_folded(_prepared(quantity=2), COMPLETED)) == {"photon": COMPLETED.items[0]}


def test_requests_of_two_quantities_are_two_items():
    one, other = _prepared(quantity=2), _prepared(1, quantity=5)
    for state in (_folded(one, other), _folded(other, one)):
        assert {line: item.quantity for line, item in items_of(state).items()} == {"photon*2": 2, "photon*5": 5}


def test_of_two_requests_for_the_same_the_newest_tells_its_attributes():
    old = replace(_prepared(), item=_item(attributes={"max_activations": "many"}))
    new = replace(_prepared(1), item=_item(attributes={"max_activations": "3"}))
    for state in (_folded(old, new), _folded(new, old)):
        assert items_of(state)["photon*1"].attributes == {"max_activations": "3"}
        assert state.prepared_at == day(0)


def test_the_order_knows_its_buyer_better():
    assert _folded(_prepared()).customer == BEN
    assert _folded(_prepared(1), COMPLETED).customer == AVA
    assert _folded(COMPLETED, _prepared(1)).customer == AVA


def test_a_subscription_expects_what_was_prepared_until_its_order_is_known():
    state = _subscribed(_prepared(product="node"), described(1))
    assert set(items_of(state)) == {"main", "REF-1:node*1"}
    known = replace(state, known_orders=_known("studio"))
    assert set(items_of(known)) == {"main"}
    assert set(unordered_preparations(known)) == {"REF-1:node*1"}
    assert not unordered_preparations(replace(state, known_orders=_known("node", "studio")))


def test_what_is_left_when_every_line_of_a_product_has_its_licenses_was_not_ordered():
    state = _folded(_prepared(quantity=2), _prepared(1, quantity=5))
    state = replace(state, known_orders=_known("photon"))
    assert not unordered_preparations(state)
    assert set(unordered_preparations(settled(state, {"photon*2": "photon"}))) == {"photon*5"}
    assert set(unordered_preparations(released(state, "photon*5"))) == {"photon*2"}
    twice = replace(state, known_orders=_known("photon", "photon"))
    assert not unordered_preparations(settled(twice, {"photon*2": "photon"}))


def test_another_order_of_a_subscription_is_waited_for_by_itself():
    state = replace(_subscribed(described(1)), known_orders=_known("studio"))
    state = fold(state, _prepared(2, "node", reference="REF-2"), event_id="later")
    assert set(items_of(state)) == {"main", "REF-2:node*1"}


def test_what_was_prepared_for_the_subscriptions_own_product_is_no_item_beside_it():
    state = _subscribed(_prepared(product="studio"), described(1))
    assert set(items_of(state)) == {"main"}
    assert set(waiting_preparations(state)) == {"REF-1:studio*1"}


def test_what_went_over_to_another_purchase_counts_no_more():
    state = released(_folded(_prepared()), "photon*1")
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


def _assigned(item: ItemFact, items: dict[str, ItemFact], **options: Any) -> str | None:
    keys = options.pop("keys", ())
    return assign_lines({"prepared": (item, keys)}, items, **{"given_keys": {}, **options}).get("prepared")


def test_the_product_tells_the_line():
    items = {"main": _item("studio", line="main"), "addon:node:o": _item("node", line="addon:node:o")}
    assert _assigned(_item("node"), items) == "addon:node:o"
    assert _assigned(_item("photon"), items) is None


TWO_LINES = {"photon": _item(quantity=1), "photon#2": _item(quantity=3, line="photon#2")}


def test_of_several_lines_of_a_product_the_quantity_tells():
    assert _assigned(_item(quantity=3), TWO_LINES) == "photon#2"
    assert _assigned(_item(quantity=1), TWO_LINES) == "photon"
    assert _assigned(_item(quantity=2), TWO_LINES) == "photon"


def test_the_keys_in_the_order_tell_more_than_the_product():
    items = {"photon": _item(), "brushes": _item("brushes")}
    assert _assigned(_item(), items, keys={"K-1"}, given_keys={"brushes": ["K-1"]}) == "brushes"
    assert _assigned(_item(), items, keys={"K-1"}, given_keys={"brushes": ["K-2"], "gone": ["K-1"]}) == "photon"


def test_a_line_has_the_licenses_of_one_request():
    prepared = {"one": (_item(quantity=1), {"K-1"}), "two": (_item(quantity=2), {"K-2"})}
    assert assign_lines(prepared, TWO_LINES, given_keys={}) == {"one": "photon", "two": "photon#2"}
    assert assign_lines(prepared, {"photon": _item(quantity=2)}, given_keys={}) == {"two": "photon"}
    shown = {"photon": ["K-2"], "photon#2": ["K-1"]}
    assert assign_lines(prepared, TWO_LINES, given_keys=shown) == {"one": "photon#2", "two": "photon"}


def test_a_line_that_has_its_licenses_gets_others_only_by_their_key():
    items = {"photon": _item()}
    assert _assigned(_item(), items, taken={"photon"}) is None
    assert _assigned(_item(), items, taken={"photon"}, keys={"K-1"}, given_keys={"photon": ["K-1"]}) == "photon"


def test_the_facts_of_an_order_tell_all_of_its_products():
    order = replace(COMPLETED, beside=(_item("studio"),))
    subscription = replace(bought(add_ons=[_item("node")]), beside=(_item(),))
    assert order_of([order, subscription]) == {
        "REF-1": KnownOrder(order_id="order-1", products=("node", "photon", "studio"))
    }
    assert order_of([_order(PurchaseStatus.COMPLETED, *TWO_LINES.values())])["REF-1"].products == ("photon", "photon")
    assert not order_of([FAILED, described(1), charged(30, 2)])
    assert not order_of([replace(COMPLETED, reference="")])


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ([_prepared()], "photon*1"),
        ([_prepared(quantity=2), _prepared()], "photon*1"),
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
    assert (_line(state, "studio"), _line(state, "node")) == ("REF-1:studio*1", "REF-1:node*1")
    state = fold(state, bought(add_ons=add_ons), event_id="order")
    state = settled(state, {"REF-1:studio*1": "main"})
    state = replace(state, known_orders={"REF-1": KnownOrder(order_id="order-1", products=("node", "studio"))})
    assert (_line(state, "studio"), _line(state, "node")) == ("main", "addon:node:order-1")
    assert (_line(state, "studio", "REF-1-RENEWAL"), _line(state, "node", "REF-2")) == ("main", None)
    moved = fold(state, described(5, product="studio-max"), event_id="change")
    assert (_line(moved, "studio"), _line(moved, "studio-max")) == ("main", "main")


def test_a_request_without_a_subscription_is_not_for_what_another_one_named_it_for():
    state = _subscribed(_prepared(product="studio", subscription_id="sub-1"), described(1))
    asked = {"reference": "REF-1", "product": "studio", "quantity": 1}
    assert requested_line(state, **asked, subscription_id="sub-1") == "main"
    assert requested_line(state, **asked) is None


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
