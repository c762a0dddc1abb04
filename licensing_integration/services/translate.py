"""translate: a stored event becomes facts. What the payload leaves out is fetched once and kept beside it."""

from __future__ import annotations

from django.utils import timezone

from licensing_integration.domain.facts import PurchaseFact
from licensing_integration.domain.outcomes import EventState
from licensing_integration.exceptions import MalformedPayload, PayloadError, UnsupportedEvent
from licensing_integration.models import WebhookEvent
from licensing_integration.services.connections import adapter_of, store_api
from licensing_integration.stores.payload import FETCHED_AT, Payload


def translate(event: WebhookEvent) -> tuple[PurchaseFact, ...]:
    """The event's facts; works offline once ``enrich`` has run.

    Raises ``PayloadError`` for what cannot be read, ``RemoteError`` or ``CredentialsRejected`` when enriching fails.
    """
    adapter = adapter_of(event.store)
    is_enriched = adapter.enrich is None or event.fetched is not None or event.event_type not in adapter.translators
    api = None if is_enriched else store_api(event.store)
    if adapter.enrich is not None and api is not None:
        # The time before the first request: what was true then or later is in the answers.
        fetched_at = timezone.now().isoformat()
        event.fetched = {**adapter.enrich(_payload(event), api), FETCHED_AT: fetched_at}
        # Not of an event that was erased meanwhile.
        WebhookEvent.objects.filter(pk=event.pk, state=EventState.RECEIVED).update(fetched=event.fetched)
    return translate_as_stored(event)


def translate_as_stored(event: WebhookEvent) -> tuple[PurchaseFact, ...]:
    """The event's facts by what is stored of it; nobody is asked. Raises ``PayloadError`` for what cannot be read."""
    payload = _payload(event)
    translator = adapter_of(event.store).translators.get(event.event_type)
    if translator is None:  # a replay: receiving stores these with their verdict and wakes nobody
        raise _not_translatable(event)
    return translator(payload)


def _not_translatable(event: WebhookEvent) -> PayloadError:
    if not event.event_type:
        return MalformedPayload("type", "is missing")
    return UnsupportedEvent(f"Nothing is known about events of the type '{event.event_type[:80]}'.")


def _payload(event: WebhookEvent) -> Payload:
    return Payload.from_json(event.body, fetched=event.fetched)
