"""Trying the connections: ask a license server or a store whether the credentials work, send a test event.

Only a person starts these, on the page that shows the connections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final
from uuid import uuid4

from django.db import transaction

from licensing_integration.calls import Call, kept_calls
from licensing_integration.exceptions import LicensingIntegrationError
from licensing_integration.license_servers.base import TokenReport
from licensing_integration.models import WebhookEvent
from licensing_integration.services import audit
from licensing_integration.services.connections import (
    adapter_of,
    answering_within,
    backend_of,
    store_api,
    store_config,
)
from licensing_integration.services.receive import receive

# A person waits, and so does the web server's thread.
CHECK_SECONDS: Final = 10.0

TEST_EVENT_PREFIX: Final = "licensing-integration-test-"
"""What the ids of test events begin with that we made ourselves."""


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What came of a check. ``problems``: sentences, none if all is well. ``calls``: those made, in their order.
    ``token``: what the server tells of the token, where it tells."""

    name: str
    problems: Sequence[str]
    calls: Sequence[Call]
    token: TokenReport | None = None

    @property
    def milliseconds(self) -> int:
        """How long the slowest answer took."""
        return round(max((call.ms for call in self.calls), default=0))


def check_license_server(name: str, *, user_id: int | None) -> CheckResult:
    """Ask a license server now whether address and token are right. Changes nothing there."""
    with _watched() as calls:
        problems = _sentences(lambda: backend_of(name).check_access())
        token = _token_of(name) if any(call.status == HTTPStatus.OK for call in calls) else None
    result = CheckResult(name=name, problems=problems, calls=calls, token=token)
    _record(f"license server {name}", result, user_id=user_id)
    return result


def check_store(name: str, *, user_id: int | None) -> CheckResult:
    """Ask a store's API now whether the credentials are right. Changes nothing there."""
    with _watched() as calls:
        problems = _sentences(lambda: _check_api(name))
    result = CheckResult(name=name, problems=problems, calls=calls)
    _record(f"API of the store {name}", result, user_id=user_id)
    return result


def send_test_event(name: str, *, user_id: int | None) -> WebhookEvent:
    """Deliver a test event to ourselves as the store would: signed with the first secret, verified, stored.

    Its type is one that is ignored, so it never leads to a license, whatever is done with test events. Raises
    ``LicensingIntegrationError`` with what stands in the way.
    """
    config, adapter = store_config(name), adapter_of(name)
    secret = next((secret for secret in config.webhook_secrets if secret.strip()), None)
    if secret is None:
        raise LicensingIntegrationError(f"Store {name} has no webhook secret yet, so nothing can be signed for it.")
    event_id = f"{TEST_EVENT_PREFIX}{uuid4()}"
    delivery = adapter.make_test_event(secret, event_id=event_id, now=datetime.now(UTC))
    with transaction.atomic():
        receive(name, body=delivery.body, headers=delivery.headers, is_from_store=False)
        event = WebhookEvent.objects.defer("body").get(store=name, external_id=event_id)
        audit.record("connection.test_event", f"Sent a test event of store {name}.", user_id=user_id, event=event)
    return event


@contextmanager
def _watched() -> Iterator[list[Call]]:
    """The calls made inside; together they take no longer than a person waits."""
    with kept_calls() as calls, answering_within(CHECK_SECONDS):
        yield calls


def _sentences(ask: Callable[[], Sequence[str]]) -> Sequence[str]:
    try:
        return ask()
    except LicensingIntegrationError as error:
        return [str(error)]


def _check_api(name: str) -> Sequence[str]:
    api, check = store_api(name), adapter_of(name).check_api
    return check(api) if api and check else ["No credentials for the store's API are configured."]


def _token_of(name: str) -> TokenReport | None:
    """What the server tells is a hint, so it is no problem when it tells nothing."""
    try:
        return backend_of(name).describe_token()
    except LicensingIntegrationError:
        return None


def _record(what: str, result: CheckResult, *, user_id: int | None) -> None:
    found = " ".join(result.problems) or "nothing wrong was found."
    audit.record("connection.checked", f"Checked the {what}: {found}", user_id=user_id)
