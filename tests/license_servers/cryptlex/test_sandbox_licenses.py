"""The Cryptlex sandbox: creating, changing, and deleting licenses, and their feature entitlements.

Numbers in comments are those of the list of open questions about the service; each test says how the sandbox answers.
"""

from __future__ import annotations

from typing import Any

import pytest

from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.moments import to_wire
from tests.license_servers.clock import Clock
from tests.license_servers.cryptlex.sandbox_client import KEY, NOBODY, PERPETUAL, PRODUCT, Api, metadata, pairs, refused

# Creating licenses ----------------------------------------------------------------------------------------------------


def test_a_license_inherits_from_the_products_template_or_the_named_one(box: CryptlexSandbox, api: Api) -> None:
    box.add_template(id="seats", name="Seats", allowedActivations=7, type="hosted-floating")
    assert api.license()["subscriptionInterval"] == "P1M"
    named = api.license(licenseTemplateId="seats")  # 31: any template of the account
    assert (named["allowedActivations"], named["type"]) == (7, "hosted-floating")
    assert named["subscriptionInterval"] is None
    assert api.license(licenseTemplateId="seats", allowedActivations=2)["allowedActivations"] == 2
    assert api.license(licensePolicyId="seats", allowedActivations=None)["allowedActivations"] == 7


def test_the_first_term_is_creation_plus_interval_clamped_to_the_end_of_the_month(api: Api) -> None:  # 21
    created = api.license()
    assert created["expiresAt"] == "2026-02-28T09:30:00.1234560Z"
    assert created["perpetual"] is False


def test_an_imported_creation_date_starts_the_term_and_orders_the_list(api: Api) -> None:
    first = api.license()
    imported = api.license(createdAt="2024-02-29T12:00:00Z", subscriptionInterval="P1Y")
    assert imported["expiresAt"] == "2025-02-28T12:00:00.0000000Z"
    assert [entry["id"] for entry in api.get("/v3/licenses").json()] == [imported["id"], first["id"]]


def test_an_empty_interval_makes_a_perpetual_license(api: Api) -> None:
    created = api.license(subscriptionInterval="")
    assert (created["expiresAt"], created["subscriptionInterval"], created["perpetual"]) == (None, None, True)


def test_a_date_wins_over_an_interval_which_is_stored(api: Api) -> None:  # 5
    created = api.license(subscriptionInterval="P1Y", expiresAt="2026-05-01T00:00:00Z")
    assert created["expiresAt"] == "2026-05-01T00:00:00.0000000Z"
    assert created["subscriptionInterval"] == "P1Y"


def test_a_license_that_waits_for_activation_has_no_date_and_is_not_perpetual(  # 20
    box: CryptlexSandbox, api: Api, clock: Clock
) -> None:
    created = api.license(subscriptionStartTrigger="activation")
    assert (created["expiresAt"], created["perpetual"]) == (None, False)
    clock.advance(days=10)
    box.activate(created["id"])
    activated = api.get(f"/v3/licenses/{created['id']}").json()
    assert activated["expiresAt"] == "2026-03-10T09:30:00.1234560Z"
    assert activated["totalActivations"] == 1


def test_legacy_validity_counts_in_seconds(api: Api) -> None:
    created = api.license(licenseTemplateId=PERPETUAL, validity=3600, expirationStrategy="immediate")
    assert created["expiresAt"] == "2026-01-31T10:30:00.1234560Z"
    assert api.license(licenseTemplateId=PERPETUAL, validity=3600, expirationStrategy="rolling")["expiresAt"] is None


def test_a_template_may_require_metadata(box: CryptlexSandbox, api: Api) -> None:  # 22
    box.add_template(id="strict", required_metadata_keys=["order"], required_meter_attributes=["calls"])
    body: dict[str, Any] = {"productId": PRODUCT, "licenseTemplateId": "strict"}
    assert "order" in refused(api.post("/v3/licenses", body))
    body |= {"metadata": metadata(order="1")}
    assert "calls" in refused(api.post("/v3/licenses", body))
    assert api.post("/v3/licenses", {**body, "meterAttributes": [{"name": "calls", "allowedUses": -1}]}).ok


@pytest.mark.parametrize("status", [409, 400])  # 1
def test_keys_are_unique_in_the_account(box: CryptlexSandbox, api: Api, status: int) -> None:
    box.options.duplicate_key_status = status
    box.add_product(id="other", name="Other", template_id=PERPETUAL)
    assert api.license(key=KEY)["key"] == KEY
    answer = api.post("/v3/licenses", {"productId": "other", "key": KEY})
    refused(answer, status)
    assert answer.json()["code"] == "DUPLICATE_FIELD_VALUE"
    assert len(box.licenses) == 1
    assert [entry["key"] for entry in api.search("/v3/licenses", {"key[eq]": KEY})] == [KEY]


def test_a_taken_key_in_a_patch_is_400_with_the_code(api: Api) -> None:
    api.license(key=KEY)
    other = api.license()
    answer = api.patch(f"/v3/licenses/{other['id']}", {"key": KEY})
    refused(answer)
    assert answer.json()["code"] == "DUPLICATE_FIELD_VALUE"
    assert api.patch(f"/v3/licenses/{other['id']}", {"key": other["key"]}).ok


def test_chosen_keys_need_not_match_the_pattern_unless_told_so(box: CryptlexSandbox, api: Api) -> None:  # 2
    assert api.license(key="any text of sixteen or more")["key"] == "any text of sixteen or more"
    box.options.key_pattern_enforced = True
    assert "key" in refused(api.post("/v3/licenses", {"productId": PRODUCT, "key": "another odd key text"}))
    assert api.license(key=KEY)["key"] == KEY


def test_creating_twice_makes_two_licenses(api: Api) -> None:  # 23
    headers = {"Idempotency-Key": "same"}
    for _ in range(2):
        api.send("POST", "/v3/licenses", json={"productId": PRODUCT}, headers=headers)
    assert len(api.box.licenses) == 2


def test_products_count_their_licenses(api: Api) -> None:
    created = api.license()
    assert api.get(f"/v3/products/{PRODUCT}").json()["totalLicenses"] == 1
    api.delete(f"/v3/licenses/{created['id']}")
    assert api.get(f"/v3/products/{PRODUCT}").json()["totalLicenses"] == 0


# Changing and deleting licenses ---------------------------------------------------------------------------------------


def test_patch_changes_what_is_sent_and_nothing_else(api: Api, clock: Clock) -> None:
    created = api.license(notes="old", metadata=metadata(a="1"))
    clock.advance(minutes=1)
    changed = api.patch(f"/v3/licenses/{created['id']}", {"suspended": True, "allowedActivations": 9}).json()
    expected = {"suspended": True, "allowedActivations": 9, "updatedAt": to_wire(clock.now)}
    assert changed == {**created, **expected}
    assert api.get(f"/v3/licenses/{created['id']}").json() == changed


def test_null_in_a_patch_is_ignored_and_an_empty_text_clears(api: Api) -> None:  # 10
    user = api.user()
    created = api.license(userId=user["id"], notes="old", key=KEY)
    url = f"/v3/licenses/{created['id']}"
    body = dict.fromkeys(("key", "notes", "userId", "suspended", "metadata", "tags", "allowedActivations"))
    assert api.patch(url, body).json() == created
    cleared = api.patch(url, {"notes": "", "userId": ""}).json()
    assert (cleared["notes"], cleared["userId"], cleared["user"]) == (None, None, None)
    assert api.search("/v3/licenses", {"userId": user["id"]}) == []


def test_patch_merges_metadata_by_key(api: Api) -> None:  # 8
    created = api.license(metadata=metadata(a="1", b="2"))
    changed = api.patch(f"/v3/licenses/{created['id']}", {"metadata": metadata(b="3", c="4")}).json()
    assert pairs(changed) == {"a": "1", "b": "3", "c": "4"}
    assert changed["metadata"][1]["id"] == created["metadata"][1]["id"]


def test_merged_metadata_keeps_its_audience_unless_told_otherwise(api: Api) -> None:
    created = api.license(metadata=[{"key": "a", "value": "1", "viewPermissions": ["user"]}])
    url = f"/v3/licenses/{created['id']}"
    assert api.patch(url, {"metadata": metadata(a="2")}).json()["metadata"][0]["viewPermissions"] == ["user"]
    hidden = [{"key": "a", "value": "2", "viewPermissions": []}]
    assert api.patch(url, {"metadata": hidden}).json()["metadata"][0]["viewPermissions"] == []


def test_patch_replaces_metadata_when_told_so(box: CryptlexSandbox, api: Api) -> None:  # 8
    box.options.metadata_patch = "replace"
    created = api.license(metadata=metadata(a="1", b="2"))
    changed = api.patch(f"/v3/licenses/{created['id']}", {"metadata": metadata(b="3")}).json()
    assert pairs(changed) == {"b": "3"}
    assert api.search("/v3/licenses", {"metadata.value[eq]": "1"}) == []


def test_merged_metadata_must_not_exceed_the_limit(api: Api) -> None:
    created = api.license(metadata=[{"key": f"k{n}", "value": ""} for n in range(50)])
    refused(api.patch(f"/v3/licenses/{created['id']}", {"metadata": metadata(one_more="")}))
    assert len(api.box.licenses[0]["metadata"]) == 50


def test_a_metadata_entry_can_be_deleted(api: Api) -> None:
    created = api.license(metadata=metadata(a="1", b="2"))
    entry = created["metadata"][0]["id"]
    answer = api.delete(f"/v3/licenses/metadata/{entry}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert pairs(api.box.licenses[0]) == {"b": "2"}
    assert api.search("/v3/licenses", {"metadata.value[eq]": "1"}) == []
    refused(api.delete(f"/v3/licenses/metadata/{entry}"), 404)


def test_meter_attributes_merge_reset_and_go(api: Api) -> None:
    created = api.license(meterAttributes=[{"name": "calls", "allowedUses": 5}])
    meter = created["meterAttributes"][0]["id"]
    both = [{"name": "calls", "allowedUses": 6}, {"name": "files", "allowedUses": -1, "floating": True}]
    changed = api.patch(f"/v3/licenses/{created['id']}", {"meterAttributes": both}).json()
    assert [(entry["name"], entry["allowedUses"]) for entry in changed["meterAttributes"]] == [
        ("calls", 6),
        ("files", -1),
    ]
    assert api.post(f"/v3/licenses/meter-attributes/{meter}/reset").json()["id"] == created["id"]
    assert api.delete(f"/v3/licenses/meter-attributes/{meter}").status_code == 204
    assert [entry["name"] for entry in api.box.licenses[0]["meterAttributes"]] == ["files"]


def test_a_deleted_license_is_gone_from_everywhere(api: Api) -> None:
    created = api.license(key=KEY, metadata=metadata(a="1"))
    answer = api.delete(f"/v3/licenses/{created['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    refused(api.get(f"/v3/licenses/{created['id']}"), 404)
    refused(api.delete(f"/v3/licenses/{created['id']}"), 404)
    for query in ({"key[eq]": KEY}, {"metadata.value[eq]": "1"}, {"id[eq]": created["id"]}, {}):
        assert api.search("/v3/licenses", query) == []
    assert api.license(key=KEY)["key"] == KEY


def test_export_gives_csv_of_the_filtered_licenses(api: Api) -> None:
    kept = api.license(suspended=True)
    api.license()
    answer = api.get("/v3/licenses/export", suspended="true")
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert [line.split(",")[0] for line in answer.text.splitlines()] == ["id", kept["id"]]


# Feature entitlements -------------------------------------------------------------------------------------------------


def test_feature_entitlements_of_a_license(box: CryptlexSandbox, api: Api) -> None:
    feature = box.add_feature(name="export")
    url = f"/v3/licenses/{api.license()['id']}/feature-entitlements"
    created = api.post(url, {"featureId": feature["id"], "value": "csv", "expiresAt": "2027-01-01T00:00:00Z"})
    assert created.status_code == 200  # not 201
    refused(api.post(url, {"featureId": feature["id"]}), 409)  # 29
    assert "featureId" in refused(api.post(url, {"featureId": NOBODY}))
    assert api.get(url).json() == [created.json()]
    changed = api.patch(f"{url}/{created.json()['id']}", {"value": "pdf", "expiresAt": ""}).json()
    assert (changed["value"], changed["expiresAt"]) == ("pdf", None)
    assert api.delete(f"{url}/{created.json()['id']}").status_code == 204
    assert api.get(url).json() == []


def test_what_the_set_grants_is_not_listed_with_the_license(box: CryptlexSandbox, api: Api) -> None:  # 30
    feature = box.add_feature(name="export")
    entitlement_set = box.add_entitlement_set(name="pro", features=[feature["id"]])
    created = api.license(entitlementSetId=entitlement_set["id"])
    assert api.get(f"/v3/licenses/{created['id']}/feature-entitlements").json() == []
    (grant,) = api.get(f"/v3/entitlement-sets/{entitlement_set['id']}/feature-entitlements").json()
    assert grant["featureName"] == "export"
    assert api.get("/v3/features").json() == [feature]
