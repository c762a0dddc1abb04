"""Every store adapter, by slug. A new store is one line here for its adapter and, if it has one, one for its API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from licensing_integration.exceptions import ConfigurationProblem
from licensing_integration.stores import fastspring
from licensing_integration.stores.base import StoreAdapter, StoreApi
from licensing_integration.stores.fastspring.enrich import FastSpringApi

ADAPTERS: Final[Mapping[str, StoreAdapter]] = MappingProxyType(
    {adapter.slug: adapter for adapter in (fastspring.ADAPTER,)}
)

_APIS: Final[Mapping[str, Callable[..., StoreApi]]] = MappingProxyType({"fastspring": FastSpringApi})


def get_adapter(slug: str) -> StoreAdapter:
    """Raises ``ConfigurationProblem`` for a slug nobody registered."""
    try:
        return ADAPTERS[slug]
    except KeyError:
        known = ", ".join(sorted(ADAPTERS))
        raise ConfigurationProblem(
            f"There is no store adapter '{slug}'; the STORES setting may name {known}."
        ) from None


def build_api(slug: str, *, username: str, password: str, base_url: str = "") -> StoreApi:
    """Read access to a store's own API; an empty ``base_url`` is the store's public one."""
    try:
        build = _APIS[slug]
    except KeyError:
        raise ConfigurationProblem(f"Store adapter '{slug}' reads no API; remove its API credentials.") from None
    return build(username=username, password=password, base_url=base_url)


def adapter_choices() -> list[tuple[str, str]]:
    """Slugs for a form or a model field; a function, so that a new store needs no migration."""
    return [(slug, slug) for slug in sorted(ADAPTERS)]
