"""Product mappings: how a store product becomes licenses. The one thing people edit here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from licensing_integration import conf
from licensing_integration.domain.outcomes import PurchaseKind, QuantityMode
from licensing_integration.domain.terms import MappingTerms, resolve_terms
from licensing_integration.exceptions import InvalidTerm
from licensing_integration.models import ProductMapping
from licensing_integration.services import catalog

# Kinds of license server whose licenses cannot be counted in users.
_WITHOUT_USERS = {"cryptlex": "Cryptlex"}


def _choices(configured: Iterable[str], current: str, empty: tuple[str, str] | None) -> list[tuple[str, str]]:
    """Names to choose from; one that is configured no more stays, so that editing does not change it silently."""
    names = list(configured)
    gone = [(current, f"{current} (no longer configured)")] if current and current not in names else []
    return [*([empty] if empty else []), *((name, name) for name in names), *gone]


def _without_choice() -> tuple[str, str]:
    first = next(iter(conf.license_servers()), "none is configured")
    return ("", f"The first configured one ({first})")


class ProductMappingForm(forms.ModelForm):
    """Offers the configured names, and refuses what planning would refuse later, when a customer waits."""

    store = forms.ChoiceField(help_text="As in the STORES setting.")
    server = forms.ChoiceField(label="License server", required=False, help_text="As in the LICENSE_SERVERS setting.")

    class Meta:
        model = ProductMapping
        fields = (
            "store", "store_product", "is_active", "is_license_needed",
            "server", "product_id", "template_id", "entitlement_set_id", "max_release_version",
            "expiry", "interval", "extra_days", "quantity_mode", "activations_per_unit",
            "overdue_action", "overdue_grace_days", "ended_action", "paused_action", "refund_action", "dispute_action",
            "notes",
        )  # fmt: skip
        help_texts: ClassVar = {
            "product_id": "Id of the product on the license server. Empty: the store's attribute says it.",
            "template_id": "Id of the license template. Empty: the store's attribute, else the product's default.",
            "entitlement_set_id": "Empty: the store's attribute, else the template's.",
            "quantity_mode": "What a quantity above one becomes. Empty: the store's attribute, else a license each.",
            "overdue_action": "When the store could not charge for a renewal.",
            "overdue_grace_days": "Days after the first overdue notice before the action above.",
            "ended_action": "When a subscription has ended, or a unit is no longer paid for.",
            "paused_action": "While a subscription is paused.",
            "refund_action": "When a unit was refunded. Ask: the license stays, and a person is asked.",
            "dispute_action": "While the buyer's bank disputes the payment.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "store" in self.fields:  # absent when the user may only look
            self.fields["store"].choices = _choices(conf.stores(), self.instance.store, None)
            self.fields["server"].choices = _choices(conf.license_servers(), self.instance.server, _without_choice())

    def clean_store_product(self) -> str:
        return str(self.cleaned_data["store_product"]).strip()

    def clean_product_id(self) -> str:
        return str(self.cleaned_data["product_id"]).strip()

    def clean_template_id(self) -> str:
        return str(self.cleaned_data["template_id"]).strip()

    def clean_interval(self) -> str:
        value = str(self.cleaned_data["interval"]).strip()
        return _accepted(MappingTerms(product_id="any", interval=value), value)

    def clean_max_release_version(self) -> str:
        value = str(self.cleaned_data["max_release_version"]).strip()
        return _accepted(MappingTerms(product_id="any", max_release_version=value), value)

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        kind = _kind_of_server(values.get("server", ""))
        if values.get("quantity_mode") == QuantityMode.USERS and kind in _WITHOUT_USERS:
            self.add_error(
                "quantity_mode",
                f"{_WITHOUT_USERS[kind]} cannot count a license in users. Choose a license per unit, activations or "
                "floating seats.",
            )
        return values


def _accepted(terms: MappingTerms, value: str) -> str:
    """``value`` if planning accepts it, else a form error with planning's own sentence."""
    try:
        resolve_terms(terms, {}, kind=PurchaseKind.SUBSCRIPTION, default_server="any")
    except InvalidTerm as error:
        raise forms.ValidationError(str(error)) from error
    return value


def _kind_of_server(name: str) -> str:
    servers = conf.license_servers()
    config = servers.get(name) if name else next(iter(servers.values()), None)
    return config.backend if config else ""


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
                "fields": (
                    "server", "product_id", "template_id", "entitlement_set_id", "max_release_version",
                    "quantity_mode", "activations_per_unit", "expiry", "interval",
                ),
            },
        ),
        (
            "What happens to it",
            {
                "description": "Counts for every license of the product, from the purchase's next event on.",
                "fields": (
                    "extra_days", "overdue_action", "overdue_grace_days", "ended_action", "paused_action",
                    "refund_action", "dispute_action",
                ),
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
        if obj.is_license_needed and not obj.product_id:
            self.message_user(
                request,
                "The mapping names no license product. That works only while the store's attribute "
                "cryptlex_product_id names one.",
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
