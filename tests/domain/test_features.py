"""Features sold as products of their own: whose license they belong to, and how long they count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from licensing_integration.domain.desired import ItemContext
from licensing_integration.domain.facts import ItemFact
from licensing_integration.domain.features import Feature, Placement, counting_codes, place_features
from licensing_integration.domain.items import items_of
from licensing_integration.domain.outcomes import RefundAction
from licensing_integration.domain.planning import plan_item
from licensing_integration.domain.purchases import PurchaseState
from licensing_integration.domain.terms import Policies
from tests.domain.samples import (
    TERMS,
    add_on_bought,
    bought,
    day,
    described,
    folded,
    given_back,
    line,
    ordered,
    plan,
    returned,
)

PDF = line("pdf")


def _add_on(order_id: str = "order-1", **changes: Any) -> ItemFact:
    return replace(line("pdf", order_id=order_id), line=f"addon:pdf:{order_id}", driver="addon:studio", **changes)


def _place(state: PurchaseState, *features: str, unlicensed: str = "", **beside: str | None) -> Placement:
    """``features``: products that are features, with codes in capitals; ``beside``: product → code or ``None``."""
    items = items_of(state)
    codes = {name: item.product.upper() for name, item in items.items() if item.product in features}
    return place_features(
        state,
        items,
        codes=codes,
        licensed=[name for name, item in items.items() if name not in codes and item.product != unlicensed],
        beside={name: beside[item.product] for name, item in state.beside.items() if item.product in beside},
    )


def _codes(placement: Placement) -> dict[str, list[str]]:
    return {name: [feature.code for feature in features] for name, features in placement.by_line.items()}


# --- whose they are --------------------------------------------------------------------------------------------------


def test_an_add_on_of_a_subscription_belongs_to_its_main_license():
    other = replace(line("fonts"), line="addon:fonts:order-1")
    placed = _place(folded(bought(add_ons=[_add_on(), other])), "pdf")
    assert (_codes(placed), placed.problems) == ({"main": ["PDF"]}, {})


def test_of_several_subscribed_items_the_only_one_with_a_license_gets_it():
    items = (line("studio"), line("pdf"))
    state = folded(bought(product="", items=items))
    assert _codes(_place(state, "pdf")) == {"studio": ["PDF"]}
    three = folded(bought(product="", items=(*items, line("fonts"))))
    assert _place(three, "pdf").problems.keys() == {"pdf"}


def test_an_item_that_needs_no_license_does_not_count():
    items = (line("studio"), line("pdf"), line("shirt"))
    state = folded(bought(product="", items=items))
    assert _codes(_place(state, "pdf", unlicensed="shirt")) == {"studio": ["PDF"]}


def test_in_an_order_the_driver_names_the_product():
    pdf = replace(PDF, driver="addon:studio")
    state = folded(ordered(line("studio"), line("photon"), pdf))
    assert _codes(_place(state, "pdf")) == {"studio": ["PDF"]}


def test_without_a_driver_the_only_licensed_item_of_an_order_gets_it():
    assert _codes(_place(folded(ordered(line("photon"), PDF)), "pdf")) == {"photon": ["PDF"]}


@pytest.mark.parametrize(
    "lines",
    [
        [line("photon"), line("studio"), PDF],
        [PDF],
        [replace(line("studio"), line="studio#2"), line("studio"), replace(PDF, driver="addon:studio")],
    ],
)
def test_a_feature_that_could_belong_to_none_or_several_waits_and_says_why(lines):
    placed = _place(folded(ordered(*lines)), "pdf")
    assert not placed.by_line
    assert placed.problems["pdf"].startswith("Nothing says which license gets the feature 'PDF': it was not bought as")


def test_two_features_go_to_one_license():
    state = folded(ordered(line("photon"), PDF, line("fonts")))
    assert _codes(_place(state, "pdf", "fonts")) == {"photon": ["PDF", "FONTS"]}


# --- one order, two purchases ----------------------------------------------------------------------------------------

STUDIO = line("studio")
ORDERED = replace(ordered(PDF), beside=(replace(STUDIO, line="main"),))
SUBSCRIBED = replace(bought(), beside=(PDF,))


def test_a_one_time_feature_bought_with_a_subscription_belongs_to_it():
    assert _codes(_place(folded(SUBSCRIBED), pdf="PDF")) == {"main": ["PDF"]}
    placed = _place(folded(ORDERED), "pdf", studio=None)
    assert (placed.by_line, placed.problems) == ({}, {})


def test_both_purchases_see_the_same_when_it_could_belong_to_either():
    photon = line("photon")
    subscription = folded(replace(SUBSCRIBED, beside=(PDF, photon)))
    order = folded(replace(ORDERED, items=(PDF, photon)))
    assert not _place(subscription, pdf="PDF", photon=None).by_line
    assert _place(order, "pdf", studio=None).problems.keys() == {"pdf"}


def test_the_driver_decides_between_two_purchases():
    photon, pdf = line("photon"), replace(PDF, driver="addon:photon")
    subscription = folded(replace(SUBSCRIBED, beside=(pdf, photon)))
    order = folded(replace(ORDERED, items=(pdf, photon)))
    assert not _place(subscription, pdf="PDF", photon=None).by_line
    assert _codes(_place(order, "pdf", studio=None)) == {"photon": ["PDF"]}


def test_a_feature_that_is_a_subscription_by_itself_waits():
    state = folded(replace(bought(product="pdf"), beside=(line("photon"),)))
    assert _place(state, "pdf", photon=None).problems.keys() == {"main"}
    order = folded(replace(ordered(line("photon")), beside=(replace(PDF, line="main"),)))
    assert not _place(order, pdf="PDF").by_line


def test_what_was_bought_besides_is_known_in_any_order_of_events_and_never_loses_detail():
    fuller = replace(PDF, attributes={"feature_code": "PDF"})
    facts = [SUBSCRIBED, replace(SUBSCRIBED, beside=(fuller,)), described(1)]
    states = [folded(*facts), folded(*reversed(facts))]
    assert all(list(state.beside.values()) == [fuller] for state in states)


# --- how long they count ---------------------------------------------------------------------------------------------


def _counting(state: PurchaseState, *, action: RefundAction = RefundAction.SUSPEND) -> tuple[str, ...]:
    items = [item for item in items_of(state).values() if item.product == "pdf"]
    features = [Feature(code="PDF", item=item) for item in items]
    features += [Feature(code="PDF", item=item, is_beside=True) for item in state.beside.values()]
    return counting_codes(state, features, policies=Policies(refund_action=action))


def test_a_code_bought_twice_counts_once():
    assert _counting(folded(bought(add_ons=[_add_on()]), add_on_bought(3, _add_on("order-2")))) == ("PDF",)


@pytest.mark.parametrize(
    ("action", "codes"),
    [
        (RefundAction.SUSPEND, ()),
        (RefundAction.REVOKE, ()),
        (RefundAction.IGNORE, ("PDF",)),
        (RefundAction.ASK, ("PDF",)),
    ],
)
def test_a_refunded_feature_goes_as_the_policy_says(action, codes):
    refund = returned(5, given_back("pdf"))
    assert _counting(folded(bought(add_ons=[_add_on()]), refund), action=action) == codes
    assert _counting(folded(SUBSCRIBED, refund), action=action) == codes


def test_the_refund_of_something_else_leaves_it():
    refund = returned(5, given_back("fonts"))
    assert _counting(folded(SUBSCRIBED, refund)) == ("PDF",)


def test_a_quantity_of_nothing_is_no_feature():
    assert _counting(folded(bought(add_ons=[_add_on(quantity=0)]))) == ()


def test_an_add_on_that_the_store_listed_once_and_lists_no_more_is_gone():
    first = bought(add_ons=[_add_on()])
    with_list = replace(first, snapshot=replace(first.snapshot, add_ons=("pdf",)))
    facts = [with_list, described(5, add_ons=()), described(6)]
    assert _counting(folded(with_list)) == ("PDF",)
    assert _counting(folded(*facts[:2])) == ()
    assert _counting(folded(*reversed(facts[:2]))) == ()
    assert _counting(folded(with_list, described(5, add_ons=("pdf", "fonts")))) == ("PDF",)


def test_a_list_that_never_held_it_proves_nothing():
    assert _counting(folded(bought(add_ons=[_add_on()]), described(5, add_ons=()))) == ("PDF",)
    assert _counting(folded(bought(add_ons=[_add_on()]), described(5, add_ons=("fonts",)))) == ("PDF",)


def test_an_add_on_bought_again_counts_again():
    gone = [described(1, add_ons=("pdf",)), described(5, add_ons=())]
    assert _counting(folded(*gone, add_on_bought(6, _add_on("order-2")))) == ("PDF",)


# --- on the license --------------------------------------------------------------------------------------------------


def test_every_license_of_the_item_gets_the_features_in_order_of_their_names():
    state = folded(bought(quantity=2))
    context = ItemContext(terms=TERMS, policies=Policies(), features=("b", "a"))
    planned = plan_item(state, items_of(state)["main"], context, first_seen_at=day(0), now=day(31))
    assert [slot.desired.features for slot in planned.slots] == [("a", "b"), ("a", "b")]
    assert plan(state).slots[0].desired.features == ()
