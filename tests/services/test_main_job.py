"""A purchase becomes a license, and the license follows the purchase."""

from __future__ import annotations

from licensing_integration.domain.outcomes import LicenseState, PurchaseStatus, SyncState
from licensing_integration.models import HistoryEntry, LicenseLink, WebhookEvent
from tests.services.conftest import ATTRIBUTES, AVA, only_link, only_purchase


def test_a_one_time_order_becomes_one_license_with_two_calls(shop, deliver, cryptlex, api_calls):
    deliver(shop.buy(AVA, "photon-editor", attributes=ATTRIBUTES))

    assert api_calls() == ["POST /v3/users", "POST /v3/licenses"]
    link = only_link()
    assert link.sync_state == SyncState.SETTLED
    assert link.state == LicenseState.ACTIVE
    assert [license["key"] for license in cryptlex.licenses] == [link.key]
    assert cryptlex.licenses[0]["user"]["email"] == "ava.lindqvist@example.com"
    assert WebhookEvent.objects.get().state == "applied"
    kinds = list(HistoryEntry.objects.order_by("id").values_list("kind", flat=True))
    assert kinds == ["event.order.completed", "license.issued"]


def test_a_known_customer_costs_one_call(shop, deliver, api_calls):
    deliver(shop.buy(AVA, "photon-editor", attributes=ATTRIBUTES))
    api_calls()
    deliver(shop.buy(AVA, "photon-editor", attributes=ATTRIBUTES))
    assert api_calls() == ["POST /v3/licenses"]


def test_a_subscription_lives_its_whole_life(shop, shop_clock, deliver, cryptlex, api_calls):
    subscription, events = shop.subscribe(AVA, "studio-team", quantity=3, attributes=ATTRIBUTES)
    deliver(*events)
    assert len(cryptlex.licenses) == 3
    assert only_purchase().status == PurchaseStatus.ACTIVE
    api_calls()

    shop_clock.advance(days=30)
    deliver(shop.renew(subscription))
    assert len([call for call in api_calls() if call.endswith("/expires-at")]) == 3

    shop_clock.advance(days=30)
    deliver(shop.overdue(subscription))
    assert [license["suspended"] for license in cryptlex.licenses] == [True] * 3

    shop_clock.advance(days=1)
    deliver(shop.renew(subscription))
    assert [license["suspended"] for license in cryptlex.licenses] == [False] * 3

    shop_clock.advance(days=30)
    deliver(shop.deactivate(subscription))
    assert cryptlex.licenses == []
    assert set(LicenseLink.objects.values_list("sync_state", "state")) == {("settled", "absent")}


def test_an_event_that_changes_nothing_costs_no_call(shop, deliver, api_calls):
    subscription, events = shop.subscribe(AVA, "studio-team", attributes=ATTRIBUTES)
    deliver(*events)
    api_calls()
    deliver(shop.report("subscription.payment.reminder", subscription))
    assert api_calls() == []
