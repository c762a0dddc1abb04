"""The form of a product mapping: offers the configured names, and refuses what planning would refuse later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from django import forms

from licensing_integration import conf
from licensing_integration.domain.licensespring_attributes import FIELDS
from licensing_integration.domain.outcomes import PolicyPreset, PurchaseKind, QuantityMode
from licensing_integration.domain.resolving import resolve_terms
from licensing_integration.domain.servers import Servers
from licensing_integration.domain.terms import MappingTerms, Policies, preset_policies
from licensing_integration.exceptions import InvalidTerm
from licensing_integration.models import ProductMapping

# Kinds of license server whose licenses cannot be counted in users.
_WITHOUT_USERS: Final = {"cryptlex": "Cryptlex"}

LICENSE_FIELDS: Final = (
    "server", "product_id", "template_id", "entitlement_set_id", "max_release_version",
    "quantity_mode", "activations_per_unit", "expiry", "interval",
)  # fmt: skip
GUIDE_FIELDS: Final = (*FIELDS, "maintenance_policy_id", "custom_fields", "feature_code")
POLICY_FIELDS: Final = (
    "extra_days", "overdue_action", "overdue_grace_days", "ended_action", "paused_action", "refund_action",
    "dispute_action",
)  # fmt: skip

_PRESETS: Final = [
    ("", "As each field says"),
    (PolicyPreset.CRYPTLEX.value, "As Cryptlex's FastSpring guide"),
    (PolicyPreset.LICENSESPRING.value, "As LicenseSpring's FastSpring guide"),
]


class CustomFields(forms.CharField):
    """Name and value on each line, with an equals sign between them; kept as a mapping."""

    widget = forms.Textarea(attrs={"rows": 4, "cols": 60})

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return "\n".join(f"{name} = {text}" for name, text in value.items())
        return value

    def to_python(self, value: Any) -> dict[str, str]:
        lines = [line for line in (super().to_python(value) or "").splitlines() if line.strip()]
        pairs = [line.partition("=") for line in lines]
        if any(not sign or not name.strip() or not text.strip() for name, sign, text in pairs):
            raise forms.ValidationError("Write a name, an equals sign and a value on each line.")
        return {name.strip(): text.strip() for name, _, text in pairs}

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(super().has_changed(self.prepare_value(initial), data))


class ProductMappingForm(forms.ModelForm):
    """Offers the configured names, and refuses what planning would refuse later, when a customer waits."""

    store = forms.ChoiceField(help_text="As in the STORES setting.")
    server = forms.ChoiceField(label="License server", required=False, help_text="As in the LICENSE_SERVERS setting.")
    custom_fields = CustomFields(
        required=False,
        help_text="Of the license, one on each line: Name = value. They win over the store's attributes of that name.",
    )
    preset = forms.ChoiceField(
        label="Fill in", required=False, choices=_PRESETS, help_text="Fills the fields below that are empty, on saving."
    )

    class Meta:
        model = ProductMapping
        fields = (
            "store", "store_product", "is_active", "is_license_needed", "notes",
            *LICENSE_FIELDS, *GUIDE_FIELDS, *POLICY_FIELDS,
        )  # fmt: skip
        help_texts: ClassVar = {
            "product_id": "Id of the product on the license server, on a LicenseSpring its short code. Empty: the "
            "store's attribute says it.",
            "template_id": "Id of the license template. Empty: the store's attribute, else the product's default.",
            "entitlement_set_id": "Empty: the store's attribute, else the template's.",
            "quantity_mode": "What a quantity above one becomes. Empty: the store's attribute, else a license each.",
            "overdue_action": "When the store could not charge for a renewal. Empty: the store's default.",
            "overdue_grace_days": "Days after the first overdue notice before the action above. Empty: the store's "
            "default.",
            "ended_action": "When a subscription has ended, or a unit is no longer paid for. Empty: the store's "
            "default.",
            "paused_action": "While a subscription is paused. Empty: the store's default.",
            "refund_action": "When a unit was refunded. Ask: the license stays, and a person is asked. Empty: the "
            "store's default.",
            "dispute_action": "While the buyer's bank disputes the payment. Empty: the store's default.",
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

    def clean_feature_code(self) -> str:
        return str(self.cleaned_data["feature_code"]).strip()

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
        if preset := values.get("preset"):
            _fill(values, preset_policies(PolicyPreset(preset), kind=kind))
        return values

    def _accepted(self, name: str) -> str:
        """The field's value if planning accepts it, else a form error with planning's own sentence."""
        value = str(self.cleaned_data[name]).strip()
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
