"""From events to the licenses they ask for, seen on the license server and in the history."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from licensing_integration.domain.outcomes import EventState, FailureMode, LicenseState, PurchaseKind, PurchaseStatus
from licensing_integration.models import HistoryEntry, LicenseLink, Purchase, PurchaseItem, WebhookEvent
from licensing_integration.sandbox.fastspring import Buyer, resent
from licensing_integration.sandbox.moments import from_wire
from licensing_integration.services import interventions
from licensing_integration.services.catalog import check_mapping, save_mapping
from licensing_integration.services.sweep import sweep
from tests.services.conftest import ATTRIBUTES, AVA, only_link, only_purchase
from tests.services.scenario import (
    add_on_line,
    in_one_order,
    kinds,
    links_by_unit,
    map_product,
    metadata,
    sentences,
    states,
    waiting_products,
)

BO = Buyer(email="bo@example.com", first="Bo")


# --- mapping ---------------------------------------------------------------------------------------------------------


def test_an_unmapped_item_waits_and_the_rest_of_the_order_goes_on(shop, deliver, cryptlex):
    deliver(shop.order(AVA, shop.item("photon", attributes=ATTRIBUTES), shop.item("mystery")))
    assert len(cryptlex.licenses) == 1
    item = PurchaseItem.objects.exclude(problem="").get()
    assert (item.product, item.failure_mode) == ("mystery", FailureMode.CONFIG)
    assert "cryptlex_product_id" in item.problem
    assert WebhookEvent.objects.get().state == EventState.APPLIED
    assert "Mystery waits: No product mapping" in sentences(kind="item.waiting")


def test_saving_the_mapping_issues_what_waited(shop, deliver, work, cryptlex):
    deliver(shop.buy(AVA, "mystery", quantity=2), shop.buy(BO, "mystery"), shop.buy(BO, "other"))
    assert cryptlex.licenses == []
    map_product("mystery")
    work()
    assert len(cryptlex.licenses) == 3
    assert {license["user"]["email"] for license in cryptlex.licenses} == {
        "ava.lindqvist@example.com",
        "bo@example.com",
    }
    assert waiting_products() == ["other"]
    assert kinds(kind="item.mapped") == ["item.mapped"] * 2


def test_an_item_with_a_misspelt_attribute_heals_when_the_mapping_says_it(shop, deliver, work, cryptlex):
    deliver(shop.buy(AVA, "photon", attributes={**ATTRIBUTES, "cryptlex_mappings_quantity": "total-licences"}))
    assert cryptlex.licenses == []
    map_product("photon", quantity_mode="per_unit")
    work()
    assert len(cryptlex.licenses) == 1


def test_a_mapping_that_is_not_active_counts_as_none(shop, deliver, work, cryptlex):
    mapping = map_product("mystery", is_active=False)
    deliver(shop.buy(AVA, "mystery"))
    assert waiting_products() == ["mystery"]
    mapping.is_active = True
    save_mapping(mapping, user_id=None)
    work()
    assert len(cryptlex.licenses) == 1


def test_no_license_needed_is_an_answer_and_can_be_taken_back(shop, deliver, work, cryptlex):
    mapping = map_product("t-shirt", is_license_needed=False)
    deliver(shop.buy(AVA, "t-shirt"))
    assert cryptlex.licenses == []
    assert waiting_products() == []
    mapping.is_license_needed = True
    save_mapping(mapping, user_id=None)
    work()
    assert len(cryptlex.licenses) == 1


def test_an_item_that_waited_needs_no_license_after_all(shop, deliver, work, cryptlex):
    deliver(shop.buy(AVA, "t-shirt"))
    map_product("t-shirt", is_license_needed=False)
    work()
    assert waiting_products() == []
    assert cryptlex.licenses == []


def test_a_refunded_order_waiting_for_its_mapping_gets_no_license(shop, deliver, work, cryptlex):
    order = shop.buy(AVA, "mystery")
    deliver(order)
    deliver(shop.refund(order))
    map_product("mystery")
    work()
    assert "active" not in states(cryptlex)


def test_terms_are_fixed_when_the_license_is_made(shop, deliver, work, cryptlex):
    mapping = map_product("studio", quantity_mode="per_unit")
    subscription, events = shop.subscribe(AVA, "studio", quantity=2)
    deliver(*events)
    mapping.product_id, mapping.quantity_mode = "prod-2", "floating"
    save_mapping(mapping, user_id=None)
    work()
    deliver(shop.change(subscription, "subscription.updated", quantity=3))
    assert [license["productId"] for license in cryptlex.licenses] == ["prod-1"] * 3


def test_policies_count_from_the_next_event_on(shop, deliver, work, cryptlex):
    mapping = map_product("studio")
    subscription, events = shop.subscribe(AVA, "studio")
    deliver(*events)
    mapping.ended_action = "revoke"
    save_mapping(mapping, user_id=None)
    deliver(shop.deactivate(subscription))
    assert states(cryptlex) == ["revoked"]


def test_every_save_of_a_mapping_keeps_a_version(db, django_user_model):
    user = django_user_model.objects.create(username="staff")
    mapping = map_product("studio")
    mapping.extra_days = 5
    save_mapping(mapping, user_id=user.pk)
    newest, first = mapping.versions.all()
    assert (newest.number, newest.changed_fields, newest.saved_by) == (2, ["extra_days"], user)
    assert first.values["extra_days"] == 1


def test_a_mapping_is_checked_against_the_license_server(cryptlex, db):
    product = cryptlex.add_product(name="Real")
    good = map_product("studio", product_id=product["id"], template_id="")
    assert check_mapping(good) == []
    good.product_id, good.template_id, good.interval = "nothing", "nothing", ""
    assert len(check_mapping(good)) == 2
    good.interval = "month"
    assert "ISO 8601" in check_mapping(good)[0]
    good.server = "nowhere"
    assert "nowhere" in check_mapping(good)[0]
    good.is_license_needed = False
    assert check_mapping(good) == []


def test_a_subscription_that_moved_to_an_unmapped_product_waits_until_that_is_mapped(shop, deliver, work, cryptlex):
    map_product("studio-basic")
    subscription, events = shop.subscribe(AVA, "studio-basic")
    deliver(*events)
    deliver(shop.change(subscription, "subscription.updated", product="studio-pro"))
    assert waiting_products() == ["studio-pro"]
    deliver(shop.report("subscription.updated", subscription))
    assert waiting_products() == ["studio-pro"]
    assert states(cryptlex) == ["active"]
    map_product("studio-pro", entitlement_set_id="set-pro")
    work()
    assert waiting_products() == []
    assert [license["entitlementSetId"] for license in cryptlex.licenses] == ["set-pro"]


def test_a_move_to_a_product_of_another_kind_needs_a_person(shop, deliver, cryptlex):
    map_product("studio-basic")
    map_product("studio-pro", product_id="prod-2")
    subscription, events = shop.subscribe(AVA, "studio-basic")
    deliver(*events)
    deliver(shop.change(subscription, "subscription.updated", product="studio-pro"))
    link = only_link()
    assert (link.sync_state, link.failure_mode) == ("attention", "permanent")
    assert "cannot move a license to another product" in link.failure_message


@pytest.mark.parametrize(("quantity", "licenses"), [(20, 20), (5_001, 0)])
def test_an_absurd_quantity_waits_for_a_person(shop, deliver, cryptlex, quantity, licenses):
    deliver(shop.buy(AVA, "photon", quantity=quantity, attributes=ATTRIBUTES))
    assert len(cryptlex.licenses) == licenses
    assert waiting_products() == ([] if licenses else ["photon"])


def test_two_stores_and_their_products_are_kept_apart(shop, deliver, cryptlex):
    map_product("photon", store="eu")
    deliver(shop.buy(AVA, "photon"))
    assert waiting_products() == ["photon"]


# --- test events -----------------------------------------------------------------------------------------------------


def test_held_test_events_are_applied_when_somebody_replays_them(shop, post, work, settings, cryptlex):
    settings.STORES = [{**settings.STORES[0], "test_events": "hold"}]
    shop.live = False
    post(shop.buy(AVA, "photon", attributes=ATTRIBUTES))
    work()
    assert (WebhookEvent.objects.get().state, cryptlex.licenses) == (EventState.HELD, [])
    assert interventions.replay_events([WebhookEvent.objects.get().pk]) == 1
    work()
    assert WebhookEvent.objects.get().state == EventState.APPLIED
    assert len(cryptlex.licenses) == 1
    assert only_purchase().is_live is False


def test_test_events_are_applied_at_once_where_the_store_says_so(shop, deliver, cryptlex):
    shop.live = False
    deliver(shop.buy(AVA, "photon", attributes=ATTRIBUTES))
    assert len(cryptlex.licenses) == 1
    assert only_purchase().is_live is False


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_replay_of_anything_applied_changes_nothing(shop, deliver, work, cryptlex, rounds):
    subscription, events = shop.subscribe(AVA, "studio", quantity=2, attributes=ATTRIBUTES)
    deliver(*events)
    deliver(shop.renew(subscription))
    deliver(shop.overdue(subscription))
    before = cryptlex.licenses
    for _ in range(rounds):
        interventions.replay_events(list(WebhookEvent.objects.values_list("pk", flat=True)))
        work()
    assert cryptlex.licenses == before
    assert only_purchase().status == PurchaseStatus.OVERDUE


def test_a_malformed_event_can_be_replayed_after_an_update(shop, deliver, work, cryptlex):
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    good = order["data"]["items"][0].pop("product")
    deliver(order)
    event = WebhookEvent.objects.get()
    assert event.state == EventState.MALFORMED
    WebhookEvent.objects.update(body=event.body.replace('"quantity"', f'"product":"{good}","quantity"', 1))
    interventions.replay_events([event.pk])
    work()
    assert WebhookEvent.objects.get().state == EventState.APPLIED
    assert len(cryptlex.licenses) == 1


# --- refunds and disputes --------------------------------------------------------------------------------------------


def test_a_refund_suspends_the_licenses_of_its_order(shop, deliver, cryptlex):
    order = shop.buy(AVA, "photon", quantity=2, attributes=ATTRIBUTES)
    deliver(order, shop.buy(AVA, "photon", attributes=ATTRIBUTES))
    deliver(shop.refund(order))
    assert sorted(states(cryptlex)) == ["active", "suspended", "suspended"]
    assert "It was refunded." in sentences(kind="license.suspended")


def test_a_partial_refund_takes_the_highest_unit(shop, deliver, cryptlex):
    order = shop.buy(AVA, "photon", quantity=3, attributes=ATTRIBUTES)
    deliver(order)
    deliver(shop.refund(order, lines=[{**order["data"]["items"][0], "quantity": 1, "subtotal": 79.0}]))
    assert {unit: link.state for unit, link in links_by_unit().items()} == {1: "active", 2: "active", 3: "suspended"}
    assert PurchaseItem.objects.get().returned_quantity == 1


@pytest.mark.parametrize(("action", "expected"), [("revoke", ["revoked"]), ("delete", []), ("ignore", ["active"])])
def test_a_refund_follows_its_policy(shop, deliver, cryptlex, action, expected):
    map_product("photon", refund_action=action)
    order = shop.buy(AVA, "photon")
    deliver(order)
    deliver(shop.refund(order))
    assert states(cryptlex) == expected


def test_a_refund_may_ask_a_person_whose_answer_is_an_override(shop, deliver, work, cryptlex):
    map_product("photon", refund_action="ask")
    order = shop.buy(AVA, "photon")
    deliver(order)
    deliver(shop.refund(order))
    link = only_link()
    assert states(cryptlex) == ["active"]
    assert "Decide" in link.question
    until = timezone.now() + timedelta(days=400)
    interventions.override_link(link.pk, user_id=None, reason="agreed", until=until, state=LicenseState.REVOKED)
    work()
    assert states(cryptlex) == ["revoked"]
    assert only_link().question == ""


def test_a_refund_that_overtakes_its_order_leaves_no_usable_license(shop, deliver, cryptlex):
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    deliver(shop.refund(order))
    assert only_purchase().status == PurchaseStatus.UNKNOWN
    deliver(order)
    assert "active" not in states(cryptlex)
    assert only_purchase().status == PurchaseStatus.COMPLETED
    assert "It was refunded." in sentences()


def test_a_refund_that_overtakes_the_order_of_a_subscription_counts_until_the_next_charge(shop, deliver, cryptlex):
    subscription, (activated, order) = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(shop.refund(order))
    deliver(activated, order)
    assert "active" not in states(cryptlex)
    deliver(shop.renew(subscription))
    assert states(cryptlex) == ["active"]


def test_a_refund_between_activation_and_order_reaches_all_the_order_bought(shop, deliver, cryptlex):
    _, (activated, order) = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    order["data"]["items"].append(shop.item("photon", attributes=ATTRIBUTES))
    deliver(activated)
    deliver(shop.refund(order))
    deliver(order)
    assert "active" not in states(cryptlex)


def test_a_refund_names_one_of_two_subscriptions_of_one_product(shop, deliver, cryptlex):
    one, two = (shop.subscribe(AVA, "studio", attributes=ATTRIBUTES) for _ in range(2))
    events = in_one_order(one, two)
    deliver(*events)
    line = events[-1]["data"]["items"][1]
    refund = shop.refund(events[-1], lines=[{**line, "subscription": two[0].id, "refundType": "Full Refund"}])
    deliver(refund)
    by_subscription = dict(LicenseLink.objects.values_list("purchase__external_id", "state"))
    assert by_subscription == {one[0].id: "active", two[0].id: "suspended"}


def test_a_refund_of_an_earlier_period_no_longer_matters(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    deliver(shop.renew(subscription))
    deliver(shop.refund(events[-1]))
    assert states(cryptlex) == ["active"]


def test_a_chargeback_suspends_until_staff_notes_that_it_was_won(shop, deliver, work, cryptlex):
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    deliver(order)
    chargeback = shop.chargeback(order["data"]["id"])
    deliver(chargeback)
    assert states(cryptlex) == ["suspended"]
    interventions.close_disputes(only_purchase().pk, user_id=None, reason="The bank decided for us.")
    work()
    assert states(cryptlex) == ["active"]
    interventions.replay_events(list(WebhookEvent.objects.values_list("pk", flat=True)))
    work()
    assert states(cryptlex) == ["active"]
    assert "Dispute closed as won. The bank decided for us." in sentences()


def test_a_chargeback_that_overtakes_its_order_counts(shop, deliver, cryptlex):
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    deliver(shop.chargeback(order["data"]["id"]))
    deliver(order)
    assert "active" not in states(cryptlex)


# --- the life of a subscription --------------------------------------------------------------------------------------


def test_pause_and_resume(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    deliver(shop.change(subscription, "subscription.paused", state="paused"))
    assert states(cryptlex) == ["suspended"]
    deliver(shop.change(subscription, "subscription.resumed", state="active"))
    assert states(cryptlex) == ["active"]
    assert kinds(link__isnull=False) == ["license.issued", "license.suspended", "license.reinstated"]


def test_a_canceled_subscription_stays_usable_and_can_be_uncanceled(shop, deliver, cryptlex, api_calls):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    api_calls()
    deliver(shop.change(subscription, "subscription.canceled", state="canceled"))
    assert only_purchase().status == PurchaseStatus.CANCELED
    deliver(shop.change(subscription, "subscription.uncanceled", state="active"))
    assert states(cryptlex) == ["active"]
    assert api_calls() == []


def test_the_license_ends_a_day_after_the_paid_period_and_follows_each_renewal(shop, shop_clock, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    assert from_wire(cryptlex.licenses[0]["expiresAt"]) == subscription.next + timedelta(days=1)
    shop_clock.advance(days=30)
    deliver(shop.renew(subscription))
    assert from_wire(cryptlex.licenses[0]["expiresAt"]) == subscription.next + timedelta(days=1)
    assert only_link().expires_at == subscription.next + timedelta(days=1)


def test_a_trial_ends_with_the_trial_and_becomes_full_with_the_first_charge(shop, shop_clock, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES, trial=True)
    deliver(*events)
    assert only_purchase().status == PurchaseStatus.TRIAL
    assert from_wire(cryptlex.licenses[0]["expiresAt"]) == subscription.next + timedelta(days=1)
    shop_clock.advance(days=14)
    deliver(shop.renew(subscription))
    assert only_purchase().status == PurchaseStatus.ACTIVE
    assert from_wire(cryptlex.licenses[0]["expiresAt"]) == subscription.next + timedelta(days=1)


def test_a_paid_trial_in_interval_mode_is_good_until_the_next_charge(shop, shop_clock, deliver, cryptlex):
    map_product("studio", expiry="interval", interval="P1M")
    subscription, events = shop.subscribe(AVA, "studio", trial=True)
    deliver(*events)
    assert from_wire(cryptlex.licenses[0]["expiresAt"]) == subscription.next + timedelta(days=1)
    shop_clock.advance(days=14)
    deliver(shop.renew(subscription))
    first_end = from_wire(cryptlex.licenses[0]["expiresAt"])
    assert first_end == subscription.next + timedelta(days=1)
    deliver(resent(events[-1]))  # the trial's order, sent again by hand, is no payment
    assert from_wire(cryptlex.licenses[0]["expiresAt"]) == first_end
    shop_clock.advance(days=30)
    deliver(shop.renew(subscription))
    assert timedelta(days=28) <= from_wire(cryptlex.licenses[0]["expiresAt"]) - first_end <= timedelta(days=31)


def test_a_trial_that_is_not_paid_for_ends(shop, shop_clock, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES, trial=True)
    deliver(*events)
    shop_clock.advance(days=14)
    deliver(shop.deactivate(subscription))
    assert cryptlex.licenses == []


def test_an_activation_without_its_order_is_enough_after_an_hour(shop, deliver, work, cryptlex):
    _, (activated, _) = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(activated)
    assert cryptlex.licenses == []
    sweep()
    work()
    assert cryptlex.licenses == []
    Purchase.objects.update(first_seen_at=timezone.now() - timedelta(hours=1))
    sweep(now=timezone.now() + timedelta(hours=1))
    work()
    assert len(cryptlex.licenses) == 1


def test_grace_ends_by_itself(shop, deliver, work, cryptlex):
    map_product("studio", overdue_grace_days=3)
    subscription, events = shop.subscribe(AVA, "studio")
    deliver(*events)
    deliver(shop.overdue(subscription))
    assert states(cryptlex) == ["active"]
    purchase = only_purchase()
    assert purchase.review_at is not None
    state = {**purchase.state, "overdue_since": (timezone.now() - timedelta(days=3)).isoformat()}
    Purchase.objects.update(state=state, review_at=timezone.now())
    sweep()
    work()
    assert states(cryptlex) == ["suspended"]
    assert only_purchase().review_at is None
    assert HistoryEntry.objects.get(kind="license.suspended").event_id is None


@pytest.mark.parametrize(("action", "expected"), [("suspend", ["suspended"]), ("log", ["active"])])
def test_overdue_follows_its_policy(shop, deliver, cryptlex, action, expected):
    map_product("studio", overdue_action=action)
    subscription, events = shop.subscribe(AVA, "studio")
    deliver(*events)
    deliver(shop.overdue(subscription))
    assert states(cryptlex) == expected


@pytest.mark.parametrize(
    ("action", "expected"), [("delete", []), ("revoke", ["revoked"]), ("suspend", ["suspended"]), ("leave", ["active"])]
)
def test_the_end_follows_its_policy(shop, deliver, cryptlex, action, expected):
    map_product("studio", ended_action=action)
    subscription, events = shop.subscribe(AVA, "studio")
    deliver(*events)
    deliver(shop.deactivate(subscription))
    assert states(cryptlex) == expected


@pytest.mark.parametrize("action", ["delete", "revoke", "suspend", "leave"])
def test_the_end_of_a_subscription_never_heard_of_makes_no_license(shop, shop_clock, deliver, cryptlex, action):
    map_product("studio", ended_action=action)
    subscription, _ = shop.subscribe(AVA, "studio")
    subscription.sequence = 4
    deliver(shop.deactivate(subscription))
    assert cryptlex.licenses == []
    assert only_purchase().status == PurchaseStatus.ENDED


def test_a_subscription_that_comes_back_gets_its_license_again(shop, shop_clock, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    deliver(shop.deactivate(subscription))
    assert cryptlex.licenses == []
    shop_clock.advance(days=3)
    deliver(shop.renew(subscription))
    assert states(cryptlex) == ["active"]


# --- quantity --------------------------------------------------------------------------------------------------------


def test_more_seats_get_more_licenses_and_fewer_lose_the_highest(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", quantity=2, attributes=ATTRIBUTES)
    deliver(*events)
    first_two = [license["id"] for license in cryptlex.licenses]
    deliver(*shop.prorate(subscription, quantity=4))
    assert len(cryptlex.licenses) == 4
    deliver(shop.change(subscription, "subscription.updated", quantity=2))
    assert [license["id"] for license in cryptlex.licenses] == first_two
    deliver(shop.change(subscription, "subscription.updated", quantity=3))
    assert len(cryptlex.licenses) == 3


@pytest.mark.parametrize(
    ("mode", "member"), [("activations", "allowedActivations"), ("floating", "allowedFloatingClients")]
)
def test_one_license_for_all_seats_follows_the_quantity(shop, deliver, cryptlex, mode, member):
    map_product("studio", quantity_mode=mode)
    subscription, events = shop.subscribe(AVA, "studio", quantity=5)
    deliver(*events)
    assert [license[member] for license in cryptlex.licenses] == [5]
    deliver(*shop.prorate(subscription, quantity=7))
    assert [license[member] for license in cryptlex.licenses] == [7]
    deliver(shop.change(subscription, "subscription.updated", quantity=2))
    assert [license[member] for license in cryptlex.licenses] == [2]


def test_a_seat_added_years_later_is_not_given_the_years_before(shop, shop_clock, deliver, cryptlex):
    map_product("studio", expiry="interval", interval="P1M")
    subscription, events = shop.subscribe(AVA, "studio")
    deliver(*events)
    for _ in range(5):
        deliver(shop.renew(subscription))
    deliver(shop.change(subscription, "subscription.updated", quantity=2))
    ends = [from_wire(license["expiresAt"]) for license in cryptlex.licenses]
    assert ends[1] == subscription.next + timedelta(days=1)
    assert ends[0] > timezone.now() + timedelta(days=150)


# --- bundles and add-ons ---------------------------------------------------------------------------------------------


def test_a_bundle_gives_its_parts_licenses_and_itself_none(shop, deliver, cryptlex):
    driver = {"type": "bundle", "path": "creator-bundle"}
    order = shop.order(
        AVA,
        shop.item("creator-bundle", attributes={"cryptlex_is_bundle": "true"}),
        shop.item("photon", attributes=ATTRIBUTES, driver=driver),
        shop.item("audio", quantity=2, attributes=ATTRIBUTES, driver=driver),
    )
    deliver(order)
    assert len(cryptlex.licenses) == 3
    assert waiting_products() == []
    assert {metadata(license)["fastspring_driver"] for license in cryptlex.licenses} == {"bundle_creator-bundle"}
    assert {metadata(license)["fastspring_order_id"] for license in cryptlex.licenses} == {order["data"]["id"]}


def test_a_bundle_of_subscriptions_makes_a_purchase_of_each(shop, deliver, cryptlex):
    bought = [shop.subscribe(AVA, f"studio-{number}", attributes=ATTRIBUTES) for number in range(3)]
    deliver(*in_one_order(*bought))
    assert set(Purchase.objects.values_list("kind", "external_id")) == {
        (PurchaseKind.SUBSCRIPTION, subscription.id) for subscription, _ in bought
    }
    assert len(cryptlex.licenses) == 3
    deliver(shop.deactivate(bought[1][0]))
    remaining = {metadata(license)["fastspring_subscription_id"] for license in cryptlex.licenses}
    assert remaining == {bought[0][0].id, bought[2][0].id}


def test_an_order_of_a_subscription_and_one_time_items_is_two_purchases(shop, deliver, cryptlex):
    subscription, (activated, order) = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    order["data"]["items"].append(shop.item("photon", attributes=ATTRIBUTES))
    deliver(activated, order)
    assert sorted(Purchase.objects.values_list("kind", flat=True)) == ["order", "subscription"]
    assert len(cryptlex.licenses) == 2
    deliver(shop.deactivate(subscription))
    assert [metadata(license).get("fastspring_order_id") for license in cryptlex.licenses] == [order["data"]["id"]]


def test_an_add_on_in_the_same_order_lives_and_dies_with_its_subscription(shop, shop_clock, deliver, cryptlex):
    subscription, (activated, order) = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    order["data"]["items"].append(add_on_line(shop, subscription, "node", quantity=2, attributes=ATTRIBUTES))
    deliver(activated, order)
    assert len(cryptlex.licenses) == 3
    assert only_purchase().kind == PurchaseKind.SUBSCRIPTION
    assert {metadata(license)["fastspring_subscription_id"] for license in cryptlex.licenses} == {subscription.id}
    shop_clock.advance(days=30)
    deliver(shop.renew(subscription))
    ends = {from_wire(license["expiresAt"]) for license in cryptlex.licenses}
    assert ends == {subscription.next + timedelta(days=1)}
    deliver(shop.deactivate(subscription))
    assert cryptlex.licenses == []


def test_an_add_on_bought_later_belongs_to_its_subscription(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(*events)
    later = shop.order(AVA, add_on_line(shop, subscription, "node", quantity=2, attributes=ATTRIBUTES))
    deliver(later)
    assert len(cryptlex.licenses) == 3
    assert only_purchase().reference == events[-1]["data"]["reference"]
    deliver(shop.refund(later))
    assert sorted(states(cryptlex)) == ["active", "suspended", "suspended"]
    deliver(shop.deactivate(subscription))
    assert cryptlex.licenses == []


def test_an_add_on_order_that_comes_first_waits_for_its_subscription(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    deliver(shop.order(AVA, add_on_line(shop, subscription, "node", attributes=ATTRIBUTES)))
    assert cryptlex.licenses == []
    deliver(*events)
    assert len(cryptlex.licenses) == 2
    assert only_purchase().reference == events[-1]["data"]["reference"]


# --- orders that were not paid at once -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "before",
    [["order.payment.pending"], ["order.failed"], ["order.canceled"], ["order.payment.pending", "order.failed"]],
)
def test_an_order_gets_its_license_when_it_is_paid_in_the_end(shop, deliver, cryptlex, before):
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    for event_type in before:
        deliver({**resent(order), "type": event_type, "data": {**order["data"], "completed": False}})
    assert cryptlex.licenses == []
    deliver(order)
    assert states(cryptlex) == ["active"]
    assert only_purchase().status == PurchaseStatus.COMPLETED


def test_a_late_word_of_a_failure_takes_nothing_from_a_paid_order(shop, deliver, cryptlex):
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    deliver(order)
    deliver({**resent(order), "type": "order.canceled", "data": {**order["data"], "completed": False}})
    assert states(cryptlex) == ["active"]


def _fulfillment_failed(shop, order):
    data = {"order": order["data"]["id"], "reference": "ACM-1", "reason": "No licenses left", "type": "License"}
    return {**resent(order), "type": "fulfillment.failed", "data": data}


def test_a_failed_fulfilment_calls_a_person_until_the_order_is_completed(shop, deliver, cryptlex):
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    deliver(_fulfillment_failed(shop, order))
    assert "ACM-1: No licenses left" in only_purchase().attention
    deliver(order)
    assert only_purchase().attention == ""
    assert len(cryptlex.licenses) == 1
    deliver(_fulfillment_failed(shop, order))
    assert only_purchase().attention == ""


def test_a_person_may_acknowledge_a_purchase(shop, deliver, cryptlex):
    deliver(_fulfillment_failed(shop, shop.buy(AVA, "photon")))
    interventions.acknowledge_purchase(only_purchase().pk, user_id=None, reason="Called the buyer.")
    assert only_purchase().attention == ""
    assert "Looked after. Called the buyer." in sentences()


# --- the history -----------------------------------------------------------------------------------------------------


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
