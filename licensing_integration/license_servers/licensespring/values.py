"""LicenseSpring's JSON to our values and back. Pure: no network, no clock."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from typing import Final

from dateutil.relativedelta import relativedelta

from licensing_integration.domain.licenses import LicenseSnapshot
from licensing_integration.domain.outcomes import LicenseState
from licensing_integration.exceptions import TransientRemoteError

Json = Mapping[str, object]

LAST_SECOND: Final = time(23, 59, 59, tzinfo=UTC)
"""A license is valid through the whole of its last day; the server knows days only."""

_NO_DATE = "0000-00-00"  # a defect of the vendor's, fixed in January 2026
_NOTE_LINE = re.compile(r"End Date: (\d{4}-\d{2}-\d{2})")
_INTERVAL = re.compile(r"P(?:(\d+)([DWMY])|T(\d+)H)")
_UNITS: Final = {"D": "days", "W": "weeks", "M": "months", "Y": "years"}


def to_snapshot(data: Json, *, product_id: str = "") -> LicenseSnapshot:
    """A license as the server reported it. ``product_id``: its product where the answer does not say.

    The user is the customer's e-mail address: LicenseSpring has no users of its own but those of user-based products.
    """
    product = _object(data, "product")
    return LicenseSnapshot(
        license_id=identifier(data),
        key=text(data, "license_key"),
        product_id=text(product, "short_code") or product_id,
        state=_state(data),
        expires_at=last_moment(text(data, "validity_period")),
        activations=_activations(data),
        floating_clients=_floating_clients(data),
        user_id=text(_object(data, "customer"), "email").strip().lower(),
        created_at=moment(text(data, "created_at")),
        metadata={key: str(value) for key, value in _object(data, "metadata").items()},
        license_type=text(data, "license_type"),
        is_trial=data.get("is_trial") is True,
        users=number(data, "max_license_users") if is_user_based(product) else None,
        features=tuple(sorted(code for code in map(feature_code, feature_entries(data)) if code)),
        note=text(data, "note"),
        ends_with_day=True,
    )


def identifier(data: Json) -> str:
    """The numeric id as text; empty when there is none."""
    value = data.get("id")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def text(data: Json, name: str) -> str:
    """A member as text; empty when it is missing or ``null``."""
    value = data.get(name)
    return value if isinstance(value, str) else ""


def number(data: Json, name: str) -> int | None:
    value = data.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def objects(data: Json, name: str) -> list[Json]:
    """The objects in a list; none when it is missing."""
    entries = data.get(name)
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def order_ids(order: Json) -> set[str]:
    """Our id of an order: filters call it ``store_id``, the vendor's own libraries ``client_order_id``."""
    return {value for value in (text(order, "store_id"), text(order, "client_order_id")) if value}


def licenses_of(order: Json) -> Iterator[Json]:
    """The licenses an order shows; the vendor's Go library calls the list of its items otherwise."""
    for name in ("order_items", "back_office_order_items"):
        for item in objects(order, name):
            yield from objects(item, "licenses")


def is_user_based(product: Json | None) -> bool:
    """Whether licenses of the product belong to named users instead of having a key.

    ``user`` is the only value any source shows, so everything else counts as key-based.
    """
    return product is not None and text(product, "authorization_method") == "user"


def feature_entries(data: Json) -> list[Json]:
    """The features on a license."""
    return objects(data, "product_features")


def feature_code(entry: Json) -> str:
    """The code of a feature on a license; empty when the entry cannot be read."""
    return text(_object(entry, "product_feature"), "code") or text(entry, "code")


def last_moment(value: str) -> datetime | None:
    """The end of the last day of validity, UTC, from a date or a date-time.

    An unreadable one is an error: taking it for "no end date" would make the license look perpetual.
    """
    if value.startswith(_NO_DATE):
        return None
    parsed = moment(value)
    return datetime.combine(parsed.date(), LAST_SECOND) if parsed else None


def moment(value: str) -> datetime | None:
    """A timestamp, UTC unless it says otherwise; ``None`` when empty."""
    if not value:
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError as error:
        raise TransientRemoteError("LicenseSpring sent a date that is none.") from error
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def day_of(when: datetime) -> date:
    """The last day of a license that has to be valid until ``when``; never earlier, up to a day later."""
    return when.astimezone(UTC).date()


def to_duration(interval: str) -> str:
    """``P1M`` as LicenseSpring's ``1m``; empty when it has no such duration (several units, parts of a day)."""
    match = _INTERVAL.fullmatch(interval)
    if match is None:
        return ""
    if match[3]:
        hours = int(match[3])
        return f"{hours // 24}d" if hours and hours % 24 == 0 else ""
    return f"{int(match[1])}{match[2].lower()}" if int(match[1]) else ""


def add_duration(start: datetime, *, duration: str, times: int) -> datetime:
    """``start`` plus ``times`` durations such as ``1m``, each clamped to the end of its month."""
    step = relativedelta(**{_UNITS[duration[-1].upper()]: int(duration[:-1])})  # type: ignore[arg-type]
    for _ in range(times):
        start += step
    return start


def noted_end_date(note: str) -> date | None:
    """The day in our line of a note; ``None`` without one, or if somebody has made it unreadable."""
    match = next((match for line in note.splitlines() if (match := _NOTE_LINE.fullmatch(line.strip()))), None)
    try:
        return date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None


def with_end_date(note: str, *, day: date | None) -> str:
    """The note with exactly one line of ours, or none, at the end; everything else as it was."""
    kept = [line for line in note.splitlines() if not _NOTE_LINE.fullmatch(line.strip())]
    return "\n".join([*kept, f"End Date: {day:%Y-%m-%d}"] if day else kept)


def _object(data: Json, name: str) -> Json:
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def _state(data: Json) -> LicenseState:
    """LicenseSpring knows one kind of off. ``status`` is written in upper and lower case."""
    is_off = data.get("enabled") is False or text(data, "status").lower() == "disabled"
    return LicenseState.SUSPENDED if is_off else LicenseState.ACTIVE


def _activations(data: Json) -> int | None:
    """0 is unlimited with us; with LicenseSpring that is a flag of its own, in singular here and plural there."""
    names = ("allow_unlimited_activation", "allow_unlimited_activations")
    return 0 if any(data.get(name) is True for name in names) else number(data, "max_activations")


def _floating_clients(data: Json) -> int | None:
    is_floating = data.get("is_floating_cloud") is True or data.get("is_floating") is True
    return number(data, "floating_users") if is_floating else None
