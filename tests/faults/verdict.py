"""What must be true in the end, whatever went wrong on the way: nothing lost, nothing doubled, everything told."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.faults.lives import Expected, Life
from tests.faults.servers import Seen
from tests.faults.stack import Stack

# A refund that overtakes its order leaves a placeholder for the order behind, which says nothing about a license.
_PURCHASES = """
SELECT external_id, kind, status, paid_through, state, attention FROM licensing_integration_purchase
 WHERE NOT (kind = 'order' AND status = 'unknown') ORDER BY 1, 2
"""
_LINKS = """
SELECT reference, state, expires_at, desired, sync_state, failure_mode, question
  FROM licensing_integration_licenselink WHERE state <> 'absent' AND desired->>'state' IS DISTINCT FROM 'absent'
 ORDER BY 1
"""
_UNWANTED = "SELECT reference FROM licensing_integration_licenselink WHERE desired->>'state' = 'absent'"
_LINKED = "SELECT reference, server, external_id, key FROM licensing_integration_licenselink WHERE external_id <> ''"
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
# Requests for keys are no part of a purchase's life.
_STORED = """
SELECT external_id, count(*) FROM licensing_integration_webhookevent
 WHERE external_id NOT LIKE 'fulfilment:%%' GROUP BY 1
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
    unwanted = {reference for (reference,) in stack.database.query(_UNWANTED)}  # never made, gone, or off
    return Outcome(
        licenses={seen.slot: seen.terms for seen in _seen(stack) if seen.slot not in unwanted},
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
        "licenses": len(_seen(stack)),
        "made": sum(sandbox.protocol.made.total() for sandbox in stack.sandboxes),
        "faults": sum(sandbox.protocol.faults.total() for sandbox in stack.sandboxes),
    }


def _check_licenses(stack: Stack, lives: list[Life]) -> None:
    by_slot = defaultdict(list)
    for seen in _seen(stack):
        by_slot[seen.slot].append(seen)
    bought = {slot: expected for life in lives for expected in life.expected for slot in expected.slots}
    wanted = {slot for slot, expected in bought.items() if expected.state != "absent"}
    may_stay = {slot for slot, expected in bought.items() if not expected.server.deletes}
    doubled = [slot for slot, found in by_slot.items() if len(found) > 1]
    made_twice = [slot for sandbox in stack.sandboxes for slot, count in sandbox.protocol.made.items() if count > 1]
    lost, unasked = wanted - by_slot.keys(), by_slot.keys() - wanted - may_stay
    assert not lost, f"{len(lost)} licenses lost: {sorted(lost)[:3]}"
    assert not doubled, f"{len(doubled)} slots with several licenses: {doubled[:3]}"
    assert not made_twice, f"licenses made more than once: {made_twice}"
    assert not unasked, f"licenses nobody bought: {sorted(unasked)[:3]}"
    orders = Counter(len(order["order_items"][0]["licenses"]) for order in stack.spring.orders)
    assert orders.keys() <= {1}, f"orders at LicenseSpring by their licenses: {dict(orders)}"
    wrong = [text for slot, (seen,) in by_slot.items() if (text := _difference(seen, bought[slot]))]
    assert not wrong, f"{len(wrong)} licenses are wrong: {wrong[:3]}"


def _difference(seen: Seen, expected: Expected) -> str:
    state = "suspended" if expected.state == "absent" else expected.state
    until = None if expected.until is None else expected.server.end_of(expected.until)
    if seen.server != expected.server.name:
        return f"{seen.slot} is on {seen.server}, expected {expected.server}"
    if seen.state != state:
        return f"{seen.slot} is {seen.state}, expected {state}"
    if until is not None and seen.ends_at != until:
        return f"{seen.slot} ends {seen.ends_at}, expected {until}"
    if expected.periods is not None and seen.periods != expected.periods:
        return f"{seen.slot} has {seen.periods} periods, expected {expected.periods}"
    return ""


def _check_rows(stack: Stack, lives: list[Life]) -> None:
    ids = [event["id"] for life in lives for event in life.events]
    stored = Counter(dict(stack.database.query(_STORED)))
    assert stored == Counter(ids), f"events lost: {sorted(set(ids) - stored.keys())[:3]}"
    states = stack.database.query("SELECT DISTINCT state FROM licensing_integration_webhookevent")
    assert states == [("applied",)], f"verdicts: {states}"
    unsettled = stack.database.query(
        "SELECT reference, sync_state, failure_message FROM licensing_integration_licenselink "
        "WHERE sync_state <> 'settled' OR failure_mode <> '' OR lease_token IS NOT NULL"
    )
    assert not unsettled, f"unsettled licenses: {unsettled[:3]}"
    on_servers = [(seen.slot, seen.server, seen.license_id, seen.key) for seen in _seen(stack)]
    linked = stack.database.query(_LINKED)
    wrong = sorted(set(on_servers) ^ set(linked))
    assert not wrong, f"{len(wrong)} licenses and links do not match in slot, server, id or key: {wrong[:4]}"


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
    parts = [expected for life in lives for expected in life.expected if expected.state == "active"]
    for slot in (slot for expected in parts for slot in expected.slots):
        kinds = stories[slot]
        beginnings = [kind for kind in kinds if kind in ("license.issued", "license.adopted")]
        assert len(beginnings) == 1, f"{slot} begins {len(beginnings)} times: {kinds}"


def _check_users(stack: Stack) -> None:
    people = Counter((sandbox.server.name, email) for sandbox in stack.sandboxes for email in sandbox.people)
    doubled = [person for person, count in people.items() if count > 1]
    assert not doubled, f"users made more than once: {doubled}"


def kinds_of(stack: Stack) -> list[str]:
    """The kinds of all entries about licenses, oldest first."""
    return [kind for _, kind in stack.database.query(_STORIES)]


def keys_on_servers(stack: Stack) -> dict[str, str]:
    """Slot → the license key that its license server has for it."""
    return {seen.slot: seen.key for seen in _seen(stack)}


def _seen(stack: Stack) -> list[Seen]:
    return [seen for sandbox in stack.sandboxes for seen in sandbox.seen]


def _without_expiry_by_interval(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*row[:2], None if row[3].get("expiry") == "interval" else row[2], *row[3:])
