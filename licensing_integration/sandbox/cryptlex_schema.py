"""Request bodies of the emulated Cryptlex API: members, types and limits.

Source: the published OpenAPI document of the Web API v3, schemas ``*RequestModel``. They are marked as closed there;
the sandbox takes that literally and refuses unknown members. A check returns what is wrong, or ``None``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from licensing_integration.sandbox.cryptlex_errors import invalid
from licensing_integration.sandbox.moments import from_wire, is_interval

Check = Callable[[Any], str | None]

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_VERSION = re.compile(r"(\d+(\.\d+){1,3})?")


def text(low: int = 0, high: int | None = None) -> Check:
    """A string of ``low`` to ``high`` characters."""

    def check(value: Any) -> str | None:
        if not isinstance(value, str):
            return "must be a string"
        if len(value) < low or (high is not None and len(value) > high):
            return f"must have {low} to {high} characters"
        return None

    return check


def integer(low: int, high: int = INT32_MAX) -> Check:
    """A JSON number without fraction, within the limits; booleans and strings are none."""

    def check(value: Any) -> str | None:
        if type(value) is not int:
            return "must be an integer"
        return None if low <= value <= high else f"must lie between {low} and {high}"

    return check


def boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be a boolean"


def date_time(value: Any) -> str | None:
    try:
        from_wire(value)
    except (TypeError, ValueError):
        return "must be an RFC 3339 date-time"
    return None


def email(value: Any) -> str | None:
    problem = text(1, 256)(value)
    return problem or (None if _EMAIL.fullmatch(value) else "must be an e-mail address")


def interval(value: Any) -> str | None:
    problem = text(0, 256)(value)
    return problem or (None if is_interval(value) else "must be an ISO 8601 duration")


def release_version(value: Any) -> str | None:
    problem = text()(value)
    return problem or (None if _VERSION.fullmatch(value) else "must look like x.x, x.x.x or x.x.x.x")


def one_of(*values: str) -> Check:
    def check(value: Any) -> str | None:
        return None if value in values else f"must be one of {', '.join(values)}"

    return check


def nullable(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def list_of(check: Check, *, most: int | None = None) -> Check:
    """A list of at most ``most`` entries, each of which passes ``check``."""

    def check_list(value: Any) -> str | None:
        if not isinstance(value, list):
            return "must be an array"
        if most is not None and len(value) > most:
            return f"must have at most {most} entries"
        return next((problem for problem in map(check, value) if problem), None)

    return check_list


@dataclass(frozen=True, kw_only=True)
class Body:
    """A closed JSON object."""

    members: Mapping[str, Check]
    required: tuple[str, ...] = ()

    def problem(self, value: Any) -> str | None:
        """What is wrong with the first wrong member, named; usable as a ``Check`` of nested objects."""
        if not isinstance(value, dict):
            return "must be an object"
        for name, member in value.items():
            check = self.members.get(name)
            if check is None:
                return f"unknown member '{name}'"
            problem = check(member)
            if problem:
                return f"'{name}' {problem}"
        missing = [name for name in self.required if name not in value]
        return f"'{missing[0]}' is required" if missing else None

    def validate(self, value: Any) -> None:
        """Raise a 400 ``ApiError`` that names the member."""
        problem = self.problem(value)
        if problem:
            raise invalid(f"Invalid request body: {problem}.")


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
