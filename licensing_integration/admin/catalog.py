"""Product mappings: how a store product becomes licenses. The one thing people edit here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.views import ChangeList

from licensing_integration import conf
from licensing_integration.admin.actions import PageAction
from licensing_integration.admin.addresses import list_url
from licensing_integration.admin.attention import value_of_product
from licensing_integration.admin.mapping_csv import CsvPages
from licensing_integration.admin.mapping_form import (
    GUIDE_FIELDS,
    LICENSE_FIELDS,
    POLICY_FIELDS,
    SOLD_FIELDS,
    SavingForm,
    conditions,
    policies_in_words,
    preset_values,
    product_warning,
)
from licensing_integration.admin.mapping_versions import VersionPages, tell_waiting
from licensing_integration.admin.mapping_widgets import PICKERS, offers, with_name
from licensing_integration.models import ProductMapping, Purchase
from licensing_integration.services import catalog, choices, mapping_versions
from licensing_integration.templatetags.console import moment, tag

CHANGE = "licensing_integration.change_productmapping"

_REHEARSE: Final = {
    "name": "_rehearse",
    "formmethod": "post",
    "formtarget": "_blank",
    "title": "Runs a past event or a sample purchase through the mapping as it stands here, before it is saved. "
    "Nothing is kept. Opens in a new tab.",
}


def _deactivate(mapping: ProductMapping, user_id: int, values: Mapping[str, Any]) -> str:
    catalog.deactivate(mapping, user_id=user_id, reason=values["reason"])
    return "Deactivated. New purchases of the product wait."


def _effects_of_deactivating(mappings: Sequence[ProductMapping]) -> list[str]:
    return [
        f"{mapping}: new purchases wait; licenses that exist stay, and its policies go on for them."
        for mapping in mappings
    ]


class MappingList(ChangeList):
    """The rows of the list, each with the number of purchases that wait for it."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        waiting = choices.waiting_orders(self.result_list)
        for mapping in self.result_list:
            mapping.waiting_orders = waiting.get((mapping.store, mapping.store_product), 0)


@admin.register(ProductMapping)
class ProductMappingAdmin(VersionPages, CsvPages):
    form = SavingForm
    list_display = (
        "store_product", "store", "state", "license_needed", "server_or_first", "license_product", "waiting", "updated",
    )  # fmt: skip
    list_filter = ("store", "is_active", "is_license_needed", "server")
    search_fields = ("store_product", "product_id", "template_id", "notes")
    search_help_text = "Store product, license product or template id, or words of the notes."
    ordering = ("store", "store_product")
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions = ("check_selected", "export_selected")
    change_form_template = "admin/licensing_integration/product_mapping.html"
    list_before_template = "admin/licensing_integration/mapping_list_buttons.html"
    empty_sentence = "No product mappings yet. Add one for every store product that comes with a license."
    warn_unsaved_form = True
    many_permission = CHANGE
    page_actions: ClassVar = (
        PageAction(
            name="deactivate",
            label="Deactivate",
            permission=CHANGE,
            explanation="The mapping counts as none for new purchases. They wait until it is activated again.",
            run=_deactivate,
            why_not=lambda mapping: "" if mapping.is_active else "It is not active.",
            preview=_effects_of_deactivating,
            is_danger=True,
        ),
    )

    # --- the list ----------------------------------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return MappingList

    @admin.display(description="state", ordering="is_active")
    def state(self, mapping: ProductMapping) -> SafeString:
        return tag("active", "success") if mapping.is_active else tag("inactive")

    @admin.display(description="license", ordering="is_license_needed")
    def license_needed(self, mapping: ProductMapping) -> str:
        if mapping.feature_code:
            return f"feature {mapping.feature_code}"
        return "yes" if mapping.is_license_needed else "none"

    @admin.display(description="license server", ordering="server")
    def server_or_first(self, mapping: ProductMapping) -> str:
        return mapping.server or "first configured"

    @admin.display(description="license product", ordering="product_id")
    def license_product(self, mapping: ProductMapping) -> str:
        lists = choices.known_server_lists(choices.server_name(mapping.server))
        name = lists.names.get(mapping.product_id, "") if lists else ""
        return with_name(mapping.product_id, name) or "as the store's attribute says"

    @admin.display(description="waiting orders")
    def waiting(self, mapping: ProductMapping) -> SafeString | str:
        number: int = mapping.waiting_orders
        if not number:
            return "none"
        url = list_url(Purchase, attention=value_of_product(mapping.store, mapping.store_product))
        return format_html('<a href="{}">{}</a>', url, number)

    @admin.display(description="updated", ordering="updated_at")
    def updated(self, mapping: ProductMapping) -> SafeString:
        return moment(mapping.updated_at)

    def has_delete_permission(self, request: HttpRequest, obj: ProductMapping | None = None) -> bool:
        """A mapping has an audit trail: everybody deactivates it instead."""
        return bool(request.user.is_superuser)

    def delete_model(self, request: HttpRequest, obj: ProductMapping) -> None:
        catalog.delete(obj, user_id=request.user.pk)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    # --- the form ----------------------------------------------------------------------------------------------------

    @property
    def conditional_fields(self) -> Mapping[str, str]:
        """When each field is shown, as the theme's script asks for it."""
        return conditions()

    def get_fieldsets(self, request: HttpRequest, obj: ProductMapping | None = None) -> list[tuple[str, Any]]:
        saving = [("Saving", {"fields": ("reason", "based_on")})]
        may_save = obj is not None and self.has_change_permission(request, obj)
        is_guide_said = request.method == "POST" or (obj is not None and _says_guide(obj))
        sections = [
            (
                name,
                {**options, "classes": ["collapse"]}
                if options["fields"] == GUIDE_FIELDS and not is_guide_said
                else options,
            )
            for name, options in _FIELDSETS
        ]
        return [*sections, *(saving if may_save else [])]

    def save_model(self, request: HttpRequest, obj: ProductMapping, form: forms.ModelForm, change: bool) -> None:
        if change and _is_as_saved(obj):
            self.message_user(request, "Nothing was changed.", messages.INFO)
            return
        waiting = catalog.save_mapping(obj, user_id=request.user.pk, reason=form.cleaned_data.get("reason", ""))
        link = '<a class="underline font-semibold" href="{}">{}</a>'
        sentence = format_html(
            f"The mapping of {link} was {{}}.", self.row_url(obj), obj, "saved" if change else "added"
        )
        self.message_user(request, sentence, messages.SUCCESS)
        for problem in filter(None, (form.server_problem, product_warning(obj))):
            self.message_user(request, problem, messages.WARNING)
        tell_waiting(request, waiting, [obj])

    def response_add(
        self, request: HttpRequest, obj: ProductMapping, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Saving has told already what it did."""
        if "_continue" in request.POST:
            return HttpResponseRedirect(self.row_url(obj))
        return self.response_change(request, obj)

    def response_change(self, request: HttpRequest, obj: ProductMapping) -> HttpResponse:
        """Saving has told already what it did."""
        if "_continue" in request.POST:
            return HttpResponseRedirect(request.get_full_path())
        if "_addanother" in request.POST:
            return HttpResponseRedirect(reverse(f"{self.admin_site.name}:{self._url_name('add')}"))
        return self.response_post_save_change(request, obj)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """The theme's own note says no more than ours, which names the fields."""
        attributes = {**_REHEARSE, "formaction": context["rehearse_url"]}
        rehearse = {"action_name": _REHEARSE["name"], "attrs": attributes, "description": "Rehearse…"}
        own = {"errors": None, "is_refused": bool(context["errors"]), "actions_submit_line": [rehearse]}
        return super().render_change_form(request, {**context, **own}, *args, **kwargs)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        extra = {
            "rehearse_url": reverse(f"{self.admin_site.name}:{self._url_name('rehearse')}"),
            "script_data": {
                "choices_url": reverse(f"{self.admin_site.name}:{self._url_name('choices')}"),
                "defaults": {store: policies_in_words(choices.default_policies(store)) for store in conf.stores()},
                "presets": preset_values(),
            },
        }
        return super().changeform_view(request, object_id, form_url, {**extra, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        mapping = self.get_object(request, object_id)
        if mapping is None:
            return super().change_view(request, object_id, form_url, extra_context)
        extra = {
            "version_lines": mapping_versions.lines(mapping),
            "check_url": self.action_url("check", mapping),
            "compare_url": self.action_url("compare", mapping),
            "may_put_back": self.has_change_permission(request, mapping),
            **(extra_context or {}),
        }
        if self.has_change_permission(request, mapping):
            extra["buttons"] = self.buttons(request, mapping)
            return super().change_view(request, object_id, form_url, extra)
        if not self.has_view_permission(request, mapping) or request.method not in {"GET", "HEAD"}:
            raise PermissionDenied
        context = {**self._context(request, mapping), "original": mapping, "sections": _in_words(mapping), **extra}
        return TemplateResponse(request, "admin/licensing_integration/mapping_view.html", context)

    def choices_view(self, request: HttpRequest) -> HttpResponse:
        """What a searchable list of the form offers, as JSON."""
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied
        asked = {name: request.GET.get(name, "") for name in ("store", "server", "product")}
        what = request.GET.get("what", "")
        if what not in PICKERS or not self._is_configured(asked):
            return JsonResponse({"results": [], "problem": ""})
        return JsonResponse(offers(what, **asked, is_fresh="reload" in request.GET))

    def _is_configured(self, asked: Mapping[str, str]) -> bool:
        """Names that are not configured would fill the cache with nothing."""
        return (not asked["store"] or asked["store"] in conf.stores()) and (
            not asked["server"] or asked["server"] in conf.license_servers()
        )

    # --- checking ----------------------------------------------------------------------------------------------------

    def check_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Ask the license server whether it knows what the mapping names."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        mapping = self.get_object(request, str(object_id))
        if mapping is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(object_id))
        if request.method == "POST":
            self._check(request, [mapping])
        return HttpResponseRedirect(self.row_url(mapping))

    @admin.action(description="Check on the license server", permissions=["view"])
    def check_selected(self, request: HttpRequest, queryset: QuerySet[ProductMapping]) -> None:
        self._check(request, list(queryset))

    def _check(self, request: HttpRequest, mappings: Sequence[ProductMapping]) -> None:
        found = list(zip(mappings, catalog.check_for(mappings, user_id=request.user.pk), strict=True))
        for mapping, checked in found:
            for problem in checked.problems:
                self.message_user(request, f"{mapping}: {problem}", messages.ERROR)
            if checked.note:
                self.message_user(request, f"{mapping}: {checked.note}", messages.INFO)
        good = [mapping for mapping, checked in found if not (checked.problems or checked.note)]
        if good:
            subject = str(good[0]) if len(good) == 1 else f"{len(good)} mappings"
            self.message_user(request, f"{subject}: nothing wrong was found.", messages.SUCCESS)

    def get_urls(self) -> list[URLPattern]:
        check: Callable[..., HttpResponse] = self.admin_site.admin_view(self.check_view)
        listed: Callable[..., HttpResponse] = self.admin_site.admin_view(self.choices_view)
        return [
            path("<int:object_id>/check/", check, name=self._url_name("check")),
            path("choices/", listed, name=self._url_name("choices")),
            *super().get_urls(),
        ]


def _says_guide(mapping: ProductMapping) -> bool:
    return any(getattr(mapping, name) not in (None, "", {}) for name in GUIDE_FIELDS)


def _is_as_saved(mapping: ProductMapping) -> bool:
    """Whether saving it would keep a version that says the same once more."""
    stored = ProductMapping.objects.filter(pk=mapping.pk, versions__isnull=False).first()
    return stored is not None and mapping_versions.current(stored) == mapping_versions.current(mapping)


def _in_words(mapping: ProductMapping) -> list[dict[str, Any]]:
    """The form's sections for somebody who may only look. A policy that is not said is the store's."""
    defaults = policies_in_words(choices.default_policies(mapping.store))
    said = {
        change.name: (change.label, change.after)
        for change in mapping_versions.compare({}, mapping_versions.current(mapping))
    }
    for name, default in defaults.items():
        label, text = said[name]
        said[name] = (label, f"{text} (the store's default: {default})")
    return [
        {"name": section, "lines": [said[name] for name in options["fields"] if name in said]}
        for section, options in _FIELDSETS
    ]


_FIELDSETS: tuple[tuple[str, Any], ...] = (
    ("What is bought", {"fields": SOLD_FIELDS}),
    (
        "What license it becomes",
        {
            "description": "Fixed for a purchase by its first license: a change counts for new purchases, and for "
            "those whose license could not be made.",
            "fields": LICENSE_FIELDS,
        },
    ),
    (
        "What LicenseSpring's guide says of it",
        {
            "description": "For every license server; one that has no equivalent says so in the license's history. "
            "Empty: the store's attribute, else the license server's product or template.",
            "fields": GUIDE_FIELDS,
        },
    ),
    (
        "What happens to it",
        {
            "description": "Counts for every license of the product, those that exist too, from the purchase's next "
            "event on.",
            "fields": ("preset", *POLICY_FIELDS),
        },
    ),
)
