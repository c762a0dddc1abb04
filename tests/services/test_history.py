"""The history explains every license, and keeps to itself what it must."""

from __future__ import annotations

import pytest

from licensing_integration.models import HistoryEntry, Purchase
from licensing_integration.sandbox.fastspring import Buyer
from tests.services.conftest import ATTRIBUTES, AVA
from tests.services.scenario import (
    sentences,
    states,
)

BO = Buyer(email="bo@example.com", first="Bo")


def test_the_history_tells_what_was_late_and_what_was_nothing_new(shop, shop_clock, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    reminder = shop.report("subscription.payment.reminder", subscription)
    shop_clock.advance(days=30)
    deliver(shop.renew(subscription))
    deliver(reminder)
    assert "It is older than what is known, so nothing changed." in sentences(kind=f"event.{reminder['type']}")


def test_every_license_entry_names_the_event_that_caused_it(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", quantity=3, attributes=ATTRIBUTES)
    deliver(*events)
    overdue = shop.overdue(subscription)
    deliver(overdue)
    causes = HistoryEntry.objects.filter(kind="license.suspended").values_list("event__external_id", flat=True)
    assert list(causes) == [overdue["id"]] * 3


def test_history_cannot_be_changed_or_deleted(shop, deliver, cryptlex):
    deliver(shop.buy(AVA, "photon", attributes=ATTRIBUTES))
    entry = HistoryEntry.objects.first()
    with pytest.raises(TypeError, match="append-only"):
        entry.save()
    with pytest.raises(TypeError, match="append-only"):
        entry.delete()


def test_no_license_key_and_no_customer_stands_in_the_history(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    deliver(shop.overdue(subscription))
    told = sentences() + str(list(HistoryEntry.objects.values_list("changes", flat=True)))
    assert cryptlex.licenses[0]["key"] not in told
    assert AVA.email.lower() not in told.lower()


def test_a_purchase_is_found_under_every_order_that_paid_for_it(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    charge = shop.renew(subscription)
    deliver(charge)
    refund = shop.refund({"data": {**events[-1]["data"], "id": charge["data"]["order"]["id"], "total": 12.0}})
    deliver(refund)
    assert Purchase.objects.count() == 1
    assert states(cryptlex) == ["suspended"]
