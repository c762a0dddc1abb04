"""The Cryptlex sandbox: who is let in, what is refused, and the form of the answers.

Numbers in comments are those of the list of open questions about the service; each test says how the sandbox answers.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from tests.license_servers.cryptlex.openapi_contract import assert_valid_exchange, assert_valid_record, is_valid_request
from tests.license_servers.cryptlex.sandbox_client import NOBODY, PRODUCT, TOKEN, Api, metadata, refused

# Access ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer"])
def test_a_missing_or_wrong_token_is_401(api: Api, header: str | None) -> None:
    if header is None:
        del api.session.headers["Authorization"]
    else:
        api.session.headers["Authorization"] = header
    refused(api.get("/v3/me"), 401)
    refused(api.post("/v3/licenses", {"productId": PRODUCT}), 401)
    assert api.box.licenses == []


def test_a_missing_permission_is_403_and_nothing_happens(box: CryptlexSandbox, api: Api) -> None:
    box.permissions = frozenset({"license:read"})
    assert api.get("/v3/licenses").status_code == 200
    assert "license:write" in refused(api.post("/v3/licenses", {"productId": PRODUCT}), 403)
    refused(api.get("/v3/users"), 403)
    assert api.get("/v3/me").status_code == 200
    assert api.get("/v3/personal-access-tokens").json()[0]["scopes"] == ["license:read"]
    assert box.licenses == []


@pytest.mark.parametrize("name", ["licensePolicy:read", "licenseTemplate:read"])  # 27
def test_templates_accept_either_permission_name(box: CryptlexSandbox, api: Api, name: str) -> None:
    box.permissions = frozenset({name})
    assert [entry["name"] for entry in api.get("/v3/license-templates").json()] == ["Monthly", "Perpetual"]
    refused(api.get("/v3/products"), 403)


def test_status_needs_no_token(api: Api) -> None:
    del api.session.headers["Authorization"]
    assert api.get("/v3/status").status_code == 200


def test_a_sandbox_token_lists_only_itself(api: Api) -> None:  # 28
    (token,) = api.get("/v3/personal-access-tokens").json()
    assert token["userId"] == api.get("/v3/me").json()["id"]
    assert "license:write" in token["scopes"]
    assert api.get(f"/v3/personal-access-tokens/{token['id']}").json()["id"] == token["id"]
    refused(api.get(f"/v3/personal-access-tokens/{NOBODY}"), 404)
    assert any("license:write" in names for names in api.get("/v3/roles/claims").json().values())


# Strictness -----------------------------------------------------------------------------------------------------------


def test_unknown_paths_are_404_and_wrong_methods_405(api: Api) -> None:
    for path in ("/", "/v3", "/v3/nothing", "/v3/licenses/", f"/v3/licenses/{NOBODY}/nothing", "/v2/licenses"):
        refused(api.get(path), 404)
    refused(api.send("PUT", "/v3/licenses", json={}), 405)


@pytest.mark.parametrize(
    "path",
    ["licenses", "users", "products", "license-templates", "entitlement-sets", "licenses/subscription-logs"],
)
def test_unknown_ids_are_404(api: Api, path: str) -> None:  # 25
    refused(api.get(f"/v3/{path}/{NOBODY}"), 404)


LICENSE_MISTAKES: list[tuple[Any, str]] = [
    ({}, "productId"),
    ([], "object"),
    ({"productId": PRODUCT, "colour": "red"}, "colour"),  # 16
    ({"productId": 7}, "productId"),
    ({"productId": PRODUCT, "key": "short"}, "key"),
    ({"productId": PRODUCT, "key": "K" * 257}, "key"),
    ({"productId": PRODUCT, "suspended": "true"}, "suspended"),
    ({"productId": PRODUCT, "allowedActivations": "5"}, "allowedActivations"),
    ({"productId": PRODUCT, "allowedActivations": True}, "allowedActivations"),
    ({"productId": PRODUCT, "allowedActivations": 1.5}, "allowedActivations"),
    ({"productId": PRODUCT, "allowedActivations": -2}, "allowedActivations"),
    ({"productId": PRODUCT, "allowedFloatingClients": -1}, "allowedFloatingClients"),
    ({"productId": PRODUCT, "serverSyncInterval": 60}, "serverSyncInterval"),
    ({"productId": PRODUCT, "type": "floating"}, "type"),
    ({"productId": PRODUCT, "subscriptionInterval": "1 month"}, "subscriptionInterval"),
    ({"productId": PRODUCT, "subscriptionInterval": "P"}, "subscriptionInterval"),
    ({"productId": PRODUCT, "subscriptionStartTrigger": None}, "subscriptionStartTrigger"),
    ({"productId": PRODUCT, "expiresAt": "2027-01-01"}, "expiresAt"),
    ({"productId": PRODUCT, "expiresAt": "2027-01-01T00:00:00"}, "expiresAt"),
    ({"productId": PRODUCT, "expiresAt": 1798761600}, "expiresAt"),
    ({"productId": PRODUCT, "notes": "n" * 4097}, "notes"),
    ({"productId": PRODUCT, "tags": ["a", "b", "c", "d", "e", "f"]}, "tags"),
    ({"productId": PRODUCT, "metadata": {"a": "b"}}, "metadata"),
    ({"productId": PRODUCT, "metadata": [{"key": "a"}]}, "value"),
    ({"productId": PRODUCT, "metadata": [{"key": "", "value": ""}]}, "key"),
    ({"productId": PRODUCT, "metadata": [{"key": "a", "value": 1}]}, "value"),
    ({"productId": PRODUCT, "metadata": [{"key": "a", "value": "v" * 4097}]}, "value"),
    ({"productId": PRODUCT, "metadata": [{"key": "a", "value": "b", "viewPermissions": ["all"]}]}, "viewPermissions"),
    ({"productId": PRODUCT, "metadata": [{"key": str(n), "value": ""} for n in range(51)]}, "metadata"),
    ({"productId": PRODUCT, "meterAttributes": [{"name": "a"}]}, "allowedUses"),
    ({"productId": PRODUCT, "maxAllowedReleaseVersion": "v2"}, "maxAllowedReleaseVersion"),
]


@pytest.mark.parametrize(("body", "named"), LICENSE_MISTAKES)
def test_a_wrong_license_body_is_400_and_names_the_member(api: Api, body: Any, named: str) -> None:
    assert not is_valid_request("POST", "/v3/licenses", None, body), "the OpenAPI document must agree"
    assert named in refused(api.post("/v3/licenses", body))
    assert api.box.licenses == []


@pytest.mark.parametrize(
    "member",
    ["expiresAt", "subscriptionInterval", "subscriptionStartTrigger", "type", "productId", "licenseTemplateId"],
)
def test_patch_refuses_what_only_creation_may_set(api: Api, member: str) -> None:
    created = api.license()
    body = {member: None}
    assert not is_valid_request("PATCH", f"/v3/licenses/{created['id']}", None, body)
    assert member in refused(api.patch(f"/v3/licenses/{created['id']}", body))


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"email": "a@example.com", "firstName": "A"}, "password"),
        ({"email": "a@example.com", "firstName": "A", "password": "short"}, "password"),
        ({"email": "nobody", "firstName": "A", "password": "12345678"}, "email"),
        ({"email": "a@example.com", "firstName": "", "password": "12345678"}, "firstName"),
        ({"email": "a@example.com", "firstName": "A", "password": "12345678", "name": "A"}, "name"),
    ],
)
def test_a_wrong_user_body_is_400_and_names_the_member(api: Api, body: dict[str, Any], named: str) -> None:
    assert not is_valid_request("POST", "/v3/users", None, body)
    assert named in refused(api.post("/v3/users", body))
    assert api.box.users == []


@pytest.mark.parametrize(
    "query",
    [
        "colour=red",
        "page=0",
        "page=-1",
        "page=x",
        "limit=0",
        "limit=101",
        "key=abc",
        "key[like]=abc",
        "productId[sw]=abc",
        "userId[eq]=abc",
        "suspended=True",
        "suspended[eq]=true",
        "expiresAt[gt]=yesterday",
        "allowedActivations[eq]=many",
        "sort=createdAt",
        "sort=+createdAt",
        "licenseTemplateId[eq]=abc",
        "limit=1&limit=2",
    ],
)
def test_a_wrong_list_query_is_400(api: Api, query: str) -> None:
    assert not is_valid_request("GET", "/v3/licenses", query, None)
    refused(api.get(f"/v3/licenses?{query}"))


def test_a_body_that_is_not_json_is_400(api: Api) -> None:
    url = "/v3/licenses"
    json_type = {"Content-Type": "application/json"}
    for raw in (b"", b"{", b'{"productId": NaN}', b"\xff"):
        assert "not valid JSON" in refused(api.send("POST", url, data=raw, headers=json_type))
    refused(api.send("POST", url, data=f'{{"productId": "{PRODUCT}"}}', headers={"Content-Type": "text/plain"}))
    assert api.box.licenses == []


def test_an_operation_without_body_or_query_refuses_them(api: Api) -> None:
    created = api.license()
    refused(api.post(f"/v3/licenses/{created['id']}/renew", {}))
    refused(api.send("POST", f"/v3/licenses/{created['id']}/renew", params={"times": 2}))
    assert api.get(f"/v3/licenses/{created['id']}").json()["expiresAt"] == created["expiresAt"]


@pytest.mark.parametrize(
    "member",
    [
        "productId",
        "licenseTemplateId",
        "userId",
        "entitlementSetId",
        "maintenancePolicyId",
        "organizationId",
        "resellerId",
        "productVersionId",
    ],
)
def test_a_body_that_names_something_unknown_is_400(api: Api, member: str) -> None:
    assert member in refused(api.post("/v3/licenses", {"productId": PRODUCT, member: NOBODY}))
    assert api.box.licenses == []


def test_any_product_is_accepted_on_request() -> None:
    with CryptlexSandbox(access_token=TOKEN, accept_any_product=True) as box:
        api = Api(box)
        body = {"productId": "my-product", "licenseTemplateId": "my-template", "entitlementSetId": "my-set"}
        assert api.post("/v3/licenses", body).status_code == 201
        assert api.get("/v3/products/my-product").json()["licenseTemplateId"] == "my-template"
        assert api.post("/v3/licenses", {"productId": "another"}).status_code == 201
        assert api.post("/v3/licenses", {"productId": "another", "userId": NOBODY}).status_code == 400
        api.session.close()


# Form -----------------------------------------------------------------------------------------------------------------


def test_ids_are_uuids_times_have_seven_digits_and_keys_the_default_pattern(api: Api) -> None:  # 24
    created = api.license(metadata=metadata(a="b"))
    uuid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert uuid.fullmatch(created["id"])
    assert uuid.fullmatch(created["metadata"][0]["id"])
    assert created["createdAt"] == "2026-01-31T09:30:00.1234560Z"
    assert re.fullmatch(r"([A-F0-9]{6}-){5}[A-F0-9]{6}", created["key"])
    assert api.license()["key"] != created["key"]


def test_dates_are_shown_in_utc_whatever_offset_was_sent(api: Api) -> None:
    assert api.license(expiresAt="2027-03-01T01:00:00.123456789+02:00")["expiresAt"] == "2027-02-28T23:00:00.1234560Z"


def test_errors_carry_message_and_code(api: Api) -> None:
    body = api.get(f"/v3/licenses/{NOBODY}").json()
    assert set(body) == {"message", "code"}
    assert body["code"] is None


def test_the_demo_account_has_something_to_choose_from() -> None:
    with CryptlexSandbox(access_token=TOKEN) as box:
        api = Api(box)
        products = api.search("/v3/products", {"limit": 100})
        templates = {entry["id"] for entry in api.search("/v3/license-templates", {"limit": 100})}
        sets = api.search("/v3/entitlement-sets", {"productIds[eq]": products[0]["id"]})
        assert len(products) >= 3
        assert {product["licenseTemplateId"] for product in products} <= templates
        assert len(sets) >= 2
        for record in box.requests:
            assert_valid_record(record)
        api.session.close()


# The contract itself --------------------------------------------------------------------------------------------------


def test_the_contract_refuses_answers_that_are_not_declared(api: Api) -> None:
    created = api.license()
    good = ("POST", "/v3/licenses", None, {"productId": PRODUCT})
    assert_valid_exchange(*good, 201, created)
    with pytest.raises(AssertionError, match="does not declare"):
        assert_valid_exchange(*good, 200, created)
    with pytest.raises(AssertionError, match="expiresAt"):
        assert_valid_exchange(*good, 201, {**created, "expiresAt": "tomorrow"})
    with pytest.raises(AssertionError, match="message"):
        assert_valid_exchange(*good, 400, {"error": "no"})
    with pytest.raises(AssertionError, match="colour"):
        assert_valid_exchange("POST", "/v3/licenses", None, {"productId": PRODUCT, "colour": "red"}, 201, created)
    with pytest.raises(AssertionError, match="no operation"):
        assert_valid_exchange("GET", "/v3/nothing", None, None, 200, {})
    with pytest.raises(AssertionError, match="operator"):
        assert_valid_exchange("GET", "/v3/licenses", "key=abc", None, 200, [])
