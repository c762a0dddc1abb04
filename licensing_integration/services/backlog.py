"""How long work has been waiting for a worker."""

from __future__ import annotations

from datetime import datetime

from licensing_integration import jobs
from licensing_integration.services.attention import BACKLOG_AFTER


def queue_waits_since(*, now: datetime) -> datetime | None:
    """Since when the oldest job waits; ``None`` while none has waited for long."""
    waiting_since = jobs.oldest_waiting_at(now=now)
    return waiting_since if waiting_since and now - waiting_since > BACKLOG_AFTER else None
