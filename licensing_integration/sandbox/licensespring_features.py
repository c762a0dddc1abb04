"""Features and custom fields of licenses in the emulated LicenseSpring API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from licensing_integration.sandbox.licensespring_call import Call, find, shown_data
from licensing_integration.sandbox.licensespring_errors import wrong_field
from licensing_integration.sandbox.licensespring_show import show_license
from licensing_integration.sandbox.licensespring_store import LicenseRecord
from licensing_integration.sandbox.records import Record

_COPIED = (
    "max_consumption",
    "allow_overages",
    "max_overages",
    "reset_consumption",
    "consumption_period",
    "is_floating",
    "is_floating_cloud",
    "floating_users",
    "floating_timeout",
    "metadata",
)


def list_features(call: Call) -> Any:
    return call.page(call.store.license_features, show=shown_data)


def delete_feature(call: Call) -> Any:
    feature = find(call.store.license_features, call.id)
    call.store.license_features.remove(feature.id)
    _changed(call, call.store.licenses.get(feature.data["license"]))


def replace_features(call: Call) -> Any:
    """The whole set: what is not named is deleted. Members that are not named go back to the product's defaults."""
    record, wanted = call.license(), call.body["product_features"]
    _check_features(call, record, wanted=wanted)
    present = {entry.data["product_feature"]["code"]: entry for entry in _of(call, record)}
    for entry in present.values():
        call.store.license_features.remove(entry.id)
    for entry in wanted:
        feature = call.store.feature(record.product, entry["product_feature"])
        if feature is not None:
            add_feature(call, record, feature=feature, wanted=entry, old=present.get(entry["product_feature"]))
    _changed(call, record)
    return show_license(call.store, record)


def list_overrides(call: Call) -> Any:
    return call.page(call.store.overrides, show=shown_data)


def create_override(call: Call) -> Any:
    body = call.body
    record = call.store.licenses.records.get(body["license"])
    if record is None:
        raise wrong_field("license", "There is no such license.")
    field = call.store.custom_fields.records.get(body["product_custom_field"])
    if field is None or field.data["product"] != record.product.id:
        raise wrong_field("product_custom_field", "The license's product has no such custom field.")
    own = call.store.overrides.found_by("license", record.id)
    if any(entry.data["product_custom_field"] == field.id for entry in own):
        raise wrong_field("", "The license has a value for this custom field already.")
    _check_value(field, body["value"])
    override = set_override(call, record, field=field, value=body["value"])
    _changed(call, record)
    return override.data


def update_override(call: Call) -> Any:
    override = find(call.store.overrides, call.id)
    _check_value(call.store.custom_fields.get(override.data["product_custom_field"]), call.body["value"])
    override.data["value"] = call.body["value"]
    _changed(call, call.store.licenses.get(override.data["license"]))
    return override.data


def add_feature(
    call: Call, record: LicenseRecord, *, feature: Record, wanted: Mapping[str, Any], old: Record | None = None
) -> Record:
    """Put the feature on the license. ``old``: how it stood there before; its id stays."""
    is_kept = old is not None and call.options.omitted_consumptions == "keep"
    used = old.data["total_consumptions"] if old is not None and is_kept else 0
    data = {
        "id": call.store.head(has_small_id=True)["id"] if old is None else old.id,
        "license": record.id,
        "product_feature": feature.data,
        **{name: wanted.get(name, feature.data[name]) for name in _COPIED},
        "total_consumptions": wanted.get("total_consumptions", used),
        "expiry_date": wanted.get("expiry_date"),
        "device_features": [],
    }
    return call.store.license_features.add(Record(data=data, stored_at=call.store.now))


def set_override(call: Call, record: LicenseRecord, *, field: Record, value: str) -> Record:
    """Give the custom field a value of the license's own, in place of an earlier one."""
    for present in call.store.overrides.found_by("license", record.id):
        if present.data["product_custom_field"] == field.id:
            present.data["value"] = value
            return present
    data = {
        "id": call.store.head(has_small_id=True)["id"],
        "value": value,
        "license": record.id,
        "product_custom_field": field.id,
    }
    return call.store.overrides.add(Record(data=data, stored_at=call.store.now))


def _of(call: Call, record: LicenseRecord) -> list[Record]:
    return call.store.license_features.found_by("license", record.id)


def _check_features(call: Call, record: LicenseRecord, *, wanted: list[dict[str, Any]]) -> None:
    codes = [entry["product_feature"] for entry in wanted]
    if len(codes) != len(set(codes)):
        raise wrong_field("product_features", "A feature is named twice.")
    for code in codes:
        if call.options.accept_any_product and call.store.feature(record.product, code) is None:
            call.catalog.add_feature(product=record.product.data["short_code"], code=code)
        if call.store.feature(record.product, code) is None:
            raise wrong_field("product_features", "The product has no such feature.")


def _check_value(field: Record, value: str) -> None:
    if field.data["allowed_values"] and value not in field.data["allowed_values"]:
        raise wrong_field("value", "The product does not allow this value.")


def _changed(call: Call, record: LicenseRecord) -> None:
    call.store.touch(record)
    call.store.note(record, "License updated.")
