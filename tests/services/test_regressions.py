"""Real failures of other integrations of stores and license servers, each of which must not happen here."""

from __future__ import annotations

from datetime import timedelta

import pytest

from licensing_integration.domain.outcomes import EventState, SyncState
from licensing_integration.models import LicenseLink, Purchase, WebhookEvent
from licensing_integration.sandbox.fastspring import Buyer, delivery, resent, sign
from licensing_integration.sandbox.moments import from_wire
from tests.services.conftest import ATTRIBUTES, AVA, SECRET, only_link, only_purchase
from tests.services.scenario import (
    add_on_line,
    in_one_order,
    kinds,
    map_product,
    metadata,
    sentences,
    states,
    try_again,
    waiting_products,
)

BO = Buyer(email="bo@example.com", first="Bo")


def test_only_the_first_event_of_a_batch_was_handled(shop, deliver, cryptlex):
    orders = [shop.buy(buyer, "photon", attributes=ATTRIBUTES) for buyer in (AVA, BO, AVA)]
    noise = {**resent(orders[0]), "type": "payoutEntry.created"}
    deliver(orders[0], noise, *orders[1:])
    assert len(cryptlex.licenses) == 3


def test_a_redelivery_made_a_second_license(shop, deliver, cryptlex):
    order = shop.buy(AVA, "photon", quantity=2, attributes=ATTRIBUTES)
    for _ in range(3):
        deliver(order)
    assert len(cryptlex.licenses) == 2
    assert WebhookEvent.objects.get().deliveries == 3


def test_a_manual_resend_under_a_new_event_id_made_a_second_license(shop, shop_clock, deliver, cryptlex):
    order = shop.buy(AVA, "photon", quantity=2, attributes=ATTRIBUTES)
    _, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(order, *events)
    shop_clock.advance(days=2)
    deliver(*(resent(event, at=shop_clock()) for event in (order, *events)))
    assert len(cryptlex.licenses) == 3
    assert set(WebhookEvent.objects.values_list("state", flat=True)) == {EventState.APPLIED}


@pytest.mark.parametrize("fault", [{"kind": "commit_then_drop"}, {"kind": "status", "status": 400}], ids=str)
def test_a_half_done_order_was_begun_anew_when_the_store_sent_it_again(shop, deliver, work, cryptlex, fault):
    order = shop.buy(AVA, "photon", quantity=3, attributes=ATTRIBUTES)
    cryptlex.faults.add(method="POST", path="/v3/licenses", skip=1, **fault)
    deliver(order)
    made = {license["id"] for license in cryptlex.licenses}
    deliver(order)
    deliver(resent(order))
    assert {license["id"] for license in cryptlex.licenses} == made
    LicenseLink.objects.filter(sync_state=SyncState.ATTENTION).update(sync_state=SyncState.PENDING)
    try_again(work)
    assert len(cryptlex.licenses) == 3
    assert made <= {license["id"] for license in cryptlex.licenses}


@pytest.mark.parametrize("status", [400, 401, 500])
def test_success_was_reported_although_the_license_server_had_failed(shop, deliver, cryptlex, status):
    cryptlex.faults.add(path="*", kind="status", status=status, times=None)
    deliver(shop.buy(AVA, "photon", attributes=ATTRIBUTES))
    link = only_link()
    assert link.sync_state != SyncState.SETTLED
    assert link.failure_message
    assert link.issued_at is None
    assert kinds(link=link) == ["license.failed"]


@pytest.mark.parametrize("email", [None, "", "   "])
def test_an_order_without_an_e_mail_address_landed_on_somebody_elses_user(shop, deliver, cryptlex, api_calls, email):
    deliver(shop.buy(BO, "photon", attributes=ATTRIBUTES))
    api_calls()
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    order["data"]["customer"]["email"] = email
    order["data"]["account"]["contact"]["email"] = email
    deliver(order)
    assert api_calls() == ["POST /v3/licenses"]
    assert [license["userId"] for license in cryptlex.licenses] == [cryptlex.users[0]["id"], None]
    assert "belongs to no user" in sentences(kind="license.issued")


@pytest.mark.parametrize("missing", [None, "", "  "])
def test_a_missing_id_widened_a_query_to_everybodys_licenses(shop, shop_clock, deliver, cryptlex, missing):
    deliver(shop.buy(BO, "photon", attributes=ATTRIBUTES))
    subscription, _ = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    cryptlex.clear_requests()
    event = shop.overdue(subscription)
    event["data"] |= {"id": missing, "subscription": missing}
    refund = shop.refund(shop.buy(AVA, "photon"))
    refund["data"]["original"] |= {"id": missing, "order": missing}
    deliver(event, refund)
    assert cryptlex.requests == []
    assert states(cryptlex) == ["active"]
    malformed = WebhookEvent.objects.filter(state=EventState.MALFORMED)
    assert set(malformed.values_list("external_id", flat=True)) == {event["id"], refund["id"]}


def test_only_the_first_page_of_a_subscriptions_licenses_was_handled(shop, deliver, cryptlex):
    cryptlex.options.default_page_size = 10
    subscription, events = shop.subscribe(AVA, "studio", quantity=130, attributes=ATTRIBUTES)
    deliver(*events)
    deliver(shop.overdue(subscription))
    assert states(cryptlex) == ["suspended"] * 130


def test_an_overdue_notice_that_arrived_after_the_payment_suspended_a_paying_customer(
    shop, shop_clock, deliver, cryptlex
):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    shop_clock.advance(days=30)
    overdue = shop.overdue(subscription)
    shop_clock.advance(hours=1)
    deliver(shop.renew(subscription))
    deliver(overdue)
    shop_clock.advance(hours=1)
    deliver(resent(overdue, at=shop_clock()))  # by hand: old data under a new id and a later time
    assert states(cryptlex) == ["active"]


@pytest.mark.parametrize("expiry", ["", "interval"])
def test_a_proration_charge_was_taken_for_a_renewal(shop, deliver, cryptlex, expiry):
    map_product("studio", expiry=expiry, interval="P1M")
    subscription, events = shop.subscribe(AVA, "studio", quantity=1)
    deliver(*events)
    before = cryptlex.licenses[0]["expiresAt"]
    deliver(*shop.prorate(subscription, quantity=2))
    assert cryptlex.licenses[0]["expiresAt"] == before
    assert len(cryptlex.licenses) == 2


def test_a_quantity_of_nothing_still_gave_a_license(shop, deliver, cryptlex):
    deliver(shop.buy(AVA, "photon", quantity=0, attributes=ATTRIBUTES))
    assert cryptlex.licenses == []
    assert WebhookEvent.objects.get().state == EventState.APPLIED


def test_a_quantity_spelt_as_text_was_counted_by_its_letters(shop, deliver, cryptlex):
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    order["data"]["items"][0]["quantity"] = "3"
    deliver(order)
    assert len(cryptlex.licenses) == 3


def test_a_misspelt_quantity_mode_silently_meant_something(shop, deliver, cryptlex):
    deliver(shop.buy(AVA, "photon", quantity=3, attributes={**ATTRIBUTES, "cryptlex_mappings_quantity": "activations"}))
    assert cryptlex.licenses == []
    assert waiting_products() == ["photon"]
    assert "total_licenses or allowed_activations" in sentences(kind="item.waiting")


def test_an_add_on_bought_later_crashed_because_its_order_holds_no_subscription(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    deliver(shop.order(AVA, add_on_line(shop, subscription, "node", attributes=ATTRIBUTES)))
    assert len(cryptlex.licenses) == 2
    assert Purchase.objects.count() == 1


def test_a_bundle_of_subscriptions_was_licensed_for_ever(shop, deliver, cryptlex):
    driver = {"type": "bundle", "path": "creator-bundle"}
    bought = [shop.subscribe(AVA, f"studio-{number}", attributes=ATTRIBUTES) for number in range(2)]
    events = in_one_order(*bought)
    bundle = shop.item("creator-bundle", attributes={"cryptlex_is_bundle": "true"})
    events[-1]["data"]["items"] = [bundle, *({**line, "driver": driver} for line in events[-1]["data"]["items"])]
    deliver(*events)
    ends = {metadata(x)["fastspring_subscription_id"]: from_wire(x["expiresAt"]) for x in cryptlex.licenses}
    assert ends == {subscription.id: subscription.next + timedelta(days=1) for subscription, _ in bought}


def test_a_deactivation_delivered_twice_failed_because_the_license_was_gone(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    end = shop.deactivate(subscription)
    deliver(end)
    deliver(end)
    deliver(resent(end))
    assert cryptlex.licenses == []
    assert set(WebhookEvent.objects.values_list("state", flat=True)) == {EventState.APPLIED}
    assert only_link().sync_state == SyncState.SETTLED
    assert kinds(kind="license.deleted") == ["license.deleted"]


def test_one_unmapped_product_failed_the_whole_order(shop, deliver, cryptlex):
    deliver(shop.order(AVA, shop.item("unknown"), shop.item("photon", attributes=ATTRIBUTES)))
    assert len(cryptlex.licenses) == 1
    assert WebhookEvent.objects.get().state == EventState.APPLIED


def test_an_activation_before_its_order_was_an_error_or_a_license_for_nobody(shop, deliver, cryptlex):
    _, (activated, order) = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(activated)
    assert cryptlex.licenses == []
    deliver(order)
    assert [license["user"]["email"] for license in cryptlex.licenses] == ["ava.lindqvist@example.com"]


def test_a_refund_arriving_first_was_forgotten(shop, deliver, cryptlex):
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    deliver(shop.refund(order))
    deliver(order)
    assert "active" not in states(cryptlex)
    assert only_purchase().status == "completed"


@pytest.mark.parametrize("path", ["/webhooks/fastspring/", "/webhooks/nobody/"])
@pytest.mark.parametrize("is_signed", [True, False])
def test_the_answer_echoed_a_license_key_or_our_insides(client, shop, work, cryptlex, path, is_signed):
    body = delivery(shop.buy(AVA, "photon", attributes=ATTRIBUTES))
    signature = sign(body, secret=SECRET) if is_signed else "wrong"
    for _ in range(2):
        answer = client.post(path, data=body, content_type="application/json", headers={"X-FS-Signature": signature})
        work()
        shown = (answer.content.decode() + str(answer.headers)).lower()
        told = [license["key"] for license in cryptlex.licenses]
        for secret in [*told, "ava.lindqvist", "prod-1", "cryptlex", "traceback", "django", SECRET]:
            assert secret.lower() not in shown
