"""License links: one unit of one purchase item, and the license that stands for it."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Right
from django.utils import timezone

from licensing_integration.domain.outcomes import ExpiryMode, FailureMode, LicenseState, SyncState
from licensing_integration.models.choices import choices
from licensing_integration.models.inbox import WebhookEvent
from licensing_integration.models.purchases import Purchase, PurchaseItem


class LicenseLink(models.Model):
    """A slot and its license. The row exists before the license does.

    ``desired``: what planning wants. ``applied``: the desired state we last brought about; only what differs is sent.
    ``observed``: the license as its server last reported it; ``observed_at``: when it was first reported so, or asked
    for last. ``attempts``: claims since the last success, for back-off.
    ``unclear_attempts``: those of them that may have reached the server without our learning the answer; raised
    *before* the first call, so that a killed worker leaves it behind. ``lease_until`` and ``lease_token``: who works on
    it now. ``is_adoptable``: a license may exist that we did not make; look before issuing. ``cause``: the event that
    last changed ``desired``.
    """

    item = models.ForeignKey(PurchaseItem, on_delete=models.CASCADE, related_name="links", db_index=False)
    purchase = models.ForeignKey(Purchase, on_delete=models.CASCADE, related_name="links")
    unit = models.PositiveIntegerField()
    reference = models.CharField("slot reference", max_length=900)
    server = models.CharField("license server", max_length=50)
    external_id = models.CharField("license id", max_length=100, blank=True)
    key = models.CharField("license key", max_length=256, blank=True)
    reason = models.TextField(blank=True, default="")
    cause = models.ForeignKey(WebhookEvent, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    desired = models.JSONField()
    applied = models.JSONField(null=True, blank=True)
    observed = models.JSONField(null=True, blank=True)
    observed_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField("license state", max_length=20, choices=choices(LicenseState), default=LicenseState.ABSENT)
    expires_at = models.DateTimeField(null=True, blank=True)
    sync_state = models.CharField(max_length=20, choices=choices(SyncState), default=SyncState.PENDING)
    failure_mode = models.CharField(max_length=20, choices=choices(FailureMode), blank=True, default=FailureMode.NONE)
    failure_message = models.TextField(blank=True, default="")
    question = models.TextField(blank=True, default="")
    is_adoptable = models.BooleanField(default=False)
    attempts = models.PositiveIntegerField(default=0)
    unclear_attempts = models.PositiveIntegerField(default=0)
    attempted_at = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    retry_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_token = models.UUIDField(null=True, blank=True)
    override_state = models.CharField(max_length=20, choices=choices(LicenseState), blank=True, default="")
    override_expires_at = models.DateTimeField(null=True, blank=True)
    override_until = models.DateTimeField(null=True, blank=True)
    override_reason = models.TextField(blank=True, default="")
    override_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    issued_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "license"
        ordering: ClassVar = ["-id"]
        permissions: ClassVar = [
            ("resync_licenselink", "Can resync a license"),
            ("reveal_key_licenselink", "Can see a whole license key"),
            ("override_licenselink", "Can override a license"),
            ("resend_key_licenselink", "Can send a license key to the customer again"),
            ("act_on_many_licenselink", "Can act on many licenses at once"),
            ("issue_again_licenselink", "Can issue a license again"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["item", "unit"], name="one_slot_per_unit"),
            models.UniqueConstraint(
                fields=["server", "external_id"], name="one_slot_per_license", condition=~models.Q(external_id="")
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["id"], name="pending_links", condition=models.Q(sync_state=SyncState.PENDING)),
            models.Index(
                fields=["id"],
                name="links_needing_attention",
                condition=models.Q(sync_state=SyncState.ATTENTION) | ~models.Q(question=""),
            ),
            models.Index(fields=["key"], name="links_by_key"),
            models.Index(Right("key", 6), name="links_by_key_ending"),
            models.Index(fields=["state", "-id"], name="links_by_state"),
            models.Index(
                fields=["override_until"], name="overridden_links", condition=models.Q(override_until__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"license {self.masked_key or self.reference}"

    @property
    def masked_key(self) -> str:
        """The key with all but its last six characters hidden."""
        return f"…{self.key[-6:]}" if self.key else ""

    @property
    def shown_key(self) -> str:
        """What follows the word "license" in a sentence: the masked key, or that there is none."""
        return self.masked_key or "without a key"

    @property
    def is_overridden(self) -> bool:
        """Whether a decision of staff wins over the plan now; one that has run out stays on the row and does not."""
        return self.override_until is not None and self.override_until > timezone.now()

    @property
    def is_endless(self) -> bool:
        """Whether it never expires. No end date alone does not tell: the license template may yet give one, such as 30
        days from the first activation."""
        return self.expires_at is None and self.desired.get("expiry") == ExpiryMode.PERPETUAL


class LicensingUser(models.Model):
    """The license server's user for an e-mail address (lower-case)."""

    server = models.CharField(max_length=50)
    email = models.CharField(max_length=320)
    external_id = models.CharField(max_length=100)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["server", "email"], name="one_user_per_address"),
        ]

    def __str__(self) -> str:
        return f"{self.server} user {self.external_id}"


class RequestBudget(models.Model):
    """The request budget that all workers share: when the last calls to a license server were, or will be, made.

    ``grants`` is a ring of as many moments as the window allows calls, oldest first.
    """

    server = models.CharField(max_length=50)
    grants = ArrayField(models.DateTimeField())

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["server"], name="one_budget_per_server")]

    def __str__(self) -> str:
        return f"request budget of {self.server}"
