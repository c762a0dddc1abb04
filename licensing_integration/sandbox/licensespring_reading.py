"""What the emulated LicenseSpring API only lets read: products, what they offer, histories; and devices."""

from __future__ import annotations

from functools import partial
from typing import Any

from licensing_integration.sandbox.licensespring_call import Call, find, shown_data
from licensing_integration.sandbox.licensespring_catalog import show_product
from licensing_integration.sandbox.licensespring_errors import no_such
from licensing_integration.sandbox.licensespring_licenses import start_term
from licensing_integration.sandbox.licensespring_moments import to_stamp
from licensing_integration.sandbox.licensespring_store import LicenseRecord, LicenseSpringStore
from licensing_integration.sandbox.records import Record


def list_products(call: Call) -> Any:
    return call.page(
        call.store.products, show=partial(show_product, call.store), is_wanted=lambda record: not record.is_hidden
    )


def get_product(call: Call) -> Any:
    product = find(call.store.products, call.id)
    if product.is_hidden:
        raise no_such("product")
    return show_product(call.store, product)


def list_product_features(call: Call) -> Any:
    return call.page(call.store.features, show=shown_data, is_wanted=partial(_is_visible, call))


def list_custom_fields(call: Call) -> Any:
    return call.page(call.store.custom_fields, show=shown_data, is_wanted=partial(_is_visible, call))


def list_histories(call: Call) -> Any:
    return call.page(call.store.histories, show=shown_data)


def get_history(call: Call) -> Any:
    return find(call.store.histories, call.id).data


def list_devices(call: Call) -> Any:
    return call.page(call.store.devices, show=shown_data)


def reset_device(call: Call) -> Any:
    device = find(call.store.devices, call.id)
    if device.data["device_active"]:
        device.data.update(device_active=False, time_deactivated=to_stamp(call.store.now))
        call.store.licenses.get(device.data["license"]).data["times_activated"] -= 1
    return {"message": "Device reset."}


def _is_visible(call: Call, record: Record) -> bool:
    return not call.store.products.get(record.data["product"]).is_hidden


def activate_device(store: LicenseSpringStore, record: LicenseRecord, *, hardware_id: str) -> None:
    """What an activation by a customer's machine does; ``ValueError`` if the license does not allow it."""
    data, now = record.data, store.now
    if not data["enabled"]:
        raise ValueError("the license is disabled")
    if data["validity_period"] is not None and data["validity_period"] < store.today.isoformat():
        raise ValueError("the license has expired")
    if data["times_activated"] >= data["max_activations"] and not record.is_unlimited:
        raise ValueError("the license has no activation left")
    stamp = to_stamp(now)
    device = {
        **store.head(has_small_id=True),
        "license": record.id,
        "hardware_id": hardware_id,
        "hostname": None,
        "device_active": True,
        "blacklisted": False,
        "floating_in_use": False,
        "time_activated": stamp,
        "time_deactivated": None,
        "last_check": stamp,
    }
    store.devices.add(Record(data=device, stored_at=now))
    data.update(times_activated=data["times_activated"] + 1, last_check=stamp, updated_at=stamp)
    if data["time_activated"] is None:
        data["time_activated"] = stamp
        start_term(record, today=store.today)
    store.note(record, "License activated.")
