"""Figures that may lag behind: counted in this process, and written to the database once in a while.

For what every delivery changes and nobody needs to know to the second. It costs a delivery nothing but, once in ten
seconds for each figure, one statement of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from django.db import DatabaseError, InterfaceError, connection

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_WRITES: Final = 10.0


class Tally:
    """Says when to write, and how many have come since; safe to share among threads.

    What has come since the last write waits for the next one, so a process that ends loses that number.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str], int] = {}
        self._written_at: dict[tuple[str, str], float] = {}

    def add(self, key: tuple[str, str]) -> int:
        """Count one more; the number to be written now, 0 while it is too early."""
        with self._lock:
            now, written_at = self._clock(), self._written_at.get(key)
            number = self._waiting.get(key, 0) + 1
            is_due = written_at is None or now - written_at >= SECONDS_BETWEEN_WRITES
            self._waiting[key] = 0 if is_due else number
            self._written_at[key] = now if is_due or written_at is None else written_at
            return number if is_due else 0


def write(sql: str, arguments: Mapping[str, Any], *, what: str) -> None:
    """Write a figure. Never raises: a figure is not worth a delivery. ``what`` is told when the database is away."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, arguments)
    except (DatabaseError, InterfaceError):
        logger.warning("%s not counted: the database is away", what, extra={"store": arguments["store"]})
