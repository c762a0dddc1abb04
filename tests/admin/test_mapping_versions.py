"""The versions of a mapping on its pages: shown in words, compared, put back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from licensing_integration.models import AuditEntry, ProductMapping
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.services import catalog
from tests.admin.conftest import url
from tests.factories import ProductMappingFactory, PurchaseItemFactory


@pytest.fixture
def mapping(db: None) -> ProductMapping:
    """One with three versions."""
    mapping = ProductMappingFactory.build(store_product="photon-editor")
    catalog.save_mapping(mapping, user_id=None)
    mapping.refund_action = "ask"
    catalog.save_mapping(mapping, user_id=None)
    mapping.refund_action, mapping.notes = "revoke", "Agreed."
    catalog.save_mapping(mapping, user_id=None)
    return mapping


def text(answer: Any) -> str:
    return str(answer.content.decode())


def test_each_version_says_what_it_changed(mapping: ProductMapping, support: Client) -> None:
    page = text(support.get(url("productmapping", "change", mapping.pk)))
    assert "Refund action: Ask → Revoke" in page
    assert "Refund action: not said → Ask" in page
    assert 'id="version-1"' in page
    assert "Put back" not in page


def test_two_versions_are_compared(mapping: ProductMapping, support: Client) -> None:
    page = support.get(url("productmapping", "compare", mapping.pk), {"before": "1", "after": "3"})
    different = [str(line) for line in page.context["different"]]
    assert "fields say the same in both" in text(page)
    assert different == ["Refund action: not said → Revoke", "Notes: not said → Agreed."]
    page = support.get(url("productmapping", "compare", mapping.pk), {"before": "nonsense"})
    assert (page.context["before"].number, page.context["after"].number) == (2, 3)


def test_one_version_cannot_be_compared(support: Client) -> None:
    mapping = ProductMappingFactory.build()
    catalog.save_mapping(mapping, user_id=None)
    page = support.get(url("productmapping", "compare", mapping.pk), follow=True)
    assert "There is nothing to compare" in text(page)


def test_putting_back_says_first_what_it_changes_and_asks_why(
    mapping: ProductMapping, staff: Client, queued: Callable[[], list[Any]]
) -> None:
    PurchaseItemFactory(is_waiting=True)
    address = url("productmapping", "put_back", mapping.pk, 1)
    asked = text(staff.get(address))
    assert "<td>Revoke</td><td>not said</td>" in asked
    assert 'name="reason"' in asked
    assert "Put version 1 back</button>" in asked
    assert "This field is required" in text(staff.post(address, {"reason": ""}))
    assert mapping.versions.count() == 3
    done = text(staff.post(address, {"reason": "As last week."}, follow=True))
    assert "Version 1 is put back, as a new version." in done
    assert "1 waiting purchase was set in motion" in done
    mapping.refresh_from_db()
    assert (mapping.refund_action, mapping.notes, mapping.versions.first().number) == ("", "", 4)
    assert AuditEntry.objects.first().reason == "As last week."
    assert len(queued()) == 1


def test_what_the_mapping_says_already_cannot_be_put_back(mapping: ProductMapping, staff: Client) -> None:
    address = url("productmapping", "put_back", mapping.pk, 3)
    assert "There is nothing to put back" in text(staff.post(address, {"reason": "r"}))
    assert mapping.versions.count() == 3
    assert staff.get(url("productmapping", "put_back", mapping.pk, 99)).status_code == 302


def test_a_version_whose_product_has_another_mapping_stays_where_it_is(mapping: ProductMapping, staff: Client) -> None:
    mapping.store_product = "renamed"
    catalog.save_mapping(mapping, user_id=None)
    ProductMappingFactory(store_product="photon-editor")
    page = text(staff.post(url("productmapping", "put_back", mapping.pk, 1), {"reason": "r"}))
    assert "Version 1 cannot be put back" in page
    assert mapping.versions.count() == 4


def test_a_version_whose_license_product_is_gone_is_not_put_back(staff: Client, cryptlex: CryptlexSandbox) -> None:
    mapping = ProductMappingFactory.build(product_id="gone", template_id="")
    catalog.save_mapping(mapping, user_id=None)
    mapping.product_id = cryptlex.add_product(name="Photon")["id"]
    catalog.save_mapping(mapping, user_id=None)
    address = url("productmapping", "put_back", mapping.pk, 1)
    asked = text(staff.get(address))
    assert "License product gone does not exist on cryptlex." in asked
    assert 'name="reason"' not in asked
    assert "Put version 1 back</button>" not in asked
    assert "This version cannot be put back" in text(staff.post(address, {"reason": "r"}))
    assert mapping.versions.count() == 2


def test_a_version_that_only_makes_a_dead_product_count_again_is_not_put_back(
    staff: Client, cryptlex: CryptlexSandbox
) -> None:
    mapping = ProductMappingFactory.build(product_id="gone", template_id="")
    catalog.save_mapping(mapping, user_id=None)
    catalog.deactivate(mapping, user_id=None, reason="r")
    staff.post(url("productmapping", "put_back", mapping.pk, 1), {"reason": "r"})
    assert mapping.versions.count() == 2
