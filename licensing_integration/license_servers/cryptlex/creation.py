"""What making a license says: the bodies of the requests, and which requests they are. Pure.

Wire facts: https://cryptlex.com/reference/web-api/introduction and the vendor's OpenAPI document (April 2026).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from licensing_integration.domain.facts import Customer
from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.outcomes import ExpiryMode, LicenseState
from licensing_integration.license_servers.base import SLOT_METADATA_KEY, PlannedCall, unknown_yet
from licensing_integration.license_servers.cryptlex.equivalents import as_cryptlex, creation_members
from licensing_integration.license_servers.cryptlex.marks import FEATURE_MARK, FEATURE_PREFIX, Mark, entry, marks
from licensing_integration.license_servers.cryptlex.values import to_wire

_MAX_NAME: Final = 256


def creation_calls(
    desired: DesiredLicense, *, slot: str, is_user_known: bool, unknown_features: Collection[str]
) -> list[PlannedCall]:
    """The requests that make the customer's user and the license. ``unknown_features``: codes that are known not to be
    features of the account; any other is taken for one."""
    wanted = as_cryptlex(desired)
    email = wanted.customer.email.strip().lower()
    features = [code for code in wanted.features if code not in unknown_features]
    user_id = unknown_yet("id of the user") if email else ""
    body = license_body(wanted, slot=slot, user_id=user_id, unknown_features=unknown_features)
    return [
        *([_user_call(wanted.customer, email=email)] if email and not is_user_known else []),
        *([PlannedCall(method="GET", path="/v3/features")] if wanted.features else []),
        PlannedCall(method="POST", path="/v3/licenses", body=body),
        *[_feature_call(code) for code in features],
    ]


def _user_call(customer: Customer, *, email: str) -> PlannedCall:
    return PlannedCall(
        method="POST",
        path="/v3/users",
        body=user_body(customer, email=email, password=unknown_yet("a random password that nobody knows")),
        note="If Cryptlex has a user with this address, that one is looked up and used.",
    )


def _feature_call(code: str) -> PlannedCall:
    return PlannedCall(
        method="POST",
        path="/v3/licenses/{id}/feature-entitlements",
        body={"featureId": unknown_yet(f"id of the feature {code}")},
        note=f"If the account has no feature {code}, it stands in the license's metadata instead.",
    )


def license_body(
    desired: DesiredLicense, *, slot: str, user_id: str, unknown_features: Collection[str] = ()
) -> dict[str, object]:
    """Members left out are inherited from the template; empty ones are left out, except the interval of a perpetual
    license, where an empty text overrides the template's."""
    if desired.state is LicenseState.ABSENT or not desired.product_id.strip() or not slot.strip():
        raise ValueError("a license that is to be issued needs a product, a slot and a state other than absent")
    members: dict[str, object] = {
        "productId": desired.product_id,
        "licenseTemplateId": desired.template_id,
        "userId": user_id,
        "allowedActivations": desired.activations,
        "allowedFloatingClients": None if desired.is_floating_cloud else desired.floating_clients,
        "entitlementSetId": desired.entitlement_set_id,
        "maxAllowedReleaseVersion": desired.max_release_version,
        "suspended": True if desired.state is LicenseState.SUSPENDED else None,
        "revoked": True if desired.state is LicenseState.REVOKED else None,
    }
    given = {name: value for name, value in members.items() if value not in (None, "")}
    metadata = _metadata(desired, slot=slot, unknown_features=unknown_features)
    return {**given, **_term_members(desired), **creation_members(desired), "metadata": metadata}


def _term_members(desired: DesiredLicense) -> dict[str, object]:
    if desired.expiry is ExpiryMode.PERPETUAL:
        return {"subscriptionInterval": ""}
    members: dict[str, object] = {"subscriptionInterval": desired.interval} if desired.interval else {}
    wanted = wanted_end(desired)
    return members if wanted is None else {**members, "expiresAt": to_wire(wanted)}


def wanted_end(desired: DesiredLicense) -> datetime | None:
    """The end date a new license is given; ``None`` leaves it to interval and template."""
    # A license issued after several periods were paid ends where they end, not one interval from now.
    is_late = desired.expiry is ExpiryMode.INTERVAL and desired.periods > 1
    return desired.expires_at if is_late or desired.expiry is ExpiryMode.PAID_THROUGH else None


def _metadata(desired: DesiredLicense, *, slot: str, unknown_features: Collection[str]) -> list[dict[str, object]]:
    """An empty list of permissions shows an entry to administrators only. Our own entries win over custom fields."""
    told = {**desired.metadata, **desired.vendor_metadata, SLOT_METADATA_KEY: slot}
    features = {f"{FEATURE_PREFIX}{code}": FEATURE_MARK for code in sorted(unknown_features)}
    own = {key: Mark(value=value) for key, value in told.items() if key and value}
    return [entry(key, mark) for key, mark in {**marks(desired), **features, **own}.items()]


def user_body(customer: Customer, *, email: str, password: str) -> dict[str, object]:
    """A first name is required, the last name is not; the password is never used, the customer sets an own one."""
    body: dict[str, object] = {
        "email": email,
        "firstName": (customer.first_name.strip() or email.partition("@")[0])[:_MAX_NAME],
        "lastName": customer.last_name.strip()[:_MAX_NAME],
        "company": customer.company.strip()[:_MAX_NAME],
        "password": password,
        "role": "user",
    }
    return {name: value for name, value in body.items() if value}
