"""The LicenseSpring sandbox: keys, orders, and the licenses that come of them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from licensing_integration.sandbox.licensespring import LicenseSpringOptions, LicenseSpringSandbox
from tests.license_servers.licensespring.sandbox_client import (
    APP,
    KEY,
    METER,
    NOBODY,
    PRO,
    TEAM,
    Api,
    order_of,
    refused,
    refused_as,
)

CREATE = "orders/create_order/"


def items_of(*licenses: dict[str, Any], product: str = APP, **members: Any) -> list[dict[str, Any]]:
    return [{"product_code": product, "licenses": list(licenses), **members}]


def refused_license(api: Api, product: str = APP, **members: Any) -> str:
    """The sentence with which an order of this one license is refused."""
    body = order_of(api.next_id(), items=items_of(members, product=product))
    return refused_as(api.post(CREATE, body), "validation_error")


# Keys -----------------------------------------------------------------------------------------------------------------


def test_keys_are_texts_and_nothing_else_happens(api: Api) -> None:
    keys = api.done(api.get("orders/generate_license/", product=APP, quantity=3))
    assert len(set(keys)) == 3
    assert all(re.fullmatch(r"([2-9A-HJ-NP-Z]{4}-){3}[2-9A-HJ-NP-Z]{4}", key) for key in keys)
    assert len(api.done(api.get("orders/generate_license/", product=APP))) == 1
    assert api.box.licenses == []


def test_keys_can_be_longer_and_of_other_characters(api: Api) -> None:
    (key,) = api.done(api.get("orders/generate_license/", product=APP, quantity=1, key_length=20, alphabet="AB"))
    assert re.fullmatch(r"([AB]{4}-){4}[AB]{4}", key)


@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ("", 400, "product"),
        ("product=nothing", 404, "product"),
        (f"product={APP}&quantity=0", 400, "quantity"),
        (f"product={APP}&quantity=many", 400, "quantity"),
        (f"product={APP}&key_length=15", 400, "key_length"),
        (f"product={APP}&key_length=241", 400, "key_length"),
        (f"product={APP}&alphabet=A", 400, "alphabet"),
        (f"product={APP}&colour=red", 400, "colour"),
    ],
)
def test_a_wrong_wish_for_keys_is_refused(api: Api, query: str, status: int, named: str) -> None:
    assert named in refused(api.get(f"orders/generate_license/?{query}"), status)


# The order id ---------------------------------------------------------------------------------------------------------


def test_an_order_id_is_taken_once(api: Api) -> None:
    first = api.done(api.post(CREATE, order_of("fs-1")))
    answer = api.post(CREATE, order_of("fs-1"))
    assert refused_as(answer, "order_id_exists", 409) == "Order with this ID already exists"
    assert [order["id"] for order in api.box.orders] == [first["id"]]
    assert len(api.box.licenses) == 1


def test_append_adds_every_time(api: Api) -> None:
    for _ in range(3):
        order = api.done(api.post(CREATE, order_of("fs-1", append=True)))
    assert len(order["order_items"]) == 3
    assert len(api.box.licenses) == 3
    assert len(api.box.orders) == 1


@pytest.mark.parametrize("order_id", ["x" * 65, "fs-ä"])
def test_an_order_id_is_short_and_ascii(api: Api, options: LicenseSpringOptions, order_id: str) -> None:
    assert "id" in refused_as(api.post(CREATE, order_of(order_id)), "validation_error")
    options.longest_order_id = 65
    assert api.post(CREATE, order_of("x" * 65)).status_code == 200


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("client_order_id", {"client_order_id"}),
        ("store_id", {"store_id"}),
        ("both", {"store_id", "client_order_id"}),
    ],
)
def test_the_id_has_several_names(api: Api, options: LicenseSpringOptions, name: Any, shown: set[str]) -> None:
    options.order_id_name = name
    made = api.done(api.post(CREATE, order_of("fs-1")))
    assert {
        member for member in ("store_id", "client_order_id", "order_store_id") if made.get(member) == "fs-1"
    } == shown
    assert made["order_items"][0]["licenses"][0]["order_store_id"] == "fs-1"


def test_the_answer_can_be_201_and_name_its_items_differently(api: Api, options: LicenseSpringOptions) -> None:
    options.order_status, options.order_items_name = 201, "back_office_order_items"
    made = api.done(api.post(CREATE, order_of("fs-1")), 201)
    assert "order_items" not in made
    assert len(made["back_office_order_items"][0]["licenses"]) == 1


def test_an_order_can_get_another_id_but_not_a_taken_one(api: Api) -> None:
    first, second = api.order(), api.order()
    path = f"orders/{second['id']}/"
    refused_as(api.patch(path, {"store_id": first["client_order_id"]}), "order_id_exists", 409)
    assert "colour" in refused(api.patch(path, {"store_id": "x", "colour": "red"}))
    assert api.done(api.patch(path, {"store_id": "renamed"}))["client_order_id"] == "renamed"
    assert api.search("licenses/", order__store_id="renamed")[0]["order"] == second["id"]
    assert api.search("licenses/", order__store_id=second["client_order_id"]) == []


# What an order holds --------------------------------------------------------------------------------------------------


def test_an_order_shows_what_it_was_given(api: Api) -> None:
    made = api.order(is_test=True, language="de", created="2026-01-30 08:00:00", metadata='{"a": 1}', reference="r")
    assert (made["is_test"], made["language"], made["type"]) == (True, "de", "normal")
    assert made["created_at"] == "2026-01-30T08:00:00Z"
    assert made["metadata"] == '{"a": 1}'  # a text here, an object on licenses
    assert api.done(api.get(f"orders/{made['id']}/")) == made


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"metadata": "[]"}, "validation_error"),
        ({"metadata": "{"}, "validation_error"),
        ({"created": "2026-01-30"}, "validation_error"),
        ({"is_bundle": True}, "validation_error"),
        ({"customer_account_id": 5}, "customer_account_not_found"),
        ({"customer": {"is_manager": True}}, "missing_parameters"),
        ({"items": [{"product_code": "nothing", "licenses": [{}]}]}, "unknown_product"),
        ({"items": [{"product_code": "old", "licenses": [{}]}]}, "archived_product"),
        ({"items": [{"product_code": "off", "licenses": [{}]}]}, "disabled_product"),
        ({"items": [{"product_code": APP}]}, "missing_parameters"),
        ({"items": [{"product_code": APP, "licenses": [{}], "key": KEY}]}, "validation_error"),
        ({"items": items_of({"product_features": [{"code": "nothing"}]})}, "unsupported_product_feature"),
    ],
)
def test_orders_are_refused_with_the_documented_code(
    box: LicenseSpringSandbox, api: Api, members: dict[str, Any], code: str
) -> None:
    box.add_product(short_code="old", is_archived=True)
    box.add_product(short_code="off", active=False)
    box.options.order_is_atomic = True
    refused_as(api.post(CREATE, order_of("fs-1", **members)), code)
    assert (box.orders, box.licenses, box.customers) == ([], [], [])


def test_a_bad_license_leaves_those_before_it_behind(api: Api, options: LicenseSpringOptions) -> None:
    body = order_of("fs-1", items=items_of({}, {"product_features": [{"code": "nothing"}]}, {}))
    refused_as(api.post(CREATE, body), "unsupported_product_feature")
    assert len(api.box.licenses) == 1
    refused_as(api.post(CREATE, order_of("fs-1")), "order_id_exists", 409)
    options.order_is_atomic = True
    refused_as(api.post(CREATE, {**body, "id": "fs-2"}), "unsupported_product_feature")
    assert len(api.box.licenses) == 1
    assert api.post(CREATE, order_of("fs-2")).status_code == 200


# Customers of orders --------------------------------------------------------------------------------------------------


def test_each_order_makes_a_customer_of_its_own(api: Api) -> None:
    buyer = {"email": "ada@example.com", "first_name": "Ada", "company_name": "Engines", "reference": "c-1"}
    first, second = api.order(customer=buyer), api.order(customer=buyer)
    assert first["customer"]["id"] != second["customer"]["id"]
    assert first["customer"]["company_name"] == "Engines"
    assert isinstance(first["customer"]["company"], int)  # the vendor's account, not where the buyer works
    assert (first["customer"]["total_orders"], first["customer"]["total_licenses"]) == (1, 1)


@pytest.mark.parametrize("is_overwritten", [False, True])
def test_a_customer_may_be_matched(api: Api, options: LicenseSpringOptions, is_overwritten: bool) -> None:
    options.customer_match, options.customer_overwritten = "email", is_overwritten
    first = api.order(customer={"email": "ada@example.com", "first_name": "Ada"})
    again = api.order(customer={"email": "ada@example.com", "first_name": "Augusta", "reference": "c-1"})
    assert again["customer"]["id"] == first["customer"]["id"]
    assert again["customer"]["first_name"] == ("Augusta" if is_overwritten else "Ada")
    assert len(api.box.customers) == 1
    options.customer_match = "email_and_reference"
    api.order(customer={"email": "ada@example.com", "reference": "c-2"})
    assert len(api.box.customers) == 2


def test_the_company_of_the_prose_documentation_has_no_effect(api: Api) -> None:
    made = api.order(customer={"email": "ada@example.com", "company": "Engines"})
    assert made["customer"]["company_name"] == ""


def test_a_customer_can_manage_every_license_of_the_order(api: Api) -> None:
    buyer = {"email": "ada@example.com", "is_manager": True}
    order = api.order(customer=buyer, items=[*items_of({}, {}), *items_of({}, product=PRO)])
    (manager,) = api.done(api.get(f"orders/{order['id']}/managers/"))
    assert manager["true_email"] == "ada@example.com"
    assert len(api.search("licenses/", manager__true_email="ada@example.com")) == 3
    assert api.box.licenses[0]["license_users"] == []


def test_managers_come_and_go(api: Api) -> None:
    order = api.order()
    path = f"orders/{order['id']}/"
    for _ in range(2):
        api.done(api.post(f"{path}add_manager/", {"email": "grace@example.com", "password": "secret"}))
    (manager,) = api.done(api.get(f"{path}managers/"))
    api.done(api.post(f"{path}remove_manager/", {"license_user_id": manager["id"]}))
    refused(api.post(f"{path}remove_manager/", {"license_user_id": manager["id"]}))
    assert api.done(api.get(f"{path}managers/")) == []


# Licenses of orders ---------------------------------------------------------------------------------------------------


def test_a_license_takes_what_is_not_said_from_the_product(api: Api) -> None:
    app, pro, meter = api.license(APP), api.license(PRO), api.license(METER)
    assert (app["license_type"], app["max_activations"], app["validity_period"]) == ("perpetual", 1, None)
    assert (pro["license_type"], pro["max_activations"], pro["is_trial"]) == ("subscription", 2, False)
    assert (meter["license_type"], meter["max_consumptions"], meter["total_consumptions"]) == ("consumption", 100, 0)
    assert app["license_key"] != pro["license_key"]
    assert (app["enabled"], app["note"], app["metadata"]) == (True, None, None)


@pytest.mark.parametrize(
    ("license_type", "status"),
    [("perpetual", "Inactive"), ("time-limited", "Inactive"), ("consumption", "Inactive"), ("subscription", "Active")],
)
def test_one_product_can_have_licenses_of_every_type(
    api: Api, options: LicenseSpringOptions, license_type: str, status: str
) -> None:
    made = api.license(APP, license_type=license_type)
    assert (made["license_type"], made["status"], made["active"]) == (license_type, status, status == "Active")
    options.is_status_capitalised = False
    assert api.fetch(made["id"])["status"] == status.lower()


def test_a_policy_wins_over_the_product_and_the_order_over_the_policy(api: Api) -> None:
    made = api.license(policy_code="studio", valid_duration="2m")
    assert (made["max_activations"], made["license_type"], made["valid_duration"]) == (25, "time-limited", "2m")
    assert "policy" in refused_license(api, policy_code="nothing")


def test_a_license_can_be_made_disabled(api: Api) -> None:
    assert api.license(enabled=False)["status"] == "Disabled"


@pytest.mark.parametrize("wanted", ["2027-02-14", "2027-02-14 10:00:00", "2027-02-14T10:00:00Z"])
@pytest.mark.parametrize(("form", "shown"), [("datetime", "2027-02-14T00:00:00Z"), ("date", "2027-02-14")])
def test_an_expiry_is_a_day(api: Api, options: LicenseSpringOptions, wanted: str, form: Any, shown: str) -> None:
    options.expiry_shown = form
    assert api.license(PRO, validity_period=wanted)["validity_period"] == shown


def test_an_expiry_can_get_lost(api: Api, options: LicenseSpringOptions) -> None:
    options.expiry_lost = True
    assert api.license(PRO, validity_period="2027-02-14")["validity_period"] == "0000-00-00"


def test_a_perpetual_license_silently_has_no_expiry_and_no_duration(api: Api) -> None:
    made = api.license(APP, validity_period="2027-02-14")
    assert (made["license_type"], made["validity_period"]) == ("perpetual", None)
    assert api.license(APP, valid_duration="1y")["valid_duration"] is None


def test_duration_and_expiry_exclude_each_other(api: Api) -> None:
    assert "valid_duration" in refused_license(api, PRO, valid_duration="1y", validity_period="2027-02-14")


def test_a_trial_needs_a_product_that_allows_it(api: Api, options: LicenseSpringOptions) -> None:
    made = api.license(PRO, is_trial=True, validity_period="2026-02-14")
    assert (made["is_trial"], made["trial_days"]) == (True, 14)
    assert "is_trial" in refused_license(api, APP, is_trial=True)
    options.trial_needs_product = False
    assert api.license(APP, is_trial=True)["is_trial"]


def test_simultaneous_users_need_as_many_activations(api: Api, options: LicenseSpringOptions) -> None:
    assert "simultaneous" in refused_license(api, is_floating_cloud=True, floating_users=8)
    made = api.license(is_floating_cloud=True, floating_users=8, max_activations=20)
    assert (made["is_floating_cloud"], made["floating_users"], made["max_activations"]) == (True, 8, 20)
    assert api.license(is_floating_cloud=True, floating_users=8, allow_unlimited_activations=True)
    options.floating_above_activations = "allow"
    assert api.license(is_floating_cloud=True, floating_users=8)["max_activations"] == 1


def test_unlimited_activations_are_not_shown(api: Api, options: LicenseSpringOptions) -> None:
    made = api.license(allow_unlimited_activations=True)
    assert not [member for member in made if "unlimited" in member]
    options.unlimited_shown = True
    assert api.fetch(made["id"])["allow_unlimited_activation"] is True


def test_grace_is_for_subscriptions_and_needs_a_flag_of_its_own(api: Api) -> None:
    assert "grace_period" in refused_license(api, APP, grace_period=48)
    made = api.license(PRO, grace_period=48)
    assert (made["grace_period"], made["allow_grace_period"]) == (48, False)
    assert api.license(PRO, grace_period=48, allow_grace_period=True)["allow_grace_period"] is True


def test_a_key_is_used_once(api: Api, options: LicenseSpringOptions) -> None:
    assert api.license(key=KEY)["license_key"] == KEY
    assert "in use" in refused_license(api, key=KEY)
    twice = order_of("twice", items=items_of({"key": "AAAA"}, {"key": "AAAA"}))
    options.order_is_atomic = True
    assert "twice" in refused_as(api.post(CREATE, twice), "validation_error")
    options.duplicate_keys = "allow"
    api.license(key=KEY)
    assert len(api.search("licenses/", license_key=KEY)) == 2


def test_a_subscription_id_of_the_item_may_reach_its_licenses(api: Api, options: LicenseSpringOptions) -> None:
    assert api.license(PRO, item={"subscription_id": "S-1"})["subscription_id"] == "S-1"
    options.subscription_id_kept = False
    assert api.license(PRO, item={"subscription_id": "S-2"})["subscription_id"] is None


def test_a_note_of_the_item_is_not_one_of_the_license(api: Api) -> None:
    order = api.order(items=items_of({}, note="from the shop"))
    (item,) = order["order_items"]
    assert (item["note"], item["licenses"][0]["note"]) == ("from the shop", None)


def test_metadata_of_a_license_is_an_object(api: Api) -> None:
    assert api.license(metadata={"a": {"b": 1}})["metadata"] == {"a": {"b": 1}}


def test_features_are_those_that_are_named(api: Api, options: LicenseSpringOptions) -> None:
    wanted = [{"code": "reports"}, {"code": "render", "max_consumption": 7, "expiry_date": "2027-01-01"}]
    reports, render = api.license(product_features=wanted)["product_features"]
    assert (reports["product_feature"]["code"], reports["max_consumption"]) == ("reports", 0)
    assert (render["max_consumption"], render["expiry_date"]) == (7, "2027-01-01")
    assert api.license()["product_features"] == []
    assert "twice" in refused_license(api, product_features=[{"code": "reports"}, {"code": "reports"}])
    options.features_by_default = "all"
    assert len(api.license()["product_features"]) == 3
    assert api.license(product_features=[])["product_features"] == []


def test_custom_fields_must_exist_as_they_are_written(api: Api, options: LicenseSpringOptions) -> None:
    made = api.license(custom_fields=[{"name": "Serial", "value": 222}])
    assert {field["name"]: field["value"] for field in made["product_custom_fields"]} == {
        "Serial": "222",
        "Edition": "home",
    }
    assert "custom field" in refused_license(api, custom_fields=[{"name": "serial", "value": "1"}])
    assert "value" in refused_license(api, custom_fields=[{"name": "Edition", "value": "garage"}])
    options.unknown_custom_fields = "ignore"
    assert api.license(custom_fields=[{"name": "serial", "value": "1"}])["product_custom_fields"][0]["value"] == "0"


def test_a_user_based_license_has_users_and_no_key(api: Api, options: LicenseSpringOptions) -> None:
    users = [{"email": "ada@example.com", "is_manager": True}, {"email": "grace@example.com", "max_activations": 4}]
    made = api.license(TEAM, users=users)
    assert made["license_key"] is None
    ada, grace = made["license_users"]
    assert (ada["true_email"], ada["is_manager"], grace["max_activations"]) == ("ada@example.com", True, 4)
    assert "key" in refused_license(api, TEAM, key=KEY, users=users)
    assert "users" in refused_license(api, APP, users=users)
    assert "twice" in refused_license(api, TEAM, users=[{"email": "a@example.com"}, {"email": "A@example.com"}])
    assert "max_license_users" in refused_license(api, TEAM, users=users, max_license_users=1)
    assert len(api.license(TEAM, users=users, max_license_users=0)["license_users"]) == 2
    refused_as(api.post(CREATE, order_of("none", items=items_of({}, product=TEAM))), "missing_parameters")
    options.users_required = False
    assert api.license(TEAM)["license_users"] == []


def test_the_same_person_can_have_several_licenses(api: Api) -> None:
    wanted = {"users": [{"email": "ada@example.com"}]}
    order = api.order(items=items_of(wanted, wanted, product=TEAM))
    assert [len(made["license_users"]) for made in order["order_items"][0]["licenses"]] == [1, 1]
    assert [user["total_licenses"] for user in api.box.users] == [2]


@pytest.mark.parametrize("member", ["license_template_code", "start_date"])
def test_what_is_not_emulated_says_so(api: Api, member: str) -> None:
    assert "not emulate" in refused_license(api, **{member: "x"})


def test_an_unknown_order_is_404(api: Api) -> None:
    refused(api.get(f"orders/{NOBODY}/"), 404)
    refused(api.post(f"orders/{NOBODY}/add_manager/", {"email": "a@example.com"}), 404)
