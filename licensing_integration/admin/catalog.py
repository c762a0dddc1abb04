"""Product mappings: how a store product becomes licenses. The one thing people edit here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from licensing_integration.admin.mapping_form import (
    GUIDE_FIELDS,
    LICENSE_FIELDS,
    POLICY_FIELDS,
    ProductMappingForm,
)
from licensing_integration.models import ProductMapping
from licensing_integration.services import catalog


@admin.register(ProductMapping)
class ProductMappingAdmin(admin.ModelAdmin):
    form = ProductMappingForm
    list_display = (
        "store_product", "store", "is_active", "is_license_needed", "server_or_first", "product_id", "quantity_mode",
        "expiry", "updated_at",
    )  # fmt: skip
    list_filter = ("store", "is_active", "is_license_needed")
    search_fields = ("store_product", "product_id", "template_id", "notes")
    search_help_text = "Store product, license product or template id, or words of the notes."
    ordering = ("store", "store_product")
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions = ("check_selected", "deactivate_selected")
    change_form_template = "admin/licensing_integration/product_mapping.html"
    empty_sentence = "No product mappings yet. Add one for every store product that comes with a license."
    fieldsets = (
        (None, {"fields": ("store", "store_product", "is_active", "is_license_needed", "notes")}),
        (
            "What the license is",
            {
                "description": "Fixed for a purchase when its licenses are first planned: a change counts for new "
                "purchases only.",
                "fields": LICENSE_FIELDS,
            },
        ),
        (
            "What LicenseSpring's guide says of it",
            {
                "classes": ("collapse",),
                "description": "The same for every license server; one that has no equivalent says so in the license's "
                "history. Empty: the store's attribute, else the license server's product or template.",
                "fields": GUIDE_FIELDS,
            },
        ),
        (
            "What happens to it",
            {
                "description": "Counts for every license of the product, from the purchase's next event on.",
                "fields": ("preset", *POLICY_FIELDS),
            },
        ),
    )  # fmt: skip

    @admin.display(description="license server")
    def server_or_first(self, mapping: ProductMapping) -> str:
        return mapping.server or "first configured"

    def has_delete_permission(self, request: HttpRequest, obj: ProductMapping | None = None) -> bool:
        """A mapping has an audit trail: everybody deactivates it instead."""
        return bool(request.user.is_superuser)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def save_model(self, request: HttpRequest, obj: ProductMapping, form: forms.ModelForm, change: bool) -> None:
        waiting = catalog.save_mapping(obj, user_id=request.user.pk)
        self._tell_waiting(request, waiting)
        if obj.is_license_needed and not obj.product_id and not obj.feature_code:
            self.message_user(
                request,
                "The mapping names no license product. That works only while the store's attribute "
                "cryptlex_product_id or product_short_code names one.",
                messages.WARNING,
            )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        mapping = self.get_object(request, object_id)
        versions = mapping.versions.select_related("saved_by") if mapping else ()
        check_url = reverse("admin:licensing_integration_productmapping_check", args=[mapping.pk]) if mapping else ""
        extra = {"versions": versions, "check_url": check_url, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, extra)

    # --- checking and deactivating ----------------------------------------------------------------------------------

    def check_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Ask the license server whether it knows what the mapping names."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        mapping = self.get_object(request, str(object_id))
        if mapping is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(object_id))
        if request.method == "POST":
            self._tell_check(request, mapping)
        return HttpResponseRedirect(reverse("admin:licensing_integration_productmapping_change", args=[object_id]))

    @admin.action(description="Check on the license server", permissions=["view"])
    def check_selected(self, request: HttpRequest, queryset: QuerySet[ProductMapping]) -> None:
        for mapping in queryset:
            self._tell_check(request, mapping)

    @admin.action(description="Deactivate", permissions=["change"])
    def deactivate_selected(self, request: HttpRequest, queryset: QuerySet[ProductMapping]) -> None:
        active = list(queryset.filter(is_active=True))
        for mapping in active:
            mapping.is_active = False
            catalog.save_mapping(mapping, user_id=request.user.pk)
            self.log_change(request, mapping, "Deactivated")
        self.message_user(
            request, f"{len(active)} deactivated. New purchases of these products wait.", messages.SUCCESS
        )

    def _tell_check(self, request: HttpRequest, mapping: ProductMapping) -> None:
        problems = catalog.check_mapping(mapping)
        for problem in problems:
            self.message_user(request, f"{mapping}: {problem}", messages.ERROR)
        if not problems:
            self.message_user(request, f"{mapping}: nothing wrong was found.", messages.SUCCESS)

    def _tell_waiting(self, request: HttpRequest, waiting: int) -> None:
        if waiting:
            purchases = "purchase was" if waiting == 1 else "purchases were"
            self.message_user(request, f"{waiting} waiting {purchases} set in motion.", messages.SUCCESS)

    def get_urls(self) -> list[URLPattern]:
        view: Callable[..., HttpResponse] = self.admin_site.admin_view(self.check_view)
        name = "licensing_integration_productmapping_check"
        return [path("<int:object_id>/check/", view, name=name), *super().get_urls()]
