"""How the emulated LicenseSpring API shows orders, licenses and the people around them."""

from __future__ import annotations

from typing import Any

from licensing_integration.sandbox.licensespring_store import (
    LicenseRecord,
    LicenseSpringStore,
    OrderRecord,
    Seat,
)
from licensing_integration.sandbox.records import Record

_PRODUCT_OF_LICENSE = (
    "id",
    "product_name",
    "short_code",
    "authorization_method",
    "default_license_type",
    "allow_trial",
    "trial_days",
    "is_floating",
    "metadata",
    "company",
)


def show_license(store: LicenseSpringStore, record: LicenseRecord) -> dict[str, Any]:
    """A license with everything around it; its users' first passwords included, as the API does."""
    status, devices = record.status, store.devices.found_by("license", record.id)
    active = sum(1 for device in devices if device.data["device_active"])
    users = [show_seat(seat) for seat in record.seats.values()]
    shown = {
        **record.data,
        "validity_period": _shown_day(record.data["validity_period"], store=store),
        "status": status.capitalize() if store.options.is_status_capitalised else status,
        "active": status == "active",
        "order": record.order.id,
        "order_store_id": record.order.data["store_id"],
        "customer": None if record.customer is None else show_customer(store, record.customer),
        "product": {name: record.product.data[name] for name in _PRODUCT_OF_LICENSE},
        "product_features": [found.data for found in store.license_features.found_by("license", record.id)],
        "product_custom_fields": _custom_fields(store, record),
        "license_users": users,
        "license_user": users[0] if users else None,
        "total_active_devices": active,
        "active_up_to_date_devices": active,
    }
    if store.options.unlimited_shown:
        shown["allow_unlimited_activation"] = record.is_unlimited
    return shown


def show_order(store: LicenseSpringStore, record: OrderRecord) -> dict[str, Any]:
    """An order with its items and their licenses."""
    licenses = [show_license(store, found) for found in store.licenses.found_by("order", record.id)]
    items = [
        {**item, "licenses": [entry for entry in licenses if entry["order_item"] == item["id"]]}
        for item in record.items.values()
    ]
    names = ("client_order_id", "store_id")
    wanted = store.options.order_id_name
    return {
        **{name: value for name, value in record.data.items() if name != "store_id"},
        **{name: record.data["store_id"] for name in names if wanted in (name, "both")},
        store.options.order_items_name: items,
        "customer": None if record.customer is None else show_customer(store, record.customer),
        "has_active_licenses": any(entry["active"] for entry in licenses),
        "is_trial": any(entry["is_trial"] for entry in licenses),
    }


def show_customer(store: LicenseSpringStore, record: Record) -> dict[str, Any]:
    return record.data


def show_seat(seat: Seat) -> dict[str, Any]:
    """A license user as one of its licenses shows it."""
    return {
        **seat.user.data,
        "is_manager": seat.is_manager,
        "max_activations": seat.max_activations,
        "total_activations": seat.total_activations,
    }


def _custom_fields(store: LicenseSpringStore, record: LicenseRecord) -> list[dict[str, Any]]:
    """Every custom field of the product with the value that holds for this license."""
    own = {found.data["product_custom_field"]: found.data for found in store.overrides.found_by("license", record.id)}
    shown = []
    for found in store.custom_fields.found_by("product", record.product.id):
        override = own.get(found.id)
        value = found.data["default_value"] if override is None else override["value"]
        shown.append({"name": found.data["name"], "value": value, "data_type": found.data["data_type"]})
    return shown


def _shown_day(day: str | None, *, store: LicenseSpringStore) -> str | None:
    if day is None or day.startswith("0000") or store.options.expiry_shown == "date":
        return day
    return f"{day}T00:00:00Z"
