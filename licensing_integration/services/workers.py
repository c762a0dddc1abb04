"""Whether anybody does the work: processes of ``manage.py worker``, by the heartbeats they leave in the database."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateWorker

SILENCE: Final = timedelta(seconds=60)  # procrastinate's workers write a heartbeat every 10 seconds


def count_alive() -> int:
    """How many workers have been heard of in the last minute."""
    return ProcrastinateWorker.objects.filter(last_heartbeat__gte=timezone.now() - SILENCE).count()
