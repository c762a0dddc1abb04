"""Every store adapter, by slug. A new store is one line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from licensing_integration.exceptions import ConfigurationProblem
from licensing_integration.stores import fastspring, stripe
from licensing_integration.stores.base import StoreAdapter

ADAPTERS: Final[Mapping[str, StoreAdapter]] = MappingProxyType(
    {adapter.slug: adapter for adapter in (fastspring.ADAPTER, stripe.ADAPTER)}
)


def get_adapter(slug: str) -> StoreAdapter:
    """Raises ``ConfigurationProblem`` for a slug nobody registered."""
    try:
        return ADAPTERS[slug]
    except KeyError:
        known = ", ".join(sorted(ADAPTERS))
        raise ConfigurationProblem(
            f"There is no store adapter '{slug}'; the STORES setting may name {known}."
        ) from None


def adapter_choices() -> list[tuple[str, str]]:
    """Slugs for a form or a model field; a function, so that a new store needs no migration."""
    return [(slug, slug) for slug in sorted(ADAPTERS)]
