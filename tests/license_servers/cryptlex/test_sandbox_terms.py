"""The Cryptlex sandbox: how long a license lasts.

Numbers in comments are those of the list of open questions about the service; each test says how the sandbox answers.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.moments import add_interval, from_wire
from tests.license_servers.clock import Clock
from tests.license_servers.cryptlex.sandbox_client import PERPETUAL, PRODUCT, Api, refused


def test_each_renewal_adds_one_interval_to_the_current_date(api: Api, clock: Clock) -> None:  # 3, 4
    url = f"/v3/licenses/{api.license()['id']}"
    clock.advance(days=365)
    assert api.post(f"{url}/renew").json()["expiresAt"] == "2026-03-28T09:30:00.1234560Z"
    assert api.post(f"{url}/renew").json()["expiresAt"] == "2026-04-28T09:30:00.1234560Z"
    assert api.get(url).json()["expiresAt"] == "2026-04-28T09:30:00.1234560Z"


@pytest.mark.parametrize(  # 3
    "members",
    [
        {"subscriptionInterval": ""},
        {"licenseTemplateId": PERPETUAL, "expiresAt": "2027-01-01T00:00:00Z"},
        {"subscriptionStartTrigger": "activation"},
    ],
)
def test_a_license_without_date_or_interval_cannot_be_renewed(api: Api, members: dict[str, Any]) -> None:
    created = api.license(**members)
    refused(api.post(f"/v3/licenses/{created['id']}/renew"))
    assert api.box.licenses == [created]


def test_renewal_does_not_lift_a_suspension(api: Api) -> None:
    created = api.license(suspended=True)
    renewed = api.post(f"/v3/licenses/{created['id']}/renew").json()
    assert renewed["suspended"] is True
    assert renewed["expiresAt"] > created["expiresAt"]


def test_expires_at_is_absolute_and_null_makes_perpetual(api: Api) -> None:
    url = f"/v3/licenses/{api.license()['id']}"
    for _ in range(2):
        answer = api.patch(f"{url}/expires-at", {"expiresAt": "2027-03-01T00:00:00Z"}).json()
        assert (answer["expiresAt"], answer["perpetual"]) == ("2027-03-01T00:00:00.0000000Z", False)
    answer = api.patch(f"{url}/expires-at", {"expiresAt": None}).json()
    assert (answer["expiresAt"], answer["perpetual"]) == (None, True)
    assert "expiresAt" in refused(api.patch(f"{url}/expires-at", {}))


def test_a_past_expiry_is_accepted_unless_told_otherwise(box: CryptlexSandbox, api: Api) -> None:  # 7
    url = f"/v3/licenses/{api.license()['id']}"
    past = {"expiresAt": "2020-01-01T00:00:00Z"}
    assert api.patch(f"{url}/expires-at", past).json()["expiresAt"] == "2020-01-01T00:00:00.0000000Z"
    assert len(api.search("/v3/licenses", {"expired": "true"})) == 1
    box.options.past_expiry_rejected = True
    assert "past" in refused(api.patch(f"{url}/expires-at", past))


def test_a_new_interval_leaves_the_date_alone(api: Api) -> None:  # 6
    created = api.license()
    url = f"/v3/licenses/{created['id']}"
    changed = api.patch(f"{url}/subscription", {"subscriptionInterval": "P1Y"}).json()
    assert (changed["subscriptionInterval"], changed["expiresAt"]) == ("P1Y", created["expiresAt"])
    assert api.post(f"{url}/renew").json()["expiresAt"] == "2027-02-28T09:30:00.1234560Z"
    cleared = api.patch(f"{url}/subscription", {"subscriptionInterval": ""}).json()
    assert cleared["subscriptionInterval"] is None


def test_extend_adds_seconds(api: Api) -> None:
    url = f"/v3/licenses/{api.license()['id']}"
    assert api.post(f"{url}/extend", {"extensionLength": 60}).json()["expiresAt"] == "2026-02-28T09:31:00.1234560Z"
    perpetual = api.license(subscriptionInterval="")
    refused(api.post(f"/v3/licenses/{perpetual['id']}/extend", {"extensionLength": 60}))


def test_dates_beyond_the_calendar_are_400(api: Api) -> None:
    refused(api.post("/v3/licenses", {"productId": PRODUCT, "subscriptionInterval": "P9000Y"}))
    refused(api.post("/v3/licenses", {"productId": PRODUCT, "subscriptionInterval": f"P{'9' * 50}D"}))


def test_term_changes_are_logged(api: Api) -> None:
    created = api.license()
    url = f"/v3/licenses/{created['id']}"
    api.license()
    api.post(f"{url}/renew")
    api.patch(f"{url}/subscription", {"subscriptionInterval": "P1Y"})
    entries = api.search("/v3/licenses/subscription-logs", {"licenseId[eq]": created["id"]})
    assert [entry["event"] for entry in entries] == ["license.renewed", "license.subscription.updated"]
    assert entries[0]["changes"] == [
        {
            "propertyName": "expiresAt",
            "oldValue": "2026-02-28T09:30:00.1234560Z",
            "newValue": "2026-03-28T09:30:00.1234560Z",
        }
    ]
    assert api.get(f"/v3/licenses/subscription-logs/{entries[0]['id']}").json() == entries[0]
    by_key = api.search("/v3/licenses/subscription-logs", {"licenseKey[eq]": created["key"], "event[eq]": "none"})
    assert by_key == []


def test_maintenance_follows_its_policy(box: CryptlexSandbox, api: Api) -> None:
    policy = box.add_maintenance_policy(interval="P1Y")
    assert api.get("/v3/maintenance-policies").json() == [policy]
    assert api.get(f"/v3/maintenance-policies/{policy['id']}").json() == policy
    created = api.license(maintenancePolicyId=policy["id"])
    url = f"/v3/licenses/{created['id']}/maintenance"
    assert created["maintenanceExpiresAt"] == "2027-01-31T09:30:00.1234560Z"
    assert api.post(f"{url}/renew").json()["maintenanceExpiresAt"] == "2028-01-31T09:30:00.1234560Z"
    assert api.post(f"{url}/extend", {"extensionLength": 1}).ok
    changed = api.patch(f"{url}/expires-at", {"maintenanceExpiresAt": "2030-01-01T00:00:00Z"}).json()
    assert changed["maintenanceExpiresAt"] == "2030-01-01T00:00:00.0000000Z"
    refused(api.post(f"/v3/licenses/{api.license()['id']}/maintenance/renew"))


@pytest.mark.parametrize(
    ("start", "interval", "end"),
    [
        ("2026-01-31T00:00:00Z", "P1M", "2026-02-28T00:00:00Z"),
        ("2024-01-31T00:00:00Z", "P1M", "2024-02-29T00:00:00Z"),
        ("2024-02-29T00:00:00Z", "P1Y", "2025-02-28T00:00:00Z"),
        ("2026-12-15T00:00:00Z", "P1M", "2027-01-15T00:00:00Z"),
        ("2026-01-01T00:00:00Z", "P1Y2M10D", "2027-03-11T00:00:00Z"),
        ("2026-01-01T00:00:00Z", "P2W", "2026-01-15T00:00:00Z"),
        ("2026-01-01T00:00:00Z", "PT24H", "2026-01-02T00:00:00Z"),
        ("2026-01-01T00:00:00Z", "P1DT1H30M5S", "2026-01-02T01:30:05Z"),
    ],
)
def test_interval_arithmetic(start: str, interval: str, end: str) -> None:
    assert add_interval(from_wire(start), interval) == from_wire(end)


def test_moments_read_from_the_wire_are_utc() -> None:
    assert from_wire("2026-01-01T01:00:00+02:00").isoformat() == "2025-12-31T23:00:00+00:00"


@pytest.mark.parametrize("text", ["", "P", "PT", "1M", "P1H", "P-1M", "P1.5M"])
def test_what_is_no_interval_cannot_be_added(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        add_interval(datetime(2026, 1, 1, tzinfo=UTC), text)
