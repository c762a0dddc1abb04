"""What a new plan would change about one license, in words. Pure; license servers are not asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Final

from licensing_integration.domain.facts import Customer
from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.outcomes import LicenseState
from licensing_integration.domain.wording import format_day

# Fields of a desired license that a person cares about, in the order in which they are told.
_LABELS: Final[Mapping[str, str]] = {
    "state": "",
    "expires_at": "valid until",
    "expiry": "expiry",
    "server": "license server",
    "product_id": "license product",
    "template_id": "license template",
    "customer": "licensed to",
    "activations": "activations",
    "floating_clients": "floating seats",
    "users": "users",
    "max_consumptions": "consumptions",
    "interval": "interval",
    "periods": "paid periods",
    "license_type": "license type",
    "is_trial": "trial",
    "valid_duration": "lasts",
    "grace_hours": "hours of grace",
    "is_maintained": "maintenance",
    "maintenance_duration": "maintenance lasts",
    "maintenance_policy_id": "maintenance policy",
    "entitlement_set_id": "entitlement set",
    "max_release_version": "highest release",
    "features": "features",
    "custom_fields": "custom fields",
    "is_customer_manager": "customer manages it",
    "is_customer_user": "customer uses it",
    "end_date_note": "noted end",
}


def is_wanted(license: DesiredLicense | None) -> bool:
    """Whether a license is to be made for a slot that has none."""
    return license is not None and license.is_issuable and license.state is not LicenseState.ABSENT


def describe_effect(
    before: DesiredLicense | None, after: DesiredLicense, *, name: str, key: str, has_license: bool
) -> str:
    """One sentence on a slot, empty if nothing about it would change. ``name``: of what it is a license, such as
    ``Studio Team, unit 2``; ``key``: how people know the license, or that it has no key."""
    if has_license:
        changes = _changes(before, after)
        return f"License {key} of {name}: {'; '.join(changes)}." if changes else ""
    if not is_wanted(after):
        return f"No license would be made any more for {name}." if is_wanted(before) else ""
    if not is_wanted(before):
        return f"A license would be issued for {name}{_outlook(after)}."
    changes = _changes(before, after)
    return f"The license that is to be issued for {name}: {'; '.join(changes)}." if changes else ""


def _outlook(license: DesiredLicense) -> str:
    state = "" if license.state is LicenseState.ACTIVE else f", {license.state.value}"
    return f"{state}, valid until {format_day(license.expires_at)}" if license.expires_at else state


def _changes(before: DesiredLicense | None, after: DesiredLicense) -> list[str]:
    pairs = {name: (getattr(before, name, None), getattr(after, name)) for name in _LABELS}
    return [
        f"{_LABELS[name]} {_words(old)} → {_words(new)}".strip() for name, (old, new) in pairs.items() if old != new
    ]


def _words(value: object) -> str:
    for kind, describe in _WORDS.items():
        if isinstance(value, kind):
            return describe(value)
    return "not set" if value in (None, "") else str(value)


_WORDS: Final[Mapping[type, Callable[..., str]]] = {
    LicenseState: lambda state: "deleted" if state is LicenseState.ABSENT else state.value,
    datetime: format_day,
    date: lambda day: f"{day:%Y-%m-%d}",
    bool: lambda value: "yes" if value else "no",
    Customer: lambda customer: customer.email or "nobody",
    tuple: lambda values: ", ".join(values) or "none",
    Mapping: lambda values: ", ".join(f"{name} = {value}" for name, value in values.items()) or "none",
}
