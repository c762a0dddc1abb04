"""Licenses as values: what one should look like, and what the license server says it looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from licensing_integration.domain.facts import Customer
from licensing_integration.domain.outcomes import ExpiryMode, LicenseState


@dataclass(frozen=True, kw_only=True)
class DesiredLicense:
    """What one license should look like on its server; computed by planning, absolute, safe to apply twice.

    ``expires_at`` counts with ``ExpiryMode.PAID_THROUGH``; with ``INTERVAL`` only when the license had its end from a
    date before (a trial, an override). ``periods`` counts with ``ExpiryMode.INTERVAL`` only: the number of paid
    periods, the first one included (0 while on trial); issuing gives the current one. ``interval``: ISO 8601 duration,
    empty = the template's.
    ``is_issuable``: whether a license may be made for it; nobody pays for one that has ended, so it is only looked for.
    ``activations`` / ``floating_clients``: ``None`` = the template's. ``vendor_metadata`` is what the license server
    vendor's own store integration writes (and searches), for example ``{"fastspring_subscription_id": "…"}``.
    ``metadata`` is written on issue only, beside ``vendor_metadata`` and the slot reference.
    """

    state: LicenseState
    server: str
    product_id: str
    is_issuable: bool = True
    template_id: str = ""
    customer: Customer = field(default_factory=Customer)
    expiry: ExpiryMode = ExpiryMode.TEMPLATE
    expires_at: datetime | None = None
    interval: str = ""
    periods: int = 1
    activations: int | None = None
    floating_clients: int | None = None
    entitlement_set_id: str = ""
    max_release_version: str = ""
    vendor_metadata: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LicenseSnapshot:
    """A license as its server reported it. Datetimes are aware, UTC."""

    license_id: str
    key: str
    product_id: str
    state: LicenseState
    expires_at: datetime | None = None
    interval: str = ""
    activations: int | None = None
    floating_clients: int | None = None
    user_id: str = ""
    entitlement_set_id: str = ""
    max_release_version: str = ""
    created_at: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ServerProduct:
    """A product on the license server."""

    id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class LicenseTemplate:
    """A license template on the license server."""

    id: str
    name: str
