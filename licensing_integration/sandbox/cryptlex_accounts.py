"""Users, feature entitlements, the catalogue and the token's own profile in the emulated Cryptlex API."""

from __future__ import annotations

from typing import Any

from licensing_integration.sandbox.cryptlex_call import (
    DUPLICATE,
    Call,
    merge_metadata,
    new_metadata,
    refuse_unknown,
    wire_date,
)
from licensing_integration.sandbox.cryptlex_store import Collection, Record
from licensing_integration.sandbox.errors import ApiError, invalid, not_found
from licensing_integration.sandbox.moments import from_wire

MOST_USER_METADATA = 20
_OWNER_ID = "1c7a1d0e-0000-4000-8000-000000000001"
_TOKEN_ID = "1c7a1d0e-0000-4000-8000-000000000002"  # noqa: S105 - an id, no secret
_EPOCH = "2026-01-01T00:00:00.0000000Z"
_OWNER = {
    "id": _OWNER_ID,
    "createdAt": _EPOCH,
    "updatedAt": _EPOCH,
    "name": "Sandbox Owner",
    "firstName": "Sandbox",
    "lastName": "Owner",
    "email": "owner@sandbox.invalid",
    "role": "admin",
    "twoFactorEnabled": False,
    "googleSsoEnabled": False,
    "lastLoginAt": None,
    "company": "Sandbox",
}


def list_users(call: Call) -> Any:
    return call.page(call.store.users, is_delayed=True)


def get_user(call: Call) -> Any:
    return call.store.users.get(call.id).shown


def create_user(call: Call) -> Any:
    body = call.body
    _check_user(call, status=call.options.duplicate_user_status)
    access = body.get("allowCustomerPortalAccess")
    data = {
        **call.head(),
        **_names(body["firstName"], body.get("lastName") or ""),
        "email": body["email"],
        **_role(body.get("role") or "user"),
        "company": body.get("company"),
        "twoFactorEnabled": False,
        "googleSsoEnabled": False,
        "allowCustomerPortalAccess": True if access is None else access,
        "lastLoginAt": None,
        "lastSeenAt": None,
        "organizationId": None,
        "organization": None,
        "resellerId": None,
        "reseller": None,
        "metadata": new_metadata(call),
        "tags": body.get("tags") or [],
        "emailPreference": {"metrics": False},
    }
    return call.store.users.add(Record(data=data, stored_at=call.now)).shown


def update_user(call: Call) -> Any:
    record = call.store.users.get(call.id)
    body = {name: value for name, value in call.body.items() if value is not None}
    _check_user(call, status=call.options.duplicate_user_patch_status, own=record)
    data = record.data
    if "metadata" in body:
        data["metadata"] = merge_metadata(call, data["metadata"], most=MOST_USER_METADATA)
    data.update({name: body[name] for name in ("email", "allowCustomerPortalAccess", "tags") if name in body})
    if "company" in body:
        data["company"] = body["company"] or None
    if "role" in body:
        data.update(_role(body["role"]))
    data.update(_names(body.get("firstName", data["firstName"]), body.get("lastName", data["lastName"])))
    _save_user(call, record)
    return record.shown


def delete_user(call: Call) -> Any:
    """Licenses stay, without the user; what the service does with them is unknown."""
    record = call.store.users.remove(call.id)
    for owned in call.store.licenses.found_by("userId", record.id):
        if owned.user is record:
            owned.user = None
            owned.data["userId"] = None
        others = owned.data["additionalUserIds"]
        owned.data["additionalUserIds"] = [user_id for user_id in others if user_id != record.id]
        call.store.licenses.index(owned)


def delete_user_metadata(call: Call) -> Any:
    owners = call.store.users.found_by("metadata.id", call.id)
    if not owners:
        raise not_found("Metadata")
    record = owners[0]
    record.data["metadata"] = [entry for entry in record.data["metadata"] if entry["id"] != call.id]
    _save_user(call, record)


def list_products(call: Call) -> Any:
    return call.page(call.store.products)


def get_product(call: Call) -> Any:
    return call.store.products.get(call.id).shown


def list_templates(call: Call) -> Any:
    return call.page(call.store.templates)


def get_template(call: Call) -> Any:
    return call.store.templates.get(call.id).shown


def list_entitlement_sets(call: Call) -> Any:
    return call.page(call.store.entitlement_sets)


def get_entitlement_set(call: Call) -> Any:
    return call.store.entitlement_sets.get(call.id).shown


def list_set_entitlements(call: Call) -> Any:
    call.store.entitlement_sets.get(call.id)
    entitlements = call.store.set_entitlements
    return call.page(entitlements, among=entitlements.found_by("entitlementSetId", call.id))


def list_features(call: Call) -> Any:
    return call.page(call.store.features)


def get_feature(call: Call) -> Any:
    return call.store.features.get(call.id).shown


def list_maintenance_policies(call: Call) -> Any:
    return call.page(call.store.maintenance_policies)


def get_maintenance_policy(call: Call) -> Any:
    return call.store.maintenance_policies.get(call.id).shown


def list_license_entitlements(call: Call) -> Any:
    """Those of the license itself; what its entitlement set grants is not repeated here."""
    call.store.licenses.get(call.id)
    entitlements = call.store.license_entitlements
    return call.page(entitlements, among=entitlements.found_by("licenseId", call.id))


def create_license_entitlement(call: Call) -> Any:
    call.store.licenses.get(call.id)
    feature = call.store.features.require(call.body["featureId"], member="featureId")
    present = call.store.license_entitlements.found_by("licenseId", call.id)
    if any(entry.data["featureId"] == feature.id for entry in present):
        raise ApiError(409, "The license has an entitlement for this feature already.", code=DUPLICATE)
    data = {
        **call.head(),
        "featureId": feature.id,
        "featureName": feature.data["name"],
        "value": call.body.get("value"),
        "licenseId": call.id,
        "expiresAt": wire_date(call.body.get("expiresAt")),
    }
    return call.store.license_entitlements.add(Record(data=data, stored_at=call.now)).shown


def update_license_entitlement(call: Call) -> Any:
    record = _license_entitlement(call)
    if call.body.get("value") is not None:
        record.data["value"] = call.body["value"]
    wanted = call.body.get("expiresAt")
    if wanted is not None:
        record.data["expiresAt"] = _loose_date(wanted)
    call.touch(record)
    return record.shown


def delete_license_entitlement(call: Call) -> Any:
    call.store.license_entitlements.remove(_license_entitlement(call).id)


def get_profile(call: Call) -> Any:
    return _OWNER


def list_tokens(call: Call) -> Any:
    """Only the calling token: the sandbox's owner has no other."""
    return call.page(Collection("Personal access token"), among=[_token(call)])


def get_token(call: Call) -> Any:
    if call.id != _TOKEN_ID:
        raise not_found("Personal access token")
    return _token(call).shown


def list_claims(call: Call) -> Any:
    return {"Sandbox": sorted(call.scopes)}


def get_status(call: Call) -> Any:
    return {"status": "healthy"}


def _names(first: str, last: str) -> dict[str, str]:
    return {"name": f"{first} {last}".strip(), "firstName": first, "lastName": last}


def _role(role: str) -> dict[str, Any]:
    return {"role": role, "roles": [role]}


def _check_user(call: Call, *, status: int, own: Record | None = None) -> None:
    refuse_unknown(call.body.get("organizationId"), member="organizationId", what="organization")
    refuse_unknown(call.body.get("resellerId"), member="resellerId", what="reseller")
    address = call.body.get("email")
    if address is None:
        return
    if any(other is not own for other in call.store.users.found_by("email", address.lower())):
        raise ApiError(status, "Email address is already taken!", code=DUPLICATE)


def _save_user(call: Call, record: Record) -> None:
    call.touch(record)
    call.store.users.index(record)
    for owned in call.store.licenses.found_by("userId", record.id):
        call.store.licenses.index(owned)


def _license_entitlement(call: Call) -> Record:
    license_id, entitlement_id = call.ids
    call.store.licenses.get(license_id)
    record = call.store.license_entitlements.get(entitlement_id)
    if record.data["licenseId"] != license_id:
        raise not_found("Feature entitlement")
    return record


def _loose_date(text: str) -> str | None:
    """The update schema has no format and allows the empty string, which clears."""
    try:
        return wire_date(text) if text else None
    except ValueError:
        raise invalid("Invalid request body: 'expiresAt' must be an RFC 3339 date-time.") from None


def _token(call: Call) -> Record:
    data = {
        "id": _TOKEN_ID,
        "createdAt": _EPOCH,
        "updatedAt": _EPOCH,
        "name": "Sandbox",
        "expiresAt": None,
        "revoked": False,
        "scopes": sorted(call.scopes),
        "userId": _OWNER_ID,
        "user": None,
        "lastUsedAt": call.stamp,
        "lastRotatedAt": None,
    }
    return Record(data=data, stored_at=from_wire(_EPOCH))
