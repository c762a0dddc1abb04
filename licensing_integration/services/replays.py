"""replays: many webhook events translated and planned again in the background, batch by batch.

How far a replay has come stands on its row and moves in the transaction that sets a batch in motion. So a killed worker
or a second job for the same replay neither leaves an event out nor takes one twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Count, F, QuerySet
from django.db.models.expressions import RawSQL
from django.utils import timezone

from licensing_integration import jobs
from licensing_integration.domain.outcomes import ReplayState
from licensing_integration.domain.wording import count_of
from licensing_integration.models import BulkReplay, WebhookEvent
from licensing_integration.services import audit
from licensing_integration.services.interventions import replayable, set_in_motion

MOST_EVENTS = 100_000
EVENTS_PER_BATCH = 100
# Of a replay's events, as many are looked at to tell what became of them.
MOST_COUNTED = 10_000
UNFINISHED = (ReplayState.WAITING, ReplayState.RUNNING)


def start(event_ids: Sequence[int], *, user_id: int | None, reason: str) -> BulkReplay:
    """Have these events replayed, in the order of their ids.

    Raises ``ValueError`` when there are none or too many, or no reason is given.
    """
    ids = sorted(set(event_ids))
    if not ids:
        raise ValueError("None of these events can be replayed.")
    if len(ids) > MOST_EVENTS:
        raise ValueError(f"{len(ids)} events are too many at once; {MOST_EVENTS} are the most.")
    if not reason.strip():
        raise ValueError("Give a reason; a colleague will ask for it.")
    with transaction.atomic():
        replay = BulkReplay.objects.create(event_ids=ids, reason=reason, created_by_id=user_id)
        sentence = f"Bulk replay {replay.pk} of {count_of(len(ids), 'event')} started."
        audit.record("event.replay_many", sentence, user_id=user_id, reason=reason)
        jobs.enqueue_replay(replay.pk)
    return replay


def work_through(replay_id: int) -> None:
    """Set the next batch in motion, and ask for a job for the one after it. That job waits until the queue is empty, so
    that whatever arrives meanwhile passes, and a replay that is canceled stops soon.

    A replay that is finished, or that another worker is at, is left alone.
    """
    with transaction.atomic():
        replay = _unfinished().filter(pk=replay_id).first()
        if replay is None:
            return
        batch = _batch(replay)
        set_in_motion(batch, priority=jobs.BULK_PRIORITY)
        replay.done += len(batch)
        if replay.done < replay.total:
            replay.state = ReplayState.RUNNING
            jobs.enqueue_replay(replay.pk)
        else:
            replay.state, replay.finished_at = ReplayState.DONE, timezone.now()
        replay.save(update_fields=["done", "state", "finished_at"])


def go_on() -> None:
    """Give every unfinished replay a job that lost it, to a killed worker for instance; in the caller's transaction."""
    for replay_id in _unfinished().values_list("pk", flat=True):
        jobs.enqueue_replay(replay_id)


def cancel(replay_id: int, *, user_id: int | None) -> bool:
    """Set no further event in motion; those that are stay so. Returns whether there was anything to cancel."""
    with transaction.atomic():
        unfinished = BulkReplay.objects.filter(pk=replay_id, state__in=UNFINISHED)
        # Waits for the batch that is being set in motion, which takes far less than a second.
        replay = with_total(unfinished).select_for_update(no_key=True).first()
        if replay is None:
            return False
        replay.state, replay.finished_at = ReplayState.CANCELED, timezone.now()
        replay.save(update_fields=["state", "finished_at"])
        sentence = f"Bulk replay {replay.pk} canceled after {replay.done} of {count_of(replay.total, 'event')}."
        audit.record("event.replay_canceled", sentence, user_id=user_id)
    return True


def with_total(replays: QuerySet[BulkReplay]) -> QuerySet[Any]:
    """With the number of events as ``total``, and without their ids, which may be a megabyte."""
    return replays.defer("event_ids").annotate(total=F("event_ids__len"))


def survey(event_ids: Sequence[int]) -> Counter[str]:
    """How many of these events have which verdict now; ids of no event are not counted."""
    return _by_verdict(_events_of(event_ids))


def what_can_be_replayed(event_ids: Sequence[int]) -> list[int]:
    """Those of these events that exist and that a replay does not leave alone, by id."""
    return list(replayable(event_ids).order_by("id").values_list("id", flat=True))


def outcome(replay: BulkReplay) -> Counter[str]:
    """What has become so far of the events that were set in motion: how many have which verdict now. Looks at the first
    ``MOST_COUNTED`` only."""
    begun = RawSQL(
        "SELECT unnest(event_ids[1:%s]) FROM licensing_integration_bulkreplay WHERE id = %s",
        [min(replay.done, MOST_COUNTED), replay.pk],
    )
    return _by_verdict(WebhookEvent.objects.filter(pk__in=begun))


def _unfinished() -> QuerySet[Any]:
    """The unfinished replays nobody is working on at this moment, locked."""
    unfinished = with_total(BulkReplay.objects.filter(state__in=UNFINISHED))
    return unfinished.select_for_update(no_key=True, skip_locked=True).order_by("id")


def _batch(replay: BulkReplay) -> list[int]:
    ids = BulkReplay.objects.filter(pk=replay.pk)
    return list(ids.values_list(f"event_ids__{replay.done}_{replay.done + EVENTS_PER_BATCH}", flat=True).get())


def _events_of(event_ids: Sequence[int]) -> QuerySet[WebhookEvent]:
    """One parameter however many ids there are: PostgreSQL takes 65,535 at most."""
    return WebhookEvent.objects.filter(pk__in=RawSQL("SELECT unnest(%s::bigint[])", [list(event_ids)]))


def _by_verdict(events: QuerySet[WebhookEvent]) -> Counter[str]:
    rows = events.order_by().values_list("state").annotate(number=Count("id"))
    return Counter(dict(rows))
