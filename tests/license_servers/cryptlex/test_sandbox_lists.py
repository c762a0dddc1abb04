"""The Cryptlex sandbox: lists with their paging and filters, and users.

Numbers in comments are those of the list of open questions about the service; each test says how the sandbox answers.
"""

from __future__ import annotations

import pytest

from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from tests.license_servers.clock import Clock
from tests.license_servers.cryptlex.sandbox_client import KEY, NOBODY, PERPETUAL, PRODUCT, Api, metadata, pairs, refused

# Lists ----------------------------------------------------------------------------------------------------------------


def test_lists_give_ten_by_default_and_at_most_what_is_asked_for(api: Api) -> None:  # 11
    ids = [api.license()["id"] for _ in range(12)]
    answer = api.get("/v3/licenses")
    assert [entry["id"] for entry in answer.json()] == ids[:10]
    assert not [name for name in answer.headers if "count" in name.lower() or "total" in name.lower()]
    assert [entry["id"] for entry in api.search("/v3/licenses", {"page": 2, "limit": 5})] == ids[5:10]
    assert [entry["id"] for entry in api.search("/v3/licenses", {"page": 3, "limit": 5})] == ids[10:]
    assert api.search("/v3/licenses", {"page": 4, "limit": 5}) == []


def test_pages_drift_when_something_is_deleted_meanwhile(api: Api) -> None:  # 12
    ids = [api.license()["id"] for _ in range(4)]
    first = api.search("/v3/licenses", {"page": 1, "limit": 2})
    api.delete(f"/v3/licenses/{ids[0]}")
    second = api.search("/v3/licenses", {"page": 2, "limit": 2})
    assert [entry["id"] for entry in first + second] == [ids[0], ids[1], ids[3]]


def test_lists_can_be_sorted(api: Api) -> None:
    for key, seats in (("A" * 16, 1), ("C" * 16, 2), ("B" * 16, 2)):
        api.license(key=key, allowedActivations=seats)

    def keys(sort: str) -> str:
        return "".join(entry["key"][0] for entry in api.search("/v3/licenses", {"sort": sort}))

    assert keys("+key") == "ABC"
    assert keys("-allowedActivations|+key") == "BCA"
    refused(api.get("/v3/licenses", sort="+nothing"))


def test_metadata_filters_match_key_and_value_independently(api: Api) -> None:  # 9
    right = api.license(metadata=metadata(slot="x"))
    crossed = api.license(metadata=metadata(slot="y", other="x"))
    api.license(metadata=metadata(slot="y"))
    found = api.search("/v3/licenses", {"metadata.key[eq]": "slot", "metadata.value[eq]": "x"})
    assert [entry["id"] for entry in found] == [right["id"], crossed["id"]]


def test_changed_metadata_is_found_and_the_old_value_is_not(api: Api) -> None:
    created = api.license(metadata=metadata(slot="old"))
    api.patch(f"/v3/licenses/{created['id']}", {"metadata": metadata(slot="new")})
    assert api.search("/v3/licenses", {"metadata.value[eq]": "old"}) == []
    assert len(api.search("/v3/licenses", {"metadata.value[eq]": "new"})) == 1


def test_in_splits_at_every_comma(api: Api) -> None:  # 13
    for value in ("a", "b", "a,b"):
        api.license(metadata=metadata(slot=value))
    found = api.search("/v3/licenses", {"metadata.value[in]": "a,b"})
    assert [pairs(entry)["slot"] for entry in found] == ["a", "b"]
    assert len(api.search("/v3/licenses", {"metadata.value[nin]": "a,b"})) == 1


def test_only_email_addresses_ignore_case(api: Api) -> None:  # 14
    user = api.user("Ada@Example.com")
    created = api.license(userId=user["id"], key="a key of many letters", metadata=metadata(slot="x"))
    assert user["email"] == "Ada@Example.com"
    for query in ({"email[eq]": "ADA@example.com"}, {"email[cn]": "EXAMPLE"}, {"email[in]": "x@y.z,ada@EXAMPLE.com"}):
        assert [entry["id"] for entry in api.search("/v3/users", query)] == [user["id"]]
    assert [entry["id"] for entry in api.search("/v3/licenses", {"user.email[eq]": "ada@EXAMPLE.com"})] == [
        created["id"]
    ]
    assert api.search("/v3/licenses", {"key[eq]": "A key of many letters"}) == []
    assert api.search("/v3/licenses", {"metadata.value[eq]": "X"}) == []


def test_integer_date_and_equality_filters_use_brackets(api: Api) -> None:  # 26
    low = api.license(allowedActivations=1)
    high = api.license(allowedActivations=5, expiresAt="2028-01-01T00:00:00Z", subscriptionInterval="P1Y")
    cases = [
        ({"allowedActivations[gte]": "5"}, high),
        ({"allowedActivations[lt]": "5"}, low),
        ({"expiresAt[gt]": "2027-12-31T23:00:00-02:00"}, None),
        ({"expiresAt[gt]": "2027-12-31T21:00:00-02:00"}, high),
        ({"expiresAt[lte]": "2026-12-31T00:00:00Z", "expiresAt[gte]": "2026-01-01T00:00:00Z"}, low),
        ({"subscriptionInterval[eq]": "P1Y"}, high),
        ({"subscriptionInterval[ne]": "P1Y"}, low),
    ]
    for query, expected in cases:
        found = [entry["id"] for entry in api.search("/v3/licenses", query)]
        assert found == ([expected["id"]] if expected else []), query


def test_the_other_license_filters(box: CryptlexSandbox, api: Api) -> None:
    box.add_product(id="other", name="Other", template_id=PERPETUAL)
    user = api.user(company="Acme")
    mine = api.license(userId=user["id"], key=KEY, notes="a note", tags=["vip"])
    shared = api.license(productId="other", additionalUserIds=[user["id"]], suspended=True)

    def ids(**query: str) -> list[str]:
        return [entry["id"] for entry in api.search("/v3/licenses", query)]

    assert ids(userId=user["id"]) == [mine["id"], shared["id"]]
    assert ids(userId=NOBODY) == []
    assert ids(**{"productId[eq]": "other"}) == [shared["id"]]
    assert ids(**{"productId[in]": f"other,{PRODUCT}"}) == [mine["id"], shared["id"]]
    assert ids(suspended="true") == ids(perpetual="true") == [shared["id"]]
    assert ids(suspended="false") == ids(revoked="false", perpetual="false") == [mine["id"]]
    assert ids(**{"key[sw]": KEY[:6]}) == ids(**{"key[ew]": KEY[-6:]}) == ids(**{"notes[cn]": "note"}) == [mine["id"]]
    assert ids(**{"notes[nc]": "note"}) == [shared["id"]]
    assert ids(**{"tags[eq]": "vip"}) == ids(**{"user.company[eq]": "Acme"}) == ids(search="ada@") == [mine["id"]]
    assert ids(**{"id[ne]": mine["id"]}) == ids(**{"metadata.key[ne]": "x", "suspended": "true"}) == [shared["id"]]
    assert ids(**{"organization.name[eq]": "x"}) == ids(**{"activation.countryCode[eq]": "DE"}) == []
    assert ids(createdAfter="2026-02-01T00:00:00Z") == ids(createdBefore="2026-01-01T00:00:00Z") == []


def test_licenses_that_expire_soon_are_found(api: Api) -> None:
    soon = api.license(expiresAt="2026-02-03T00:00:00Z")
    api.license()
    assert [entry["id"] for entry in api.search("/v3/licenses", {"expiringSoon": "true"})] == [soon["id"]]


def test_new_licenses_and_users_are_missing_from_lists_at_first(box: CryptlexSandbox, api: Api, clock: Clock) -> None:
    box.visibility_delay = 5
    user = api.user()
    created = api.license(userId=user["id"], metadata=metadata(slot="x"), createdAt="2020-01-01T00:00:00Z")
    clock.advance(seconds=4)
    assert api.search("/v3/licenses", {"metadata.value[eq]": "x"}) == api.search("/v3/users", {}) == []
    assert api.get(f"/v3/licenses/{created['id']}").json() == created
    refused(api.post("/v3/users", {"email": user["email"], "firstName": "A", "password": "12345678"}), 409)
    clock.advance(seconds=1)
    assert len(api.search("/v3/licenses", {"metadata.value[eq]": "x"})) == len(api.search("/v3/users", {})) == 1


# Users ----------------------------------------------------------------------------------------------------------------


def test_a_user_has_the_documented_defaults(api: Api) -> None:
    user = api.user()
    assert (user["lastName"], user["name"], user["role"], user["roles"]) == ("", "Ada", "user", ["user"])
    assert "password" not in user
    assert api.box.users == [user] == api.get("/v3/users").json()
    assert api.get(f"/v3/users/{user['id']}").json() == user


@pytest.mark.parametrize("status", [409, 400])  # 15
def test_addresses_are_unique(box: CryptlexSandbox, api: Api, status: int) -> None:
    box.options.duplicate_user_status = status
    api.user("ada@example.com")
    answer = api.post("/v3/users", {"email": "ADA@example.com", "firstName": "A", "password": "12345678"})
    refused(answer, status)
    assert answer.json()["code"] == "DUPLICATE_FIELD_VALUE"
    assert len(box.users) == 1


def test_a_taken_address_in_a_patch_is_400_with_the_code(box: CryptlexSandbox, api: Api) -> None:  # 15
    api.user("ada@example.com")
    other = api.user("bob@example.com")
    answer = api.patch(f"/v3/users/{other['id']}", {"email": "ada@example.com"})
    refused(answer)
    assert answer.json()["code"] == "DUPLICATE_FIELD_VALUE"
    assert api.patch(f"/v3/users/{other['id']}", {"email": "BOB@example.com"}).json()["email"] == "BOB@example.com"


def test_a_changed_user_shows_in_the_licenses_and_their_filters(api: Api) -> None:
    user = api.user("old@example.com", metadata=metadata(a="1"))
    created = api.license(userId=user["id"])
    body = {"email": "new@example.com", "lastName": "L", "role": "admin", "company": "C", "metadata": metadata(b="2")}
    changed = api.patch(f"/v3/users/{user['id']}", body).json()
    assert (changed["name"], changed["roles"], pairs(changed)) == ("Ada L", ["admin"], {"a": "1", "b": "2"})
    assert api.get(f"/v3/licenses/{created['id']}").json()["user"] == changed
    assert len(api.search("/v3/licenses", {"user.email[eq]": "new@example.com"})) == 1
    assert api.search("/v3/licenses", {"user.email[eq]": "old@example.com"}) == []
    assert api.search("/v3/users", {"email[eq]": "old@example.com"}) == []
    assert api.delete(f"/v3/users/metadata/{changed['metadata'][0]['id']}").status_code == 204
    assert pairs(api.box.users[0]) == {"b": "2"}


def test_a_deleted_user_leaves_the_licenses(api: Api) -> None:
    user = api.user()
    api.license(userId=user["id"], additionalUserIds=[user["id"]])
    assert api.delete(f"/v3/users/{user['id']}").status_code == 204
    refused(api.get(f"/v3/users/{user['id']}"), 404)
    (left,) = api.box.licenses
    assert (left["userId"], left["user"], left["additionalUserIds"]) == (None, None, [])
    assert api.user()["id"] != user["id"]
