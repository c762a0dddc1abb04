"""Mappings exported and imported: a look first, then everything or nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from licensing_integration.admin.mapping_form import MAPPING_FIELDS
from licensing_integration.models import AuditEntry, MappingVersion, ProductMapping
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from tests.admin.conftest import url
from tests.factories import ProductMappingFactory, PurchaseItemFactory

IMPORT, EXPORT = "import", "export"


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    cache.clear()


def look(client: Client, text: str) -> Any:
    """Upload a file; the page says what it would do."""
    return client.post(url("productmapping", IMPORT), {"file": SimpleUploadedFile("mappings.csv", text.encode())})


def confirm(client: Client, page: Any, *, reason: str = "Moved.") -> Any:
    """Press the button of that page."""
    initial = page.context["form"].initial
    return client.post(url("productmapping", IMPORT), {**initial, "reason": reason}, follow=True)


def results(page: Any) -> list[tuple[int, str]]:
    return [(outcome.row.line, outcome.verdict.value) for outcome in page.context["run"].outcomes]


def mistakes(page: Any) -> list[tuple[int, str, str]]:
    return [(one.row.line, field, text) for one in page.context["run"].outcomes for field, text in one.errors]


def exported(client: Client) -> str:
    answer = client.get(url("productmapping", EXPORT))
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert "product-mappings.csv" in answer["Content-Disposition"]
    return answer.content.decode()


def test_an_exported_file_changes_nothing_when_it_is_imported(staff: Client) -> None:
    ProductMappingFactory.create_batch(3, custom_fields={"Seats": "5"}, is_maintained=False, notes="=1", extra_days=0)
    ProductMappingFactory(is_license_needed=False, is_active=False, quantity_mode="floating")
    text = exported(staff)
    assert text.startswith("\ufeff")  # else spreadsheets take it for another encoding
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert tuple(rows[0]) == MAPPING_FIELDS
    page = look(staff, text)
    assert [verdict for _, verdict in results(page)] == ["unchanged"] * 4
    assert "say all of this already" in page.content.decode()


def test_chosen_mappings_are_exported_alone(staff: Client) -> None:
    chosen, _ = ProductMappingFactory(store_product="one"), ProductMappingFactory(store_product="two")
    data = {"action": "export_selected", "_selected_action": [chosen.pk]}
    text = staff.post(url("productmapping", "changelist"), data).content.decode()
    assert "one" in text
    assert "two" not in text


def test_the_look_saves_nothing_and_the_confirmation_saves_all(
    staff: Client, queued: Callable[[], list[Any]], cryptlex: CryptlexSandbox
) -> None:
    product = cryptlex.add_product(name="Photon")["id"]
    old = ProductMappingFactory(store_product="old", product_id=product, template_id="")
    same = ProductMappingFactory(store_product="same", product_id=product, template_id="")
    item = PurchaseItemFactory(is_waiting=True, product="fresh")
    text = f"store,store_product,product_id,refund_action\nfastspring,old,{product},ask\nfastspring,same,{product},\n"
    page = look(staff, f"{text}fastspring,fresh,{product},revoke\n")
    assert results(page) == [(2, "changed"), (3, "unchanged"), (4, "new")]
    shown = page.content.decode()
    assert "1 new, 1 changed, 1 unchanged, 0 with mistakes" in shown
    assert "Refund action: not said → Ask" in shown
    assert not MappingVersion.objects.exists()
    done = confirm(staff, page).content.decode()
    assert "The file was imported: 1 mapping added, 1 mapping changed." in done
    assert "1 waiting purchase was set in motion" in done
    assert queued() == [("plan_purchases", {"purchase_ids": [item.purchase_id]})]
    old.refresh_from_db()
    assert (old.refund_action, same.versions.count(), old.versions.get().saved_by) == ("ask", 0, staff.user)
    assert ProductMapping.objects.get(store_product="fresh").refund_action == "revoke"
    assert set(AuditEntry.objects.values_list("action", "reason")) == {("mapping.imported", "Moved.")}


def test_one_mistake_stops_the_whole_file_and_says_where(staff: Client) -> None:
    text = (
        "store,store_product,product_id,interval,is_active,is_maintained\n"
        "fastspring,good,prod-1,P1M,true,\n"
        "elsewhere,a,prod-1,,true,\n"
        "fastspring,b,prod-1,monthly,true,\n"
        "fastspring,c,prod-1,,maybe,perhaps\n"
        "fastspring,good,prod-1,,true,\n"
        "fastspring,d\n"
        "fastspring,d,prod-1,,true,\n"
    )
    page = look(staff, text)
    assert results(page) == [(2, "new"), *((line, "error") for line in range(3, 8)), (8, "new")]
    found = mistakes(page)
    assert [(line, field) for line, field, _ in found] == [
        (3, "store"),
        (4, "interval"),
        (5, "is_active"),
        (5, "is_maintained"),
        (6, "store_product"),
        (7, ""),
    ]
    assert "The row has 2 cells, but there are 6 columns." in found[5][2]
    assert "ISO 8601" in found[1][2]
    assert found[2][2] == "Write false or true."
    assert found[3][2] == "Write false or true, or nothing."
    assert "taken as a whole or not at all" in page.content.decode()
    forced = {**page.context["form"].initial, "reason": "Now."}
    staff.post(url("productmapping", IMPORT), forced)
    assert not ProductMapping.objects.exists()


def test_a_spreadsheets_way_of_writing_true_and_false_is_understood(staff: Client) -> None:
    ProductMappingFactory(store_product="same", is_maintained=False)
    ProductMappingFactory(store_product="other")
    header = "store,store_product,is_active,is_license_needed,is_maintained\n"
    page = look(staff, f"{header}fastspring,same,TRUE,TRUE,FALSE\nfastspring,other,False,True,\n")
    assert results(page) == [(2, "unchanged"), (3, "changed")]
    confirm(staff, page)
    assert ProductMapping.objects.get(is_active=False).store_product == "other"


def test_what_the_license_server_does_not_know_is_a_mistake(staff: Client, cryptlex: CryptlexSandbox) -> None:
    page = look(staff, "store,store_product,product_id\nfastspring,a,gone\n")
    assert mistakes(page) == [(2, "product_id", "License product gone does not exist on cryptlex.")]


def test_the_look_tells_all_that_a_new_mapping_says_and_warns_of_one_without_a_license_product(staff: Client) -> None:
    PurchaseItemFactory(is_waiting=True, product="bare")
    page = look(staff, "store,store_product,refund_action,product_id\nfastspring,bare,,\nfastspring,full,ask,prod-1\n")
    bare, full = page.context["run"].outcomes
    assert {field.label: field.after for field in bare.changes} == {
        "Active": "yes",
        "License needed": "yes",
    }
    shown = page.content.decode()
    assert "<li>Refund action: Ask</li>" in shown
    assert shown.count("The mapping names no license product. Whoever buys fastspring: bare") == 1
    assert (bool(bare.warning), full.warning) == (True, "")
    done = confirm(staff, page).content.decode()
    assert "The file was imported: 2 mappings added." in done
    assert "1 waiting purchase is looked at again now. Where the mapping names no license product" in done
    assert "set in motion" not in done


def test_a_column_that_is_left_out_stays_as_it_is(staff: Client) -> None:
    mapping = ProductMappingFactory(store_product="a", notes="keep", refund_action="ask")
    confirm(staff, look(staff, "store,store_product,extra_days\nfastspring,a,9\n"))
    mapping.refresh_from_db()
    assert (mapping.extra_days, mapping.notes, mapping.refund_action, mapping.is_active) == (9, "keep", "ask", True)


def test_changes_need_a_reason_and_additions_do_not(staff: Client) -> None:
    ProductMappingFactory(store_product="a")
    page = look(staff, "store,store_product,notes\nfastspring,a,x\n")
    again = confirm(staff, page, reason="")
    assert "This field is required" in again.content.decode()
    assert not MappingVersion.objects.exists()
    confirm(staff, look(staff, "store,store_product,is_license_needed\nfastspring,b,false\n"), reason="")
    assert MappingVersion.objects.get().mapping.store_product == "b"


def test_what_changed_since_the_look_is_looked_at_again(staff: Client) -> None:
    mapping = ProductMappingFactory(store_product="a", notes="old")
    page = look(staff, "store,store_product,notes\nfastspring,a,new\n")
    ProductMapping.objects.update(notes="somebody else's")
    again = confirm(staff, page)
    assert "have changed meanwhile" in again.content.decode()
    assert not MappingVersion.objects.exists()
    confirm(staff, again)
    mapping.refresh_from_db()
    assert mapping.notes == "new"


@pytest.mark.parametrize(("content", "fingerprint"), [("not base64!", "x"), ("ä", "x"), ("", "x"), ("YQ==", "")])
def test_a_confirmation_that_was_tampered_with_is_refused(content: str, fingerprint: str, staff: Client) -> None:
    data = {"content": content, "fingerprint": fingerprint, "reason": "r"}
    page = staff.post(url("productmapping", IMPORT), data).content.decode()
    assert "Choose it again" in page


def test_a_file_that_is_too_large_or_none_is_refused(staff: Client) -> None:
    assert "larger than 1 MB" in look(staff, "x" * (1024 * 1024 + 1)).content.decode()
    assert "no readable" in look(staff, 'store,store_product\n"a').content.decode()
    assert "This field is required" in staff.post(url("productmapping", IMPORT), {"file": ""}).content.decode()
