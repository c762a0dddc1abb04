"""refresh: ask a license server what one license looks like now, for a person who waits for the answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from licensing_integration import jobs
from licensing_integration.domain.licenses import LicenseSnapshot
from licensing_integration.exceptions import TransientRemoteError
from licensing_integration.models import HistoryEntry, LicenseLink
from licensing_integration.services import audit, history, leases
from licensing_integration.services.codec import to_json
from licensing_integration.services.connections import answering_within, backend_of

LONGEST_SECONDS = 15.0  # a person looks at an empty page meanwhile


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the license server said. ``snapshot=None``: it has no such license any more. ``is_kept``: it now stands on
    the license's row; not while somebody works on the license. ``is_news``: it differs from what was known."""

    at: datetime
    snapshot: LicenseSnapshot | None
    is_kept: bool
    is_news: bool


def ask_server(link_id: int, *, user_id: int | None) -> Answer:
    """Ask now, and keep the answer if nobody works on the license. Changes nothing on the license server.

    Raises ``ValueError`` for a slot without a license, ``RemoteError`` or ``ConfigurationProblem`` when there is no
    answer.
    """
    link = LicenseLink.objects.get(pk=link_id)
    if not link.external_id:
        raise ValueError("There is no license on the server yet, so there is nothing to ask for.")
    snapshot = _fetch(link)
    with transaction.atomic():
        audit.record("license.refreshed", f"Asked {link.server} for its state.", user_id=user_id, link=link)
        changes = history.license_changes(link.observed or {}, to_json(snapshot) if snapshot else {})
        is_kept = leases.keep_answer(link, snapshot)
        if is_kept and changes and (link.observed or leases.is_gone(link)):
            HistoryEntry.objects.bulk_create([_news(link, snapshot, changes=changes, user_id=user_id)])
        if is_kept and snapshot and leases.is_gone(link):
            jobs.enqueue_links([link.pk])  # it is there after all, and to be compared with what is wanted
    return Answer(at=timezone.now(), snapshot=snapshot, is_kept=is_kept, is_news=bool(changes))


def _fetch(link: LicenseLink) -> LicenseSnapshot | None:
    try:
        with answering_within(LONGEST_SECONDS):
            return backend_of(link.server).fetch(link.external_id)
    except TransientRemoteError as error:
        # Nothing tries this again by itself, whatever the call's own sentence says.
        raise TransientRemoteError(
            f"{link.server} gave no answer. Try again in a moment; what is shown here is what it said last.",
            may_have_succeeded=False,
        ) from error


def _news(
    link: LicenseLink, snapshot: LicenseSnapshot | None, *, changes: dict[str, list[object]], user_id: int | None
) -> HistoryEntry:
    news = "reports something new, which did not come from here" if snapshot else "has no such license any more"
    return history.link_entry(
        link,
        kind="license.observed",
        sentence=f"{link.server} was asked and {news}.",
        changes=changes,
        user_id=user_id,
    )
