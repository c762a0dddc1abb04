"""The mapping form's fields of LicenseSpring's guide, and filling in the policies of either guide."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from pytest_django import Settings

from licensing_integration.admin.mapping_widgets import CustomFields
from licensing_integration.domain.outcomes import LicenseType
from licensing_integration.domain.terms import Policies
from licensing_integration.models import ProductMapping
from tests.admin.conftest import url
from tests.factories import ProductMappingFactory

VALUES = {
    "store": "fastspring",
    "store_product": "photon-editor",
    "is_active": "on",
    "is_license_needed": "on",
    "product_id": "prod-1",
}
GUIDE = {
    "max_activations": "20",
    "floating_cloud": "8",
    "license_type": "time-limited",
    "valid_duration": "30D",
    "is_maintained": "true",
    "maintenance_duration": "1y",
    "maintenance_policy_id": "policy-1",
    "max_consumptions": "100",
    "grace_hours": "48",
    "is_customer_manager": "true",
    "is_customer_user": "false",
    "custom_fields": "Seats = 5\n\nColor=blue = green\n",
}


def _add(client: Client, **values: str) -> Any:
    return client.post(url("productmapping", "add"), {**VALUES, **values}, follow=True)


def _errors(answer: Any) -> dict[str, str]:
    return {name: " ".join(found) for name, found in answer.context["adminform"].form.errors.items()}


def test_every_field_of_the_guide_is_saved_as_planning_reads_it(staff: Client) -> None:
    _add(staff, **GUIDE)
    terms = ProductMapping.objects.get().to_terms()
    assert (terms.max_activations, terms.floating_cloud, terms.max_consumptions, terms.grace_hours) == (20, 8, 100, 48)
    assert (terms.license_type, terms.valid_duration) == (LicenseType.TIME_LIMITED, "30d")
    assert (terms.is_maintained, terms.maintenance_duration, terms.maintenance_policy_id) == (True, "1y", "policy-1")
    assert (terms.is_customer_manager, terms.is_customer_user) == (True, False)
    assert terms.custom_fields == {"Seats": "5", "Color": "blue = green"}


def test_fields_that_are_left_empty_say_nothing(staff: Client) -> None:
    _add(staff)
    terms = ProductMapping.objects.get().to_terms()
    assert (terms.is_maintained, terms.is_customer_user, terms.max_activations, terms.custom_fields) == (
        None,
        None,
        None,
        {},
    )


def test_custom_fields_are_shown_as_they_are_written(staff: Client) -> None:
    mapping = ProductMappingFactory(custom_fields={"Seats": "5", "Color": "blue"})
    page = staff.get(url("productmapping", "change", mapping.pk)).content.decode()
    assert "Color = blue\nSeats = 5" in page
    data = {**VALUES, "custom_fields": "Seats = 5\r\nColor = blue", "notes": "x"}
    staff.post(url("productmapping", "change", mapping.pk), data)
    assert mapping.versions.first().values["custom_fields"] == {"Seats": "5", "Color": "blue"}


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"valid_duration": "1 month"}, "valid_duration", "a number above zero and d, w, m or y"),
        ({"maintenance_duration": "P1Y"}, "maintenance_duration", "a number above zero and d, w, m or y"),
        ({"custom_fields": "Seats: 5"}, "custom_fields", "Write a name, an equals sign and a value"),
        ({"max_activations": "0"}, "max_activations", "greater than or equal to 1"),
        ({"max_activations": "5", "floating_cloud": "8"}, "floating_cloud", "Only 5 devices may activate"),
        ({"max_activations": "5", "activations_per_unit": "2"}, "max_activations", "keep one"),
        ({"expiry": "perpetual", "license_type": "time-limited"}, "license_type", "never ends"),
        ({"feature_code": "pdf"}, "feature_code", "leave the license product id empty"),
    ],
)
def test_contradictions_are_refused_at_the_field(
    values: dict[str, str], field: str, sentence: str, staff: Client
) -> None:
    assert sentence in _errors(_add(staff, **values))[field]
    assert not ProductMapping.objects.exists()


def test_a_feature_needs_no_license_product_and_no_warning(staff: Client) -> None:
    page = _add(staff, product_id="", feature_code=" pdf ").content.decode()
    assert ProductMapping.objects.get().feature_code == "pdf"
    assert "names no license product" not in page


# --- policies --------------------------------------------------------------------------------------------------------


def test_policies_left_empty_are_the_stores(staff: Client) -> None:
    _add(staff, refund_action="ask")
    mapping = ProductMapping.objects.get()
    assert (mapping.overdue_action, mapping.paused_action, mapping.dispute_action) == ("", "", "")
    stores_own = Policies(extra_days=3, paused_action="ignore", refund_action="delete")
    policies = mapping.to_terms(defaults=stores_own).policies
    assert (policies.extra_days, policies.paused_action, policies.refund_action) == (3, "ignore", "ask")


@pytest.mark.parametrize(
    ("preset", "filled"),
    [
        ("cryptlex", (1, "suspend", 0, "delete", "suspend", "suspend", "suspend")),
        ("licensespring", (1, "log", 0, "suspend", "ignore", "ignore", "ignore")),
    ],
)
def test_a_guide_fills_the_empty_policies(preset: str, filled: tuple[Any, ...], staff: Client) -> None:
    _add(staff, preset=preset)
    mapping = ProductMapping.objects.get()
    assert filled == (
        mapping.extra_days,
        mapping.overdue_action,
        mapping.overdue_grace_days,
        mapping.ended_action,
        mapping.paused_action,
        mapping.refund_action,
        mapping.dispute_action,
    )


def test_a_guide_leaves_alone_what_is_said_and_counts_whole_days_on_a_licensespring(
    staff: Client, settings: Settings
) -> None:
    spring = {**settings.LICENSE_SERVERS[0], "name": "spring", "backend": "licensespring"}
    settings.LICENSE_SERVERS = [*settings.LICENSE_SERVERS, spring]
    _add(staff, preset="licensespring", server="spring", overdue_action="suspend", overdue_grace_days="5")
    mapping = ProductMapping.objects.get()
    assert (mapping.extra_days, mapping.overdue_action, mapping.overdue_grace_days) == (0, "suspend", 5)
    assert mapping.refund_action == "ignore"


def test_custom_fields_hold_no_nul_character() -> None:
    with pytest.raises(ValidationError, match="Null characters are not allowed"):
        CustomFields().clean("Seats = 5\x00")
