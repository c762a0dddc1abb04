"""The inbox: every event a store sent, as it sent it, and how many deliveries were refused."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from licensing_integration.domain.outcomes import UNPROCESSABLE, EventState
from licensing_integration.models.choices import choices


class WebhookEvent(models.Model):
    """One reported fact. ``body`` is the event as JSON text (``text``, not ``jsonb``: it accepts everything JSON may
    contain, and nothing searches inside it). ``fetched`` holds what ``enrich`` got from the store's API. ``headers``:
    those of the first delivery that the adapter declares worth keeping, by lower-case name; no signature among them."""

    store = models.CharField(max_length=50)
    external_id = models.CharField("event id", max_length=200)
    event_type = models.CharField("type", max_length=200, blank=True)
    is_live = models.BooleanField("live", default=True)
    occurred_at = models.DateTimeField(null=True, blank=True)
    received_at = models.DateTimeField(default=timezone.now)
    deliveries = models.PositiveIntegerField(default=1)
    body = models.TextField()
    fetched = models.JSONField(null=True, blank=True)
    headers = models.JSONField(null=True, blank=True)
    state = models.CharField("verdict", max_length=20, choices=choices(EventState), default=EventState.RECEIVED)
    problem = models.TextField(blank=True, default="")
    attempts = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True, blank=True)
    retry_at = models.DateTimeField(null=True, blank=True)
    processed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "webhook event"
        verbose_name_plural = "webhook log"
        ordering: ClassVar = ["-id"]
        permissions: ClassVar = [
            ("replay_webhookevent", "Can replay a webhook event"),
            ("bulk_replay_webhookevent", "Can replay many webhook events at once"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["external_id", "store"], name="one_row_per_event"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["id"], name="waiting_events", condition=models.Q(state=EventState.RECEIVED)),
            models.Index(
                fields=["id"],
                name="events_needing_attention",
                condition=models.Q(state__in=list(UNPROCESSABLE)),
            ),
            models.Index(fields=["state", "-id"], name="events_by_verdict"),
            # With the verdict: one that events of a type never have is not looked for in all rows of that type.
            models.Index(fields=["event_type", "-id", "state"], name="events_by_type"),
            models.Index(fields=["store", "-id"], name="events_by_store"),
            models.Index(fields=["-id"], name="test_events", condition=models.Q(is_live=False)),
            # Not BRIN: PostgreSQL then takes the newest days for as good as the whole table, and reads it.
            models.Index(fields=["received_at"], name="events_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type or 'unreadable event'} {self.external_id}"


class RejectedDelivery(models.Model):
    """How often deliveries of a store were refused for one reason; a day without any begins the count anew.

    Whoever sends them is unknown, so nothing of what they sent is kept, and one row per store and reason is all there
    is. ``count`` and ``last_at`` lag behind by some seconds.
    """

    store = models.CharField(max_length=50)
    reason = models.CharField(max_length=50)
    count = models.PositiveBigIntegerField(default=1)
    first_at = models.DateTimeField(default=timezone.now)
    last_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "refused delivery"
        verbose_name_plural = "refused deliveries"
        ordering: ClassVar = ["-last_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["store", "reason"], name="one_row_per_rejection_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.store}: {self.reason}"


class SecretUse(models.Model):
    """When a store last signed with one of the secrets configured for it. ``fingerprint`` tells secrets apart and gives
    nothing of them away. ``last_at`` lags behind by some seconds."""

    store = models.CharField(max_length=50)
    fingerprint = models.CharField(max_length=16)
    last_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "use of a secret"
        verbose_name_plural = "uses of secrets"
        permissions: ClassVar = [("view_connections", "Can see the connections and send test events")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["store", "fingerprint"], name="one_row_per_secret"),
        ]

    def __str__(self) -> str:
        return f"{self.store}: secret {self.fingerprint}"
