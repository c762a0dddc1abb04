"""Figures: what happened on one day, as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Happening(StrEnum):
    """What can happen to a license and is counted."""

    ISSUED = "issued"
    RENEWED = "renewed"
    SUSPENDED = "suspended"
    ENDED = "ended"
    FAILED = "failed"


# Happening → the kinds of history entries that tell it.
KINDS: Final[Mapping[Happening, tuple[str, ...]]] = MappingProxyType(
    {
        Happening.ISSUED: ("license.issued",),
        Happening.RENEWED: ("license.renewed",),
        Happening.SUSPENDED: ("license.suspended",),
        Happening.ENDED: ("license.revoked", "license.deleted"),
        Happening.FAILED: ("license.failed",),
    }
)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One day in UTC. ``events``: webhook events received on it, by their verdict. ``licenses``: licenses to which
    something happened, by what. ``errors``: licenses that an attempt failed for, by license server. ``seconds_p50``
    and ``seconds_p95``: how long half, and 95 of 100, of the licenses issued on it took, from receiving the event that
    caused them; ``None`` if there were none."""

    events: dict[str, int] = field(default_factory=dict)
    licenses: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    seconds_p50: float | None = None
    seconds_p95: float | None = None
