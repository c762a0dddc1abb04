"""Product mappings: what the form refuses, what saving sets in motion, what is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from licensing_integration.admin.mapping_form import conditions
from licensing_integration.models import AuditEntry, MappingVersion, ProductMapping
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from tests.admin.conftest import url
from tests.factories import ProductMappingFactory, PurchaseItemFactory

VALUES = {
    "store": "fastspring",
    "store_product": "photon-editor",
    "is_active": "on",
    "is_license_needed": "on",
    "product_id": "prod-1",
    "extra_days": "1",
    "overdue_action": "suspend",
    "overdue_grace_days": "0",
    "ended_action": "delete",
    "paused_action": "suspend",
    "refund_action": "suspend",
    "dispute_action": "suspend",
}
REASON = {"reason": "Agreed with the shop."}


def _add(client: Client, **values: str) -> Any:
    return client.post(url("productmapping", "add"), {**VALUES, **values}, follow=True)


def test_adding_a_mapping_keeps_a_version_and_says_who(staff: Client) -> None:
    _add(staff)
    mapping = ProductMapping.objects.get()
    version = MappingVersion.objects.get()
    assert (version.mapping, version.number, version.saved_by) == (mapping, 1, staff.user)
    page = staff.get(url("productmapping", "change", mapping.pk)).content.decode()
    assert '<td data-label="Who">staff</td>' in page
    assert "The first version." in page


def test_editing_keeps_what_changed(staff: Client) -> None:
    _add(staff)
    mapping = ProductMapping.objects.get()
    staff.post(url("productmapping", "change", mapping.pk), {**VALUES, "product_id": "prod-2", "interval": "P1Y"})
    page = staff.get(url("productmapping", "change", mapping.pk)).content.decode()
    assert "License product id: prod-1 → prod-2" in page
    assert "Interval: not said → P1Y" in page
    assert 'id="version-2"' in page


def test_saving_without_a_change_keeps_no_version(staff: Client) -> None:
    assert "was added." in _add(staff).content.decode()
    mapping = ProductMapping.objects.get()
    page = staff.post(url("productmapping", "change", mapping.pk), VALUES, follow=True).content.decode()
    assert "Nothing was changed." in page
    assert "successfully" not in page
    assert mapping.versions.count() == 1


def test_what_is_refused_is_said_once(staff: Client) -> None:
    page = _add(staff, interval="monthly").content.decode()
    assert "Nothing was saved" in page
    assert "Please correct" not in page


def test_the_guides_fields_are_folded_away_until_they_say_something(staff: Client) -> None:
    mapping = ProductMappingFactory()
    address = url("productmapping", "change", mapping.pk)
    assert "<details><summary>" in staff.get(address).content.decode()
    ProductMapping.objects.update(grace_hours=48)
    assert "<details><summary>" not in staff.get(address).content.decode()
    assert "is_customer_user" in conditions()["is_customer_user"]


def test_saving_sets_waiting_purchases_in_motion_and_says_how_many(
    staff: Client, queued: Callable[[], list[Any]]
) -> None:
    items = PurchaseItemFactory.create_batch(2, is_waiting=True)
    PurchaseItemFactory(is_waiting=True, product="something-else")
    assert "2 waiting purchases were set in motion: they are being worked on now" in _add(staff).content.decode()
    assert queued() == [("plan_purchases", {"purchase_ids": [item.purchase_id]}) for item in items]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("interval", "1 month", "ISO 8601 duration such as P1M"),
        ("interval", "P", "ISO 8601 duration such as P1M"),
        ("max_release_version", "two", "write digits such as 2.0"),
        ("quantity_mode", "users", "Cryptlex cannot count a license in users"),
        ("store", "elsewhere", "Select a valid choice"),
        ("server", "elsewhere", "Select a valid choice"),
        ("activations_per_unit", "0", "greater than or equal to 1"),
    ],
)
def test_what_planning_would_refuse_is_refused_at_the_field(
    field: str, value: str, sentence: str, staff: Client
) -> None:
    answer = _add(staff, **{field: value})
    assert sentence in " ".join(answer.context["adminform"].form.errors[field])
    assert not ProductMapping.objects.exists()


def test_users_are_refused_for_a_cryptlex_that_is_named(staff: Client, settings: Settings) -> None:
    other = {**settings.LICENSE_SERVERS[0], "name": "first", "backend": "other"}
    settings.LICENSE_SERVERS = [other, *settings.LICENSE_SERVERS]
    assert "quantity_mode" in _add(staff, server="cryptlex", quantity_mode="users").context["adminform"].form.errors
    _add(staff, server="first", quantity_mode="users")
    assert ProductMapping.objects.get().quantity_mode == "users"


def test_a_mapping_without_a_license_product_is_saved_with_a_warning_and_promises_nothing(staff: Client) -> None:
    PurchaseItemFactory.create_batch(2, is_waiting=True)
    page = _add(staff, product_id="").content.decode()
    assert ProductMapping.objects.exists()
    assert "The mapping names no license product. Whoever buys" in page
    assert "2 waiting purchases are looked at again now." in page
    assert "set in motion" not in page


def test_a_product_without_a_license_needs_no_license_product(staff: Client) -> None:
    values = {name: value for name, value in VALUES.items() if name not in {"is_license_needed", "product_id"}}
    page = staff.post(url("productmapping", "add"), values, follow=True).content.decode()
    assert ProductMapping.objects.exists()
    assert "names no license product" not in page


def test_a_second_mapping_of_a_product_is_refused(staff: Client) -> None:
    _add(staff)
    _add(staff)
    assert ProductMapping.objects.count() == 1


def test_a_server_that_is_configured_no_more_stays(staff: Client) -> None:
    mapping = ProductMappingFactory(server="old", store="fastspring", store_product="photon-editor")
    page = staff.get(url("productmapping", "change", mapping.pk)).content.decode()
    assert "old (no longer configured)" in page
    staff.post(url("productmapping", "change", mapping.pk), {**VALUES, **REASON, "server": "old", "notes": "x"})
    mapping.refresh_from_db()
    assert (mapping.server, mapping.notes) == ("old", "x")


def test_check_tells_what_the_license_server_does_not_know(staff: Client, settings: Settings) -> None:
    sandbox = CryptlexSandbox(access_token="sandbox-token")
    sandbox.start()
    settings.LICENSE_SERVERS = [{**config, "base_url": sandbox.base_url} for config in settings.LICENSE_SERVERS]
    mapping = ProductMappingFactory(product_id="11111111-1111-4111-8111-111111111111", template_id="")
    page = staff.post(url("productmapping", "check", mapping.pk), follow=True).content.decode()
    sandbox.stop()
    assert "does not exist on cryptlex" in page
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.mapping, entry.user) == ("mapping.checked", mapping, staff.user)
    assert entry.sentence == (
        f"The mapping of {mapping} was checked: License product {mapping.product_id} does not exist on cryptlex."
    )


def test_support_may_check_too_and_every_mapping_that_was_checked_is_in_the_audit(support: Client) -> None:
    mappings = [ProductMappingFactory(is_license_needed=False) for _ in range(2)]
    data = {"action": "check_selected", "_selected_action": [mapping.pk for mapping in mappings]}
    support.post(url("productmapping", "changelist"), data)
    entries = AuditEntry.objects.filter(action="mapping.checked", user=support.user)
    assert {entry.mapping for entry in entries} == set(mappings)
    assert all(entry.sentence.endswith("nothing wrong was found.") for entry in entries)


def test_checking_a_mapping_that_leaves_the_product_to_the_store_is_no_error(staff: Client) -> None:
    mapping = ProductMappingFactory(product_id="", template_id="")
    answer = staff.post(url("productmapping", "check", mapping.pk), follow=True)
    note = "The store's attribute names the license product; that cannot be checked here."
    assert [(told.level_tag, str(told)) for told in answer.context["messages"]] == [("info", f"{mapping}: {note}")]
    assert AuditEntry.objects.get().sentence == f"The mapping of {mapping} was checked: {note}"


def test_check_tells_when_the_license_server_does_not_answer(staff: Client) -> None:
    mapping = ProductMappingFactory()
    data = {"action": "check_selected", "_selected_action": [mapping.pk]}
    page = staff.post(url("productmapping", "changelist"), data, follow=True).content.decode()
    assert "tried again by itself" in page


def test_deactivating_says_what_it_does_asks_why_and_keeps_a_version(
    staff: Client, queued: Callable[[], list[Any]]
) -> None:
    mappings = [ProductMappingFactory(store_product="photon-editor"), ProductMappingFactory(is_active=False)]
    PurchaseItemFactory(is_waiting=True)
    data = {"action": "deactivate", "_selected_action": [m.pk for m in mappings]}
    asked = staff.post(url("productmapping", "changelist"), data).content.decode()
    assert "photon-editor: new purchases wait" in asked
    assert "is not active" in asked
    assert not MappingVersion.objects.exists()
    ids = ",".join(str(mapping.pk) for mapping in mappings)
    staff.post(url("productmapping", "deactivate_many"), {"ids": ids, "reason": ""})
    assert not MappingVersion.objects.exists()
    staff.post(url("productmapping", "deactivate_many"), {"ids": ids, **REASON})
    version = MappingVersion.objects.get()
    assert version.values["is_active"] is False
    assert version.saved_by == staff.user
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.reason, entry.mapping) == ("mapping.deactivated", REASON["reason"], mappings[0])
    assert queued() == []
