"""License operations of the emulated Cryptlex API: create, read, change, delete. Terms are in ``cryptlex_terms``."""

from __future__ import annotations

import csv
import io
import re
import secrets
from collections.abc import Mapping
from typing import Any

from licensing_integration.sandbox.cryptlex_call import (
    DUPLICATE,
    Call,
    clearable,
    merge_metadata,
    new_metadata,
    refuse_unknown,
    wire_date,
)
from licensing_integration.sandbox.cryptlex_catalog import TEMPLATE_DEFAULTS
from licensing_integration.sandbox.cryptlex_store import LicenseRecord, Record
from licensing_integration.sandbox.cryptlex_terms import first_expiry, first_maintenance_expiry, refresh_perpetual
from licensing_integration.sandbox.errors import ApiError, invalid, not_found

MOST_METADATA = 50

# Members copied from the body as they are; ``null`` means "as the template has it" on create, "unchanged" on PATCH.
_PLAIN_CREATE = tuple(
    name
    for name in TEMPLATE_DEFAULTS
    if name not in ("requireAuthentication", "allowedIpRange", "subscriptionInterval")
)
_PLAIN_UPDATE = (
    "revoked",
    "suspended",
    "fingerprintMatchingStrategy",
    "allowedActivations",
    "allowedDeactivations",
    "leaseDuration",
    "allowClientLeaseDuration",
    "allowedFloatingClients",
    "serverSyncGracePeriod",
    "serverSyncInterval",
    "allowedClockOffset",
    "cryptoBindingEnabled",
    "expiringSoonEventOffset",
    "allowVmActivation",
    "allowContainerActivation",
    "disableGeoLocation",
    "allowedIpRanges",
    "allowedCountries",
    "disallowedCountries",
    "allowedIpAddresses",
    "disallowedIpAddresses",
    "additionalUserIds",
    "tags",
)
_CLEARABLE = ("notes", "entitlementSetId", "maintenancePolicyId", "maxAllowedReleaseVersion")
_INDEXED = frozenset({"key", "metadata", "meterAttributes", "userId", "additionalUserIds"})


def list_licenses(call: Call) -> Any:
    return call.page(call.store.licenses, is_delayed=True)


def get_license(call: Call) -> Any:
    return call.store.licenses.get(call.id).shown


def create_license(call: Call) -> Any:
    template = _template(call)
    product = call.store.products.get(call.body["productId"])
    _check_references(call)
    _check_key(call, template.data["keyPattern"], status=call.options.duplicate_key_status)
    _check_template_demands(call, template)
    record = LicenseRecord(
        data=_new_license(call, template),
        stored_at=call.now,
        user=_user(call),
        key_pattern=template.data["keyPattern"],
    )
    refresh_perpetual(record)
    product.data["totalLicenses"] += 1
    return call.store.licenses.add(record).shown


def update_license(call: Call) -> Any:
    record = call.store.licenses.get(call.id)
    body = {name: value for name, value in call.body.items() if value is not None}
    _check_references(call)
    _check_key(call, record.key_pattern, status=400, own_key=record.data["key"])
    changes: dict[str, Any] = {name: body[name] for name in _PLAIN_UPDATE if name in body}
    changes |= {name: clearable(body[name]) for name in _CLEARABLE if name in body}
    if "key" in body:
        changes["key"] = body["key"]
    if "metadata" in body:
        changes["metadata"] = merge_metadata(call, record.data["metadata"], most=MOST_METADATA)
    if "meterAttributes" in body:
        changes["meterAttributes"] = _merge_meters(call, record.data["meterAttributes"])
    if "userId" in body:
        changes["userId"] = clearable(body["userId"])
        record.user = _user(call)
    record.data.update(changes)
    if "maintenancePolicyId" in body:
        record.data["maintenanceExpiresAt"] = first_maintenance_expiry(call, record.data)
    call.touch(record)
    if not _INDEXED.isdisjoint(body):
        call.store.licenses.index(record)
    return record.shown


def delete_license(call: Call) -> Any:
    record = call.store.licenses.remove(call.id)
    for entitlement in call.store.license_entitlements.found_by("licenseId", record.id):
        call.store.license_entitlements.remove(entitlement.id)
    product = call.store.products.records.get(record.data["productId"])
    if product is not None:
        product.data["totalLicenses"] -= 1


def delete_metadata(call: Call) -> Any:
    _remove_entry(call, list_name="metadata", index="metadata.id", what="Metadata")


def delete_meter_attribute(call: Call) -> Any:
    _remove_entry(call, list_name="meterAttributes", index="meterAttribute.id", what="Meter attribute")


def reset_meter_attribute(call: Call) -> Any:
    record = _owner(call, index="meterAttribute.id", what="Meter attribute")
    for entry in record.data["meterAttributes"]:
        if entry["id"] == call.id:
            entry.update(totalUses=0, updatedAt=call.stamp)
    call.touch(record)
    return record.shown


def export_licenses(call: Call) -> str:
    """CSV of everything the filters select. The vendor's columns are not published; these are the sandbox's."""
    columns = ("id", "key", "productId", "userId", "createdAt", "expiresAt", "suspended", "revoked")
    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerow(columns)
    for record in call.store.licenses:
        if call.query.admits(record, now=call.now):
            writer.writerow([record.data[column] for column in columns])
    return target.getvalue()


def _template(call: Call) -> Record:
    """The template named by the body, else the product's default one; both must exist."""
    body = call.body
    template_id = body.get("licenseTemplateId") or body.get("licensePolicyId") or ""
    if call.options.accept_any_product:
        if template_id:
            call.catalog.ensure_template(template_id)
        call.catalog.ensure_product(body["productId"], template_id=template_id)
    product = call.store.products.require(body["productId"], member="productId")
    template_id = template_id or product.data["licenseTemplateId"]
    return call.store.templates.require(template_id, member="licenseTemplateId")


def _check_references(call: Call) -> None:
    body = call.body
    set_id = body.get("entitlementSetId")
    if set_id and call.options.accept_any_product:
        call.catalog.ensure_entitlement_set(set_id)
    if set_id:
        call.store.entitlement_sets.require(set_id, member="entitlementSetId")
    if body.get("maintenancePolicyId"):
        call.store.maintenance_policies.require(body["maintenancePolicyId"], member="maintenancePolicyId")
    for user_id in [body.get("userId"), *(body.get("additionalUserIds") or ())]:
        if user_id:
            call.store.users.require(user_id, member="userId")
    refuse_unknown(body.get("organizationId"), member="organizationId", what="organization")
    refuse_unknown(body.get("resellerId"), member="resellerId", what="reseller")
    refuse_unknown(body.get("productVersionId"), member="productVersionId", what="product version")


def _check_key(call: Call, pattern: str, *, status: int, own_key: str = "") -> None:
    """Keys are unique in the whole account; whether they must match the template's pattern is an option."""
    key = call.body.get("key")
    if key is None or key == own_key:
        return
    if call.options.key_pattern_enforced and not re.fullmatch(pattern, key):
        raise invalid("Invalid request body: 'key' does not match the key pattern of the license template.")
    if call.store.licenses.found_by("key", key):
        raise ApiError(status, "License key is already taken!", code=DUPLICATE)


def _check_template_demands(call: Call, template: Record) -> None:
    given = {entry["key"] for entry in call.body.get("metadata") or ()}
    meters = {entry["name"] for entry in call.body.get("meterAttributes") or ()}
    missing = [key for key in template.data["requiredMetadataKeys"] if key not in given]
    missing += [name for name in template.data["requiredMeterAttributes"] if name not in meters]
    if missing:
        raise invalid(f"Invalid request body: the license template requires '{missing[0]}'.")


def _new_license(call: Call, template: Record) -> dict[str, Any]:
    body = call.body
    created_at = wire_date(body.get("createdAt")) or call.stamp
    data: dict[str, Any] = {
        **call.head(created_at=created_at),
        "key": body.get("key") or _new_key(),
        "revoked": bool(body.get("revoked")),
        "suspended": bool(body.get("suspended")),
        "perpetual": False,
        "totalActivations": 0,
        "totalDeactivations": 0,
        **{name: template.data[name] for name in TEMPLATE_DEFAULTS},
        "disableClockValidation": False,
        "effectiveDate": wire_date(body.get("effectiveDate")) or created_at,
        "expiresAt": None,
        "activatedAt": None,
        "lastUsedAt": None,
        "notes": clearable(body.get("notes") or ""),
        "productId": body["productId"],
        "entitlementSetId": clearable(body.get("entitlementSetId") or ""),
        "productVersionId": None,
        "maintenancePolicyId": clearable(body.get("maintenancePolicyId") or ""),
        "maintenanceExpiresAt": None,
        "currentReleaseVersion": None,
        "maxAllowedReleaseVersion": clearable(body.get("maxAllowedReleaseVersion") or ""),
        "organizationId": None,
        "organization": None,
        "userId": clearable(body.get("userId") or ""),
        "resellerId": None,
        "reseller": None,
        "additionalUserIds": body.get("additionalUserIds") or [],
        "metadata": new_metadata(call),
        "meterAttributes": [_meter(call, entry, None) for entry in body.get("meterAttributes") or ()],
        "tags": body.get("tags") or [],
    }
    data |= {name: body[name] for name in _PLAIN_CREATE if body.get(name) is not None}
    _set_terms(call, data)
    return data


def _set_terms(call: Call, data: dict[str, Any]) -> None:
    """A date wins over an interval, which is kept as the cadence of renewals; ``""`` means no interval at all."""
    wanted = call.body.get("subscriptionInterval")
    if wanted is not None:
        data["subscriptionInterval"] = clearable(wanted)
        if not wanted:
            data["validity"] = None
    data["disableClockValidation"] = data["allowedClockOffset"] == -1
    data["expiresAt"] = wire_date(call.body.get("expiresAt")) or first_expiry(data)
    data["maintenanceExpiresAt"] = first_maintenance_expiry(call, data)


def _new_key() -> str:
    digits = secrets.token_hex(18).upper()
    return "-".join(digits[start : start + 6] for start in range(0, 36, 6))


def _user(call: Call) -> Record | None:
    user_id = call.body.get("userId")
    return call.store.users.get(user_id) if user_id else None


def _meter(call: Call, wanted: Mapping[str, Any], old: Mapping[str, Any] | None) -> dict[str, Any]:
    permissions = wanted.get("viewPermissions") or []
    return {
        **({**call.head(), "totalUses": 0, "grossUses": 0} if old is None else {**old, "updatedAt": call.stamp}),
        "name": wanted["name"],
        "allowedUses": wanted["allowedUses"],
        "floating": bool(wanted.get("floating")),
        "viewPermissions": permissions,
        "visible": bool(permissions),
    }


def _merge_meters(call: Call, current: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As with metadata: by name, or the whole list."""
    merged = {entry["name"]: entry for entry in current}
    wanted = {entry["name"]: _meter(call, entry, merged.get(entry["name"])) for entry in call.body["meterAttributes"]}
    return list((merged | wanted if call.options.metadata_patch == "merge" else wanted).values())


def _owner(call: Call, *, index: str, what: str) -> Record:
    owners = call.store.licenses.found_by(index, call.id)
    if not owners:
        raise not_found(what)
    return owners[0]


def _remove_entry(call: Call, *, list_name: str, index: str, what: str) -> None:
    record = _owner(call, index=index, what=what)
    record.data[list_name] = [entry for entry in record.data[list_name] if entry["id"] != call.id]
    call.touch(record)
    call.store.licenses.index(record)
