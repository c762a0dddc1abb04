"""What people may write into an address or a form by hand finds nothing or is refused, and never breaks a page."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from licensing_integration.models import AuditEntry, ProductMapping
from tests.admin.conftest import url
from tests.factories import LicenseLinkFactory, ProductMappingFactory, WebhookEventFactory

NO_IDS = ("abc", "\u0663", "-1", "1.0", "9" * 30, "9" * 5000)
LISTS = ("licenselink", "purchase", "webhookevent", "productmapping", "auditentry")


@pytest.fixture
def rows(db: None) -> None:
    LicenseLinkFactory()
    WebhookEventFactory()
    ProductMappingFactory()


@pytest.fixture
def superuser(client_of: Callable[[str], Client]) -> Client:
    return client_of("superuser")


# --- filters ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "parameter"),
    [
        ("licenselink", "state__regex"),
        ("licenselink", "state__in"),
        ("licenselink", "sync_state__gt"),
        ("purchase", "status__regex"),
        ("webhookevent", "received_at__year"),
        ("webhookevent", "received_at__regex"),
        ("webhookevent", "received_at__date"),
        ("webhookevent", "received_at__lte"),
        ("productmapping", "store__regex"),
        ("productmapping", "store_product__regex"),
        ("productmapping", "updated_at__year"),
        ("productmapping", "versions__number"),
    ],
)
def test_a_list_takes_no_question_that_its_filters_do_not_ask(
    rows: None, superuser: Client, model: str, parameter: str
) -> None:
    answer = superuser.get(url(model, "changelist"), {parameter: "("})
    assert answer.status_code == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("model", LISTS)
def test_every_link_of_a_lists_filters_works(rows: None, superuser: Client, model: str) -> None:
    page = superuser.get(url(model, "changelist"))
    choices = [choice for spec in page.context["cl"].filter_specs for choice in spec.choices(page.context["cl"])]
    links = [choice["query_string"] for choice in choices if "query_string" in choice]
    assert links
    for link in links:
        assert superuser.get(url(model, "changelist") + link).status_code == HTTPStatus.OK


@pytest.mark.parametrize("days", ["2026-01-01,9999-12-31", "0001-01-01,0001-01-01", "2026-01-01", "x,y"])
def test_what_happened_on_days_that_are_none_narrows_nothing_or_finds_nothing(
    rows: None, superuser: Client, days: str
) -> None:
    answer = superuser.get(url("licenselink", "changelist"), {"happened": f"issued,{days}"})
    assert answer.status_code == HTTPStatus.OK


@pytest.mark.parametrize("person", NO_IDS)
def test_a_person_who_is_none_narrows_nothing(rows: None, superuser: Client, person: str) -> None:
    answer = superuser.get(url("auditentry", "changelist"), {"person": person})
    assert answer.status_code == HTTPStatus.OK


# --- ids -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", [*NO_IDS, "1,2"])
@pytest.mark.parametrize(
    ("model", "action"),
    [
        ("licenselink", "resync"),
        ("purchase", "plan"),
        ("webhookevent", "replay_selected"),
        ("productmapping", "export_selected"),
        ("productmapping", "check_selected"),
    ],
)
def test_nothing_is_done_to_rows_that_are_none(
    rows: None, superuser: Client, model: str, action: str, chosen: str
) -> None:
    answer = superuser.post(url(model, "changelist"), {"action": action, "_selected_action": chosen}, follow=True)
    assert answer.status_code == HTTPStatus.OK
    assert not AuditEntry.objects.exists()


def test_of_the_chosen_rows_those_that_are_some_are_taken(superuser: Client) -> None:
    mapping = ProductMappingFactory(store_product="photon")
    data = {"action": "export_selected", "_selected_action": ["abc", mapping.pk]}
    assert b"photon" in superuser.post(url("productmapping", "changelist"), data).content


@pytest.mark.parametrize("ids", NO_IDS)
@pytest.mark.parametrize(("model", "view"), [("licenselink", "resync_many"), ("webhookevent", "bulk_replay")])
def test_a_confirmation_of_rows_that_are_none_leads_back(
    rows: None, superuser: Client, model: str, view: str, ids: str
) -> None:
    answer = superuser.post(url(model, view), {"ids": ids, "reason": "r"}, follow=True)
    assert answer.status_code == HTTPStatus.OK


@pytest.mark.parametrize("object_id", NO_IDS)
@pytest.mark.parametrize("model", LISTS)
def test_a_row_that_is_none_leads_to_the_start(rows: None, superuser: Client, model: str, object_id: str) -> None:
    answer = superuser.get(f"/admin/licensing_integration/{model}/{object_id}/change/")
    assert answer.status_code == HTTPStatus.FOUND


# --- NUL characters --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "field"),
    [
        (url("productmapping", "rehearse"), "store"),
        (url("productmapping", "rehearse"), "store_product"),
        (url("productmapping", "rehearse"), "rehearse-attributes"),
        (url("productmapping", "add"), "custom_fields"),
        (url("productmapping", "changelist"), "_selected_action"),
        (url("licenselink", "changelist"), "x\x00"),
    ],
)
def test_a_form_with_a_nul_character_is_refused_with_a_sentence(superuser: Client, page: str, field: str) -> None:
    answer = superuser.post(page, {"store": "fastspring", "store_product": "photon", field: "a = \x00b"})
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert "holds a NUL character" in answer.content.decode()
    assert answer["Content-Security-Policy"]
    assert not ProductMapping.objects.exists()


def test_a_file_may_hold_one_and_its_reader_says_what_is_wrong(superuser: Client) -> None:
    file: Any = SimpleUploadedFile("mappings.csv", b"store,store_product\na,b\x00\n")
    answer = superuser.post(url("productmapping", "import"), {"file": file})
    assert answer.status_code == HTTPStatus.OK
    assert "holds NUL characters" in answer.content.decode()
