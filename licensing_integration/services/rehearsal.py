"""What would happen: planning for real, in a transaction that is always undone. Nobody outside is told or asked.

Nothing survives: no row, no job (procrastinate's notices are part of the transaction), no lock. What is locked is let
go of as soon as the answer is known, and whoever else works on the same purchase is not waited for.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import OperationalError, connection, transaction

from licensing_integration.domain.desired import Override
from licensing_integration.domain.outcomes import EventState
from licensing_integration.domain.wording import format_day
from licensing_integration.exceptions import LicensingIntegrationError
from licensing_integration.models import HistoryEntry, LicenseLink, WebhookEvent
from licensing_integration.services.explain import end_before
from licensing_integration.services.interventions import replayable
from licensing_integration.services.pictures import (
    Picture,
    name_of,
    summarize,
    take_picture,
    take_same,
    tell_differences,
)
from licensing_integration.services.plan import plan_event, plan_purchase
from licensing_integration.services.translate import translate_as_stored

MOST_PREVIEWED: Final = 500
"""Events that one preview looks at; each takes some milliseconds."""

PREVIEW_SECONDS: Final = 0.2
"""After that no further event is looked at, where nobody asked for a preview: the first ones tell enough."""

LONG_PREVIEW_SECONDS: Final = 3.0
"""How long somebody waits who asked to see more."""

MOST_LICENSES: Final = 100
"""Licenses of a purchase that is previewed; with more of them a person would wait too long."""

NOTHING: Final = "Nothing would change."

# Shorter than the second after which PostgreSQL looks for deadlocks: it is us who give way, never a worker.
_LOCK_WAIT: Final = "100ms"


@dataclass(frozen=True, kw_only=True)
class ReplayPreview:
    """What replaying some events would do, and of how many of them that is known. ``summary``: what would be new,
    counted; empty where nothing would be."""

    sentences: tuple[str, ...]
    summary: str = ""
    changed: int = 0
    unchanged: int = 0
    failed: int = 0
    not_looked_at: int = 0


class Busy(Exception):
    """Somebody else works on what was to be looked at."""


@contextmanager
def undone() -> Iterator[None]:
    """Whatever is done inside is undone at the end. Raises ``Busy`` rather than wait for somebody else's lock."""
    with _impatient():
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'")
        try:
            yield
        finally:
            transaction.set_rollback(True)


@contextmanager
def _impatient() -> Iterator[None]:
    """A transaction, or a part of one, that says ``Busy`` when a lock was not to be had in time."""
    try:
        with transaction.atomic():
            yield
    except OperationalError as error:
        if not _is_locked(error):
            raise
        raise Busy from error


def _is_locked(error: OperationalError) -> bool:
    """Whether a lock was not to be had: https://www.postgresql.org/docs/current/errcodes-appendix.html"""
    return getattr(error.__cause__, "sqlstate", "") in {"55P03", "40P01"}  # lock not available, deadlock


# --- replays ---------------------------------------------------------------------------------------------------------


def preview_replay(event_ids: Sequence[int], *, seconds: float = PREVIEW_SECONDS) -> ReplayPreview:
    """What replaying these events would change: the oldest ``MOST_PREVIEWED`` of them are looked at, one after another,
    for as long as ``seconds``; one at least.

    The store is not asked again: what an event left out is taken from what was fetched for it before.
    """
    chosen = sorted(set(event_ids))
    first = chosen[:MOST_PREVIEWED]
    ids = list(replayable(first).order_by("id").values_list("id", flat=True))
    nothing_to_do = len(first) - len(ids)
    looked_at = 0
    results: list[Picture] = []
    failures: list[str] = []
    busy: list[str] = []
    with undone():
        told_before = HistoryEntry.objects.order_by("-id").values_list("id", flat=True).first() or 0
        enough = time.monotonic() + seconds
        for pk in ids:
            if looked_at and time.monotonic() > enough:
                break
            looked_at += 1
            event = WebhookEvent.objects.get(pk=pk)
            try:
                results.append(_replayed(event, told_before=told_before))
            except Busy:
                busy.append(f"{_named(event)} was not looked at: somebody is working on its purchase just now.")
            except LicensingIntegrationError as error:
                failures.append(f"{_named(event)} could not be processed: {error}")
            except OperationalError:
                raise  # our own database is away
            except Exception as error:
                failures.append(f"{_named(event)} could not be processed ({type(error).__name__}).")
    everything = Picture()
    for result in results:
        everything = everything.updated(result)
    before = take_same(everything)
    changed = _count_changes(before, results)
    sentences = [*tell_differences(before, everything), *failures, *busy]
    return ReplayPreview(
        sentences=tuple(_each_once(sentences)) or (NOTHING,),
        summary=summarize(before, everything),
        changed=changed,
        unchanged=nothing_to_do + looked_at - changed - len(failures) - len(busy),
        failed=len(failures),
        not_looked_at=len(chosen) - nothing_to_do - looked_at + len(busy),
    )


def _replayed(event: WebhookEvent, *, told_before: int) -> Picture:
    """The purchases of an event after it was translated and planned again. One that fails leaves nothing behind, and
    holds no lock. ``told_before``: the newest history entry that is not of this preview."""
    with _impatient():
        WebhookEvent.objects.filter(pk=event.pk).update(state=EventState.RECEIVED, attempts=0)
        plan_event(event, translate_as_stored(event))
        told = HistoryEntry.objects.filter(event=event, pk__gt=told_before)
        return take_picture(set(told.values_list("purchase_id", flat=True)))


def _each_once(sentences: Iterable[str]) -> list[str]:
    """Without repetitions; how often a sentence was told stands behind it."""
    counted = Counter(sentences)
    return [told if number == 1 else f"{told} ({number} times)" for told, number in counted.items()]


def _count_changes(before: Picture, results: Sequence[Picture]) -> int:
    """How many of the events would change something that an earlier one of them has not changed already."""
    changed = 0
    for result in results:
        changed += bool(tell_differences(before, result))
        before = before.updated(result)
    return changed


def _named(event: WebhookEvent) -> str:
    return f"Event {event.external_id} ({event.event_type or 'of no known type'})"


# --- purchases -------------------------------------------------------------------------------------------------------


def preview_purchase(purchase_id: int) -> tuple[str, ...]:
    """What planning this purchase now would change, in sentences; says so if nothing would."""
    return _preview(purchase_id, prepare=lambda: None)


def preview_override(link_id: int, *, override: Override | None) -> tuple[str, ...]:
    """What an override of this license would change, or the end of the one it has (``None``); and whether the license
    would expire before its override ends."""
    link = LicenseLink.objects.get(pk=link_id)

    def _set() -> None:
        LicenseLink.objects.filter(pk=link_id).update(
            override_state=override.state.value if override and override.state else "",
            override_expires_at=override.expires_at if override else None,
            override_until=override.until if override else None,
        )

    until = override.until if override and override.expires_at is None else None
    return _preview(link.purchase_id, prepare=_set, warn=lambda after: _warning(after.links[link_id], until=until))


def _warning(link: LicenseLink, *, until: datetime | None) -> str:
    end = end_before(link, until)
    if end is None or until is None:
        return ""
    return (
        f"License {link.shown_key} of {name_of(link)} expires on {format_day(end)}, before the "
        f"override ends on {format_day(until)}. Choose a date in 'Expires', too, if it shall work longer."
    )


def _nothing_more(_after: Picture) -> str:
    return ""


def _preview(
    purchase_id: int, *, prepare: Callable[[], None], warn: Callable[[Picture], str] = _nothing_more
) -> tuple[str, ...]:
    if LicenseLink.objects.filter(purchase=purchase_id)[: MOST_LICENSES + 1].count() > MOST_LICENSES:
        return (f"The purchase has more than {MOST_LICENSES} licenses, too many to say beforehand what would change.",)
    try:
        with undone():
            prepare()
            plan_purchase(purchase_id)
            after = take_picture([purchase_id])
    except Busy:
        return ("Somebody is working on this purchase just now, so what would change is not known.",)
    except LicensingIntegrationError as error:  # its store is configured no more, for instance
        return (f"What would change is not known: {error}",)
    told = tuple(tell_differences(take_same(after), after)) or (NOTHING,)
    warning = warn(after)
    return (*told, warning) if warning else told
