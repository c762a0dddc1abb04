"""Deliveries that are refused over HTTP: what the caller learns, what the operator learns, what it costs."""

from __future__ import annotations

import secrets
import socket
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from licensing_integration.domain.outcomes import RejectionReason
from licensing_integration.models import RejectedDelivery, WebhookEvent
from licensing_integration.sandbox.fastspring import Buyer, FastSpringShop, delivery, sign

SECRET = "webhook-secret-for-tests"
TABLE = RejectedDelivery._meta.db_table


@pytest.fixture
def store(settings: Any) -> str:
    """A store of the test's own: this process remembers when it wrote about a store last."""
    name = f"store-{secrets.token_hex(4)}"
    settings.STORES = [{**settings.STORES[0], "name": name}]
    return name


def _post(client: Client, store: str, body: bytes, **headers: str) -> Any:
    return client.post(f"/webhooks/{store}/", data=body, content_type="application/json", headers=headers)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, RejectionReason.NO_SIGNATURE),
        ({"X-FS-Signature": " "}, RejectionReason.NO_SIGNATURE),
        ({"X-FS-Signature": "bm9wZQ=="}, RejectionReason.WRONG_SIGNATURE),
        ({"X-FS-Signature": sign(b"{}", secret="another secret")}, RejectionReason.WRONG_SIGNATURE),
        ({"X-FS-Signature": sign(b"{ }", secret=SECRET)}, RejectionReason.WRONG_SIGNATURE),
    ],
)
def test_the_operator_learns_the_reason_and_the_caller_does_not(client, store, headers, reason):
    answer = _post(client, store, b"{}", **headers)
    assert (answer.status_code, answer.content) == (403, b"InvalidSignature")
    row = RejectedDelivery.objects.get()
    assert (row.store, row.reason, row.count) == (store, reason.value, 1)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("setting", "reason", "status"),
    [({"webhook_secrets": ()}, "no_secret", 503), ({"webhook_secrets": ("  ",)}, "no_secret", 403)],
)
def test_a_store_without_a_secret_is_shown(client, store, settings, setting, reason, status):
    settings.STORES = [{**settings.STORES[0], **setting}]
    assert _post(client, store, b"{}").status_code == status
    assert RejectedDelivery.objects.get().reason == reason


@pytest.mark.django_db
def test_deliveries_too_large_or_of_unknown_length_are_shown(client, store, settings):
    settings.WEBHOOK_MAX_BYTES = 10
    assert _post(client, store, b"x" * 11).status_code == 413
    answer = client.generic("POST", f"/webhooks/{store}/", b"", CONTENT_LENGTH="")
    assert answer.status_code == 411
    assert set(RejectedDelivery.objects.values_list("reason", flat=True)) == {"too_large", "no_length"}


@pytest.mark.django_db
def test_an_unknown_store_leaves_nothing(client):
    for number in range(20):
        assert _post(client, f"nobody-{number}", b"{}").status_code == 404
        assert client.generic("POST", f"/webhooks/nobody-{number}/", b"", CONTENT_LENGTH="").status_code == 411
    assert not RejectedDelivery.objects.exists()


@pytest.mark.django_db
def test_a_thousand_bad_deliveries_make_few_writes_and_few_rows(client, store):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        for number in range(1_000):
            headers = {"X-FS-Signature": secrets.token_hex(20)} if number % 2 else {}
            assert _post(client, store, secrets.token_bytes(30), **headers).status_code == 403
            _post(client, f"{store}-{number}", b"{}")
    assert 2 <= len(queries) <= 20  # two reasons, every ten seconds
    assert all(TABLE in query["sql"] for query in queries)
    assert RejectedDelivery.objects.count() == 2
    assert not WebhookEvent.objects.exists()


@pytest.mark.django_db
def test_a_good_delivery_does_not_pay_for_it(client, store):
    body = delivery(FastSpringShop().buy(Buyer(email="ava@example.com"), "photon"))
    headers = {"X-FS-Signature": sign(body, secret=SECRET)}
    _post(client, store, body, **headers)  # the first one also notes which secret the store signs with
    with CaptureQueriesContext(connection) as queries:
        assert _post(client, store, body, **headers).status_code == 200
    assert len(queries) == 1
    assert TABLE not in queries[0]["sql"]


def test_without_a_database_the_answer_is_the_same(transactional_db, client, store, monkeypatch, caplog):
    with socket.socket() as taken, monkeypatch.context() as away:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        connection.close()
        away.setitem(connection.settings_dict, "HOST", "127.0.0.1")
        away.setitem(connection.settings_dict, "PORT", str(taken.getsockname()[1]))
        answer = _post(client, store, b"{}")
        connection.close()
    assert (answer.status_code, answer.content) == (403, b"InvalidSignature")
    assert "refused deliveries not counted" in caplog.text
