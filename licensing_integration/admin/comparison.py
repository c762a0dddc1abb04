"""A license field by field: what is wanted and why, and what the license server last reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from licensing_integration.domain.licenses import DesiredLicense, LicenseSnapshot
from licensing_integration.domain.outcomes import ExpiryMode, LicenseState
from licensing_integration.models import LicenseLink
from licensing_integration.services.codec import from_json

NOT_SAID = "as the license template says"
UNKNOWN = "not reported yet"
GONE = "no license there"

_PLAN = "the purchase"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table. ``is_different``: the server reports something else than is wanted."""

    label: str
    wanted: str
    reported: str
    origin: str = ""
    is_different: bool = False


def compare(link: LicenseLink) -> list[Row]:
    """Every field worth showing. Fields the server does not report, or that are left to the template, never differ."""
    wanted = from_json(link.desired, DesiredLicense)
    reported = from_json(link.observed, LicenseSnapshot) if link.observed else None
    origins: Mapping[str, str] = (link.item.terms or {}).get("origins", {})
    names = {
        "License product": ("product_id", "product_id"),
        "Activations": ("activations", "quantity_mode"),
        "Floating seats": ("floating_clients", "quantity_mode"),
        "Entitlement set": ("entitlement_set_id", "entitlement_set_id"),
        "Highest release": ("max_release_version", "max_release_version"),
    }
    rows = [_row(label, wanted, reported, *pair, origins) for label, pair in names.items()]
    state = _state_row(wanted, reported, has_override=bool(link.override_state))
    if wanted.state is LicenseState.ABSENT and reported is None:
        return [replace(state, reported=GONE)]
    return [
        state,
        _expiry_row(wanted, reported, origins, has_override=link.override_expires_at is not None),
        *_wanted_only(wanted, origins),
        *rows,
    ]


def _row(
    label: str,
    wanted: DesiredLicense,
    reported: LicenseSnapshot | None,
    name: str,
    origin_name: str,
    origins: Mapping[str, str],
) -> Row:
    want = getattr(wanted, name)
    have = getattr(reported, name) if reported else None
    is_said = want not in (None, "")
    return Row(
        label=label,
        wanted=str(want) if is_said else NOT_SAID,
        reported=_reported(have, reported),
        origin=origins.get(origin_name, "") if is_said else origins.get(name, ""),
        is_different=is_said and reported is not None and want != have,
    )


def _reported(value: Any, reported: LicenseSnapshot | None) -> str:
    if reported is None:
        return UNKNOWN
    return "none" if value in (None, "") else str(value)


def _state_row(wanted: DesiredLicense, reported: LicenseSnapshot | None, *, has_override: bool) -> Row:
    return Row(
        label="State",
        wanted=wanted.state.value,
        reported=reported.state.value if reported else UNKNOWN,
        origin="override" if has_override else _PLAN,
        is_different=reported is not None and reported.state is not wanted.state,
    )


def _expiry_row(
    wanted: DesiredLicense, reported: LicenseSnapshot | None, origins: Mapping[str, str], *, has_override: bool
) -> Row:
    words = {
        ExpiryMode.PAID_THROUGH: _moment(wanted.expires_at),
        ExpiryMode.INTERVAL: f"{wanted.periods} paid period{'' if wanted.periods == 1 else 's'}",
        ExpiryMode.PERPETUAL: "never",
        ExpiryMode.TEMPLATE: NOT_SAID,
    }
    goal = {ExpiryMode.PAID_THROUGH: wanted.expires_at, ExpiryMode.PERPETUAL: None}
    is_dated = wanted.expiry in goal and reported is not None
    return Row(
        label="Expires",
        wanted=words[wanted.expiry],
        reported=_moment(reported.expires_at) if reported else UNKNOWN,
        origin="override" if has_override else origins.get("expiry", ""),
        is_different=is_dated and reported is not None and reported.expires_at != goal[wanted.expiry],
    )


def _wanted_only(wanted: DesiredLicense, origins: Mapping[str, str]) -> list[Row]:
    """Fields that are written when the license is issued; the server does not report them in comparable words."""
    texts = {
        "License template": (wanted.template_id or "the product's default", origins.get("template_id", "")),
        "Interval": (wanted.interval or NOT_SAID, origins.get("interval", "")),
        "Licensed to": (wanted.customer.email or "nobody", _PLAN),
    }
    return [Row(label=label, wanted=text, reported="", origin=origin) for label, (text, origin) in texts.items()]


def _moment(value: datetime | None) -> str:
    return f"{value.day} {value:%B %Y %H:%M} UTC" if value else "never"
