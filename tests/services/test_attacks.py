"""What somebody who meant ill, or bad luck, once achieved here."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from licensing_integration.domain.outcomes import SyncState
from licensing_integration.models import LicenseLink, Purchase, PurchaseItem
from licensing_integration.services.interventions import resync_link
from licensing_integration.services.plan import NO_DATE
from licensing_integration.services.terms import LARGEST_QUANTITY
from tests.services.conftest import ATTRIBUTES, AVA, only_link, only_purchase
from tests.services.scenario import map_product, try_again

CREATE = {"method": "POST", "path": "/v3/licenses"}


def known_customer(shop, deliver) -> None:
    deliver(shop.buy(AVA, "something-else", attributes=ATTRIBUTES))


def licenses_of(cryptlex, link: LicenseLink) -> list[str]:
    return [
        license["id"]
        for license in cryptlex.licenses
        if any(entry["value"] == link.reference for entry in license["metadata"])
    ]


def test_an_event_does_not_shorten_the_wait_for_a_license_that_may_just_have_been_made(shop, deliver, work, cryptlex):
    known_customer(shop, deliver)
    cryptlex.visibility_delay = 3600
    cryptlex.faults.add(**CREATE, kind="commit_then_drop")
    subscription, events = shop.subscribe(AVA, "studio-team", attributes=ATTRIBUTES)
    deliver(*events)
    deliver(shop.change(subscription, "subscription.updated", next=subscription.next + timedelta(days=3)))
    link = LicenseLink.objects.get(purchase__external_id=subscription.id)
    resync_link(link.pk, user_id=None, reason="The customer waits.")
    work()
    assert len(licenses_of(cryptlex, link)) == 1
    cryptlex.visibility_delay = 0
    try_again(work)
    assert licenses_of(cryptlex, link) == [LicenseLink.objects.get(pk=link.pk).external_id]


def test_one_payment_renews_once_however_often_the_reinstatement_after_it_fails(shop, deliver, work, cryptlex):
    cryptlex.add_template(id="monthly", name="Monthly", interval="P1M")
    map_product("studio-team", template_id="monthly", expiry="interval")
    subscription, events = shop.subscribe(AVA, "studio-team")
    for event in events:  # no date known: the interval alone counts
        for part in (event["data"], *(item["subscription"] for item in event["data"].get("items", []))):
            part.pop("next", None)
    deliver(*events)
    overdue = shop.overdue(subscription)
    overdue["data"].pop("next")
    deliver(overdue)
    renewal = shop.renew(subscription)
    renewal["data"]["subscription"].pop("next")
    cryptlex.faults.add(method="PATCH", path="/v3/licenses/*", kind="status", status=429, retry_after=1, times=3)
    cryptlex.clear_requests()
    deliver(renewal)
    for _ in range(4):
        try_again(work)
    renewals = [request for request in cryptlex.requests if request.path.endswith("/renew")]
    assert len(renewals) == 1
    assert only_link().sync_state == SyncState.SETTLED
    assert cryptlex.licenses[0]["suspended"] is False


def test_a_renewal_whose_date_is_not_told_renews_and_asks_for_a_person(shop, deliver, cryptlex):
    cryptlex.add_template(id="monthly", name="Monthly", interval="P1M")
    map_product("studio-team", template_id="monthly", expiry="interval")
    subscription, events = shop.subscribe(AVA, "studio-team")
    deliver(*events)
    before = only_link().expires_at
    renewal = shop.renew(subscription)
    renewal["data"]["subscription"] = subscription.id  # expansion is off
    deliver(renewal)
    assert only_link().expires_at > before + timedelta(days=25)
    assert only_purchase().attention == NO_DATE
    deliver(shop.report("subscription.updated", subscription))
    assert only_purchase().attention == ""


def test_an_absurd_quantity_waits_for_a_person_also_when_it_comes_later(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio-team", attributes=ATTRIBUTES)
    deliver(*events)
    deliver(shop.change(subscription, "subscription.updated", quantity=LARGEST_QUANTITY + 1))
    assert len(cryptlex.licenses) == 1
    assert "a person must confirm it" in PurchaseItem.objects.get().problem
    deliver(shop.change(subscription, "subscription.updated", quantity=2))
    assert len(cryptlex.licenses) == 2


def test_a_purchase_that_cannot_be_planned_is_shown_and_not_tried_for_ever(shop, deliver, work, settings):
    from licensing_integration.services import pipeline

    _, events = shop.subscribe(AVA, "studio-team", attributes=ATTRIBUTES)
    deliver(events[0])
    Purchase.objects.update(review_at=timezone.now())
    settings.STORES = [{**settings.STORES[0], "name": "renamed"}]
    pipeline.plan_purchases([only_purchase().pk])
    purchase = only_purchase()
    assert "No store named 'fastspring' is configured" in purchase.attention
    assert purchase.review_at is None
