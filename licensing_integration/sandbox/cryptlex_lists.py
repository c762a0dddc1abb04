"""Which filters each list of the emulated Cryptlex API knows (published OpenAPI document of the Web API v3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from licensing_integration.sandbox.cryptlex_filters import Filter, FilterKind, Getter
from licensing_integration.sandbox.cryptlex_store import Record
from licensing_integration.sandbox.moments import to_wire

Filters = Mapping[str, Filter]


def _member(name: str) -> Getter:
    return lambda record, now: record.data[name]


def _user_member(name: str) -> Getter:
    return lambda record, now: None if record.user is None else record.user.data[name]


def _each(list_name: str, member: str) -> Getter:
    return lambda record, now: [entry[member] for entry in record.data[list_name]]


def _nothing(record: Record, now: datetime) -> Any:
    """Organizations, resellers and activations are not emulated: every license and user is without."""
    return None


def _members(kind: FilterKind, *names: str) -> dict[str, Filter]:
    return {name: Filter(kind=kind, get=_member(name)) for name in names}


def _absent(kind: FilterKind, *names: str) -> dict[str, Filter]:
    return {name: Filter(kind=kind, get=_nothing) for name in names}


def _many(kind: FilterKind, **paths: Getter) -> dict[str, Filter]:
    return {name.replace("_", "."): Filter(kind=kind, get=get, many=True) for name, get in paths.items()}


def _is_expired(record: Record, now: datetime) -> bool:
    expires_at = record.data["expiresAt"]
    return expires_at is not None and expires_at < to_wire(now)


def _expires_soon(member: str) -> Getter:
    def is_soon(record: Record, now: datetime) -> bool:
        moment = record.data[member]
        soon = now + timedelta(seconds=record.data["expiringSoonEventOffset"])
        return moment is not None and to_wire(now) <= moment <= to_wire(soon)

    return is_soon


def _users_of(record: Record, now: datetime) -> list[str]:
    return [record.data["userId"], *record.data["additionalUserIds"]]


_METADATA = _many(FilterKind.STRING, metadata_key=_each("metadata", "key"), metadata_value=_each("metadata", "value"))
_TAGS = _many(FilterKind.ID, tags=lambda record, now: record.data["tags"])
_HEAD = _members(FilterKind.ID, "id") | _members(FilterKind.DATE, "createdAt")
_COMMON = _HEAD | _members(FilterKind.DATE, "updatedAt")

LICENSES: Filters = (
    _COMMON
    | _METADATA
    | _TAGS
    | _members(FilterKind.ID, "productId", "productVersionId", "entitlementSetId", "type")
    | _members(FilterKind.ID, "organizationId", "resellerId")
    | _members(FilterKind.STRING, "key", "notes")
    | _members(FilterKind.BOOLEAN, "revoked", "suspended", "perpetual", "allowVmActivation", "userLocked")
    | _members(FilterKind.DATE, "expiresAt", "maintenanceExpiresAt", "activatedAt", "lastUsedAt")
    | _members(FilterKind.EQUALITY, "subscriptionInterval", "subscriptionStartTrigger")
    | _members(FilterKind.PLAIN, "expirationStrategy")
    | _members(FilterKind.INTEGER, "allowedActivations", "allowedDeactivations", "totalActivations")
    | _members(FilterKind.INTEGER, "totalDeactivations", "validity")
    | _absent(FilterKind.ID, "activation.countryCode")
    | _absent(FilterKind.STRING, "organization.name")
    | _absent(FilterKind.DATE, "activation.lastSyncedAt")
    | {
        "userId": Filter(kind=FilterKind.PLAIN, get=_users_of, many=True),
        "user.email": Filter(kind=FilterKind.STRING, get=_user_member("email"), fold_case=True),
        "user.company": Filter(kind=FilterKind.STRING, get=_user_member("company")),
        "expired": Filter(kind=FilterKind.BOOLEAN, get=_is_expired),
        "expiringSoon": Filter(kind=FilterKind.BOOLEAN, get=_expires_soon("expiresAt")),
        "maintenanceExpiringSoon": Filter(kind=FilterKind.BOOLEAN, get=_expires_soon("maintenanceExpiresAt")),
        "createdAfter": Filter(kind=FilterKind.PLAIN_DATE, get=_member("createdAt"), plain_operator="gt"),
        "createdBefore": Filter(kind=FilterKind.PLAIN_DATE, get=_member("createdAt"), plain_operator="lt"),
    }
)

USERS: Filters = (
    _COMMON
    | _METADATA
    | _TAGS
    | _members(FilterKind.STRING, "name", "role", "company")
    | _members(FilterKind.ID, "organizationId", "resellerId")
    | _members(FilterKind.DATE, "lastSeenAt")
    | _absent(FilterKind.STRING, "organization.name", "activation.appVersion", "activation.releaseVersion")
    | _absent(FilterKind.PLAIN, "productId")
    | {
        "email": Filter(kind=FilterKind.STRING, get=_member("email"), fold_case=True),
        "lastSeenBefore": Filter(kind=FilterKind.PLAIN_DATE, get=_member("lastSeenAt"), plain_operator="lt"),
    }
)

PRODUCTS: Filters = _COMMON | _METADATA | _members(FilterKind.STRING, "name")
ENTITLEMENT_SETS: Filters = (
    _COMMON
    | _members(FilterKind.STRING, "name")
    | _members(FilterKind.INTEGER, "tier")
    | _many(FilterKind.ID, productIds=lambda record, now: record.data["productIds"])
)
# License templates, maintenance policies, features and tokens: neither by name nor by product.
CATALOGUE: Filters = _COMMON
FEATURE_ENTITLEMENTS: Filters = {}
SUBSCRIPTION_LOGS: Filters = (
    _HEAD
    | _members(FilterKind.ID, "licenseId", "event")
    | {"licenseKey": Filter(kind=FilterKind.ID, get=lambda record, now: record.license_key)}
)
