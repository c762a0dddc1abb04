"""The life of one license on a real Cryptlex account; runs only with credentials, and deletes what it makes.

``CRYPTLEX_LIVE_ACCESS_TOKEN`` and ``CRYPTLEX_LIVE_PRODUCT_ID`` name an account for tests, ``CRYPTLEX_LIVE_BASE_URL``
its region. It answers what the reference leaves open: whether dates and states read back as they were written.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from licensing_integration.domain.facts import Customer
from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.outcomes import ExpiryMode, LicenseState
from licensing_integration.license_servers.base import SLOT_METADATA_KEY
from licensing_integration.license_servers.cryptlex.backend import CryptlexBackend

TOKEN = os.environ.get("CRYPTLEX_LIVE_ACCESS_TOKEN", "")
PRODUCT = os.environ.get("CRYPTLEX_LIVE_PRODUCT_ID", "")
BASE_URL = os.environ.get("CRYPTLEX_LIVE_BASE_URL", "https://api.cryptlex.com")

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not (TOKEN and PRODUCT), reason="needs CRYPTLEX_LIVE_ACCESS_TOKEN and CRYPTLEX_LIVE_PRODUCT_ID"),
]


@pytest.fixture
def backend() -> Iterator[CryptlexBackend]:
    backend = CryptlexBackend(name="live", base_url=BASE_URL, access_token=TOKEN)
    yield backend
    backend.close()


def test_the_life_of_a_license(backend: CryptlexBackend) -> None:
    assert backend.check_access() == []
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    slot = f"live-test/{uuid.uuid4()}"
    desired = DesiredLicense(
        state=LicenseState.ACTIVE,
        server="live",
        product_id=PRODUCT,
        customer=Customer(email="licensing-integration-live-test@example.com", first_name="Live", last_name="Test"),
        expiry=ExpiryMode.PAID_THROUGH,
        expires_at=ends,
        activations=2,
    )
    user_id = backend.ensure_user(desired.customer)
    assert backend.ensure_user(desired.customer) == user_id  # the conflict ends at the same user
    issued = backend.issue(desired, slot=slot, user_id=user_id)
    absent = replace(desired, state=LicenseState.ABSENT)
    try:
        assert (issued.expires_at, issued.activations, issued.user_id) == (ends, 2, user_id)
        assert [found.license_id for found in backend.find(slot=slot, desired=desired)] == [issued.license_id]
        assert issued.metadata[SLOT_METADATA_KEY] == slot
        wanted = replace(desired, state=LicenseState.SUSPENDED, expires_at=ends + timedelta(days=30), activations=3)
        changed = backend.converge(issued, applied=desired, desired=wanted, user_id="", is_retry=False).snapshot
        assert changed is not None
        assert (changed.state, changed.expires_at, changed.activations) == (wanted.state, wanted.expires_at, 3)
        assert backend.fetch(issued.license_id) == changed
    finally:
        backend.converge(issued, applied=desired, desired=absent, user_id="", is_retry=False)
    assert backend.fetch(issued.license_id) is None
