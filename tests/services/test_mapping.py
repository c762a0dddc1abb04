"""Product mappings: what waits for one, what is fixed by one, and test orders."""

from __future__ import annotations

import pytest

from licensing_integration.domain.outcomes import EventState, FailureMode, PurchaseStatus
from licensing_integration.models import PurchaseItem, WebhookEvent
from licensing_integration.sandbox.fastspring import Buyer
from licensing_integration.services import interventions
from licensing_integration.services.catalog import Checked, check_mappings, save_mapping
from tests.services.conftest import ATTRIBUTES, AVA, only_link, only_purchase
from tests.services.scenario import (
    kinds,
    map_product,
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
    assert "Mystery waits: The product mapping of mystery is not active." in sentences(kind="item.waiting")
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
    assert (newest.number, newest.values["extra_days"], newest.saved_by) == (2, 5, user)
    assert first.values["extra_days"] is None


def test_a_mapping_is_checked_against_the_license_server(cryptlex, db):
    product = cryptlex.add_product(name="Real")
    good = map_product("studio", product_id=product["id"], template_id="")
    assert check_mappings([good])[0] == Checked()
    good.product_id, good.template_id, good.interval = "nothing", "nothing", ""
    assert len(check_mappings([good])[0].problems) == 2
    good.interval = "month"
    assert "ISO 8601" in check_mappings([good])[0].problems[0]
    good.server = "nowhere"
    assert "nowhere" in check_mappings([good])[0].problems[0]
    good.is_license_needed = False
    assert check_mappings([good])[0] == Checked()


@pytest.mark.parametrize("server", ["", "cryptlex"])
def test_a_mapping_that_leaves_the_product_to_the_store_is_no_problem_but_cannot_be_checked(cryptlex, db, server):
    (checked,) = check_mappings([map_product("studio", server=server, product_id="", template_id="")])
    assert (checked.problems, checked.note) == (
        (),
        "The store's attribute names the license product; that cannot be checked here.",
    )


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
    assert interventions.replay_events([WebhookEvent.objects.get().pk], user_id=None, reason="") == 1
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
        interventions.replay_events(list(WebhookEvent.objects.values_list("pk", flat=True)), user_id=None, reason="")
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
    interventions.replay_events([event.pk], user_id=None, reason="")
    work()
    assert WebhookEvent.objects.get().state == EventState.APPLIED
    assert len(cryptlex.licenses) == 1
