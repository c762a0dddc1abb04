"""What is bought in the store's test mode, where the store is told to apply it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.outcomes import ExpiryMode, LicenseState
from licensing_integration.models import LicenseLink, Purchase
from licensing_integration.services.codec import from_json, to_json
from licensing_integration.services.plan import plan_purchase
from tests.services.guide.proofs import on_both_servers


@on_both_servers
@pytest.mark.parametrize("live", [True, False])
def test_a_test_purchase_makes_a_test_order(guide, live):
    """LicenseSpring alone has such a mark, on the order; elsewhere the license is one like any other."""
    guide.shop.live = live
    subscription = guide.subscribe()
    guide.sell()
    guide.renew(subscription)
    guide.is_on()
    assert [link.sync_state for link in LicenseLink.objects.all()] == ["settled"] * 2
    assert [link.desired.get("is_test", False) for link in LicenseLink.objects.all()] == [not live] * 2
    if guide.server == "licensespring":
        assert [order["is_test"] for order in guide.on.box.orders] == [not live] * 2
        bodies = [request.body for request in guide.on.box.requests if request.path.endswith("/create_order/")]
        assert [body.get("is_test", False) for body in bodies] == [not live] * 2


def test_what_was_stored_before_is_what_is_written_now():
    """A new member of ``DesiredLicense`` must not make every license look changed."""
    stored = {
        "state": "active",
        "server": "spring",
        "product_id": "studio",
        "expiry": "paid_through",
        "expires_at": "2026-12-21T00:00:00+00:00",
    }
    desired = from_json(stored, DesiredLicense)
    assert desired == DesiredLicense(
        state=LicenseState.ACTIVE,
        server="spring",
        product_id="studio",
        expiry=ExpiryMode.PAID_THROUGH,
        expires_at=datetime(2026, 12, 21, tzinfo=UTC),
    )
    assert to_json(desired) == stored


@pytest.mark.parametrize("server", ["licensespring"])
@pytest.mark.parametrize("live", [True, False])
def test_licenses_from_before_the_mark_are_left_alone(guide, live):
    """A live one is not even looked at. A test one gets the mark here; its order was made, so there is no call."""
    guide.shop.live = live
    guide.sell()
    link = LicenseLink.objects.get()
    for stored in (link.desired, link.applied):
        stored.pop("is_test", None)
    link.save()
    purchase = Purchase.objects.get()
    purchase.state.pop("is_test", None)
    purchase.save()
    guide.on.box.clear_requests()
    assert plan_purchase(purchase.pk) == ([] if live else [link.pk])
    assert guide.on.box.requests == []
