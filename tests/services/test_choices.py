"""What the mapping form offers: kept for a while, asked for anew where it matters, and harmless when nobody answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from pytest_django import Settings

from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.http_server import HttpRequest, HttpServer, Reply
from licensing_integration.services import catalog, choices
from tests.factories import ProductMappingFactory, PurchaseItemFactory


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    cache.clear()


@pytest.fixture
def listing_store(settings: Settings) -> Iterator[list[str]]:
    """The store ``fastspring`` with credentials for an API that lists two products; yields the requests so far."""
    asked: list[str] = []

    def answer(request: HttpRequest) -> Reply:
        asked.append(request.path)
        return Reply(status=200, body=b'["photon-editor", "studio"]')

    server = HttpServer(application=answer)
    url = f"http://127.0.0.1:{server.start(host='127.0.0.1', port=0)}"
    api = {"api_username": "user", "api_password": "password", "api_base_url": url}
    settings.STORES = [{**config, **api} for config in settings.STORES]
    yield asked
    server.stop()


def listings(sandbox: CryptlexSandbox) -> int:
    return sum(request.path in {"/v3/products", "/v3/license-templates"} for request in sandbox.requests)


def test_a_license_server_is_asked_once_until_somebody_wants_a_fresh_list(cryptlex: CryptlexSandbox, db: None) -> None:
    template = cryptlex.add_template(name="Yearly")
    product = cryptlex.add_product(name="Photon", template_id=template["id"])
    assert choices.known_server_lists("cryptlex") is None
    lists = choices.server_lists("cryptlex")
    assert lists.names[product["id"]] == "Photon"
    assert next(one for one in lists.products if one.id == product["id"]).template_id == template["id"]
    assert template["id"] in {one.id for one in lists.templates or ()}
    before = listings(cryptlex)
    assert choices.server_lists("cryptlex") == choices.known_server_lists("cryptlex") == lists
    assert listings(cryptlex) == before
    choices.server_lists("cryptlex", oldest=0)
    assert listings(cryptlex) > before


def test_another_address_is_another_list(cryptlex: CryptlexSandbox, db: None, settings: Settings) -> None:
    assert choices.server_lists("cryptlex").products
    settings.LICENSE_SERVERS = [{**config, "access_token": "another"} for config in settings.LICENSE_SERVERS]
    assert choices.known_server_lists("cryptlex") is None


def test_a_license_server_that_does_not_answer_is_a_sentence(db: None) -> None:
    lists = choices.server_lists("cryptlex")
    assert "cryptlex" in lists.problem
    assert not lists.products
    assert choices.server_lists("cryptlex") is not lists  # kept as a value
    assert choices.server_lists("cryptlex") == lists  # and not asked again for half a minute
    assert choices.server_lists("cryptlex", oldest=0) != lists  # but for somebody who wants a fresh list
    assert "No license server named 'nowhere'" in choices.server_lists("nowhere").problem


def test_the_store_is_asked_only_with_credentials(listing_store: list[str], settings: Settings, db: None) -> None:
    assert [one.id for one in choices.store_list("fastspring").products] == ["photon-editor", "studio"]
    assert [one.id for one in choices.store_list("fastspring").products] == ["photon-editor", "studio"]
    assert listing_store == ["/products"]
    settings.STORES = [{**config, "api_password": ""} for config in settings.STORES]
    assert choices.store_list("fastspring").products == ()
    assert choices.store_list("fastspring").problem == ""
    assert listing_store == ["/products"]


def test_products_that_wait_are_offered_with_the_number_of_orders(db: None) -> None:
    for _ in range(2):
        PurchaseItemFactory(is_waiting=True, product="often", display="Often")
    PurchaseItemFactory(is_waiting=True, product="prod_1", variant="price_1", display="Once")
    PurchaseItemFactory(is_waiting=True, product="mapped")
    PurchaseItemFactory(product="has-its-terms")
    ProductMappingFactory(store="fastspring", store_product="mapped")
    found = [(one.id, one.name, one.orders) for one in choices.unmapped_products("fastspring")]
    assert found == [("often", "Often", 2), ("price_1", "Once", 1), ("prod_1", "Once", 1)]
    assert choices.unmapped_products("stripe") == []


def test_waiting_orders_are_counted_for_products_and_variants(db: None) -> None:
    item = PurchaseItemFactory(is_waiting=True, product="prod_1", variant="price_1")
    PurchaseItemFactory(is_waiting=True, product="prod_1", line="other", purchase=item.purchase)
    PurchaseItemFactory(product="prod_1")
    mappings = [ProductMappingFactory(store_product=name) for name in ("prod_1", "price_1", "none")]
    assert choices.waiting_orders(mappings) == {("fastspring", "prod_1"): 1, ("fastspring", "price_1"): 1}


# --- checking mappings against the lists -----------------------------------------------------------------------------


def test_a_product_made_a_moment_ago_is_found_although_the_kept_list_lacks_it(
    cryptlex: CryptlexSandbox, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices.server_lists("cryptlex")
    product = cryptlex.add_product(name="New")
    monkeypatch.setattr(catalog, "_FRESH", 0.0)
    assert catalog.unknown_ids(ProductMappingFactory.build(product_id=product["id"], template_id="")) == {}


def test_what_the_license_server_does_not_list_is_named_by_field(cryptlex: CryptlexSandbox, db: None) -> None:
    unknown = catalog.unknown_ids(ProductMappingFactory.build(product_id="gone", template_id="lost"))
    assert unknown == {
        "product_id": "License product gone does not exist on cryptlex.",
        "template_id": "License template lost does not exist on cryptlex.",
    }


def test_many_mappings_are_checked_with_one_look_at_the_license_server(cryptlex: CryptlexSandbox, db: None) -> None:
    product = cryptlex.add_product(name="Photon")
    mappings = [ProductMappingFactory(product_id=product["id"], template_id="") for _ in range(20)]
    one = len(cryptlex.requests)
    assert catalog.check_mappings(mappings[:1]) == [catalog.Checked()]
    once = len(cryptlex.requests) - one
    assert catalog.check_mappings(mappings) == [catalog.Checked()] * 20
    assert len(cryptlex.requests) - one == 2 * once
