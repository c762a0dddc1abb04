"""What is looked for on LicenseSpring before a license is made."""

from __future__ import annotations

import pytest

from licensing_integration.models import LicenseLink
from tests.services.scenario import try_again


@pytest.mark.parametrize("server", ["licensespring"])
def test_after_a_lost_answer_only_our_own_license_is_looked_for(guide, work):
    """Nobody else can have made one for a fresh sale, and a search by subscription may be beyond the server."""
    guide.on.box.faults.add(kind="drop", method="POST", path="/api/v1/orders/create_order/")
    guide.subscribe()
    assert LicenseLink.objects.get().external_id == ""
    guide.on.box.clear_requests()
    try_again(work)
    searched = [request.query for request in guide.on.box.requests if request.path == "/api/v1/licenses/"]
    assert ["order__store_id__startswith" in query for query in searched] == [True]
    assert str(guide.license["id"]) == LicenseLink.objects.get().external_id
