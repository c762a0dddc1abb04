"""How the LicenseSpring backend changes a license that exists: few calls, nothing lost, nothing blocked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from licensing_integration.domain.facts import Customer
from licensing_integration.domain.licenses import DesiredLicense, LicenseSnapshot
from licensing_integration.domain.outcomes import ExpiryMode, LicenseState, LicenseType
from licensing_integration.exceptions import PermanentRemoteError, TransientRemoteError, UnsupportedOperation
from licensing_integration.license_servers.base import SLOT_METADATA_KEY, Convergence
from licensing_integration.license_servers.licensespring.client import MOST_PAGES
from licensing_integration.sandbox.licensespring import LicenseSpringOptions
from tests.license_servers.contract import NEXT_YEAR, new_slot
from tests.license_servers.licensespring.harness import APP, PRO, SLOT, TEAM, LicenseSpringHarness, running

MONTH = timedelta(days=31)
LATER = NEXT_YEAR + MONTH
LAST_SECOND = NEXT_YEAR.replace(hour=23, minute=59, second=59)
READ, CHANGE = ("GET", "licenses/{id}"), ("PATCH", "licenses/{id}")
ENABLE, DISABLE = ("POST", "licenses/{id}/enable"), ("POST", "licenses/{id}/disable")
FEATURES, ASSIGN = ("POST", "licenses/{id}/update_features"), ("POST", "licenses/{id}/assign_user")
OVERRIDES, NEW_OVERRIDE = ("GET", "license-custom-fields"), ("POST", "license-custom-fields")


@pytest.fixture
def options() -> LicenseSpringOptions:
    return LicenseSpringOptions()


@pytest.fixture
def harness(options: LicenseSpringOptions) -> Iterator[LicenseSpringHarness]:
    with running(options=options) as harness:
        yield harness


@pytest.fixture
def desired() -> DesiredLicense:
    return DesiredLicense(
        state=LicenseState.ACTIVE,
        server="main",
        product_id=PRO,
        customer=Customer(email="ada@customer.example", first_name="Ada"),
        expiry=ExpiryMode.PAID_THROUGH,
        expires_at=NEXT_YEAR,
        activations=3,
    )


@pytest.fixture
def issued(harness: LicenseSpringHarness, desired: DesiredLicense) -> LicenseSnapshot:
    return harness.issue(desired)


def converge(
    harness: LicenseSpringHarness, observed: LicenseSnapshot, applied: DesiredLicense | None, wanted: DesiredLicense
) -> Convergence:
    return harness.backend.converge(observed, applied=applied, desired=wanted, user_id="", is_retry=False)


def bodies(harness: LicenseSpringHarness) -> list[Any]:
    return [request.body for request in harness.box.requests if request.method == "PATCH"]


# One PATCH


def test_everything_that_differs_goes_into_one_call(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    wanted = replace(
        desired,
        expires_at=LATER,
        activations=9,
        floating_clients=4,
        grace_hours=24,
        is_maintained=True,
        maintenance_duration="1y",
    )
    done = converge(harness, issued, desired, wanted)
    assert harness.calls() == [CHANGE]
    assert bodies(harness) == [
        {
            "is_trial": False,
            "validity_period": f"{LATER:%Y-%m-%d}",
            "allow_grace_period": True,
            "grace_period": 24,
            "floating_users": 4,
            "is_floating_cloud": True,
            "max_activations": 9,
            "enable_maintenance_period": True,
            "maintenance_duration": "1y",
        }
    ]
    assert done.verbs == ("changed", "renewed")
    assert done.notes == ()
    assert done.snapshot is not None
    assert (done.snapshot.activations, done.snapshot.floating_clients) == (9, 4)
    assert done.snapshot.metadata[SLOT_METADATA_KEY] == SLOT


def test_another_time_of_the_same_day_is_no_difference(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    wanted = replace(desired, expires_at=NEXT_YEAR.replace(hour=0, minute=0, second=0))
    assert converge(harness, issued, desired, wanted) == Convergence(snapshot=issued)
    assert converge(harness, issued, None, wanted) == Convergence(snapshot=issued)
    assert harness.calls() == []


def test_a_trial_becomes_a_full_license_with_its_new_end(
    harness: LicenseSpringHarness, desired: DesiredLicense
) -> None:
    trial = replace(desired, is_trial=True)
    issued = harness.issue(trial)
    assert issued.is_trial
    done = converge(harness, issued, trial, replace(desired, expires_at=LATER))
    assert bodies(harness) == [{"is_trial": False, "validity_period": f"{LATER:%Y-%m-%d}"}]
    assert done.verbs == ("renewed",)
    assert done.snapshot is not None
    assert not done.snapshot.is_trial


def test_a_renewal_during_a_trial_keeps_the_trial(harness: LicenseSpringHarness, desired: DesiredLicense) -> None:
    trial = replace(desired, is_trial=True)
    issued = harness.issue(trial)
    done = converge(harness, issued, trial, replace(trial, expires_at=LATER))
    assert done.snapshot is not None
    assert done.snapshot.is_trial


def test_the_end_of_a_trial_is_told_also_when_the_day_stays(
    harness: LicenseSpringHarness, desired: DesiredLicense
) -> None:
    trial = replace(desired, is_trial=True)
    issued = harness.issue(trial)
    assert converge(harness, issued, trial, desired).verbs == ("changed",)
    assert bodies(harness) == [{"is_trial": False, "validity_period": f"{NEXT_YEAR:%Y-%m-%d}"}]


def test_an_adopted_license_is_brought_to_the_end_that_was_paid_for(
    harness: LicenseSpringHarness, desired: DesiredLicense
) -> None:
    license_id = harness.make_license(product_id=PRO, metadata={}, validity_period="2030-01-31")
    observed = harness.backend.fetch(license_id)
    assert observed is not None
    done = converge(harness, observed, None, desired)
    assert done.snapshot is not None
    assert done.snapshot.expires_at == LAST_SECOND
    assert done.snapshot.activations == 3


def test_a_perpetual_license_takes_no_end_and_the_history_says_so(
    harness: LicenseSpringHarness, desired: DesiredLicense
) -> None:
    endless = replace(desired, expiry=ExpiryMode.PERPETUAL, expires_at=None)
    issued = harness.issue(endless)
    done = converge(harness, issued, endless, desired)
    assert any("perpetual" in note for note in done.notes)


@pytest.mark.parametrize("expiry", [ExpiryMode.PERPETUAL, ExpiryMode.TEMPLATE])
def test_an_end_date_cannot_be_taken_away(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot, expiry: ExpiryMode
) -> None:
    done = converge(harness, issued, desired, replace(desired, expiry=expiry, expires_at=None))
    assert harness.calls() == []
    assert len(done.notes) == 1
    assert "keeps its own" in done.notes[0]


# Paid periods without a date


def test_paid_periods_are_added_to_the_recorded_end_however_often_it_is_tried(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    one = replace(desired, expiry=ExpiryMode.INTERVAL, expires_at=None, interval="P30D", periods=1)
    for _ in range(2):
        done = converge(harness, issued, one, replace(one, periods=3))
        assert done.snapshot is not None
        assert done.snapshot.expires_at == LAST_SECOND + timedelta(days=60)
        assert done.verbs == ("renewed",)
    assert harness.calls() == [CHANGE, CHANGE]


def test_a_period_that_was_given_back_takes_nothing_away(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    three = replace(desired, expiry=ExpiryMode.INTERVAL, expires_at=None, interval="P30D", periods=3)
    assert converge(harness, issued, three, replace(three, periods=2)) == Convergence(snapshot=issued)


@pytest.mark.parametrize("interval", ["", "PT36H"])
def test_a_period_of_unknown_length_is_told(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot, interval: str
) -> None:
    one = replace(desired, expiry=ExpiryMode.INTERVAL, expires_at=None, interval=interval, periods=1)
    done = converge(harness, issued, one, replace(one, periods=2))
    assert harness.calls() == []
    assert "Not renewed" in done.notes[0]


def test_an_adopted_license_is_not_shortened_in_interval_mode(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    wanted = replace(desired, expiry=ExpiryMode.INTERVAL, interval="P1M", expires_at=NEXT_YEAR - MONTH)
    assert converge(harness, issued, None, wanted) == Convergence(snapshot=issued)
    done = converge(harness, issued, None, replace(wanted, expires_at=LATER))
    assert done.verbs == ("renewed",)


def test_the_end_that_comes_with_the_activation_is_nobodys_mistake(
    harness: LicenseSpringHarness, desired: DesiredLicense
) -> None:
    year = replace(
        desired,
        expiry=ExpiryMode.PERPETUAL,
        expires_at=None,
        license_type=LicenseType.TIME_LIMITED,
        valid_duration="1y",
    )
    issued = harness.issue(year)
    harness.box.activate(int(issued.license_id))
    observed = harness.backend.fetch(issued.license_id)
    assert observed is not None
    assert observed.expires_at is not None
    assert converge(harness, observed, None, year) == Convergence(snapshot=observed)


def test_a_changed_duration_is_sent_for_a_time_limited_license_only(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    year = replace(
        desired,
        expiry=ExpiryMode.TEMPLATE,
        expires_at=None,
        license_type=LicenseType.TIME_LIMITED,
        valid_duration="1y",
    )
    limited = harness.issue(year, slot=new_slot())
    converge(harness, limited, year, replace(year, valid_duration="2y"))
    assert bodies(harness) == [{"is_trial": False, "valid_duration": "2y"}]
    harness.forget_calls()
    assert converge(harness, limited, None, year).verbs == ()
    converge(harness, issued, year, replace(year, valid_duration="2y"))
    assert harness.calls() == []


# On and off


@pytest.mark.parametrize(
    ("state", "verb", "note"),
    [
        (LicenseState.SUSPENDED, "suspended", ""),
        (LicenseState.REVOKED, "suspended", "one kind of off"),
        (LicenseState.ABSENT, "suspended", "deletes no licenses"),
    ],
)
def test_every_off_is_disabled(
    harness: LicenseSpringHarness,
    desired: DesiredLicense,
    issued: LicenseSnapshot,
    state: LicenseState,
    verb: str,
    note: str,
) -> None:
    off = replace(desired, state=state)
    done = converge(harness, issued, desired, off)
    assert harness.calls() == [DISABLE, READ]
    assert done.verbs == (verb,)
    assert [note in told for told in done.notes] == ([True] if note else [])
    assert done.snapshot is not None
    assert done.snapshot.state is LicenseState.SUSPENDED
    assert not harness.license(issued.license_id)["enabled"]
    harness.forget_calls()
    assert converge(harness, done.snapshot, off, off) == Convergence(snapshot=done.snapshot)
    back = converge(harness, done.snapshot, off, desired)
    assert harness.calls() == [ENABLE, READ]
    assert back.verbs == ("reinstated",)


def test_from_one_off_to_another_is_only_told(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    off = replace(desired, state=LicenseState.SUSPENDED)
    suspended = converge(harness, issued, desired, off).snapshot
    assert suspended is not None
    harness.forget_calls()
    done = converge(harness, suspended, off, replace(desired, state=LicenseState.REVOKED))
    assert harness.calls() == []
    assert (done.verbs, len(done.notes)) == ((), 1)


def test_a_late_payment_takes_two_calls(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    off = replace(desired, state=LicenseState.SUSPENDED)
    suspended = converge(harness, issued, desired, off).snapshot
    assert suspended is not None
    harness.forget_calls()
    done = converge(harness, suspended, off, replace(desired, expires_at=LATER))
    assert harness.calls() == [ENABLE, CHANGE]
    assert done.verbs == ("renewed", "reinstated")
    assert done.snapshot is not None
    assert done.snapshot.state is LicenseState.ACTIVE


def test_access_is_taken_away_before_anything_else(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    harness.box.faults.add(kind="status", method="PATCH", status=503)
    with pytest.raises(TransientRemoteError) as failure:
        converge(harness, issued, desired, replace(desired, state=LicenseState.SUSPENDED, activations=1))
    assert failure.value.is_partial
    assert not harness.license(issued.license_id)["enabled"]


def test_a_license_that_should_not_be_and_is_gone_is_told_as_deleted(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    harness.remove(issued.license_id)
    done = converge(harness, issued, desired, replace(desired, state=LicenseState.ABSENT))
    assert (done.snapshot, done.verbs) == (None, ("deleted",))


def test_a_license_of_another_product_can_still_be_disabled(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    other = replace(desired, product_id=APP, activations=9)
    done = converge(harness, issued, desired, replace(other, state=LicenseState.SUSPENDED))
    assert harness.calls() == [DISABLE, READ]
    assert "another product" in done.notes[0]
    with pytest.raises(UnsupportedOperation):
        converge(harness, issued, None, other)


@pytest.mark.parametrize("elsewhere", [{"product_id": APP}, {"server": "other"}])
def test_a_license_that_cannot_become_another_follows_what_is_paid_for(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot, elsewhere: dict[str, Any]
) -> None:
    """The end date and nothing else: sizes, features and fields may mean something else there."""
    wanted = replace(desired, **elsewhere, expires_at=LATER, activations=9, features=("reports",), grace_hours=24)
    for _ in range(2):  # nothing of a refused attempt is recorded, so it may be made again
        with pytest.raises(UnsupportedOperation, match="It was renewed all the same") as failure:
            converge(harness, issued, desired, wanted)
        assert failure.value.is_partial
    assert bodies(harness) == [{"is_trial": False, "validity_period": f"{LATER:%Y-%m-%d}"}] * 2
    assert harness.calls() == [CHANGE] * 2
    harness.forget_calls()
    with pytest.raises(UnsupportedOperation, match="Map the product back") as failure:
        converge(harness, issued, desired, replace(desired, **elsewhere, activations=9))
    assert (harness.calls(), failure.value.is_partial) == ([], False)


@pytest.mark.parametrize("elsewhere", [{"product_id": APP}, {"server": "other"}])
def test_a_license_that_cannot_become_another_is_usable_again_once_paid_for(
    harness: LicenseSpringHarness, desired: DesiredLicense, elsewhere: dict[str, Any]
) -> None:
    off = replace(desired, state=LicenseState.SUSPENDED)
    issued = harness.issue(off)
    with pytest.raises(UnsupportedOperation, match="It was renewed and reinstated all the same"):
        converge(harness, issued, off, replace(desired, **elsewhere, expires_at=LATER))
    assert harness.calls() == [ENABLE, CHANGE]
    assert harness.license(issued.license_id)["enabled"]


def test_access_to_a_license_on_the_wrong_server_is_taken_away_at_once(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    """A person is asked all the same: it is still not where it should be."""
    wanted = replace(desired, server="other", state=LicenseState.SUSPENDED)
    with pytest.raises(UnsupportedOperation, match="It was suspended all the same"):
        converge(harness, issued, desired, wanted)
    assert harness.calls() == [DISABLE, READ]


def test_a_refused_end_date_of_a_license_that_cannot_become_another_is_told_in_the_servers_words(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    harness.fail_next(status=400)
    with pytest.raises(PermanentRemoteError):
        converge(harness, issued, desired, replace(desired, product_id=APP, expires_at=LATER))


# Sizes


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"activations": 0}, {"allow_unlimited_activation": True}),
        ({"activations": 0}, {"activations": 3}, {"max_activations": 3, "allow_unlimited_activation": False}),
        (
            {"floating_clients": 2},
            {"floating_clients": 5},
            {"floating_users": 5, "max_activations": 5},
        ),
        ({"floating_clients": 3}, {"floating_clients": 2}, {"floating_users": 2}),
        (
            {"floating_clients": 2, "is_floating_cloud": True},
            {"floating_clients": 3},
            {"floating_users": 3, "is_floating_cloud": True},
        ),
        ({"grace_hours": 48}, {"grace_hours": None}, {"allow_grace_period": False, "grace_period": 0}),
        ({"activations": 4, "users": 4}, {"activations": 5, "users": 5}, {"max_activations": 5}),
        (
            {"activations": None, "floating_clients": 2},
            {"activations": None, "floating_clients": 5},
            {"floating_users": 5, "max_activations": 5},
        ),
    ],
)
def test_a_new_quantity(
    harness: LicenseSpringHarness,
    desired: DesiredLicense,
    before: dict[str, Any],
    after: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    applied = replace(desired, **before)
    issued = harness.issue(applied)
    done = converge(harness, issued, applied, replace(desired, **{**before, **after}))
    assert bodies(harness) == [expected]
    assert done.verbs == ("changed",)
    assert done.notes == ()


def test_unlimited_activations_are_read_as_such(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense
) -> None:
    options.unlimited_shown = True
    unlimited = replace(desired, activations=0)
    issued = harness.issue(unlimited)
    assert issued.activations == 0
    assert converge(harness, issued, None, unlimited) == Convergence(snapshot=issued)


@pytest.mark.parametrize("activations", [None, 7])
def test_seats_of_a_user_based_license(
    harness: LicenseSpringHarness, desired: DesiredLicense, activations: int | None
) -> None:
    """A quantity that is given in both is counted in users."""
    team = replace(desired, product_id=TEAM, activations=activations and 3, users=3)
    issued = harness.issue(team)
    done = converge(harness, issued, team, replace(team, activations=activations, users=7))
    assert bodies(harness) == [{"max_license_users": 7}]
    assert done.snapshot is not None
    assert done.snapshot.users == 7


def test_seats_of_a_key_based_license_are_not_counted(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    done = converge(harness, issued, desired, replace(desired, users=7))
    assert harness.calls() == []
    assert "key-based" in done.notes[0]


def test_a_size_that_is_left_to_the_product_stays(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    done = converge(harness, issued, desired, replace(desired, activations=None))
    assert harness.calls() == []
    assert "left to the product" in done.notes[0]


# What the server refuses


def test_a_refused_reduction_is_told_and_the_renewal_is_made(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    for machine in range(3):
        harness.box.activate(int(issued.license_id), hardware_id=f"machine-{machine}")
    done = converge(harness, issued, desired, replace(desired, activations=1, expires_at=LATER))
    assert harness.calls() == [CHANGE, CHANGE, CHANGE]
    assert done.verbs == ("renewed",)
    assert "activations" in done.notes[0]
    assert done.snapshot is not None
    assert done.snapshot.activations == 3
    assert done.snapshot.expires_at == LAST_SECOND + MONTH


def test_a_reduction_may_be_allowed(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    options.below_usage = "allow"
    for machine in range(3):
        harness.box.activate(int(issued.license_id), hardware_id=f"machine-{machine}")
    assert converge(harness, issued, desired, replace(desired, activations=1)).verbs == ("changed",)


def test_a_refused_increase_needs_a_person_but_the_rest_is_done(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    harness.box.faults.add(kind="status", method="PATCH", status=400)  # all together
    harness.box.faults.add(kind="status", method="PATCH", status=400, message="Your plan ends here.", skip=1)
    with pytest.raises(PermanentRemoteError, match="Your plan ends here") as failure:
        converge(harness, issued, desired, replace(desired, activations=9, expires_at=LATER))
    assert failure.value.is_partial
    assert harness.license(issued.license_id)["validity_period"].startswith(f"{LATER:%Y-%m-%d}")


def test_grace_hours_are_for_subscriptions(harness: LicenseSpringHarness, desired: DesiredLicense) -> None:
    endless = replace(desired, expiry=ExpiryMode.PERPETUAL, expires_at=None)
    issued = harness.issue(endless)
    done = converge(harness, issued, endless, replace(endless, grace_hours=5))
    assert harness.calls() == []
    assert "grace" in done.notes[0]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"template_id": "studio"}, "policy"),
        ({"license_type": LicenseType.PERPETUAL}, "type"),
        ({"is_customer_manager": True}, "manages"),
        ({"entitlement_set_id": "set-1"}, "entitlement"),
        ({"max_release_version": "2.0"}, "release"),
        ({"maintenance_policy_id": "m-1"}, "maintenance"),
    ],
)
def test_what_cannot_be_changed_is_told_and_blocks_nothing(
    harness: LicenseSpringHarness,
    desired: DesiredLicense,
    issued: LicenseSnapshot,
    changes: dict[str, Any],
    word: str,
) -> None:
    done = converge(harness, issued, desired, replace(desired, expires_at=LATER, **changes))
    assert done.verbs == ("renewed",)
    assert [word in note for note in done.notes] == [True]
    assert harness.calls() == [CHANGE]


# The note


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ("", "End Date: 2031-01-31"),
        ("Call Bob.", "Call Bob.\nEnd Date: 2031-01-31"),
        ("End Date: 2030-01-01\nCall Bob.", "Call Bob.\nEnd Date: 2031-01-31"),
        ("End Date: 2030-01-01\nEnd Date: 2030-02-01", "End Date: 2031-01-31"),
        ("The End Date: soon", "The End Date: soon\nEnd Date: 2031-01-31"),
    ],
)
def test_the_end_of_the_subscription_is_one_line_of_the_note(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot, present: str, expected: str
) -> None:
    """People write there, too: what they wrote since we looked last stays."""
    harness.change(issued.license_id, note=present)
    harness.forget_calls()
    day = NEXT_YEAR.date().replace(year=2031, month=1, day=31)
    noted = replace(desired, end_date_note=day)
    done = converge(harness, issued, desired, noted)
    assert harness.calls() == [READ, CHANGE]
    assert bodies(harness) == [{"note": expected}]
    assert done.verbs == ("changed",)
    assert done.snapshot is not None
    harness.forget_calls()
    assert converge(harness, done.snapshot, None, noted) == Convergence(snapshot=done.snapshot)
    gone = converge(harness, done.snapshot, noted, desired)
    assert gone.snapshot is not None
    assert "2031" not in gone.snapshot.note


def test_a_note_that_says_it_already_is_not_written_again(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    harness.change(issued.license_id, note=f"End Date: {NEXT_YEAR:%Y-%m-%d}")
    harness.forget_calls()
    done = converge(harness, issued, desired, replace(desired, end_date_note=NEXT_YEAR.date()))
    assert harness.calls() == [READ]
    assert done.notes == ()


# Features


@pytest.fixture
def featured(harness: LicenseSpringHarness, desired: DesiredLicense) -> tuple[DesiredLicense, LicenseSnapshot]:
    wanted = replace(desired, features=("reports",))
    return wanted, harness.issue(wanted)


def test_features_of_others_survive_a_change(
    harness: LicenseSpringHarness, featured: tuple[DesiredLicense, LicenseSnapshot]
) -> None:
    """``update_features`` replaces the whole set; only what we had put there is taken away."""
    applied, issued = featured
    by_hand = [{"product_feature": "reports"}, {"product_feature": "render", "max_consumption": 9}]
    harness.client.replace_features(issued.license_id, features=by_hand)
    harness.forget_calls()
    done = converge(harness, issued, applied, replace(applied, features=("export",)))
    assert harness.calls() == [READ, FEATURES]
    assert done.verbs == ("changed",)
    assert done.snapshot is not None
    assert done.snapshot.features == ("export", "render")
    kept = next(e for e in harness.license(issued.license_id)["product_features"] if e["max_consumption"] == 9)
    assert kept["product_feature"]["code"] == "render"


@pytest.mark.parametrize("omitted", ["reset", "keep"])
def test_what_was_used_of_a_metered_feature_is_sent_along(
    harness: LicenseSpringHarness,
    options: LicenseSpringOptions,
    featured: tuple[DesiredLicense, LicenseSnapshot],
    omitted: Any,
) -> None:
    options.omitted_consumptions = omitted
    applied, issued = featured
    used = {
        "product_feature": "render",
        "max_consumption": 20,
        "total_consumptions": 7,
        "expiry_date": "2031-05-01",
        "allow_overages": True,
        "max_overages": 3,
        "metadata": {"a": "b"},
    }
    harness.client.replace_features(issued.license_id, features=[{"product_feature": "reports"}, used])
    converge(harness, issued, applied, replace(applied, features=("export", "reports")))
    (kept,) = [
        entry
        for entry in harness.license(issued.license_id)["product_features"]
        if entry["product_feature"]["code"] == "render"
    ]
    assert {name: kept[name] for name in used if name != "product_feature"} == {
        name: value for name, value in used.items() if name != "product_feature"
    }


def test_features_that_are_there_already_make_no_change(
    harness: LicenseSpringHarness, featured: tuple[DesiredLicense, LicenseSnapshot]
) -> None:
    applied, issued = featured
    wanted = replace(applied, features=("export", "reports"))
    converge(harness, issued, applied, wanted)
    harness.forget_calls()
    done = converge(harness, issued, applied, wanted)
    assert harness.calls() == [READ]
    assert done.verbs == ("changed",)


def test_an_adopted_license_gets_what_it_lacks_and_loses_nothing(
    harness: LicenseSpringHarness, featured: tuple[DesiredLicense, LicenseSnapshot]
) -> None:
    applied, issued = featured
    done = converge(harness, issued, None, replace(applied, features=("export",)))
    assert done.snapshot is not None
    assert done.snapshot.features == ("export", "reports")
    harness.forget_calls()
    assert converge(harness, done.snapshot, None, applied) == Convergence(snapshot=done.snapshot)


def test_a_feature_the_product_does_not_have_needs_a_person(
    harness: LicenseSpringHarness, featured: tuple[DesiredLicense, LicenseSnapshot]
) -> None:
    applied, issued = featured
    with pytest.raises(PermanentRemoteError) as failure:
        converge(harness, issued, applied, replace(applied, features=("nothing", "reports"), expires_at=LATER))
    assert failure.value.is_partial
    assert harness.license(issued.license_id)["validity_period"].startswith(f"{LATER:%Y-%m-%d}")


def test_a_refused_removal_is_only_told(
    harness: LicenseSpringHarness, featured: tuple[DesiredLicense, LicenseSnapshot]
) -> None:
    applied, issued = featured
    harness.box.faults.add(kind="status", method="POST", status=400)
    done = converge(harness, issued, applied, replace(applied, features=()))
    assert "features" in done.notes[0]


# Custom fields


def test_custom_fields_are_made_changed_and_left(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    first = replace(desired, custom_fields={"Serial": "1"})
    assert converge(harness, issued, desired, first).verbs == ("changed",)
    assert harness.calls() == [OVERRIDES, NEW_OVERRIDE]
    assert fields_of(harness, issued)["Serial"] == "1"
    second = replace(desired, custom_fields={"Serial": "2", "Edition": "studio"})
    assert converge(harness, issued, first, second).verbs == ("changed",)
    assert fields_of(harness, issued) == {"Serial": "2", "Edition": "studio"}
    harness.forget_calls()
    assert converge(harness, issued, None, second) == Convergence(snapshot=issued)
    assert harness.calls() == [OVERRIDES]
    done = converge(harness, issued, second, desired)
    assert [f'"{name}"' in note for name, note in zip(second.custom_fields, done.notes, strict=True)] == [True, True]


def fields_of(harness: LicenseSpringHarness, snapshot: LicenseSnapshot) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in harness.license(snapshot.license_id)["product_custom_fields"]}


def test_the_custom_fields_of_other_licenses_are_left_alone(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    options.ignored_filters = ("license",)
    other = harness.issue(replace(desired, custom_fields={"Serial": "other"}), slot=new_slot())
    converge(harness, issued, desired, replace(desired, custom_fields={"Serial": "own"}))
    assert fields_of(harness, issued)["Serial"] == "own"
    assert fields_of(harness, other)["Serial"] == "other"


def test_custom_fields_that_cannot_be_looked_up_block_nothing(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    """Nor does anybody read those of all licenses for it."""
    for _ in range(MOST_PAGES + 1):
        harness.issue(replace(desired, custom_fields={"Serial": "other"}), slot=new_slot())
    options.ignored_filters, options.page_cap = ("license",), 1
    wanted = replace(desired, custom_fields={"Serial": "own"}, expires_at=LATER)
    done = converge(harness, issued, desired, wanted)
    assert harness.calls() == [CHANGE, OVERRIDES]
    assert done.verbs == ("renewed",)
    assert 'ignored the filter "license"' in done.notes[0]


@pytest.mark.parametrize(("name", "value"), [("Edition", "nonsense"), ("Nothing", "x"), ("serial", "x")])
def test_a_custom_field_that_cannot_be_set_blocks_nothing(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot, name: str, value: str
) -> None:
    wanted = replace(desired, custom_fields={name: value, "Serial": "5"}, expires_at=LATER)
    done = converge(harness, issued, desired, wanted)
    assert name in done.notes[0]
    assert done.verbs[-1] == "changed" or "renewed" in done.verbs
    assert fields_of(harness, issued)["Serial"] == "5"


# The customer


def test_the_customer_of_a_key_based_license_stays(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    done = converge(harness, issued, desired, replace(desired, customer=Customer(email="bob@customer.example")))
    assert harness.calls() == []
    assert "customer" in done.notes[0]


@pytest.mark.parametrize("status", [200, 400])
def test_a_new_address_becomes_a_user_once(
    harness: LicenseSpringHarness, options: LicenseSpringOptions, desired: DesiredLicense, status: int
) -> None:
    options.assign_twice_status = status
    team = replace(desired, product_id=TEAM, activations=None)
    issued = harness.issue(team)
    bob = replace(team, customer=Customer(email="bob@customer.example", first_name="Bob"))
    done = converge(harness, issued, team, bob)
    assert harness.calls() == [READ, ASSIGN, READ]
    assert done.verbs == ("changed",)
    assert "initial_password" not in repr(done)
    assert harness.box.requests[1].body == {"email": "bob@customer.example", "is_manager": True, "first_name": "Bob"}
    harness.forget_calls()
    again = converge(harness, issued, team, bob)
    assert harness.calls() == [READ]
    assert again.verbs == ()


def test_a_license_without_room_for_the_new_user_needs_a_person(
    harness: LicenseSpringHarness, desired: DesiredLicense
) -> None:
    team = replace(desired, product_id=TEAM, activations=None, users=1)
    issued = harness.issue(team)
    with pytest.raises(PermanentRemoteError, match="no room") as failure:
        converge(harness, issued, team, replace(team, customer=Customer(email="bob@customer.example")))
    assert "bob" not in str(failure.value)


def test_the_same_address_in_other_letters_is_no_new_user(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot
) -> None:
    loud = replace(desired, customer=Customer(email="ADA@customer.example"))
    assert converge(harness, issued, desired, loud) == Convergence(snapshot=issued)


# Answers that do not come


@pytest.mark.parametrize("kind", ["drop", "commit_then_drop"])
def test_a_change_without_an_answer_can_be_made_again(
    harness: LicenseSpringHarness, desired: DesiredLicense, issued: LicenseSnapshot, kind: str
) -> None:
    wanted = replace(desired, expires_at=LATER, activations=5, features=("reports",), custom_fields={"Serial": "7"})
    for method in ("PATCH", "POST", "POST"):
        harness.box.faults.add(kind=kind, method=method)
        with pytest.raises(TransientRemoteError) as failure:
            converge(harness, issued, desired, wanted)
        assert failure.value.may_have_succeeded
    done = converge(harness, issued, desired, wanted)
    assert done.snapshot is not None
    assert done.snapshot.features == ("reports",)
    assert done.snapshot.activations == 5
    assert fields_of(harness, issued)["Serial"] == "7"
