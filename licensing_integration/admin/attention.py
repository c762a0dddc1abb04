"""The filter of the lists for what wants to be looked at; the start page links each of its numbers to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from licensing_integration.models import LicenseLink, Purchase, WebhookEvent
from licensing_integration.services import attention

_ANY: dict[type[Model], Callable[[], Q]] = {
    LicenseLink: attention.links_needing_attention,
    Purchase: attention.purchases_needing_attention,
    WebhookEvent: attention.events_needing_attention,
}
_OF_PRODUCT = "waiting"


class AttentionFilter(admin.SimpleListFilter):
    """Rows that wait for a person, or those of one concern. ``waiting:<store>:<product>``: purchases that wait for a
    mapping of this store product."""

    title = "needs attention"
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        concerns = [(concern.slug, concern.label) for concern in attention.concerns_of(model_admin.model)]
        product = _product_in(self.value())
        chosen = [(str(self.value()), f"Waits for a mapping of {product[1]} ({product[0]})")] if product else []
        return [("any", "Waits for a person"), *concerns, *chosen]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        product = _product_in(self.value())
        if product and queryset.model is Purchase:
            return queryset.filter(attention.waits_for_a_mapping(*product))
        if self.value() == "any":
            return queryset.filter(_ANY[queryset.model]())
        conditions = {concern.slug: concern.condition for concern in attention.concerns_of(queryset.model)}
        condition = conditions.get(self.value() or "")
        return queryset.filter(condition(timezone.now())) if condition else queryset


def value_of_product(store: str, product: str) -> str:
    """The filter's value for the purchases that wait for a mapping of one store product."""
    return f"{_OF_PRODUCT}:{store}:{product}"


def _product_in(value: str | None) -> tuple[str, str] | None:
    name, _, rest = (value or "").partition(":")
    store, _, product = rest.partition(":")
    return (store, product) if name == _OF_PRODUCT and product else None
