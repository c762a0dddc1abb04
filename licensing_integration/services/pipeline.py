"""The path of an event after it was received: translate → plan → apply. Every failure ends on the event's own row."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from django.db import InterfaceError, OperationalError
from django.utils import timezone

from licensing_integration import jobs
from licensing_integration.domain.outcomes import EventState, FailureMode
from licensing_integration.exceptions import PayloadError, UnsupportedEvent
from licensing_integration.models import Purchase, WebhookEvent
from licensing_integration.services import retries
from licensing_integration.services.apply import apply_links
from licensing_integration.services.plan import plan_event, plan_purchase
from licensing_integration.services.translate import translate

logger = logging.getLogger(__name__)

DRAIN_ROUNDS = 20


def process_events(event_ids: Iterable[int]) -> None:
    """Translate and plan these events one by one, then apply the first license of each item they touched.

    An event that cannot be processed never holds up the others.
    """
    links: list[int] = []
    for event in WebhookEvent.objects.filter(pk__in=list(event_ids), state=EventState.RECEIVED).order_by("id"):
        links.extend(_process(event))
    apply_links(links)


def drain_inbox() -> None:
    """Go on with events whose jobs still wait, for a while: a worker asked to stop must get to it soon."""
    for _ in range(DRAIN_ROUNDS):
        event_ids = jobs.take_waiting_events()
        if not event_ids:
            return
        process_events(event_ids)


def plan_purchases(purchase_ids: Iterable[int]) -> None:
    """Plan these purchases again and apply what changed."""
    for purchase_id in purchase_ids:
        try:
            links = plan_purchase(purchase_id)
        except (OperationalError, InterfaceError):
            raise  # our own database is away: the sweep tries again
        except Exception as error:
            _stop_purchase(purchase_id, error)
        else:
            apply_links(links)


def _stop_purchase(purchase_id: int, error: Exception) -> None:
    """Show it to a person; the next event, or "plan again", tries anew."""
    logger.exception("purchase not planned", extra={"purchase": purchase_id, "error": type(error).__name__})
    now = timezone.now()
    decision = retries.decide(error, attempts=1, failing_since=now, now=now)
    Purchase.objects.filter(pk=purchase_id).update(attention=retries.describe(error, decision), review_at=None)


def _process(event: WebhookEvent) -> list[int]:
    try:
        return plan_event(event, translate(event))
    except (OperationalError, InterfaceError):
        raise  # our own database is away: the event stays received and the sweep tries again
    except UnsupportedEvent as error:
        _stop(event, EventState.UNSUPPORTED, str(error))
    except PayloadError as error:
        _stop(event, EventState.MALFORMED, str(error))
    except Exception as error:
        _fail(event, error)
    return []


def _fail(event: WebhookEvent, error: Exception) -> None:
    """Wait and retry what may pass by itself; stop at what needs a person."""
    now = timezone.now()
    failing_since = event.failing_since or now
    decision = retries.decide(error, attempts=event.attempts + 1, failing_since=failing_since, now=now)
    if decision.retry_at is not None:
        WebhookEvent.objects.filter(pk=event.pk, state=EventState.RECEIVED).update(
            attempts=event.attempts + 1,
            failing_since=failing_since,
            retry_at=decision.retry_at,
            problem=str(error),
        )
        return
    if decision.failure_mode is FailureMode.INTERNAL:
        logger.exception("event failed", extra={"event_id": event.external_id, "store": event.store})
    _stop(event, EventState.FAILED, retries.describe(error, decision))


def _stop(event: WebhookEvent, state: EventState, problem: str) -> None:
    logger.warning("event stopped", extra={"event_id": event.external_id, "store": event.store, "verdict": state.value})
    WebhookEvent.objects.filter(pk=event.pk, state=EventState.RECEIVED).update(
        state=state, problem=problem, attempts=event.attempts + 1, retry_at=None, processed_at=timezone.now()
    )
