"""Products, license templates and the other things an account owner sets up; and the demo account."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from licensing_integration.sandbox.cryptlex_store import CryptlexStore, Record, new_id
from licensing_integration.sandbox.moments import is_interval, to_wire

# The vendor's documented default.
DEFAULT_KEY_PATTERN = "^([A-F0-9]{6}-){5}[A-F0-9]{6}$"

# What a license template and a license have in common.
TEMPLATE_DEFAULTS: dict[str, Any] = {
    "fingerprintMatchingStrategy": "fuzzy",
    "allowedActivations": 1,
    "allowedDeactivations": 10,
    "type": "node-locked",
    "allowedFloatingClients": 0,
    "serverSyncGracePeriod": 2592000,
    "serverSyncInterval": 3600,
    "allowedClockOffset": 60,
    "cryptoBindingEnabled": False,
    "expiringSoonEventOffset": 604800,
    "leaseDuration": 0,
    "leasingStrategy": "per-machine",
    "allowVmActivation": True,
    "allowContainerActivation": False,
    "allowClientLeaseDuration": False,
    "userLocked": False,
    "requireAuthentication": False,
    "disableGeoLocation": False,
    "subscriptionInterval": None,
    "subscriptionStartTrigger": "creation",
    "validity": None,
    "expirationStrategy": None,
    "allowedIpRange": None,
    "allowedIpRanges": [],
    "allowedIpAddresses": [],
    "disallowedIpAddresses": [],
    "allowedCountries": [],
    "disallowedCountries": [],
}

DEMO_TEMPLATES: tuple[dict[str, Any], ...] = (
    {"id": "0b0f5a3a-6f1e-4d52-8b6c-0a1d2c3b4e01", "name": "Perpetual"},
    {"id": "0b0f5a3a-6f1e-4d52-8b6c-0a1d2c3b4e02", "name": "Monthly subscription", "interval": "P1M"},
    {"id": "0b0f5a3a-6f1e-4d52-8b6c-0a1d2c3b4e03", "name": "Yearly subscription", "interval": "P1Y"},
    {
        "id": "0b0f5a3a-6f1e-4d52-8b6c-0a1d2c3b4e04",
        "name": "Floating, yearly",
        "interval": "P1Y",
        "type": "hosted-floating",
        "allowedActivations": 5,
    },
)
DEMO_PRODUCTS: tuple[dict[str, Any], ...] = (
    {"id": "6d1f2f5e-2a1e-4a53-9f0e-3f7f7c1c5a11", "name": "Example App", "template_id": DEMO_TEMPLATES[0]["id"]},
    {"id": "6d1f2f5e-2a1e-4a53-9f0e-3f7f7c1c5a12", "name": "Example Pro", "template_id": DEMO_TEMPLATES[1]["id"]},
    {"id": "6d1f2f5e-2a1e-4a53-9f0e-3f7f7c1c5a13", "name": "Example Team", "template_id": DEMO_TEMPLATES[3]["id"]},
)
DEMO_ENTITLEMENT_SETS: tuple[dict[str, Any], ...] = (
    {"id": "9a3c1e70-5b2d-4f86-8c1a-7d4e2f6b0c01", "name": "standard", "display_name": "Standard", "tier": 1},
    {"id": "9a3c1e70-5b2d-4f86-8c1a-7d4e2f6b0c02", "name": "professional", "display_name": "Professional", "tier": 2},
)


class Catalog:
    """Adds what the API itself offers no operation for here. Every method returns the resource as the API shows it."""

    def __init__(self, store: CryptlexStore, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    def add_template(
        self,
        *,
        id: str = "",
        name: str = "Template",
        interval: str | None = None,
        key_pattern: str = DEFAULT_KEY_PATTERN,
        required_metadata_keys: Sequence[str] = (),
        required_meter_attributes: Sequence[str] = (),
        **members: Any,
    ) -> dict[str, Any]:
        """``members``: further members of the API's license template, by their wire names."""
        unknown = members.keys() - TEMPLATE_DEFAULTS.keys()
        if unknown or not is_interval(interval or ""):
            raise ValueError(f"no members of a license template: {sorted(unknown) or interval}")
        re.compile(key_pattern)
        data = {
            **TEMPLATE_DEFAULTS,
            **members,
            "name": name,
            "subscriptionInterval": interval or None,
            "keyPattern": key_pattern,
            "requiredMetadataKeys": list(required_metadata_keys),
            "requiredMeterAttributes": list(required_meter_attributes),
        }
        return self._add(self._store.templates, id, data)

    def add_product(
        self, *, id: str = "", name: str = "Product", template_id: str = "", metadata: Sequence[dict[str, Any]] = ()
    ) -> dict[str, Any]:
        """Without ``template_id`` the oldest template of the account becomes the default one, made if there is none."""
        template_id = template_id or self._oldest_template_id()
        if template_id not in self._store.templates.records:
            raise ValueError("a product needs an existing template")
        data = {
            "name": name,
            "displayName": name,
            "description": "",
            "publicKey": "",
            "totalLicenses": 0,
            "totalTrialActivations": 0,
            "totalReleases": 0,
            "totalProductVersions": 0,
            "totalFeatureFlags": 0,
            "automatedEmails": [],
            "licenseTemplateId": template_id,
            "trialPolicyId": None,
            "metadata": list(metadata),
        }
        return self._add(self._store.products, id, data)

    def add_entitlement_set(
        self,
        *,
        id: str = "",
        name: str = "set",
        display_name: str = "",
        product_ids: Sequence[str] | None = None,
        tier: int = 0,
        features: Sequence[str] = (),
    ) -> dict[str, Any]:
        """``features``: ids of features the set grants. Without ``product_ids`` the set belongs to all products."""
        ids = list(self._store.products.records) if product_ids is None else list(product_ids)
        shown = display_name or name
        data = {"name": name, "displayName": shown, "description": None, "tier": tier, "productIds": ids}
        entitlement_set = self._add(self._store.entitlement_sets, id, data)
        for feature_id in features:
            feature = self._store.features.get(feature_id).data
            grant = {"featureId": feature_id, "featureName": feature["name"], "value": None}
            self._add(self._store.set_entitlements, "", {**grant, "entitlementSetId": entitlement_set["id"]})
        return entitlement_set

    def add_feature(self, *, id: str = "", name: str = "feature", display_name: str = "") -> dict[str, Any]:
        data = {"name": name, "displayName": display_name or name, "description": None}
        return self._add(self._store.features, id, data)

    def add_maintenance_policy(
        self,
        *,
        id: str = "",
        name: str = "Maintenance",
        interval: str | None = "P1Y",
        trigger: str = "license-creation",
    ) -> dict[str, Any]:
        data = {
            "name": name,
            "validity": None,
            "expirationStrategy": None,
            "subscriptionInterval": interval,
            "subscriptionStartTrigger": trigger,
            "allowMajorVersionUpdates": True,
            "allowMinorVersionUpdates": True,
        }
        return self._add(self._store.maintenance_policies, id, data)

    def ensure_template(self, template_id: str) -> None:
        """Make the template if the account has none with this id."""
        if template_id not in self._store.templates.records:
            self.add_template(id=template_id, name=f"Template {template_id}")

    def ensure_product(self, product_id: str, *, template_id: str = "") -> None:
        """Make the product if the account has none with this id."""
        if product_id not in self._store.products.records:
            self.add_product(id=product_id, name=f"Product {product_id}", template_id=template_id)

    def ensure_entitlement_set(self, set_id: str) -> None:
        """Make the entitlement set if the account has none with this id."""
        if set_id not in self._store.entitlement_sets.records:
            self.add_entitlement_set(id=set_id, name=f"set {set_id}")

    def _oldest_template_id(self) -> str:
        if not len(self._store.templates):
            self.add_template(name="Default")
        return str(next(iter(self._store.templates)).id)

    def _add(self, collection: Any, record_id: str, data: dict[str, Any]) -> dict[str, Any]:
        now = self._clock()
        stamp = to_wire(now)
        head = {"id": record_id or new_id(), "createdAt": stamp, "updatedAt": stamp}
        shown: dict[str, Any] = collection.add(Record(data={**head, **data}, stored_at=now)).data
        return shown
