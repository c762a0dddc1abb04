"""Licenses as values: what one should look like, and what the license server says it looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from licensing_integration.domain.facts import Customer
from licensing_integration.domain.outcomes import ExpiryMode, LicenseState, LicenseType


@dataclass(frozen=True, kw_only=True)
class DesiredLicense:
    """What one license should look like on its server; computed by planning, absolute, safe to apply twice.

    ``expires_at`` counts with ``ExpiryMode.PAID_THROUGH``; with ``INTERVAL`` only when the license had its end from a
    date before (a trial, an override). ``periods`` counts with ``ExpiryMode.INTERVAL`` only: the number of paid
    periods, the first one included (0 while on trial); issuing gives the current one. ``interval``: ISO 8601 duration,
    empty = the template's.
    ``is_issuable``: whether a license may be made for it; nobody pays for one that has ended, so it is only looked for.
    ``activations`` / ``floating_clients``: ``None`` = the template's. ``vendor_metadata`` is what the license server
    vendor's own store integration writes (and searches), for example ``{"fastspring_subscription_id": "…"}``;
    ``searched_metadata`` is only searched: spellings of older integrations.
    ``metadata`` is written on issue only, beside ``vendor_metadata`` and the slot reference.

    What not every license server knows (a backend says in a note what it has no equivalent for; empty and ``None`` =
    the product's or template's): ``license_type``; ``is_trial``: nothing was paid yet; ``valid_duration`` and
    ``maintenance_duration``: ``N`` and ``d``, ``w``, ``m`` or ``y``, counted from the first activation;
    ``max_consumptions``; ``grace_hours`` a subscription stays valid after its end; ``users``: seats for named users,
    beside ``activations`` where only the server knows which of the two its product counts; ``is_floating_cloud``: the
    server itself hands out the floating seats; ``maintenance_policy_id``: where the server keeps maintenance lengths;
    ``features``: codes of features bought, in order of their names; ``custom_fields``: name → value;
    ``is_customer_manager`` / ``is_customer_user``: the customer manages, or uses, the license; ``end_date_note``: the
    day the subscription will end, to be noted on the license for people; ``is_test``: made for a test purchase, which
    counts when it is issued.
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
    searched_metadata: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    license_type: LicenseType | None = None
    is_trial: bool = False
    valid_duration: str = ""
    is_maintained: bool | None = None
    maintenance_duration: str = ""
    max_consumptions: int | None = None
    grace_hours: int | None = None
    users: int | None = None
    is_floating_cloud: bool = False
    maintenance_policy_id: str = ""
    features: tuple[str, ...] = ()
    custom_fields: Mapping[str, str] = field(default_factory=dict)
    is_customer_manager: bool | None = None
    is_customer_user: bool | None = None
    end_date_note: date | None = None
    is_test: bool = False


@dataclass(frozen=True, kw_only=True)
class LicenseSnapshot:
    """A license as its server reported it. Datetimes are aware, UTC. ``ends_with_day``: the server knows only days, and
    the license is valid through the whole of its last one (UTC)."""

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
    license_type: str = ""
    is_trial: bool = False
    users: int | None = None
    features: tuple[str, ...] = ()
    note: str = ""
    maintenance_policy_id: str = ""
    ends_with_day: bool = False


@dataclass(frozen=True, kw_only=True)
class ServerProduct:
    """A product on the license server. ``template_id``: the template its licenses are made by where nothing else is
    said; empty where the server does not tell."""

    id: str
    name: str
    template_id: str = ""


@dataclass(frozen=True, kw_only=True)
class LicenseTemplate:
    """A license template on the license server."""

    id: str
    name: str
