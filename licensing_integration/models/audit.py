"""The audit: what people did in the console, to which license, and why."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from licensing_integration.models.catalog import ProductMapping
from licensing_integration.models.inbox import WebhookEvent
from licensing_integration.models.licenses import LicenseLink
from licensing_integration.models.purchases import Purchase


class AuditEntry(models.Model):
    """One thing a person did. ``user_name`` stays when the user is deleted, and the entry when what it was done to is.

    Append-only: saving again or deleting raises ``TypeError``.
    """

    at = models.DateTimeField(default=timezone.now)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    user_name = models.CharField("who", max_length=150, blank=True)
    action = models.CharField(max_length=50)
    sentence = models.TextField()
    reason = models.TextField(blank=True, default="")
    purchase = models.ForeignKey(Purchase, on_delete=models.SET_NULL, null=True, blank=True, related_name="audit")
    link = models.ForeignKey(LicenseLink, on_delete=models.SET_NULL, null=True, blank=True, related_name="audit")
    event = models.ForeignKey(WebhookEvent, on_delete=models.SET_NULL, null=True, blank=True, related_name="audit")
    mapping = models.ForeignKey(ProductMapping, on_delete=models.SET_NULL, null=True, blank=True, related_name="audit")

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit"
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["user", "-id"], name="audit_by_user"),
            models.Index(fields=["action", "-id"], name="audit_by_action"),
        ]

    def __str__(self) -> str:
        return self.sentence

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("The audit is append-only.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("The audit is append-only.")
