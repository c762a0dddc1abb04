"""From a name in our rows to the configured store or license server behind it, built once per process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial

from licensing_integration import conf
from licensing_integration.conf import LicenseServerConfig, StoreConfig
from licensing_integration.exceptions import ConfigurationProblem
from licensing_integration.http import call_deadline
from licensing_integration.license_servers.base import LicenseServerBackend
from licensing_integration.license_servers.registry import build_backend
from licensing_integration.services import budget
from licensing_integration.stores.base import StoreAdapter, StoreApi
from licensing_integration.stores.registry import get_adapter


def store_config(name: str) -> StoreConfig:
    """Raises ``ConfigurationProblem`` when the store is configured no more."""
    config = conf.store(name)
    if config is None:
        raise ConfigurationProblem(f"No store named '{name}' is configured; see the STORES setting.")
    return config


def server_config(name: str) -> LicenseServerConfig:
    """Raises ``ConfigurationProblem`` when the license server is configured no more."""
    config = conf.license_server(name)
    if config is None:
        raise ConfigurationProblem(f"No license server named '{name}' is configured; see the LICENSE_SERVERS setting.")
    return config


def adapter_of(store_name: str) -> StoreAdapter:
    """The adapter that reads a store's events."""
    return get_adapter(store_config(store_name).adapter)


def store_api(store_name: str) -> StoreApi | None:
    """Read access to a store's own API, or ``None`` without credentials."""
    config = store_config(store_name)
    return _build_api(config) if config.api_password else None


def backend_of(server_name: str) -> LicenseServerBackend:
    """The backend of a license server, with its pooled connections and the shared request budget."""
    return _build_backend(server_config(server_name))


@contextmanager
def answering_within(seconds: float) -> Iterator[None]:
    """No call to a store or license server that is made inside lasts beyond these seconds, however many there are."""
    token = call_deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        call_deadline.reset(token)


@lru_cache(maxsize=8)
def _build_api(config: StoreConfig) -> StoreApi:
    build = get_adapter(config.adapter).build_api
    if build is None:
        raise ConfigurationProblem(f"Store adapter '{config.adapter}' reads no API; remove its API credentials.")
    return build(base_url=config.api_base_url, username=config.api_username, password=config.api_password)


@lru_cache(maxsize=8)
def _build_backend(config: LicenseServerConfig) -> LicenseServerBackend:
    return build_backend(
        config.backend,
        name=config.name,
        base_url=config.base_url,
        access_token=config.access_token,
        before_request=partial(budget.wait_for_turn, config),
        on_rate_limited=partial(budget.pause, config),
    )
