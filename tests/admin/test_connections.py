"""Connections: what is set up, what is to be pasted where, which secret signs, and the buttons that try it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateWorker
from pytest_django import Settings

from licensing_integration.models import AuditEntry, LicenseLink, Purchase, RequestBudget, SecretUse, WebhookEvent
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.services import secret_uses
from licensing_integration.stores.base import Secret
from licensing_integration.stores.registry import ADAPTERS
from tests.admin.conftest import ROLES
from tests.factories import RejectedDeliveryFactory, WebhookEventFactory
from tests.stores.stripe.rest_stub import KEY, StripeRest

OLD, NEW = "the-old-secret-of-the-store", "the-new-secret-of-the-store"
STORE = {"name": "eu-shop", "adapter": "fastspring", "webhook_secrets": (OLD, NEW), "test_events": "hold"}
ALLOWED = {"viewer", "Owner", "superuser"}  # "viewer" may look at everything
PAGE = "/admin/connections/"
TEST_EVENT = f"{PAGE}stores/eu-shop/test-event/"
CHECK_STORE = f"{PAGE}stores/eu-shop/check/"
CHECK_SERVER = f"{PAGE}license-servers/cryptlex/check/"


@pytest.fixture(autouse=True)
def _one_store(settings: Settings) -> None:
    settings.STORES = [STORE]


@pytest.fixture
def owner(client_of: Callable[[str], Client]) -> Client:
    return client_of("Owner")


@pytest.fixture
def rest(settings: Settings) -> Iterator[StripeRest]:
    """Stripe's API; the store reads it."""
    stub = StripeRest()
    settings.STORES = [{**STORE, "adapter": "stripe", "api_password": KEY, "api_base_url": stub.base_url}]
    yield stub
    stub.stop()


def _text(client: Client, address: str = PAGE, *, post: bool = False) -> str:
    """What a reader sees, in one line."""
    answer = client.post(address, follow=True) if post else client.get(address)
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def _use(secret: str, **ago: float) -> None:
    mark = secret_uses.fingerprint(Secret(secret))
    SecretUse.objects.create(store="eu-shop", fingerprint=mark, last_at=timezone.now() - timedelta(**ago))


# --- who may ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_the_page_is_for_owners(role: str, client_of: Callable[[str], Client]) -> None:
    expected = 302 if role == "anonymous" else 200 if role in ALLOWED else 403
    assert client_of(role).get(PAGE).status_code == expected


@pytest.mark.parametrize("role", sorted(set(ROLES) - ALLOWED))
@pytest.mark.parametrize("address", [TEST_EVENT, CHECK_STORE, CHECK_SERVER])
def test_nobody_else_presses_its_buttons(role: str, address: str, client_of: Callable[[str], Client]) -> None:
    assert client_of(role).post(address).status_code == (302 if role == "anonymous" else 403)
    assert not AuditEntry.objects.exists()
    assert not WebhookEvent.objects.exists()


@pytest.mark.parametrize("address", [TEST_EVENT, CHECK_STORE, CHECK_SERVER])
def test_a_link_presses_no_button(address: str, owner: Client) -> None:
    assert owner.get(address).status_code == 405


@pytest.mark.parametrize(
    "address", [f"{PAGE}stores/none/test-event/", f"{PAGE}stores/none/check/", f"{PAGE}license-servers/none/check/"]
)
def test_what_is_not_configured_has_no_buttons(address: str, owner: Client) -> None:
    assert owner.post(address).status_code == 404


# --- what it shows ---------------------------------------------------------------------------------------------------


def test_it_shows_no_secret_and_asks_nobody(
    owner: Client, settings: Settings, cryptlex: CryptlexSandbox, rest: StripeRest
) -> None:
    settings.STORES = [{**settings.STORES[0], "fulfilment_keys": ("the-private-key-of-it",)}]
    settings.ORDER_PAGE_SECRET = ["order-page-secret-" + "x" * 30]
    page = owner.get(PAGE).content.decode()
    for secret in (OLD, NEW, KEY, "the-private-key-of-it", "sandbox-token", "order-page-secret", settings.SECRET_KEY):
        assert secret not in page
    assert rest.calls == []
    assert cryptlex.requests == []


def test_the_address_to_paste_is_that_of_the_host_one_came_by(owner: Client, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["licensing.example.com", "localhost", "127.0.0.1", "[::1]"]
    page = owner.get(PAGE, HTTP_HOST="licensing.example.com").content.decode()
    assert 'data-copy="http://licensing.example.com/webhooks/eu-shop/"' in page
    assert "http://licensing.example.com/orders/eu-shop/ORDER_ID/" in page
    assert "work nowhere else" not in page
    for host in ("localhost:8000", "127.0.0.1", "[::1]", "[::1]:8000"):
        assert "work nowhere else" in owner.get(PAGE, HTTP_HOST=host).content.decode()


def test_the_order_page_has_the_address_that_is_configured(owner: Client, settings: Settings) -> None:
    settings.ORDER_PAGE_BASE_URL = "https://keys.example.com/"
    assert "https://keys.example.com/orders/eu-shop/ORDER_ID/" in _text(owner)
    settings.ORDER_PAGES = False
    assert "ORDER_ID" not in _text(owner)


@pytest.mark.parametrize("slug", sorted(ADAPTERS))
def test_the_events_to_tick_are_those_the_adapter_handles(slug: str, owner: Client, settings: Settings) -> None:
    settings.STORES = [{**STORE, "adapter": slug}]
    page = owner.get(PAGE).content.decode()
    (copied,) = re.findall(r'data-copy="([^"/]*)"', page)
    sent = set(ADAPTERS[slug].translators) - ADAPTERS[slug].made_here
    assert set(copied.replace("&#10;", "\n").split("\n")) == sent
    assert "fulfilment.requested" not in page
    assert all(f"<code>{event_type}</code>" in page for event_type in sent)


def test_the_last_live_and_the_last_test_event_are_told_apart(owner: Client) -> None:
    assert _text(owner).count("None so far.") == 2
    WebhookEventFactory(store="eu-shop", event_type="order.failed")
    live = WebhookEventFactory(store="eu-shop", event_type="order.completed")
    test = WebhookEventFactory(store="eu-shop", event_type="return.created", is_live=False, state="held")
    WebhookEventFactory(store="other", event_type="order.canceled")
    page = owner.get(PAGE).content.decode()
    for event in (live, test):
        assert f'<a href="{reverse("admin:licensing_integration_webhookevent_change", args=[event.pk])}">' in page
    shown = re.findall(r'webhookevent/\d+/change/">([^<]*)<', page)
    assert shown == ["order.completed", "return.created"]


def test_refused_deliveries_come_with_what_to_do(owner: Client) -> None:
    assert "None in the last 24 hours." in _text(owner)
    RejectedDeliveryFactory(store="eu-shop", reason="wrong_signature", count=7)
    RejectedDeliveryFactory(store="eu-shop", reason="too_large", last_at=timezone.now() - timedelta(days=2))
    text = _text(owner)
    assert "7 signed with another secret, or changed on the way" in text
    assert "Compare EU_SHOP_WEBHOOK_SECRET with" in text
    assert "larger than allowed" not in text


def test_without_credentials_it_says_what_to_set(owner: Client, settings: Settings) -> None:
    settings.STORES = [{**STORE, "webhook_secrets": ()}]
    settings.LICENSE_SERVERS = [{**settings.LICENSE_SERVERS[0], "access_token": ""}]
    text = _text(owner)
    assert "has no webhook secret, so its deliveries are refused with 503. Set EU_SHOP_WEBHOOK_SECRET" in text
    assert "Set EU_SHOP_API_USERNAME and EU_SHOP_API_PASSWORD." in text
    assert "set EU_SHOP_FULFILMENT_KEY." in text
    assert "Set CRYPTLEX_ACCESS_TOKEN" in text
    assert text.count("not set up") == 2
    assert "Send test event" not in text
    assert "Check cryptlex" not in text


def test_a_wrong_setting_is_told_and_breaks_nothing(owner: Client, settings: Settings) -> None:
    settings.STORES = [{**STORE, "adapter": "no-such-store"}]
    server = {**settings.LICENSE_SERVERS[0], "backend": "no-such-server", "base_url": "https://me:pw@host.example"}
    settings.LICENSE_SERVERS = [server]
    text = _text(owner)
    assert "has the unknown adapter &#x27;no-such-store&#x27;" in text
    assert "has the unknown backend &#x27;no-such-server&#x27;" in text
    assert "me:pw" not in text


def test_nothing_configured_says_where_to_begin(owner: Client, settings: Settings) -> None:
    settings.STORES, settings.LICENSE_SERVERS = [], []
    text = _text(owner)
    assert "No store is configured. Name one in STORES" in text
    assert "No license server is configured. Name one in LICENSE_SERVERS" in text


def test_how_much_of_the_request_budget_is_used(owner: Client, settings: Settings) -> None:
    settings.LICENSE_SERVERS = [{**settings.LICENSE_SERVERS[0], "request_limit": 4, "request_window_seconds": 60.0}]
    assert "0 of 4 calls in the last 60 seconds." in _text(owner)
    RequestBudget.objects.create(server="cryptlex", grants=[datetime(2020, 1, 1, tzinfo=UTC)] * 2)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE licensing_integration_requestbudget SET grants = '{-infinity}'::timestamptz[] || grants"
            " || clock_timestamp() - interval '1 second' || clock_timestamp() + interval '3 seconds'"
        )
    page = owner.get(PAGE).content.decode()
    assert re.search(r'<meter[^>]* max="4" value="2"', page)
    assert "2 of 4 calls in the last 60 seconds." in page


def test_the_installation_tells_its_version_and_whether_a_worker_works(owner: Client) -> None:
    text = _text(owner)
    (newest, *_) = re.findall(r"^## (\d+\.\d+\.\d+)", Path("CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert f"Version {newest} " in text
    assert "No worker has reported for a minute" in text
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now()), (now() - interval '2 minutes')"
        )
    assert ProcrastinateWorker.objects.count() == 2
    assert "1 heard of in the last minute." in _text(owner)


def test_it_takes_at_most_twelve_queries_however_many_stores(
    owner: Client, settings: Settings, django_assert_max_num_queries: Any
) -> None:
    settings.STORES = [{**STORE, "name": f"shop-{number}"} for number in range(5)]
    settings.LICENSE_SERVERS = [{**settings.LICENSE_SERVERS[0], "name": f"server-{number}"} for number in range(3)]
    for number in range(5):
        WebhookEventFactory(store=f"shop-{number}")
        WebhookEventFactory(store=f"shop-{number}", is_live=False)
    with django_assert_max_num_queries(12):
        assert "shop-4" in _text(owner)


# --- which secret signs ----------------------------------------------------------------------------------------------


def test_an_unused_secret_among_used_ones_is_told(owner: Client) -> None:
    assert _text(owner).count("not used so far. Send a test from the store") == 2
    _use(OLD, minutes=3)
    text = _text(owner)
    assert f"Secret 1 of 2 (fingerprint {secret_uses.fingerprint(Secret(OLD))} ): last signed" in text
    assert f"{secret_uses.fingerprint(Secret(NEW))} ): not used so far. The store does not sign with it yet." in text


@pytest.mark.parametrize(("hours", "may_go"), [(2, False), (30, True)])
def test_a_secret_may_be_removed_a_day_after_the_store_changed_to_another(
    hours: float, may_go: bool, owner: Client
) -> None:
    _use(OLD, hours=hours)
    assert "The store signs with it." in _text(owner)  # however long ago: the store has used no other since
    SecretUse.objects.all().delete()
    _use(OLD, hours=hours)
    _use(NEW, minutes=3)
    text = _text(owner)
    assert ("The store signs with another one since: it may be removed." in text) == may_go
    assert ("Keep it until it has not been used for a day." in text) != may_go


# --- trying it -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", sorted(ADAPTERS))
@pytest.mark.parametrize("test_events", ["hold", "apply"])
def test_a_test_event_comes_in_by_the_real_way_and_makes_no_license(
    slug: str,
    test_events: str,
    owner: Client,
    settings: Settings,
    queued: Callable[[], list[Any]],
) -> None:
    settings.STORES = [{**STORE, "adapter": slug, "test_events": test_events, "unmapped": "default"}]
    text = _text(owner, TEST_EVENT, post=True)
    event = WebhookEvent.objects.get()
    assert (event.store, event.is_live, event.state, event.problem) == ("eu-shop", False, "ignored", "")
    assert json.loads(event.body)["id"] == event.external_id
    assert f"Stored as event {event.pk} , a test event. Verdict: ignored." in text
    assert queued() == []
    assert not Purchase.objects.exists()
    assert not LicenseLink.objects.exists()
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.event, entry.user_name) == ("connection.test_event", event, "owner")
    assert not SecretUse.objects.exists()  # we signed it, not the store


def test_every_test_event_is_a_new_one(owner: Client) -> None:
    owner.post(TEST_EVENT)
    owner.post(TEST_EVENT)
    assert WebhookEvent.objects.filter(deliveries=1).count() == 2


def test_a_test_event_that_cannot_be_sent_says_why(owner: Client, settings: Settings) -> None:
    settings.STORES = [{**STORE, "webhook_secrets": ()}]
    assert "has no webhook secret yet" in _text(owner, TEST_EVENT, post=True)
    settings.STORES = [STORE]
    settings.WEBHOOK_MAX_BYTES = 10
    assert "The test event was refused. The delivery has" in _text(owner, TEST_EVENT, post=True)
    assert not WebhookEvent.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_license_server_is_asked_when_somebody_presses_check(owner: Client, cryptlex: CryptlexSandbox) -> None:
    text = _text(owner, CHECK_SERVER, post=True)
    assert "the license server answered, and nothing wrong was found. The slowest answer took" in text
    assert "GET /v3/me 200" in text
    assert "it may entitlementSet:read" in text
    assert "license:write" in text
    entry = AuditEntry.objects.get()
    assert entry.sentence == "Checked the license server cryptlex: nothing wrong was found."
    assert entry.action == "connection.checked"


def test_each_missing_permission_of_the_token_is_a_sentence(owner: Client, cryptlex: CryptlexSandbox) -> None:
    cryptlex.permissions = frozenset({"license:read", "user:read", "user:write", "licensePolicy:read"})
    text = _text(owner, CHECK_SERVER, post=True)
    assert "nothing wrong was found" not in text
    assert "(product:read; without it" in text
    assert "license:write is missing: without it no license can be issued or changed." in text
    assert "(product:read; without it" in AuditEntry.objects.get().sentence


def test_a_license_server_that_does_not_answer_is_told(owner: Client) -> None:
    assert "cannot be reached" in _text(owner, CHECK_SERVER, post=True)


def test_the_api_of_a_store_is_asked_when_somebody_presses_check(owner: Client, rest: StripeRest) -> None:
    assert "the store answered, and nothing wrong was found." in _text(owner, CHECK_STORE, post=True)
    rest.forbid("customers")
    assert "(Customers: Read; without it" in _text(owner, CHECK_STORE, post=True)
    assert [entry.action for entry in AuditEntry.objects.all()] == ["connection.checked"] * 2


def test_a_store_without_credentials_cannot_be_asked(owner: Client) -> None:
    assert "No credentials for the store&#x27;s API are configured." in _text(owner, CHECK_STORE, post=True)
