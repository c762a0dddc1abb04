"""The form of a product mapping: offers the configured names, and refuses what planning would refuse later."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar, Final

from django import forms
from django.utils.html import format_html
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from licensing_integration import conf
from licensing_integration.admin.mapping_widgets import CustomFields, Picker
from licensing_integration.domain.licensespring_attributes import FIELDS
from licensing_integration.domain.outcomes import PolicyPreset, PurchaseKind, QuantityMode
from licensing_integration.domain.resolving import resolve_terms
from licensing_integration.domain.servers import Servers
from licensing_integration.domain.terms import MappingTerms, Policies, preset_policies
from licensing_integration.exceptions import InvalidTerm
from licensing_integration.models import ProductMapping
from licensing_integration.services import catalog, choices, mapping_versions

# Kinds of license server whose licenses cannot be counted in users.
_WITHOUT_USERS: Final = {"cryptlex": "Cryptlex"}

SOLD_FIELDS: Final = ("store", "store_product", "is_active", "is_license_needed", "feature_code", "notes")
LICENSE_FIELDS: Final = (
    "server", "product_id", "template_id", "entitlement_set_id", "max_release_version",
    "quantity_mode", "activations_per_unit", "expiry", "interval",
)  # fmt: skip
GUIDE_FIELDS: Final = (*FIELDS, "maintenance_policy_id", "custom_fields")
POLICY_FIELDS: Final = (
    "extra_days", "overdue_action", "overdue_grace_days", "ended_action", "paused_action", "refund_action",
    "dispute_action",
)  # fmt: skip
MAPPING_FIELDS: Final = (*SOLD_FIELDS, *LICENSE_FIELDS, *GUIDE_FIELDS, *POLICY_FIELDS)

# What names something on the license server; asked for when one of these changes.
_NAMES: Final = frozenset({"server", "product_id", "template_id", "is_license_needed", "feature_code"})

# A change of these is noticed by customers who have a license, or who buy next.
_NOTICED: Final = frozenset({*POLICY_FIELDS, "is_active", "is_license_needed"})

# What only one kind of license server has; shown for another where it says something, so that it can be removed.
_ONLY_ON: Final = {
    "cryptlex": ("entitlement_set_id", "max_release_version", "maintenance_policy_id"),
    "licensespring": ("is_maintained", "maintenance_duration", "is_customer_manager", "is_customer_user"),
}

_HELP: Final = {
    "extra_days": "Days added to the paid-through date, for the time a renewal takes.",
    "overdue_action": "When the store could not charge for a renewal.",
    "overdue_grace_days": "Days after the first overdue notice before the action above.",
    "ended_action": "When a subscription has ended, or a unit is no longer paid for.",
    "paused_action": "While a subscription is paused.",
    "refund_action": "When a unit was refunded. Ask: the license stays, and a person is asked.",
    "dispute_action": "While the buyer's bank disputes the payment.",
}

_PRESETS: Final = [
    ("", "As each field says"),
    (PolicyPreset.CRYPTLEX.value, "As Cryptlex's FastSpring guide"),
    (PolicyPreset.LICENSESPRING.value, "As LicenseSpring's FastSpring guide"),
]


class ProductMappingForm(forms.ModelForm):
    """Offers the configured names, and refuses what planning would refuse later, when a customer waits."""

    store = forms.ChoiceField(help_text="As in the STORES setting.", widget=UnfoldAdminSelectWidget)
    server = forms.ChoiceField(
        label="License server",
        required=False,
        help_text="As in the LICENSE_SERVERS setting.",
        widget=UnfoldAdminSelectWidget,
    )
    custom_fields = CustomFields(
        required=False,
        help_text="Of the license, one on each line: Name = value. They win over the store's attributes of that name.",
    )
    preset = forms.ChoiceField(
        label="Fill in",
        required=False,
        choices=_PRESETS,
        help_text="Puts the guide's answers into the fields below; look at them before you save.",
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        model = ProductMapping
        fields = MAPPING_FIELDS
        widgets: ClassVar = {
            "store_product": Picker(what="store_product", placeholder="Choose or type a product of the store"),
            "product_id": Picker(what="product_id", placeholder="Choose or type a license product"),
            "template_id": Picker(what="template_id", placeholder="Choose or type a license template"),
            "notes": UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        }
        help_texts: ClassVar = {
            "product_id": "Id of the product on the license server, on a LicenseSpring its short code. Empty: the "
            "store's attribute says it.",
            "template_id": "Id of the license template. Empty: the store's attribute, else the product's default.",
            "entitlement_set_id": "Empty: the store's attribute, else the template's.",
            "quantity_mode": "What a quantity above one becomes. Empty: the store's attribute, else a license each.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "store" in self.fields:  # absent when the user may only look
            self.fields["store"].choices = _choices(conf.stores(), self.instance.store, None)
            self.fields["server"].choices = _choices(conf.license_servers(), self.instance.server, _without_choice())
        self.server_problem = ""  # why the license server could not be asked, after validation

    def clean_interval(self) -> str:
        return self._accepted("interval")

    def clean_max_release_version(self) -> str:
        return self._accepted("max_release_version")

    def clean_valid_duration(self) -> str:
        return self._accepted("valid_duration").lower()

    def clean_maintenance_duration(self) -> str:
        return self._accepted("maintenance_duration").lower()

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        kind = _kind_of_server(values.get("server", ""))
        if values.get("quantity_mode") == QuantityMode.USERS and kind in _WITHOUT_USERS:
            self.add_error(
                "quantity_mode",
                f"{_WITHOUT_USERS[kind]} cannot count a license in users. Choose a license per unit, activations or "
                "floating seats.",
            )
        if values.get("feature_code") and values.get("product_id"):
            self.add_error("feature_code", "A feature is no license of its own: leave the license product id empty.")
        self._check_sizes(values)
        self._check_type(values)
        self._check_on_server(values)
        if preset := values.get("preset"):
            _fill(values, preset_policies(PolicyPreset(preset), kind=kind))
        return values

    def _accepted(self, name: str) -> str:
        """The field's value if planning accepts it, else a form error with planning's own sentence."""
        value = str(self.cleaned_data[name])
        try:
            resolve_terms(
                MappingTerms(product_id="any", **{name: value}), {}, kind=PurchaseKind.SUBSCRIPTION, servers=Servers()
            )
        except InvalidTerm as error:
            raise forms.ValidationError(str(error)) from error
        return value

    def _check_sizes(self, values: Mapping[str, Any]) -> None:
        most, seats = values.get("max_activations"), values.get("floating_cloud")
        if most and values.get("activations_per_unit"):
            self.add_error("max_activations", "The activations each unit pays for are set as well; keep one.")
        if most and seats and seats > most:
            self.add_error("floating_cloud", f"Only {most} devices may activate the license; more seats are no use.")

    def _check_type(self, values: Mapping[str, Any]) -> None:
        if values.get("expiry") == "perpetual" and values.get("license_type") not in {"", None, "perpetual"}:
            self.add_error("license_type", "The expiry says that the license never ends.")

    def _check_on_server(self, values: Mapping[str, Any]) -> None:
        """A license server that cannot be asked refuses nothing: ``server_problem`` says why it was not."""
        changed = _NAMES if self.instance._state.adding else self.changed_data
        unknown, self.server_problem = find_on_server(values, changed=changed)
        for name, sentence in unknown.items():
            self.add_error(name, sentence)


class SavingForm(ProductMappingForm):
    """The form in the console, which also asks why, and notices when somebody else saved in between."""

    reason = forms.CharField(
        max_length=500,
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="Kept in the audit. Needed when customers notice the change: of what happens to their license, or of "
        "whether there is one.",
    )
    based_on = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "based_on" in self.fields:
            self.fields["based_on"].initial = self._newest()
        self._show_names()
        self._show_defaults()
        self._name_empty_choices()

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        if not self.instance.pk:
            return values
        noticed = set(POLICY_FIELDS) if values.get("preset") else _NOTICED.intersection(self.changed_data)
        if noticed and not values.get("reason", "").strip():
            labels = ", ".join(sorted(mapping_versions.label_of(name) for name in noticed))
            self.add_error("reason", f"Say why: customers notice a change of {labels}.")
        based_on = values.get("based_on")
        if based_on is not None and based_on != self._newest():
            raise forms.ValidationError(
                "Somebody else has saved this mapping meanwhile. Open it again and make your changes anew."
            )
        return values

    def _newest(self) -> int:
        newest = mapping_versions.newest(self.instance)
        return newest.number if newest else 0

    def _show_names(self) -> None:
        """What is already chosen is shown by its name, where that is known without asking."""
        lists = choices.known_server_lists(choices.server_name(self.instance.server))
        if lists and "product_id" in self.fields:
            self.fields["product_id"].widget.names = lists.names
            self.fields["template_id"].widget.names = {one.id: one.name for one in lists.templates or ()}

    def _show_defaults(self) -> None:
        """What counts for a policy that is left empty; console.js follows the store."""
        store = self.instance.store or self.initial.get("store") or next(iter(conf.stores()), "")
        for name, said in policies_in_words(choices.default_policies(store)).items():
            if name in self.fields:
                help_text = '{} Store\'s default: <strong data-default-of="{}">{}</strong>.'
                self.fields[name].help_text = format_html(help_text, _HELP[name], name, said)

    def _name_empty_choices(self) -> None:
        for name, field in self.fields.items():
            if name in POLICY_FIELDS and isinstance(field, forms.ChoiceField):
                field.choices = [("", "The store's default"), *field.choices[1:]]
            elif isinstance(field, forms.NullBooleanField):
                field.widget.choices = [("unknown", "Not said"), ("true", "Yes"), ("false", "No")]
            elif name in (*LICENSE_FIELDS, *GUIDE_FIELDS) and isinstance(field, forms.ChoiceField) and name != "server":
                field.choices = [("", "Not said"), *field.choices[1:]]


def find_on_server(values: Mapping[str, Any], *, changed: Collection[str]) -> tuple[dict[str, str], str]:
    """Field → sentence for what the license server does not have, and a sentence if it could not be asked.

    Asks only where a license is wanted and one of the ``changed`` fields names it, or makes the mapping count.
    """
    named = {name: values.get(name, "") for name in ("server", "product_id", "template_id")}
    is_license = values.get("is_license_needed") and not values.get("feature_code")
    is_new = _NAMES.intersection(changed) or (values.get("is_active") and "is_active" in changed)
    if not (is_license and is_new and (named["product_id"] or named["template_id"])):
        return {}, ""
    unknown = catalog.unknown_ids(ProductMapping(**named))
    problem = choices.server_lists(choices.server_name(named["server"])).problem
    return unknown, f"Whether the license product exists could not be checked. {problem}" if problem else ""


def product_warning(mapping: ProductMapping) -> str:
    """A sentence for a mapping whose license nobody may come to; empty for every other."""
    if not mapping.is_license_needed or mapping.product_id or mapping.feature_code:
        return ""
    return (
        f"The mapping names no license product. Whoever buys {mapping} gets a license only if the product has the "
        f"attribute cryptlex_product_id or product_short_code in {mapping.store}; without it the order waits. "
        "Choose a license product in the mapping, or add the attribute in the store."
    )


def policies_in_words(policies: Policies) -> dict[str, str]:
    """Policy → what it says, in the form's own words."""
    return {name: mapping_versions.in_words(name, getattr(policies, name)) for name in POLICY_FIELDS}


def preset_values() -> dict[str, dict[str, dict[str, str]]]:
    """Preset → name of the license server, empty for the first → policy → the value to put into its field."""
    return {
        preset.value: {
            name: {field: str(getattr(policies, field)) for field in POLICY_FIELDS}
            for name in ("", *conf.license_servers())
            for policies in [preset_policies(preset, kind=_kind_of_server(name))]
        }
        for preset in PolicyPreset
    }


def conditions() -> dict[str, str]:
    """Field → when it is shown, as an expression over the form's fields; always, for those that are not named."""
    needed, license_itself = "is_license_needed", "is_license_needed && !feature_code"
    shown = dict.fromkeys(("feature_code", "preset", *POLICY_FIELDS), needed)
    shown |= dict.fromkeys((*LICENSE_FIELDS, *GUIDE_FIELDS), license_itself)
    # A feature has no license product: one that is there has to be removed.
    shown["product_id"] = "is_license_needed && (!feature_code || product_id)"
    for kind, names in _ONLY_ON.items():
        servers = json.dumps([name for name in ("", *conf.license_servers()) if _kind_of_server(name) == kind])
        for name in names:
            is_said = f"![null, '', 'unknown'].includes({name})"
            shown[name] += f" && ({servers}.includes(server) || {is_said})"
    return shown


def _fill(values: dict[str, Any], policies: Policies) -> None:
    for name in POLICY_FIELDS:
        if values.get(name) in (None, ""):
            values[name] = getattr(policies, name)


def _choices(configured: Iterable[str], current: str, empty: tuple[str, str] | None) -> list[tuple[str, str]]:
    """Names to choose from; one that is configured no more stays, so that editing does not change it silently."""
    names = list(configured)
    gone = [(current, f"{current} (no longer configured)")] if current and current not in names else []
    return [*([empty] if empty else []), *((name, name) for name in names), *gone]


def _without_choice() -> tuple[str, str]:
    first = next(iter(conf.license_servers()), "none is configured")
    return ("", f"The first configured one ({first})")


def _kind_of_server(name: str) -> str:
    servers = conf.license_servers()
    config = servers.get(name) if name else next(iter(servers.values()), None)
    return config.backend if config else ""
