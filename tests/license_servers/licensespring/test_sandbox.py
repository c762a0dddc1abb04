"""The LicenseSpring sandbox: who is let in, what is refused, and the form of the answers."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from licensing_integration.sandbox.licensespring import LicenseSpringOptions, LicenseSpringSandbox
from licensing_integration.sandbox.licensespring_operations import OPERATIONS
from tests.license_servers.licensespring.openapi_contract import DOCUMENT, assert_valid_exchange, is_valid_request
from tests.license_servers.licensespring.sandbox_client import (
    API_KEY,
    APP,
    NOBODY,
    TEAM,
    Api,
    order_of,
    refused,
    refused_as,
)

# Access ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "Api-Key wrong", f"Bearer {API_KEY}", API_KEY, f"Api-Key  {API_KEY}"])
@pytest.mark.parametrize("status", [401, 403])
def test_a_missing_or_wrong_key_is_refused(
    api: Api, options: LicenseSpringOptions, header: str | None, status: int
) -> None:
    options.bad_key_status = status
    if header is None:
        del api.session.headers["Authorization"]
    else:
        api.session.headers["Authorization"] = header
    refused(api.get("products/"), status)
    refused(api.post("orders/create_order/", order_of("fs-1")), status)
    assert api.box.orders == []


def test_a_product_the_key_may_not_see_does_not_exist(box: LicenseSpringSandbox, api: Api) -> None:
    hidden = box.add_product(short_code="secret", is_hidden=True)
    assert "secret" not in [product["short_code"] for product in api.search("products/")]
    refused(api.get(f"products/{hidden['id']}/"), 404)
    refused(api.get("orders/generate_license/", product="secret"), 404)
    items = [{"product_code": "secret", "licenses": [{}]}]
    refused_as(api.post("orders/create_order/", order_of("fs-1", items=items)), "unknown_product")


# Strictness -----------------------------------------------------------------------------------------------------------


def test_unknown_paths_are_404_and_wrong_methods_405(api: Api) -> None:
    for path in ("nothing/", f"licenses/{NOBODY}/nothing/", "licenses/x/", "../v4/licenses/"):
        refused(api.get(path), 404)
    created = api.license()
    refused(api.delete(f"licenses/{created['id']}/"), 405)  # a request in the vendor's collection would do this
    refused(api.post("licenses/", {}), 405)
    refused(api.post("license-histories/", {}), 405)
    assert len(api.box.licenses) == 1


def test_a_missing_slash_sends_elsewhere_and_does_nothing(api: Api, options: LicenseSpringOptions) -> None:
    answer = api.post("orders/create_order", order_of("fs-1"))
    assert (answer.status_code, answer.headers["Location"]) == (301, "/api/v1/orders/create_order/")
    assert api.get("licenses", limit=5).headers["Location"] == "/api/v1/licenses/?limit=5"
    options.missing_slash = "not_found"
    refused(api.post("orders/create_order", order_of("fs-1")), 404)
    assert api.box.orders == []


@pytest.mark.parametrize("path", ["orders", "licenses", "products", "customers", "license-users", "license-histories"])
def test_unknown_ids_are_404(api: Api, path: str) -> None:
    refused(api.get(f"{path}/{NOBODY}/"), 404)


def _with_license(**members: Any) -> dict[str, Any]:
    return order_of("fs-1", items=[{"product_code": APP, "licenses": [members]}])


ORDER_MISTAKES: list[tuple[Any, str, str]] = [
    ({}, "missing_parameters", "id"),
    ([], "validation_error", "object"),
    ({"id": "fs-1"}, "missing_parameters", "items"),
    (order_of(""), "validation_error", "id"),
    (order_of("fs-1", items=[]), "validation_error", "items"),
    (order_of("fs-1", items=[{}]), "validation_error", "product_code"),
    (order_of("fs-1", colour="red"), "validation_error", "colour"),
    (order_of("fs-1", metadata={"a": "b"}), "validation_error", "metadata"),
    (order_of("fs-1", append="true"), "validation_error", "append"),
    (order_of("fs-1", order_type="special"), "validation_error", "order_type"),
    (order_of("fs-1", customer={"name": "Ada"}), "validation_error", "name"),
    (_with_license(license_type="floating"), "validation_error", "license_type"),
    (_with_license(valid_duration="1 year"), "validation_error", "valid_duration"),
    (_with_license(valid_duration="0d"), "validation_error", "valid_duration"),
    (_with_license(max_activations="5"), "validation_error", "max_activations"),
    (_with_license(max_activations=True), "validation_error", "max_activations"),
    (_with_license(grace_period=-1), "validation_error", "grace_period"),
    (_with_license(users={"email": "ada@example.com"}), "validation_error", "users"),
    (_with_license(metadata="{}"), "validation_error", "metadata"),
    (_with_license(product_features=["reports"]), "validation_error", "product_features"),
    (_with_license(product_features=[{"product_feature": "reports"}]), "validation_error", "product_feature"),
    (_with_license(custom_fields=[{"name": "Serial"}]), "validation_error", "value"),
]


@pytest.mark.parametrize(("body", "code", "named"), ORDER_MISTAKES)
def test_a_wrong_order_is_400_and_names_the_member(api: Api, body: Any, code: str, named: str) -> None:
    path = "/api/v1/orders/create_order/"
    # Features are left open in the document, and a member of its own is not required to be known.
    assert named == "product_feature" or not is_valid_request("POST", path, None, body)
    assert named in refused_as(api.post("orders/create_order/", body), code)
    assert api.box.orders == []


@pytest.mark.parametrize("member", ["note", "trial_days", "subscription_id", "product_code", "colour"])
def test_members_of_a_license_that_nobody_documents_are_refused_or_ignored(
    api: Api, options: LicenseSpringOptions, member: str
) -> None:
    body = _with_license(**{member: "x"})
    assert member in refused_as(api.post("orders/create_order/", body), "validation_error")
    options.unknown_members = "ignore"
    made = api.done(api.post("orders/create_order/", body))["order_items"][0]["licenses"][0]
    assert made.get(member) in (None, "")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "Nothing"),
        ({"license_type": "perpetual"}, "license_type"),
        ({"product": 5}, "product"),
        ({"max_activations": -1}, "max_activations"),
        ({"is_trial": "false"}, "is_trial"),
        ({"is_trial": False, "validity_period": "2027-02-30"}, "validity_period"),
        ({"is_trial": False, "validity_period": "2027-02-14T00:00:00Z"}, "validity_period"),
        ({"is_trial": False, "validity_period": 1798761600}, "validity_period"),
        ({"metadata": None}, "metadata"),
        ({"note": None}, "note"),
        ({"consumption_period": "yearly"}, "consumption_period"),
    ],
)
def test_a_wrong_change_is_400_and_names_the_member(api: Api, body: dict[str, Any], named: str) -> None:
    created = api.license()
    assert named in refused(api.patch(f"licenses/{created['id']}/", body))
    assert api.fetch(created["id"]) == created


def test_unknown_members_of_other_bodies_are_ignored_only_when_told(api: Api, options: LicenseSpringOptions) -> None:
    created = api.license()
    body = {"note": "n", "colour": "red"}
    assert "colour" in refused(api.patch(f"licenses/{created['id']}/", body))
    options.unknown_members = "ignore"
    answer = api.session.patch(f"{api.box.base_url}/api/v1/licenses/{created['id']}/", json=body, timeout=5)
    assert answer.json()["note"] == "n"
    assert "colour" not in answer.json()
    api.box.clear_requests()  # the document does not know this request


def test_a_body_that_is_not_json_is_400(api: Api) -> None:
    created = api.license()
    json_type = {"Content-Type": "application/json"}
    for raw in (b"{", b'{"id": NaN}', b"\xff"):
        answer = api.send("POST", "orders/create_order/", data=raw, headers=json_type)
        assert "not valid JSON" in refused_as(answer, "invalid_json")
        refused(api.send("PATCH", f"licenses/{created['id']}/", data=raw, headers=json_type))
    refused_as(api.send("POST", "orders/create_order/", data=b'{"id": "x"}'), "invalid_json")


def test_an_operation_without_body_takes_an_empty_object_at_most(api: Api) -> None:
    path = f"licenses/{api.license()['id']}/disable/"
    assert api.post(path).status_code == 200
    assert api.post(path, {}).status_code == 200
    refused(api.post(path, {"reason": "x"}))
    refused(api.send("GET", "products/", json={}))
    refused(api.send("POST", path, params={"force": "true"}))


# Form -----------------------------------------------------------------------------------------------------------------


def test_ids_have_sixteen_digits_and_small_ones_are_small(api: Api) -> None:
    made = api.order(customer={"email": "ada@example.com"}, items=[{"product_code": APP, "licenses": [{}, {}]}])
    (item,) = made["order_items"]
    ids = [made["id"], item["id"], *(entry["id"] for entry in item["licenses"]), item["licenses"][0]["product"]["id"]]
    assert all(len(str(number)) == 16 for number in ids)
    assert len(set(ids)) == len(ids)
    assert made["customer"]["id"] < 100_000


def test_times_are_in_whole_seconds_utc(api: Api) -> None:
    assert api.license()["created_at"] == "2026-01-31T09:30:00Z"


@pytest.mark.parametrize(
    ("shape", "members"),
    [
        ("code", {"status", "code", "message"}),
        ("detail", {"detail"}),
        ("errors", {"errors"}),
        ("fields", {"non_field_errors"}),
    ],
)
def test_refused_orders_come_in_every_shape(
    api: Api, options: LicenseSpringOptions, shape: Any, members: set[str]
) -> None:
    options.order_error_shape = shape
    assert set(api.post("orders/create_order/", {}).json()) == members
    assert set(api.get(f"licenses/{NOBODY}/").json()) == {"detail"}


def test_success_can_look_like_an_error(api: Api) -> None:
    created = api.license()
    body = [{"id": created["id"], "note": "n"}]
    assert api.done(api.patch("licenses/bulk_update/", body)) == {"detail": "Licenses updated."}


def test_any_product_and_what_it_offers_is_made_on_request() -> None:
    with LicenseSpringSandbox(api_key=API_KEY, products=[], accept_any_product=True) as box:
        api = Api(box)
        features, custom_fields = [{"code": "reports"}], [{"name": "Serial", "value": "222"}]
        made = api.license("my-product", product_features=features, custom_fields=custom_fields, is_trial=True)
        assert made["product"]["short_code"] == "my-product"
        assert made["product_features"][0]["product_feature"]["code"] == "reports"
        assert made["product_custom_fields"] == [{"name": "Serial", "value": "222", "data_type": "text"}]
        assert len(api.done(api.get("orders/generate_license/", product="another"))) == 1
        api.session.close()


def test_the_demo_account_has_something_to_choose_from() -> None:
    with LicenseSpringSandbox() as box:
        api = Api(box)
        products = api.search("products/", limit=100)
        assert {"license-key", "user"} == {product["authorization_method"] for product in products}
        assert any(product["product_features"] for product in products)
        api.session.close()


# The contract itself --------------------------------------------------------------------------------------------------


def test_the_sandbox_offers_what_the_document_describes_and_two_more() -> None:
    offered = {(operation.method.lower(), operation.path.replace("{id}", "{}")) for operation in OPERATIONS}
    described = {
        (operation.pointer.rsplit("/", 1)[1], "{}".join(part.split("}")[-1] for part in operation.template.split("{")))
        for operation in DOCUMENT.operations
    }
    assert described <= offered
    more = {path.rsplit("/", 2)[1] for _, path in offered - described}
    assert more == {"reset_bulk", "set_password"}


@pytest.mark.parametrize(
    "operation", [entry for entry in OPERATIONS if entry.filters is not None], ids=lambda entry: entry.path
)
def test_lists_know_the_filters_of_the_document(operation: Any) -> None:
    described = set(DOCUMENT.find_operation("GET", operation.path).parameters)
    assert set(operation.filters) | {"limit", "offset"} == described


def test_the_contract_refuses_answers_that_are_not_declared(api: Api) -> None:
    created = api.license()
    path = f"/api/v1/licenses/{created['id']}/"
    assert_valid_exchange("PATCH", path, None, {"note": "n"}, 200, created)
    with pytest.raises(AssertionError, match="is_trial"):
        assert_valid_exchange("PATCH", path, None, {"validity_period": "2027-01-01"}, 200, created)
    with pytest.raises(AssertionError, match="colour"):
        assert_valid_exchange("PATCH", path, None, {"colour": "red"}, 200, created)
    with pytest.raises(AssertionError, match="enabled"):
        assert_valid_exchange("PATCH", path, None, {"note": "n"}, 200, {**created, "enabled": "yes"})
    with pytest.raises(AssertionError, match="no operation"):
        assert_valid_exchange("DELETE", path, None, None, 204, None)
    with pytest.raises(AssertionError, match="query parameter"):
        assert_valid_exchange("GET", "/api/v1/licenses/", "metadata=x", None, 200, {"count": 0, "results": []})


def test_user_based_products_get_no_keys(api: Api, options: LicenseSpringOptions) -> None:
    refused(api.get("orders/generate_license/", product=TEAM))
    options.user_product_keys = "allow"
    assert len(api.done(api.get("orders/generate_license/", product=TEAM))) == 1


def test_a_redirect_makes_a_plain_client_lose_its_order(api: Api) -> None:
    url = f"{api.box.base_url}/api/v1/orders/create_order"
    headers = {"Authorization": f"Api-Key {API_KEY}"}
    assert requests.post(url, json=order_of("fs-1"), headers=headers, timeout=5).status_code == 405
    assert api.box.orders == []
