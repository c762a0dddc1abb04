"""The license servers we can talk to, by slug. Adding one: its folder, a line here, its docs page and its tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from licensing_integration.exceptions import ConfigurationProblem
from licensing_integration.license_servers.base import LicenseServerBackend
from licensing_integration.license_servers.cryptlex.backend import CryptlexBackend
from licensing_integration.license_servers.licensespring.backend import LicenseSpringBackend


class BackendFactory(Protocol):
    """Makes a backend. Opens no connection; raises ``ConfigurationProblem`` for an address or token that cannot work.

    ``before_request`` runs before every call (the shared request budget), ``on_rate_limited`` gets the seconds to stay
    away after a 429.
    """

    def __call__(
        self,
        *,
        name: str,
        base_url: str,
        access_token: str,
        before_request: Callable[[], None] | None = None,
        on_rate_limited: Callable[[float], None] | None = None,
    ) -> LicenseServerBackend: ...


BACKENDS: Mapping[str, BackendFactory] = {
    "cryptlex": CryptlexBackend,
    "licensespring": LicenseSpringBackend,
}
LABELS: Mapping[str, str] = {
    "cryptlex": "Cryptlex",
    "licensespring": "LicenseSpring",
}


def build_backend(
    slug: str,
    *,
    name: str,
    base_url: str,
    access_token: str,
    before_request: Callable[[], None] | None = None,
    on_rate_limited: Callable[[float], None] | None = None,
) -> LicenseServerBackend:
    """A backend of kind ``slug`` for the configured license server ``name``."""
    factory = BACKENDS.get(slug)
    if factory is None:
        raise ConfigurationProblem(
            f'License server "{name}" is of the unknown kind "{slug}"; known are: {", ".join(sorted(BACKENDS))}.'
        )
    return factory(
        name=name,
        base_url=base_url,
        access_token=access_token,
        before_request=before_request,
        on_rate_limited=on_rate_limited,
    )


def backend_choices() -> list[tuple[str, str]]:
    """(slug, label) pairs for form fields and model fields."""
    return [(slug, LABELS[slug]) for slug in BACKENDS]
