"""Effective terms: what a product becomes, field by field from the mapping, then from the store's custom attributes.

Each value remembers where it came from, so that the admin can show it. What neither says is left to the license
template on the server. Attribute names are those of Cryptlex's FastSpring guide and of its integration's code, which
call the interval differently, so both names count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from licensing_integration.domain.outcomes import (
    DisputeAction,
    EndAction,
    ExpiryMode,
    OverdueAction,
    PauseAction,
    PurchaseKind,
    QuantityMode,
    RefundAction,
)
from licensing_integration.exceptions import InvalidTerm, ProductNotMapped

_DURATION = re.compile(r"P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?")
_RELEASE = re.compile(r"\d+(\.\d+){1,3}")
_TRUE = frozenset({"true", "yes", "y", "1", "on"})
_FALSE = frozenset({"false", "no", "n", "0", "off", ""})

_QUANTITY_MODES = {
    "total_licenses": QuantityMode.PER_UNIT,
    "allowed_activations": QuantityMode.ACTIVATIONS,
}

_TEXT_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "product_id": ("cryptlex_product_id",),
    "template_id": ("cryptlex_license_template_id",),
    "entitlement_set_id": ("cryptlex_entitlement_set_id",),
    "max_release_version": ("cryptlex_max_allowed_release_version",),
    "interval": ("cryptlex_license_subscription_interval", "cryptlex_subscription_interval"),
}


@dataclass(frozen=True, kw_only=True)
class Policies:
    """What to do when something happens to a purchase; defaults are the Cryptlex guide's where it has any.

    ``extra_days`` are added to the paid-through date: FastSpring gives midnight UTC but charges during that day, and a
    paying customer must not be locked out in between.
    """

    extra_days: int = 1
    overdue_action: OverdueAction = OverdueAction.SUSPEND
    overdue_grace_days: int = 0
    ended_action: EndAction = EndAction.DELETE
    paused_action: PauseAction = PauseAction.SUSPEND
    refund_action: RefundAction = RefundAction.SUSPEND
    dispute_action: DisputeAction = DisputeAction.SUSPEND


@dataclass(frozen=True, kw_only=True)
class MappingTerms:
    """A product mapping as planning sees it. Empty text and ``None`` mean "not said here"."""

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
    policies: Policies = field(default_factory=Policies)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What one item becomes. ``origins``: field name → where its value came from, in words."""

    server: str
    product_id: str
    template_id: str = ""
    entitlement_set_id: str = ""
    max_release_version: str = ""
    interval: str = ""
    expiry: ExpiryMode = ExpiryMode.TEMPLATE
    quantity_mode: QuantityMode = QuantityMode.PER_UNIT
    activations_per_unit: int | None = None
    origins: Mapping[str, str] = field(default_factory=dict)


def resolve_terms(
    mapping: MappingTerms | None, attributes: Mapping[str, str], *, kind: PurchaseKind, default_server: str
) -> Terms | None:
    """Effective terms of one item, or ``None`` when no license is wanted for it.

    Raises ``ProductNotMapped`` when nothing names a license product, ``InvalidTerm`` when a value means nothing.
    """
    given = {name.strip().lower(): value.strip() for name, value in attributes.items()}
    if mapping is not None and not mapping.is_license_needed:
        return None
    if mapping is None and _flag(given, "cryptlex_is_bundle"):
        return None
    origins: dict[str, str] = {}
    texts = {name: _text(mapping, given, name, origins) for name in _TEXT_ATTRIBUTES}
    if not texts["product_id"]:
        raise ProductNotMapped(
            "No product mapping and no attribute cryptlex_product_id says which license this becomes."
        )
    _check_duration(texts["interval"], origins.get("interval", ""))
    _check_release(texts["max_release_version"], origins.get("max_release_version", ""))
    return Terms(
        server=(mapping.server if mapping else "") or default_server,
        expiry=_expiry(mapping, kind, origins),
        quantity_mode=_quantity_mode(mapping, given, origins),
        activations_per_unit=mapping.activations_per_unit if mapping else None,
        origins=origins,
        **texts,
    )


def resolve_policies(mapping: MappingTerms | None) -> Policies:
    """The mapping's policies, or the defaults for products mapped by attributes alone."""
    return mapping.policies if mapping else Policies()


def parse_flag(text: str) -> bool:
    """A boolean in any spelling merchants use. Raises ``InvalidTerm`` for anything else."""
    lowered = text.strip().lower()
    if lowered not in _TRUE | _FALSE:
        raise InvalidTerm(f"'{text[:40]}' is neither true nor false.")
    return lowered in _TRUE


def _flag(given: Mapping[str, str], name: str) -> bool:
    try:
        return parse_flag(given.get(name, ""))
    except InvalidTerm as error:
        raise InvalidTerm(f"Store attribute {name}: {error}") from error


def _text(mapping: MappingTerms | None, given: Mapping[str, str], name: str, origins: dict[str, str]) -> str:
    mapped: str = getattr(mapping, name) if mapping else ""
    if mapped:
        origins[name] = "product mapping"
        return mapped
    found = {attribute: given[attribute] for attribute in _TEXT_ATTRIBUTES[name] if given.get(attribute)}
    if len(set(found.values())) > 1:
        raise InvalidTerm(f"Store attributes {' and '.join(found)} contradict each other; keep one of them.")
    for attribute, value in found.items():
        origins[name] = f"store attribute {attribute}"
        return value
    origins[name] = "license template"
    return ""


def _quantity_mode(mapping: MappingTerms | None, given: Mapping[str, str], origins: dict[str, str]) -> QuantityMode:
    if mapping and mapping.quantity_mode:
        origins["quantity_mode"] = "product mapping"
        return mapping.quantity_mode
    value = given.get("cryptlex_mappings_quantity", "")
    if not value:
        origins["quantity_mode"] = "default"
        return QuantityMode.PER_UNIT
    mode = _QUANTITY_MODES.get(value.lower())
    if mode is None:
        raise InvalidTerm(
            f"Store attribute cryptlex_mappings_quantity is '{value[:40]}'; "
            "it must be total_licenses or allowed_activations."
        )
    origins["quantity_mode"] = "store attribute cryptlex_mappings_quantity"
    return mode


def _expiry(mapping: MappingTerms | None, kind: PurchaseKind, origins: dict[str, str]) -> ExpiryMode:
    wanted = mapping.expiry if mapping else None
    origins["expiry"] = "product mapping" if wanted else "default"
    if kind is PurchaseKind.SUBSCRIPTION:
        return wanted or ExpiryMode.PAID_THROUGH
    # A one-time purchase has no paid-through date and is never renewed: its template decides, unless it is perpetual.
    return ExpiryMode.PERPETUAL if wanted is ExpiryMode.PERPETUAL else ExpiryMode.TEMPLATE


def _check_duration(value: str, origin: str) -> None:
    if value and not _DURATION.fullmatch(value):
        raise InvalidTerm(
            f"The interval from the {origin} is '{value[:40]}'; write an ISO 8601 duration such as P1M or P1Y."
        )


def _check_release(value: str, origin: str) -> None:
    if value and not _RELEASE.fullmatch(value):
        raise InvalidTerm(
            f"The highest release from the {origin} is '{value[:40]}'; write digits such as 2.0 or 2.1.0."
        )
