"""Which license server and which product on it an item is meant for, or whose feature it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from licensing_integration.domain import licensespring_attributes as licensespring
from licensing_integration.domain.servers import PRODUCT_ATTRIBUTES, Server, ServerKind, Servers
from licensing_integration.domain.store_attributes import StoreAttributes
from licensing_integration.domain.terms import MappingTerms
from licensing_integration.exceptions import InvalidTerm, ProductNotMapped

_CRYPTLEX_ID = PRODUCT_ATTRIBUTES[ServerKind.CRYPTLEX]
_SHORT_CODE = PRODUCT_ATTRIBUTES[ServerKind.LICENSESPRING]
_LABELS = {ServerKind.CRYPTLEX: "Cryptlex", ServerKind.LICENSESPRING: "LicenseSpring"}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """``origins``: where server and product came from, in words."""

    server: str
    product_id: str
    origins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Sourced:
    """A value and where it came from, in words."""

    value: str
    origin: str


def choose_product(mapping: MappingTerms, given: StoreAttributes, *, servers: Servers) -> Choice:
    """The mapping's server and product; what it leaves open is the attributes' to say.

    Who names the product without a server means the first one. Raises ``ProductNotMapped`` when nothing names a product
    of a server that is configured, ``InvalidTerm`` when the attributes could mean two of them.
    """
    if mapping.product_id:
        origins = {"product_id": "product mapping", **({"server": "product mapping"} if mapping.server else {})}
        return Choice(server=mapping.server or servers.first, product_id=mapping.product_id, origins=origins)
    if mapping.server:
        return _by_mapped_server(mapping.server, given, servers=servers)
    named = [kind for kind, attribute in PRODUCT_ATTRIBUTES.items() if attribute in given]
    if not named:
        raise ProductNotMapped(
            f"No product mapping and no attribute {_CRYPTLEX_ID} or {_SHORT_CODE} says which license this becomes."
        )
    kinds = [kind for kind in named if servers.first_of(kind)]
    if len(kinds) > 1:
        raise InvalidTerm(
            f"Store attributes {_CRYPTLEX_ID} and {_SHORT_CODE} are both set; choose the license server in a product "
            "mapping."
        )
    if not kinds:
        raise ProductNotMapped(
            f"Store attribute {PRODUCT_ATTRIBUTES[named[0]]} names a product on {_LABELS[ServerKind(named[0])]}, but "
            "no such license server is configured."
        )
    return _by_attribute(kinds[0], given, servers=servers)


def _by_mapped_server(name: str, given: StoreAttributes, *, servers: Servers) -> Choice:
    kind = servers.kind_of(name)
    attributes = [PRODUCT_ATTRIBUTES[kind]] if kind in PRODUCT_ATTRIBUTES else list(PRODUCT_ATTRIBUTES.values())
    for attribute in attributes:
        if attribute in given:
            origins = {"server": "product mapping", "product_id": f"store attribute {attribute}"}
            return Choice(server=name, product_id=given.text(attribute), origins=origins)
    raise ProductNotMapped(
        f"The product mapping names a license server but no product, and no attribute {' or '.join(attributes)} does."
    )


def _by_attribute(kind: str, given: StoreAttributes, *, servers: Servers) -> Choice:
    attribute = PRODUCT_ATTRIBUTES[kind]
    server = _licensespring_server(given, servers=servers) if kind == ServerKind.LICENSESPRING else None
    server = server or servers.first_of(kind)
    origin = f"store attribute {attribute}"
    origins = {"server": origin, "product_id": origin}
    return Choice(server=server.name if server else "", product_id=given.text(attribute), origins=origins)


def _licensespring_server(given: StoreAttributes, *, servers: Servers) -> Server | None:
    """The one whose account ``uuid`` names, else the first that does not say its account."""
    uuid = given.text(licensespring.UUID).lower()
    candidates = [server for server in servers.all if server.kind == ServerKind.LICENSESPRING]
    if not uuid:
        return None
    fitting = [server for server in candidates if server.uuid.lower() == uuid]
    silent = [server for server in candidates if not server.uuid]
    if not fitting and not silent:
        # Not with its value: the uuid opens LicenseSpring's License API.
        names = ", ".join(server.name for server in candidates)
        raise InvalidTerm(
            f"Store attribute uuid is of another LicenseSpring account than {names}; it must equal the configured "
            "uuid of a license server."
        )
    return (fitting or silent)[0]


def feature_code_of(mapping: MappingTerms | None, given: StoreAttributes, *, servers: Servers) -> Sourced | None:
    """The feature that an item is, instead of a license of its own; ``None`` for an ordinary item.

    Who names a license product for it wants a license: in the mapping, or by Cryptlex's attribute where the item can
    only be meant for Cryptlex.
    """
    if mapping and mapping.feature_code:
        return Sourced(value=mapping.feature_code, origin="product mapping")
    if licensespring.FEATURE_CODE not in given or (mapping and mapping.product_id):
        return None
    if _CRYPTLEX_ID in given and _is_for_cryptlex(mapping.server if mapping else "", servers=servers):
        return None
    code: str = given.parsed(licensespring.FEATURE_CODE, licensespring.parse_code)
    return Sourced(value=code, origin=f"store attribute {licensespring.FEATURE_CODE}")


def _is_for_cryptlex(server: str, *, servers: Servers) -> bool:
    if server:
        return servers.kind_of(server) == ServerKind.CRYPTLEX
    return servers.first_of(ServerKind.LICENSESPRING) is None
