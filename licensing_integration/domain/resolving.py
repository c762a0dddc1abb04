"""Effective terms: what a product becomes, field by field from the mapping, then from the store's custom attributes.

Each value remembers where it came from, so that the admin can show it. What neither says is left to the license
template on the server. Attribute names are those of Cryptlex's FastSpring guide and of its integrations' code, which
call the interval and the template differently, so both names count; and those of LicenseSpring's FastSpring guide,
which count on every license server, for products that have its ``product_short_code``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from licensing_integration.domain import licensespring_attributes as licensespring
from licensing_integration.domain.choosing import choose_product, feature_code_of
from licensing_integration.domain.outcomes import ExpiryMode, LicenseType, PolicyPreset, PurchaseKind, QuantityMode
from licensing_integration.domain.servers import PRODUCT_ATTRIBUTES, ServerKind, Servers
from licensing_integration.domain.store_attributes import StoreAttributes, parse_flag, read_attributes
from licensing_integration.domain.terms import MappingTerms, Terms
from licensing_integration.exceptions import InvalidTerm

_DURATION = re.compile(r"P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?")
_RELEASE = re.compile(r"\d+(\.\d+){1,3}")
_MAPPED: Final = "product mapping"
_BUNDLE: Final = "cryptlex_is_bundle"
_QUANTITY: Final = "cryptlex_mappings_quantity"

_QUANTITY_MODES = {
    "total_licenses": QuantityMode.PER_UNIT,
    "allowed_activations": QuantityMode.ACTIVATIONS,
}

_TEXT_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "template_id": ("cryptlex_license_template_id", "cryptlex_license_template"),
    "entitlement_set_id": ("cryptlex_entitlement_set_id",),
    "max_release_version": ("cryptlex_max_allowed_release_version",),
    "interval": ("cryptlex_license_subscription_interval", "cryptlex_subscription_interval"),
}


def resolve_terms(
    mapping: MappingTerms | None, attributes: Mapping[str, str], *, kind: PurchaseKind, servers: Servers
) -> Terms | None:
    """Effective terms of one item, or ``None`` when no license is wanted for it.

    Raises ``ProductNotMapped`` when nothing names a license product, ``InvalidTerm`` when a value means nothing.
    """
    given = read_attributes(attributes)
    if mapping is not None and not mapping.is_license_needed:
        return None
    if mapping is None and _is_bundle(given):
        return None
    if code := feature_code_of(mapping, given, servers=servers):
        return Terms(server="", product_id="", feature_code=code.value, origins={"feature_code": code.origin})
    return _Resolver(mapping=mapping or MappingTerms(), given=given, kind=kind, servers=servers).run()


def _is_bundle(given: StoreAttributes) -> bool:
    try:
        return parse_flag(given.text(_BUNDLE))
    except InvalidTerm as error:
        raise InvalidTerm(f"Store attribute {_BUNDLE}: {error}") from error


@dataclass(kw_only=True)
class _Resolver:
    """One resolution; notes where each value came from on its way."""

    mapping: MappingTerms
    given: StoreAttributes
    kind: PurchaseKind
    servers: Servers
    origins: dict[str, str] = field(default_factory=dict)

    def run(self) -> Terms:
        choice = choose_product(self.mapping, self.given, servers=self.servers)
        self.origins |= choice.origins
        is_licensespring = self.servers.kind_of(choice.server) == ServerKind.LICENSESPRING
        short_code = PRODUCT_ATTRIBUTES[ServerKind.LICENSESPRING]
        # Names such as license_type may mean anything at a merchant who never followed LicenseSpring's guide.
        follows_guide = is_licensespring or short_code in self.given
        guide = self.given if follows_guide else StoreAttributes()
        own = StoreAttributes() if is_licensespring else self.given  # an id of Cryptlex means nothing elsewhere
        texts: dict[str, Any] = {name: self._text(own, name) for name in _TEXT_ATTRIBUTES}
        _check_duration(texts["interval"], self.origins["interval"])
        _check_release(texts["max_release_version"], self.origins["max_release_version"])
        values = {name: self._guide_value(guide, name) for name in licensespring.FIELDS}
        mode = self._quantity_mode(own, guide, has_floating_seats=values["floating_cloud"] is not None)
        expiry = self._expiry(values["license_type"])
        is_by_guide_alone = choice.origins.get("product_id", "").endswith(short_code)
        return Terms(
            server=choice.server,
            product_id=choice.product_id,
            expiry=expiry,
            quantity_mode=mode,
            activations_per_unit=self.mapping.activations_per_unit,
            maintenance_policy_id=self.mapping.maintenance_policy_id,
            custom_fields=self._custom_fields(guide),
            preset=PolicyPreset.LICENSESPRING if is_by_guide_alone else None,
            is_annotated=follows_guide,
            origins=self.origins,
            **texts,
            **values,
        )

    def _text(self, given: StoreAttributes, name: str) -> str:
        mapped: str = getattr(self.mapping, name)
        if mapped:
            self.origins[name] = _MAPPED
            return mapped
        found = {attribute: given.text(attribute) for attribute in _TEXT_ATTRIBUTES[name] if attribute in given}
        if len(set(found.values())) > 1:
            raise InvalidTerm(f"Store attributes {' and '.join(found)} contradict each other; keep one of them.")
        for attribute, value in found.items():
            self.origins[name] = f"store attribute {attribute}"
            return value
        self.origins[name] = "license template"
        return ""

    def _guide_value(self, given: StoreAttributes, name: str) -> Any:
        """A field of LicenseSpring's guide: the mapping's, checked like the attribute's, else the attribute's."""
        attribute, mapped = licensespring.FIELDS[name], getattr(self.mapping, name)
        if mapped not in (None, ""):
            self.origins[name] = _MAPPED
            return _checked(name, mapped, attribute) if isinstance(mapped, str) else mapped
        if attribute.name not in given:
            return mapped
        self.origins[name] = f"store attribute {attribute.name}"
        return given.parsed(attribute.name, attribute.parse)

    def _custom_fields(self, given: StoreAttributes) -> Mapping[str, str]:
        told = licensespring.custom_fields(given)
        for name in self.mapping.custom_fields:
            licensespring.check_reserved(name, origin=_MAPPED)
        self.origins |= {f"custom field {name}": f"store attribute custom_field_{name}" for name in told}
        self.origins |= {f"custom field {name}": _MAPPED for name in self.mapping.custom_fields}
        return {**told, **self.mapping.custom_fields}

    def _quantity_mode(self, own: StoreAttributes, guide: StoreAttributes, *, has_floating_seats: bool) -> QuantityMode:
        if self.mapping.quantity_mode:
            self.origins["quantity_mode"] = _MAPPED
            return self.mapping.quantity_mode
        modes = {}
        if _QUANTITY in own:
            modes[_QUANTITY] = own.parsed(_QUANTITY, _parse_quantity_mode)
        if licensespring.asks_for_seats_by_quantity(guide, has_floating_seats=has_floating_seats):
            modes[licensespring.FLOATING_USERS_FROM_QUANTITY] = QuantityMode.FLOATING
        elif licensespring.asks_for_one_license(guide):
            modes[licensespring.SINGLE_LICENSE] = QuantityMode.ACTIVATIONS
        if len(set(modes.values())) > 1:
            raise InvalidTerm(f"Store attributes {' and '.join(modes)} contradict each other; keep one of them.")
        for attribute, mode in modes.items():
            self.origins["quantity_mode"] = f"store attribute {attribute}"
            return mode
        self.origins["quantity_mode"] = "default"
        return QuantityMode.PER_UNIT

    def _expiry(self, license_type: LicenseType | None) -> ExpiryMode:
        wanted = self.mapping.expiry
        self.origins["expiry"] = _MAPPED if wanted else "default"
        if self.kind is PurchaseKind.SUBSCRIPTION:
            return wanted or ExpiryMode.PAID_THROUGH
        # A one-time purchase has no paid-through date and is never renewed: its template decides, unless it is
        # perpetual.
        if wanted is not ExpiryMode.PERPETUAL and license_type is LicenseType.PERPETUAL:
            self.origins["expiry"] = self.origins["license_type"]
            return ExpiryMode.PERPETUAL
        if wanted is ExpiryMode.PERPETUAL and license_type not in (None, LicenseType.PERPETUAL):
            raise InvalidTerm(
                f"The mapping's expiry is perpetual, but the license type from the {self.origins['license_type']} is "
                f"{license_type}."
            )
        return ExpiryMode.PERPETUAL if wanted is ExpiryMode.PERPETUAL else ExpiryMode.TEMPLATE


def _checked(name: str, value: str, attribute: licensespring.Attribute) -> Any:
    try:
        return attribute.parse(value)
    except InvalidTerm as error:
        words = name.replace("_", " ")
        raise InvalidTerm(f"The {words} from the {_MAPPED} is '{value[:40]}'; {error}") from error


def _parse_quantity_mode(text: str) -> QuantityMode:
    mode = _QUANTITY_MODES.get(text.lower())
    if mode is None:
        raise InvalidTerm("it must be total_licenses or allowed_activations.")
    return mode


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
