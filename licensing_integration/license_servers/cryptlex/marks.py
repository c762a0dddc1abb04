"""Marks on a license that Cryptlex has no members for: metadata entries, a line of the notes, a meter attribute. Pure.

Whether a change of metadata or of meter attributes merges or replaces the list is not documented, so the whole list is
read and written. A mark that no longer holds is set to ``false`` or emptied, never left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from licensing_integration.domain.licenses import DesiredLicense, LicenseSnapshot
from licensing_integration.license_servers.cryptlex.values import (
    MAX_ACTIVATIONS_KEY,
    TRIAL_KEY,
    Json,
    text,
    to_wire,
)

PAID_THROUGH_KEY: Final = "licensing_integration_paid_through"
MANAGER_KEY: Final = "licensing_integration_license_manager"
FEATURE_PREFIX: Final = "feature_"
METER_NAME: Final = "consumptions"
END_DATE: Final = "End Date: "
FOR_APPLICATIONS: Final = ("activation",)  # the view permission without which the customer's software cannot read it
_MAX_NOTES: Final = 4096


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A metadata value, and whether the customer's application may read it."""

    value: str
    is_for_applications: bool = False


FEATURE_MARK: Final = Mark(value="true", is_for_applications=True)


@dataclass(frozen=True, kw_only=True)
class MarkChanges:
    """What to write; false when there is nothing. ``uses``: consumptions to allow, ``None`` = as they are.
    ``is_noted``: the line of the notes becomes ``end``."""

    metadata: Mapping[str, Mark] = field(default_factory=dict)
    uses: int | None = None
    is_noted: bool = False
    end: date | None = None

    def __bool__(self) -> bool:
        return bool(self.metadata) or self.uses is not None or self.is_noted

    def members(self, license: Json) -> dict[str, object]:
        """The members of an update, given the license as it is now."""
        members: dict[str, object] = {"metadata": _metadata_with(license, self.metadata)} if self.metadata else {}
        if self.uses is not None and self.uses != _allowed_uses(license):
            members["meterAttributes"] = _meters_with(license, self.uses)
        if self.is_noted:
            members["notes"] = noted(text(license, "notes"), end=self.end)
        return members


def marks(desired: DesiredLicense) -> dict[str, Mark]:
    """Metadata key → mark. ``desired`` with its hours of grace in the end date."""
    found = {name: Mark(value=value, is_for_applications=True) for name, value in desired.custom_fields.items()}
    if desired.is_trial:
        found[TRIAL_KEY] = Mark(value="true", is_for_applications=True)
    if desired.is_floating_cloud and desired.activations is not None:
        found[MAX_ACTIVATIONS_KEY] = Mark(value=str(desired.activations))
    if desired.grace_hours and desired.expires_at is not None:
        paid_through = desired.expires_at - timedelta(hours=desired.grace_hours)
        found[PAID_THROUGH_KEY] = Mark(value=to_wire(paid_through))
    if desired.is_customer_manager:
        found[MANAGER_KEY] = Mark(value="true")
    return found


def changed_marks(desired: DesiredLicense, *, applied: DesiredLicense | None, observed: LicenseSnapshot) -> MarkChanges:
    """What to write, given what we last brought about, or else what the server shows."""
    if applied is None:
        note = desired.end_date_note.isoformat() if desired.end_date_note else ""
        return MarkChanges(
            metadata=_changed(desired, had=observed.metadata, ours={TRIAL_KEY, PAID_THROUGH_KEY}),
            uses=desired.max_consumptions,
            is_noted=bool(note) and note != _noted_end(observed.note),
            end=desired.end_date_note,
        )
    had = {name: mark.value for name, mark in marks(applied).items()}
    return MarkChanges(
        metadata=_changed(desired, had=had, ours=had),
        uses=desired.max_consumptions if desired.max_consumptions != applied.max_consumptions else None,
        is_noted=desired.end_date_note != applied.end_date_note,
        end=desired.end_date_note,
    )


def _changed(desired: DesiredLicense, *, had: Mapping[str, str], ours: Collection[str]) -> dict[str, Mark]:
    wanted = marks(desired)
    changed = {name: mark for name, mark in wanted.items() if had.get(name) != mark.value}
    gone = [name for name in ours if name not in wanted and had.get(name) not in {None, "", "false"}]
    return changed | {name: _withdrawn(name) for name in gone}


def _withdrawn(name: str) -> Mark:
    is_flag = name in {TRIAL_KEY, MANAGER_KEY}
    return Mark(value="false" if is_flag else "", is_for_applications=name == TRIAL_KEY)


def changed_feature_marks(
    present: Mapping[str, str], *, unknown: Collection[str], withdrawn: Collection[str]
) -> MarkChanges:
    """Features that the account does not have are marks; a mark outlives the day on which they are made there."""
    wanted = {f"{FEATURE_PREFIX}{code}": FEATURE_MARK for code in unknown}
    changes = {name: mark for name, mark in wanted.items() if present.get(name) != mark.value}
    gone = [name for code in withdrawn if present.get(name := f"{FEATURE_PREFIX}{code}") == FEATURE_MARK.value]
    return MarkChanges(metadata=changes | dict.fromkeys(gone, Mark(value="false", is_for_applications=True)))


def entry(name: str, mark: Mark) -> dict[str, object]:
    """A metadata entry as it is sent. An empty list of permissions shows it to administrators only."""
    permissions = list(FOR_APPLICATIONS) if mark.is_for_applications else []
    return {"key": name, "value": mark.value, "viewPermissions": permissions}


def meter(allowed_uses: int) -> dict[str, object]:
    """Our meter attribute as it is sent."""
    return {"name": METER_NAME, "allowedUses": allowed_uses}


def noted(notes: str, *, end: date | None) -> str:
    """The notes of a license with the one line that tells its end rewritten, or removed."""
    lines = [line for line in notes.splitlines() if not line.startswith(END_DATE)]
    if end is not None:
        lines.append(f"{END_DATE}{end.isoformat()}")
    return "\n".join(lines)[:_MAX_NOTES]


def _noted_end(notes: str) -> str:
    return next((line.removeprefix(END_DATE) for line in notes.splitlines() if line.startswith(END_DATE)), "")


def _metadata_with(license: Json, changes: Mapping[str, Mark]) -> list[dict[str, object]]:
    kept = [
        {
            "key": text(known, "key"),
            "value": text(known, "value"),
            "viewPermissions": known.get("viewPermissions") or [],
        }
        for known in _entries(license, "metadata")
        if text(known, "key") not in changes
    ]
    return [*kept, *(entry(name, mark) for name, mark in changes.items())]


def _meters_with(license: Json, allowed_uses: int) -> list[dict[str, object]]:
    members = ("name", "allowedUses", "viewPermissions", "floating")
    others = [
        {name: known[name] for name in members if known.get(name) is not None}
        for known in _entries(license, "meterAttributes")
        if text(known, "name") != METER_NAME
    ]
    return [*others, meter(allowed_uses)]


def _allowed_uses(license: Json) -> object:
    own = (known for known in _entries(license, "meterAttributes") if text(known, "name") == METER_NAME)
    return next((known.get("allowedUses") for known in own), None)


def _entries(license: Json, name: str) -> list[Json]:
    listed = license.get(name)
    return [known for known in listed if isinstance(known, dict)] if isinstance(listed, list) else []
