"""The form's searchable lists, what it asks for on saving, and the list of mappings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from licensing_integration.models import AuditEntry, ProductMapping
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.http_server import HttpRequest, HttpServer, Reply
from licensing_integration.services import catalog
from tests.admin.conftest import url
from tests.factories import ProductMappingFactory, PurchaseItemFactory

NEW = {
    "store": "fastspring",
    "store_product": "photon-editor",
    "is_active": "on",
    "is_license_needed": "on",
}


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    cache.clear()


@pytest.fixture
def store_answer(settings: Settings) -> Iterator[list[Reply]]:
    """What the store's API answers: the last of these."""
    answers = [Reply(status=200, body=b'["studio"]')]

    def answer(request: HttpRequest) -> Reply:
        return answers[-1]

    server = HttpServer(application=answer)
    url_of = f"http://127.0.0.1:{server.start(host='127.0.0.1', port=0)}"
    api = {"api_username": "user", "api_password": "password", "api_base_url": url_of}
    settings.STORES = [{**config, **api} for config in settings.STORES]
    yield answers
    server.stop()


def offered(client: Client, **asked: str) -> Any:
    return client.get(url("productmapping", "choices"), asked).json()


def add(client: Client, **values: str) -> Any:
    return client.post(url("productmapping", "add"), {**NEW, **values}, follow=True)


def change(client: Client, mapping: ProductMapping, **values: str) -> Any:
    data = {**NEW, "product_id": mapping.product_id, "template_id": mapping.template_id, **values}
    return client.post(url("productmapping", "change", mapping.pk), data, follow=True)


def errors(answer: Any) -> dict[str, str]:
    return {name: " ".join(found) for name, found in answer.context["adminform"].form.errors.items()}


def test_store_products_that_wait_come_before_those_the_store_sells(staff: Client, store_answer: list[Reply]) -> None:
    PurchaseItemFactory(is_waiting=True)
    store_answer.append(Reply(status=200, body=b'["photon-editor", "studio"]'))
    assert offered(staff, what="store_product", store="fastspring") == {
        "results": [
            {"id": "photon-editor", "text": "Photon Editor (photon-editor): 1 order waits"},
            {"id": "studio", "text": "studio"},
        ],
        "problem": "",
    }


def test_a_store_that_fails_is_a_sentence_beside_what_is_known(staff: Client, store_answer: list[Reply]) -> None:
    store_answer.append(Reply(status=500, body=b"{}"))
    PurchaseItemFactory(is_waiting=True)
    answer = offered(staff, what="store_product", store="fastspring")
    assert [entry["id"] for entry in answer["results"]] == ["photon-editor"]
    assert "FastSpring" in answer["problem"]
    assert staff.get(url("productmapping", "add")).status_code == 200


def test_license_products_and_templates_follow_the_server_and_the_product(
    staff: Client, cryptlex: CryptlexSandbox
) -> None:
    template = cryptlex.add_template(name="Yearly")["id"]
    product = cryptlex.add_product(name="Photon", template_id=template)["id"]
    assert {"id": product, "text": f"Photon ({product})"} in offered(staff, what="product_id")["results"]
    first, *others = offered(staff, what="template_id", server="cryptlex", product=product)["results"]
    assert first == {"id": template, "text": f"Yearly ({template}): the product's default"}
    assert template not in {entry["id"] for entry in others}
    cryptlex.add_product(name="Later")
    assert "Later" not in str(offered(staff, what="product_id"))
    assert "Later" in str(offered(staff, what="product_id", reload="1"))


@pytest.mark.parametrize("asked", [{"what": "password"}, {"what": "product_id", "server": "nowhere"}, {}])
def test_nothing_is_offered_for_what_is_not_there(asked: dict[str, str], staff: Client) -> None:
    assert offered(staff, **asked) == {"results": [], "problem": ""}


# --- saving ----------------------------------------------------------------------------------------------------------


def test_the_start_page_can_prefill_the_form(staff: Client) -> None:
    address = f"{url('productmapping', 'add')}?store=fastspring&store_product=forgotten"
    page = staff.get(address).content.decode()
    assert '<option value="forgotten" selected>forgotten</option>' in page


def test_what_the_license_server_does_not_have_is_refused_at_its_field(
    staff: Client, cryptlex: CryptlexSandbox
) -> None:
    product = cryptlex.add_product(name="Photon")["id"]
    answer = add(staff, product_id="gone", template_id="lost")
    assert errors(answer) == {
        "product_id": "License product gone does not exist on cryptlex.",
        "template_id": "License template lost does not exist on cryptlex.",
    }
    assert 'href="#id_product_id"' in answer.content.decode()
    add(staff, product_id=product)
    assert ProductMapping.objects.get().product_id == product


def test_a_license_server_that_does_not_answer_is_a_warning(staff: Client) -> None:
    page = add(staff, product_id="prod-1").content.decode()
    assert ProductMapping.objects.get().product_id == "prod-1"
    assert "could not be checked" in page


def test_a_product_that_is_gone_does_not_keep_the_rest_from_being_edited(
    staff: Client, cryptlex: CryptlexSandbox
) -> None:
    mapping = ProductMappingFactory(store_product="photon-editor", product_id="gone", template_id="")
    change(staff, mapping, notes="x")
    mapping.refresh_from_db()
    assert mapping.notes == "x"
    assert "product_id" in errors(change(staff, mapping, product_id="gone-too"))


@pytest.mark.parametrize("values", [{"refund_action": "revoke"}, {"preset": "licensespring"}, {"is_active": ""}])
def test_what_customers_notice_needs_a_reason(values: dict[str, str], staff: Client) -> None:
    mapping = ProductMappingFactory(store_product="photon-editor")
    assert "Say why" in errors(change(staff, mapping, **values))["reason"]
    assert not mapping.versions.exists()
    change(staff, mapping, **values, reason="Agreed.")
    assert (mapping.versions.count(), AuditEntry.objects.get().reason) == (1, "Agreed.")


def test_notes_need_no_reason_and_adding_has_no_field_for_one(staff: Client) -> None:
    mapping = ProductMappingFactory(store_product="photon-editor")
    change(staff, mapping, notes="x")
    assert mapping.versions.count() == 1
    assert "id_reason" not in staff.get(url("productmapping", "add")).content.decode()


def test_a_mapping_that_somebody_else_saved_meanwhile_is_not_overwritten(staff: Client) -> None:
    mapping = ProductMappingFactory(store_product="photon-editor")
    catalog.save_mapping(mapping, user_id=None)
    form = staff.get(url("productmapping", "change", mapping.pk)).context["adminform"].form
    assert form["based_on"].value() == 1
    catalog.save_mapping(mapping, user_id=None)
    answer = change(staff, mapping, based_on="1", notes="mine")
    assert "Somebody else has saved this mapping meanwhile" in answer.content.decode()
    assert mapping.versions.count() == 2


def test_each_policy_says_what_counts_while_it_is_empty(staff: Client, settings: Settings) -> None:
    settings.STORES = [*settings.STORES, {"name": "stripe", "adapter": "stripe"}]
    page = staff.get(url("productmapping", "add"))
    assert '<strong data-default-of="ended_action">Delete</strong>' in page.content.decode()
    page = staff.get(url("productmapping", "add"), {"store": "stripe"})
    assert '<strong data-default-of="ended_action">Suspend</strong>' in page.content.decode()
    assert page.context["script_data"]["defaults"]["stripe"]["extra_days"] == "3"
    presets = page.context["script_data"]["presets"]
    assert presets["licensespring"][""]["refund_action"] == "ignore"


def test_who_may_only_look_reads_what_the_mapping_says_and_what_counts_where_it_says_nothing(support: Client) -> None:
    mapping = ProductMappingFactory(refund_action="ask", custom_fields={"Seats": "5"})
    page = support.get(url("productmapping", "change", mapping.pk))
    assert "<form" not in page.content.decode().split('id="content-main"')[1].replace('<form class="li-inline"', "")
    lines = dict(line for section in page.context["sections"] for line in section["lines"])
    assert lines["Custom fields"] == "Seats = 5"
    assert lines["Refund action"] == "Ask (the store's default: Suspend)"
    assert lines["Paused action"] == "not said (the store's default: Suspend)"


def test_nobody_is_asked_while_the_form_opens(staff: Client, cryptlex: CryptlexSandbox) -> None:
    mapping = ProductMappingFactory()
    staff.get(url("productmapping", "add"))
    staff.get(url("productmapping", "change", mapping.pk))
    staff.get(url("productmapping", "changelist"))
    assert cryptlex.requests == []


# --- the list --------------------------------------------------------------------------------------------------------


def test_the_list_says_how_many_orders_wait_and_names_the_license_product(
    support: Client, staff: Client, cryptlex: CryptlexSandbox
) -> None:
    product = cryptlex.add_product(name="Photon")["id"]
    ProductMappingFactory(store_product="photon-editor", product_id=product)
    PurchaseItemFactory.create_batch(2, is_waiting=True)
    offered(staff, what="product_id")
    page = support.get(url("productmapping", "changelist")).content.decode()
    assert f"Photon ({product})" in page
    assert '?attention=waiting%3Afastspring%3Aphoton-editor">2</a>' in page


def test_an_empty_list_says_what_to_do(support: Client) -> None:
    assert "No product mappings yet" in support.get(url("productmapping", "changelist")).content.decode()


def test_pages_make_few_queries(
    staff: Client, cryptlex: CryptlexSandbox, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    mappings = ProductMappingFactory.create_batch(30, product_id="prod-1")
    for _ in range(20):
        catalog.save_mapping(mappings[0], user_id=staff.user.pk)
    for address in (
        url("productmapping", "changelist"),
        url("productmapping", "add"),
        url("productmapping", "change", mappings[0].pk),
        url("productmapping", "compare", mappings[0].pk),
        url("productmapping", "put_back", mappings[0].pk, 1),
        url("productmapping", "import"),
        url("productmapping", "export"),
    ):
        with django_assert_max_num_queries(12):
            assert staff.get(address).status_code == 200
