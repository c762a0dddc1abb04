"""Request bodies of the emulated Cryptlex API: members, types and limits.

Source: the published OpenAPI document of the Web API v3, schemas ``*RequestModel``. They are marked as closed there;
the sandbox takes that literally and refuses unknown members.
"""

from __future__ import annotations

import re
from typing import Any

from licensing_integration.sandbox.body_checks import (
    INT32_MAX,
    INT64_MAX,
    Body,
    Check,
    boolean,
    email,
    integer,
    list_of,
    nullable,
    one_of,
    text,
)
from licensing_integration.sandbox.moments import from_wire, is_interval

_VERSION = re.compile(r"(\d+(\.\d+){1,3})?")


def date_time(value: Any) -> str | None:
    try:
        from_wire(value)
    except (TypeError, ValueError):
        return "must be an RFC 3339 date-time"
    return None


def interval(value: Any) -> str | None:
    problem = text(0, 256)(value)
    return problem or (None if is_interval(value) else "must be an ISO 8601 duration")


def release_version(value: Any) -> str | None:
    problem = text()(value)
    return problem or (None if _VERSION.fullmatch(value) else "must look like x.x, x.x.x or x.x.x.x")


VIEW_PERMISSIONS = nullable(list_of(one_of("activation", "reseller", "organization", "user"), most=10))

METADATA = Body(
    members={
        "key": text(1, 256),
        "value": text(0, 4096),
        "viewPermissions": VIEW_PERMISSIONS,
        "visible": nullable(boolean),
    },
    required=("key", "value"),
)
METER_ATTRIBUTE = Body(
    members={
        "name": text(1, 256),
        "allowedUses": integer(-1, INT64_MAX),
        "viewPermissions": VIEW_PERMISSIONS,
        "visible": nullable(boolean),
        "floating": nullable(boolean),
    },
    required=("name", "allowedUses"),
)

_LICENSE_BOTH: dict[str, Check] = {
    "key": nullable(text(16, 256)),
    "revoked": nullable(boolean),
    "suspended": nullable(boolean),
    "fingerprintMatchingStrategy": nullable(one_of("fuzzy", "exact", "loose")),
    "allowedActivations": nullable(integer(-1)),
    "allowedDeactivations": nullable(integer(-1)),
    "leaseDuration": nullable(integer(-1)),
    "allowClientLeaseDuration": nullable(boolean),
    "allowedFloatingClients": nullable(integer(0)),
    "serverSyncGracePeriod": nullable(integer(-1)),
    "serverSyncInterval": nullable(integer(180)),
    "allowedClockOffset": nullable(integer(-1)),
    "disableClockValidation": nullable(boolean),
    "cryptoBindingEnabled": nullable(boolean),
    "expiringSoonEventOffset": nullable(integer(0)),
    "allowVmActivation": nullable(boolean),
    "allowContainerActivation": nullable(boolean),
    "disableGeoLocation": nullable(boolean),
    "notes": nullable(text(0, 4096)),
    "allowedIpRanges": nullable(list_of(text(), most=40)),
    "allowedCountries": nullable(list_of(text(), most=256)),
    "disallowedCountries": nullable(list_of(text(), most=256)),
    "allowedIpAddresses": nullable(list_of(text(), most=256)),
    "disallowedIpAddresses": nullable(list_of(text(), most=256)),
    "userId": nullable(text(0, 256)),
    "resellerId": nullable(text(0, 256)),
    "organizationId": nullable(text(0, 256)),
    "additionalUserIds": nullable(list_of(text(), most=256)),
    "productVersionId": nullable(text(0, 256)),
    "entitlementSetId": nullable(text(0, 256)),
    "maintenancePolicyId": nullable(text(0, 256)),
    "maxAllowedReleaseVersion": nullable(release_version),
    "tags": nullable(list_of(text(), most=5)),
    "metadata": nullable(list_of(METADATA.problem, most=50)),
    "meterAttributes": nullable(list_of(METER_ATTRIBUTE.problem)),
}

LICENSE_UPDATE = Body(members=_LICENSE_BOTH)
LICENSE_CREATE = Body(
    members=_LICENSE_BOTH
    | {
        "validity": nullable(integer(0)),
        "expirationStrategy": nullable(one_of("immediate", "delayed", "rolling")),
        "subscriptionInterval": nullable(interval),
        "subscriptionStartTrigger": one_of("creation", "activation"),
        "expiresAt": nullable(date_time),
        "leasingStrategy": nullable(one_of("per-machine", "per-instance")),
        "userLocked": nullable(boolean),
        "type": nullable(one_of("node-locked", "hosted-floating", "on-premise-floating")),
        "createdAt": nullable(date_time),
        "effectiveDate": nullable(date_time),
        "productId": text(1, 256),
        "licenseTemplateId": nullable(text()),
        "licensePolicyId": nullable(text()),
    },
    required=("productId",),
)
LICENSE_EXPIRES_AT = Body(members={"expiresAt": nullable(date_time)}, required=("expiresAt",))
LICENSE_SUBSCRIPTION = Body(
    members={"subscriptionInterval": interval, "subscriptionStartTrigger": one_of("creation", "activation")},
    required=("subscriptionInterval",),
)
EXTENSION = Body(members={"extensionLength": integer(-INT32_MAX - 1)}, required=("extensionLength",))
MAINTENANCE_EXPIRES_AT = Body(members={"maintenanceExpiresAt": date_time}, required=("maintenanceExpiresAt",))
FEATURE_ENTITLEMENT_CREATE = Body(
    members={"featureId": text(1, 256), "value": nullable(text(0, 256)), "expiresAt": nullable(date_time)},
    required=("featureId",),
)
FEATURE_ENTITLEMENT_UPDATE = Body(members={"value": nullable(text(0, 256)), "expiresAt": nullable(text(0, 256))})

_USER_OPTIONAL: dict[str, Check] = {
    "lastName": nullable(text(0, 256)),
    "company": nullable(text(0, 256)),
    "organizationId": nullable(text(0, 256)),
    "resellerId": nullable(text(0, 256)),
    "allowCustomerPortalAccess": nullable(boolean),
    "metadata": nullable(list_of(METADATA.problem, most=20)),
    "tags": nullable(list_of(text(), most=5)),
    "role": nullable(text(1, 256)),
}
USER_CREATE = Body(
    members=_USER_OPTIONAL | {"email": email, "firstName": text(1, 256), "password": text(8, 256)},
    required=("email", "firstName", "password"),
)
USER_UPDATE = Body(members=_USER_OPTIONAL | {"email": nullable(email), "firstName": nullable(text(1, 256))})
