"""What an order for one new license says. One slot is one order: its id comes from the slot, so a second is refused.

Source: the Management API page on orders and the vendor's Postman collection. Members left out are the product's, or
the license policy's.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from licensing_integration.domain.facts import Customer
from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.outcomes import ExpiryMode, LicenseState, LicenseType
from licensing_integration.exceptions import InvalidTerm
from licensing_integration.license_servers.base import SLOT_METADATA_KEY
from licensing_integration.license_servers.licensespring.values import Json, day_of, is_user_based, number, to_duration

OUR_PREFIX: Final = "li-"
_LONGEST_ID = 60  # the server's limit is unknown; 64 is believed to be safe, and a number may follow
_DIGEST = 24  # characters; 96 bits
_USER_BASED: Final = {"authorization_method": "user"}
DATED: Final = frozenset({ExpiryMode.PAID_THROUGH, ExpiryMode.INTERVAL})


def order_id_of(slot: str) -> str:
    """Our id of the slot's order: readable for people, unique by its digest, the same every time."""
    digest = hashlib.sha256(slot.encode()).hexdigest()[:_DIGEST]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", slot)[: _LONGEST_ID - len(OUR_PREFIX) - 1 - _DIGEST].strip("-")
    return f"{OUR_PREFIX}{readable}-{digest}"


def order_number(order_id: str, *, first_id: str) -> int | None:
    """1 for the slot's first order, 2 for ``….2`` and so on; ``None`` for an order of something else.

    There is a second one only after an order that LicenseSpring kept without its license.
    """
    if order_id == first_id:
        return 1
    match = re.fullmatch(rf"{re.escape(first_id)}\.([1-9]\d?)", order_id)
    return int(match[1]) if match else None


def order_body(
    desired: DesiredLicense, *, slot: str, order_id: str, product: Json | None, key: str
) -> dict[str, object]:
    """``key``: of a key-based license; empty for a user-based one.

    Raises ``InvalidTerm`` for an interval LicenseSpring has no word for.
    """
    license_members = {
        **({"key": key} if key else {}),
        **_term_members(desired, product=product),
        **_size_members(desired, product=product),
        **_extra_members(desired),
        **({"enabled": False} if desired.state is not LicenseState.ACTIVE else {}),
        "metadata": _metadata(desired, slot=slot),
    }
    if is_user_based(product):
        license_members |= _user_members(desired)
    subscription_id = subscription_id_of(desired)
    item: dict[str, object] = {"product_code": desired.product_id, "licenses": [license_members]}
    if subscription_id:
        item["subscription_id"] = subscription_id
    customer = _customer(desired.customer, is_manager=is_manager(desired, product=product))
    body: dict[str, object] = {"id": order_id, "append": False, "items": [item]}
    if desired.is_test:
        body["is_test"] = True
    return {**body, "customer": customer} if customer else body


def asked_for(desired: DesiredLicense) -> str:
    """What a refused order may have been refused for, in words: the service does not say which name it does not know.
    No values of custom fields, as these may be the customer's."""
    names = {
        "short code": [desired.product_id],
        "license policy": [desired.template_id],
        "feature code": desired.features,
        "custom field": desired.custom_fields,
    }
    told = [f'{label} "{name[:40]}"' for label, values in names.items() for name in values if name]
    return f"The order asked for {', '.join(told)}."


def subscription_id_of(desired: DesiredLicense) -> str:
    """The store's subscription, if the purchase is one."""
    known = {**desired.searched_metadata, **desired.vendor_metadata}
    return next((value.strip() for name, value in known.items() if "subscription" in name.lower()), "")


def is_manager(desired: DesiredLicense, *, product: Json | None) -> bool:
    """Whether the customer manages the license; who buys a user-based one does, unless it was said otherwise."""
    return is_user_based(product) if desired.is_customer_manager is None else desired.is_customer_manager


def user_entry(desired: DesiredLicense) -> dict[str, object]:
    """The customer as a user of a user-based license."""
    return {"email": desired.customer.email, "is_manager": is_manager(desired, product=_USER_BASED)}


def wanted_activations(desired: DesiredLicense, *, is_user_based: bool) -> int | None:
    """The activations to ask for. Where the quantity may count either, a user-based license counts it in users."""
    counts_users = is_user_based and desired.users is not None and desired.users == desired.activations
    return None if counts_users else desired.activations


def activation_members(activations: int, *, unlimited: str) -> dict[str, object]:
    """0 is unlimited, for which the server has a member of its own: plural in an order, singular in a change."""
    return {unlimited: True} if activations == 0 else {"max_activations": activations}


def grace_members(hours: int) -> dict[str, object]:
    return {"allow_grace_period": hours > 0, "grace_period": hours}


def maintenance_members(desired: DesiredLicense) -> dict[str, object]:
    """A duration without the switch would be refused in a change, so they always go together."""
    is_on = bool(desired.maintenance_duration) if desired.is_maintained is None else desired.is_maintained
    if desired.is_maintained is None and not desired.maintenance_duration:
        return {}
    duration = {"maintenance_duration": desired.maintenance_duration} if is_on and desired.maintenance_duration else {}
    return {"enable_maintenance_period": is_on, **duration}


def license_type_of(desired: DesiredLicense) -> str:
    """The type to ask for; empty = the product's. A license with an end date is a subscription unless it was said
    otherwise, one that lasts an interval from its activation is time-limited."""
    if desired.license_type is not None:
        return desired.license_type.value
    if desired.expiry in DATED and desired.expires_at is not None:
        return LicenseType.SUBSCRIPTION.value
    if desired.expiry is ExpiryMode.PERPETUAL:
        return LicenseType.PERPETUAL.value
    return LicenseType.TIME_LIMITED.value if desired.expiry is ExpiryMode.INTERVAL and desired.interval else ""


def _term_members(desired: DesiredLicense, *, product: Json | None) -> dict[str, object]:
    """How long it is valid. A date and a duration exclude each other."""
    kind = license_type_of(desired)
    members: dict[str, object] = {"license_type": kind} if kind else {}
    effective = kind or _default_type(desired, product=product)
    if desired.grace_hours is not None and effective in {"", LicenseType.SUBSCRIPTION}:
        members |= grace_members(desired.grace_hours)
    if desired.expiry in DATED and desired.expires_at is not None:
        return {**members, "is_trial": desired.is_trial, "validity_period": f"{day_of(desired.expires_at):%Y-%m-%d}"}
    if desired.is_trial:
        members["is_trial"] = True
    duration = _duration(desired) if effective in {"", LicenseType.TIME_LIMITED} else ""
    return {**members, "valid_duration": duration} if duration else members


def _duration(desired: DesiredLicense) -> str:
    if desired.valid_duration or not desired.interval:
        return desired.valid_duration
    duration = to_duration(desired.interval)
    if not duration:
        raise InvalidTerm(
            f"LicenseSpring has no duration like {desired.interval}: give a number of whole days, weeks, months or "
            "years, or an end date."
        )
    return duration


def _default_type(desired: DesiredLicense, *, product: Json | None) -> str:
    """The product's default type; unknown where a license policy may say otherwise."""
    value = "" if product is None or desired.template_id else product.get("default_license_type")
    return value if isinstance(value, str) else ""


def _size_members(desired: DesiredLicense, *, product: Json | None) -> dict[str, object]:
    members: dict[str, object] = {"policy_code": desired.template_id} if desired.template_id else {}
    activations = wanted_activations(desired, is_user_based=is_user_based(product))
    if desired.floating_clients is not None:
        members |= {"floating_users": desired.floating_clients, **_floating_kind(desired, product=product)}
        activations = _activations_beside(desired.floating_clients, activations, desired=desired, product=product)
    if activations is not None:
        members |= activation_members(activations, unlimited="allow_unlimited_activations")
    if desired.users is not None and is_user_based(product):
        members["max_license_users"] = desired.users
    if desired.max_consumptions is not None:
        members["max_consumptions"] = desired.max_consumptions
    return members


def _floating_kind(desired: DesiredLicense, *, product: Json | None) -> dict[str, object]:
    """Seats are handed out by LicenseSpring itself, unless product or policy have a floating server for that."""
    has_own = bool(desired.template_id) or (product is not None and product.get("is_floating") is True)
    return {} if has_own and not desired.is_floating_cloud else {"is_floating_cloud": True}


def _activations_beside(
    floating: int, activations: int | None, *, desired: DesiredLicense, product: Json | None
) -> int | None:
    """More simultaneous users than activations are not allowed, so the activations are raised. What a license policy
    sets is not known and left alone."""
    if activations is not None:
        return activations and max(activations, floating)
    if desired.template_id:
        return None
    default = (number(product, "max_activations") if product else None) or 1
    return floating if floating > default else None


def _extra_members(desired: DesiredLicense) -> dict[str, object]:
    members = maintenance_members(desired)
    if desired.features:
        members["product_features"] = [{"code": code} for code in desired.features]
    if desired.custom_fields:
        members["custom_fields"] = [{"name": name, "value": value} for name, value in desired.custom_fields.items()]
    return members


def _user_members(desired: DesiredLicense) -> dict[str, object]:
    """The documentation asks for at least one user, so the customer is one in any case."""
    return {"users": [user_entry(desired)]} if desired.customer.email else {}


def _metadata(desired: DesiredLicense, *, slot: str) -> dict[str, str]:
    entries = {**desired.metadata, **desired.vendor_metadata, SLOT_METADATA_KEY: slot}
    return {key: value for key, value in entries.items() if key and value}


def _customer(customer: Customer, *, is_manager: bool) -> dict[str, object]:
    """Empty without an address: nobody could be recognised by it. Always the same members, as it is unknown how the
    server finds a customer it has."""
    if not customer.email:
        return {}
    members: dict[str, object] = {
        "email": customer.email,
        "first_name": customer.first_name.strip(),
        "last_name": customer.last_name.strip(),
        "company_name": customer.company.strip(),
        "reference": customer.external_id.strip(),
        "is_manager": is_manager,
    }
    return {name: value for name, value in members.items() if value}
