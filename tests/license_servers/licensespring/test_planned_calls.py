"""What is announced to be sent to LicenseSpring is what is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from licensing_integration.domain.facts import Customer
from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.outcomes import ExpiryMode, LicenseState, LicenseType
from tests.license_servers.licensespring.harness import APP, PRO, SLOT, TEAM, LicenseSpringHarness, running
from tests.license_servers.planned import assert_sent_as_planned

NEXT = datetime(2030, 5, 1, tzinfo=UTC)
PLAIN = DesiredLicense(
    state=LicenseState.ACTIVE,
    server="main",
    product_id=PRO,
    customer=Customer(email="ava@example.com", first_name="Ava", last_name="Lindqvist", company="Northlight"),
    vendor_metadata={"fastspring_subscription_id": "sub-1"},
    metadata={"plan": "gold", "empty": ""},
)
TERMS: dict[str, dict[str, Any]] = {
    "the product's": {},
    "a date": {"expiry": ExpiryMode.PAID_THROUGH, "expires_at": NEXT, "grace_hours": 24},
    "a trial": {"expiry": ExpiryMode.PAID_THROUGH, "expires_at": NEXT, "is_trial": True},
    "perpetual": {"license_type": LicenseType.PERPETUAL, "activations": 0},
    "a duration": {"license_type": LicenseType.TIME_LIMITED, "valid_duration": "1y"},
    "floating": {"floating_clients": 5, "is_floating_cloud": True},
    "maintenance": {"is_maintained": True, "maintenance_duration": "1y"},
    "features and fields": {"features": ("export", "reports"), "custom_fields": {"Serial": "12"}},
    "a policy": {"template_id": "studio"},
    "a noted end": {"expiry": ExpiryMode.PAID_THROUGH, "expires_at": NEXT, "end_date_note": date(2030, 5, 1)},
    "suspended": {"state": LicenseState.SUSPENDED},
    "a test": {"is_test": True},
    "nobody": {"customer": Customer()},
}


@pytest.fixture
def harness() -> Iterator[LicenseSpringHarness]:
    with running() as harness:
        yield harness


def check(harness: LicenseSpringHarness, desired: DesiredLicense, *, slot: str = SLOT) -> None:
    """Announce, then issue."""
    before = len(harness.box.requests)
    planned = harness.backend.planned_calls(desired, slot=slot, is_user_known=False)
    assert len(harness.box.requests) == before

    harness.backend.issue(desired, slot=slot, user_id="")

    assert_sent_as_planned(planned, harness.box.requests[before:])


@pytest.mark.parametrize("name", TERMS)
def test_a_license_is_ordered_as_announced(harness: LicenseSpringHarness, name: str) -> None:
    check(harness, replace(PLAIN, **TERMS[name]))


@pytest.mark.parametrize("name", ["the product's", "a date", "perpetual", "a duration", "floating", "nobody"])
def test_a_license_of_another_product_is_ordered_as_announced(harness: LicenseSpringHarness, name: str) -> None:
    check(harness, replace(PLAIN, product_id=APP, **TERMS[name]))


def test_a_known_product_is_not_asked_for_again(harness: LicenseSpringHarness) -> None:
    check(harness, PLAIN)
    check(harness, PLAIN, slot="another")


@pytest.mark.parametrize("changes", [{}, {"users": 4}, {"users": 4, "activations": 4}, {"is_customer_manager": False}])
def test_a_license_of_a_user_based_product_is_announced_once_the_products_were_listed(
    harness: LicenseSpringHarness, changes: dict[str, Any]
) -> None:
    harness.backend.list_products()

    check(harness, replace(PLAIN, product_id=TEAM, **changes))


def test_what_is_not_known_of_the_product_is_said(harness: LicenseSpringHarness) -> None:
    planned = harness.backend.planned_calls(replace(PLAIN, product_id=TEAM), slot=SLOT, is_user_known=False)

    assert [call.note for call in planned if call.note] == [
        "This is the order of a key-based product. What the product is, is asked first."
    ]
