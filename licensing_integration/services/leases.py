"""Leases: who works on a license, and the record of every attempt, before its first call and after its last.

Each is one statement and so one transaction: a crash leaves either all of it or nothing.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import IntegrityError, connection
from django.db.models import Q
from django.utils import timezone

from licensing_integration import conf
from licensing_integration.domain.licenses import DesiredLicense, LicenseSnapshot
from licensing_integration.domain.outcomes import FailureMode, LicenseState, SyncState
from licensing_integration.exceptions import LicenseGone, TransientRemoteError
from licensing_integration.models import HistoryEntry, LicenseLink
from licensing_integration.services.codec import from_json, to_json
from licensing_integration.services.retries import Decision

# The claim is the record "an attempt begins": it is committed before the first call, so a killed worker leaves a trace.
# A license that may just have been made is not in the server's lists yet: whatever wakes the link, nobody looks before.
_CLAIM = """
UPDATE licensing_integration_licenselink
   SET lease_until = clock_timestamp() + %(lease)s, lease_token = %(token)s, attempts = attempts + 1,
       unclear_attempts = unclear_attempts + 1, attempted_at = clock_timestamp(), updated_at = clock_timestamp()
 WHERE id = %(id)s AND sync_state = 'pending'
   AND (lease_until IS NULL OR lease_until < clock_timestamp())
   AND (retry_at IS NULL OR retry_at <= clock_timestamp())
   AND (external_id <> '' OR unclear_attempts = 0 OR attempted_at + %(settling)s <= clock_timestamp())
RETURNING *
"""
_SETTLE = """
UPDATE licensing_integration_licenselink
   SET applied = %(applied)s::jsonb, observed = %(observed)s::jsonb, external_id = %(external_id)s, key = %(key)s,
       observed_at = CASE WHEN observed IS DISTINCT FROM %(observed)s::jsonb THEN clock_timestamp()
                          ELSE observed_at END,
       state = %(state)s, expires_at = %(expires_at)s, issued_at = coalesce(issued_at, %(issued_at)s),
       attempts = 0, unclear_attempts = 0, failing_since = NULL, retry_at = NULL, is_adoptable = false,
       failure_mode = '', failure_message = '', lease_until = NULL, lease_token = NULL,
       sync_state = CASE WHEN desired = %(applied)s::jsonb THEN 'settled' ELSE 'pending' END,
       updated_at = clock_timestamp()
 WHERE id = %(id)s AND lease_token = %(token)s
RETURNING sync_state
"""
# A failure leaves a plan made meanwhile pending and due at once: it may be just what was missing.
_FAIL = """
UPDATE licensing_integration_licenselink
   SET sync_state = CASE WHEN %(retry_at)s::timestamptz IS NULL AND desired = %(tried)s::jsonb
                         THEN 'attention' ELSE 'pending' END,
       retry_at = CASE WHEN desired = %(tried)s::jsonb THEN %(retry_at)s::timestamptz END,
       state = coalesce(%(state)s, state),
       expires_at = CASE WHEN %(state)s IS NULL THEN expires_at ELSE %(expires_at)s::timestamptz END,
       observed = CASE WHEN %(is_gone)s THEN NULL ELSE observed END,
       observed_at = CASE WHEN %(is_gone)s THEN %(now)s ELSE observed_at END,
       unclear_attempts = %(unclear)s, is_adoptable = %(adoptable)s,
       failure_mode = %(mode)s, failure_message = %(message)s,
       failing_since = coalesce(failing_since, %(now)s), lease_until = NULL, lease_token = NULL,
       updated_at = clock_timestamp()
 WHERE id = %(id)s AND lease_token = %(token)s
RETURNING sync_state
"""
# The story is told only if the lease was still ours; the user we learnt of is remembered either way.
_WITH_STORY = """
WITH known AS (
    INSERT INTO licensing_integration_licensinguser (server, email, external_id)
    SELECT %(server)s, %(email)s, %(user_id)s WHERE %(user_id)s <> ''
    ON CONFLICT (server, email) DO UPDATE SET external_id = excluded.external_id
), recorded AS ({update}), story AS (
    INSERT INTO licensing_integration_historyentry
        (purchase_id, link_id, event_id, user_id, kind, sentence, changes, calls, request_id, at)
    SELECT %(purchase)s, %(id)s, %(cause)s, NULL, e.kind, e.sentence, e.changes, e.calls, e.request_id,
           clock_timestamp()
      FROM ROWS FROM (json_to_recordset(%(entries)s::json)
                      AS (kind text, sentence text, changes jsonb, calls jsonb, request_id text))
           WITH ORDINALITY AS e(kind, sentence, changes, calls, request_id, place), recorded
     ORDER BY e.place
)
SELECT sync_state FROM recorded
"""


def claim(link_id: int) -> LicenseLink | None:
    """Take the link for ourselves for the length of a lease; ``None`` when it is settled, stopped, not due or taken."""
    arguments = {
        "id": link_id,
        "token": uuid.uuid4(),
        "lease": timedelta(seconds=conf.apply_lease_seconds()),
        "settling": timedelta(seconds=conf.settling_seconds()),
    }
    return next(iter(LicenseLink.objects.raw(_CLAIM, arguments)), None)


def settle(
    link: LicenseLink,
    *,
    applied: DesiredLicense,
    snapshot: LicenseSnapshot | None,
    entries: Sequence[HistoryEntry],
    new_user: tuple[str, str] = ("", ""),
) -> bool:
    """Record that ``applied`` was brought about; whether nothing more is wanted. ``new_user``: e-mail and user id we
    learnt. A lost lease writes nothing, and is nothing more of ours to do: its new holder looks first.

    Raises ``TransientRemoteError`` when another link took the same license at the same moment.
    """
    arguments = {
        "applied": json.dumps(_as_stored(link, applied)),
        "observed": json.dumps(to_json(snapshot)) if snapshot else None,
        "external_id": snapshot.license_id if snapshot else "",
        "key": snapshot.key if snapshot else link.key,
        "state": (snapshot.state if snapshot else LicenseState.ABSENT).value,
        "expires_at": snapshot.expires_at if snapshot else None,
        "issued_at": timezone.now() if snapshot else None,
    }
    try:
        state = _record(_SETTLE, link, arguments, entries=entries, new_user=new_user)
    except IntegrityError as error:
        raise TransientRemoteError(
            "Another license link adopted the same license at the same moment.", retry_after=0.0
        ) from error
    return state in {None, SyncState.SETTLED}


def _as_stored(link: LicenseLink, applied: DesiredLicense) -> object:
    """What was wanted, letter by letter as planning wrote it: a release that writes it otherwise would never settle."""
    return link.desired if applied == from_json(link.desired, DesiredLicense) else to_json(applied)


def keep_answer(link: LicenseLink, snapshot: LicenseSnapshot | None) -> bool:
    """Keep what the license server has just been asked for outside of an attempt; ``None``: it has no such license any
    more, which needs a person unless there should be none. ``link``: as it was read before the server was asked.
    ``False``, and nothing is kept, if somebody works on the license, has worked on it since, or is
    about to: theirs is the later word."""
    if not _is_free(link):
        return False
    now = timezone.now()
    untouched = LicenseLink.objects.exclude(sync_state=SyncState.PENDING).filter(
        Q(lease_until=None) | Q(lease_until__lt=now),
        pk=link.pk,
        lease_token=None,
        external_id=link.external_id,
        attempted_at=link.attempted_at,
    )
    if snapshot is None:
        told = {**_AS_GONE, **_needing_a_person(link, now=now)}
    else:
        told = {**_as_told(snapshot), **(_TO_BE_SETTLED if is_gone(link) else {})}
    return bool(untouched.update(observed_at=now, **told))


def is_gone(link: LicenseLink) -> bool:
    """Whether the license server was last heard to say that it has no such license any more."""
    return link.failure_message == str(LicenseGone(link.server))


# What it takes for an attempt to be made.
_TO_BE_SETTLED: Final = {
    "sync_state": SyncState.PENDING,
    "failure_mode": FailureMode.NONE,
    "failure_message": "",
    "failing_since": None,
    "retry_at": None,
}
_AS_GONE: Final = {"observed": None, "state": LicenseState.ABSENT.value, "expires_at": None}


def _as_told(snapshot: LicenseSnapshot) -> dict[str, Any]:
    return {"observed": to_json(snapshot), "state": snapshot.state.value, "expires_at": snapshot.expires_at}


def _needing_a_person(link: LicenseLink, *, now: datetime) -> dict[str, Any]:
    """What a license that is gone has become for those who look for what needs attention."""
    if link.desired.get("state") == LicenseState.ABSENT:
        return {}
    return {
        "sync_state": SyncState.ATTENTION,
        "failure_mode": FailureMode.PERMANENT,
        "failure_message": str(LicenseGone(link.server)),
        "failing_since": link.failing_since or now,
    }


def _is_free(link: LicenseLink) -> bool:
    is_leased = link.lease_token is not None or (link.lease_until is not None and link.lease_until >= timezone.now())
    return not is_leased and link.sync_state != SyncState.PENDING


def fail(
    link: LicenseLink,
    *,
    decision: Decision,
    message: str,
    entries: Sequence[HistoryEntry],
    now: datetime,
    changed: LicenseSnapshot | None = None,
    is_gone: bool = False,
) -> None:
    """Record that an attempt failed, and what happens next.

    ``changed``: the license after what the attempt did all the same. People see its state and end; ``observed`` stays
    beside ``applied``, from which the next attempt counts. ``is_gone``: the server has no such license any more.
    """
    state = LicenseState.ABSENT if is_gone else changed and changed.state
    arguments = {
        "is_gone": is_gone,
        "state": state.value if state else None,
        "expires_at": changed.expires_at if changed else None,
        "tried": json.dumps(link.desired),
        "retry_at": decision.retry_at,
        "unclear": link.unclear_attempts - decision.is_clear,
        "adoptable": link.is_adoptable,
        "mode": decision.failure_mode.value,
        "message": message,
        "now": now,
    }
    _record(_FAIL, link, arguments, entries=entries)


def in_doubt(applied: dict[str, Any] | None, *, tried: dict[str, Any], desired: dict[str, Any]) -> dict[str, Any]:
    """What the server may have after an attempt whose outcome is unknown: where that attempt could have led away from
    what is wanted now, it is taken to have done so, and the field is sent again."""
    if applied is None:
        return tried
    names = applied.keys() | tried.keys()
    kept = {name: (tried if applied.get(name) == desired.get(name) else applied) for name in names}
    return {name: source[name] for name, source in kept.items() if name in source}


def _as_record(entry: HistoryEntry) -> dict[str, object]:
    """The columns that differ from entry to entry. One value for all entries: an array of JSON texts would be quoted
    character by character."""
    return {
        "kind": entry.kind,
        "sentence": entry.sentence,
        "changes": entry.changes,
        "calls": entry.calls or None,
        "request_id": entry.request_id,
    }


def _record(
    update: str,
    link: LicenseLink,
    arguments: Mapping[str, Any],
    *,
    entries: Sequence[HistoryEntry],
    new_user: tuple[str, str] = ("", ""),
) -> str | None:
    """Run ``update`` under our lease, and tell the story with it; the link's new sync state, ``None`` without lease."""
    everything = {
        **arguments,
        "id": link.pk,
        "token": link.lease_token,
        "purchase": link.purchase_id,
        "cause": link.cause_id,
        "server": link.server,
        "email": new_user[0],
        "user_id": new_user[1],
        "entries": json.dumps([_as_record(entry) for entry in entries]),
    }
    with connection.cursor() as cursor:
        cursor.execute(_WITH_STORY.format(update=update), everything)
        row = cursor.fetchone()
    return row[0] if row else None
