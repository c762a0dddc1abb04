"""Refunds and overrides in the plan: whole, in part, only money, and what staff decided."""

from __future__ import annotations

from dataclasses import replace

import pytest

from licensing_integration.domain.desired import Override
from licensing_integration.domain.outcomes import (
    ExpiryMode,
    LicenseState,
    PurchaseKind,
    PurchaseStatus,
    QuantityMode,
    RefundAction,
)
from licensing_integration.domain.planning import ItemPlan
from licensing_integration.domain.terms import Policies
from tests.domain.samples import (
    TERMS,
    add_on_bought,
    bought,
    charged,
    day,
    described,
    folded,
    given_back,
    line,
    ordered,
    plan,
    returned,
    snapshot,
)

ACTIVE, SUSPENDED = LicenseState.ACTIVE, LicenseState.SUSPENDED
REVOKED, ABSENT = LicenseState.REVOKED, LicenseState.ABSENT
OVERDUE, PAUSED, ENDED = PurchaseStatus.OVERDUE, PurchaseStatus.PAUSED, PurchaseStatus.ENDED
HOUR = 1 / 24
INTERVAL = replace(TERMS, expiry=ExpiryMode.INTERVAL)


def _states(item_plan: ItemPlan) -> list[LicenseState]:
    return [slot.desired.state for slot in item_plan.slots]


def _made(count: int) -> dict[int, Override | None]:
    return dict.fromkeys(range(1, count + 1))


# --- refunds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "state", "asks"),
    [
        (RefundAction.SUSPEND, SUSPENDED, False),
        (RefundAction.REVOKE, REVOKED, False),
        (RefundAction.DELETE, ABSENT, False),
        (RefundAction.IGNORE, ACTIVE, False),
        (RefundAction.ASK, ACTIVE, True),
    ],
)
def test_a_refunded_unit(action, state, asks):
    refunded = folded(ordered(line(quantity=2)), returned(5, given_back(quantity=1)))
    planned = plan(refunded, existing=_made(2), policies=Policies(refund_action=action))
    assert _states(planned) == [ACTIVE, state]
    assert ["as active to keep it" in slot.question for slot in planned.slots] == [False, asks]
    assert planned.returned_quantity == 1


def test_a_refund_of_several_units_takes_the_highest_first_and_adds_up():
    order = ordered(line(quantity=4))
    once = returned(5, given_back(quantity=1))
    again = returned(6, given_back(quantity=2), return_id="return-2")
    assert _states(plan(folded(order, once))) == [ACTIVE] * 3 + [SUSPENDED]
    assert _states(plan(folded(order, once, again))) == [ACTIVE] + [SUSPENDED] * 3


@pytest.mark.parametrize(
    "refund",
    [
        returned(5, is_whole_order=True),
        returned(5, given_back(quantity=3, is_full=True)),
        returned(5, given_back(quantity=1, is_full=True)),
        returned(5, given_back(quantity=3, amount=30.0)),
    ],
)
def test_a_full_refund_takes_every_unit(refund):
    assert _states(plan(folded(ordered(line(quantity=3, subtotal=30.0)), refund))) == [SUSPENDED] * 3


@pytest.mark.parametrize(("amount", "count"), [(5.0, 0), (9.0, 0), (10.0, 1), (9.95, 1), (15.0, 1), (None, 1)])
def test_a_goodwill_amount_below_the_price_takes_no_unit(amount, count):
    refunded = folded(ordered(line(quantity=3, subtotal=30.0)), returned(5, given_back(quantity=1, amount=amount)))
    assert plan(refunded).returned_quantity == count


def test_a_refund_of_another_product_or_order_does_not_count():
    order = ordered(line(), line("audio"))
    assert plan(folded(order, returned(5, given_back("audio")))).returned_quantity == 0
    assert plan(folded(order, returned(5, given_back("audio"))), name="audio").returned_quantity == 1
    assert plan(folded(order, returned(5, given_back(), order_id="other"))).returned_quantity == 0


@pytest.mark.parametrize(("units", "expected"), [(1, [0, 1]), (2, [0, 2]), (3, [1, 2]), (4, [2, 2]), (9, [2, 2])])
def test_units_of_a_product_on_two_lines_are_taken_back_once(units, expected):
    order = ordered(line(quantity=2), line("photon", 2, line="photon#2"))
    refunded = folded(order, returned(5, given_back(quantity=units)))
    assert [plan(refunded, name=name).returned_quantity for name in ("photon", "photon#2")] == expected


@pytest.mark.parametrize("mode", [QuantityMode.ACTIVATIONS, QuantityMode.FLOATING])
def test_a_partial_refund_takes_activations_or_seats(mode):
    terms = replace(TERMS, quantity_mode=mode)
    order = ordered(line(quantity=5))
    (part,) = plan(folded(order, returned(5, given_back(quantity=2))), terms=terms).slots
    assert part.desired.state is ACTIVE
    assert (part.desired.activations or part.desired.floating_clients) == 3
    (whole,) = plan(folded(order, returned(5, given_back(quantity=5))), terms=terms).slots
    assert whole.desired.state is SUSPENDED


def test_of_a_subscription_only_the_current_periods_refund_counts():
    first = returned(5, is_whole_order=True)
    assert _states(plan(folded(bought(), first))) == [SUSPENDED]
    assert _states(plan(folded(bought(), first, charged(30, 2)))) == [ACTIVE]
    renewal = returned(35, is_whole_order=True, order_id="renewal", return_id="return-2")
    renewed = charged(30, 2, order_id="renewal")
    assert _states(plan(folded(bought(), renewed, renewal))) == [SUSPENDED]
    assert _states(plan(folded(bought(), charged(30, 1, is_proration=True), first))) == [SUSPENDED]


def test_a_refund_names_the_subscription_it_belongs_to():
    mine = returned(5, given_back("studio", is_full=True, subscription_id="sub-1"))
    other = returned(5, given_back("studio", is_full=True, subscription_id="sub-2"))
    assert plan(folded(bought(), mine)).returned_quantity == 1
    assert plan(folded(bought(), other)).returned_quantity == 0
    assert plan(folded(ordered(line("studio")), other)).returned_quantity == 0


def test_add_ons_share_the_fate_of_the_order_that_pays_for_them():
    first = line("node", 2, line="addon:node:order-1")
    later = line("node", 2, line="addon:node:order-2", order_id="order-2")
    facts = [bought(add_ons=[first]), add_on_bought(3, later)]
    refunds = [
        returned(5, is_whole_order=True),
        returned(6, given_back("node", 1), order_id="order-2", return_id="return-2"),
    ]
    refunded = folded(*facts, *refunds)
    assert _states(plan(refunded, name="main")) == [SUSPENDED]
    assert _states(plan(refunded, name=first.line)) == [SUSPENDED, SUSPENDED]
    assert _states(plan(refunded, name=later.line)) == [ACTIVE, SUSPENDED]
    renewed = folded(*facts, *refunds, charged(30, 2))
    assert _states(plan(renewed, name="main")) == [ACTIVE]
    assert _states(plan(renewed, name=first.line)) == [ACTIVE, ACTIVE]


# --- overrides -------------------------------------------------------------------------------------------------------


def test_an_override_wins_until_it_ends():
    state = folded(bought(), described(5, OVERDUE))
    until = Override(until=day(20), state=ACTIVE)
    during = plan(state, now=19, existing={1: until})
    assert _states(during) == [ACTIVE]
    assert during.review_at == day(20)
    assert during.slots[0].reason == "Set by staff until 21 March 2026."
    after = plan(state, now=20, existing={1: until})
    assert _states(after) == [SUSPENDED]
    assert after.review_at is None


def test_an_override_of_the_date_leaves_the_state_to_the_plan():
    override = Override(until=day(90), expires_at=day(60))
    (slot,) = plan(folded(bought(), described(5, PAUSED)), existing={1: override}).slots
    assert slot.desired.state is SUSPENDED
    assert (slot.desired.expiry, slot.desired.expires_at) == (ExpiryMode.PAID_THROUGH, day(60))


def test_an_override_concerns_one_unit_and_silences_its_question():
    refunded = folded(ordered(line(quantity=2)), returned(5, is_whole_order=True))
    planned = plan(
        refunded,
        existing={1: Override(until=day(20), state=REVOKED), 2: None},
        policies=Policies(refund_action=RefundAction.ASK),
    )
    assert _states(planned) == [REVOKED, ACTIVE]
    assert [bool(slot.question) for slot in planned.slots] == [False, True]


def test_the_earliest_review_counts():
    overdue = folded(bought(quantity=2), described(30, OVERDUE, quantity=2))
    existing = {1: Override(until=day(33), state=ACTIVE), 2: Override(until=day(99), state=ACTIVE)}
    assert plan(overdue, now=31, existing=existing, policies=Policies(overdue_grace_days=7)).review_at == day(33)


def test_an_override_may_keep_a_license_that_nobody_pays_for():
    planned = plan(folded(bought(quantity=1)), existing={1: None, 2: Override(until=day(20), state=ACTIVE)})
    assert _states(planned) == [ACTIVE, ACTIVE]
    assert [slot.desired.is_issuable for slot in planned.slots] == [True, True]


def test_a_subscription_is_judged_by_its_kind():
    state = replace(folded(charged(0, None)), kind=PurchaseKind.SUBSCRIPTION, subscription=snapshot())
    assert _states(plan(state)) == [ACTIVE]
