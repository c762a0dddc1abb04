"""The LicenseSpring sandbox: what happens to licenses once they exist."""

from __future__ import annotations

from typing import Any

import pytest

from licensing_integration.sandbox.licensespring import LicenseSpringOptions, LicenseSpringSandbox
from tests.license_servers.clock import Clock
from tests.license_servers.licensespring.sandbox_client import APP, METER, NOBODY, PRO, Api, refused

# Changing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ({"validity_period": "2027-02-14"}, "is_trial"),
        ({"valid_duration": "1y"}, "is_trial"),
        ({"trial_days": 7}, "is_trial"),
        ({"maintenance_duration": "1y"}, "enable_maintenance_period"),
        ({"maintenance_period": "2027-02-14"}, "enable_maintenance_period"),
    ],
)
def test_some_members_need_another_in_the_same_request(api: Api, body: dict[str, Any], missing: str) -> None:
    created = api.license(PRO)
    assert refused(api.patch(f"licenses/{created['id']}/", body)).startswith(f"{missing}: ")
    assert api.fetch(created["id"]) == created
    assert api.change(created["id"], **body, **{missing: True})


def test_duration_and_expiry_exclude_each_other(api: Api) -> None:
    path = f"licenses/{api.license(PRO)['id']}/"
    both = {"is_trial": False, "validity_period": "2027-02-14", "valid_duration": "1y"}
    assert "valid_duration" in refused(api.patch(path, both))


def test_an_expiry_and_the_trial_flag_change_together(api: Api) -> None:
    created = api.license(PRO, is_trial=True, validity_period="2026-02-14")
    kept = api.change(created["id"], is_trial=True, validity_period="2026-02-20")
    assert (kept["is_trial"], kept["validity_period"]) == (True, "2026-02-20T00:00:00Z")
    full = api.change(created["id"], is_trial=False, validity_period="2027-02-14")
    assert (full["is_trial"], full["validity_period"]) == (False, "2027-02-14T00:00:00Z")


def test_a_perpetual_license_silently_keeps_having_no_end(api: Api, options: LicenseSpringOptions) -> None:
    created = api.license(APP)
    assert api.change(created["id"], is_trial=False, validity_period="2027-02-14")["validity_period"] is None
    options.trial_needs_product = False
    assert api.change(created["id"], is_trial=True, validity_period="2027-02-14")["validity_period"] is not None


def test_a_license_becomes_a_trial_only_where_the_product_allows_it(api: Api) -> None:
    assert "is_trial" in refused(api.patch(f"licenses/{api.license(APP)['id']}/", {"is_trial": True}))
    assert api.change(api.license(PRO)["id"], is_trial=True)["is_trial"]


def test_plain_members_replace_what_was(api: Api) -> None:
    created = api.license(METER)
    wanted = {
        "max_activations": 7,
        "max_consumptions": 9,
        "allow_overages": True,
        "max_overages": 3,
        "reset_consumption": True,
        "consumption_period": "monthly",
        "prevent_vm": True,
        "note": "second",
        "enable_maintenance_period": True,
        "maintenance_duration": "2y",
        "max_transfers": 4,
    }
    api.change(created["id"], note="first")
    changed = api.change(created["id"], **wanted)
    assert {name: changed[name] for name in wanted} == wanted
    assert {name for name in changed if changed[name] != created[name]} <= {*wanted, "updated_at"}


@pytest.mark.parametrize(("policy", "after"), [("replace", {"b": 2}), ("merge", {"a": 1, "b": 2})])
def test_metadata_is_replaced_or_merged(
    api: Api, options: LicenseSpringOptions, policy: Any, after: dict[str, int]
) -> None:
    options.metadata_patch = policy
    created = api.license(metadata={"a": 1})
    assert api.change(created["id"], note="n")["metadata"] == {"a": 1}
    assert api.change(created["id"], metadata={"b": 2})["metadata"] == after


def test_limits_cannot_go_below_what_is_in_use(
    box: LicenseSpringSandbox, api: Api, options: LicenseSpringOptions
) -> None:
    created = api.license(METER, max_activations=2)
    box.activate(created["id"], hardware_id="a")
    box.activate(created["id"], hardware_id="b")
    box.consume(created["id"], amount=5)
    path = f"licenses/{created['id']}/"
    assert "max_activations" in refused(api.patch(path, {"max_activations": 1}))
    assert "max_consumptions" in refused(api.patch(path, {"max_consumptions": 4}))
    assert api.change(created["id"], max_activations=2, max_consumptions=5)["max_consumptions"] == 5
    options.below_usage = "allow"
    assert api.change(created["id"], max_activations=1)["times_activated"] == 2


def test_users_cannot_become_fewer_than_there_are(api: Api) -> None:
    created = api.seat(max_license_users=2)
    api.done(api.post(f"licenses/{created['id']}/assign_user/", {"email": "grace@example.com"}))
    assert "max_license_users" in refused(api.patch(f"licenses/{created['id']}/", {"max_license_users": 1}))
    assert api.change(created["id"], max_license_users=0)["max_license_users"] == 0  # unlimited


def test_simultaneous_users_need_as_many_activations(api: Api, options: LicenseSpringOptions) -> None:
    created = api.license(is_floating_cloud=True, floating_users=3, max_activations=3)
    path = f"licenses/{created['id']}/"
    assert "floating_users" in refused(api.patch(path, {"floating_users": 4}))
    assert "floating_users" in refused(api.patch(path, {"max_activations": 2}))
    assert api.change(created["id"], floating_users=4, max_activations=4)["floating_users"] == 4
    assert api.change(created["id"], floating_users=9, allow_unlimited_activation=True)["floating_users"] == 9
    options.floating_above_activations = "allow"
    assert api.change(created["id"], floating_users=99, allow_unlimited_activation=False)["floating_users"] == 99


def test_grace_is_for_subscriptions(api: Api) -> None:
    assert "grace_period" in refused(api.patch(f"licenses/{api.license(APP)['id']}/", {"grace_period": 5}))
    assert api.change(api.license(PRO)["id"], grace_period=5, allow_grace_period=True)["grace_period"] == 5


def test_enabled_is_not_changed_by_patch_unless_told(api: Api, options: LicenseSpringOptions) -> None:
    created = api.license(PRO)
    assert api.change(created["id"], enabled=False)["enabled"] is True
    options.enabled_patched = True
    assert api.change(created["id"], enabled=False)["status"] == "Disabled"


@pytest.mark.parametrize("member", ["order", "installation_file"])
def test_what_is_not_emulated_says_so(api: Api, member: str) -> None:
    assert "not emulate" in refused(api.patch(f"licenses/{api.license()['id']}/", {member: 5}))


# Many at once ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("is_atomic", "note"), [(False, "n"), (True, None)])
def test_one_bad_entry_of_a_bulk_update_may_undo_nothing(
    api: Api, options: LicenseSpringOptions, is_atomic: bool, note: str | None
) -> None:
    options.bulk_is_atomic = is_atomic
    first, second = api.license(PRO), api.license(PRO)
    wrong = {"id": second["id"], "validity_period": "2027-02-14"}
    body = [{"id": first["id"], "note": "n"}, {**wrong, "note": "n"}]
    assert "is_trial" in refused(api.patch("licenses/bulk_update/", body))
    assert "id" in refused(api.patch("licenses/bulk_update/", [{"id": NOBODY, "note": "n"}]))
    assert [entry["note"] for entry in api.box.licenses] == [note, None]


def test_a_bulk_update_is_a_bare_array_and_changes_each(api: Api) -> None:
    ids = [api.license(PRO)["id"] for _ in range(2)]
    changes = {"is_trial": False, "validity_period": "2027-02-14"}
    assert "must be an array" in refused(api.patch("licenses/bulk_update/", {"licenses": []}))
    api.done(api.patch("licenses/bulk_update/", [{"id": license_id, **changes} for license_id in ids]))
    assert {entry["validity_period"] for entry in api.box.licenses} == {"2027-02-14T00:00:00Z"}


def test_disabling_many_passes_over_unknown_ids(api: Api) -> None:
    first, second = api.license(), api.license()
    assert "must be an array" in refused(api.post("licenses/disable_bulk/", {"license_ids": [first["id"]]}))
    api.done(api.post("licenses/disable_bulk/", [first["id"], NOBODY]))
    assert [entry["enabled"] for entry in api.box.licenses] == [False, True]
    api.done(api.post("licenses/reset_bulk/", [second["id"], NOBODY]))


# Enabling and disabling -----------------------------------------------------------------------------------------------


def test_disabling_wins_over_every_status_and_can_be_taken_back(
    box: LicenseSpringSandbox, api: Api, clock: Clock
) -> None:
    created = api.license(PRO, validity_period="2027-02-14", metadata={"a": 1})
    box.activate(created["id"])
    before = api.fetch(created["id"])
    for _ in range(2):
        assert "disabled" in api.done(api.post(f"licenses/{created['id']}/disable/"))["message"]
        clock.advance(minutes=1)
    disabled = api.fetch(created["id"])
    assert (disabled["status"], disabled["active"], disabled["enabled"]) == ("Disabled", False, False)
    assert disabled["time_disabled"] == "2026-01-31T09:30:00Z"
    assert (disabled["validity_period"], disabled["times_activated"]) == (before["validity_period"], 1)
    for _ in range(2):
        assert "enabled" in api.done(api.post(f"licenses/{created['id']}/enable/"))["message"]
    assert {**api.fetch(created["id"]), "updated_at": None} == {**before, "updated_at": None}


# Activations, devices, consumption ------------------------------------------------------------------------------------


def test_a_duration_counts_from_the_first_activation(box: LicenseSpringSandbox, api: Api, clock: Clock) -> None:
    created = api.license(license_type="time-limited", valid_duration="1m", max_activations=2)
    assert (created["status"], created["validity_period"]) == ("Inactive", None)
    clock.advance(days=28)
    box.activate(created["id"], hardware_id="a")
    clock.advance(days=1)
    box.activate(created["id"], hardware_id="b")
    active = api.fetch(created["id"])
    assert (active["status"], active["validity_period"]) == ("Active", "2026-03-28T00:00:00Z")
    assert (active["times_activated"], active["total_active_devices"]) == (2, 2)


@pytest.mark.parametrize(("duration", "day"), [("35d", "2026-03-07"), ("2w", "2026-02-14"), ("1y", "2027-01-31")])
def test_durations_have_four_units(box: LicenseSpringSandbox, api: Api, duration: str, day: str) -> None:
    created = api.license(license_type="time-limited", valid_duration=duration)
    box.activate(created["id"])
    assert api.fetch(created["id"])["validity_period"] == f"{day}T00:00:00Z"


def test_a_trial_without_expiry_lasts_its_days_from_the_first_activation(box: LicenseSpringSandbox, api: Api) -> None:
    created = api.license(PRO, is_trial=True)
    box.activate(created["id"])
    assert api.fetch(created["id"])["validity_period"] == "2026-02-14T00:00:00Z"


def test_a_duration_changed_later_counts_from_the_activation(box: LicenseSpringSandbox, api: Api) -> None:
    created = api.license(license_type="time-limited", valid_duration="1m")
    assert api.change(created["id"], is_trial=False, valid_duration="1w")["validity_period"] is None
    box.activate(created["id"])
    changed = api.change(created["id"], is_trial=False, valid_duration="2w")
    assert changed["validity_period"] == "2026-02-14T00:00:00Z"


def test_machines_are_refused_when_the_license_says_so(box: LicenseSpringSandbox, api: Api, clock: Clock) -> None:
    created = api.license(PRO, max_activations=1, validity_period="2026-01-31")
    clock.advance(hours=14)  # the last day is still valid
    box.activate(created["id"])
    with pytest.raises(ValueError, match="no activation left"):
        box.activate(created["id"])
    api.change(created["id"], allow_unlimited_activation=True)
    box.activate(created["id"])
    clock.advance(hours=1)
    with pytest.raises(ValueError, match="expired"):
        box.activate(created["id"])
    api.done(api.post(f"licenses/{created['id']}/disable/"))
    with pytest.raises(ValueError, match="disabled"):
        box.activate(created["id"])


def test_a_reset_frees_machines_and_forgets_consumption(box: LicenseSpringSandbox, api: Api) -> None:
    created = api.license(METER, max_activations=1)
    box.activate(created["id"], hardware_id="a")
    box.consume(created["id"], amount=5)
    api.done(api.post(f"licenses/{created['id']}/reset/"))
    reset = api.fetch(created["id"])
    assert (reset["times_activated"], reset["total_consumptions"], reset["total_active_devices"]) == (0, 0, 0)
    box.activate(created["id"], hardware_id="b")


def test_one_machine_can_be_freed_and_consumption_stays(box: LicenseSpringSandbox, api: Api) -> None:
    created = api.license(METER, max_activations=2)
    box.activate(created["id"], hardware_id="a")
    box.activate(created["id"], hardware_id="b")
    box.consume(created["id"], amount=5)
    (device,) = api.search("devices/", license=created["id"], hardware_id="a")
    for _ in range(2):
        api.done(api.post(f"devices/{device['id']}/reset/"))
    freed = api.fetch(created["id"])
    assert (freed["times_activated"], freed["total_active_devices"], freed["total_consumptions"]) == (1, 1, 5)


def test_consumption_can_be_set_back_in_two_ways(box: LicenseSpringSandbox, api: Api) -> None:
    created = api.license(METER)
    box.consume(created["id"], amount=5)
    api.done(api.post(f"licenses/{created['id']}/reset_consumption/"))
    assert api.fetch(created["id"])["total_consumptions"] == 0
    box.consume(created["id"], amount=5)
    assert api.change(created["id"], total_consumptions=0)["total_consumptions"] == 0


# History --------------------------------------------------------------------------------------------------------------


def test_histories_tell_what_happened_and_cannot_be_written(api: Api, clock: Clock) -> None:
    created, other = api.license(), api.license(PRO)
    clock.advance(days=1)
    api.done(api.post(f"licenses/{created['id']}/disable/"))
    api.change(created["id"], note="n")
    entries = api.search("license-histories/", license=created["id"])
    assert [entry["text"] for entry in entries] == ["License created.", "License disabled.", "License updated."]
    assert api.done(api.get(f"license-histories/{entries[0]['id']}/")) == entries[0]
    assert len(api.search("license-histories/", ts__date__gte="2026-02-01")) == 2
    assert len(api.search("license-histories/", ts__lte="2026-01-31T23:59:59Z", text__icontains="CREATED")) == 2
    assert api.search("license-histories/", product__in=other["product"]["id"])[0]["license"] == other["id"]
    refused(api.post("license-histories/", {"license": created["id"], "text": "x"}), 405)


def test_a_license_can_vanish(box: LicenseSpringSandbox, api: Api) -> None:
    created = api.license()
    box.remove_license(created["id"])
    refused(api.get(f"licenses/{created['id']}/"), 404)
    refused(api.patch(f"licenses/{created['id']}/", {"note": "n"}), 404)
    refused(api.post(f"licenses/{created['id']}/disable/"), 404)
    order = api.done(api.get(f"orders/{created['order']}/"))
    assert order["order_items"][0]["licenses"] == []
