"""Pieces of the sentences that events leave in the history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

# Not strftime's: that depends on the locale of the process.
MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
LISTED: Final = 5


def format_day(moment: datetime) -> str:
    """``1 July 2026``."""
    return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}"


def listing(parts: Sequence[str]) -> str:
    """``one, two, three``, and how many more where there are too many to read."""
    more = f" and {len(parts) - LISTED} more" if len(parts) > LISTED else ""
    return ", ".join(parts[:LISTED]) + more
