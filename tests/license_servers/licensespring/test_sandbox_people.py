"""The LicenseSpring sandbox: features and custom fields of licenses, license users, customers."""

from __future__ import annotations

from typing import Any

import pytest

from licensing_integration.sandbox.licensespring import LicenseSpringOptions, LicenseSpringSandbox
from tests.license_servers.licensespring.sandbox_client import APP, NOBODY, PRO, Api, refused


def codes(license_: dict[str, Any]) -> list[str]:
    return [entry["product_feature"]["code"] for entry in license_["product_features"]]


# Features -------------------------------------------------------------------------------------------------------------


def test_features_are_replaced_as_a_whole(api: Api) -> None:
    created = api.license(product_features=[{"code": "reports"}, {"code": "export"}])
    path = f"licenses/{created['id']}/update_features/"
    wanted = [{"product_feature": "render", "max_consumption": 88}, {"product_feature": "export"}]
    changed = api.done(api.post(path, {"product_features": wanted}))
    assert sorted(codes(changed)) == ["export", "render"]
    ids = {entry["product_feature"]["code"]: entry["id"] for entry in created["product_features"]}
    assert ids["export"] in [entry["id"] for entry in changed["product_features"]]
    assert codes(api.done(api.post(path, {"product_features": []}))) == []


def test_features_are_named_differently_here_than_in_an_order(api: Api) -> None:
    path = f"licenses/{api.license()['id']}/update_features/"
    for entry, named in [
        ({"code": "reports"}, "code"),
        ({"product_feature": "nothing"}, "product_features"),
        ({"product_feature": "reports", "expiry_date": "2027"}, "expiry_date"),
    ]:
        assert named in refused(api.post(path, {"product_features": [entry]}))
    twice = [{"product_feature": "reports"}, {"product_feature": "reports"}]
    assert "twice" in refused(api.post(path, {"product_features": twice}))
    assert "product_features" in refused(api.post(path, {}))


@pytest.mark.parametrize(("policy", "used"), [("reset", 0), ("keep", 12)])
def test_what_a_metered_feature_has_used_may_be_forgotten(
    api: Api, options: LicenseSpringOptions, policy: Any, used: int
) -> None:
    options.omitted_consumptions = policy
    created = api.license(product_features=[{"code": "render"}])
    path = f"licenses/{created['id']}/update_features/"
    api.done(api.post(path, {"product_features": [{"product_feature": "render", "total_consumptions": 12}]}))
    (feature,) = api.done(api.post(path, {"product_features": [{"product_feature": "render"}]}))["product_features"]
    assert (feature["total_consumptions"], feature["max_consumption"]) == (used, 50)


def test_features_of_a_license_can_be_listed_and_removed_one_by_one(api: Api) -> None:
    created = api.license(product_features=[{"code": "reports"}, {"code": "export"}])
    api.license(product_features=[{"code": "reports"}])
    reports, export = api.search("license-product-features/", license=created["id"])
    assert api.delete(f"license-product-features/{reports['id']}/").status_code == 204
    assert codes(api.fetch(created["id"])) == [export["product_feature"]["code"]]
    refused(api.delete(f"license-product-features/{reports['id']}/"), 404)


# Custom fields --------------------------------------------------------------------------------------------------------


def test_custom_fields_are_overridden_and_changed(api: Api) -> None:
    created = api.license()
    fields = {field["name"]: field["id"] for field in api.search("product-custom-fields/")}
    body = {"license": created["id"], "product_custom_field": fields["Serial"], "value": "222"}
    made = api.done(api.post("license-custom-fields/", body), 201)
    assert "already" in refused(api.post("license-custom-fields/", body))
    assert api.search("license-custom-fields/", license=created["id"]) == [made]
    api.done(api.patch(f"license-custom-fields/{made['id']}/", {"value": "333"}))
    assert api.fetch(created["id"])["product_custom_fields"][0] == {
        "name": "Serial",
        "value": "333",
        "data_type": "text",
    }


def test_custom_fields_must_fit_the_license(api: Api) -> None:
    created, other = api.license(APP), api.license(PRO)
    fields = {field["name"]: field["id"] for field in api.search("product-custom-fields/")}
    for body, named in [
        ({"license": NOBODY, "product_custom_field": fields["Serial"], "value": "1"}, "license"),
        ({"license": other["id"], "product_custom_field": fields["Serial"], "value": "1"}, "product_custom_field"),
        ({"license": created["id"], "product_custom_field": fields["Edition"], "value": "garage"}, "value"),
        ({"license": created["id"], "product_custom_field": fields["Serial"], "value": 1}, "value"),
    ]:
        assert named in refused(api.post("license-custom-fields/", body))
    edition = {"license": created["id"], "product_custom_field": fields["Edition"], "value": "studio"}
    made = api.done(api.post("license-custom-fields/", edition), 201)
    assert "value" in refused(api.patch(f"license-custom-fields/{made['id']}/", {"value": "garage"}))


# License users --------------------------------------------------------------------------------------------------------


def test_a_new_user_gets_a_password_in_clear_text_and_an_odd_address(api: Api) -> None:
    created = api.seat("ada@example.com")
    path = f"licenses/{created['id']}/assign_user/"
    answer = api.done(api.post(path, {"email": "grace@example.com", "is_manager": True, "first_name": "Grace"}))
    (grace,) = api.search("license-users/", true_email__iexact="GRACE@example.com")
    assert answer["new_password"]
    assert grace["initial_password"] == answer["new_password"]
    assert grace["email"].startswith("grace@example.com|")
    assert (grace["first_name"], grace["is_manager"], grace["total_licenses"]) == ("Grace", True, 1)
    shown = [user["true_email"] for user in api.fetch(created["id"])["license_users"]]
    assert shown == ["ada@example.com", "grace@example.com"]


def test_somebody_known_gets_no_new_password(api: Api) -> None:
    api.seat("ada@example.com")
    other = api.seat("grace@example.com")
    answer = api.done(api.post(f"licenses/{other['id']}/assign_user/", {"email": "Ada@example.com", "password": "x"}))
    assert answer["new_password"] is None
    assert len(api.box.users) == 2


@pytest.mark.parametrize("status", [200, 400, 409])
def test_assigning_twice(api: Api, options: LicenseSpringOptions, status: int) -> None:
    options.assign_twice_status = status
    created = api.seat("ada@example.com")
    answer = api.post(f"licenses/{created['id']}/assign_user/", {"email": "ADA@example.com"})
    assert answer.status_code == status
    assert len(api.fetch(created["id"])["license_users"]) == 1


def test_a_license_has_room_for_so_many_users(api: Api) -> None:
    created = api.seat(max_license_users=2)
    path = f"licenses/{created['id']}/"
    emails = [{"email": f"user{number}@example.com"} for number in range(2)]
    assert "room" in refused(api.post(f"{path}assign_users/", {"emails": emails}))
    api.done(api.post(f"{path}assign_user/", emails[0]))
    assert "room" in refused(api.post(f"{path}assign_user/", emails[1]))


def test_many_users_are_assigned_at_once(api: Api) -> None:
    created = api.seat("ada@example.com")
    emails = [{"email": "ada@example.com"}, {"email": "grace@example.com", "is_manager": True}]
    ada, grace = api.done(api.post(f"licenses/{created['id']}/assign_users/", {"emails": emails}))
    assert (ada["new_user"], ada["password"]) == (False, None)
    assert (grace["new_user"], bool(grace["password"])) == (True, True)
    assert len(api.search("licenses/", manager__true_email="grace@example.com")) == 1


@pytest.mark.parametrize("way", ["license_user_id", "license_user_email"])
def test_users_are_unassigned_by_id_or_address(api: Api, way: str) -> None:
    created = api.seat("ada@example.com")
    (user,) = created["license_users"]
    path = f"licenses/{created['id']}/unassign_user/"
    both = {"license_user_id": user["id"], "license_user_email": "ada@example.com"}
    assert "Exactly one" in refused(api.post(path, both))
    assert "Exactly one" in refused(api.post(path, {}))
    api.done(api.post(path, {way: both[way]}))
    assert api.fetch(created["id"])["license_users"] == []
    assert "not assigned" in refused(api.post(path, {way: both[way]}))
    assert api.search("licenses/", license_users__id=user["id"]) == []


def test_activations_of_users_are_set_by_their_ids(api: Api) -> None:
    created = api.seat("ada@example.com")
    (user,) = created["license_users"]
    path = f"licenses/{created['id']}/set_users_activations/"
    api.done(api.post(path, {str(user["id"]): {"max_activations": 100, "reset_total_activations": True}}))
    (shown,) = api.fetch(created["id"])["license_users"]
    assert (shown["max_activations"], shown["total_activations"]) == (100, 0)
    assert "99" in refused(api.post(path, {"99": {"max_activations": 1}}))
    assert "user_activations" in refused(api.post(path, {"user_activations": {}}))
    refused(api.post(path, {}))


def test_a_key_based_license_has_no_users(api: Api) -> None:
    path = f"licenses/{api.license(APP)['id']}/"
    assert "key-based" in refused(api.post(f"{path}assign_user/", {"email": "ada@example.com"}))
    assert "key-based" in refused(api.post(f"{path}assign_users/", {"emails": [{"email": "ada@example.com"}]}))


def test_users_have_names_and_a_password_of_their_own(api: Api) -> None:
    (user,) = api.seat("ada@example.com")["license_users"]
    path = f"license-users/{user['id']}/"
    assert api.done(api.patch(path, {"first_name": "Ada", "last_name": "Byron"}))["last_name"] == "Byron"
    api.done(api.post(f"{path}set_password/", {"password": "her-own"}))
    shown = api.done(api.get(path))
    assert (shown["initial_password"], shown["is_initial_password"]) == (None, False)
    assert "her-own" not in str(api.box.users)


# Customers ------------------------------------------------------------------------------------------------------------


def test_customers_are_made_and_changed(api: Api) -> None:
    body = {"email": "ada@example.com", "first_name": "Ada", "reference": "c-1", "country": "GB"}
    made = api.done(api.post("customers/", body), 201)
    assert {name: made[name] for name in body} == body
    changed = api.done(api.patch(f"customers/{made['id']}/", {"company_name": "Engines", "email": "a@example.com"}))
    assert (changed["company_name"], changed["first_name"]) == ("Engines", "Ada")
    assert api.search("customers/", email="a@example.com") == [changed]
    assert api.search("customers/", email="ada@example.com") == []
    assert api.done(api.get(f"customers/{made['id']}/")) == changed


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "email"),
        ({"email": "nobody"}, "email"),
        ({"email": "a@example.com", "company": "Engines"}, "company"),
        ({"email": "a@example.com", "customer_account": 5}, "customer_account"),
    ],
)
def test_a_wrong_customer_is_refused(api: Api, body: dict[str, Any], named: str) -> None:
    assert named in refused(api.post("customers/", body))
    assert api.box.customers == []


def test_an_address_can_be_there_twice(api: Api, options: LicenseSpringOptions) -> None:
    body = {"email": "ada@example.com"}
    first, second = api.done(api.post("customers/", body), 201), api.done(api.post("customers/", body), 201)
    assert first["id"] != second["id"]
    assert len(api.search("customers/", email="ada@example.com")) == 2
    options.duplicate_customers = "refuse"
    assert "email" in refused(api.post("customers/", body))
    assert "email" in refused(api.patch(f"customers/{second['id']}/", body))
    assert "Nothing" in refused(api.patch(f"customers/{second['id']}/", {}))


def test_products_tell_what_they_offer(box: LicenseSpringSandbox, api: Api) -> None:
    (product,) = api.search("products/", short_code=APP)
    assert [feature["code"] for feature in product["product_features"]] == ["reports", "export", "render"]
    assert [field["name"] for field in product["custom_fields"]] == ["Serial", "Edition"]
    assert api.done(api.get(f"products/{product['id']}/")) == product
    assert api.search("product-features/", product=product["id"]) == product["product_features"]
    box.add_product(short_code="old", is_archived=True)
    assert [entry["short_code"] for entry in api.search("products/", is_archived="true")] == ["old"]


@pytest.mark.parametrize(
    "members",
    [
        {"short_code": "x", "colour": "red"},
        {"short_code": "x", "default_license_type": "rented"},
        {"short_code": "x", "policies": {"p": {"colour": "red"}}},
    ],
)
def test_the_account_cannot_be_set_up_with_nonsense(box: LicenseSpringSandbox, members: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no such"):
        box.add_product(**members)
    with pytest.raises(ValueError, match="short code"):
        box.add_feature(product="nothing", code="x")
