"""What a change says: the members of a license that differ, in groups that the server may refuse one by one. Pure.

Source: the Management API page on updating a license. ``is_trial`` has to stand beside an end date,
``enable_maintenance_period`` beside a maintenance duration; a duration and a date exclude each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from licensing_integration.domain.licenses import DesiredLicense, LicenseSnapshot
from licensing_integration.domain.outcomes import ExpiryMode, LicenseType
from licensing_integration.license_servers.licensespring.orders import (
    DATED,
    activation_members,
    grace_members,
    license_type_of,
    maintenance_members,
    wanted_activations,
)
from licensing_integration.license_servers.licensespring.values import (
    Json,
    add_duration,
    day_of,
    is_user_based,
    noted_end_date,
    to_duration,
)

NO_EQUIVALENT = {
    "entitlement_set_id": "LicenseSpring has no entitlement sets; give features instead.",
    "max_release_version": "LicenseSpring has no highest release of a license; that was left out.",
    "maintenance_policy_id": "LicenseSpring has no maintenance policies; give a maintenance duration.",
}


@dataclass(frozen=True, kw_only=True)
class Group:
    """Members that belong together. ``is_owed``: without them the customer has less than was paid for."""

    name: str
    members: Mapping[str, object]
    is_owed: bool = False


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The arguments of a convergence. ``is_user_based`` may have to ask the server."""

    observed: LicenseSnapshot
    applied: DesiredLicense | None
    desired: DesiredLicense
    is_user_based: Callable[[], bool]

    @property
    def baseline(self) -> DesiredLicense | LicenseSnapshot:
        return self.applied or self.observed


def immutable_notes(applied: DesiredLicense | None, desired: DesiredLicense) -> list[str]:
    """What is wanted otherwise than before, and cannot be had on an existing license, or not at all."""
    if applied is None:
        return unsupported_notes(desired)
    notes = [note for name, note in NO_EQUIVALENT.items() if getattr(desired, name) not in {"", getattr(applied, name)}]
    if applied.template_id != desired.template_id:
        notes.append("The license policy cannot be changed on an existing license; it keeps its old one.")
    if desired.license_type is not None and applied.license_type is not desired.license_type:
        notes.append("The license type cannot be changed on an existing license; it keeps its old one.")
    if desired.is_customer_manager is not None and applied.is_customer_manager is not desired.is_customer_manager:
        notes.append("Who manages an existing license is changed in LicenseSpring, by hand.")
    return notes


def unsupported_notes(desired: DesiredLicense) -> list[str]:
    """What LicenseSpring has no equivalent for."""
    return [note for name, note in NO_EQUIVALENT.items() if getattr(desired, name)]


def user_notes(desired: DesiredLicense, *, product: Json | None) -> list[str]:
    """What was said about the customer as a user, and cannot be had."""
    if product is None or desired.is_customer_user is not (not is_user_based(product)):
        return []
    if desired.is_customer_user:
        return ["LicenseSpring has users only on licenses of user-based products; this product is key-based."]
    return ["LicenseSpring wants a user on each license of a user-based product, so the customer is one."]


def wanted_end(observed: LicenseSnapshot, applied: DesiredLicense | None, desired: DesiredLicense) -> datetime | None:
    """The moment until which the license has to be valid; ``None`` where no date is to be set.

    LicenseSpring adds no intervals by itself. Where only the number of paid periods is known, they are counted from
    the end that was recorded together with the periods before, so a repeated attempt finds the same date.
    """
    if desired.expiry not in DATED or desired.expires_at is not None:
        return desired.expires_at if desired.expiry in DATED else None
    missing = missing_periods(applied, desired)
    duration = to_duration(desired.interval)
    if missing <= 0 or not duration or observed.expires_at is None:
        return None
    return add_duration(observed.expires_at, duration=duration, times=missing)


def missing_periods(applied: DesiredLicense | None, desired: DesiredLicense) -> int:
    """Paid periods that have not been brought about."""
    is_counted = applied is not None and applied.expiry is ExpiryMode.INTERVAL is desired.expiry
    return desired.periods - applied.periods if applied is not None and is_counted else 0


def changed_end(seen: Seen) -> tuple[tuple[Group, ...], list[str]]:
    """The group of the end date alone, and notes on it."""
    notes: list[str] = []
    end = _end(seen, notes)
    return ((end,) if end.members else ()), notes


def changed_groups(seen: Seen) -> tuple[tuple[Group, ...], list[str]]:
    """The groups to send, and notes on what cannot be sent."""
    notes: list[str] = []
    groups = [
        _end(seen, notes),
        _duration(seen),
        _grace(seen, notes),
        _sizes(seen, notes),
        _users(seen, notes),
        _consumptions(seen),
        _maintenance(seen),
        _note(seen),
    ]
    return tuple(group for group in groups if group.members), notes


def _end(seen: Seen, notes: list[str]) -> Group:
    """The end date, and whether it is a trial: each change says both."""
    applied, desired = seen.applied, seen.desired
    wanted = wanted_end(seen.observed, applied, desired)
    is_other_trial = seen.baseline.is_trial is not desired.is_trial
    members: dict[str, object] = {"is_trial": desired.is_trial} if is_other_trial else {}
    if wanted is None:
        notes += _notes_without_end(seen)
    elif is_other_trial or _is_other_end(seen, wanted):
        members = {"is_trial": desired.is_trial, "validity_period": f"{day_of(wanted):%Y-%m-%d}"}
    return Group(name="end date", members=members, is_owed=True)


def _is_other_end(seen: Seen, wanted: datetime) -> bool:
    if seen.applied is None:
        present = seen.observed.expires_at
        is_earlier = present is not None and day_of(present) > day_of(wanted)
        if seen.desired.expiry is ExpiryMode.INTERVAL and is_earlier:
            return False  # an adopted license's end is never moved back on a count of periods
    elif seen.applied.expiry in DATED and seen.desired.expires_at is not None:
        present = seen.applied.expires_at
    else:
        return True
    return present is None or day_of(present) != day_of(wanted)


def _notes_without_end(seen: Seen) -> list[str]:
    applied, desired = seen.applied, seen.desired
    if desired.expiry is ExpiryMode.INTERVAL:
        missed = missing_periods(applied, desired) > 0
        return ["Not renewed: neither an end date nor the license's interval is known."] if missed else []
    had_end = seen.observed.expires_at is not None if applied is None else applied.expiry in DATED
    if not had_end:
        return []
    if license_type_of(desired) == LicenseType.PERPETUAL:
        return ["LicenseSpring cannot take the end date from a license; this one keeps its own."]
    if applied is not None and desired.expiry is ExpiryMode.TEMPLATE:
        return ["The end date is left to the product from now on; this license keeps its own."]
    return []


def _duration(seen: Seen) -> Group:
    """Sent only when it changes: from when a changed duration counts is not known. Never beside an end date."""
    applied, desired = seen.applied, seen.desired
    is_time_limited = seen.observed.license_type in {"", LicenseType.TIME_LIMITED}
    is_changed = applied is not None and desired.valid_duration not in {"", applied.valid_duration}
    if not is_changed or not is_time_limited or desired.expiry in DATED:
        return Group(name="duration", members={})
    members = {"is_trial": desired.is_trial, "valid_duration": desired.valid_duration}
    return Group(name="duration", members=members, is_owed=True)


def _grace(seen: Seen, notes: list[str]) -> Group:
    """Hours that are wanted no more are switched off: what the product gives by itself is not known here."""
    hours, applied = seen.desired.grace_hours, seen.applied
    if hours == (applied.grace_hours if applied else None):
        return Group(name="grace period", members={})
    if seen.observed.license_type not in {"", LicenseType.SUBSCRIPTION}:
        notes.append(f"A {seen.observed.license_type} license has no grace period in LicenseSpring.")
        return Group(name="grace period", members={})
    return Group(name="grace period", members=grace_members(hours or 0))


def _sizes(seen: Seen, notes: list[str]) -> Group:
    """Activations and simultaneous users: there cannot be fewer activations than simultaneous users."""
    desired, floating, had = seen.desired, seen.desired.floating_clients, seen.baseline.floating_clients
    members: dict[str, object] = {}
    if floating is not None and floating != had:
        is_cloud = desired.is_floating_cloud or seen.observed.floating_clients is None
        members |= {"floating_users": floating, **({"is_floating_cloud": True} if is_cloud else {})}
    wanted, present = _wanted_activations(seen), _present_activations(seen)
    if wanted is not None and wanted != present:
        members |= activation_members(wanted, unlimited="allow_unlimited_activation")
        members |= {"allow_unlimited_activation": False} if present == 0 else {}
    for name in ("activations", "floating_clients", "users"):
        if seen.applied is not None and getattr(desired, name) is None and getattr(seen.applied, name) is not None:
            label = name.replace("_", " ")
            notes.append(f"The number of {label} is left to the product from now on; this license keeps its own.")
    is_owed = _is_more(floating, had) or _is_more(wanted, present)
    return Group(name="activations", members=members, is_owed=is_owed)


def _wanted_activations(seen: Seen) -> int | None:
    floating = seen.desired.floating_clients
    wanted = seen.desired.activations
    if wanted is not None and wanted == seen.desired.users:
        wanted = wanted_activations(seen.desired, is_user_based=seen.is_user_based())
    if floating is None or wanted == 0:
        return wanted
    if wanted is not None:
        return max(wanted, floating)
    present = seen.observed.activations
    is_changed = floating != seen.baseline.floating_clients
    return floating if is_changed and present is not None and 0 < present < floating else None


def _present_activations(seen: Seen) -> int | None:
    if seen.applied is None or not seen.applied.activations or seen.applied.floating_clients is None:
        return seen.baseline.activations
    return max(seen.applied.activations, seen.applied.floating_clients)


def _users(seen: Seen, notes: list[str]) -> Group:
    wanted, present = seen.desired.users, seen.baseline.users
    if wanted is None or wanted == present:
        return Group(name="users", members={})
    if not seen.is_user_based():
        if wanted != seen.desired.activations:  # otherwise the quantity is counted in activations
            notes.append("The license is key-based, so LicenseSpring counts no users of it.")
        return Group(name="users", members={})
    return Group(name="users", members={"max_license_users": wanted}, is_owed=_is_more(wanted, present))


def _consumptions(seen: Seen) -> Group:
    wanted = seen.desired.max_consumptions
    present = seen.applied.max_consumptions if seen.applied else None
    members = {"max_consumptions": wanted} if wanted is not None and wanted != present else {}
    is_owed = wanted is not None and (present is None or wanted > present)
    return Group(name="consumptions", members=members, is_owed=is_owed)


def _maintenance(seen: Seen) -> Group:
    """Sent only when it changes, as the duration."""
    wanted = maintenance_members(seen.desired)
    is_changed = seen.applied is not None and wanted != maintenance_members(seen.applied)
    return Group(name="maintenance", members=wanted if is_changed else {})


def _note(seen: Seen) -> Group:
    """A place holder: what stands in the note is read before it is changed."""
    wanted, applied = seen.desired.end_date_note, seen.applied
    present = applied.end_date_note if applied else noted_end_date(seen.observed.note)
    is_changed = wanted != present and not (applied is None and wanted is None)
    return Group(name="note", members={"note": ""} if is_changed else {})


def _is_more(wanted: int | None, present: int | None) -> bool:
    """0 is unlimited."""
    if wanted is None or present is None:
        return wanted is not None
    return present != 0 and (wanted == 0 or wanted > present)
