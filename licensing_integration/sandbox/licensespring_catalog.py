"""Products with features, custom fields and license policies: what the account's owner sets up; the demo account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from licensing_integration.sandbox.licensespring_store import COMPANY_ID, LicenseSpringStore, ProductRecord
from licensing_integration.sandbox.records import Record

LICENSE_TYPES = ("perpetual", "time-limited", "subscription", "consumption")

# Members of a product that are the defaults of its licenses.
LICENSE_DEFAULTS: dict[str, Any] = {
    "valid_duration": None,
    "trial_days": None,
    "max_activations": None,
    "max_license_users": 1,
    "max_transfers": 0,
    "max_consumptions": None,
    "allow_overages": False,
    "max_overages": None,
    "reset_consumption": False,
    "consumption_period": None,
    "enable_maintenance_period": False,
    "maintenance_duration": None,
    "is_floating": False,
    "is_floating_cloud": False,
    "floating_users": None,
    "floating_timeout": None,
    "allow_grace_period": False,
    "grace_period": None,
    "prevent_vm": False,
}
_PRODUCT_ONLY: dict[str, Any] = {
    "active": True,
    "is_archived": False,
    "default_license_type": "perpetual",
    "subscription_duration": None,
    "allow_trial": False,
    "is_user_locked": False,
    "is_node_locked": True,
    "hardware_id_required": True,
    "metadata": {},
    "installation_files": [],
}
_FEATURE_DEFAULTS: dict[str, Any] = {
    "feature_type": "activation",
    "is_deleted": False,
    "max_consumption": 0,
    "allow_unlimited_consumptions": False,
    "allow_overages": False,
    "max_overages": 0,
    "reset_consumption": False,
    "consumption_period": None,
    "is_floating": False,
    "is_floating_cloud": False,
    "floating_users": None,
    "floating_timeout": None,
    "metadata": {},
}

DEMO_PRODUCTS: tuple[dict[str, Any], ...] = (
    {"short_code": "exampleapp", "name": "Example App"},
    {
        "short_code": "examplepro",
        "name": "Example Pro",
        "default_license_type": "subscription",
        "allow_trial": True,
        "trial_days": 14,
        "max_activations": 2,
        "features": ({"code": "reports", "name": "Reports"}, {"code": "export", "name": "Export"}),
        "custom_fields": ({"name": "Serial", "default_value": "0"},),
        "policies": {"studio": {"max_activations": 25}},
    },
    {
        "short_code": "exampleteam",
        "name": "Example Team",
        "authorization_method": "user",
        "default_license_type": "subscription",
        "allow_trial": True,
        "max_license_users": 5,
    },
    {
        "short_code": "examplemeter",
        "name": "Example Meter",
        "default_license_type": "consumption",
        "max_consumptions": 100,
        "features": ({"code": "render", "name": "Render", "feature_type": "consumption", "max_consumption": 50},),
    },
)


class Catalog:
    """Adds what the API offers no operation for. Every method returns the resource as the API shows it."""

    def __init__(self, store: LicenseSpringStore) -> None:
        self._store = store

    def add_product(
        self,
        *,
        short_code: str,
        name: str = "",
        authorization_method: str = "license-key",
        features: Iterable[Mapping[str, Any]] = (),
        custom_fields: Iterable[Mapping[str, Any]] = (),
        policies: Mapping[str, Mapping[str, Any]] | None = None,
        is_hidden: bool = False,
        **members: Any,
    ) -> dict[str, Any]:
        """``features`` / ``custom_fields``: keyword arguments for the methods below. ``policies``: license policy code
        -> the license members it sets. ``is_hidden``: exists, but not for the key. ``members``: wire members."""
        _refuse_others(members, known=LICENSE_DEFAULTS | _PRODUCT_ONLY)
        if members.get("default_license_type", "perpetual") not in LICENSE_TYPES:
            raise ValueError("no such license type")
        for policy in (policies or {}).values():
            _refuse_others(policy, known=LICENSE_DEFAULTS | {"license_type": None})
        data = {
            **self._store.head(),
            **LICENSE_DEFAULTS,
            **_PRODUCT_ONLY,
            **members,
            "product_name": name or short_code,
            "short_code": short_code,
            "authorization_method": authorization_method,
            "company": COMPANY_ID,
        }
        record = ProductRecord(data=data, stored_at=self._store.now, is_hidden=is_hidden)
        record.policies.update({code: dict(policy) for code, policy in (policies or {}).items()})
        self._store.products.add(record)
        for feature in features:
            self.add_feature(product=short_code, **feature)
        for custom_field in custom_fields:
            self.add_custom_field(product=short_code, **custom_field)
        return show_product(self._store, record)

    def add_feature(self, *, product: str, code: str, name: str = "", **members: Any) -> dict[str, Any]:
        """``product``: short code. ``members``: wire members, such as ``feature_type="consumption"``."""
        _refuse_others(members, known=_FEATURE_DEFAULTS)
        data = {
            **self._store.head(has_small_id=True),
            **_FEATURE_DEFAULTS,
            **members,
            "name": name or code,
            "code": code,
            "product": self._product(product).id,
        }
        return self._store.features.add(Record(data=data, stored_at=self._store.now)).data

    def add_custom_field(
        self,
        *,
        product: str,
        name: str,
        default_value: str | None = None,
        data_type: str | None = "text",
        allowed_values: Iterable[str] = (),
    ) -> dict[str, Any]:
        """``product``: short code. ``allowed_values``: the only ones it may have; none = any."""
        data = {
            "id": self._store.head(has_small_id=True)["id"],
            "name": name,
            "data_type": data_type,
            "default_value": default_value,
            "description": None,
            "product": self._product(product).id,
            "allowed_values": list(allowed_values),
        }
        return self._store.custom_fields.add(Record(data=data, stored_at=self._store.now)).data

    def ensure_product(self, short_code: str) -> None:
        """Make the product, key-based, if the account has none with this short code."""
        if not self._store.products.found_by("short_code", short_code):
            self.add_product(short_code=short_code, allow_trial=True)

    def _product(self, short_code: str) -> ProductRecord:
        found = self._store.products.found_by("short_code", short_code)
        if not found:
            raise ValueError(f"no product has the short code {short_code!r}")
        return found[0]


def show_product(store: LicenseSpringStore, product: ProductRecord) -> dict[str, Any]:
    """A product with its features and custom fields."""
    features = [found.data for found in store.features.found_by("product", product.id)]
    custom_fields = [found.data for found in store.custom_fields.found_by("product", product.id)]
    return {**product.data, "product_features": features, "custom_fields": custom_fields}


def _refuse_others(members: Mapping[str, Any], *, known: Mapping[str, Any]) -> None:
    unknown = members.keys() - known.keys()
    if unknown:
        raise ValueError(f"no such members: {sorted(unknown)}")
