"""What must be true in the end, whatever went wrong on the way: nothing lost, nothing doubled, everything told."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.faults.lives import Expected, Life
from tests.faults.sandbox import SLOT
from tests.faults.stack import Stack

DAYS_OF_A_MONTH = timedelta(days=30.44)
# A refund that overtakes its order leaves a placeholder for the order behind, which says nothing about a license.
_PURCHASES = """
SELECT external_id, kind, status, paid_through, state, attention FROM licensing_integration_purchase
 WHERE NOT (kind = 'order' AND status = 'unknown') ORDER BY 1, 2
"""
_LINKS = """
SELECT reference, state, expires_at, desired, sync_state, failure_mode, question
  FROM licensing_integration_licenselink WHERE state <> 'absent' ORDER BY 1
"""
_STORIES = """
SELECT l.reference, h.kind FROM licensing_integration_historyentry h
  JOIN licensing_integration_licenselink l ON l.id = h.link_id ORDER BY h.id
"""
# A failure after which neither the license nor its purchase has anything more to tell.
_OPEN_ENDS = """
SELECT l.reference, h.sentence FROM licensing_integration_historyentry h
  JOIN licensing_integration_licenselink l ON l.id = h.link_id
 WHERE h.kind = 'license.failed' AND NOT EXISTS (
    SELECT 1 FROM licensing_integration_historyentry later
     WHERE later.id > h.id AND later.purchase_id = h.purchase_id AND coalesce(later.link_id, h.link_id) = h.link_id)
"""
_EVENT_ENTRIES = """
SELECT e.external_id, count(h.id) FROM licensing_integration_webhookevent e
  LEFT JOIN licensing_integration_historyentry h
    ON h.event_id = e.id AND h.link_id IS NULL AND starts_with(h.kind, 'event.')
 GROUP BY 1
"""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Everything that must not depend on the order of events, on duplicates or on faults."""

    licenses: dict[str, Any]
    purchases: list[tuple[Any, ...]]
    links: list[tuple[Any, ...]]


def outcome_of(stack: Stack) -> Outcome:
    licenses = {_slot(license): _essence(license) for license in stack.sandbox.licenses}
    return Outcome(
        licenses=licenses,
        purchases=stack.database.query(_PURCHASES),
        links=[_without_expiry_by_interval(row) for row in stack.database.query(_LINKS)],
    )


def check(stack: Stack, lives: Iterable[Life]) -> dict[str, int]:
    """Fail unless these lives, and nothing else, are true on the license server and told in the history."""
    lives = list(lives)
    _check_licenses(stack, lives)
    _check_rows(stack, lives)
    _check_stories(stack, lives)
    _check_users(stack)
    return {
        "events": sum(len(life.events) for life in lives),
        "licenses": len(stack.sandbox.licenses),
        "made": sum(stack.sandbox.protocol.made.values()),
        "faults": sum(stack.sandbox.protocol.faults.values()),
    }


def _check_licenses(stack: Stack, lives: list[Life]) -> None:
    by_slot = defaultdict(list)
    for license in stack.sandbox.licenses:
        by_slot[_slot(license)].append(license)
    wanted = {slot: life.expected for life in lives for slot in life.expected.slots if life.expected.state != "absent"}
    doubled = [slot for slot, found in by_slot.items() if len(found) > 1]
    made_twice = {slot: count for slot, count in stack.sandbox.protocol.made.items() if count > 1}
    lost = wanted.keys() - by_slot.keys()
    assert not lost, f"{len(lost)} licenses lost: {sorted(lost)[:3]}"
    assert not doubled, f"{len(doubled)} slots with several licenses: {doubled[:3]}"
    assert not made_twice, f"licenses made more than once: {made_twice}"
    assert by_slot.keys() == wanted.keys(), f"licenses nobody bought: {sorted(by_slot.keys() - wanted.keys())[:3]}"
    wrong = [text for slot, expected in wanted.items() if (text := _difference(by_slot[slot][0], expected))]
    assert not wrong, f"{len(wrong)} licenses are wrong: {wrong[:3]}"


def _difference(license: dict[str, Any], expected: Expected) -> str:
    state = "revoked" if license["revoked"] else "suspended" if license["suspended"] else "active"
    if state != expected.state:
        return f"{_slot(license)} is {state}, expected {expected.state}"
    if expected.until is not None and _moment(license["expiresAt"]) != expected.until:
        return f"{_slot(license)} ends {license['expiresAt']}, expected {expected.until}"
    if expected.periods is not None and _periods(license) != expected.periods:
        return f"{_slot(license)} has {_periods(license)} periods, expected {expected.periods}"
    return ""


def _check_rows(stack: Stack, lives: list[Life]) -> None:
    ids = [event["id"] for life in lives for event in life.events]
    stored = Counter(
        dict(stack.database.query("SELECT external_id, count(*) FROM licensing_integration_webhookevent GROUP BY 1"))
    )
    assert stored == Counter(ids), f"events lost: {sorted(set(ids) - stored.keys())[:3]}"
    states = stack.database.query("SELECT state, count(*) FROM licensing_integration_webhookevent GROUP BY 1")
    assert states == [("applied", len(ids))], f"verdicts: {states}"
    unsettled = stack.database.query(
        "SELECT reference, sync_state, failure_message FROM licensing_integration_licenselink "
        "WHERE sync_state <> 'settled' OR failure_mode <> '' OR lease_token IS NOT NULL"
    )
    assert not unsettled, f"unsettled licenses: {unsettled[:3]}"
    on_server = {license["id"] for license in stack.sandbox.licenses}
    linked = stack.database.query("SELECT external_id FROM licensing_integration_licenselink WHERE external_id <> ''")
    assert sorted(on_server) == sorted(row[0] for row in linked), "links and licenses do not match"


def _check_stories(stack: Stack, lives: list[Life]) -> None:
    """Every event is told once, every license comes into being once, and every end of one is told."""
    told = dict(stack.database.query(_EVENT_ENTRIES))
    not_once = {event_id: count for event_id, count in told.items() if count != 1}
    assert not not_once, f"events not told exactly once: {list(not_once.items())[:3]}"
    open_ends = stack.database.query(_OPEN_ENDS)
    assert not open_ends, f"stories that end with a failure: {open_ends[:3]}"
    stories: defaultdict[str, list[str]] = defaultdict(list)
    for reference, kind in stack.database.query(_STORIES):
        stories[reference].append(kind)
    for slot in (slot for life in lives for slot in life.expected.slots if life.expected.state == "active"):
        kinds = stories[slot]
        beginnings = [kind for kind in kinds if kind in ("license.issued", "license.adopted")]
        assert len(beginnings) == 1, f"{slot} begins {len(beginnings)} times: {kinds}"


def _check_users(stack: Stack) -> None:
    emails = Counter(user["email"] for user in stack.sandbox.users)
    doubled = [email for email, count in emails.items() if count > 1]
    assert not doubled, f"users made more than once: {doubled}"


def kinds_of(stack: Stack) -> list[str]:
    """The kinds of all entries about licenses, oldest first."""
    return [kind for _, kind in stack.database.query(_STORIES)]


def _essence(license: dict[str, Any]) -> dict[str, Any]:
    """A license without what differs between two equal purchases of it."""
    kept = ("productId", "suspended", "revoked", "allowedActivations", "subscriptionInterval", "entitlementSetId")
    metadata = sorted((entry["key"], entry["value"]) for entry in license["metadata"])
    end = _periods(license) if license["subscriptionInterval"] else license["expiresAt"]
    return {
        **{name: license[name] for name in kept},
        "metadata": metadata,
        "user": license["user"]["email"],
        "end": end,
    }


def _without_expiry_by_interval(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*row[:2], None if row[3].get("expiry") == "interval" else row[2], *row[3:])


def _periods(license: dict[str, Any]) -> int:
    """Months between creation and end; a day or two more or less, as the shop counts months of 30 days."""
    return round((_moment(license["expiresAt"]) - _moment(license["createdAt"])) / DAYS_OF_A_MONTH)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _slot(license: dict[str, Any]) -> str:
    return next((entry["value"] for entry in license["metadata"] if entry["key"] == SLOT), "")
