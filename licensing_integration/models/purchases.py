"""Purchases: what we know of an order's one-time part or of one subscription, folded from events."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from licensing_integration.domain.outcomes import FailureMode, PurchaseKind, PurchaseStatus
from licensing_integration.models.catalog import ProductMapping
from licensing_integration.models.choices import choices


class Purchase(models.Model):
    """``state`` is the folded ``PurchaseState``; the columns beside it repeat what lists and searches need."""

    store = models.CharField(max_length=50)
    kind = models.CharField(max_length=20, choices=choices(PurchaseKind))
    external_id = models.CharField("store id", max_length=200)
    reference = models.CharField("order reference", max_length=200, blank=True)
    status = models.CharField(max_length=20, choices=choices(PurchaseStatus), default=PurchaseStatus.UNKNOWN)
    paid_through = models.DateTimeField(null=True, blank=True)
    customer_email = models.CharField(max_length=320, blank=True)
    customer_name = models.CharField(max_length=300, blank=True)
    is_live = models.BooleanField("live", default=True)
    state = models.JSONField()
    review_at = models.DateTimeField(null=True, blank=True)
    attention = models.TextField("needs attention", blank=True)
    first_seen_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        permissions: ClassVar = [
            ("plan_purchase", "Can plan a purchase again"),
            ("acknowledge_purchase", "Can take a purchase off the attention list"),
            ("act_on_many_purchase", "Can act on many purchases at once"),
            ("erase_purchase", "Can erase the personal data of a purchase"),
            ("close_disputes_purchase", "Can close the disputes of a purchase"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["external_id", "store", "kind"], name="one_row_per_purchase"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["customer_email"], name="purchases_by_email"),
            models.Index(fields=["reference"], name="purchases_by_reference"),
            models.Index(fields=["status", "-id"], name="purchases_by_status"),
            models.Index(fields=["store", "-id"], name="purchases_by_store"),
            models.Index(fields=["-id"], name="test_purchases", condition=models.Q(is_live=False)),
            models.Index(fields=["review_at"], name="purchases_to_review", condition=models.Q(review_at__isnull=False)),
            models.Index(fields=["id"], name="purchases_with_attention", condition=~models.Q(attention="")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference or self.external_id}"


class PurchaseAlias(models.Model):
    """Another name the store uses for a purchase. One order id may name several purchases: the order's one-time part
    and each subscription bought with it."""

    store = models.CharField(max_length=50)
    kind = models.CharField(max_length=20)
    value = models.CharField(max_length=200)
    purchase = models.ForeignKey(Purchase, on_delete=models.CASCADE, related_name="aliases")

    class Meta:
        verbose_name_plural = "purchase aliases"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["value", "store", "kind", "purchase"], name="one_row_per_alias"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"


class StoreCustomer(models.Model):
    """A store's customer who changed name or address: the latest ``CustomerFact`` as JSON, and the event it is from."""

    store = models.CharField(max_length=50)
    external_id = models.CharField(max_length=200)
    occurred_at = models.DateTimeField()
    event_id = models.CharField(max_length=200)
    fact = models.JSONField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["external_id", "store"], name="one_row_per_customer"),
        ]

    def __str__(self) -> str:
        return f"{self.store} customer {self.external_id}"


class PurchaseItem(models.Model):
    """One product in a purchase. ``terms``: by which its slots are planned. A license pins them: what it is does not
    change because somebody edits the mapping later. ``variant`` is the store's finer id of the product (a Stripe
    price), empty where it has none. ``problem`` says why the item waits, empty if it does not."""

    purchase = models.ForeignKey(Purchase, on_delete=models.CASCADE, related_name="items", db_index=False)
    store = models.CharField(max_length=50)
    line = models.CharField(max_length=450)
    product = models.CharField(max_length=200)
    variant = models.CharField(max_length=200, blank=True, default="")
    display = models.CharField(max_length=300, blank=True)
    quantity = models.PositiveIntegerField(default=1)
    returned_quantity = models.PositiveIntegerField(default=0)
    attributes = models.JSONField(default=dict)
    mapping = models.ForeignKey(
        ProductMapping, on_delete=models.SET_NULL, null=True, blank=True, related_name="items", db_index=False
    )
    terms = models.JSONField(null=True, blank=True)
    problem = models.TextField(blank=True, default="")
    failure_mode = models.CharField(max_length=20, choices=choices(FailureMode), blank=True, default=FailureMode.NONE)

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["purchase", "line"], name="one_row_per_line"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["store", "product"],
                name="waiting_items",
                condition=~models.Q(problem="") | models.Q(terms__isnull=True),
            ),
            models.Index(
                fields=["store", "variant"],
                name="waiting_variants",
                condition=~models.Q(variant="") & (~models.Q(problem="") | models.Q(terms__isnull=True)),
            ),
            models.Index(fields=["store", "product"], name="items_with_problem", condition=~models.Q(problem="")),
            models.Index(fields=["mapping"], name="withdrawn_items", condition=models.Q(terms__is_withdrawn=True)),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.name}"

    @property
    def name(self) -> str:
        """The product as people know it: the store's name for it, else its id; empty where the store told neither."""
        return self.display or self.product
