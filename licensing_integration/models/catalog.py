"""The catalog: how store products become licenses."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from licensing_integration.domain.licensespring_attributes import MAX_GRACE_HOURS
from licensing_integration.domain.outcomes import (
    DisputeAction,
    EndAction,
    ExpiryMode,
    LicenseType,
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
    (server, product, template, quantity mode) is fixed by the first license of a purchase's item."""

    store = models.CharField(max_length=50, help_text="Name of the store, as in the STORES setting.")
    store_product = models.CharField(
        max_length=200,
        help_text="The store's id: FastSpring's product path, Stripe's price or product id (a price wins).",
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
    max_activations = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Devices that may activate each license. A quantity that counts in activations takes its place.",
    )
    floating_cloud = models.PositiveIntegerField(
        "floating cloud seats",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Simultaneous users of each license, counted by the license server. A quantity that counts in "
        "floating seats takes its place.",
    )
    license_type = models.CharField(
        max_length=20,
        choices=choices(LicenseType),
        blank=True,
        help_text="Of one-time purchases. A subscription becomes a subscription license whatever this says.",
    )
    valid_duration = models.CharField(
        max_length=10,
        blank=True,
        help_text="How long a time-limited license lasts from its first activation: a number and d, w, m or y.",
    )
    is_maintained = models.BooleanField("maintenance", null=True, blank=True)
    maintenance_duration = models.CharField(
        max_length=10, blank=True, help_text="A number and d, w, m or y. For a LicenseSpring."
    )
    maintenance_policy_id = models.CharField(
        max_length=256, blank=True, help_text="The policy that holds the length of maintenance. For a Cryptlex."
    )
    max_consumptions = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Of a consumption license."
    )
    grace_hours = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(MAX_GRACE_HOURS)],
        help_text="Hours a subscription's license stays valid after its end.",
    )
    is_customer_manager = models.BooleanField("customer is license manager", null=True, blank=True)
    is_customer_user = models.BooleanField("customer is user", null=True, blank=True)
    custom_fields = models.JSONField(default=dict, blank=True)
    feature_code = models.CharField(
        max_length=256,
        blank=True,
        help_text="The product is no license but this feature of the license it is bought for.",
    )
    extra_days = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="Days added to the paid-through date, for the time a renewal takes. Empty: the store's default.",
    )
    overdue_action = models.CharField(
        max_length=20, choices=choices(OverdueAction), blank=True, help_text="Empty: the store's default."
    )
    overdue_grace_days = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Days from the first notice to suspension. Empty: the store's default."
    )
    ended_action = models.CharField(
        max_length=20, choices=choices(EndAction), blank=True, help_text="Empty: the store's default."
    )
    paused_action = models.CharField(
        max_length=20, choices=choices(PauseAction), blank=True, help_text="Empty: the store's default."
    )
    refund_action = models.CharField(
        max_length=20, choices=choices(RefundAction), blank=True, help_text="Empty: the store's default."
    )
    dispute_action = models.CharField(
        max_length=20, choices=choices(DisputeAction), blank=True, help_text="Empty: the store's default."
    )
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

    def to_terms(self, *, defaults: Policies | None = None) -> MappingTerms:
        """The mapping as planning sees it. ``defaults``: the policies for what the mapping leaves open."""
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
            max_activations=self.max_activations,
            floating_cloud=self.floating_cloud,
            license_type=LicenseType(self.license_type) if self.license_type else None,
            valid_duration=self.valid_duration,
            is_maintained=self.is_maintained,
            maintenance_duration=self.maintenance_duration,
            maintenance_policy_id=self.maintenance_policy_id,
            max_consumptions=self.max_consumptions,
            grace_hours=self.grace_hours,
            is_customer_manager=self.is_customer_manager,
            is_customer_user=self.is_customer_user,
            custom_fields=self.custom_fields,
            feature_code=self.feature_code,
            policies=self._policies(defaults or Policies()),
        )

    def _policies(self, standard: Policies) -> Policies:
        return Policies(
            prepared_hours=standard.prepared_hours,
            extra_days=standard.extra_days if self.extra_days is None else self.extra_days,
            overdue_action=OverdueAction(self.overdue_action or standard.overdue_action),
            overdue_grace_days=(
                standard.overdue_grace_days if self.overdue_grace_days is None else self.overdue_grace_days
            ),
            ended_action=EndAction(self.ended_action or standard.ended_action),
            paused_action=PauseAction(self.paused_action or standard.paused_action),
            refund_action=RefundAction(self.refund_action or standard.refund_action),
            dispute_action=DisputeAction(self.dispute_action or standard.dispute_action),
        )


class MappingVersion(models.Model):
    """A mapping as somebody saved it; the audit trail of the catalog."""

    mapping = models.ForeignKey(ProductMapping, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    values = models.JSONField()
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
