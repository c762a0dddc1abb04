"""The filter of licenses by purchase; the pages that show only the first licenses of a large order link to it.

The list's filters offer it only while it is chosen: the choice is made on those pages.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import capfirst

from licensing_integration.admin.actions import is_id
from licensing_integration.admin.happened import is_among
from licensing_integration.models import LicenseLink, Purchase


class PurchaseFilter(admin.SimpleListFilter):
    """All licenses of one purchase, by its id here; a purchase that does not exist narrows nothing."""

    title = "purchase"
    parameter_name = "purchase"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, str]]:
        value = self.value() or ""
        purchase = Purchase.objects.filter(pk=value).defer("state").first() if is_id(value) else None
        return [(value, capfirst(str(purchase)))] if purchase else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[LicenseLink]) -> QuerySet[LicenseLink]:
        value = self.value() or ""
        if not is_id(value):
            return queryset
        # An old order of thousands would else be looked for through all licenses, the newest first.
        links = LicenseLink.objects.filter(purchase=value).order_by()
        return queryset.filter(is_among(links.values("pk")))
