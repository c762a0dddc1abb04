"""Planning: every policy and its choices, every quantity mode, waiting, grace and the end date."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from licensing_integration.domain.desired import Override
from licensing_integration.domain.facts import Customer
from licensing_integration.domain.outcomes import (
    DisputeAction,
    EndAction,
    ExpiryMode,
    LicenseState,
    OverdueAction,
    PauseAction,
    PurchaseStatus,
    QuantityMode,
)
from licensing_integration.domain.planning import ItemPlan
from licensing_integration.domain.terms import Policies
from tests.domain.samples import (
    AVA,
    TERMS,
    bought,
    charged,
    day,
    described,
    disputed,
    folded,
    line,
    ordered,
    period_end,
    plan,
    returned,
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
