"""Request bodies of the emulated LicenseSpring API: members, types and limits.

Source: documentation pages and the vendor's Postman collection. Bodies whose list of members is known to be incomplete
are closed here all the same: what nobody has documented cannot be relied on.
"""

from __future__ import annotations

from typing import Any

from licensing_integration.sandbox.body_checks import (
    INT64_MAX,
    Body,
    Check,
    ListBody,
    MapBody,
    boolean,
    email,
    integer,
    json_object,
    list_of,
    nullable,
    one_of,
    text,
)
from licensing_integration.sandbox.licensespring_catalog import LICENSE_TYPES
from licensing_integration.sandbox.licensespring_moments import day_of, is_day, is_duration

identifier = integer(1, INT64_MAX)
amount = integer(0)
# The documentation spells the last one "annualy", the collection "annually".
consumption_period = one_of("daily", "weekly", "monthly", "annually", "annualy")


def duration(value: Any) -> str | None:
    if not isinstance(value, str) or not is_duration(value):
        return "must be a number and one of d, w, m, y"
    return None


def day(value: Any) -> str | None:
    return None if isinstance(value, str) and is_day(value) else "must be a date in the form YYYY-MM-DD"


def day_or_time(value: Any) -> str | None:
    """Orders are seen with a date, a date and a time, or an ISO timestamp."""
    return None if isinstance(value, str) and day_of(value) else "must be a date, perhaps with a time"


def plain_value(value: Any) -> str | None:
    return None if isinstance(value, (str, int, float, bool)) else "must be a text or a number"


def digits(value: str) -> str | None:
    return None if value.isdecimal() else "must be the id of a license user"


ORDER_CUSTOMER = Body(
    members={
        "email": email,
        "first_name": text(),
        "last_name": text(),
        "company_name": text(),
        "company": text(),  # the name in the documentation's prose; without effect here
        "phone": text(),
        "address": text(),
        "reference": text(),
        "is_manager": boolean,
    }
)
ORDER_USER = Body(members={"email": email, "is_manager": boolean, "max_activations": amount}, required=("email",))
ORDER_FEATURE = Body(
    members={"code": text(1), "max_consumption": amount, "expiry_date": nullable(day)}, required=("code",)
)
CUSTOM_FIELD = Body(members={"name": text(1), "value": plain_value}, required=("name", "value"))
ORDER_LICENSE = Body(
    members={
        "key": text(1, 255),
        "users": list_of(ORDER_USER.problem),
        "license_type": one_of(*LICENSE_TYPES),
        "policy_code": text(1),
        "license_template": integer(1),
        "license_template_code": text(1),
        "active": boolean,
        "enabled": boolean,
        "is_trial": boolean,
        "validity_period": day_or_time,
        "valid_duration": duration,
        "start_date": text(),
        "enable_maintenance_period": boolean,
        "maintenance_duration": duration,
        "maintenance_period": text(),
        "max_activations": amount,
        "allow_unlimited_activations": boolean,
        "max_transfers": integer(-1),
        "max_license_users": amount,
        "is_floating": boolean,
        "is_floating_cloud": boolean,
        "floating_users": amount,
        "floating_timeout": integer(1),
        "can_borrow": boolean,
        "max_borrow_time": integer(0),
        "max_consumptions": amount,
        "allow_unlimited_consumptions": boolean,
        "allow_negative_consumptions": boolean,
        "allow_overages": boolean,
        "max_overages": amount,
        "reset_consumption": boolean,
        "consumption_period": consumption_period,
        "allow_grace_period": boolean,
        "grace_period": amount,
        "prevent_vm": boolean,
        "is_air_gapped": boolean,
        "is_hardware_key_auth": boolean,
        "metadata": nullable(json_object),
        "product_features": list_of(ORDER_FEATURE.problem),
        "custom_fields": list_of(CUSTOM_FIELD.problem),
    }
)
ORDER_ITEM = Body(
    members={
        "product_code": text(1),
        "licenses": list_of(ORDER_LICENSE.problem),
        "note": text(),
        "subscription_id": text(),
        "active": boolean,
        "customer_account_id": identifier,
        "key": text(),
        "license_policy": text(),
    },
    required=("product_code",),
)
CREATE_ORDER = Body(
    members={
        "id": text(1),
        "append": boolean,
        "is_bundle": boolean,
        "is_test": boolean,
        "created": text(1),
        "order_type": one_of("normal"),
        "reference": text(),
        "language": text(),
        "campaign_params": text(),
        "download_id": text(),
        "prevent_vm": boolean,
        "metadata": text(),
        "include_metadata_string": boolean,
        "customer": ORDER_CUSTOMER.problem,
        "customer_account_id": identifier,
        "add_to_customer_account": boolean,
        "items": list_of(ORDER_ITEM.problem, least=1),
    },
    required=("id", "items"),
)
UPDATE_ORDER = Body(members={"store_id": text(1)}, required=("store_id",))
ADD_MANAGER = Body(members={"email": email, "password": text(1)}, required=("email",))
REMOVE_MANAGER = Body(members={"license_user_id": identifier}, required=("license_user_id",))

LICENSE_CHANGES: dict[str, Check] = {
    "max_activations": amount,
    "allow_unlimited_activation": boolean,  # singular here, plural in an order
    "max_consumptions": amount,
    "total_consumptions": amount,
    "allow_overages": boolean,
    "max_overages": amount,
    "reset_consumption": boolean,
    "consumption_period": consumption_period,
    "is_trial": boolean,
    "trial_days": amount,
    "valid_duration": duration,
    "validity_period": day,
    "enable_maintenance_period": boolean,
    "maintenance_duration": duration,
    "maintenance_period": text(),
    "is_floating": boolean,
    "is_floating_cloud": boolean,
    "floating_users": amount,
    "floating_timeout": integer(1),
    "max_license_users": amount,
    "max_transfers": integer(-1),
    "prevent_vm": boolean,
    "note": text(),
    "metadata": json_object,
    "allow_grace_period": boolean,
    "grace_period": amount,
    "installation_file": identifier,
    "order": identifier,
    "enabled": boolean,
}
PATCH_LICENSE = Body(members=LICENSE_CHANGES)
BULK_ENTRY = Body(members={**LICENSE_CHANGES, "id": identifier}, required=("id",))
BULK_UPDATE = ListBody(entry=BULK_ENTRY.problem)
LICENSE_IDS = ListBody(entry=identifier)
EMPTY = Body(members={})

LICENSE_FEATURE = Body(
    members={
        "product_feature": text(1),
        "max_consumption": amount,
        "total_consumptions": amount,
        "expiry_date": day,
        "allow_overages": boolean,
        "max_overages": amount,
        "reset_consumption": boolean,
        "consumption_period": consumption_period,
        "metadata": json_object,
        "is_floating": boolean,
        "is_floating_cloud": boolean,
        "floating_users": amount,
        "floating_timeout": integer(1),
    },
    required=("product_feature",),
)
UPDATE_FEATURES = Body(members={"product_features": list_of(LICENSE_FEATURE.problem)}, required=("product_features",))
CREATE_OVERRIDE = Body(
    members={"value": text(), "license": identifier, "product_custom_field": identifier},
    required=("value", "license", "product_custom_field"),
)
UPDATE_OVERRIDE = Body(members={"value": text()}, required=("value",))

ASSIGN_USER = Body(
    members={
        "email": email,
        "first_name": text(),
        "last_name": text(),
        "phone_number": text(),
        "is_manager": boolean,
        "password": text(1),
        "max_activations": amount,
        "total_activations": amount,
    },
    required=("email",),
)
ASSIGN_USERS = Body(
    members={
        "emails": list_of(Body(members={"email": email, "is_manager": boolean}, required=("email",)).problem, least=1)
    },
    required=("emails",),
)
UNASSIGN_USER = Body(members={"license_user_id": identifier, "license_user_email": email})
SET_USERS_ACTIVATIONS = MapBody(
    name=digits, entry=Body(members={"max_activations": amount, "reset_total_activations": boolean}).problem
)
UPDATE_USER = Body(members={"first_name": text(), "last_name": text()})
SET_PASSWORD = Body(members={"password": text(1)}, required=("password",))

_CUSTOMER: dict[str, Check] = {
    "email": email,
    "first_name": text(),
    "last_name": text(),
    "company_name": text(),
    "phone": text(),
    "reference": text(),
    "address": text(),
    "postcode": text(),
    "city": text(),
    "country": text(),
    "state": text(),
    "customer_account": identifier,
}
CREATE_CUSTOMER = Body(members=_CUSTOMER, required=("email",))
UPDATE_CUSTOMER = Body(members=_CUSTOMER)
