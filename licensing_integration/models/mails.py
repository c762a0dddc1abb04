"""Mails: license keys that somebody asked to have sent to a customer again."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from licensing_integration.domain.outcomes import MailState
from licensing_integration.models.choices import choices
from licensing_integration.models.purchases import Purchase


class KeyMail(models.Model):
    """One mail with the keys of ``link_ids``, licenses of one purchase.

    ``retry_at``: when it is due. ``is_unclear``: an attempt was begun of whose end nothing is known, so it may have
    gone out; raised *before* the attempt, so that a killed worker leaves it behind. ``lease_until``: until then a
    worker is at it; one that is over lets the next worker take the mail before ``retry_at``. ``address`` is empty
    once the personal data of the purchase was erased."""

    purchase = models.ForeignKey(Purchase, on_delete=models.CASCADE, related_name="key_mails")
    link_ids = ArrayField(models.BigIntegerField())
    address = models.CharField(max_length=320, blank=True)
    state = models.CharField(max_length=20, choices=choices(MailState), default=MailState.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    is_unclear = models.BooleanField(default=False)
    retry_at = models.DateTimeField(default=timezone.now)
    lease_until = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    asked_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "mail with keys"
        verbose_name_plural = "mails with keys"
        default_permissions = ()  # nobody sees them but in the history
        indexes: ClassVar = [
            models.Index(fields=["retry_at"], name="mails_to_send", condition=models.Q(state=MailState.WAITING)),
        ]

    def __str__(self) -> str:
        return f"mail {self.pk} with {len(self.link_ids)} keys"
