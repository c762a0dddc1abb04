"""The operations the emulated LicenseSpring Management API offers. Every path ends in a slash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from licensing_integration.sandbox import licensespring_customers as customers
from licensing_integration.sandbox import licensespring_features as features
from licensing_integration.sandbox import licensespring_licenses as licenses
from licensing_integration.sandbox import licensespring_lists as lists
from licensing_integration.sandbox import licensespring_orders as orders
from licensing_integration.sandbox import licensespring_reading as reading
from licensing_integration.sandbox import licensespring_schema as schema
from licensing_integration.sandbox import licensespring_users as users
from licensing_integration.sandbox.body_checks import Schema
from licensing_integration.sandbox.router import Operation

ROOT = "/api/v1"
GENERATE_KEYS = f"{ROOT}/orders/generate_license/"
CREATE_ORDER = f"{ROOT}/orders/create_order/"

Handler = Callable[[Any], Any]


def _list(path: str, handler: Handler, filters: lists.Filters) -> Operation:
    return Operation(method="GET", path=f"{ROOT}/{path}/", handler=handler, filters=filters)


def _get(path: str, handler: Handler) -> Operation:
    return Operation(method="GET", path=f"{ROOT}/{path}/", handler=handler)


def _post(path: str, handler: Handler, body: Schema = schema.EMPTY, *, status: int = 200) -> Operation:
    return Operation(method="POST", path=f"{ROOT}/{path}/", handler=handler, body=body, status=status)


def _patch(path: str, handler: Handler, body: Schema) -> Operation:
    return Operation(method="PATCH", path=f"{ROOT}/{path}/", handler=handler, body=body)


def _delete(path: str, handler: Handler) -> Operation:
    return Operation(method="DELETE", path=f"{ROOT}/{path}/", handler=handler, status=204)


OPERATIONS: tuple[Operation, ...] = (
    _get("orders/generate_license", orders.generate_keys),
    _post("orders/create_order", orders.create_order, schema.CREATE_ORDER),
    _list("orders", orders.list_orders, lists.ORDERS),
    _get("orders/{id}", orders.get_order),
    _patch("orders/{id}", orders.update_order, schema.UPDATE_ORDER),
    _get("orders/{id}/managers", orders.list_managers),
    _post("orders/{id}/add_manager", orders.add_manager, schema.ADD_MANAGER),
    _post("orders/{id}/remove_manager", orders.remove_manager, schema.REMOVE_MANAGER),
    _list("licenses", licenses.list_licenses, lists.LICENSES),
    _patch("licenses/bulk_update", licenses.bulk_update, schema.BULK_UPDATE),
    _post("licenses/disable_bulk", licenses.disable_bulk, schema.LICENSE_IDS),
    _post("licenses/reset_bulk", licenses.reset_bulk, schema.LICENSE_IDS),
    _get("licenses/{id}", licenses.get_license),
    _patch("licenses/{id}", licenses.update_license, schema.PATCH_LICENSE),
    _post("licenses/{id}/enable", licenses.enable),
    _post("licenses/{id}/disable", licenses.disable),
    _post("licenses/{id}/reset", licenses.reset),
    _post("licenses/{id}/reset_consumption", licenses.reset_consumption),
    _post("licenses/{id}/update_features", features.replace_features, schema.UPDATE_FEATURES),
    _post("licenses/{id}/assign_user", users.assign_user, schema.ASSIGN_USER),
    _post("licenses/{id}/assign_users", users.assign_users, schema.ASSIGN_USERS),
    _post("licenses/{id}/unassign_user", users.unassign_user, schema.UNASSIGN_USER),
    _post("licenses/{id}/set_users_activations", users.set_users_activations, schema.SET_USERS_ACTIVATIONS),
    _list("license-users", users.list_users, lists.LICENSE_USERS),
    _get("license-users/{id}", users.get_user),
    _patch("license-users/{id}", users.update_user, schema.UPDATE_USER),
    _post("license-users/{id}/set_password", users.set_password, schema.SET_PASSWORD),
    _list("license-product-features", features.list_features, lists.OF_LICENSE),
    _delete("license-product-features/{id}", features.delete_feature),
    _list("license-custom-fields", features.list_overrides, lists.OF_LICENSE),
    _post("license-custom-fields", features.create_override, schema.CREATE_OVERRIDE, status=201),
    _patch("license-custom-fields/{id}", features.update_override, schema.UPDATE_OVERRIDE),
    _list("license-histories", reading.list_histories, lists.HISTORIES),
    _get("license-histories/{id}", reading.get_history),
    _list("customers", customers.list_customers, lists.CUSTOMERS),
    _post("customers", customers.create_customer, schema.CREATE_CUSTOMER, status=201),
    _get("customers/{id}", customers.get_customer),
    _patch("customers/{id}", customers.update_customer, schema.UPDATE_CUSTOMER),
    _list("products", reading.list_products, lists.PRODUCTS),
    _get("products/{id}", reading.get_product),
    _list("product-features", reading.list_product_features, lists.PRODUCT_FEATURES),
    _list("product-custom-fields", reading.list_custom_fields, lists.PRODUCT_CUSTOM_FIELDS),
    _list("devices", reading.list_devices, lists.DEVICES),
    _post("devices/{id}/reset", reading.reset_device),
)
