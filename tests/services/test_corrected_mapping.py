"""A mapping that named something wrong: once it is corrected, what the license server refused is made after all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from licensing_integration.domain.outcomes import LicenseState
from licensing_integration.exceptions import PermanentRemoteError
from licensing_integration.license_servers.licensespring import backend
from licensing_integration.models import LicenseLink, Purchase, PurchaseItem
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.licensespring import LicenseSpringSandbox
from licensing_integration.services import catalog, interventions, leases
from licensing_integration.services.apply import _record_failure
from licensing_integration.services.catalog import check_mappings, save_mapping
from licensing_integration.services.plan import plan_purchase
from licensing_integration.services.sweep import sweep
from tests.admin.statistics import forget_statistics
from tests.services.conftest import AVA, only_link, only_purchase
from tests.services.scenario import CREATE, kinds, map_product, sentences, states, try_again, waiting_products

WRONG = "00000000-0000-0000-0000-000000000000"
SPRING_KEY = "sandbox.management-key"


@pytest.fixture
def strict(settings: Settings) -> Iterator[CryptlexSandbox]:
    """A Cryptlex that knows its products; ``prod-1`` and ``tmpl-1`` are among them."""
    with CryptlexSandbox(access_token="sandbox-token") as box:
        box.add_product(id="prod-1", name="Studio")
        box.add_template(id="tmpl-1", name="Plain")
        settings.LICENSE_SERVERS = [{**config, "base_url": box.base_url} for config in settings.LICENSE_SERVERS]
        yield box


@pytest.fixture
def spring(settings: Settings) -> Iterator[LicenseSpringSandbox]:
    """A LicenseSpring beside the Cryptlex, which stays the first; it sells ``studio``."""
    with LicenseSpringSandbox(api_key=SPRING_KEY, products=()) as box:
        box.options.order_is_atomic = True
        box.add_product(short_code="studio", default_license_type="perpetual")
        box.add_custom_field(product="studio", name="Seats", default_value="1")
        config = {"name": "spring", "backend": "licensespring", "base_url": box.base_url, "access_token": SPRING_KEY}
        settings.LICENSE_SERVERS = [*settings.LICENSE_SERVERS, {**config, "request_limit": 0, "uuid": ""}]
        yield box


def correct(mapping: Any, **values: Any) -> int:
    """Somebody corrects the mapping and saves it."""
    for name, value in values.items():
        setattr(mapping, name, value)
    return save_mapping(mapping, user_id=None)


def look_again(work: Any) -> None:
    """Let the time pass after which a purchase is looked at once more."""
    Purchase.objects.filter(review_at__isnull=False).update(review_at=timezone.now())
    sweep()
    work()


def refused() -> LicenseLink:
    link = only_link()
    assert (link.sync_state, link.failure_mode, link.external_id) == ("attention", "permanent", "")
    return link


# --- what the license server does not know ---------------------------------------------------------------------------


@pytest.mark.parametrize(("wrong", "right"), [("product_id", "prod-1"), ("template_id", "tmpl-1")])
def test_a_wrong_name_on_a_cryptlex_is_corrected(shop, deliver, work, strict, wrong, right):
    mapping = map_product("studio", **{wrong: WRONG})
    deliver(shop.buy(AVA, "studio"))
    reference = refused().reference
    assert correct(mapping, **{wrong: right}) == 1
    work()
    (license,) = strict.licenses
    assert license["productId"] == "prod-1"
    link = only_link()
    assert (link.sync_state, link.external_id, link.reference) == ("settled", license["id"], reference)
    assert kinds(link=link) == ["license.failed", "license.issued"]
    assert "Studio has no license yet and goes by the product mapping" in sentences(kind="item.planned_anew")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [({"product_id": "stduio"}, {"product_id": "studio"}), ({"custom_fields": {"Saets": "2"}}, {"custom_fields": {}})],
    ids=["short code", "custom field"],
)
def test_a_wrong_name_on_a_licensespring_is_corrected(shop, deliver, work, strict, spring, wrong, right):
    mapping = map_product("studio", **{"server": "spring", "product_id": "studio", "template_id": "", **wrong})
    deliver(shop.buy(AVA, "studio"))
    refused()
    assert correct(mapping, **right) == 1
    work()
    (license,) = spring.licenses
    assert license["product"]["short_code"] == "studio"
    assert only_link().sync_state == "settled"
    assert kinds(link=only_link()) == ["license.failed", "license.issued"]


def test_names_that_are_wrong_twice_are_corrected_also_where_the_refused_order_stays(
    shop, deliver, work, strict, spring, monkeypatch
):
    """The second attempt is in doubt for as long as the first order may yet get its license, and so pins its terms."""
    spring.options.order_is_atomic = False
    mapping = map_product("studio", server="spring", product_id="studio", template_id="", custom_fields={"Saets": "2"})
    deliver(shop.buy(AVA, "studio"))
    refused()
    correct(mapping, custom_fields={"Setas": "2"})
    work()
    assert (only_link().sync_state, only_link().unclear_attempts) == ("pending", 1)
    correct(mapping, custom_fields={"Seats": "2"})
    work()
    assert only_link().desired["custom_fields"] == {"Setas": "2"}
    monkeypatch.setattr(backend, "EMPTY_ORDER_AGE", timedelta())  # as if the minutes had passed
    try_again(work)
    refused()
    look_again(work)
    assert (len(spring.licenses), only_link().sync_state) == (1, "settled")


def test_a_custom_field_that_was_misspelt_gets_its_value(shop, deliver, work, strict, spring):
    mapping = map_product("studio", server="spring", product_id="studio", template_id="", custom_fields={"Saets": "2"})
    deliver(shop.buy(AVA, "studio"))
    refused()
    correct(mapping, custom_fields={"Seats": "2"})
    work()
    assert len(spring.licenses) == 1
    assert only_link().desired["custom_fields"] == {"Seats": "2"}


def test_a_mapping_that_is_still_wrong_stays_with_a_person(shop, deliver, work, strict):
    mapping = map_product("studio", product_id=WRONG)
    deliver(shop.buy(AVA, "studio"))
    correct(mapping, product_id=WRONG.replace("0", "1"))
    work()
    assert WRONG.replace("0", "1") in refused().desired["product_id"]
    look_again(work)
    assert kinds(link=only_link()) == ["license.failed", "license.failed"]
    correct(mapping, product_id="prod-1")
    work()
    assert states(strict) == ["active"]


def test_the_empty_slot_moves_to_the_server_of_the_corrected_mapping(shop, deliver, work, strict, spring):
    mapping = map_product("studio", product_id="studio", template_id="")
    deliver(shop.buy(AVA, "studio"))
    reference = refused().reference
    correct(mapping, server="spring")
    work()
    link = only_link()
    assert (link.server, link.desired["server"], link.sync_state) == ("spring", "spring", "settled")
    assert link.reference == reference
    assert (len(strict.licenses), len(spring.licenses)) == (0, 1)


def test_rejected_credentials_of_a_wrong_server_do_not_hold_the_purchase(shop, deliver, work, strict, spring, settings):
    cryptlex, licensespring = settings.LICENSE_SERVERS
    settings.LICENSE_SERVERS = [cryptlex, {**licensespring, "access_token": "wrong"}]
    mapping = map_product("studio", server="spring", product_id="studio", template_id="")
    deliver(shop.buy(AVA, "studio"))
    assert (only_link().sync_state, only_link().failure_mode) == ("pending", "config")
    assert correct(mapping, server="cryptlex", product_id="prod-1") == 1
    work()
    assert states(strict) == ["active"]


# --- what pins the terms ---------------------------------------------------------------------------------------------


def test_one_license_pins_the_terms_of_all_units(shop, deliver, work, cryptlex):
    """All or nothing: two units of one item are never licenses of two products."""
    cryptlex.faults.add(**CREATE, kind="status", status=400, skip=1)
    mapping = map_product("studio")
    deliver(shop.buy(AVA, "studio", quantity=2))
    assert sorted(LicenseLink.objects.values_list("sync_state", flat=True)) == ["attention", "settled"]
    correct(mapping, product_id="prod-2")
    work()
    interventions.resync_link(LicenseLink.objects.get(sync_state="attention").pk, user_id=None, reason="Again.")
    work()
    assert [license["productId"] for license in cryptlex.licenses] == ["prod-1", "prod-1"]


def test_a_license_that_is_gone_pins_the_terms_still(shop, deliver, work, cryptlex):
    mapping = map_product("studio")
    subscription, events = shop.subscribe(AVA, "studio")
    deliver(*events)
    deliver(shop.deactivate(subscription))
    assert cryptlex.licenses == []
    correct(mapping, product_id="prod-2")
    work()
    deliver(shop.report("subscription.updated", subscription))
    assert only_link().desired["product_id"] == "prod-1"


def test_a_lost_answer_pins_the_terms_until_it_is_clear(shop, post, deliver, work, cryptlex):
    cryptlex.faults.add(**CREATE, kind="commit_then_drop")
    mapping = map_product("studio")
    deliver(shop.buy(AVA, "studio"))
    assert (only_link().unclear_attempts, only_link().external_id) == (1, "")
    assert correct(mapping, product_id="prod-2") == 1
    work()
    assert only_link().desired["product_id"] == "prod-1"
    try_again(work)
    (license,) = cryptlex.licenses
    assert (license["productId"], only_link().external_id) == ("prod-1", license["id"])
    look_again(work)
    assert (only_link().sync_state, len(cryptlex.licenses)) == ("settled", 1)


def test_a_mapping_saved_while_the_license_is_being_tried_counts_once_it_is_refused(shop, deliver, work, strict):
    """The attempt under way pins the terms; when it has failed, the purchase is looked at once more."""
    mapping = map_product("studio", product_id=WRONG)
    deliver(shop.buy(AVA, "studio"))
    interventions.resync_link(refused().pk, user_id=None, reason="Once more.")
    attempt = leases.claim(only_link().pk)
    correct(mapping, product_id="prod-1")
    plan_purchase(only_purchase().pk)
    assert only_link().desired["product_id"] == WRONG
    _record_failure(attempt, PermanentRemoteError("No such product.", status=400))
    refused()
    look_again(work)
    assert states(strict) == ["active"]
    assert only_purchase().review_at is None


def test_an_event_in_between_is_not_the_look_that_follows_a_refusal(shop, deliver, work, strict):
    map_product("studio", product_id=WRONG)
    subscription, events = shop.subscribe(AVA, "studio")
    deliver(*events)
    refused()
    review_at = only_purchase().review_at
    deliver(shop.report("subscription.updated", subscription))
    assert only_purchase().review_at == review_at is not None
    look_again(work)
    assert only_purchase().review_at is None
    assert kinds(kind="license.failed") == ["license.failed"]


def test_a_lost_answer_without_a_license_pins_until_the_look_for_it(shop, deliver, work, strict):
    strict.faults.add(**CREATE, kind="drop")
    mapping = map_product("studio", product_id=WRONG)
    deliver(shop.buy(AVA, "studio"))
    correct(mapping, product_id="prod-1")
    work()
    assert (only_link().desired["product_id"], strict.licenses) == (WRONG, [])
    try_again(work)
    assert refused().is_adoptable, "the next attempt looks before it issues"
    look_again(work)
    assert states(strict) == ["active"]


# --- fewer licenses, or none -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ended_action", ["delete", "suspend", "leave"])
def test_one_license_instead_of_three_leaves_no_slot_that_is_filled_later(shop, deliver, work, strict, ended_action):
    mapping = map_product("studio", product_id=WRONG, quantity_mode="per_unit", ended_action=ended_action)
    subscription, events = shop.subscribe(AVA, "studio", quantity=3)
    deliver(*events)
    assert correct(mapping, product_id="prod-1", quantity_mode="activations") == 1
    work()
    links = {link.unit: link for link in LicenseLink.objects.all()}
    assert {unit: link.desired["state"] for unit, link in links.items()} == {1: "active", 2: "absent", 3: "absent"}
    assert {link.sync_state for link in links.values()} == {"settled"}
    assert "One license stands for all units." in sentences(link=links[2])
    deliver(shop.renew(subscription))
    (license,) = strict.licenses
    assert license["allowedActivations"] == 3


def test_a_license_for_each_unit_instead_of_one(shop, deliver, work, strict):
    mapping = map_product("studio", product_id=WRONG, quantity_mode="activations")
    deliver(shop.buy(AVA, "studio", quantity=3))
    correct(mapping, product_id="prod-1", quantity_mode="per_unit")
    work()
    assert states(strict) == ["active"] * 3


@pytest.mark.parametrize("ended_action", ["delete", "suspend", "leave"])
def test_a_product_that_needs_no_license_after_all_ends_quietly(shop, deliver, work, strict, ended_action):
    mapping = map_product("studio", product_id=WRONG, ended_action=ended_action)
    deliver(shop.buy(AVA, "studio"))
    assert correct(mapping, is_license_needed=False) == 1
    work()
    link = only_link()
    assert (link.sync_state, link.failure_mode, link.state) == ("settled", "", "absent")
    assert (link.desired["state"], strict.licenses, waiting_products()) == ("absent", [], [])
    assert "The product needs no license of its own." in sentences(link=link)
    assert "needs no license of its own" in sentences(kind="item.planned_anew")


def test_that_a_product_needs_no_license_can_be_taken_back(shop, deliver, work, strict):
    mapping = map_product("studio", product_id=WRONG)
    deliver(shop.buy(AVA, "studio"))
    correct(mapping, is_license_needed=False)
    work()
    assert correct(mapping, is_license_needed=True, product_id="prod-1") == 1
    work()
    assert states(strict) == ["active"]
    assert correct(mapping, notes="Nothing of it waits any more.") == 0


def test_a_product_that_is_a_feature_after_all_ends_quietly(shop, deliver, work, strict):
    strict.add_feature(name="pdf")
    map_product("studio")
    mapping = map_product("pdf", product_id=WRONG)
    deliver(shop.order(AVA, shop.item("studio"), shop.item("pdf")))
    correct(mapping, feature_code="pdf", product_id="", template_id="")
    work()
    assert set(LicenseLink.objects.values_list("sync_state", flat=True)) == {"settled"}
    assert states(strict) == ["active"]
    before = kinds()
    plan_purchase(only_purchase().pk)
    assert kinds() == before


# --- staff ------------------------------------------------------------------------------------------------------------


def test_an_override_of_an_empty_slot_goes_on_with_the_corrected_mapping(shop, deliver, work, strict):
    mapping = map_product("studio", product_id=WRONG)
    deliver(shop.buy(AVA, "studio"))
    interventions.override_link(
        refused().pk,
        user_id=None,
        reason="Not yet.",
        until=timezone.now() + timedelta(days=5),
        state=LicenseState.SUSPENDED,
    )
    work()
    correct(mapping, product_id="prod-1")
    work()
    assert states(strict) == ["suspended"]
    interventions.end_override(only_link().pk, user_id=None)
    work()
    assert states(strict) == ["active"]


def test_a_license_that_cannot_be_moved_is_not_planned_again_by_the_mapping(shop, deliver, work, cryptlex):
    map_product("studio-basic")
    mapping = map_product("studio-pro", product_id="prod-2")
    subscription, events = shop.subscribe(AVA, "studio-basic")
    deliver(*events)
    deliver(shop.change(subscription, "subscription.updated", product="studio-pro"))
    assert (only_link().sync_state, only_link().failure_mode) == ("attention", "permanent")
    assert correct(mapping, product_id="prod-1") == 0


def test_a_corrected_mapping_of_another_product_moves_nothing(shop, deliver, work, strict):
    map_product("studio", product_id=WRONG)
    deliver(shop.buy(AVA, "studio"))
    assert save_mapping(map_product("photon"), user_id=None) == 0
    work()
    refused()


def test_planning_again_changes_nothing_where_the_mapping_is_the_same(shop, deliver, strict):
    map_product("studio", product_id=WRONG)
    deliver(shop.buy(AVA, "studio"))
    before = kinds()
    assert plan_purchase(only_purchase().pk) == []
    assert (kinds(), refused().attempts) == (before, 1)


# --- the catalog ------------------------------------------------------------------------------------------------------


def test_a_template_that_does_not_exist_is_told_also_where_there_are_none(settings, db):
    with CryptlexSandbox(access_token="sandbox-token", products=(), templates=()) as box:
        box.add_product(id="prod-1", name="Studio")
        settings.LICENSE_SERVERS = [{**settings.LICENSE_SERVERS[0], "base_url": box.base_url}]
        assert check_mappings([map_product("studio")])[0].problems == (
            "License template tmpl-1 does not exist on cryptlex.",
        )


def test_a_license_policy_is_not_checked_where_policies_cannot_be_listed(strict, spring, db):
    mapping = map_product("studio", server="spring", product_id="studio", template_id="some-policy")
    assert check_mappings([mapping])[0].problems == ()


@pytest.mark.parametrize(
    ("rows", "indexes"),
    [
        (LicenseLink.objects.filter(catalog.IS_UNMADE), ["links_needing_attention", "pending_links"]),
        (PurchaseItem.objects.filter(catalog.IS_WITHDRAWN, mapping=1), ["withdrawn_items"]),
    ],
    ids=["unmade", "withdrawn"],
)
def test_what_a_saved_mapping_sets_in_motion_is_found_by_indexes(db, rows, indexes):
    with connection.cursor() as cursor:
        forget_statistics(cursor)
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = rows.order_by().values("purchase_id").explain()
    assert "Seq Scan" not in plan
    for index in indexes:
        assert index in plan, plan
