"""The webhook endpoint over HTTP: its answers, and that they tell nobody anything."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client

from licensing_integration.models import HistoryEntry, LicenseLink, WebhookEvent
from licensing_integration.sandbox.fastspring import Buyer, Event, FastSpringShop, delivery, sign

SECRET = "webhook-secret-for-tests"
ADDRESS = "/webhooks/fastspring/"
AVA = Buyer(email="ava.lindqvist@example.com")


@pytest.fixture
def shop() -> FastSpringShop:
    return FastSpringShop()


def _post(client: Client, body: bytes, *, address: str = ADDRESS, signature: str | None = None, **extra: object):
    headers = {"X-FS-Signature": sign(body, secret=SECRET) if signature is None else signature}
    return client.post(address, data=body, content_type="application/json", headers=headers, **extra)


def _order(shop: FastSpringShop) -> Event:
    return shop.buy(AVA, "photon", attributes={"cryptlex_product_id": "prod-1"})


@pytest.mark.django_db
def test_a_signed_delivery_is_stored_and_answered_with_200(client, shop):
    answer = _post(client, delivery(_order(shop), _order(shop)))
    assert answer.status_code == 200
    assert WebhookEvent.objects.count() == 2


@pytest.mark.django_db
def test_a_redelivery_is_answered_with_200(client, shop):
    body = delivery(_order(shop))
    assert [_post(client, body).status_code for _ in range(2)] == [200, 200]
    assert WebhookEvent.objects.get().deliveries == 2


@pytest.mark.django_db
def test_no_license_is_made_in_the_request(client, shop):
    _post(client, delivery(_order(shop)))
    assert WebhookEvent.objects.get().state == "received"
    assert not LicenseLink.objects.exists()
    assert not HistoryEntry.objects.exists()


@pytest.mark.django_db
def test_a_verified_body_that_cannot_be_read_is_answered_with_200(client):
    assert _post(client, b"not json").status_code == 200
    assert WebhookEvent.objects.get().state == "malformed"


@pytest.mark.django_db
def test_the_header_counts_in_any_letter_case_and_whatever_the_content_type(client, shop):
    body = delivery(_order(shop))
    signature = sign(body, secret=SECRET)
    answer = client.post(ADDRESS, data=body, content_type="text/plain", headers={"x-fs-SIGNATURE": signature})
    assert answer.status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("signature", ["", "bm9wZQ==", "ü", "=" * 5_000])
def test_a_wrong_signature_is_answered_with_403(client, shop, signature):
    answer = _post(client, delivery(_order(shop)), signature=signature)
    assert answer.status_code == 403
    assert not WebhookEvent.objects.exists()


@pytest.mark.django_db
def test_a_missing_signature_is_answered_with_403(client, shop):
    assert client.post(ADDRESS, data=delivery(_order(shop)), content_type="application/json").status_code == 403


@pytest.mark.django_db
def test_an_unknown_store_is_answered_with_404(client, shop):
    assert _post(client, delivery(_order(shop)), address="/webhooks/nobody/").status_code == 404


@pytest.mark.django_db
def test_a_store_without_a_secret_is_answered_with_503(client, shop, settings):
    settings.STORES = [{**settings.STORES[0], "webhook_secrets": ()}]
    assert _post(client, delivery(_order(shop)), signature=sign(b"", secret="")).status_code == 503


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "head"])
def test_other_methods_are_answered_with_405(client, method):
    assert getattr(client, method)(ADDRESS).status_code == 405


class _Unreadable(io.RawIOBase):
    """A body that must not be read."""

    def read(self, size: int = -1) -> bytes:
        raise AssertionError("the body was read although its announced size is above the limit")


@pytest.mark.django_db
def test_a_body_announced_above_the_limit_is_refused_before_it_is_read(rf, settings):
    from licensing_integration.api.webhooks import WebhookView

    request = rf.post(ADDRESS, data=b"", content_type="application/json")
    request.META["CONTENT_LENGTH"] = str(settings.WEBHOOK_MAX_BYTES + 1)
    request._stream = _Unreadable()
    assert WebhookView.as_view()(request, store="fastspring").status_code == 413


@pytest.mark.django_db
def test_the_limit_is_ours_and_not_djangos_smaller_one(client, shop):
    order = _order(shop)
    order["data"]["notes"] = ["x" * 3_000_000]
    assert _post(client, delivery(order)).status_code == 200


@pytest.mark.django_db
def test_a_body_above_the_limit_is_answered_with_413(client, shop, settings):
    body = delivery(_order(shop))
    settings.WEBHOOK_MAX_BYTES = len(body) - 1
    assert _post(client, body).status_code == 413
    assert not WebhookEvent.objects.exists()


@pytest.mark.django_db
def test_no_csrf_token_is_asked_for(shop):
    assert _post(Client(enforce_csrf_checks=True), delivery(_order(shop))).status_code == 200


@pytest.fixture
def away(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The database is where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        connection.close()
        monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
        monkeypatch.setitem(connection.settings_dict, "PORT", str(taken.getsockname()[1]))
        yield
        connection.close()
        monkeypatch.undo()


def test_without_a_database_the_store_is_told_to_try_again(away, client, shop, caplog):
    answer = _post(client, delivery(_order(shop)))
    assert answer.status_code == 503
    assert answer.content == b"try again later"
    assert "ava.lindqvist" not in caplog.text


def test_the_delivery_is_taken_when_the_database_is_back(transactional_db, client, shop):
    with pytest.MonkeyPatch.context() as patch, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        connection.close()
        patch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
        patch.setitem(connection.settings_dict, "PORT", str(taken.getsockname()[1]))
        body = delivery(_order(shop))
        assert _post(client, body).status_code == 503
    assert _post(client, body).status_code == 200
    assert WebhookEvent.objects.get().deliveries == 1


@pytest.mark.django_db
@pytest.mark.parametrize("body", [b'{"events": [{"id": "leak-me"', b"leak-me", None])
@pytest.mark.parametrize("signature", [None, "leak-me"])
def test_answers_echo_nothing_of_what_was_sent(client, shop, body, signature):
    order = _order(shop)
    answer = _post(client, body if body is not None else delivery(order), signature=signature)
    shown = answer.content.decode() + str(answer.headers)
    for secret in ("leak-me", AVA.email, order["id"], order["data"]["id"], "prod-1", SECRET, "Traceback"):
        assert secret not in shown
