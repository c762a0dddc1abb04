"""Which filters each list of the emulated LicenseSpring API knows (documentation pages and the vendor's collection)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from licensing_integration.sandbox.licensespring_filters import (
    ORDER_BY,
    Filter,
    OrderBy,
    contains,
    equals,
    equals_in_any_case,
    read_boolean,
    read_integer,
    read_integers,
    starts,
)
from licensing_integration.sandbox.licensespring_moments import day_of
from licensing_integration.sandbox.licensespring_store import LicenseRecord, OrderRecord
from licensing_integration.sandbox.records import Record

Getter = Callable[[Any], Any]
Filters = Mapping[str, Filter | OrderBy]


def _member(name: str) -> Getter:
    return lambda record: record.data[name]


def _customer(name: str) -> Getter:
    return lambda record: None if record.customer is None else record.customer.data[name]


def _customer_name(record: LicenseRecord | OrderRecord) -> str | None:
    customer = record.customer
    return None if customer is None else f"{customer.data['first_name']} {customer.data['last_name']}"


def _nothing(record: Record) -> None:
    """Customer accounts are not emulated: nobody has one."""
    return None


def _exact(get: Getter, *, index: str = "", many: bool = False) -> Filter:
    return Filter(read=str, get=get, fits=equals, index=index, many=many, is_text=True)


def _containing(get: Getter, *, many: bool = False) -> Filter:
    return Filter(read=str, get=get, fits=contains, many=many)


def _starting(get: Getter) -> Filter:
    return Filter(read=str, get=get, fits=starts)


def _number(get: Getter, *, index: str = "", many: bool = False) -> Filter:
    return Filter(read=read_integer, get=get, fits=equals, index=index, many=many)


def _flag(get: Getter) -> Filter:
    return Filter(read=read_boolean, get=get, fits=equals)


def _in(get: Getter) -> Filter:
    return Filter(read=read_integers, get=get, fits=lambda actual, wanted: actual in wanted)


def _read_day(text: str) -> str:
    day = day_of(text)
    if day is None:
        raise ValueError("a date is required")
    return day


def _day(get: Getter, compare: Callable[[str, str], bool]) -> Filter:
    return Filter(read=_read_day, get=get, fits=lambda actual, wanted: actual is not None and compare(actual, wanted))


def _moment(get: Getter, compare: Callable[[str, str], bool]) -> Filter:
    return Filter(read=str, get=get, fits=compare)


def _ordering(*members: str) -> Filters:
    return {ORDER_BY: OrderBy(members=frozenset({"id", "created_at", *members}))}


def _above(actual: str, wanted: str) -> bool:
    return actual > wanted


def _at_least(actual: str, wanted: str) -> bool:
    return actual >= wanted


def _below(actual: str, wanted: str) -> bool:
    return actual < wanted


def _at_most(actual: str, wanted: str) -> bool:
    return actual <= wanted


def _seat_emails(record: LicenseRecord) -> list[str]:
    return [seat.user.data["true_email"] for seat in record.seats.values()]


def _manager_emails(record: LicenseRecord) -> list[str]:
    own = [seat.user for seat in record.seats.values() if seat.is_manager]
    return [user.data["true_email"] for user in [*own, *record.order.managers]]


_STORE_ID: Getter = lambda record: record.order.data["store_id"]  # noqa: E731 - one of many getters
_CUSTOMER_ID: Getter = lambda record: None if record.customer is None else record.customer.id  # noqa: E731

ORDERS: Filters = {
    **_ordering("updated_at"),
    "store_id": _exact(_member("store_id"), index="store_id"),
    "store_id__startswith": _starting(_member("store_id")),
    "store_id__icontains": _containing(_member("store_id")),
    "customer_id": _number(_CUSTOMER_ID),
    "customer_email": _exact(_customer("email")),
    "customer__email": _exact(_customer("email")),
    "customer__email__icontains": _containing(_customer("email")),
    "customer_reference__icontains": _containing(_customer("reference")),
}

LICENSES: Filters = {
    **_ordering("updated_at", "validity_period", "license_key"),
    "id__in": _in(_member("id")),
    "license_key": _exact(_member("license_key"), index="license_key"),
    "license_key__startswith": _starting(_member("license_key")),
    "license_key__icontains": _containing(_member("license_key")),
    "license_key__isnull": _flag(lambda record: record.data["license_key"] is None),
    "order__store_id": _exact(_STORE_ID, index="order__store_id"),
    "order__store_id__startswith": _starting(_STORE_ID),
    "order__store_id__icontains": _containing(_STORE_ID),
    "subscription_id": _exact(_member("subscription_id")),
    "customer_id": _number(_CUSTOMER_ID),
    "customer_email": _exact(_customer("email")),
    "customer_email__icontains": _containing(_customer("email")),
    "customer__reference__icontains": _containing(_customer("reference")),
    "customer_name__icontains": _containing(_customer_name),
    "customer_company_name__icontains": _containing(_customer("company_name")),
    "product_id": _number(lambda record: record.product.id),
    "product_name__icontains": _containing(lambda record: record.product.data["product_name"]),
    "note__icontains": _containing(_member("note")),
    "license_users__id": _number(lambda record: list(record.seats), index="license_users__id", many=True),
    "license_users__true_email": _exact(_seat_emails, many=True),
    "license_users__true_email__icontains": _containing(_seat_emails, many=True),
    "manager__true_email": _exact(_manager_emails, many=True),
    "manager__true_email__icontains": _containing(_manager_emails, many=True),
    "is_any_floating": _flag(lambda record: record.data["is_floating"] or record.data["is_floating_cloud"]),
    "enabled": _flag(_member("enabled")),
    "validity_period__gt": _day(_member("validity_period"), _above),
    "validity_period__gte": _day(_member("validity_period"), _at_least),
    "validity_period__lt": _day(_member("validity_period"), _below),
    "validity_period__lte": _day(_member("validity_period"), _at_most),
    "customer__account": _number(_nothing),
    "customer__account__code": _exact(_nothing),
}

LICENSE_USERS: Filters = {
    "true_email__iexact": Filter(read=str, get=_member("true_email"), fits=equals_in_any_case),
    "true_email__icontains": _containing(_member("true_email")),
    "first_name__icontains": _containing(_member("first_name")),
    "last_name__icontains": _containing(_member("last_name")),
    "is_license_manager": _flag(_member("is_manager")),
    "managing_orders__isnull": _flag(lambda record: not record.data["is_manager"]),
    "license__order__customer_account": _number(_nothing),
}

CUSTOMERS: Filters = {
    "email": _exact(_member("email"), index="email"),
    "email__icontains": _containing(_member("email")),
    "email__startswith": _starting(_member("email")),
    "company_name__icontains": _containing(_member("company_name")),
    "first_name__icontains": _containing(_member("first_name")),
    "last_name__icontains": _containing(_member("last_name")),
    "phone__icontains": _containing(_member("phone")),
    "reference__exact": _exact(_member("reference")),
    "reference": _exact(_member("reference")),
    "reference__icontains": _containing(_member("reference")),
    "reference__startswith": _starting(_member("reference")),
    "label__in": Filter(read=str, get=_nothing, fits=equals),
    "account": _number(_nothing),
    "account__code": _exact(_nothing),
}

PRODUCTS: Filters = {
    **_ordering("updated_at", "short_code", "product_name"),
    "short_code": _exact(_member("short_code"), index="short_code"),
    "is_archived": _flag(_member("is_archived")),
}
PRODUCT_FEATURES: Filters = {"product": _number(_member("product"), index="product")}
PRODUCT_CUSTOM_FIELDS: Filters = {}  # none is documented: the product shows its fields
OF_LICENSE: Filters = {"license": _number(_member("license"), index="license")}
HISTORIES: Filters = {
    **OF_LICENSE,
    "ts__gte": _moment(_member("ts"), _at_least),
    "ts__lte": _moment(_member("ts"), _at_most),
    "ts__date__gte": _day(lambda record: record.data["ts"][:10], _at_least),
    "ts__date__lte": _day(lambda record: record.data["ts"][:10], _at_most),
    "text": _exact(_member("text")),
    "text__icontains": _containing(_member("text")),
    "product__in": _in(lambda record: record.product_id),
}
DEVICES: Filters = {
    **_ordering("hostname"),
    **OF_LICENSE,
    "blacklisted": _flag(_member("blacklisted")),
    "hostname": _exact(_member("hostname")),
    "hardware_id": _exact(_member("hardware_id")),
}
