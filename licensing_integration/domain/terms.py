"""Terms as values: what a product becomes, and what happens to it. ``resolving.py`` puts them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from licensing_integration.domain.outcomes import (
    DisputeAction,
    EndAction,
    ExpiryMode,
    LicenseType,
    OverdueAction,
    PauseAction,
    PolicyPreset,
    QuantityMode,
    RefundAction,
)
from licensing_integration.domain.servers import ServerKind


@dataclass(frozen=True, kw_only=True)
class Policies:
    """What to do when something happens to a purchase; defaults are the Cryptlex guide's where it has any.

    ``extra_days`` are added to the paid-through date: FastSpring gives midnight UTC but charges during that day, and a
    paying customer must not be locked out in between. ``prepared_hours``: how long a license whose key was given out on
    the order page waits for its order to be completed.
    """

    extra_days: int = 1
    overdue_action: OverdueAction = OverdueAction.SUSPEND
    overdue_grace_days: int = 0
    ended_action: EndAction = EndAction.DELETE
    paused_action: PauseAction = PauseAction.SUSPEND
    refund_action: RefundAction = RefundAction.SUSPEND
    dispute_action: DisputeAction = DisputeAction.SUSPEND
    prepared_hours: int = 24


_LICENSESPRING_POLICIES: Final = Policies(
    extra_days=0,
    overdue_action=OverdueAction.LOG,
    ended_action=EndAction.SUSPEND,
    paused_action=PauseAction.IGNORE,
    refund_action=RefundAction.IGNORE,
    dispute_action=DisputeAction.IGNORE,
)


def preset_policies(preset: PolicyPreset, *, kind: str) -> Policies:
    """What a vendor's FastSpring guide does, on a license server of ``kind``.

    LicenseSpring's guide leaves enforcement to expiry and grace. LicenseSpring counts the whole last day as valid;
    elsewhere the end is a moment, so a day is added.
    """
    if preset is PolicyPreset.CRYPTLEX:
        return Policies()
    return replace(_LICENSESPRING_POLICIES, extra_days=0 if kind == ServerKind.LICENSESPRING else 1)


@dataclass(frozen=True, kw_only=True)
class MappingTerms:
    """A product mapping as planning sees it. Empty text and ``None`` mean "not said here". The fields from
    ``max_activations`` on are those of LicenseSpring's guide, see ``Terms``."""

    is_license_needed: bool = True
    server: str = ""
    product_id: str = ""
    template_id: str = ""
    entitlement_set_id: str = ""
    max_release_version: str = ""
    interval: str = ""
    expiry: ExpiryMode | None = None
    quantity_mode: QuantityMode | None = None
    activations_per_unit: int | None = None
    max_activations: int | None = None
    floating_cloud: int | None = None
    license_type: LicenseType | None = None
    valid_duration: str = ""
    is_maintained: bool | None = None
    maintenance_duration: str = ""
    maintenance_policy_id: str = ""
    max_consumptions: int | None = None
    grace_hours: int | None = None
    is_customer_manager: bool | None = None
    is_customer_user: bool | None = None
    custom_fields: Mapping[str, str] = field(default_factory=dict)
    feature_code: str = ""
    policies: Policies = field(default_factory=Policies)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What one item becomes. ``origins``: field name → where its value came from, in words.

    ``max_activations``: of each license; where the quantity counts in activations it is the quantity instead.
    ``floating_cloud``: seats of each license that its server hands out. ``license_type`` counts for one-time
    purchases; a subscription is one whatever it says. ``valid_duration``, ``maintenance_duration``: ``N`` and ``d``,
    ``w``, ``m`` or ``y``. ``maintenance_policy_id``: for license servers that keep the length in a policy of theirs.
    ``feature_code``: the item is no license but a feature of another item's license; then nothing else is said.
    ``preset``: whose policies count where no mapping says otherwise; ``None`` = the store's. ``is_annotated``: trials
    and announced ends are marked on the license, and its type is said.
    """

    server: str
    product_id: str
    template_id: str = ""
    entitlement_set_id: str = ""
    max_release_version: str = ""
    interval: str = ""
    expiry: ExpiryMode = ExpiryMode.TEMPLATE
    quantity_mode: QuantityMode = QuantityMode.PER_UNIT
    activations_per_unit: int | None = None
    max_activations: int | None = None
    floating_cloud: int | None = None
    license_type: LicenseType | None = None
    valid_duration: str = ""
    is_maintained: bool | None = None
    maintenance_duration: str = ""
    maintenance_policy_id: str = ""
    max_consumptions: int | None = None
    grace_hours: int | None = None
    is_customer_manager: bool | None = None
    is_customer_user: bool | None = None
    custom_fields: Mapping[str, str] = field(default_factory=dict)
    feature_code: str = ""
    preset: PolicyPreset | None = None
    is_annotated: bool = False
    origins: Mapping[str, str] = field(default_factory=dict)
    is_withdrawn: bool = False  # the item gets no license any more; kept to know what the ones it had were


def resolve_policies(mapping: MappingTerms | None, *, defaults: Policies) -> Policies:
    """The mapping's policies, or the store's for products mapped by attributes alone."""
    return mapping.policies if mapping else defaults
