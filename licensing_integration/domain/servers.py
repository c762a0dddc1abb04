"""The configured license servers as the domain sees them: names and kinds, in the order of the setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class ServerKind(StrEnum):
    """The kinds of license server that store attributes may speak of; the slugs of their backends."""

    CRYPTLEX = "cryptlex"
    LICENSESPRING = "licensespring"


PRODUCT_ATTRIBUTES: Final[Mapping[str, str]] = MappingProxyType(
    {ServerKind.CRYPTLEX: "cryptlex_product_id", ServerKind.LICENSESPRING: "product_short_code"}
)
"""Kind → the store attribute by which its vendor's guide names the license product."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """``kind``: slug of its backend. ``uuid``: the account a LicenseSpring server is for, empty if not configured."""

    name: str
    kind: str
    uuid: str = ""


@dataclass(frozen=True)
class Servers:
    """All of them; the first is the default."""

    all: tuple[Server, ...] = ()

    @property
    def first(self) -> str:
        """The name of the default one; empty when none is configured."""
        return self.all[0].name if self.all else ""

    def first_of(self, kind: str) -> Server | None:
        return next((server for server in self.all if server.kind == kind), None)

    def named(self, name: str) -> Server | None:
        return next((server for server in self.all if server.name == name), None)

    def kind_of(self, name: str) -> str:
        """Empty for a server that is not configured."""
        server = self.named(name)
        return server.kind if server else ""
