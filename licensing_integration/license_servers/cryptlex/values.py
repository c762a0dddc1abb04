"""Cryptlex's JSON to our values and back. Pure: no network, no clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from dateutil.relativedelta import relativedelta

from licensing_integration.domain.licenses import LicenseSnapshot
from licensing_integration.domain.outcomes import LicenseState
from licensing_integration.exceptions import TransientRemoteError

Json = Mapping[str, object]

TRIAL_KEY = "licensing_integration_trial"
MAX_ACTIVATIONS_KEY = "licensing_integration_max_activations"
HOSTED_FLOATING = "hosted-floating"

# ISO 8601 durations as Cryptlex lists them (P1Y P6M P1M P1W P7D PT24H PT30M P3M10D).
_INTERVAL = re.compile(
    r"P(?=.)(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?"
)


def to_snapshot(data: Json) -> LicenseSnapshot:
    """A license as the server reported it. A revoked license counts as revoked even when it is suspended as well."""
    metadata = dict(metadata_entries(data))
    return LicenseSnapshot(
        license_id=text(data, "id"),
        key=text(data, "key"),
        product_id=text(data, "productId"),
        state=_state(data),
        expires_at=moment(data, "expiresAt"),
        interval=text(data, "subscriptionInterval"),
        activations=_activations(data, metadata),
        floating_clients=_floating_clients(data),
        user_id=text(data, "userId"),
        entitlement_set_id=text(data, "entitlementSetId"),
        max_release_version=text(data, "maxAllowedReleaseVersion"),
        created_at=moment(data, "createdAt"),
        metadata=metadata,
        is_trial=metadata.get(TRIAL_KEY) == "true",
        note=text(data, "notes"),
        maintenance_policy_id=text(data, "maintenancePolicyId"),
    )


def _activations(data: Json, metadata: Mapping[str, str]) -> int | None:
    """Of a hosted-floating license with a number of devices of its own, that; its seats are the other number."""
    told = metadata.get(MAX_ACTIVATIONS_KEY, "")
    return int(told) if told.isascii() and told.isdigit() else _number(data, "allowedActivations")


def _floating_clients(data: Json) -> int | None:
    """The seats of a hosted-floating license are its activations."""
    seats = _number(data, "allowedFloatingClients")
    return seats or _number(data, "allowedActivations") if data.get("type") == HOSTED_FLOATING else seats


def metadata_entries(data: Json) -> list[tuple[str, str]]:
    """Every metadata entry as (key, value); one license may carry the same key twice."""
    entries = data.get("metadata")
    if not isinstance(entries, list):
        return []
    return [(text(entry, "key"), text(entry, "value")) for entry in entries if isinstance(entry, dict)]


def text(data: Json, name: str) -> str:
    """A member as text; empty when it is missing or ``null``."""
    value = data.get(name)
    return value if isinstance(value, str) else ""


def moment(data: Json, name: str) -> datetime | None:
    """A timestamp with any number of fraction digits; ``None`` when missing or ``null``.

    An unreadable one is an error: taking it for "no end date" would make the license look perpetual.
    """
    value = text(data, name)
    if not value:
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError as error:
        raise TransientRemoteError(f"Cryptlex sent a {name} that is no ISO 8601 date-time.") from error
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def to_wire(when: datetime) -> str:
    """UTC with ``Z``; what the server does with other offsets is not documented."""
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def add_intervals(start: datetime, *, interval: str, times: int) -> datetime | None:
    """``start`` plus ``times`` intervals, each clamped to the end of its month, as repeated renewals would do.

    ``None`` when the interval is empty, zero or no ISO 8601 duration.
    """
    step = _parse_interval(interval)
    if not step:
        return None
    for _ in range(times):
        start += step
    return start


def _parse_interval(interval: str) -> relativedelta | None:
    match = _INTERVAL.fullmatch(interval)
    if match is None:
        return None
    parts = {name: int(digits) for name, digits in match.groupdict("0").items()}
    return relativedelta(
        years=parts["years"],
        months=parts["months"],
        weeks=parts["weeks"],
        days=parts["days"],
        hours=parts["hours"],
        minutes=parts["minutes"],
        seconds=parts["seconds"],
    )


def _state(data: Json) -> LicenseState:
    if data.get("revoked") is True:
        return LicenseState.REVOKED
    return LicenseState.SUSPENDED if data.get("suspended") is True else LicenseState.ACTIVE


def _number(data: Json, name: str) -> int | None:
    value = data.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
