"""License operations of the emulated LicenseSpring API: read, change, enable, disable, reset."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Any

from licensing_integration.sandbox.licensespring_call import Call
from licensing_integration.sandbox.licensespring_errors import NOT_EMULATED, wrong_field
from licensing_integration.sandbox.licensespring_issue import check_floating
from licensing_integration.sandbox.licensespring_moments import add_duration, to_stamp
from licensing_integration.sandbox.licensespring_show import show_license
from licensing_integration.sandbox.licensespring_store import LicenseRecord, LicenseSpringStore

# Copied from the body as they are; the others need thought.
_PLAIN = (
    "max_activations",
    "max_consumptions",
    "total_consumptions",
    "allow_overages",
    "max_overages",
    "reset_consumption",
    "consumption_period",
    "is_trial",
    "trial_days",
    "enable_maintenance_period",
    "maintenance_duration",
    "maintenance_period",
    "is_floating",
    "is_floating_cloud",
    "floating_users",
    "floating_timeout",
    "max_license_users",
    "max_transfers",
    "prevent_vm",
    "note",
    "allow_grace_period",
    "grace_period",
)
# Member -> the one that has to be in the same request.
_COMPANIONS = {
    "validity_period": "is_trial",
    "valid_duration": "is_trial",
    "trial_days": "is_trial",
    "maintenance_duration": "enable_maintenance_period",
    "maintenance_period": "enable_maintenance_period",
}


def list_licenses(call: Call) -> Any:
    return call.page(call.store.licenses, show=partial(show_license, call.store), is_delayed=True)


def get_license(call: Call) -> Any:
    return show_license(call.store, call.license())


def update_license(call: Call) -> Any:
    record = call.license()
    if not call.body:
        raise wrong_field("", "Nothing to change.")
    _check_change(call, record, call.body)
    _change(call, record, call.body)
    return show_license(call.store, record)


def bulk_update(call: Call) -> Any:
    """Says that it is done in ``detail``, where errors stand elsewhere."""
    entries = [({name: entry[name] for name in entry if name != "id"}, entry["id"]) for entry in call.body]
    if call.options.bulk_is_atomic:
        for changes, license_id in entries:
            _check_change(call, _known(call, license_id), changes)
    for changes, license_id in entries:
        record = _known(call, license_id)
        _check_change(call, record, changes)
        _change(call, record, changes)
    return {"detail": "Licenses updated."}


def enable(call: Call) -> Any:
    _switch(call.store, call.license(), is_enabled=True)
    return {"message": "License enabled."}


def disable(call: Call) -> Any:
    """Devices and everything the license entitles to stay as they are."""
    _switch(call.store, call.license(), is_enabled=False)
    return {"message": "License disabled."}


def disable_bulk(call: Call) -> Any:
    """Ids that nobody has are passed over."""
    for record in _known_among(call):
        _switch(call.store, record, is_enabled=False)
    return {"message": "Licenses disabled."}


def reset(call: Call) -> Any:
    _reset(call.store, call.license())
    return {"message": "License reset."}


def reset_bulk(call: Call) -> Any:
    for record in _known_among(call):
        _reset(call.store, record)
    return {"message": "Licenses reset."}


def reset_consumption(call: Call) -> Any:
    record = call.license()
    record.data["total_consumptions"] = 0
    _changed(call.store, record, "Consumption reset.")
    return {"message": "Consumption reset."}


def start_term(record: LicenseRecord, *, today: date) -> None:
    """The first activation: a duration, of the license or of its trial, counts from here."""
    data = record.data
    if data["validity_period"] is not None:
        return
    if data["is_trial"] and data["trial_days"]:
        data["validity_period"] = add_duration(today, f"{data['trial_days']}d").isoformat()
    elif data["valid_duration"]:
        data["validity_period"] = add_duration(today, data["valid_duration"]).isoformat()


def _known(call: Call, license_id: int) -> LicenseRecord:
    record = call.store.licenses.records.get(license_id)
    if record is None:
        raise wrong_field("id", "There is no such license.")
    return record


def _known_among(call: Call) -> list[LicenseRecord]:
    records = call.store.licenses.records
    return [records[license_id] for license_id in call.body if license_id in records]


def _check_change(call: Call, record: LicenseRecord, changes: Mapping[str, Any]) -> None:
    for member, companion in _COMPANIONS.items():
        if member in changes and companion not in changes:
            raise wrong_field(companion, f"This field is required together with {member}.")
    if "validity_period" in changes and "valid_duration" in changes:
        raise wrong_field("valid_duration", "Cannot be combined with validity_period.")
    for member in ("installation_file", "order"):
        if member in changes:
            raise wrong_field(member, NOT_EMULATED)
    if "grace_period" in changes and record.data["license_type"] != "subscription":
        raise wrong_field("grace_period", "Only subscription licenses have a grace period.")
    _check_trial(call, record, changes)
    _check_size(call, record, changes)


def _check_trial(call: Call, record: LicenseRecord, changes: Mapping[str, Any]) -> None:
    becomes_trial = changes.get("is_trial") and not record.data["is_trial"]
    if becomes_trial and call.options.trial_needs_product and not record.product.data["allow_trial"]:
        raise wrong_field("is_trial", "The product does not allow trials.")


def _check_size(call: Call, record: LicenseRecord, changes: Mapping[str, Any]) -> None:
    is_unlimited = changes.get("allow_unlimited_activation", record.is_unlimited)
    problem = check_floating({**record.data, **changes}, is_unlimited=is_unlimited)
    sizes = {"floating_users", "max_activations", "is_floating", "is_floating_cloud", "allow_unlimited_activation"}
    if problem and not sizes.isdisjoint(changes) and call.options.floating_above_activations == "refuse":
        raise wrong_field("floating_users", problem)
    if call.options.below_usage == "allow":
        return
    if changes.get("max_activations", record.data["times_activated"]) < record.data["times_activated"]:
        raise wrong_field("max_activations", "The license has more activations than that.")
    if 0 < changes.get("max_license_users", 0) < len(record.seats):
        raise wrong_field("max_license_users", "The license has more users than that.")
    used = record.data["total_consumptions"]
    if "total_consumptions" not in changes and changes.get("max_consumptions", used) < used:
        raise wrong_field("max_consumptions", "The license has consumed more than that.")


def _change(call: Call, record: LicenseRecord, changes: Mapping[str, Any]) -> None:
    data = record.data
    data.update({name: changes[name] for name in _PLAIN if name in changes})
    if "metadata" in changes:
        old = data["metadata"] if call.options.metadata_patch == "merge" else None
        data["metadata"] = {**(old or {}), **changes["metadata"]}
    record.is_unlimited = changes.get("allow_unlimited_activation", record.is_unlimited)
    _change_term(record, changes)
    if "enabled" in changes and call.options.enabled_patched:
        _switch(call.store, record, is_enabled=changes["enabled"])
    _changed(call.store, record, "License updated.")


def _change_term(record: LicenseRecord, changes: Mapping[str, Any]) -> None:
    """A perpetual license that is no trial has no end, whatever is sent; nothing says so."""
    data = record.data
    is_endless = data["license_type"] == "perpetual" and not data["is_trial"]
    if "validity_period" in changes and not is_endless:
        data["validity_period"] = changes["validity_period"]
    if "valid_duration" in changes and data["license_type"] == "time-limited":
        data["valid_duration"] = changes["valid_duration"]
        data["validity_period"] = None
        if data["time_activated"] is not None:
            start_term(record, today=date.fromisoformat(data["time_activated"][:10]))


def _switch(store: LicenseSpringStore, record: LicenseRecord, *, is_enabled: bool) -> None:
    if record.data["enabled"] != is_enabled:
        record.data.update(enabled=is_enabled, time_disabled=None if is_enabled else to_stamp(store.now))
    _changed(store, record, "License enabled." if is_enabled else "License disabled.")


def _reset(store: LicenseSpringStore, record: LicenseRecord) -> None:
    """Deactivates every device and forgets activations and consumptions, those of features too."""
    for device in store.devices.found_by("license", record.id):
        device.data.update(device_active=False, time_deactivated=to_stamp(store.now))
    for feature in store.license_features.found_by("license", record.id):
        feature.data["total_consumptions"] = 0
    record.data.update(times_activated=0, total_consumptions=0)
    _changed(store, record, "License reset.")


def _changed(store: LicenseSpringStore, record: LicenseRecord, text: str) -> None:
    store.touch(record)
    store.note(record, text)
