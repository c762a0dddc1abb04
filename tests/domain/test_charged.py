"""Stores whose subscriptions are extended by charges alone (Stripe), and whose refunds are mere sums."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing_integration.domain.facts import ItemFact, PurchaseFact
from licensing_integration.domain.items import items_of
from licensing_integration.domain.outcomes import (
    EndAction,
    ExpiryMode,
    LicenseState,
    PurchaseKind,
    PurchaseStatus,
)
from licensing_integration.domain.purchases import PurchaseState
from licensing_integration.domain.refunds import returned_quantity, unclear_refund
from licensing_integration.domain.terms import Policies
from licensing_integration.services.codec import from_json, to_json
from tests.domain.charged import (
    GUESS,
    SEAT,
    checked_out,
    disputed,
    end_of,
    invoiced,
    listed,
    prorated,
    refunded,
    refunded_so_far,
    renamed,
    sold,
)
from tests.domain.samples import AVA, TERMS, day, folded, folded_both_ways, plan

OVERDUE, UNPAID, PENDING = PurchaseStatus.OVERDUE, PurchaseStatus.UNPAID, PurchaseStatus.PENDING
TRIAL, ENDED, CANCELED = PurchaseStatus.TRIAL, PurchaseStatus.ENDED, PurchaseStatus.CANCELED
STORE = Policies(extra_days=3, overdue_grace_days=7, ended_action=EndAction.SUSPEND)
FIVE = replace(SEAT, quantity=5)
STUDIO = ItemFact(line="price_a", product="prod_a", variant="price_a", quantity=3, subtotal=90.0)
PLUGIN = ItemFact(line="price_b", product="prod_b", variant="price_b", quantity=1, subtotal=50.0)


def state_at(state: PurchaseState, now: float) -> LicenseState:
    slots = plan(state, now=now, policies=STORE, existing={1: None}).slots
    return slots[0].desired.state


def end_at(state: PurchaseState, now: float):
    return plan(state, now=now, policies=STORE, existing={1: None}).slots[0].desired.expires_at


# Money first


def test_a_subscription_that_only_looks_active_gets_no_license():
    active = listed(0.0)
    waiting = plan(folded(active), now=100, policies=STORE)
    assert waiting.slots == ()
    assert "No payment" in waiting.waiting_reason
    assert state_at(folded(active, invoiced(4, 1)), now=5) is LicenseState.ACTIVE


def test_a_first_payment_settles_an_incomplete_subscription():
    assert folded(listed(0, PENDING)).status is PENDING
    assert folded(listed(0, PENDING), invoiced(0.1, 1)).status is PurchaseStatus.ACTIVE


def test_the_period_moves_before_it_is_paid_and_the_license_does_not():
    state = folded(invoiced(0, 1), listed(30.0, period=2))
    assert end_at(state, 30.5) == end_of(1) + timedelta(days=3)
    assert end_at(folded(invoiced(0, 1), listed(30.0, period=2), invoiced(30.05, 2)), 31) == end_of(2) + timedelta(
        days=3
    )


def test_a_proration_extends_nothing():
    state = folded(invoiced(0, 1), prorated(10, "in_change"))
    assert state.paid_through == end_of(1)
    assert state.paid_periods == 1


def test_a_trial_ends_when_the_store_says_until_it_is_paid():
    trial = listed(0, TRIAL, paid_through=day(14))
    state = folded(trial, invoiced(0, 1, is_trial=True))
    assert (state.status, state.paid_through, state.paid_periods) == (TRIAL, day(14), 0)
    paid = folded(trial, invoiced(0, 1, is_trial=True), listed(30, period=2), invoiced(30, 2))
    assert (paid.status, paid.paid_through, paid.paid_periods) == (PurchaseStatus.ACTIVE, end_of(2), 1)


def test_each_item_is_paid_through_its_own_period():
    yearly = replace(SEAT, line="si_2", product="prod_year")
    state = folded(listed(0, PurchaseStatus.ACTIVE, SEAT, yearly), invoiced(0, 1, SEAT), invoiced(0, 12, yearly))
    assert state.paid_through_of("si_1") == end_of(1)
    assert state.paid_through_of("si_2") == end_of(12)


def test_one_first_payment_known_by_two_names_counts_once():
    state = folded(checked_out(), invoiced(0, 1), invoiced(30, 2))
    assert state.paid_periods == 2


# Overdue


def test_overdue_counts_from_the_first_notice_of_its_period():
    first = folded(invoiced(0, 1), listed(30, OVERDUE, period=2), listed(33, OVERDUE, period=2))
    assert first.grace_began_at == day(30)
    assert state_at(first, 36.9) is LicenseState.ACTIVE
    assert state_at(first, 37.1) is LicenseState.SUSPENDED
    again = folded(invoiced(0, 1), listed(30, OVERDUE, period=2), invoiced(35, 2), listed(60, OVERDUE, period=3))
    assert again.grace_began_at == day(60)
    unpaid_since = folded(invoiced(0, 1), listed(30, OVERDUE, period=2), listed(60, OVERDUE, period=3))
    assert unpaid_since.grace_began_at == day(30)


def test_a_payment_settles_an_overdue_notice_that_comes_later():
    assert folded(invoiced(0, 1), invoiced(31, 2), listed(30, OVERDUE, period=2)).status is PurchaseStatus.ACTIVE


def test_giving_up_suspends_at_once():
    assert state_at(folded(invoiced(0, 1), listed(31, UNPAID, period=2)), 31) is LicenseState.SUSPENDED


# Order


def test_nothing_revives_what_has_ended():
    state = folded(invoiced(0, 1), listed(40, ENDED), listed(41), invoiced(41, 2))
    assert state.status is ENDED


def test_two_descriptions_of_one_second_are_flagged_until_a_later_one():
    contested = folded(invoiced(0, 1), listed(5), listed(5, PurchaseStatus.ACTIVE, FIVE))
    assert contested.is_contested
    assert not folded(invoiced(0, 1), listed(5), listed(5, PurchaseStatus.ACTIVE, FIVE), listed(6)).is_contested
    assert not folded(listed(5, PENDING, rank=0), listed(5)).is_contested


def test_what_was_fetched_counts_from_when_it_was_fetched():
    fetched = listed(5, PurchaseStatus.ACTIVE, FIVE, fetched_at=9.0)
    assert items_of(folded(fetched, listed(8)))["si_1"].quantity == 5


LIFE: list[PurchaseFact] = [
    listed(0, PENDING, rank=0),
    listed(0),
    checked_out(0),
    invoiced(0.01, 1),
    listed(10, PurchaseStatus.ACTIVE, FIVE),
    prorated(10, "in_change"),
    renamed(12, "new@example.com"),
    listed(30, PurchaseStatus.ACTIVE, FIVE, period=2),
    listed(30.1, OVERDUE, FIVE, period=2),
    listed(33, OVERDUE, FIVE, period=2),
    invoiced(35, 2, FIVE),
    listed(35, PurchaseStatus.ACTIVE, FIVE, period=2),
    refunded(36, 49.0, order_id="in_2"),
    refunded_so_far(36, 49.0, order_id="in_2"),
    disputed(37, order_id="in_2"),
    disputed(40, is_open=False, order_id="in_2"),
    listed(45, CANCELED, FIVE, period=2, ends_at=end_of(2)),
    listed(46, PurchaseStatus.ACTIVE, FIVE, period=2),
    listed(60, UNPAID, FIVE, period=3),
    listed(70, ENDED, FIVE, period=3, rank=2),
]
FETCHED: list[PurchaseFact] = [
    listed(0, fetched_at=0.2),
    listed(0, fetched_at=0.1),
    invoiced(0.01, 1),
    listed(10, PurchaseStatus.ACTIVE, FIVE, fetched_at=10.1),
    listed(9, PurchaseStatus.ACTIVE, FIVE, fetched_at=10.2),
    listed(30, OVERDUE, FIVE, period=2, fetched_at=31),
]
SALE: list[PurchaseFact] = [
    sold(0, status=PENDING),
    sold(2),
    sold(3, STUDIO, PLUGIN, order_id="in_9", aliases=(), transaction_id=None),
    refunded(4, 30.0),
    refunded_so_far(4, 30.0),
    refunded(5, 50.0, refund_id="re_2"),
    refunded_so_far(5, 80.0),
    refunded(6, 50.0, refund_id="re_2", has_failed=True),
    disputed(8),
    disputed(9, is_open=False, is_lost=True),
]


def _plans(state: PurchaseState) -> list[object]:
    terms = (TERMS, replace(TERMS, expiry=ExpiryMode.INTERVAL))
    existing = {1: None, 2: None}
    return [
        plan(state, name=name, now=now, existing=existing, terms=each, policies=STORE)
        for name in sorted(items_of(state))
        for each in terms
        for now in (0.02, 31, 36, 39, 100)
    ]


@pytest.mark.parametrize("history", [LIFE, FETCHED, SALE], ids=["life", "fetched", "sale"])
@given(data=st.data())
def test_any_order_with_any_repetition_ends_in_the_same_state_and_plan(history, data):
    kind = PurchaseKind.ORDER if history is SALE else PurchaseKind.SUBSCRIPTION
    state, in_order = folded_both_ways(history, kind=kind, data=data)
    assert state == in_order
    assert _plans(state) == _plans(in_order)


@pytest.mark.parametrize("history", [LIFE, FETCHED, SALE], ids=["life", "fetched", "sale"])
def test_a_state_survives_its_storage_as_json(history):
    state = folded(*history)
    assert from_json(to_json(state), PurchaseState) == state


# Items


def test_until_the_items_are_told_metadata_says_what_was_bought():
    assert items_of(folded(checked_out())) == {"main": GUESS}
    told = items_of(folded(checked_out(), invoiced(0, 1)))
    assert list(told) == ["si_1"]
    assert (told["si_1"].quantity, told["si_1"].attributes) == (3, GUESS.attributes)


def test_metadata_of_the_purchase_belongs_to_one_item():
    state = folded(sold(0), sold(1, PLUGIN, STUDIO))
    given_to = [name for name, item in items_of(state).items() if item.attributes]
    assert given_to == ["price_a"]


def test_an_invoice_for_a_later_period_tells_the_items_of_that_period():
    state = folded(listed(0), invoiced(0, 1), invoiced(30, 2, FIVE))
    assert items_of(state)["si_1"].quantity == 5
    assert items_of(folded(listed(31, period=2), invoiced(30, 2, FIVE)))["si_1"].quantity == 3


# Refunds in sums


@pytest.mark.parametrize(
    ("refunds", "studio", "plugin"),
    [
        ([refunded(4, 30.0)], 1, 0),
        ([refunded(4, 60.0)], 2, 0),
        ([refunded(4, 50.0)], 0, 1),
        ([refunded(4, 30.0), refunded(5, 50.0, refund_id="re_2")], 1, 1),
        ([refunded(4, 140.0)], 3, 1),
        ([refunded(4, 12.34)], 0, 0),
        ([refunded_so_far(4, 30.0)], 1, 0),
        ([refunded_so_far(4, 140.0, is_whole=True)], 3, 1),
        ([refunded_so_far(4, 30.0), refunded(4, 30.0)], 1, 0),
        ([refunded_so_far(5, 80.0), refunded(4, 30.0)], 0, 0),
        ([refunded(4, 30.0, has_failed=True)], 0, 0),
        ([refunded_so_far(4, 140.0, is_whole=True), refunded(4, 140.0, has_failed=True)], 0, 0),
        ([refunded(4, 30.0, order_id="somebody else's")], 0, 0),
    ],
)
def test_a_sum_is_told_in_units_where_only_one_reading_fits(refunds, studio, plugin):
    state = folded(sold(0, STUDIO, PLUGIN), *refunds)
    assert returned_quantity(state, STUDIO) == studio
    assert returned_quantity(state, PLUGIN) == plugin


def test_a_sum_that_fits_two_readings_is_a_question_for_a_person():
    twin = replace(PLUGIN, line="price_c", product="prod_c")
    state = folded(sold(0, PLUGIN, twin), refunded(4, 50.0))
    assert returned_quantity(state, PLUGIN) == 0
    assert "50.00" in unclear_refund(state)
    assert unclear_refund(folded(sold(0, STUDIO, PLUGIN), refunded(4, 50.0))) == ""


def test_only_the_refund_of_the_current_period_takes_a_subscription_away():
    state = folded(listed(0), invoiced(0, 1), refunded_so_far(20, 147.0, is_whole=True, order_id="in_1"))
    assert state_at(state, 21) is LicenseState.SUSPENDED
    renewed = folded(
        listed(30, period=2), invoiced(0, 1), refunded_so_far(20, 147, is_whole=True, order_id="in_1"), invoiced(30, 2)
    )
    assert state_at(renewed, 31) is LicenseState.ACTIVE


def test_a_refund_may_name_a_charge_by_its_payment():
    paid = invoiced(0, 1, aliases=("pi_7", "ch_7"))
    state = folded(listed(0), paid, refunded_so_far(20, 147.0, is_whole=True, order_id="pi_7"))
    assert state_at(state, 21) is LicenseState.SUSPENDED


# Disputes and customers


def test_a_lost_dispute_takes_the_license_and_a_won_one_gives_it_back():
    assert state_at(folded(sold(0, STUDIO), disputed(5)), 6) is LicenseState.SUSPENDED
    assert state_at(folded(sold(0, STUDIO), disputed(5), disputed(9, is_open=False)), 10) is LicenseState.ACTIVE
    lost = folded(sold(0, STUDIO), disputed(5), disputed(9, is_open=False, is_lost=True))
    assert state_at(lost, 10) is LicenseState.REVOKED


def test_a_lost_dispute_about_an_earlier_period_takes_nothing():
    renewed = [listed(0), invoiced(0, 1), invoiced(30, 2)]
    earlier = disputed(40, is_open=False, is_lost=True, order_id="in_1")
    assert state_at(folded(*renewed, earlier), 41) is LicenseState.ACTIVE
    assert state_at(folded(*renewed, replace(earlier, order_id="in_2")), 41) is LicenseState.REVOKED


def test_a_customer_who_changes_the_address_is_followed():
    state = folded(sold(0, STUDIO), renamed(5, "new@example.com"))
    assert state.customer
    assert state.customer.email == "new@example.com"
    assert folded(sold(6, STUDIO), renamed(5, "old@example.com")).customer == AVA


# Names


def test_an_order_is_known_by_all_its_names():
    assert folded(sold(0)).order_ids == {"cs_1", "pi_1"}
    assert folded(checked_out(), invoiced(0, 1, aliases=("pi_2",))).order_ids == {"cs_1", "in_1", "pi_2"}


def test_the_id_the_vendor_writes_is_the_one_that_any_description_tells():
    assert folded(sold(0, transaction_id=None)).transaction_id is None
    assert folded(sold(0, transaction_id=None), sold(1)).transaction_id == "pi_1"
