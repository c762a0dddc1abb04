"""Versions of a mapping: in words, complete although fields came later, and put back as new ones."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from licensing_integration.models import AuditEntry, ProductMapping
from licensing_integration.services import catalog, mapping_versions
from tests.factories import ProductMappingFactory, UserFactory


@pytest.fixture
def mapping(db: None) -> ProductMapping:
    mapping = ProductMappingFactory.build(store_product="photon", refund_action="suspend")
    catalog.save_mapping(mapping, user_id=None)
    mapping.refund_action, mapping.is_active, mapping.custom_fields = "ask", False, {"Seats": "5"}
    catalog.save_mapping(mapping, user_id=None, reason="The shop asked for it.")
    return mapping


def _changed_fields(mapping: ProductMapping) -> list[str]:
    """What the newest version changed."""
    return [change.name for change in mapping_versions.lines(mapping)[0].changes]


def test_changes_are_told_in_words(mapping: ProductMapping) -> None:
    newest, first = mapping_versions.lines(mapping)
    assert [str(change) for change in newest.changes] == [
        "Active: yes → no",
        "Custom fields: not said → Seats = 5",
        "Refund action: Suspend → Ask",
    ]
    assert (first.version.number, first.changes) == (1, ())


def test_every_save_is_in_the_audit_with_its_reason(mapping: ProductMapping) -> None:
    changed, added = AuditEntry.objects.all()
    assert (added.action, added.sentence, added.mapping) == (
        "mapping.saved",
        "The mapping of fastspring: photon was added.",
        mapping,
    )
    assert (changed.action, changed.reason) == ("mapping.saved", "The shop asked for it.")
    assert "was changed: Active: yes → no; Custom fields" in changed.sentence


def test_putting_back_is_a_new_version(mapping: ProductMapping) -> None:
    user = UserFactory()
    catalog.put_back(mapping, 1, user_id=user.pk, reason="It was better.")
    mapping.refresh_from_db()
    assert (mapping.refund_action, mapping.is_active, mapping.custom_fields) == ("suspend", True, {})
    newest = mapping.versions.first()
    assert (newest.number, newest.saved_by) == (3, user)
    assert newest.values == mapping.versions.get(number=1).values
    entry = AuditEntry.objects.first()
    assert (entry.action, entry.reason, entry.user) == ("mapping.restored", "It was better.", user)


def test_a_version_from_before_a_field_existed_has_its_default(mapping: ProductMapping) -> None:
    version = mapping.versions.get(number=1)
    old = {"store": "fastspring", "store_product": "photon", "product_id": "prod-0", "a_field_that_went": "x"}
    mapping.versions.filter(pk=version.pk).update(values=old)
    catalog.put_back(mapping, 1, user_id=None, reason="r")
    mapping.refresh_from_db()
    assert (mapping.product_id, mapping.template_id, mapping.is_active, mapping.extra_days) == (
        "prod-0",
        "",
        True,
        None,
    )
    assert (mapping.custom_fields, mapping.is_maintained) == ({}, None)


def test_a_field_that_is_new_counts_as_changed_only_where_it_says_something(mapping: ProductMapping) -> None:
    newest = mapping.versions.first()
    values = {name: value for name, value in newest.values.items() if name != "grace_hours"}
    mapping.versions.filter(pk=newest.pk).update(values=values)
    mapping.notes = "x"
    catalog.save_mapping(mapping, user_id=None)
    assert _changed_fields(mapping) == ["notes"]


def test_what_can_no_longer_be_is_refused_and_changes_nothing(mapping: ProductMapping) -> None:
    mapping.store_product = "renamed"
    catalog.save_mapping(mapping, user_id=None)
    ProductMappingFactory(store="fastspring", store_product="photon")
    before = mapping.versions.count()
    with pytest.raises(ValueError, match="Version 1 cannot be put back"):
        catalog.put_back(mapping, 1, user_id=None, reason="r")
    with pytest.raises(ValueError, match="no version 99"):
        catalog.put_back(mapping, 99, user_id=None, reason="r")
    assert mapping.versions.count() == before
    assert ProductMapping.objects.get(pk=mapping.pk).store_product == "renamed"


def test_what_somebody_saved_meanwhile_stays_when_a_mapping_is_deactivated(mapping: ProductMapping) -> None:
    catalog.save_mapping(_changed(mapping, is_active=True, notes="theirs"), user_id=None)
    catalog.deactivate(mapping, user_id=None, reason="r")
    kept = ProductMapping.objects.get()
    assert (kept.notes, kept.is_active) == ("theirs", False)
    assert _changed_fields(mapping) == ["is_active"]


def test_putting_back_says_what_it_changed_of_what_somebody_saved_meanwhile(mapping: ProductMapping) -> None:
    catalog.save_mapping(_changed(mapping, store_product="pulsar"), user_id=None)
    catalog.put_back(mapping, 2, user_id=None, reason="r")
    assert _changed_fields(mapping) == ["store_product"]


def test_a_mapping_is_held_while_it_is_changed(
    mapping: ProductMapping,
) -> None:
    for change in (
        lambda: catalog.deactivate(mapping, user_id=None, reason="r"),
        lambda: catalog.put_back(mapping, 1, user_id=None, reason="r"),
    ):
        with CaptureQueriesContext(connection) as captured:
            change()
        statements = [query["sql"] for query in captured if "SAVEPOINT" not in query["sql"]]
        assert statements[0].endswith("FOR NO KEY UPDATE")


def test_a_mapping_that_somebody_has_deleted_is_not_made_anew(mapping: ProductMapping) -> None:
    ProductMapping.objects.get().delete()
    with pytest.raises(ValueError, match="has deleted the mapping of fastspring: photon meanwhile"):
        catalog.deactivate(mapping, user_id=None, reason="r")
    with pytest.raises(ValueError, match="has deleted the mapping"):
        catalog.put_back(mapping, 1, user_id=None, reason="r")
    assert not ProductMapping.objects.exists()


def _changed(mapping: ProductMapping, **values: object) -> ProductMapping:
    """The mapping as somebody else has it open, with these values."""
    theirs = ProductMapping.objects.get(pk=mapping.pk)
    for name, value in values.items():
        setattr(theirs, name, value)
    return theirs
