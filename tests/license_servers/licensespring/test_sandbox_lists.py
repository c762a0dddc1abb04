"""The LicenseSpring sandbox: pages, order and filters of its lists."""

from __future__ import annotations

from typing import Any

import pytest

from licensing_integration.sandbox.licensespring import LicenseSpringOptions, LicenseSpringSandbox
from tests.license_servers.clock import Clock
from tests.license_servers.licensespring.openapi_contract import is_valid_request
from tests.license_servers.licensespring.sandbox_client import APP, KEY, PRO, TEAM, Api, refused


def ids(found: list[dict[str, Any]]) -> list[int]:
    return [entry["id"] for entry in found]


# Pages ----------------------------------------------------------------------------------------------------------------


def test_a_page_has_twenty_entries_and_links_to_its_neighbours(api: Api) -> None:
    items = [{"product_code": APP, "licenses": [{} for _ in range(45)]}]
    order = api.order(items=items)
    first = api.page("licenses/", order__store_id=order["client_order_id"], order_by="created_at")
    assert (first["count"], len(first["results"]), first["previous"]) == (45, 20, None)
    second = api.done(api.send("GET", first["next"]))
    third = api.done(api.send("GET", second["next"]))
    assert (len(third["results"]), third["next"]) == (5, None)
    assert api.done(api.send("GET", third["previous"])) == second
    assert len({*ids(first["results"]), *ids(second["results"]), *ids(third["results"])}) == 45


def test_a_limit_above_a_hundred_is_cut_silently(api: Api) -> None:
    api.order(items=[{"product_code": APP, "licenses": [{} for _ in range(105)]}])
    api.box.clear_requests()
    page = api.page("licenses/", limit=1000)
    assert (len(page["results"]), page["count"]) == (100, 105)
    assert "limit=100&offset=100" in page["next"]
    api.box.clear_requests()  # the document does not allow such a limit


def test_next_can_lead_elsewhere(api: Api, options: LicenseSpringOptions) -> None:
    options.next_origin = "http://elsewhere.example"
    api.order(items=[{"product_code": APP, "licenses": [{}, {}]}])
    assert api.page("licenses/", limit=1)["next"].startswith("http://elsewhere.example/api/v1/licenses/?")


def test_without_an_order_nothing_is_certain(api: Api, options: LicenseSpringOptions, clock: Clock) -> None:
    made = []
    for _ in range(8):
        made.append(api.license()["id"])
        clock.advance(seconds=0.01)
    options.default_order = "unstable"
    assert len({tuple(ids(api.search("licenses/"))) for _ in range(5)}) > 1
    assert ids(api.search("licenses/", order_by="created_at")) == made
    assert ids(api.search("licenses/", order_by="-created_at")) == made[::-1]
    options.default_order = "newest_first"
    assert ids(api.search("licenses/")) == made[::-1]


def test_a_list_can_be_ordered_by_what_is_empty_in_places(api: Api) -> None:
    later, never, sooner = (
        api.license(PRO, validity_period="2027-02-14"),
        api.license(PRO),
        api.license(PRO, validity_period="2026-02-14"),
    )
    wanted = [never["id"], sooner["id"], later["id"]]
    assert ids(api.search("licenses/", order_by="validity_period")) == wanted


@pytest.mark.parametrize(
    "query",
    [
        "colour=red",
        "metadata=x",
        "limit=0",
        "limit=x",
        "offset=-1",
        "order_by=customer",
        "product_id=app",
        "enabled=maybe",
        "validity_period__gt=yesterday",
        "id__in=1,x",
        "limit=1&limit=2",
    ],
)
def test_a_wrong_query_is_400(api: Api, query: str) -> None:
    is_valid = is_valid_request("GET", "/api/v1/licenses/", query, None)
    assert not is_valid or query.startswith(("order_by", "validity_period", "id__in"))  # the document has plain texts
    refused(api.get(f"licenses/?{query}"))


# Filters --------------------------------------------------------------------------------------------------------------


def test_a_filter_that_is_ignored_returns_everything(api: Api, options: LicenseSpringOptions) -> None:
    api.license(PRO, item={"subscription_id": "S-1"})
    wanted = api.license(PRO, item={"subscription_id": "S-2"})
    assert len(api.search("licenses/", subscription_id="S-2")) == 2
    options.ignored_filters = ("order__store_id",)
    assert ids(api.search("licenses/", subscription_id="S-2")) == [wanted["id"]]
    assert len(api.search("licenses/", order__store_id="fs-1")) == 2


def test_an_unknown_filter_may_be_ignored(api: Api, options: LicenseSpringOptions) -> None:
    api.license()
    assert "metadata" in refused(api.get("licenses/", metadata="x"))
    options.unknown_filters = "ignore"
    assert len(api.search("licenses/", metadata="x")) == 1
    api.box.clear_requests()  # the document has no such filter


def test_an_exact_filter_may_match_loosely(api: Api, options: LicenseSpringOptions) -> None:
    for order_id in ("fs-1", "FS-10", "x-fs-1"):
        api.done(api.post("orders/create_order/", {"id": order_id, "items": [{"product_code": APP, "licenses": [{}]}]}))
    assert len(api.search("orders/", store_id="fs-1")) == 1
    options.loose_filters = ("store_id",)
    assert len(api.search("orders/", store_id="fs-1")) == 3
    assert len(api.search("licenses/", order__store_id="fs-1")) == 1


@pytest.fixture
def sold(box: LicenseSpringSandbox, api: Api) -> dict[str, Any]:
    """A license that every filter below finds, beside three that none does."""
    buyer = {
        "email": "ada@example.com",
        "first_name": "Ada",
        "last_name": "Byron",
        "company_name": "Engines Ltd",
        "reference": "customer-1",
        "is_manager": True,
    }
    made: dict[str, Any] = {}
    api.license(APP)
    for name, product, licenses in [
        ("pro", PRO, [{"key": KEY, "validity_period": "2026-05-01", "is_floating_cloud": True, "floating_users": 1}]),
        ("team", TEAM, [{"users": [{"email": "grace@example.com"}]}]),
    ]:
        item = {"product_code": product, "licenses": licenses}
        order = api.done(api.post("orders/create_order/", {"id": f"my-{name}", "customer": buyer, "items": [item]}))
        made[name] = order["order_items"][0]["licenses"][0]
        buyer = {"email": "other@example.com"}
    api.change(made["pro"]["id"], note="End Date: 2026-05-01")
    api.done(api.post(f"licenses/{made['team']['id']}/disable/"))
    return made


def test_each_filter_of_licenses_finds_its_own(api: Api, sold: dict[str, Any]) -> None:
    pro = sold["pro"]
    for name, value in {
        "id__in": pro["id"],
        "license_key": KEY,
        "license_key__startswith": KEY[:6],
        "license_key__icontains": KEY[3:9].lower(),
        "order__store_id": "my-pro",
        "order__store_id__startswith": "my-p",
        "order__store_id__icontains": "Y-PR",
        "customer_id": pro["customer"]["id"],
        "customer_email": "ada@example.com",
        "customer_email__icontains": "ADA@",
        "customer__reference__icontains": "MER-1",
        "customer_name__icontains": "ada by",
        "customer_company_name__icontains": "engines",
        "product_id": pro["product"]["id"],
        "product_name__icontains": "pro",
        "note__icontains": "end date",
        "manager__true_email": "ada@example.com",
        "manager__true_email__icontains": "ADA",
        "is_any_floating": "true",
        "validity_period__gt": "2026-04-30",
        "validity_period__gte": "2026-05-01",
        "validity_period__lt": "2026-05-02",
        "validity_period__lte": "2026-05-01",
    }.items():
        assert ids(api.search("licenses/", **{name: value})) == [pro["id"]], name


def test_filters_of_licenses_for_people_and_states(api: Api, sold: dict[str, Any]) -> None:
    team = sold["team"]
    for name, value in {
        "license_key__isnull": "true",
        "license_users__id": team["license_users"][0]["id"],
        "license_users__true_email": "grace@example.com",
        "license_users__true_email__icontains": "GRACE",
        "enabled": "false",
    }.items():
        assert ids(api.search("licenses/", **{name: value})) == [team["id"]], name
    for name in ("license_key", "customer_email", "customer__account", "license_users__true_email"):
        assert api.search("licenses/", **{name: "1"}) == [], name
    assert api.search("licenses/", validity_period__gt="2026-05-01") == []


def test_each_filter_of_orders_finds_its_own(api: Api, sold: dict[str, Any]) -> None:
    for name, value in {
        "store_id": "my-pro",
        "store_id__startswith": "my-p",
        "store_id__icontains": "Y-PRO",
        "customer_id": sold["pro"]["customer"]["id"],
        "customer_email": "ada@example.com",
        "customer__email": "ada@example.com",
        "customer__email__icontains": "ADA@",
        "customer_reference__icontains": "MER-1",
    }.items():
        assert ids(api.search("orders/", **{name: value})) == [sold["pro"]["order"]], name
    assert api.search("orders/", store_id="MY-PRO") == []


def test_each_filter_of_customers_and_users_finds_its_own(api: Api, sold: dict[str, Any]) -> None:
    for name, value in {
        "email": "ada@example.com",
        "email__icontains": "ADA@",
        "email__startswith": "ada",
        "company_name__icontains": "engines",
        "first_name__icontains": "ad",
        "last_name__icontains": "BYRON",
        "reference": "customer-1",
        "reference__exact": "customer-1",
        "reference__icontains": "MER-1",
        "reference__startswith": "cust",
    }.items():
        assert ids(api.search("customers/", **{name: value})) == [sold["pro"]["customer"]["id"]], name
    assert api.search("customers/", email="ADA@example.com") == []
    for filters in ({"true_email__icontains": "ada"}, {"is_license_manager": "true"}, {"first_name__icontains": "ada"}):
        assert [user["true_email"] for user in api.search("license-users/", **filters)] == ["ada@example.com"]


# Visibility -----------------------------------------------------------------------------------------------------------


def test_what_is_new_can_be_missing_from_lists(box: LicenseSpringSandbox, api: Api, clock: Clock) -> None:
    box.visibility_delay = 5
    buyer = {"email": "ada@example.com", "is_manager": True}
    order = api.order(customer=buyer)
    (made,) = order["order_items"][0]["licenses"]
    paths = ("orders/", "licenses/", "customers/", "license-users/")
    assert [api.page(path)["count"] for path in paths] == [0, 0, 0, 0]
    assert api.search("licenses/", license_key=made["license_key"]) == []
    assert api.fetch(made["id"])["id"] == made["id"]
    repeated = {"id": order["client_order_id"], "items": [{"product_code": APP, "licenses": [{}]}]}
    assert api.post("orders/create_order/", repeated).status_code == 409
    clock.advance(seconds=5)
    assert [api.page(path)["count"] for path in paths] == [1, 1, 1, 1]
