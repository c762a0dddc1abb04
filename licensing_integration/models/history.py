"""History: the story of each license and purchase, in sentences a support person can read."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.utils import timezone

from licensing_integration.models.inbox import WebhookEvent
from licensing_integration.models.licenses import LicenseLink
from licensing_integration.models.purchases import Purchase


class HistoryEntry(models.Model):
    """One thing that happened to a license (``link`` set) or to its purchase, and why: an event, a staff member, or the
    clock (neither set). ``calls``: the requests to the license server behind it, each with its answer, see
    ``calls.Call``. Append-only: saving again or deleting raises ``TypeError``."""

    purchase = models.ForeignKey(Purchase, on_delete=models.CASCADE, related_name="history", db_index=False)
    link = models.ForeignKey(
        LicenseLink, on_delete=models.CASCADE, null=True, blank=True, related_name="history", db_index=False
    )
    event = models.ForeignKey(WebhookEvent, on_delete=models.SET_NULL, null=True, blank=True, related_name="history")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    kind = models.CharField(max_length=50)
    sentence = models.TextField()
    changes = models.JSONField(default=dict, blank=True)
    calls = models.JSONField(null=True, blank=True)
    request_id = models.CharField(max_length=100, blank=True, default="")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "history"
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["purchase", "-id"], name="history_of_purchase"),
            models.Index(fields=["link", "-id"], name="history_of_link"),
            BrinIndex(fields=["at"], name="history_by_day", autosummarize=True),
        ]

    def __str__(self) -> str:
        return self.sentence

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("History is append-only.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("History is append-only.")
