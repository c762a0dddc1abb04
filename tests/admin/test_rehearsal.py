"""The page that rehearses a mapping before it is saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from licensing_integration.models import ProductMapping, PurchaseItem, WebhookEvent
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.fastspring import Buyer, FastSpringShop
from licensing_integration.services import receive
from licensing_integration.services.connections import adapter_of, store_config
from licensing_integration.services.pipeline import process_events
from licensing_integration.stores.fastspring.split import read_event
from tests.admin.conftest import ROLES, url
from tests.factories import ProductMappingFactory

ALLOWED = {"Staff", "Owner", "superuser"}
PAGE = url("productmapping", "rehearse")


def fields(**values: Any) -> dict[str, Any]:
    """What the browser sends of the mapping's form."""
    return {
        "store": "fastspring", "store_product": "photon", "is_active": "on", "is_license_needed": "on", "server": "",
        "product_id": "prod-new", **values,
    }  # fmt: skip


def past_order(quantity: int = 1, product: str = "photon") -> WebhookEvent:
    """A stored and planned order; its license could not be made."""
    event = FastSpringShop().buy(Buyer(email="ava@example.com"), product, quantity=quantity)
    receive.store_events([read_event(event)], store=store_config("fastspring"), adapter=adapter_of("fastspring"))
    stored = WebhookEvent.objects.latest("id")
    process_events([stored.pk])
    return stored


def changes(cryptlex: CryptlexSandbox) -> list[Any]:
    """What the license server was asked for beside its lists."""
    return [request for request in cryptlex.requests if request.method != "GET"]


@pytest.mark.parametrize("role", ROLES)
def test_rehearsing_is_for_those_who_may_change_mappings(client_of: Callable[[str], Client], role: str) -> None:
    answer = client_of(role).post(PAGE, fields())

    expected = 200 if role in ALLOWED else 302 if role == "anonymous" else 403
    assert answer.status_code == expected


def test_the_page_is_reached_from_a_mapping_only(staff: Client) -> None:
    answer = staff.get(PAGE)

    assert (answer.status_code, answer["Location"]) == (302, url("productmapping", "changelist"))


def test_an_unsaved_mapping_is_tried_with_the_newest_event_of_its_product(
    staff: Client, cryptlex: CryptlexSandbox, queued: Callable[[], list[Any]]
) -> None:
    event = past_order(quantity=2)
    jobs = queued()

    page = staff.post(PAGE, fields(max_activations="7")).content.decode()

    assert "Nothing was sent, and nothing is kept" in page
    assert event.external_id in page
    assert "License of Photon, unit 1" in page
    assert "License of Photon, unit 2" in page
    assert "POST /v3/users" in page
    assert "POST /v3/licenses" in page
    assert "&quot;allowedActivations&quot;: 7" in page
    assert '<th scope="row">License product</th><td>prod-new</td><td>product mapping</td>' in page
    assert not ProductMapping.objects.exists()
    assert (changes(cryptlex), queued()) == ([], jobs)
    assert PurchaseItem.objects.get().problem  # the real purchase waits as before


def test_a_sample_is_tried_with_the_quantity_and_the_attributes_asked_for(
    staff: Client, cryptlex: CryptlexSandbox
) -> None:
    chosen = {
        "rehearse-what": "sample:subscription",
        "rehearse-quantity": "3",
        "rehearse-attributes": "cryptlex_license_template_id = tmpl-9",
    }

    page = staff.post(PAGE, fields(quantity_mode="activations", **chosen)).content.decode()

    assert page.count("License of photon") == 1
    assert "&quot;allowedActivations&quot;: 3" in page
    assert "store attribute cryptlex_license_template_id" in page
    assert "&quot;licenseTemplateId&quot;: &quot;tmpl-9&quot;" in page
    assert changes(cryptlex) == []


def test_any_event_of_the_store_can_be_named(staff: Client, cryptlex: CryptlexSandbox) -> None:
    event = past_order(product="plain")
    chosen = {"rehearse-what": "sample:order", "rehearse-quantity": "1"}

    named = staff.post(PAGE, fields(**chosen, **{"rehearse-event_id": event.external_id})).content.decode()
    unknown = staff.post(PAGE, fields(**chosen, **{"rehearse-event_id": "EVNONE"})).content.decode()

    assert "Plain would wait" in named
    assert "fastspring has sent no event with this id." in unknown


def test_a_key_that_the_store_gave_out_is_not_shown(staff: Client, cryptlex: CryptlexSandbox) -> None:
    event = past_order()
    told = json.loads(event.body)
    given = [{"license": "15BABC-GIVEN1", "display": "License Key", "type": "license"}]
    told["data"]["items"][0]["fulfillments"] = {"photon_license_0": given}
    WebhookEvent.objects.filter(pk=event.pk).update(body=json.dumps(told))
    page = staff.post(PAGE, fields()).content.decode()
    assert event.external_id in page
    assert "15BABC-GIVEN1" not in page


def test_a_saved_mapping_is_rehearsed_as_it_stands_in_the_form(staff: Client, cryptlex: CryptlexSandbox) -> None:
    mapping = ProductMappingFactory(store_product="photon", product_id="prod-old")

    page = staff.post(PAGE, fields()).content.decode()

    assert "<td>prod-new</td>" in page
    mapping.refresh_from_db()
    assert mapping.product_id == "prod-old"


def test_what_is_wrong_in_the_form_is_told(staff: Client) -> None:
    page = staff.post(PAGE, fields(interval="monthly")).content.decode()

    assert "cannot be rehearsed as it stands" in page
    assert "ISO 8601" in page


def test_the_choice_keeps_the_mapping_as_it_was_sent(staff: Client, cryptlex: CryptlexSandbox) -> None:
    page = staff.post(PAGE, fields(notes='say "hello"')).content.decode()

    assert '<input type="hidden" name="notes" value="say &quot;hello&quot;">' in page
    assert '<input type="hidden" name="product_id" value="prod-new">' in page


def test_what_the_license_server_does_not_have_is_told(staff: Client, cryptlex: CryptlexSandbox) -> None:
    cache.clear()
    product = cryptlex.add_product(name="Photon")["id"]

    wrong = staff.post(PAGE, fields(product_id="gone")).content.decode()
    right = staff.post(PAGE, fields(product_id=product)).content.decode()

    assert "License product gone does not exist on cryptlex." in wrong
    assert "does not exist" not in right
    assert changes(cryptlex) == []
