"""Restoring a backup as docs/operations.md says: the license server has gone on since, and nothing may be done twice.

A savepoint is the backup, going back to it the restore; the SQL is read from the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection, transaction
from pytest_django import Settings

from licensing_integration.domain.outcomes import ExpiryMode
from licensing_integration.models import LicenseLink
from tests.services.conftest import ATTRIBUTES, AVA, only_link
from tests.services.scenario import map_product, try_again

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def _statement() -> str:
    (statement,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(statement)


@contextmanager
def _forgotten(settings: Settings) -> Iterator[None]:
    """What happens inside is lost with the database, but not on the license server; then the runbook is followed."""
    backup = transaction.savepoint()
    yield
    transaction.savepoint_rollback(backup)
    with connection.cursor() as cursor:
        cursor.execute(_statement())
    settings.LICENSE_SERVERS = [{**config, "adopt": "always"} for config in settings.LICENSE_SERVERS]


@pytest.mark.django_db
def test_a_license_issued_after_the_backup_is_found_when_its_event_comes_again(shop, deliver, cryptlex, settings):
    order = shop.buy(AVA, "photon", quantity=2, attributes=ATTRIBUTES)
    with _forgotten(settings):
        deliver(order)
    deliver(order)
    assert LicenseLink.objects.count() == 2
    assert {link.key for link in LicenseLink.objects.all()} == {license["key"] for license in cryptlex.licenses}
    assert len(cryptlex.licenses) == 2


@pytest.mark.django_db
def test_a_license_that_was_waiting_at_the_time_of_the_backup_is_not_issued_again(
    shop, deliver, work, cryptlex, settings
):
    cryptlex.faults.add(kind="status", status=429, method="POST", path="/v3/licenses")
    deliver(shop.buy(AVA, "photon", attributes=ATTRIBUTES))
    assert only_link().key == ""
    with _forgotten(settings):
        try_again(work)
        assert only_link().key
    try_again(work)
    assert [license["key"] for license in cryptlex.licenses] == [only_link().key]


@pytest.mark.django_db
def test_a_renewal_made_after_the_backup_is_not_made_again(shop, shop_clock, deliver, cryptlex, settings):
    map_product("studio", expiry=ExpiryMode.INTERVAL, interval="P1M")
    subscription, events = shop.subscribe(AVA, "studio")
    deliver(*events)
    shop_clock.advance(days=30)
    renewal = shop.renew(subscription)
    with _forgotten(settings):
        deliver(renewal)
        renewed = cryptlex.licenses[0]["expiresAt"]
    deliver(renewal)
    assert cryptlex.licenses[0]["expiresAt"] == renewed
