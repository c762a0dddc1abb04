"""Planning: every policy and its choices, every quantity mode, refunds, grace, overrides."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from licensing_integration.domain.facts import Customer
from licensing_integration.domain.outcomes import (
    DisputeAction,
    EndAction,
    ExpiryMode,
    LicenseState,
    OverdueAction,
    PauseAction,
    PurchaseKind,
    PurchaseStatus,
    QuantityMode,
    RefundAction,
)
from licensing_integration.domain.planning import ItemPlan, Override
from licensing_integration.domain.terms import Policies
from tests.domain.samples import (
    AVA,
    TERMS,
    add_on_bought,
    bought,
    charged,
    day,
    described,
    disputed,
    folded,
    given_back,
    line,
    ordered,
    period_end,
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


# --- what is desired -------------------------------------------------------------------------------------------------


def test_a_paid_order_becomes_an_active_license_for_its_buyer():
    (slot,) = plan(folded(ordered(line()))).slots
    assert slot.unit == 1
    assert slot.desired.state is ACTIVE
    assert slot.desired.customer == AVA
    assert (slot.desired.server, slot.desired.product_id, slot.desired.template_id) == ("cryptlex", "prod-1", "tmpl-1")
    assert slot.desired.vendor_metadata == {"fastspring_subscription_id": "sub-1"}
    assert slot.reason == "The order is paid."


def test_a_purchase_without_a_customer_gets_a_license_for_nobody():
    state = folded(replace(ordered(line()), customer=None))
    assert plan(state).slots[0].desired.customer == Customer()


def test_terms_are_passed_on():
    terms = replace(TERMS, entitlement_set_id="set", max_release_version="2.0", interval="P1Y", activations_per_unit=4)
    desired = plan(folded(bought()), terms=terms).slots[0].desired
    assert (desired.entitlement_set_id, desired.max_release_version, desired.interval) == ("set", "2.0", "P1Y")
    assert desired.activations == 4


@pytest.mark.parametrize("status", [PurchaseStatus.PENDING, PurchaseStatus.NOT_PAID])
def test_an_unpaid_order_wants_no_license(status):
    state = folded(ordered(line(), status=status), ordered(line(), at=-1))
    unpaid = replace(state, order_status=status)
    assert plan(unpaid).slots == ()
    assert _states(plan(unpaid, existing=_made(1))) == [ABSENT]


def test_an_order_known_from_its_refund_only_waits():
    state = replace(folded(ordered(line()), returned()), order_status=PurchaseStatus.UNKNOWN)
    waiting = plan(state, existing=_made(1))
    assert waiting.slots == ()
    assert waiting.waiting_reason == "The order itself has not arrived yet."


# --- waiting for the order -------------------------------------------------------------------------------------------


def test_an_activation_alone_waits_an_hour_for_its_order():
    waiting = plan(folded(described(0)), now=0.5 * HOUR)
    assert waiting.slots == ()
    assert waiting.review_at == day(0) + timedelta(hours=1)
    assert waiting.waiting_reason


def test_after_an_hour_an_activation_is_enough():
    assert _states(plan(folded(described(0)), now=HOUR)) == [ACTIVE]


@pytest.mark.parametrize("proof", [bought(), charged(0, 1), described(0, sequence=2)])
def test_an_order_a_charge_or_a_second_period_need_no_waiting(proof):
    assert _states(plan(folded(described(0), proof), now=0)) == [ACTIVE]


# --- quantity --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "slots", "activations", "floating"),
    [
        (QuantityMode.PER_UNIT, 3, 2, None),
        (QuantityMode.ACTIVATIONS, 1, 6, None),
        (QuantityMode.FLOATING, 1, 2, 6),
        (QuantityMode.USERS, 1, 2, None),
    ],
)
def test_quantity_modes(mode, slots, activations, floating):
    terms = replace(TERMS, quantity_mode=mode, activations_per_unit=2)
    planned = plan(folded(bought(quantity=3)), terms=terms)
    assert [slot.unit for slot in planned.slots] == list(range(1, slots + 1))
    assert planned.slots[0].desired.activations == activations
    assert planned.slots[0].desired.floating_clients == floating


def test_without_a_number_of_activations_the_template_decides():
    assert plan(folded(bought(quantity=3))).slots[0].desired.activations is None


@pytest.mark.parametrize("mode", [QuantityMode.ACTIVATIONS, QuantityMode.FLOATING])
def test_one_license_for_all_units_ends_with_the_last_of_them(mode):
    terms = replace(TERMS, quantity_mode=mode)
    planned = plan(folded(bought(quantity=0)), terms=terms, existing=_made(1))
    assert _states(planned) == [ABSENT]


@pytest.mark.parametrize(
    ("quantity", "made", "states"),
    [
        (0, 0, []),
        (0, 2, [ABSENT, ABSENT]),
        (1, 3, [ACTIVE, ABSENT, ABSENT]),
        (3, 1, [ACTIVE, ACTIVE, ACTIVE]),
        (3, 3, [ACTIVE, ACTIVE, ACTIVE]),
    ],
)
def test_quantity_up_down_and_to_nothing(quantity, made, states):
    assert _states(plan(folded(bought(quantity=quantity)), existing=_made(made))) == states


@pytest.mark.parametrize(
    ("action", "state"),
    [
        (EndAction.DELETE, ABSENT),
        (EndAction.REVOKE, REVOKED),
        (EndAction.SUSPEND, SUSPENDED),
        (EndAction.LEAVE, ACTIVE),
    ],
)
def test_units_no_longer_paid_for_end_as_the_policy_says(action, state):
    planned = plan(folded(bought(quantity=1)), existing=_made(2), policies=Policies(ended_action=action))
    assert _states(planned) == [ACTIVE, state]
    assert [slot.desired.is_issuable for slot in planned.slots] == [True, False]
    assert planned.slots[1].reason == "The quantity is now 1; this unit is no longer paid for."


# --- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "state"),
    [
        (EndAction.DELETE, ABSENT),
        (EndAction.REVOKE, REVOKED),
        (EndAction.SUSPEND, SUSPENDED),
        (EndAction.LEAVE, ACTIVE),
    ],
)
def test_an_ended_subscription_ends_its_licenses_as_the_policy_says(action, state):
    ended = folded(bought(), described(20, ENDED))
    planned = plan(ended, existing=_made(1), policies=Policies(ended_action=action))
    assert _states(planned) == [state]
    assert "ended" in planned.slots[0].reason


@pytest.mark.parametrize("action", list(EndAction))
def test_an_ended_subscription_never_gets_a_new_license(action):
    ended = folded(bought(), described(20, ENDED))
    assert plan(ended, policies=Policies(ended_action=action)).slots == ()


@pytest.mark.parametrize(
    ("action", "states"),
    [
        (EndAction.DELETE, [ABSENT]),
        (EndAction.REVOKE, [REVOKED]),
        (EndAction.SUSPEND, [SUSPENDED]),
        (EndAction.LEAVE, []),
    ],
)
def test_a_license_somebody_else_made_ends_too(action, states):
    ended = folded(described(20, ENDED, sequence=2))
    planned = plan(ended, policies=Policies(ended_action=action), is_adoptable=True)
    assert _states(planned) == states
    assert not any(slot.desired.is_issuable for slot in planned.slots)


def test_a_license_left_to_run_out_can_still_be_disputed():
    ended = folded(bought(), described(20, ENDED), disputed())
    assert _states(plan(ended, existing=_made(1), policies=Policies(ended_action=EndAction.LEAVE))) == [SUSPENDED]


def test_a_canceled_subscription_stays_usable_until_it_ends():
    canceled = folded(bought(), described(5, PurchaseStatus.CANCELED, ends_at=period_end(1)))
    (slot,) = plan(canceled).slots
    assert slot.desired.state is ACTIVE
    assert slot.reason == "Canceled; paid until 31 March 2026."


# --- paused and disputed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("action", "state"), [(PauseAction.SUSPEND, SUSPENDED), (PauseAction.IGNORE, ACTIVE)])
def test_a_paused_subscription(action, state):
    paused = folded(bought(), described(5, PAUSED))
    assert _states(plan(paused, policies=Policies(paused_action=action))) == [state]


@pytest.mark.parametrize(("action", "state"), [(DisputeAction.SUSPEND, SUSPENDED), (DisputeAction.IGNORE, ACTIVE)])
def test_a_disputed_payment(action, state):
    assert _states(plan(folded(ordered(line()), disputed()), policies=Policies(dispute_action=action))) == [state]


def test_a_dispute_that_was_won_restores_the_license():
    assert _states(plan(folded(ordered(line()), disputed(5), disputed(9, is_open=False)))) == [ACTIVE]


# --- overdue and grace -----------------------------------------------------------------------------------------------


def test_an_overdue_subscription_is_suspended_at_once_even_if_the_stores_clock_runs_ahead():
    planned = plan(folded(bought(), described(30, OVERDUE)), now=29)
    assert _states(planned) == [SUSPENDED]
    assert planned.slots[0].reason == "The payment is overdue since 31 March 2026."
    assert planned.review_at is None


def test_overdue_can_be_only_logged():
    overdue = folded(bought(), described(30, OVERDUE))
    assert _states(plan(overdue, policies=Policies(overdue_action=OverdueAction.LOG))) == [ACTIVE]


def test_grace_keeps_the_license_and_asks_to_be_looked_at_when_it_ends():
    overdue, policies = folded(bought(), described(30, OVERDUE)), Policies(overdue_grace_days=7)
    during = plan(overdue, now=36.9, policies=policies)
    assert _states(during) == [ACTIVE]
    assert during.review_at == day(37)
    assert "usable until 7 April 2026" in during.slots[0].reason
    after = plan(overdue, now=37, policies=policies)
    assert _states(after) == [SUSPENDED]
    assert after.review_at is None


def test_a_second_notice_does_not_prolong_grace():
    overdue = folded(bought(), described(30, OVERDUE), described(35, OVERDUE))
    assert _states(plan(overdue, now=37, policies=Policies(overdue_grace_days=7))) == [SUSPENDED]


@pytest.mark.parametrize(("grace", "expires_at"), [(0, period_end(1) + timedelta(days=1)), (20, day(30 + 20))])
def test_grace_longer_than_the_paid_period_moves_the_end_of_the_license(grace, expires_at):
    overdue = folded(bought(), described(30, OVERDUE))
    (slot,) = plan(overdue, now=31, policies=Policies(overdue_grace_days=grace)).slots
    assert slot.desired.expires_at == expires_at


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
    assert [bool(slot.question) for slot in planned.slots] == [False, asks]
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


# --- the end date ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extra_days", [0, 1, 3])
def test_the_license_ends_some_days_after_the_paid_period(extra_days):
    (slot,) = plan(folded(bought()), policies=Policies(extra_days=extra_days)).slots
    assert slot.desired.expiry is ExpiryMode.PAID_THROUGH
    assert slot.desired.expires_at == period_end(1) + timedelta(days=extra_days)
    assert slot.reason == "Paid until 31 March 2026."


def test_without_a_date_from_the_store_the_template_decides():
    (slot,) = plan(folded(bought(paid_through=None))).slots
    assert (slot.desired.expiry, slot.desired.expires_at) == (ExpiryMode.TEMPLATE, None)


@pytest.mark.parametrize("mode", [ExpiryMode.PERPETUAL, ExpiryMode.TEMPLATE])
def test_other_expiry_modes_send_no_date(mode):
    (slot,) = plan(folded(bought()), terms=replace(TERMS, expiry=mode)).slots
    assert (slot.desired.expiry, slot.desired.expires_at) == (mode, None)


def test_with_an_interval_each_paid_period_counts_once():
    state = folded(bought(), charged(30, 2), charged(31, 2, is_proration=True))
    (slot,) = plan(state, terms=INTERVAL).slots
    assert (slot.desired.expiry, slot.desired.periods) == (ExpiryMode.INTERVAL, 2)
    assert plan(state).slots[0].desired.periods == 1


def test_a_trial_ends_on_its_own_date_whatever_the_interval():
    trial = folded(bought(trial=True, paid_through=day(14)))
    (slot,) = plan(trial, terms=INTERVAL).slots
    assert (slot.desired.expiry, slot.desired.periods) == (ExpiryMode.PAID_THROUGH, 0)
    assert slot.desired.expires_at == day(15)
    assert slot.reason == "On trial until 15 March 2026."


def test_a_trial_that_was_paid_has_its_first_period_and_says_when_it_ends():
    paid = folded(bought(trial=True), charged(14, 2))
    (slot,) = plan(paid, terms=INTERVAL).slots
    assert (slot.desired.expiry, slot.desired.periods) == (ExpiryMode.INTERVAL, 1)
    assert slot.desired.expires_at == period_end(2) + timedelta(days=1)


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
