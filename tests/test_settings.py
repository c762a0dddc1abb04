"""Settings are read from the environment, strictly."""

from __future__ import annotations

import os
import runpy
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.core.exceptions import ImproperlyConfigured

from project.embedded_postgres import EmbeddedPostgres

PROJECT = Path(__file__).resolve().parents[1] / "project"
LEAST = {"ENV_FILE": "", "DATABASE_URL": "postgresql://u:p@db.example.com:5433/name", "SECRET_KEY": "k" * 50}


def load(environment: Mapping[str, str] | None = None, *, base: Path = PROJECT) -> dict[str, Any]:
    """The settings as a process with exactly this environment would have them."""
    with mock.patch.dict(os.environ, {**LEAST, **(environment or {})}, clear=True):
        return runpy.run_path(str(base / "settings.py"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A working copy of its own, as far as settings go."""
    shutil.copytree(PROJECT, tmp_path / "project")
    return tmp_path / "project"


def test_defaults_are_safe_and_sufficient() -> None:
    settings = load()
    assert settings["DEBUG"] is False
    assert settings["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert settings["STORES"] == [
        {
            "name": "fastspring",
            "adapter": "fastspring",
            "webhook_secrets": (),
            "fulfilment_keys": (),
            "test_events": "hold",
            "api_username": "",
            "api_password": "",
            "api_base_url": "",
            "unmapped": "wait",
        }
    ]
    assert settings["LICENSE_SERVERS"] == [
        {
            "name": "cryptlex",
            "backend": "cryptlex",
            "base_url": "https://api.cryptlex.com",
            "access_token": "",
            "request_limit": 50,
            "request_window_seconds": 5.0,
            "adopt": "auto",
            "default_product_id": "",
            "uuid": "",
        }
    ]
    assert settings["WEBHOOK_MAX_BYTES"] == 5_000_000
    assert settings["APPLY_LEASE_SECONDS"] == 120
    assert settings["USE_TZ"] is True
    assert settings["TIME_ZONE"] == "UTC"


def test_several_stores_and_license_servers_each_have_a_prefix() -> None:
    settings = load(
        {
            "STORES": "main=fastspring, eu-shop=fastspring ,fastspring",
            "MAIN_WEBHOOK_SECRET": "old, new",
            "EU_SHOP_WEBHOOK_SECRET": "other",
            "EU_SHOP_TEST_EVENTS": "apply",
            "EU_SHOP_API_USERNAME": "somebody",
            "EU_SHOP_API_PASSWORD": "a,b",
            "LICENSE_SERVERS": "live=cryptlex,cryptlex",
            "LIVE_ACCESS_TOKEN": "token",
            "LIVE_WEB_API_BASE_URL": "https://api.eu.example.com",
            "LIVE_REQUEST_LIMIT": "0",
            "LIVE_REQUEST_WINDOW_SECONDS": "2.5",
            "LIVE_ADOPT": "always",
        }
    )
    main, eu, own_name = settings["STORES"]
    assert (main["name"], main["webhook_secrets"], main["test_events"]) == ("main", ("old", "new"), "hold")
    assert (eu["name"], eu["webhook_secrets"], eu["test_events"]) == ("eu-shop", ("other",), "apply")
    assert (eu["api_username"], eu["api_password"]) == ("somebody", "a,b")
    assert (own_name["name"], own_name["adapter"]) == ("fastspring", "fastspring")
    live, cryptlex = settings["LICENSE_SERVERS"]
    assert live == {
        "name": "live",
        "backend": "cryptlex",
        "base_url": "https://api.eu.example.com",
        "access_token": "token",
        "request_limit": 0,
        "request_window_seconds": 2.5,
        "adopt": "always",
        "default_product_id": "",
        "uuid": "",
    }
    assert cryptlex["access_token"] == ""


def test_license_servers_of_each_kind_have_their_own_address_and_limit() -> None:
    settings = load({"LICENSE_SERVERS": "cryptlex,licensespring,other=nobody-knows"})
    assert [(server["base_url"], server["request_limit"]) for server in settings["LICENSE_SERVERS"]] == [
        ("https://api.cryptlex.com", 50),
        ("https://saas.licensespring.com", 45),
        ("", 50),
    ]


def test_a_store_with_a_key_and_no_user_name_has_it_as_password() -> None:
    settings = load({"STORES": "stripe", "STRIPE_API_KEY": "rk_live_1", "STRIPE_UNMAPPED": "default"})
    (stripe,) = settings["STORES"]
    assert (stripe["api_username"], stripe["api_password"], stripe["unmapped"]) == ("", "rk_live_1", "default")


def test_secrets_may_come_from_files(tmp_path: Path) -> None:
    for name, content in {"key": f"{'s' * 50}\n", "hooks": "new\n\nold, with comma\n", "token": " token \n"}.items():
        (tmp_path / name).write_text(content)
    settings = load(
        {
            "SECRET_KEY": "",
            "SECRET_KEY_FILE": str(tmp_path / "key"),
            "FASTSPRING_WEBHOOK_SECRET_FILE": str(tmp_path / "hooks"),
            "CRYPTLEX_ACCESS_TOKEN_FILE": str(tmp_path / "token"),
        }
    )
    assert settings["SECRET_KEY"] == "s" * 50
    assert settings["STORES"][0]["webhook_secrets"] == ("new", "old, with comma")
    assert settings["LICENSE_SERVERS"][0]["access_token"] == "token"


def test_a_secret_is_taken_verbatim_whatever_it_begins_with() -> None:
    settings = load({"FASTSPRING_WEBHOOK_SECRET": "$HOME,other", "CRYPTLEX_ACCESS_TOKEN": "$token"})
    assert settings["STORES"][0]["webhook_secrets"] == ("$HOME", "other")
    assert settings["LICENSE_SERVERS"][0]["access_token"] == "$token"


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"DEBUG": "ture"}, "DEBUG must be true or false"),
        ({"BEHIND_HTTPS_PROXY": "maybe"}, "BEHIND_HTTPS_PROXY"),
        ({"WEBHOOK_MAX_BYTES": "5 MB"}, "WEBHOOK_MAX_BYTES must be a number"),
        ({"WEBHOOK_MAX_BYTES": "0"}, "at least 1"),
        ({"APPLY_LEASE_SECONDS": "-1"}, "at least 1"),
        ({"APPLY_LEASE_SECONDS": "nan"}, "at least 1"),
        ({"CRYPTLEX_REQUEST_LIMIT": "many"}, "CRYPTLEX_REQUEST_LIMIT"),
        ({"CRYPTLEX_REQUEST_LIMIT": "-1"}, "at least 0"),
        ({"CRYPTLEX_REQUEST_LIMIT": "2.5"}, "whole number"),
        ({"CRYPTLEX_REQUEST_WINDOW_SECONDS": "0"}, "CRYPTLEX_REQUEST_WINDOW_SECONDS"),
        ({"SECRET_KEY": ""}, "Set SECRET_KEY"),
        ({"SECRET_KEY_FILE": "/somewhere"}, "not both"),
        ({"CRYPTLEX_ACCESS_TOKEN_FILE": "/no/such/file"}, "cannot read /no/such/file"),
        ({"ORDER_PAGES": "maybe"}, "ORDER_PAGES"),
        ({"ORDER_PAGE_DAYS": "0"}, "ORDER_PAGE_DAYS must be at least 1"),
        ({"ORDER_PAGE_RATE": "often"}, "like 60/min"),
        ({"ORDER_PAGE_RATE": "0/min"}, "like 60/min"),
        ({"ORDER_PAGE_RATE": "5/month"}, "like 60/min"),
        ({"EMAIL_URL": "https://mail.example.com"}, "EMAIL_URL must be like smtp"),
        ({"EMAIL_URL": "smtp://"}, "EMAIL_URL must be like smtp"),
        ({"EMAIL_URL": "filemail:///tmp/keys"}, "EMAIL_URL must be like smtp"),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT"),
        ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL"),
    ],
)
def test_what_cannot_be_understood_stops_the_start(environment: dict[str, str], says: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=says):
        load(environment)


@pytest.mark.parametrize(("text", "flag"), [("TRUE", True), ("1", True), ("yes", True), ("off", False), ("", False)])
def test_yes_and_no_have_several_spellings(text: str, flag: bool) -> None:
    assert load({"DEBUG": text})["DEBUG"] is flag


def test_the_database_url_with_persistent_checked_connections() -> None:
    database = load()["DATABASES"]["default"]
    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("db.example.com", 5433, "name")
    assert (database["USER"], database["PASSWORD"]) == ("u", "p")
    assert database["CONN_MAX_AGE"] is None
    assert database["CONN_HEALTH_CHECKS"] is True
    assert database["OPTIONS"] == {"connect_timeout": 5, "application_name": "licensing-integration"}


def test_the_database_url_may_carry_options() -> None:
    url = "postgresql://u@/name?host=/run/postgresql&connect_timeout=2&sslmode=require"
    options = load({"DATABASE_URL": url})["DATABASES"]["default"]["OPTIONS"]
    assert options["host"] == "/run/postgresql"
    assert options["connect_timeout"] == 2
    assert options["sslmode"] == "require"


def test_behind_a_proxy_everything_is_https() -> None:
    plain, secure = load(), load({"BEHIND_HTTPS_PROXY": "true"})
    for name in ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT"):
        assert (plain[name], secure[name]) == (False, True)
    assert plain["SECURE_PROXY_SSL_HEADER"] is None  # or anybody could claim to have come by HTTPS
    assert secure["SECURE_PROXY_SSL_HEADER"] == ("HTTP_X_FORWARDED_PROTO", "https")
    assert (plain["SECURE_HSTS_SECONDS"], secure["SECURE_HSTS_SECONDS"]) == (0, 3600)


def test_the_order_page_has_safe_defaults_and_secrets_that_can_be_rotated(tmp_path: Path) -> None:
    plain = load()
    assert plain["ORDER_PAGES"] is True
    assert plain["ORDER_PAGE_SECRET"] == ()
    assert (plain["ORDER_PAGE_DAYS"], plain["ORDER_PAGE_RATE"]) == (30, "60/min")
    assert load({"ORDER_PAGE_SECRET": "new, old"})["ORDER_PAGE_SECRET"] == ("new", "old")
    (tmp_path / "secret").write_text("new\nold\n")
    assert load({"ORDER_PAGE_SECRET_FILE": str(tmp_path / "secret")})["ORDER_PAGE_SECRET"] == ("new", "old")
    assert load({"ORDER_PAGE_RATE": "5 / sec"})["ORDER_PAGE_RATE"] == "5/sec"


def test_the_mail_server_is_an_address_and_nothing_is_sent_without_it() -> None:
    plain = load()
    assert plain["CAN_SEND_MAIL"] is False
    assert "dummy" in plain["EMAIL_BACKEND"]
    url = "smtp+tls://user:p%40ss@mail.example.com"
    assert load({"EMAIL_URL": url})["CAN_SEND_MAIL"] is False  # from nobody
    mail = load({"EMAIL_URL": url, "DEFAULT_FROM_EMAIL": "Acme <keys@example.com>"})
    assert mail["CAN_SEND_MAIL"] is True
    assert (mail["EMAIL_HOST"], mail["EMAIL_PORT"], mail["EMAIL_USE_TLS"]) == ("mail.example.com", 587, True)
    assert (mail["EMAIL_HOST_USER"], mail["EMAIL_HOST_PASSWORD"]) == ("user", "p@ss")
    assert load({"EMAIL_URL": "smtp+ssl://mail.example.com"})["EMAIL_PORT"] == 465
    assert load({"EMAIL_URL": "smtp://mail.example.com:2525"})["EMAIL_PORT"] == 2525


def test_a_wrong_mail_address_is_refused_without_telling_its_password() -> None:
    with pytest.raises(ImproperlyConfigured) as error:
        load({"EMAIL_URL": "smtp://user:hush-hush@mail.example.com:port"})
    assert "hush-hush" not in str(error.value)
    assert error.value.__context__ is None  # nor from the error of whoever read it


def test_forwarded_addresses_are_believed_only_behind_a_proxy_unless_told_otherwise() -> None:
    assert load()["TRUST_FORWARDED_FOR"] is False
    assert load({"BEHIND_HTTPS_PROXY": "true"})["TRUST_FORWARDED_FOR"] is True
    assert load({"BEHIND_HTTPS_PROXY": "true", "TRUST_FORWARDED_FOR": "false"})["TRUST_FORWARDED_FOR"] is False


def test_public_names_are_added_to_those_of_this_machine() -> None:
    settings = load(
        {"ALLOWED_HOSTS": "a.example.com, b.example.com", "CSRF_TRUSTED_ORIGINS": "https://a.example.com ,"}
    )
    assert settings["ALLOWED_HOSTS"][:2] == ["a.example.com", "b.example.com"]
    assert "127.0.0.1" in settings["ALLOWED_HOSTS"]
    assert settings["CSRF_TRUSTED_ORIGINS"] == ["https://a.example.com"]


def test_the_env_file_fills_in_what_the_environment_leaves_open(copy: Path) -> None:
    (copy.parent / ".env").write_text("STORES=one=fastspring\nONE_WEBHOOK_SECRET=from-file\nDEBUG=true\n")
    environment = {"ENV_FILE": str(copy.parent / ".env"), "DEBUG": "false"}
    settings = load(environment, base=copy)
    assert settings["STORES"][0]["webhook_secrets"] == ("from-file",)
    assert settings["DEBUG"] is False


def test_a_newcomer_needs_no_configuration_and_keeps_the_same_secret_key(
    copy: Path, postgres: EmbeddedPostgres
) -> None:
    environment = {"DATABASE_URL": "", "SECRET_KEY": "", "EMBEDDED_POSTGRES_DIR": str(postgres.folder)}
    first, second = load(environment, base=copy), load(environment, base=copy)
    assert first["DATABASES"]["default"]["HOST"] == str(postgres.socket_dir)
    assert len(first["SECRET_KEY"]) >= 50
    assert first["SECRET_KEY"] == second["SECRET_KEY"]
    key = copy.parent / "var" / "secret_key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert [path.name for path in key.parent.iterdir() if path.name.startswith("secret_key")] == ["secret_key"]


def test_static_files_are_fingerprinted_once_collected(copy: Path) -> None:
    backend = "staticfiles"
    assert "StaticFilesStorage" in load(base=copy)["STORAGES"][backend]["BACKEND"]
    (copy.parent / "var" / "static" / "staticfiles.json").write_text("{}")
    collected = load(base=copy)
    assert "CompressedManifest" in collected["STORAGES"][backend]["BACKEND"]
    assert collected["WHITENOISE_USE_FINDERS"] is False
