"""FastSpring asks for keys: which it is given, and what keeps one from being shown."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from licensing_integration import jobs, tasks
from licensing_integration.domain.outcomes import PurchaseStatus
from licensing_integration.exceptions import FulfilmentDisabled, InvalidSignature, KeysNotReady, PayloadError
from licensing_integration.models import Purchase, WebhookEvent
from licensing_integration.sandbox.fastspring import FastSpringShop
from licensing_integration.sandbox.fastspring_fulfilment import show_keys
from licensing_integration.services.plan import plan_event
from licensing_integration.services.translate import translate
from tests.services.conftest import AVA, only_link
from tests.services.fulfilment.conftest import PRIVATE_KEY, photon_order
from tests.services.scenario import links_by_unit, map_product, metadata, sentences, states, try_again

# --- one product -----------------------------------------------------------------------------------------------------


def test_a_key_is_given_out_before_the_order_comes(mapped, shop, ask, cryptlex):
    key = ask(photon_order(shop))
    assert key == cryptlex.licenses[0]["key"]
    assert states(cryptlex) == ["active"]
    assert cryptlex.licenses[0]["user"]["email"] == AVA.email.lower()
    assert Purchase.objects.get().status == PurchaseStatus.PREPARED
    assert "The key was given out on the order page; the order is not completed yet." in sentences()


def test_the_order_recognises_its_license(mapped, shop, ask, deliver, cryptlex, api_calls):
    order = photon_order(shop)
    key = ask(order)
    api_calls()
    deliver(show_keys(order, [key]))
    purchase = Purchase.objects.get()
    assert (purchase.external_id, purchase.status) == (order["data"]["id"], PurchaseStatus.COMPLETED)
    assert [only_link().key] == [license["key"] for license in cryptlex.licenses] == [key]
    assert purchase.attention == ""
    assert "Recognised the license given out on the order page." in sentences(purchase=purchase)
    assert not [call for call in api_calls() if call.startswith("POST /v3/licenses")]


def test_an_order_that_comes_first_has_its_keys_asked_for(mapped, shop, ask, deliver, cryptlex):
    order = photon_order(shop)
    deliver(order)
    assert ask(order) == cryptlex.licenses[0]["key"]
    assert (Purchase.objects.count(), len(cryptlex.licenses)) == (1, 1)
    assert Purchase.objects.get().status == PurchaseStatus.COMPLETED


def test_the_same_request_gets_the_same_keys(mapped, shop, ask, request_keys, work, cryptlex):
    order = photon_order(shop, quantity=3)
    keys = ask(order)
    assert [request_keys(order) for _ in range(3)] == [keys] * 3
    assert work() == 0
    assert WebhookEvent.objects.get().deliveries == 5
    assert len(cryptlex.licenses) == 3


def test_each_unit_has_a_line_in_the_order_of_the_units(mapped, shop, ask, deliver, cryptlex):
    order = photon_order(shop, quantity=3)
    keys = ask(order)
    assert keys.split("\n") == [link.key for _, link in sorted(links_by_unit().items())]
    assert len(set(keys.split("\n"))) == 3
    deliver(show_keys(order, keys.split("\n")))
    assert len(cryptlex.licenses) == 3
    assert "Recognised the 3 licenses given out on the order page." in sentences()


def test_the_first_key_alone_is_never_shown(mapped, shop, request_keys, cryptlex):
    order = photon_order(shop, quantity=3)
    with pytest.raises(KeysNotReady):
        request_keys(order)
    event = WebhookEvent.objects.get()
    tasks.process_events_task([event.pk])  # makes the first license; the others are jobs
    assert len(cryptlex.licenses) == 1
    with pytest.raises(KeysNotReady, match="not ready within"):
        request_keys(order)


def test_the_other_keys_of_an_order_come_before_other_work(mapped, shop, request_keys, post):
    with pytest.raises(KeysNotReady):
        request_keys(photon_order(shop, quantity=3))
    post(photon_order(shop))
    assert _priorities() == {jobs.PROCESS_EVENTS: {jobs.AWAITED_PRIORITY, 0}}
    asked = WebhookEvent.objects.order_by("id")[0]
    plan_event(asked, translate(asked))
    assert _priorities()[jobs.APPLY_LINKS] == {jobs.AWAITED_PRIORITY}


def _priorities() -> dict[str, set[int]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT task_name, array_agg(DISTINCT priority) FROM procrastinate_jobs GROUP BY 1")
        return {name: set(priorities) for name, priorities in cursor.fetchall()}


def test_two_products_of_an_order_are_asked_for_one_after_the_other(mapped, shop, ask, deliver, cryptlex):
    order = shop.order(AVA, shop.item("photon"), shop.item("brushes", quantity=2))
    first, second = ask(order, line=0), ask(order, line=1)
    assert Purchase.objects.count() == 1
    deliver(show_keys(show_keys(order, [first]), second.split("\n"), line=1))
    assert len(cryptlex.licenses) == 3
    assert sorted([first, *second.split("\n")]) == sorted(license["key"] for license in cryptlex.licenses)
    assert "Recognised the 3 licenses" in sentences()


def test_one_license_may_stand_for_all_units(shop, ask, deliver, cryptlex):
    map_product("photon", quantity_mode="activations")
    order = photon_order(shop, quantity=5)
    key = ask(order, single_license="true")
    assert key == cryptlex.licenses[0]["key"]
    assert cryptlex.licenses[0]["allowedActivations"] == 5
    deliver(order)
    assert len(cryptlex.licenses) == 1


def test_single_license_typed_into_the_fulfilment_is_enough_with_licensesprings_attributes(shop, ask, cryptlex):
    order = photon_order(shop, quantity=5)
    key = ask(order, product_short_code="pho", cryptlex_product_id="prod-1", single_license="true")
    assert [license["key"] for license in cryptlex.licenses] == [key]


def test_several_licenses_are_no_single_one(mapped, shop, ask):
    with pytest.raises(KeysNotReady, match="one key was asked for, but there are 2 licenses"):
        ask(photon_order(shop, quantity=2), output="single")


def test_what_the_merchant_typed_into_the_fulfilment_maps_the_product(shop, ask, cryptlex):
    assert ask(photon_order(shop), cryptlex_product_id="prod-1") == cryptlex.licenses[0]["key"]


@pytest.mark.parametrize("first", [{}, {"max_activations": "many"}])
def test_what_the_merchant_has_corrected_in_the_fulfilment_counts(shop, ask, cryptlex, first):
    """FastSpring processes the order again: the same reference, product and quantity."""
    order = photon_order(shop)
    with pytest.raises(KeysNotReady):
        ask(order, product_short_code="pho", **({"cryptlex_product_id": "prod-1"} if first else {}), **first)
    key = ask(order, product_short_code="pho", cryptlex_product_id="prod-1", max_activations="3")
    assert [(license["key"], license["allowedActivations"]) for license in cryptlex.licenses] == [(key, 3)]


def test_a_correction_does_not_change_the_license_whose_key_was_shown(shop, ask, cryptlex):
    order = photon_order(shop)
    key = ask(order, product_short_code="pho", cryptlex_product_id="prod-1", max_activations="3")
    assert ask(order, product_short_code="pho", cryptlex_product_id="prod-1", max_activations="9") == key
    assert [license["allowedActivations"] for license in cryptlex.licenses] == [3]


# --- what keeps a key from being shown -------------------------------------------------------------------------------


def test_an_unmapped_product_has_no_key_until_it_is_mapped(shop, ask, request_keys, work, cryptlex):
    order = photon_order(shop)
    with pytest.raises(KeysNotReady, match="No product mapping"):
        ask(order)
    assert "The store was given no key." in sentences()
    map_product("photon")
    work()
    assert request_keys(order) == cryptlex.licenses[0]["key"]


def test_a_refusal_is_told_once(shop, ask, request_keys):
    order = photon_order(shop)
    for _ in range(3):
        with pytest.raises(KeysNotReady):
            ask(order)
    assert sentences().count("The store was given no key.") == 1


def test_a_product_without_a_license_has_no_key(shop, ask):
    map_product("photon", is_license_needed=False, product_id="")
    with pytest.raises(KeysNotReady, match="without a license"):
        ask(photon_order(shop))


def test_a_refused_license_ends_the_wait(mapped, shop, ask, cryptlex):
    cryptlex.faults.add(method="POST", path="/v3/licenses", kind="status", status=400)
    with pytest.raises(KeysNotReady, match="could not be made"):
        ask(photon_order(shop))


def test_a_license_server_that_is_away_means_no_key_now_and_the_same_one_later(mapped, shop, ask, work, cryptlex):
    cryptlex.faults.add(method="POST", path="/v3/licenses", kind="commit_then_drop")
    order = photon_order(shop)
    with pytest.raises(KeysNotReady, match="not ready within"):
        ask(order)
    try_again(work)
    key = ask(order)
    assert [license["key"] for license in cryptlex.licenses] == [key]


def test_a_wait_is_over_when_its_time_is_up(mapped, shop, settings, request_keys):
    """And its place is free for the next one."""
    settings.FULFILMENT_WAIT_SECONDS, settings.FULFILMENT_MAX_WAITING = 0.03, 1
    for _ in range(2):
        with pytest.raises(KeysNotReady, match=r"not ready within 0\.03 seconds"):
            request_keys(photon_order(shop))


def test_a_held_test_order_has_no_key(mapped, shop, settings, ask, cryptlex):
    settings.STORES = [{**settings.STORES[0], "test_events": "hold"}]
    shop.live = False
    with pytest.raises(KeysNotReady, match="test order"):
        ask(photon_order(shop))
    assert not cryptlex.licenses


def test_an_applied_test_order_has_one(mapped, shop, ask, deliver, cryptlex):
    shop.live = False
    order = photon_order(shop)
    key = ask(order)
    deliver(show_keys(order, [key]))
    assert len(cryptlex.licenses) == 1
    assert not Purchase.objects.get().is_live


def test_a_held_test_request_does_not_hold_the_live_one(mapped, shop, settings, ask, cryptlex):
    settings.STORES = [{**settings.STORES[0], "test_events": "hold"}]
    order = photon_order(shop)
    with pytest.raises(KeysNotReady, match="test order"):
        ask(order, test="true")
    assert ask(order) == cryptlex.licenses[0]["key"]


@pytest.mark.parametrize("names_subscription", [True, False])
def test_the_order_knows_better_whether_it_is_a_test(mapped, shop, ask, deliver, names_subscription):
    """The merchant has not ticked ``test`` in the fulfilment."""
    shop.live = False
    subscription, (activation, order) = shop.subscribe(AVA, "studio")
    order["data"]["items"].append(shop.item("photon"))
    named = {"subscription": subscription.id} if names_subscription else {}
    ask(order, line=0, test="", **named)
    ask(order, line=1, test="")
    deliver(activation, order)
    assert set(Purchase.objects.values_list("is_live", flat=True)) == {False}


def test_a_wrong_key_stores_nothing(mapped, shop, ask):
    with pytest.raises(InvalidSignature):
        ask(photon_order(shop), private_key="another")
    assert not WebhookEvent.objects.exists()


def test_any_of_several_private_keys_counts(mapped, shop, settings, ask, cryptlex):
    settings.STORES = [{**settings.STORES[0], "fulfilment_keys": ("the-next-private-key", PRIVATE_KEY)}]
    ask(photon_order(shop))
    ask(photon_order(shop), private_key="the-next-private-key")
    assert len(cryptlex.licenses) == 2


def test_without_a_private_key_no_keys_are_given_out(mapped, shop, settings, ask):
    settings.STORES = [{**settings.STORES[0], "fulfilment_keys": ()}]
    with pytest.raises(FulfilmentDisabled):
        ask(photon_order(shop))


@pytest.mark.parametrize("changed", [{"reference": ""}, {"product": ""}, {"quantity": "0"}, {"test": "maybe"}])
def test_a_request_that_does_not_say_what_it_wants_stores_nothing(shop, ask, changed):
    with pytest.raises(PayloadError):
        ask(photon_order(shop), **changed)
    assert not WebhookEvent.objects.exists()


# --- costs -----------------------------------------------------------------------------------------------------------


def _lookups(shop: FastSpringShop, deliver: Callable[..., None]) -> int:
    """How often purchases were looked for while an order was worked on, beside the statement that makes them."""
    with CaptureQueriesContext(connection) as captured:
        deliver(photon_order(shop))
    return sum('FROM "licensing_integration_purchase"' in query["sql"] for query in captured)


def test_stores_that_give_out_no_keys_pay_nothing_for_it(mapped, shop, deliver, settings, cryptlex):
    assert _lookups(shop, deliver) == 2
    settings.STORES = [{**settings.STORES[0], "fulfilment_keys": ()}]
    assert _lookups(shop, deliver) == 0


def test_the_stored_request_holds_no_hash(mapped, shop, ask):
    ask(photon_order(shop))
    body = json.loads(WebhookEvent.objects.get().body)
    assert "security_request_hash" not in body["data"]
    assert PRIVATE_KEY not in WebhookEvent.objects.get().body


def test_the_license_tells_the_slot_it_was_made_for(mapped, shop, ask, deliver, cryptlex):
    order = photon_order(shop)
    ask(order)
    deliver(order)
    assert only_link().reference == metadata(cryptlex.licenses[0])["licensing_integration_slot"]


def test_a_buyer_without_an_address_costs_no_search(mapped, shop, ask, api_calls):
    """Nobody else can have made a license for an order that is not completed."""
    ask(photon_order(shop), email="", name="", company="")
    assert api_calls() == ["POST /v3/licenses"]


def test_a_reference_is_not_written_as_the_order_id(mapped, shop, ask, cryptlex):
    ask(photon_order(shop))
    assert set(metadata(cryptlex.licenses[0])) == {"licensing_integration_slot"}
