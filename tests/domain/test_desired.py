"""What LicenseSpring's guide makes of a license: sizes by quantity, types, trials, grace, notes, and its policies."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from licensing_integration.domain.desired import Override
from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.outcomes import (
    DisputeAction,
    EndAction,
    ExpiryMode,
    LicenseState,
    LicenseType,
    OverdueAction,
    PauseAction,
    PolicyPreset,
    PurchaseStatus,
    QuantityMode,
    RefundAction,
)
from licensing_integration.domain.purchases import PurchaseState
from licensing_integration.domain.terms import Policies, Terms, preset_policies
from licensing_integration.services.codec import from_json, to_json
from tests.domain.samples import bought, charged, day, described, folded, line, ordered, period_end, plan

SPRING = Terms(server="spring", product_id="photon", expiry=ExpiryMode.PAID_THROUGH, is_annotated=True)
ONE_TIME = replace(SPRING, expiry=ExpiryMode.TEMPLATE)
TRIAL = bought(trial=True, paid_through=day(14))


def _desired(state: PurchaseState, terms: Terms, **more: Any) -> DesiredLicense:
    return plan(state, terms=terms, **more).slots[0].desired


def _sold(quantity: int = 1) -> PurchaseState:
    return folded(ordered(line(quantity=quantity)))


# --- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "terms", "licenses", "activations", "floating", "users"),
    [
        (QuantityMode.PER_UNIT, {}, 3, None, None, None),
        (QuantityMode.PER_UNIT, {"max_activations": 5}, 3, 5, None, None),
        (QuantityMode.PER_UNIT, {"max_activations": 5, "activations_per_unit": 2}, 3, 2, None, None),
        (QuantityMode.PER_UNIT, {"max_activations": 5, "floating_cloud": 2}, 3, 5, 2, None),
        (QuantityMode.PER_UNIT, {"max_activations": 5, "floating_cloud": 8}, 3, 8, 8, None),
        (QuantityMode.PER_UNIT, {"floating_cloud": 8}, 3, None, 8, None),
        (QuantityMode.ACTIVATIONS, {}, 1, 3, None, 3),
        (QuantityMode.ACTIVATIONS, {"max_activations": 20}, 1, 3, None, 3),
        (QuantityMode.ACTIVATIONS, {"floating_cloud": 8}, 1, 8, 8, 3),
        (QuantityMode.FLOATING, {"floating_cloud": 1}, 1, None, 3, None),
        (QuantityMode.FLOATING, {"floating_cloud": 1, "max_activations": 20}, 1, 20, 3, None),
        (QuantityMode.FLOATING, {"floating_cloud": 1, "max_activations": 2}, 1, 3, 3, None),
        (QuantityMode.USERS, {}, 1, None, None, 3),
    ],
)
def test_sizes(mode, terms, licenses, activations, floating, users):
    planned = plan(_sold(3), terms=replace(ONE_TIME, quantity_mode=mode, **terms))
    desired = planned.slots[0].desired
    assert len(planned.slots) == licenses
    assert (desired.activations, desired.floating_clients, desired.users) == (activations, floating, users)
    assert desired.is_floating_cloud is ("floating_cloud" in terms)


# --- types -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_attribute", [None, *LicenseType])
def test_a_subscription_wins_over_the_type_of_its_product(by_attribute):
    terms = replace(SPRING, license_type=by_attribute, valid_duration="30d", max_consumptions=9)
    desired = _desired(folded(bought()), terms)
    assert desired.license_type is LicenseType.SUBSCRIPTION
    assert (desired.valid_duration, desired.max_consumptions) == ("", None)
    assert desired.expires_at is not None


def test_a_subscription_that_a_mapping_lets_never_end_is_perpetual():
    desired = _desired(folded(bought()), replace(SPRING, expiry=ExpiryMode.PERPETUAL))
    assert (desired.license_type, desired.expiry) == (LicenseType.PERPETUAL, ExpiryMode.PERPETUAL)


@pytest.mark.parametrize(
    ("license_type", "duration", "consumptions"),
    [
        (None, "30d", None),
        (LicenseType.TIME_LIMITED, "30d", None),
        (LicenseType.PERPETUAL, "", None),
        (LicenseType.CONSUMPTION, "", 9),
        (LicenseType.SUBSCRIPTION, "", None),
    ],
)
def test_duration_and_consumptions_count_for_their_types_only(license_type, duration, consumptions):
    terms = replace(ONE_TIME, license_type=license_type, valid_duration="30d", max_consumptions=9, grace_hours=5)
    desired = _desired(_sold(), terms)
    assert desired.license_type is license_type
    assert (desired.valid_duration, desired.max_consumptions) == (duration, consumptions)
    assert desired.grace_hours is None


def test_a_one_time_license_that_never_ends_is_perpetual():
    assert _desired(_sold(), replace(ONE_TIME, expiry=ExpiryMode.PERPETUAL)).license_type is LicenseType.PERPETUAL


@pytest.mark.parametrize(
    ("is_maintained", "duration", "policy"), [(None, "1y", "p"), (True, "1y", "p"), (False, "", "")]
)
def test_maintenance_that_is_switched_off_has_no_length(is_maintained, duration, policy):
    terms = replace(ONE_TIME, is_maintained=is_maintained, maintenance_duration="1y", maintenance_policy_id="p")
    desired = _desired(_sold(), terms)
    assert (desired.is_maintained, desired.maintenance_duration) == (is_maintained, duration)
    assert desired.maintenance_policy_id == policy


def test_people_and_custom_fields_are_passed_on():
    terms = replace(ONE_TIME, is_customer_manager=True, is_customer_user=False, custom_fields={"Seats": "5"})
    desired = _desired(_sold(), terms)
    assert (desired.is_customer_manager, desired.is_customer_user) == (True, False)
    assert desired.custom_fields == {"Seats": "5"}


# --- trials ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "is_trial"),
    [
        ((bought(),), False),
        ((TRIAL,), True),
        ((TRIAL, described(3, PurchaseStatus.TRIAL)), True),
        ((TRIAL, described(14, PurchaseStatus.ACTIVE)), True),  # nobody has paid yet
        ((TRIAL, described(5, PurchaseStatus.CANCELED)), True),
        ((TRIAL, bought(1.0)), True),  # its first order sent again
        ((TRIAL, charged(14, 2)), False),
        ((charged(14, 2), TRIAL), False),
        ((TRIAL, charged(3, 1, is_proration=True)), False),  # paid for a change
        ((TRIAL, charged(14, 2), described(15, PurchaseStatus.TRIAL, sequence=2)), False),
    ],
)
def test_a_trial_is_one_until_the_first_charge(facts, is_trial):
    assert _desired(folded(*facts), SPRING, now=20).is_trial is is_trial


# --- grace, end date -------------------------------------------------------------------------------------------------


def test_hours_of_grace_are_told_beside_the_date_and_not_added_to_one_of_the_staff():
    terms, policies = replace(SPRING, grace_hours=48), preset_policies(PolicyPreset.LICENSESPRING, kind="licensespring")
    desired = _desired(folded(bought()), terms, policies=policies)
    assert (desired.expires_at, desired.grace_hours) == (period_end(1), 48)
    override = Override(until=day(20), expires_at=day(40))
    desired = _desired(folded(bought()), terms, existing={1: override})
    assert (desired.expires_at, desired.grace_hours) == (day(40), None)


def test_the_day_on_which_a_subscription_will_end_is_noted_and_taken_back():
    ends_at = datetime(2026, 4, 30, 22, 0, tzinfo=UTC)
    canceled = described(5, PurchaseStatus.CANCELED, ends_at=ends_at)
    assert _desired(folded(bought(), canceled), SPRING).end_date_note == date(2026, 4, 30)
    assert _desired(folded(bought(), canceled, described(6)), SPRING).end_date_note is None
    assert _desired(_sold(), ONE_TIME).end_date_note is None


# --- policies --------------------------------------------------------------------------------------------------------


def test_the_guides_policies():
    assert preset_policies(PolicyPreset.CRYPTLEX, kind="licensespring") == Policies()
    assert preset_policies(PolicyPreset.LICENSESPRING, kind="licensespring") == Policies(
        extra_days=0,
        overdue_action=OverdueAction.LOG,
        ended_action=EndAction.SUSPEND,
        paused_action=PauseAction.IGNORE,
        refund_action=RefundAction.IGNORE,
        dispute_action=DisputeAction.IGNORE,
    )


def test_where_an_end_is_a_moment_the_last_day_is_added():
    assert preset_policies(PolicyPreset.LICENSESPRING, kind="cryptlex").extra_days == 1


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (PurchaseStatus.OVERDUE, LicenseState.ACTIVE),
        (PurchaseStatus.UNPAID, LicenseState.ACTIVE),
        (PurchaseStatus.PAUSED, LicenseState.ACTIVE),
        (PurchaseStatus.CANCELED, LicenseState.ACTIVE),
        (PurchaseStatus.ENDED, LicenseState.SUSPENDED),
    ],
)
def test_only_the_end_of_a_subscription_takes_access_and_it_can_come_back(status, state):
    policies = preset_policies(PolicyPreset.LICENSESPRING, kind="licensespring")
    ended = folded(bought(), described(40, status))
    assert _desired(ended, SPRING, policies=policies, existing={1: None}, now=41).state is state
    again = folded(bought(), described(40, status), described(41, sequence=2))
    desired = _desired(again, SPRING, policies=policies, existing={1: None}, now=42)
    assert (desired.state, desired.expires_at) == (LicenseState.ACTIVE, period_end(2))


# --- what was stored before ------------------------------------------------------------------------------------------

STORED_TERMS = {
    "server": "cryptlex",
    "product_id": "prod-1",
    "template_id": "tmpl-1",
    "expiry": "paid_through",
    "quantity_mode": "activations",
    "activations_per_unit": 2,
    "origins": {"product_id": "product mapping", "quantity_mode": "product mapping", "expiry": "default"},
}
STORED_DESIRED = {
    "state": "active",
    "server": "cryptlex",
    "product_id": "prod-1",
    "template_id": "tmpl-1",
    "customer": {"email": "ava@example.com", "first_name": "Ava"},
    "expiry": "paid_through",
    "activations": 6,
    "vendor_metadata": {"fastspring_subscription_id": "sub-1"},
}


@pytest.mark.parametrize(
    ("fact", "expires_at"),
    [
        (bought(quantity=3), "2026-04-01T00:00:00+00:00"),
        (bought(quantity=3, trial=True, paid_through=period_end(1)), "2026-04-01T00:00:00+00:00"),
        (bought(quantity=3, ends_at=day(60)), "2026-04-01T00:00:00+00:00"),
    ],
)
def test_licenses_of_before_are_wanted_exactly_as_before(fact, expires_at):
    """A trial, an announced end: what is stored stays byte for byte, so no license is touched by an update of ours."""
    terms = from_json(STORED_TERMS, Terms)
    assert to_json(terms) == STORED_TERMS
    assert to_json(_desired(folded(fact), terms)) == {**STORED_DESIRED, "expires_at": expires_at}


def test_everything_wanted_survives_being_stored():
    terms = replace(
        SPRING, floating_cloud=3, grace_hours=5, custom_fields={"a": "b"}, is_maintained=True, maintenance_duration="1y"
    )
    canceled = described(5, PurchaseStatus.CANCELED, ends_at=day(30))
    desired = replace(_desired(folded(TRIAL, canceled), terms), features=("a", "b"))
    assert desired.is_trial
    assert desired.end_date_note
    assert from_json(to_json(desired), DesiredLicense) == desired
    everything = replace(terms, license_type=LicenseType.CONSUMPTION, preset=PolicyPreset.LICENSESPRING)
    assert from_json(to_json(everything), Terms) == everything
