"""translate: a stored event becomes facts. What the payload leaves out is fetched once and kept beside it."""

from __future__ import annotations

import orjson

from licensing_integration.domain.facts import PurchaseFact
from licensing_integration.exceptions import MalformedPayload
from licensing_integration.models import WebhookEvent
from licensing_integration.services.connections import adapter_of, store_api
from licensing_integration.stores.payload import Payload


def translate(event: WebhookEvent) -> tuple[PurchaseFact, ...]:
    """The event's facts; works offline once ``enrich`` has run.

    Raises ``PayloadError`` for what cannot be read, ``RemoteError`` or ``CredentialsRejected`` when enriching fails.
    """
    adapter = adapter_of(event.store)
    payload = _payload(event)
    api = store_api(event.store) if event.fetched is None else None
    if adapter.enrich is not None and api is not None:
        event.fetched = adapter.enrich(payload, api)
        event.save(update_fields=["fetched"])
        payload = _payload(event)
    return adapter.translators[event.event_type](payload)


def _payload(event: WebhookEvent) -> Payload:
    try:
        return Payload(orjson.loads(event.body), fetched=event.fetched or {})
    except orjson.JSONDecodeError as error:
        raise MalformedPayload("event", "is not JSON") from error
