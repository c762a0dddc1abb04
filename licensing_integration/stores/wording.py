"""Pieces of the sentences that events leave in the history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

LISTED: Final = 5


def listing(parts: Sequence[str]) -> str:
    """``one, two, three``, and how many more where there are too many to read."""
    more = f" and {len(parts) - LISTED} more" if len(parts) > LISTED else ""
    return ", ".join(parts[:LISTED]) + more
