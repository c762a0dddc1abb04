"""Purchases: what the store says, what became of it, and what a person may do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from licensing_integration.admin.attention import AttentionFilter
from licensing_integration.admin.history import entries_of_purchase
from licensing_integration.admin.inbox import StoreFilter
from licensing_integration.admin.mixins import PageAction, ReadOnlyAdmin, SearchMixin, in_utc
from licensing_integration.models import Purchase, PurchaseItem
from licensing_integration.services import interventions, search
from licensing_integration.services.purchases import load_state

MOST_LINKS = 100
MOST_ENTRIES = 500


def _plan_again(purchase: Purchase, user_id: int, values: Mapping[str, Any]) -> str:
    interventions.plan_again(purchase.pk, user_id=user_id, reason=values["reason"])
    return "The purchase is planned again; this takes a moment."


def _close_disputes(purchase: Purchase, user_id: int, values: Mapping[str, Any]) -> str:
    interventions.close_disputes(purchase.pk, user_id=user_id, reason=values["reason"])
    return "The disputes are closed; the licenses follow in a moment."


def _acknowledge(purchase: Purchase, user_id: int, values: Mapping[str, Any]) -> str:
    interventions.acknowledge_purchase(purchase.pk, user_id=user_id, reason=values["reason"])
    return "The purchase is off the attention list."


@admin.register(Purchase)
class PurchaseAdmin(SearchMixin, ReadOnlyAdmin):
    list_display = (
        "__str__", "customer_email", "products", "status", "paid_until", "store", "first_seen", "waits_for",
    )  # fmt: skip
    list_filter = (AttentionFilter, "status", StoreFilter, "is_live")
    ordering = ("-id",)
    sortable_by = ()
    found = search.purchases_of
    page_template = "admin/licensing_integration/purchase.html"
    empty_sentence = "No purchases yet. The first order or subscription event of a store makes one."
    page_actions: ClassVar = (
        PageAction(
            name="plan",
            label="Plan again",
            permission="licensing_integration.plan_purchase",
            explanation="What its licenses should look like is worked out anew, from what is known of the purchase and "
            "from today's mappings. What is right already is left alone.",
            run=_plan_again,
        ),
        PageAction(
            name="acknowledge",
            label="Acknowledge",
            permission="licensing_integration.acknowledge_purchase",
            explanation="The note for a person is taken off the purchase. Nothing else changes.",
            run=_acknowledge,
            why_not=lambda purchase: "" if purchase.attention else "There is no note to acknowledge.",
        ),
        PageAction(
            name="close-disputes",
            label="Close disputes",
            permission="licensing_integration.close_disputes_purchase",
            explanation="The disputes count as won, and licenses that were suspended because of them are reinstated. "
            "The store sends no event for that.",
            run=_close_disputes,
            why_not=lambda purchase: (
                "" if load_state(purchase).has_open_dispute else "The purchase has no open dispute."
            ),
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Purchase]:
        waiting = PurchaseItem.objects.filter(purchase=OuterRef("pk")).exclude(problem="")
        rows = super().get_queryset(request).defer("state")
        return rows.annotate(is_waiting=Exists(waiting)).prefetch_related("items")

    @admin.display(description="products", empty_value="not known yet")
    def products(self, purchase: Purchase) -> str | None:
        return ", ".join(str(item) for item in purchase.items.all()) or None

    @admin.display(description="paid through (UTC)")
    def paid_until(self, purchase: Purchase) -> SafeString:
        return in_utc(purchase.paid_through)

    @admin.display(description="first seen (UTC)")
    def first_seen(self, purchase: Purchase) -> SafeString:
        return in_utc(purchase.first_seen_at)

    @admin.display(description="needs attention", empty_value="")
    def waits_for(self, purchase: Any) -> str:
        reasons = [purchase.attention] if purchase.attention else []
        return " ".join([*reasons, "An item waits for a product mapping."] if purchase.is_waiting else reasons)

    def page_context(self, request: HttpRequest, row: Purchase) -> dict[str, Any]:
        state = load_state(row)
        links = row.links.select_related("item").defer("desired", "applied", "observed").order_by("item_id", "unit")
        return {
            "state": state,
            "items": list(row.items.select_related("mapping")),
            "links": list(links[:MOST_LINKS]),
            "link_total": row.links.count(),
            "aliases": list(row.aliases.order_by("kind", "value")),
            "returns": state.returns,
            "disputes": state.disputes,
            "entries": list(entries_of_purchase(row)[:MOST_ENTRIES]),
            "most_entries": MOST_ENTRIES,
        }
