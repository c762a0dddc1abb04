"""apply: make one license match what planning wants. Claimed with a lease, recorded before and after every attempt."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from licensing_integration import conf
from licensing_integration.domain.facts import Customer
from licensing_integration.domain.licenses import DesiredLicense, LicenseSnapshot
from licensing_integration.domain.outcomes import FailureMode, LicenseState, SyncState
from licensing_integration.exceptions import PermanentRemoteError, RemoteError, TransientRemoteError
from licensing_integration.http import call_deadline
from licensing_integration.license_servers.base import LicenseServerBackend
from licensing_integration.models import HistoryEntry, LicenseLink, LicensingUser
from licensing_integration.services import history, retries
from licensing_integration.services.codec import from_json, to_json
from licensing_integration.services.connections import backend_of

logger = logging.getLogger(__name__)

# The claim is the record "an attempt begins": it is committed before the first call, so a killed worker leaves a trace.
_CLAIM = """
UPDATE licensing_integration_licenselink
   SET lease_until = clock_timestamp() + %(lease)s, lease_token = %(token)s, attempts = attempts + 1,
       unclear_attempts = unclear_attempts + 1, attempted_at = clock_timestamp(), updated_at = clock_timestamp()
 WHERE id = %(id)s AND sync_state = 'pending'
   AND (lease_until IS NULL OR lease_until < clock_timestamp())
   AND (retry_at IS NULL OR retry_at <= clock_timestamp())
RETURNING *
"""
_SETTLE = """
UPDATE licensing_integration_licenselink
   SET applied = %(applied)s::jsonb, observed = %(observed)s::jsonb, external_id = %(external_id)s, key = %(key)s,
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
       unclear_attempts = unclear_attempts - %(clear)s, failure_mode = %(mode)s, failure_message = %(message)s,
       failing_since = coalesce(failing_since, %(now)s), lease_until = NULL, lease_token = NULL,
       updated_at = clock_timestamp()
 WHERE id = %(id)s AND lease_token = %(token)s
"""


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """What an attempt brought about. ``snapshot=None``: there is no license, and none is wanted."""

    applied: DesiredLicense
    snapshot: LicenseSnapshot | None
    entries: tuple[tuple[str, str], ...] = ()  # (kind, sentence)


def apply_links(link_ids: Iterable[int]) -> None:
    """Apply these links one after the other; a failure of one is recorded and does not keep the others waiting."""
    for link_id in link_ids:
        apply_link(link_id)


def apply_link(link_id: int) -> None:
    """Bring one license to its desired state, also when that changes while we work. Returns without doing anything
    when the link is settled, stopped, not due, or claimed by another worker."""
    while link := _claim(link_id):
        deadline = call_deadline.set(time.monotonic() + conf.apply_lease_seconds() * 0.9)
        try:
            outcome = _converge(link)
            is_settled = _record_success(link, outcome)
        except (OperationalError, InterfaceError):
            raise  # our own database is away: the lease runs out and the sweep tries again
        except Exception as error:
            _record_failure(link, error)
            return
        finally:
            call_deadline.reset(deadline)
        if is_settled:
            return


def _claim(link_id: int) -> LicenseLink | None:
    arguments = {"id": link_id, "token": uuid.uuid4(), "lease": timedelta(seconds=conf.apply_lease_seconds())}
    return next(iter(LicenseLink.objects.raw(_CLAIM, arguments)), None)


# --- one attempt -----------------------------------------------------------------------------------------------------


def _converge(link: LicenseLink) -> _Outcome:
    desired = from_json(link.desired, DesiredLicense)
    backend = backend_of(link.server)
    is_retry = link.unclear_attempts > 1
    if link.external_id:
        return _change(link, backend, desired, is_retry=is_retry)
    if is_retry or link.is_adoptable:
        found = _adoptable(link, backend, desired)
        if found:
            return _adopt(link, backend, desired, found)
    if desired.state is LicenseState.ABSENT:
        return _Outcome(applied=desired, snapshot=None, entries=(("license.not_issued", f"Not issued. {link.reason}"),))
    return _issue(link, backend, desired)


def _issue(link: LicenseLink, backend: LicenseServerBackend, desired: DesiredLicense) -> _Outcome:
    user_id, is_cached = _user_id(link.server, backend, desired.customer)
    try:
        snapshot = backend.issue(desired, slot=link.reference, user_id=user_id)
    except PermanentRemoteError:
        fresh_id = _refreshed_user_id(link.server, backend, desired.customer) if is_cached else user_id
        if fresh_id == user_id:
            raise
        snapshot = backend.issue(desired, slot=link.reference, user_id=fresh_id)
    sentence = f"Issued license …{snapshot.key[-6:]} on {link.server}{_until(snapshot)}. {link.reason}"
    if not user_id:
        sentence += " The store gave no e-mail address, so the license belongs to no user."
    return _Outcome(applied=desired, snapshot=snapshot, entries=(("license.issued", sentence),))


def _adoptable(link: LicenseLink, backend: LicenseServerBackend, desired: DesiredLicense) -> LicenseSnapshot | None:
    """The first license on the server that is this slot's and no other link's."""
    candidates = backend.find(slot=link.reference, desired=desired)
    ids = [candidate.license_id for candidate in candidates]
    taken = set(
        LicenseLink.objects.filter(server=link.server, external_id__in=ids).values_list("external_id", flat=True)
        if ids
        else ()
    )
    return next((candidate for candidate in candidates if candidate.license_id not in taken), None)


def _adopt(
    link: LicenseLink, backend: LicenseServerBackend, desired: DesiredLicense, found: LicenseSnapshot
) -> _Outcome:
    """Take over a license that exists: made by an attempt whose answer was lost, or by the vendor's integration. It is
    taken to have the periods paid so far, except that ours has those of the attempt that made it."""
    is_ours = link.reference in found.metadata.values()
    tried = from_json(link.applied, DesiredLicense) if link.applied else desired
    goal = replace(desired, periods=min(desired.periods, tried.periods)) if is_ours else desired
    user_id, _ = _user_id(link.server, backend, desired.customer)
    result = backend.converge(found, applied=None, desired=goal, user_id=user_id, is_retry=True)
    origin = "made by an earlier attempt" if is_ours else "found on the server"
    adopted = ("license.adopted", f"Adopted license …{found.key[-6:]}, {origin}. {link.reason}")
    return _Outcome(
        applied=goal,
        snapshot=result.snapshot,
        entries=(adopted, *_sentences(link, result.verbs, result.notes, result.snapshot)),
    )


def _change(link: LicenseLink, backend: LicenseServerBackend, desired: DesiredLicense, *, is_retry: bool) -> _Outcome:
    applied = from_json(link.applied, DesiredLicense) if link.applied else None
    observed = _observed(link, backend)
    result_of_gone = _Outcome(applied=desired, snapshot=None, entries=(("license.deleted", f"Deleted. {link.reason}"),))
    if observed is None:
        if desired.state is LicenseState.ABSENT:
            return result_of_gone
        raise _gone(link)
    user_id = _changed_user_id(link, backend, applied, desired)
    result = backend.converge(observed, applied=applied, desired=desired, user_id=user_id, is_retry=is_retry)
    if result.snapshot is None and desired.state is not LicenseState.ABSENT:
        raise _gone(link)
    return _Outcome(
        applied=desired, snapshot=result.snapshot, entries=_sentences(link, result.verbs, result.notes, result.snapshot)
    )


def _observed(link: LicenseLink, backend: LicenseServerBackend) -> LicenseSnapshot | None:
    """What the server last told us; asked anew when nothing of it is kept (after a resync)."""
    if link.observed:
        return from_json(link.observed, LicenseSnapshot)
    return backend.fetch(link.external_id)


def _gone(link: LicenseLink) -> PermanentRemoteError:
    return PermanentRemoteError(
        f"The license no longer exists on {link.server}: somebody deleted it there. "
        "Use 'Issue again' to make a new one, or end the purchase in the store.",
        status=404,
    )


_SENTENCES = {
    "renewed": "Renewed{until}.",
    "changed": "Changed{until}.",
    "suspended": "Suspended.",
    "reinstated": "Reinstated.",
    "revoked": "Revoked.",
    "deleted": "Deleted.",
}


def _sentences(
    link: LicenseLink, verbs: Sequence[str], notes: Sequence[str], snapshot: LicenseSnapshot | None
) -> tuple[tuple[str, str], ...]:
    """One entry for all calls of an attempt: the verbs in words, the reason, and what the server could not do."""
    if not verbs and not notes:
        return ()
    words = " ".join(_SENTENCES[verb].format(until=_until(snapshot)) for verb in verbs)
    kind = f"license.{verbs[-1]}" if verbs else "license.unchanged"
    return ((kind, " ".join([words, link.reason, *notes]).strip()),)


def _until(snapshot: LicenseSnapshot | None) -> str:
    if snapshot is None or snapshot.expires_at is None:
        return ""
    return f", valid until {snapshot.expires_at.day} {snapshot.expires_at:%B %Y %H:%M} UTC"


# --- users -----------------------------------------------------------------------------------------------------------


def _user_id(server: str, backend: LicenseServerBackend, customer: Customer) -> tuple[str, bool]:
    """The license server's user for the customer, and whether we knew it already. No e-mail: no user, no call."""
    if not customer.email:
        return "", False
    known = LicensingUser.objects.filter(server=server, email=customer.email).values_list("external_id", flat=True)
    cached = next(iter(known), "")
    return (cached, True) if cached else (_ensure_user(server, backend, customer), False)


def _refreshed_user_id(server: str, backend: LicenseServerBackend, customer: Customer) -> str:
    """The user's id asked anew: somebody may have deleted the one we knew."""
    user_id = _ensure_user(server, backend, customer)
    LicensingUser.objects.filter(server=server, email=customer.email).update(external_id=user_id)
    return user_id


def _ensure_user(server: str, backend: LicenseServerBackend, customer: Customer) -> str:
    user_id = backend.ensure_user(customer)
    row = LicensingUser(server=server, email=customer.email, external_id=user_id)
    LicensingUser.objects.bulk_create([row], ignore_conflicts=True)
    return user_id


def _changed_user_id(
    link: LicenseLink, backend: LicenseServerBackend, applied: DesiredLicense | None, desired: DesiredLicense
) -> str:
    """The user to assign, needed only when the license goes to another address."""
    if desired.state is LicenseState.ABSENT or (applied and applied.customer.email == desired.customer.email):
        return ""
    return _user_id(link.server, backend, desired.customer)[0]


# --- the record of an attempt ---------------------------------------------------------------------------------------


def _record_success(link: LicenseLink, outcome: _Outcome) -> bool:
    """Write the outcome; whether the link is settled now. A lost lease writes nothing: its new holder looks first."""
    snapshot = outcome.snapshot
    before = link.observed or {}
    after = to_json(snapshot) if snapshot else {}
    arguments = {
        **_identity(link),
        "applied": _jsonb(to_json(outcome.applied)),
        "observed": _jsonb(after) if snapshot else None,
        "external_id": snapshot.license_id if snapshot else "",
        "key": snapshot.key if snapshot else link.key,
        "state": (snapshot.state if snapshot else LicenseState.ABSENT).value,
        "expires_at": snapshot.expires_at if snapshot else None,
        "issued_at": timezone.now() if snapshot else None,
    }
    changes = _visible_changes(before, after)
    entries = [history.link_entry(link, kind=k, sentence=s, changes=changes) for k, s in outcome.entries]
    try:
        with transaction.atomic():
            row = _execute(_SETTLE, arguments)
            if row is not None:
                HistoryEntry.objects.bulk_create(entries)
    except IntegrityError as error:
        raise TransientRemoteError(
            "Another license link adopted the same license at the same moment.", retry_after=0.0
        ) from error
    logger.info("license applied", extra={"license": link.pk, "server": link.server})
    return row is None or row[0] == SyncState.SETTLED


def _visible_changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[Any]]:
    hidden = {"key", "metadata", "user_id", "license_id", "created_at"}
    return {name: pair for name, pair in history.differences(before, after).items() if name not in hidden}


def _record_failure(link: LicenseLink, error: Exception) -> None:
    now = timezone.now()
    decision = retries.decide(error, attempts=link.attempts, failing_since=link.failing_since or now, now=now)
    message = _message(error, decision)
    arguments = {
        **_identity(link),
        "tried": _jsonb(link.desired),
        "retry_at": decision.retry_at,
        "clear": int(decision.is_clear),
        "mode": decision.failure_mode.value,
        "message": message,
        "now": now,
    }
    entries = _failure_entries(link, error, message, decision.retry_at)
    with transaction.atomic():
        _execute(_FAIL, arguments)
        HistoryEntry.objects.bulk_create(entries)
    log = logger.exception if decision.failure_mode is FailureMode.INTERNAL else logger.warning
    log("license not applied", extra={"license": link.pk, "server": link.server, "error": type(error).__name__})


def _failure_entries(
    link: LicenseLink, error: Exception, message: str, retry_at: datetime | None
) -> list[HistoryEntry]:
    """The first failure of a row and the final one are told; the repeats in between would bury the story."""
    if link.attempts > 1 and retry_at is not None and message == link.failure_message:
        return []
    request_id = error.request_id if isinstance(error, RemoteError) else ""
    outlook = "It is tried again by itself." if retry_at else "It needs a person."
    return [
        history.link_entry(link, kind="license.failed", sentence=f"{message} {outlook}", request_id=request_id[:100])
    ]


def _message(error: Exception, decision: retries.Decision) -> str:
    if decision.failure_mode is FailureMode.INTERNAL:
        return f"An error of ours stopped this ({type(error).__name__}); the log has the details."
    if decision.failure_mode is FailureMode.EXCEEDED:
        return f"Given up after three days: {error}"
    return str(error)


def _identity(link: LicenseLink) -> dict[str, object]:
    return {"id": link.pk, "token": link.lease_token}


def _jsonb(value: object) -> str:
    return json.dumps(value)


def _execute(sql: str, arguments: dict[str, Any]) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        row: tuple[Any, ...] | None = cursor.fetchone() if cursor.description else None
        return row
