"""Folding facts: the stale guards, and that no order of delivery and no repetition makes a difference."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing_integration.domain.facts import Customer, NoteFact, PurchaseFact, SubscriptionFact
from licensing_integration.domain.folding import absorb, fold, is_stale
from licensing_integration.domain.items import items_of
from licensing_integration.domain.outcomes import ExpiryMode, PurchaseKind, PurchaseStatus
from licensing_integration.domain.purchases import PurchaseState, Version
from licensing_integration.services.codec import from_json, to_json
from tests.domain.samples import (
    AVA,
    MAIN,
    TERMS,
    add_on_bought,
    bought,
    charged,
    day,
    described,
    disputed,
    folded,
    folded_both_ways,
    folded_events,
    given_back,
    line,
    ordered,
    period_end,
    plan,
    returned,
    snapshot,
)

ACTIVE, TRIAL, OVERDUE = PurchaseStatus.ACTIVE, PurchaseStatus.TRIAL, PurchaseStatus.OVERDUE
PAUSED, CANCELED, ENDED = PurchaseStatus.PAUSED, PurchaseStatus.CANCELED, PurchaseStatus.ENDED
COMPLETED, PENDING, NOT_PAID = PurchaseStatus.COMPLETED, PurchaseStatus.PENDING, PurchaseStatus.NOT_PAID

ADD_ON = line("node", 3, line="addon:node:order-1")
LATER_ADD_ON = line("node", 2, line="addon:node:order-2", order_id="order-2")


# --- versions --------------------------------------------------------------------------------------------------------


def test_a_later_time_wins_within_a_period():
    assert folded(
        described(1, quantity=2), described(3, quantity=5), described(2, quantity=4)
    ).subscription == snapshot(quantity=5)


def test_a_later_period_wins_over_a_later_time():
    state = folded(charged(30, 2), described(31, quantity=9, sequence=1))
    assert state.subscription == snapshot(sequence=2)


def test_a_subscription_begun_anew_wins_over_a_higher_period_of_the_old_one():
    again = described(90, sequence=1, begun_on=day(90).date())
    assert folded(again, charged(60, 3)).subscription == again.snapshot


def test_the_event_id_decides_between_events_of_the_same_moment():
    one, other = (described(1, quantity=2), "EVW1"), (described(1, quantity=3), "EVW2")
    assert folded_events([one, other]) == folded_events([other, one])


def test_a_description_without_period_and_date_is_older_than_one_with_them():
    meagre = bought(5, sequence=None, begun_on=None, paid_through=None)
    assert folded(meagre, described(0)).subscription == snapshot()


def test_nothing_is_older_than_no_version():
    assert not Version(occurred_at=day(0), event_id="").is_older_than(None)


def test_stale_facts_are_told_apart_from_repeated_ones():
    state = folded(described(5))
    assert is_stale(state, described(4), event_id="event-9")
    assert not is_stale(state, described(5), event_id="event-0")
    assert not is_stale(state, returned(), event_id="event-9")
    assert not is_stale(state, add_on_bought(1, LATER_ADD_ON), event_id="event-9")


def test_a_note_changes_nothing():
    state = folded(bought())
    note = NoteFact(occurred_at=day(9), note="", kind=PurchaseKind.SUBSCRIPTION, purchase_id="sub-1", attention="Look!")
    assert fold(state, note, event_id="event-9") == state


# --- orders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([PENDING], PENDING),
        ([PENDING, NOT_PAID], NOT_PAID),
        ([NOT_PAID, PENDING], NOT_PAID),
        ([PENDING, COMPLETED], COMPLETED),
        ([COMPLETED, PENDING], COMPLETED),
        ([NOT_PAID, COMPLETED], COMPLETED),
        ([COMPLETED, NOT_PAID], COMPLETED),
        ([], PurchaseStatus.UNKNOWN),
    ],
)
def test_an_order_that_was_paid_stays_paid(statuses, expected):
    facts = [ordered(line(), at=number, status=status) for number, status in enumerate(statuses)]
    state = folded(*facts, kind=PurchaseKind.ORDER)
    assert state.status is expected
    assert bool(state.items) is (COMPLETED in statuses)


def test_only_the_newest_description_of_an_order_counts():
    assert folded(ordered(line(quantity=2), at=2), ordered(line(quantity=1), at=1)).items["photon"].quantity == 2


def test_a_refund_alone_says_nothing_of_the_order():
    state = folded(returned(), kind=PurchaseKind.ORDER)
    assert state.status is PurchaseStatus.UNKNOWN


# --- customers -------------------------------------------------------------------------------------------------------


def _customer(fact: SubscriptionFact, customer: Customer | None, *, is_buyer: bool = False) -> SubscriptionFact:
    return replace(fact, customer=customer, customer_is_buyer=is_buyer)


def test_the_buyer_wins_over_newer_account_data():
    owner = Customer(email="old@example.com")
    state = folded(_customer(bought(), AVA, is_buyer=True), _customer(described(5), owner))
    assert state.customer == AVA


def test_newer_account_data_wins_over_older():
    new = Customer(email="new@example.com")
    assert folded(_customer(described(5), new), _customer(described(1), AVA)).customer == new


def test_somebody_with_an_address_wins_over_a_newer_nameless_one():
    assert folded(_customer(described(1), AVA), _customer(bought(9), Customer(), is_buyer=True)).customer == AVA


def test_a_customer_without_an_address_is_better_than_none():
    nameless = Customer(first_name="Ava")
    assert folded(_customer(described(1), nameless), _customer(described(2), None)).customer == nameless


# --- charges and periods ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "periods"),
    [
        ([described(0)], 1),
        ([bought()], 1),
        ([bought(), charged(30, 2)], 2),
        ([bought(), charged(30, 2), charged(30, 2, order_id="charge-2-30")], 2),
        ([bought(), charged(30, 2), charged(31, 2)], 2),
        ([bought(), charged(10, 1, is_proration=True)], 1),
        ([bought(), charged(10, None, order_id="proration", is_proration=True)], 1),
        ([bought(), charged(60, 3)], 3),  # the event of period 2 was lost
        ([charged(120, 5)], 1),  # known from its fifth period on
        ([charged(120, 5), charged(150, 6)], 2),
        ([bought(trial=True)], 0),
        ([bought(trial=True), charged(14, 1)], 1),
        ([bought(trial=True), charged(14, 2)], 1),
        ([bought(trial=True), charged(14, 2), charged(44, 3)], 2),
        ([bought(trial=True), charged(14, 2), bought(20)], 1),  # the trial's order, resent after it became paid
        ([bought(), charged(30, None)], 2),  # a charge that does not say which period it paid
        ([bought(), charged(30, None), charged(60, 3)], 3),
    ],
)
def test_paid_periods(facts, periods):
    assert folded(*facts).paid_periods == periods


def test_a_charge_told_with_less_detail_keeps_what_was_known():
    detailed = charged(10, 1, order_id="charge", is_proration=True)
    meagre = charged(11, 1, order_id="charge")
    assert folded(detailed, meagre).charges == folded(meagre, detailed).charges
    assert folded(bought(), detailed, meagre).paid_periods == 1


@pytest.mark.parametrize(
    ("facts", "order_id"),
    [
        ([described(0)], "order-1"),
        ([bought()], "order-1"),
        ([bought(), charged(30, 2, order_id="renewal")], "renewal"),
        ([bought(), charged(10, 1, order_id="proration", is_proration=True)], "order-1"),
    ],
)
def test_the_current_order_is_the_one_that_paid_for_the_period(facts, order_id):
    assert folded(*facts).current_order_ids == {order_id}


def test_every_order_a_refund_may_name_is_known():
    state = folded(bought(add_ons=[ADD_ON]), charged(30, 2, order_id="renewal"), add_on_bought(40, LATER_ADD_ON))
    assert state.order_ids == {"order-1", "renewal", "order-2"}


def test_a_charge_without_a_description_makes_the_subscription_known():
    assert folded(charged(30, None)).status is ACTIVE


# --- overdue ---------------------------------------------------------------------------------------------------------


def test_a_charge_for_a_later_period_settles_an_overdue_subscription():
    paid = replace(charged(31, 2), snapshot=None)
    assert folded(bought(), described(30, OVERDUE), paid).status is ACTIVE


def test_a_proration_settles_nothing():
    proration = replace(charged(31, 1, is_proration=True), snapshot=None)
    assert folded(bought(), described(30, OVERDUE), proration).status is OVERDUE


def test_an_overdue_notice_that_arrives_after_the_payment_is_old_news():
    assert folded(bought(), charged(31, 2), described(30, OVERDUE)).status is ACTIVE


def test_grace_counts_from_the_first_notice_of_the_latest_overdue_period():
    first, second, next_period = described(30, OVERDUE), described(37, OVERDUE), described(61, OVERDUE, sequence=2)
    assert folded(second, first).overdue_since == day(30)
    assert folded(next_period, first, second).overdue_since == day(61)


# --- disputes --------------------------------------------------------------------------------------------------------


def test_the_newest_word_on_a_dispute_counts():
    assert folded(ordered(line()), disputed(5)).has_open_dispute
    assert not folded(disputed(9, is_open=False), disputed(5), ordered(line())).has_open_dispute


def test_refunds_and_disputes_of_another_purchase_are_taken_over_by_order_id():
    early = folded(
        returned(return_id="r-1"), returned(order_id="other", return_id="r-2"), disputed(), kind=PurchaseKind.ORDER
    )
    state = absorb(folded(bought()), early, order_id="order-1")
    assert set(state.returns) == {"r-1"}
    assert state.has_open_dispute


# --- any order, any repetition ---------------------------------------------------------------------------------------

_HISTORY: list[PurchaseFact] = [
    described(0),
    bought(0.01, add_ons=[ADD_ON]),
    described(3, quantity=4),
    described(4, quantity=2, attributes={"seats": "2"}),
    charged(4, 1, order_id="proration", is_proration=True, quantity=2),
    add_on_bought(5, LATER_ADD_ON),
    add_on_bought(25, replace(LATER_ADD_ON, quantity=1)),
    described(30, OVERDUE),
    described(33, OVERDUE),
    charged(34, 2),
    charged(35, None, order_id="unnumbered"),
    described(36, PAUSED, sequence=2),
    described(40, sequence=2, paid_through=period_end(3)),
    returned(41, given_back("studio", 1), order_id="charge-2-34", return_id="return-2"),
    returned(42, is_whole_order=True),
    disputed(43),
    disputed(44, is_open=False),
    charged(64, 3),
    described(70, CANCELED, sequence=3, ends_at=period_end(3)),
    described(90, ENDED, sequence=3),
    # sent again by hand: old data under a new id and a later time
    described(95, quantity=4),
    described(96, OVERDUE),
    charged(97, 2, order_id="charge-2-34"),
    bought(98, add_ons=[ADD_ON]),
    _customer(described(2), Customer(first_name="Nobody")),
    _customer(described(3.5), Customer(email="other@example.com")),
]
_TRIAL_HISTORY: list[PurchaseFact] = [
    described(0, TRIAL),
    bought(0.01, trial=True),
    replace(described(14, TRIAL), overdue=True),
    charged(15, 2),
    charged(45, 3),
    bought(50),
    described(51, ENDED, sequence=3),
]
_ORDER_HISTORY: list[PurchaseFact] = [
    ordered(at=0, status=PENDING),
    ordered(at=1, status=NOT_PAID),
    ordered(line(quantity=3), line("photon", 2, line="photon#2"), at=2),
    ordered(line(quantity=2), at=3),
    returned(5, given_back(quantity=1)),
    returned(6, given_back(quantity=1), return_id="return-2"),
    disputed(7),
    disputed(8, is_open=False),
]
_INTERVAL = replace(TERMS, expiry=ExpiryMode.INTERVAL)


def _plans(state: PurchaseState) -> list[object]:
    existing = {1: None, 2: None, 3: None}
    return [
        plan(state, name=name, now=now, existing=existing, terms=terms)
        for name in sorted(items_of(state))
        for terms in (TERMS, _INTERVAL)
        for now in (0.02, 31, 100)
    ]


@pytest.mark.parametrize("history", [_HISTORY, _TRIAL_HISTORY, _ORDER_HISTORY], ids=["life", "trial", "order"])
@given(data=st.data())
def test_any_order_with_any_repetition_ends_in_the_same_state_and_plan(history, data):
    kind = PurchaseKind.ORDER if history is _ORDER_HISTORY else PurchaseKind.SUBSCRIPTION
    state, in_order = folded_both_ways(history, kind=kind, data=data)
    assert state == in_order
    assert _plans(state) == _plans(in_order)


@pytest.mark.parametrize("history", [_HISTORY, _TRIAL_HISTORY, _ORDER_HISTORY], ids=["life", "trial", "order"])
def test_a_state_survives_its_storage_as_json(history):
    state = folded(*history)
    assert from_json(to_json(state), PurchaseState) == state


def test_the_main_item_of_a_subscription_stands_before_its_add_ons():
    assert list(items_of(folded(bought(add_ons=[ADD_ON])))) == [MAIN, "addon:node:order-1"]
    assert list(items_of(folded(add_on_bought(1, LATER_ADD_ON)))) == ["addon:node:order-2"]
