"""Which mapping counts for an item, and the terms that follow from it; fixed by its first license."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from licensing_integration import conf
from licensing_integration.conf import StoreConfig
from licensing_integration.domain.facts import ItemFact
from licensing_integration.domain.outcomes import FailureMode, PurchaseKind
from licensing_integration.domain.resolving import resolve_terms
from licensing_integration.domain.servers import Server, Servers
from licensing_integration.domain.terms import MappingTerms, Policies, Terms, preset_policies, resolve_policies
from licensing_integration.exceptions import ConfigurationProblem, ProductNotMapped
from licensing_integration.models import ProductMapping, PurchaseItem
from licensing_integration.services.codec import from_json
from licensing_integration.services.connections import server_config, store_config

# Above this a quantity is more likely a mistake than a purchase; a person decides.
LARGEST_QUANTITY = 5_000

# By hand because it runs for every event: composing it anew was a tenth of all the time planning takes (measured).
_MAPPINGS = "SELECT * FROM licensing_integration_productmapping WHERE store = %s AND store_product = ANY(%s)"


def mappings_of(store: str, items: Iterable[ItemFact]) -> dict[str, ProductMapping]:
    """The mappings of everything these items go by, by the store's id."""
    products = sorted({name for item in items for name in (item.product, item.variant) if name})
    if not products:
        return {}
    return {m.store_product: m for m in ProductMapping.objects.raw(_MAPPINGS, [store, products])}


def mapping_of(item: ItemFact, mappings: Mapping[str, ProductMapping]) -> ProductMapping | None:
    """The mapping of the item's variant, else of its product."""
    return mappings.get(item.variant) or mappings.get(item.product)


def known_servers() -> Servers:
    """The configured license servers as plain values."""
    configs = conf.license_servers().values()
    return Servers(tuple(Server(name=config.name, kind=config.backend, uuid=config.uuid) for config in configs))


def has_moved(row: PurchaseItem, item: ItemFact, mapping: ProductMapping | None) -> bool:
    """Whether the customer changed to something else. Another price of the same product means something only where a
    mapping says so."""
    if row.product != item.product[:200]:
        return True
    is_other_mapping = row.mapping_id != (mapping.pk if mapping and mapping.is_active else None)
    return row.variant != item.variant[:200] and is_other_mapping


def effective_terms(
    row: PurchaseItem,
    item: ItemFact,
    mapping: ProductMapping | None,
    *,
    kind: PurchaseKind,
    is_moved: bool,
    is_pinned: bool,
) -> Terms | None:
    """The terms an item has, if a license pins them, or fresh ones; ``None`` when it gets no license or has to wait.
    Writes on ``row`` (unsaved) which mapping counts, and why it waits."""
    pinned = from_json(row.terms, Terms) if row.terms and is_pinned else None
    is_usable = pinned and not pinned.is_withdrawn and not is_moved and not row.problem
    if is_usable and item.quantity <= LARGEST_QUANTITY:
        return pinned
    store = store_config(row.store)
    row.mapping = mapping if mapping and mapping.is_active else None
    row.problem, row.failure_mode = "", FailureMode.NONE
    try:
        return _fresh_terms(mapping, item, kind, store=store)
    except ConfigurationProblem as error:
        row.problem, row.failure_mode = str(error), FailureMode.CONFIG
        return None


def effective_policies(terms: Terms, mapping: ProductMapping | None, *, stores_own: Policies) -> Policies:
    """What the mapping says; what it leaves open, and what has none, is the preset's of the terms, else the store's."""
    kind = known_servers().kind_of(terms.server) if terms.preset else ""
    defaults = preset_policies(terms.preset, kind=kind) if terms.preset else stores_own
    defaults = replace(defaults, prepared_hours=conf.fulfilment_keep_hours())
    return resolve_policies(mapping.to_terms(defaults=defaults) if mapping else None, defaults=defaults)


def _fresh_terms(
    mapping: ProductMapping | None, item: ItemFact, kind: PurchaseKind, *, store: StoreConfig
) -> Terms | None:
    if item.quantity > LARGEST_QUANTITY:
        raise ConfigurationProblem(
            f"The quantity is {item.quantity}; above {LARGEST_QUANTITY} a person must confirm it with the store."
        )
    servers = known_servers()
    try:
        active = mapping.to_terms() if mapping and mapping.is_active else None
        terms = resolve_terms(active, item.attributes, kind=kind, servers=servers)
    except ProductNotMapped as error:
        if mapping is None and store.unmapped != "wait":
            terms = _default_terms(item, kind, store=store, servers=servers)
        elif not item.product:
            raise ProductNotMapped(
                "The store did not say what was bought. Name the license product in the metadata of the sale, or "
                "configure the store's API key, so that the lines are fetched, and replay the event."
            ) from error
        elif mapping and not mapping.is_active:
            raise ProductNotMapped(
                f"The product mapping of {mapping.store_product} is not active. Activate it; what waits then goes on "
                "by itself."
            ) from error
        else:
            raise
    if terms and not terms.feature_code:
        server_config(terms.server)
    return terms


def _default_terms(item: ItemFact, kind: PurchaseKind, *, store: StoreConfig, servers: Servers) -> Terms | None:
    """What becomes of a product that nothing maps, where the store's settings say it on purpose."""
    product_id = server_config(servers.first).default_product_id if store.unmapped == "default" else ""
    if not product_id:
        return None
    terms = resolve_terms(MappingTerms(product_id=product_id), item.attributes, kind=kind, servers=servers)
    return replace(terms, origins={**terms.origins, "product_id": "default of the license server"}) if terms else None
