"""Customers in the emulated LicenseSpring API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from licensing_integration.sandbox.licensespring_call import Call, find, shown_data
from licensing_integration.sandbox.licensespring_errors import wrong_field
from licensing_integration.sandbox.licensespring_store import COMPANY_ID
from licensing_integration.sandbox.records import Record

_TEXTS = (
    "email",
    "first_name",
    "last_name",
    "company_name",
    "phone",
    "reference",
    "address",
    "postcode",
    "city",
    "country",
    "state",
)


def list_customers(call: Call) -> Any:
    return call.page(call.store.customers, show=shown_data, is_delayed=True)


def get_customer(call: Call) -> Any:
    return find(call.store.customers, call.id).data


def create_customer(call: Call) -> Any:
    _check_account(call)
    _check_email(call, own=None)
    return _add(call, call.body).data


def update_customer(call: Call) -> Any:
    customer = find(call.store.customers, call.id)
    if not call.body:
        raise wrong_field("", "Nothing to change.")
    _check_account(call)
    _check_email(call, own=customer)
    _overwrite(call, customer, call.body)
    return customer.data


def customer_of_order(call: Call) -> Record | None:
    """The customer an order is for: a new one, or one the account has, as the options say."""
    wanted = call.body.get("customer")
    if not wanted:
        return None
    present = _matching(call, wanted)
    if present is None:
        return _add(call, wanted)
    if call.options.customer_overwritten:
        _overwrite(call, present, wanted)
    return present


def _matching(call: Call, wanted: Mapping[str, Any]) -> Record | None:
    if call.options.customer_match == "never" or "email" not in wanted:
        return None
    found = call.store.customers.found_by("email", wanted["email"])
    if call.options.customer_match == "email_and_reference":
        found = [entry for entry in found if entry.data["reference"] == wanted.get("reference", "")]
    return found[0] if found else None


def _add(call: Call, wanted: Mapping[str, Any]) -> Record:
    data = {
        **call.store.head(has_small_id=True),
        **{name: wanted.get(name, "") for name in _TEXTS},
        "company": COMPANY_ID,  # the vendor's account, not where the customer works
        "metadata": {},
        "total_orders": 0,
        "total_licenses": 0,
        "labels": [],
        "license_user": None,
    }
    return call.store.customers.add(Record(data=data, stored_at=call.store.now))


def _overwrite(call: Call, customer: Record, wanted: Mapping[str, Any]) -> None:
    customer.data.update({name: wanted[name] for name in _TEXTS if name in wanted})
    call.store.touch(customer)
    call.store.customers.index(customer)


def _check_account(call: Call) -> None:
    if "customer_account" in call.body:
        raise wrong_field("customer_account", "There is no such customer account.")


def _check_email(call: Call, *, own: Record | None) -> None:
    if call.options.duplicate_customers == "allow" or "email" not in call.body:
        return
    if any(other is not own for other in call.store.customers.found_by("email", call.body["email"])):
        raise wrong_field("email", "A customer with this email exists.")
