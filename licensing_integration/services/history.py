"""history: the sentences that explain every license. Kinds are dotted past-tense verbs, ``license.renewed``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from licensing_integration.calls import Call
from licensing_integration.models import HistoryEntry, LicenseLink, Purchase
from licensing_integration.services.codec import to_json


def purchase_entry(
    purchase: Purchase,
    *,
    kind: str,
    sentence: str,
    event_id: int | None = None,
    user_id: int | None = None,
    changes: Mapping[str, Any] | None = None,
) -> HistoryEntry:
    """An unsaved entry about a purchase as a whole."""
    return HistoryEntry(
        purchase=purchase,
        kind=kind,
        sentence=sentence,
        event_id=event_id,
        user_id=user_id,
        changes=dict(changes or {}),
    )


def link_entry(
    link: LicenseLink,
    *,
    kind: str,
    sentence: str,
    user_id: int | None = None,
    changes: Mapping[str, Any] | None = None,
    request_id: str = "",
    calls: Sequence[Call] = (),
) -> HistoryEntry:
    """An unsaved entry about one license; its cause is the event that last changed what the license should be.
    ``calls``: what was said to the license server for it."""
    return HistoryEntry(
        purchase_id=link.purchase_id,
        link=link,
        kind=kind,
        sentence=sentence,
        event_id=link.cause_id if user_id is None else None,
        user_id=user_id,
        changes=dict(changes or {}),
        request_id=request_id,
        calls=to_json(calls) or None,
    )


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """``{field: [before, after]}`` for what differs between two JSON objects."""
    names = sorted(set(before) | set(after))
    return {name: [before.get(name), after.get(name)] for name in names if before.get(name) != after.get(name)}


_HIDDEN = frozenset({"key", "metadata", "user_id", "license_id", "created_at", "ends_with_day"})


def license_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What differs between two snapshots of a license, as JSON, and is worth telling."""
    return {name: pair for name, pair in differences(before, after).items() if name not in _HIDDEN}
