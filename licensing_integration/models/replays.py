"""Bulk replays: many webhook events translated and planned again in the background."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from licensing_integration.domain.outcomes import ReplayState
from licensing_integration.models.choices import choices


class BulkReplay(models.Model):
    """One order of somebody's to replay these events, and how far it has come.

    ``event_ids``: our ids, in the order in which they are replayed. ``done``: how many of them were set in motion or
    found to need nothing, from the beginning of the list.
    """

    event_ids = ArrayField(models.BigIntegerField())
    reason = models.TextField(blank=True, default="")
    state = models.CharField(max_length=20, choices=choices(ReplayState), default=ReplayState.WAITING)
    done = models.PositiveIntegerField(default=0)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "bulk replay"
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"replay of {len(self.event_ids)} events"
