"""Purchases: what the store says, what became of it, and what a person may do about it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from licensing_integration.admin import purchase_actions
from licensing_integration.admin.actions import is_id
from licensing_integration.admin.attention import AttentionFilter
from licensing_integration.admin.following import next_look
from licensing_integration.admin.history import entries_of_purchase, timeline
from licensing_integration.admin.inbox import StoreFilter
from licensing_integration.admin.mixins import ReadOnlyAdmin, SearchMixin
from licensing_integration.admin.standing import standing
from licensing_integration.models import LicenseLink, Purchase, PurchaseItem
from licensing_integration.services import resend, search
from licensing_integration.services.purchases import load_state
from licensing_integration.templatetags.console import moment, state, tag

MOST_LINKS = 100
_LONGEST_NAME = 40  # a store's ids may be much longer; they stand whole on the purchase's page


@admin.register(Purchase)
class PurchaseAdmin(SearchMixin, ReadOnlyAdmin):
    list_display = (
        "name", "customer_email", "products", "purchase_status", "waits_for", "paid_until", "store", "first_seen",
    )  # fmt: skip
    list_filter = (AttentionFilter, "status", StoreFilter, "is_live")
    ordering = ("-id",)
    sortable_by = ()
    found = search.purchases_of
    page_template = "admin/licensing_integration/purchase.html"
    many_permission = "licensing_integration.act_on_many_purchase"
    empty_sentence = "No purchases yet. The first order or subscription event of a store makes one."
    page_actions: ClassVar = (
        purchase_actions.PLAN,
        purchase_actions.ACKNOWLEDGE,
        purchase_actions.CLOSE_DISPUTES,
        purchase_actions.RESEND,
        purchase_actions.ERASE,
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Purchase]:
        waiting = PurchaseItem.objects.filter(purchase=OuterRef("pk")).exclude(problem="")
        rows: QuerySet[Purchase] = super().get_queryset(request).defer("state")
        return rows.annotate(is_waiting=Exists(waiting)).prefetch_related("items")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Purchase | None:
        """With everything its page shows, in one query."""
        if not is_id(object_id):
            return None
        return resend.with_sendable(Purchase.objects.filter(pk=object_id)).first()

    def for_actions(self, rows: QuerySet[Purchase]) -> QuerySet[Purchase]:
        return resend.with_sendable(super().for_actions(rows))

    @admin.display(description="purchase")
    def name(self, purchase: Purchase) -> SafeString:
        test = "" if purchase.is_live else format_html(" {}", tag("Test", "warning"))
        text = self.row_title(purchase)
        shown = text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 8]}…{text[-7:]}"
        return format_html('<span title="{}">{}</span>{}', text, shown, test)

    @admin.display(description="products", empty_value="not known yet")
    def products(self, purchase: Purchase) -> str | None:
        named = (f"{item.quantity} × {item.name or 'unnamed'}" for item in purchase.items.all())
        return ", ".join(named) or None

    @admin.display(description="status")
    def purchase_status(self, purchase: Purchase) -> SafeString:
        return state(purchase.status, purchase.get_status_display())

    @admin.display(description="paid through")
    def paid_until(self, purchase: Purchase) -> SafeString:
        return moment(purchase.paid_through)

    @admin.display(description="first seen")
    def first_seen(self, purchase: Purchase) -> SafeString:
        return moment(purchase.first_seen_at)

    @admin.display(description="needs attention", empty_value="")
    def waits_for(self, purchase: Any) -> str:
        reasons = [purchase.attention] if purchase.attention else []
        return " ".join([*reasons, "An item waits for a product mapping."] if purchase.is_waiting else reasons)

    def row_title(self, row: Purchase) -> str:
        return capfirst(str(row))

    # --- its page ----------------------------------------------------------------------------------------------------

    def page_context(self, request: HttpRequest, row: Purchase) -> dict[str, Any]:
        folded = load_state(row)
        links = list(_links(row)[: MOST_LINKS + 1])
        story = timeline(request, entries_of_purchase(row))
        may_resend = purchase_actions.RESEND.is_permitted(request)
        return {
            "state": folded,
            "standing": standing(folded),
            "items": list(row.items.select_related("mapping")),
            "links": links[:MOST_LINKS],
            "has_more_links": len(links) > MOST_LINKS,
            "most_links": MOST_LINKS,
            "aliases": list(row.aliases.order_by("kind", "value")),
            "returns": folded.returns,
            "disputes": folded.disputes,
            "timeline": story,
            "next_look": next_look(request, links, story, now=timezone.now()),
            "why_not_resend": purchase_actions.RESEND.why_not(row) if links and may_resend else "",
        }


def _links(purchase: Purchase) -> QuerySet[LicenseLink]:
    rows = purchase.links.select_related("item").defer("applied", "observed", "item__attributes")
    return rows.defer("item__terms").order_by("item_id", "unit")
