"""A request for keys and the order itself, planned at the same moment."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from licensing_integration.exceptions import KeysNotReady
from licensing_integration.models import LicenseLink, Purchase, WebhookEvent
from licensing_integration.services.plan import plan_event
from licensing_integration.services.translate import translate
from tests.services.fulfilment.conftest import photon_order
from tests.services.scenario import map_product

_WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def _plan(event: WebhookEvent) -> None:
    try:
        plan_event(event, translate(event))
    finally:
        connection.close()


def _wait_for_a_lock() -> None:
    deadline = time.monotonic() + 10
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute(_WAITING)
            if cursor.fetchone()[0]:
                return
    pytest.fail("The other transaction does not wait.")


@pytest.mark.parametrize("is_order_first", [True, False])
def test_whichever_is_second_waits_and_finds_what_the_first_has_made(
    transactional_db, shop, post, request_keys, is_order_first
):
    map_product("photon")
    order = photon_order(shop, quantity=2)
    with pytest.raises(KeysNotReady):
        request_keys(order)
    post(order)
    first, second = WebhookEvent.objects.order_by("id")[:: -1 if is_order_first else 1]
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            plan_event(first, translate(first))
            waiting = pool.submit(_plan, second)
            _wait_for_a_lock()
        waiting.result()
    assert Purchase.objects.get().external_id == order["data"]["id"]
    assert LicenseLink.objects.count() == 2
