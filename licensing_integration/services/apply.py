"""apply: make one license match what planning wants. Claimed with a lease, recorded before and after every attempt."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import InterfaceError, OperationalError
from django.utils import timezone

from licensing_integration import conf
from licensing_integration.calls import Call, kept_calls
from licensing_integration.domain.facts import Customer
from licensing_integration.domain.licenses import DesiredLicense, LicenseSnapshot
from licensing_integration.domain.outcomes import FailureMode, LicenseState
from licensing_integration.domain.wording import format_moment
from licensing_integration.exceptions import LicenseGone, PermanentRemoteError, RemoteError
from licensing_integration.license_servers.base import LicenseServerBackend
from licensing_integration.models import HistoryEntry, LicenseLink, LicensingUser
from licensing_integration.services import history, leases, retries
from licensing_integration.services.codec import from_json, to_json
from licensing_integration.services.connections import answering_within, backend_of
from licensing_integration.services.slots import plan_once_more

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """What an attempt brought about. ``snapshot=None``: there is no license, and none is wanted. ``new_user_id``: the
    customer's user on the license server, when it was asked for and should be remembered."""

    applied: DesiredLicense
    snapshot: LicenseSnapshot | None
    entries: tuple[tuple[str, str], ...] = ()  # (kind, sentence)
    new_user_id: str = ""


def apply_links(link_ids: Iterable[int]) -> None:
    """Apply these links one after the other; a failure of one is recorded and does not keep the others waiting."""
    for link_id in link_ids:
        apply_link(link_id)


def apply_link(link_id: int) -> None:
    """Bring one license to its desired state, also when that changes while we work. Returns without doing anything
    when the link is settled, stopped, not due, or claimed by another worker."""
    while link := leases.claim(link_id):
        with kept_calls() as calls, answering_within(conf.apply_lease_seconds() * 0.9):
            try:
                outcome = _converge(link)
                is_settled = _record_success(link, outcome, calls)
            except (OperationalError, InterfaceError):
                raise  # our own database is away: the lease runs out and the sweep tries again
            except Exception as error:
                _record_failure(link, error, calls)
                return
        if is_settled:
            return


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
        if is_retry:
            _forget_earlier_attempts(link)
    # A license that is to be suspended is issued suspended: had the events come in order, it would exist. The end must
    # not depend on their order.
    if desired.state is LicenseState.ABSENT or not desired.is_issuable:
        return _Outcome(applied=desired, snapshot=None, entries=(("license.not_issued", f"Not issued. {link.reason}"),))
    return _issue(link, backend, desired)


def _forget_earlier_attempts(link: LicenseLink) -> None:
    """None of them is found, so only the present one may make a license. Should it fail, the next one looks all the
    same: a server may list a license later than it should."""
    link.unclear_attempts, link.is_adoptable = 1, True


def _issue(link: LicenseLink, backend: LicenseServerBackend, desired: DesiredLicense) -> _Outcome:
    user_id, is_known = _user_id(link.server, backend, desired.customer)
    try:
        snapshot = backend.issue(desired, slot=link.reference, user_id=user_id)
    except PermanentRemoteError:
        # Somebody may have deleted the user we knew; then there is another one now.
        fresh_id = backend.ensure_user(desired.customer) if user_id and is_known else user_id
        if fresh_id == user_id:
            raise
        user_id, is_known = fresh_id, False
        snapshot = backend.issue(desired, slot=link.reference, user_id=user_id)
    sentence = f"Issued {_named(snapshot)} on {link.server}{_until(snapshot)}. {link.reason}"
    if not user_id:
        sentence += " The store gave no e-mail address, so the license belongs to no user."
    sentence = " ".join([sentence, *backend.unsupported(desired)])
    return _Outcome(
        applied=desired,
        snapshot=snapshot,
        entries=(("license.issued", sentence),),
        new_user_id="" if is_known else user_id,
    )


def _adoptable(link: LicenseLink, backend: LicenseServerBackend, desired: DesiredLicense) -> LicenseSnapshot | None:
    """The first license on the server that is this slot's and no other link's. Where nobody else can have made one,
    an attempt without an answer is a reason to look for ours, and for no more."""
    sought = desired if link.is_adoptable else replace(desired, vendor_metadata={}, searched_metadata={})
    candidates = backend.find(slot=link.reference, desired=sought)
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
    """Take over a license that exists: made by an attempt whose answer was lost, or by the vendor's integration. Where
    the store told no date to go by, it is taken to have the periods paid so far, or ours those of the attempt that made
    it."""
    is_ours = link.reference in found.metadata.values()
    tried = from_json(link.applied, DesiredLicense) if link.applied else desired
    is_countable = is_ours and desired.expires_at is None
    goal = replace(desired, periods=min(desired.periods, tried.periods)) if is_countable else desired
    user_id, is_known = _user_id(link.server, backend, desired.customer)
    result = backend.converge(found, applied=None, desired=goal, user_id=user_id, is_retry=True)
    origin = "made by an earlier attempt" if is_ours else "found on the server"
    adopted = ("license.adopted", f"Adopted {_named(found)}, {origin}. {link.reason}")
    return _Outcome(
        applied=goal,
        snapshot=result.snapshot,
        entries=(adopted, *_sentences(link, result.verbs, result.notes, result.snapshot)),
        new_user_id="" if is_known else user_id,
    )


def _change(link: LicenseLink, backend: LicenseServerBackend, desired: DesiredLicense, *, is_retry: bool) -> _Outcome:
    applied = from_json(link.applied, DesiredLicense) if link.applied else None
    observed = _observed(link, backend)
    result_of_gone = _Outcome(applied=desired, snapshot=None, entries=(("license.deleted", f"Deleted. {link.reason}"),))
    if observed is None:
        if desired.state is LicenseState.ABSENT:
            return result_of_gone
        raise LicenseGone(link.server)
    user_id, is_known = _changed_user_id(link, backend, applied, desired)
    result = backend.converge(observed, applied=applied, desired=desired, user_id=user_id, is_retry=is_retry)
    if result.snapshot is None and desired.state is not LicenseState.ABSENT:
        raise LicenseGone(link.server)
    entries = _sentences(link, result.verbs, result.notes, result.snapshot)
    if not entries and link.attempts > 1:
        # A failure was told; so is its end.
        entries = (("license.unchanged", f"Nothing more was needed. {link.reason}"),)
    return _Outcome(
        applied=desired,
        snapshot=result.snapshot,
        entries=entries,
        new_user_id="" if is_known else user_id,
    )


def _observed(link: LicenseLink, backend: LicenseServerBackend) -> LicenseSnapshot | None:
    """What the server last told us; asked anew when nothing of it is kept (after a resync)."""
    if link.observed:
        return from_json(link.observed, LicenseSnapshot)
    return backend.fetch(link.external_id)


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


def _named(snapshot: LicenseSnapshot) -> str:
    """The license as people find it again: by the end of its key, and one of named users, who need none, by its id."""
    return f"license …{snapshot.key[-6:]}" if snapshot.key else f"license {snapshot.license_id}, which has no key,"


def _until(snapshot: LicenseSnapshot | None) -> str:
    if snapshot is None or snapshot.expires_at is None:
        return ""
    return f", valid until {format_moment(snapshot.expires_at)}"


# --- users -----------------------------------------------------------------------------------------------------------


def _user_id(server: str, backend: LicenseServerBackend, customer: Customer) -> tuple[str, bool]:
    """The license server's user for the customer, and whether we knew it already. No e-mail: no user, no call."""
    if not customer.email:
        return "", True
    known = LicensingUser.objects.raw(_KNOWN_USER, [server, customer.email])
    user = next(iter(known), None)
    return (user.external_id, True) if user else (backend.ensure_user(customer), False)


_KNOWN_USER = "SELECT id, external_id FROM licensing_integration_licensinguser WHERE server = %s AND email = %s"


def _changed_user_id(
    link: LicenseLink, backend: LicenseServerBackend, applied: DesiredLicense | None, desired: DesiredLicense
) -> tuple[str, bool]:
    """The user to assign, needed only when the license goes to another address, and whether we knew it."""
    if desired.state is LicenseState.ABSENT or (applied and applied.customer.email == desired.customer.email):
        return "", True
    return _user_id(link.server, backend, desired.customer)


# --- the record of an attempt ---------------------------------------------------------------------------------------


def _record_success(link: LicenseLink, outcome: _Outcome, calls: Sequence[Call]) -> bool:
    """Write the outcome, and the ``calls`` it took on its first entry; whether there is nothing more to do."""
    after = to_json(outcome.snapshot) if outcome.snapshot else {}
    changes = history.license_changes(link.observed or {}, after)
    is_settled = leases.settle(
        link,
        applied=outcome.applied,
        snapshot=outcome.snapshot,
        entries=[
            history.link_entry(link, kind=kind, sentence=sentence, changes=changes, calls=() if place else calls)
            for place, (kind, sentence) in enumerate(outcome.entries)
        ],
        new_user=(outcome.applied.customer.email, outcome.new_user_id),
    )
    logger.info("license applied", extra={"license": link.pk, "server": link.server})
    return is_settled


def _record_failure(link: LicenseLink, error: Exception, calls: Sequence[Call] = ()) -> None:
    now = timezone.now()
    decision = retries.decide(error, attempts=link.attempts, failing_since=link.failing_since or now, now=now)
    message = retries.describe(error, decision)
    entries = _failure_entries(link, error, message, decision.retry_at, calls=calls)
    leases.fail(
        link,
        decision=decision,
        message=message,
        entries=entries,
        now=now,
        changed=_changed_license(error),
        is_gone=isinstance(error, LicenseGone),
    )
    if decision.failure_mode and not link.external_id:
        plan_once_more(link, now=now)
    log = logger.exception if decision.failure_mode is FailureMode.INTERNAL else logger.warning
    log("license not applied", extra={"license": link.pk, "server": link.server, "error": type(error).__name__})


def _changed_license(error: Exception) -> LicenseSnapshot | None:
    changed = getattr(error, "changed_license", None)
    return changed if isinstance(changed, LicenseSnapshot) else None


def _failure_entries(
    link: LicenseLink, error: Exception, message: str, retry_at: datetime | None, *, calls: Sequence[Call]
) -> list[HistoryEntry]:
    """The first failure of a row and the final one are told; the repeats in between would bury the story."""
    if link.attempts > 1 and retry_at is not None and message == link.failure_message:
        return []
    request_id = error.request_id if isinstance(error, RemoteError) else ""
    outlook = "It is tried again by itself." if retry_at else "It needs a person."
    sentence = f"{message} {outlook}"
    return [
        history.link_entry(link, kind="license.failed", sentence=sentence, request_id=request_id[:100], calls=calls)
    ]
