"""Each mistake in the configuration is reported under its id, and a right configuration is not."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

STORE = {"name": "main", "adapter": "fastspring", "webhook_secrets": ("a-long-enough-secret",)}
SERVER = {"name": "cryptlex", "backend": "cryptlex", "base_url": "https://api.cryptlex.com", "access_token": "token"}


def _found(prefix: str = "licensing_integration.") -> dict[str, str]:
    """Ids and messages of our findings, hint included."""
    return {
        message.id: f"{message.msg} {message.hint}"
        for message in run_checks()
        if message.id and message.id.startswith(prefix)
    }


@pytest.fixture(autouse=True)
def _right(settings: Settings) -> None:
    settings.STORES = [STORE]
    settings.LICENSE_SERVERS = [SERVER]
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
    settings.DEBUG = False


def test_a_right_configuration_has_no_findings() -> None:
    assert _found() == {}


@pytest.mark.parametrize(
    ("changes", "check_id", "says"),
    [
        ({"name": "Main Store"}, "E002", "lower-case"),
        ({"name": ""}, "E002", "lower-case"),
        ({"adapter": "no-such"}, "E007", "fastspring"),
        ({"test_events": "maybe"}, "E008", "MAIN_TEST_EVENTS"),
        ({"api_username": "somebody"}, "E009", "MAIN_API_PASSWORD"),
        ({"webhook_secrets": ()}, "W001", "MAIN_WEBHOOK_SECRET"),
        ({"webhook_secrets": ("a-long-enough-secret", "short")}, "W002", "MAIN_WEBHOOK_SECRET"),
        ({"fulfilment_keys": ("a-long-enough-private-key", "short")}, "W040", "MAIN_FULFILMENT_KEY"),
        ({"adapter": "stripe", "fulfilment_keys": ("a-long-enough-private-key",)}, "E040", "MAIN_FULFILMENT_KEY"),
    ],
)
def test_mistakes_in_a_store(settings: Settings, changes: dict[str, Any], check_id: str, says: str) -> None:
    settings.STORES = [STORE | changes]
    found = _found()
    assert list(found) == [f"licensing_integration.{check_id}"]
    assert says in found[f"licensing_integration.{check_id}"]


@pytest.mark.parametrize(
    ("changes", "check_id", "says"),
    [
        ({"name": "My Server"}, "E005", "lower-case"),
        ({"backend": "no-such"}, "E010", "cryptlex"),
        ({"adopt": "never"}, "E011", "CRYPTLEX_ADOPT"),
        ({"access_token": ""}, "W003", "CRYPTLEX_ACCESS_TOKEN"),
        ({"base_url": ""}, "E012", "CRYPTLEX_WEB_API_BASE_URL"),
        ({"base_url": "api.cryptlex.com"}, "E012", "https://"),
        ({"base_url": "http://api.cryptlex.com"}, "W004", "clear text"),
    ],
)
def test_mistakes_in_a_license_server(settings: Settings, changes: dict[str, Any], check_id: str, says: str) -> None:
    settings.LICENSE_SERVERS = [SERVER | changes]
    found = _found()
    assert list(found) == [f"licensing_integration.{check_id}"]
    assert says in found[f"licensing_integration.{check_id}"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:8001", "http://localhost:1", "http://[::1]:1"])
def test_a_license_server_on_this_machine_needs_no_https(settings: Settings, url: str) -> None:
    settings.LICENSE_SERVERS = [SERVER | {"base_url": url}]
    assert _found() == {}


def test_without_stores_or_license_servers_nothing_can_work(settings: Settings) -> None:
    settings.STORES = []
    settings.LICENSE_SERVERS = []
    assert set(_found()) == {"licensing_integration.E001", "licensing_integration.E004"}


@pytest.mark.parametrize("other", ["eu-1", "eu_1"])
def test_two_entries_must_not_read_the_same_variables(settings: Settings, other: str) -> None:
    settings.STORES = [STORE | {"name": "eu-1"}, STORE | {"name": other}]
    settings.LICENSE_SERVERS = [SERVER | {"name": "eu_1"}, SERVER | {"name": other}]
    assert set(_found()) == {"licensing_integration.E003", "licensing_integration.E006"}


def test_all_mistakes_are_reported_at_once(settings: Settings) -> None:
    settings.STORES = [STORE | {"adapter": "no-such", "test_events": "maybe"}]
    settings.LICENSE_SERVERS = [SERVER | {"access_token": ""}]
    assert {name[-4:] for name in _found()} == {"E007", "E008", "W003"}


@pytest.mark.filterwarnings("ignore:Overriding setting DATABASES:UserWarning")
def test_only_postgresql_will_do(settings: Settings) -> None:
    settings.DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    assert "licensing_integration.E013" in _found()


def test_a_short_secret_key(settings: Settings) -> None:
    settings.SECRET_KEY = "short"
    assert "SECRET_KEY" in _found()["licensing_integration.W005"]


def test_a_public_system_needs_https_and_no_debug_pages(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["licensing.example.com", "localhost"]
    settings.DEBUG = True
    found = _found()
    assert set(found) == {"licensing_integration.W006", "licensing_integration.W007"}
    assert "licensing.example.com" in found["licensing_integration.W006"]
    settings.DEBUG = False
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert _found() == {}


@pytest.mark.parametrize(
    ("changes", "check_id", "says"),
    [
        ({"ORDER_PAGE_SECRET": ("x" * 40, "short-secret")}, "W030", "fewer than 32"),
        ({"ORDER_PAGE_SUPPORT": "call us"}, "E030", "help@example.com"),
        ({"ORDER_PAGE_SUPPORT": "javascript:alert(1)"}, "E030", "web address"),
        ({"ORDER_PAGE_BASE_URL": "licensing.example.com"}, "E031", "https://"),
        ({"ORDER_PAGE_BASE_URL": "https://["}, "E031", "https://"),
    ],
)
def test_mistakes_in_the_order_page(settings: Settings, changes: dict[str, Any], check_id: str, says: str) -> None:
    for name, value in changes.items():
        setattr(settings, name, value)
    found = _found()
    assert list(found) == [f"licensing_integration.{check_id}"]
    assert says in found[f"licensing_integration.{check_id}"]
    assert "short-secret" not in str(found)


@pytest.mark.parametrize("support", ["", "help@acme.example", "https://acme.example/help"])
def test_a_right_order_page(settings: Settings, support: str) -> None:
    settings.ORDER_PAGE_SECRET = ("x" * 32,)
    settings.ORDER_PAGE_SUPPORT = support
    settings.ORDER_PAGE_BASE_URL = "https://licensing.example.com"
    assert _found() == {}


def test_no_finding_shows_a_secret(settings: Settings) -> None:
    settings.STORES = [STORE | {"webhook_secrets": ("tiny",), "api_password": "pass-word", "adapter": "no-such"}]
    settings.LICENSE_SERVERS = [SERVER | {"base_url": "http://example.com"}]
    text = " ".join(_found().values())
    assert not any(secret in text for secret in ("tiny", "pass-word", "'token'"))
