"""The typed view of our settings."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from pytest_django import Settings

from licensing_integration import conf


def test_configs_follow_the_settings_at_once(settings: Settings) -> None:
    settings.STORES = [{"name": "one", "adapter": "fastspring"}, {"name": "two", "adapter": "fastspring"}]
    settings.LICENSE_SERVERS = [{"name": "here", "backend": "cryptlex", "base_url": "http://127.0.0.1:1"}]
    settings.WEBHOOK_MAX_BYTES = 10
    settings.APPLY_LEASE_SECONDS = 3
    assert list(conf.stores()) == ["one", "two"]
    assert list(conf.license_servers()) == ["here"]
    assert conf.webhook_max_bytes() == 10
    assert conf.apply_lease_seconds() == 3.0
    settings.STORES = []
    assert conf.stores() == {}


def test_a_name_nobody_configured_is_none() -> None:
    assert conf.store("nobody") is None
    assert conf.license_server("nobody") is None


def test_secrets_do_not_show_themselves(settings: Settings) -> None:
    settings.STORES = [{"name": "s", "adapter": "a", "webhook_secrets": ("hush-1",), "api_password": "hush-2"}]
    settings.LICENSE_SERVERS = [{"name": "l", "backend": "b", "access_token": "hush-3"}]
    store, server = conf.store("s"), conf.license_server("l")
    assert "hush" not in f"{store!r} {server!r}"
    assert store is not None
    assert store.webhook_secrets[0] == "hush-1"


def test_configs_are_frozen() -> None:
    store = conf.store("fastspring")
    assert store is not None
    with pytest.raises(FrozenInstanceError):
        store.adapter = "other"  # type: ignore[misc]
