"""The catalog: how store products become licenses."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models

from licensing_integration.domain.outcomes import (
    DisputeAction,
    EndAction,
    ExpiryMode,
    OverdueAction,
    PauseAction,
    QuantityMode,
    RefundAction,
)
from licensing_integration.domain.terms import MappingTerms, Policies
from licensing_integration.models.choices import choices


class ProductMapping(models.Model):
    """How one store product becomes licenses. An empty field is left to the store's custom attributes, then to the
    license template. Policies apply to every license of the product from the next event on; what a license *is*
    (server, product, template, quantity mode) is fixed when it is planned first."""

    store = models.CharField(max_length=50, help_text="Name of the store, as in the STORES setting.")
    store_product = models.CharField(
        max_length=200, help_text="The store's id of the product; for FastSpring the product path."
    )
    is_active = models.BooleanField(
        "active", default=True, help_text="An inactive mapping counts as none for new purchases; its policies go on."
    )
    is_license_needed = models.BooleanField(
        "license needed", default=True, help_text="Untick for products that come without a license."
    )
    server = models.CharField(
        "license server", max_length=50, blank=True, help_text="Empty: the first configured license server."
    )
    product_id = models.CharField("license product id", max_length=256, blank=True)
    template_id = models.CharField("license template id", max_length=256, blank=True)
    entitlement_set_id = models.CharField(max_length=256, blank=True)
    max_release_version = models.CharField(
        "highest release", max_length=50, blank=True, help_text="Highest release the license may run, such as 2.9."
    )
    interval = models.CharField(max_length=50, blank=True, help_text="ISO 8601 duration, such as P1M or P1Y.")
    expiry = models.CharField(
        max_length=20,
        choices=choices(ExpiryMode),
        blank=True,
        help_text="Empty: the paid-through date for subscriptions, the template's rule for one-time purchases.",
    )
    quantity_mode = models.CharField(max_length=20, choices=choices(QuantityMode), blank=True)
    activations_per_unit = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Activations each unit pays for."
    )
    extra_days = models.PositiveSmallIntegerField(
        default=Policies.extra_days, help_text="Days added to the paid-through date, for the time a renewal takes."
    )
    overdue_action = models.CharField(max_length=20, choices=choices(OverdueAction), default=Policies.overdue_action)
    overdue_grace_days = models.PositiveSmallIntegerField(default=Policies.overdue_grace_days)
    ended_action = models.CharField(max_length=20, choices=choices(EndAction), default=Policies.ended_action)
    paused_action = models.CharField(max_length=20, choices=choices(PauseAction), default=Policies.paused_action)
    refund_action = models.CharField(max_length=20, choices=choices(RefundAction), default=Policies.refund_action)
    dispute_action = models.CharField(max_length=20, choices=choices(DisputeAction), default=Policies.dispute_action)
    notes = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar = ["store", "store_product"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["store", "store_product"], name="one_mapping_per_product"),
        ]

    def __str__(self) -> str:
        return f"{self.store}: {self.store_product}"

    def to_terms(self) -> MappingTerms:
        """The mapping as planning sees it."""
        return MappingTerms(
            is_license_needed=self.is_license_needed,
            server=self.server,
            product_id=self.product_id,
            template_id=self.template_id,
            entitlement_set_id=self.entitlement_set_id,
            max_release_version=self.max_release_version,
            interval=self.interval,
            expiry=ExpiryMode(self.expiry) if self.expiry else None,
            quantity_mode=QuantityMode(self.quantity_mode) if self.quantity_mode else None,
            activations_per_unit=self.activations_per_unit,
            policies=Policies(
                extra_days=self.extra_days,
                overdue_action=OverdueAction(self.overdue_action),
                overdue_grace_days=self.overdue_grace_days,
                ended_action=EndAction(self.ended_action),
                paused_action=PauseAction(self.paused_action),
                refund_action=RefundAction(self.refund_action),
                dispute_action=DisputeAction(self.dispute_action),
            ),
        )


class MappingVersion(models.Model):
    """A mapping as somebody saved it; the audit trail of the catalog."""

    mapping = models.ForeignKey(ProductMapping, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    values = models.JSONField()
    changed_fields = models.JSONField(default=list)
    saved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    saved_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["mapping", "number"], name="one_row_per_mapping_version"),
        ]

    def __str__(self) -> str:
        return f"version {self.number} of {self.mapping}"
