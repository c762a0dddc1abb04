"""A license field by field: what is wanted and why, and what the license server last reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from licensing_integration.admin.addresses import row_url
from licensing_integration.admin.mapping_widgets import with_name
from licensing_integration.domain.licenses import DesiredLicense, LicenseSnapshot
from licensing_integration.domain.outcomes import ExpiryMode, LicenseState
from licensing_integration.models import LicenseLink, ProductMapping
from licensing_integration.services import choices
from licensing_integration.services.codec import from_json
from licensing_integration.services.explain import is_other_use
from licensing_integration.templatetags.console import NEVER, NO_DATE, moment

NOT_SAID = "as the license template says"
UNKNOWN = "not reported yet"
GONE = "no license there"

_PLAN = "the purchase"
_PRODUCT = "License product"
_MAPPING: Final = "product mapping"  # as domain/resolving.py calls it


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table. ``is_different``: the server reports something else than is wanted. ``origin``: where the
    wanted value comes from, in words, and ``origin_url``: the page about that, if there is one."""

    label: str
    wanted: str
    reported: str
    origin: str = ""
    origin_url: str = ""
    is_different: bool = False

    @property
    def is_left(self) -> bool:
        """Whether nothing is wanted, so that the license template says what counts."""
        return self.wanted == NOT_SAID and not self.is_different


def compare(link: LicenseLink, reported: LicenseSnapshot | None = None) -> list[Row]:
    """Every field worth showing, those left to the license template last. Fields the server does not report, or that
    are left to the template, never differ.
    ``reported``: what the license server has just said, in place of what it said last."""
    if reported is None and link.observed:
        reported = from_json(link.observed, LicenseSnapshot)
    url = _mapping_url(link)
    rows = [
        replace(row, origin_url=url) if row.origin == _MAPPING else row
        for row in _rows(link, from_json(link.desired, DesiredLicense), reported)
    ]
    return sorted(_with_names(rows, link.server), key=lambda row: row.is_left)


def _with_names(rows: Sequence[Row], server: str) -> list[Row]:
    """With the license products' names, as far as the license server listed them lately; it is not asked for them."""
    lists = choices.known_server_lists(server)
    names = lists.names if lists else {}

    def _named(row: Row) -> Row:
        wanted, reported = (with_name(product, names.get(product, "")) for product in (row.wanted, row.reported))
        return replace(row, wanted=wanted, reported=reported)

    return [_named(row) if row.label == _PRODUCT else row for row in rows]


def _mapping_url(link: LicenseLink) -> str:
    mapping_id = link.item.mapping_id
    return row_url(ProductMapping, mapping_id) if mapping_id else ""


def _rows(link: LicenseLink, wanted: DesiredLicense, reported: LicenseSnapshot | None) -> list[Row]:
    origins: Mapping[str, str] = (link.item.terms or {}).get("origins", {})
    names = {
        _PRODUCT: ("product_id", "product_id"),
        "Activations": ("activations", "quantity_mode"),
        "Floating seats": ("floating_clients", "quantity_mode"),
        "Entitlement set": ("entitlement_set_id", "entitlement_set_id"),
        "Highest release": ("max_release_version", "max_release_version"),
    }
    rows = [
        _row(label, wanted=wanted, reported=reported, name=name, origin_name=origin_name, origins=origins)
        for label, (name, origin_name) in names.items()
    ]
    state = _state_row(wanted, reported, has_override=link.is_overridden and bool(link.override_state))
    if wanted.state is LicenseState.ABSENT and reported is None:
        return [replace(state, reported=GONE)]
    rows = [
        state,
        _expiry_row(
            wanted, reported, origins, has_override=link.is_overridden and link.override_expires_at is not None
        ),
        *_wanted_only(wanted, origins),
        *rows,
        *_guide_rows(wanted, reported, origins),
    ]
    is_gone = reported is None and link.observed_at is not None and link.state == LicenseState.ABSENT
    if not is_gone:
        return rows
    return [replace(state, reported=GONE, is_different=True), *(replace(row, reported="–") for row in rows[1:])]


def _row(
    label: str,
    *,
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
        is_different=is_said and have is not None and want != have,
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
        is_different=reported is not None and is_other_use(wanted.state, reported.state),
    )


def _expiry_row(
    wanted: DesiredLicense, reported: LicenseSnapshot | None, origins: Mapping[str, str], *, has_override: bool
) -> Row:
    words = {
        ExpiryMode.PAID_THROUGH: moment(wanted.expires_at),
        ExpiryMode.INTERVAL: f"{wanted.periods} paid period{'' if wanted.periods == 1 else 's'}",
        ExpiryMode.PERPETUAL: NEVER,
        ExpiryMode.TEMPLATE: NOT_SAID,
    }
    goal = {ExpiryMode.PAID_THROUGH: wanted.expires_at, ExpiryMode.PERPETUAL: None}
    no_end = NEVER if wanted.expiry is ExpiryMode.PERPETUAL else NO_DATE
    is_dated = wanted.expiry in goal and reported is not None
    return Row(
        label="Expires",
        wanted=words[wanted.expiry],
        reported=moment(reported.expires_at) or no_end if reported else UNKNOWN,
        origin="override" if has_override else origins.get("expiry", ""),
        is_different=is_dated and reported is not None and not _is_same_end(goal[wanted.expiry], wanted, reported),
    )


def _is_same_end(goal: datetime | None, wanted: DesiredLicense, reported: LicenseSnapshot) -> bool:
    """A license server that knows no hours of grace has them in its end date; one without any hours has its day
    only."""
    if goal is None or reported.expires_at is None:
        return goal is reported.expires_at
    if reported.ends_with_day:
        return reported.expires_at.astimezone(UTC).date() == goal.astimezone(UTC).date()
    return reported.expires_at in {goal, goal + timedelta(hours=wanted.grace_hours or 0)}


def _wanted_only(wanted: DesiredLicense, origins: Mapping[str, str]) -> list[Row]:
    """Fields that are written when the license is issued; the server does not report them in comparable words."""
    texts = {
        "License template": (wanted.template_id or "the product's default", origins.get("template_id", "")),
        "Interval": (wanted.interval or NOT_SAID, origins.get("interval", "")),
        "Licensed to": (wanted.customer.email or "nobody", _PLAN),
    }
    return [Row(label=label, wanted=text, reported="", origin=origin) for label, (text, origin) in texts.items()]


def _guide_rows(wanted: DesiredLicense, reported: LicenseSnapshot | None, origins: Mapping[str, str]) -> list[Row]:
    """What only some license servers know; shown where it is wanted."""
    fields = ", ".join(f"{name} = {value}" for name, value in wanted.custom_fields.items())
    texts = {
        "License type": (wanted.license_type, "license_type", reported and reported.license_type),
        "Trial": ("yes" if wanted.is_trial else "", "", reported and ("yes" if reported.is_trial else "no")),
        "Lasts": (wanted.valid_duration, "valid_duration", ""),
        "Maintenance": (_maintenance(wanted), "maintenance_duration", ""),
        "Consumptions": (wanted.max_consumptions, "max_consumptions", ""),
        "Hours of grace": (wanted.grace_hours, "grace_hours", ""),
        "Users": (wanted.users, "quantity_mode", reported and reported.users),
        "Features": (", ".join(wanted.features), "", reported and ", ".join(reported.features)),
        "Custom fields": (fields, "", ""),
        "Customer manages it": (_yes_no(wanted.is_customer_manager), "is_customer_manager", ""),
        "Customer uses it": (_yes_no(wanted.is_customer_user), "is_customer_user", ""),
        "Noted end": (wanted.end_date_note, "", reported and reported.note),
    }
    return [
        Row(label=label, wanted=str(want), reported=str(have or ""), origin=origins.get(name, "") if name else _PLAN)
        for label, (want, name, have) in texts.items()
        if want not in (None, "")
    ]


def _maintenance(wanted: DesiredLicense) -> str:
    return wanted.maintenance_duration or wanted.maintenance_policy_id or _yes_no(wanted.is_maintained)


def _yes_no(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"
