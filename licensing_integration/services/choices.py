"""What a product mapping may choose from: the products of the stores, and the products and templates of the license
servers, as they list them now.

Lists are kept for five minutes in each process's cache. One that could not be fetched is kept for half a minute, as the
sentence that says why, so that a server that is away is not waited for by every page; who wants a fresh list asks anew.
A person waits for these calls.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, TypeVar

from django.core.cache import cache
from django.db.models import Count, Max, QuerySet

from licensing_integration import conf
from licensing_integration.domain.licenses import LicenseTemplate, ServerProduct
from licensing_integration.domain.terms import Policies
from licensing_integration.exceptions import ConfigurationProblem, LicensingIntegrationError
from licensing_integration.models import ProductMapping, PurchaseItem
from licensing_integration.services.connections import (
    adapter_of,
    answering_within,
    backend_of,
    server_config,
    store_api,
    store_config,
)
from licensing_integration.stores.base import StoreProduct

KEPT_SECONDS: Final = 300
PROBLEM_KEPT_SECONDS: Final = 30
ASKING_SECONDS: Final = 10.0  # a person waits, and so does the web server's thread
MOST_LISTED: Final = 1000

Lists = TypeVar("Lists", "ServerLists", "StoreList")


@dataclass(frozen=True, kw_only=True)
class ServerLists:
    """What a license server lists. ``templates=None``: it cannot tell which there are. ``problem``: why it could not be
    asked, in a sentence; then there is nothing in the lists. ``asked_at`` on the clock of ``time.time``."""

    products: Sequence[ServerProduct] = ()
    templates: Sequence[LicenseTemplate] | None = None
    problem: str = ""
    asked_at: float = field(default_factory=time.time)

    @property
    def names(self) -> Mapping[str, str]:
        """Product id → name."""
        return {product.id: product.name for product in self.products}


@dataclass(frozen=True, kw_only=True)
class StoreList:
    """What a store lists as its products; ``problem`` as in ``ServerLists``."""

    products: Sequence[StoreProduct] = ()
    problem: str = ""
    asked_at: float = field(default_factory=time.time)


@dataclass(frozen=True, kw_only=True)
class UnmappedProduct:
    """A product (or a finer id, such as a price) that was bought and that no mapping names yet; ``orders`` wait."""

    id: str
    name: str
    orders: int


def server_name(name: str) -> str:
    """The license server a mapping means: the first configured one if it names none; empty when there is none."""
    return name or next(iter(conf.license_servers()), "")


def server_lists(name: str, *, oldest: float = KEPT_SECONDS) -> ServerLists:
    """What the license server lists; the kept answer if it is at most ``oldest`` seconds old. Never raises for what the
    server or the configuration does: see ``ServerLists.problem``."""
    return _kept(_server_key(name), lambda: _ask_server(name), oldest=oldest)


def known_server_lists(name: str) -> ServerLists | None:
    """What was listed lately; asks nobody."""
    found: ServerLists | None = cache.get(_server_key(name))
    return found


def store_list(name: str, *, oldest: float = KEPT_SECONDS) -> StoreList:
    """What the store lists; nothing, and no problem, for one that cannot be asked or has no credentials."""
    return _kept(_store_key(name), lambda: _ask_store(name), oldest=oldest)


def unmapped_products(store: str) -> list[UnmappedProduct]:
    """Products bought in ``store`` that wait for a mapping, those with the most orders first."""
    mapped = ProductMapping.objects.filter(store=store).values("store_product")
    waiting = PurchaseItem.objects.exclude(problem="").filter(store=store).order_by()
    rows = [
        *_counted(waiting.exclude(product__in=mapped), "product"),
        *_counted(waiting.exclude(variant="").exclude(variant__in=mapped).exclude(product__in=mapped), "variant"),
    ]
    return sorted(rows, key=lambda row: (-row.orders, row.id))


def waiting_orders(mappings: Sequence[ProductMapping]) -> dict[tuple[str, str], int]:
    """(store, store product) of ``mappings`` → purchases with an item that waits, where there are any; two queries on
    the index of what waits."""
    named = {(mapping.store, mapping.store_product) for mapping in mappings}
    stores, products = {store for store, _ in named}, {product for _, product in named}
    counts: dict[tuple[str, str], int] = {}
    for what in ("product", "variant"):
        waiting = PurchaseItem.objects.exclude(problem="").exclude(**{what: ""})
        rows = waiting.filter(store__in=stores, **{f"{what}__in": products}).order_by()
        for store, product, orders in rows.values_list("store", what).annotate(Count("purchase", distinct=True)):
            counts[store, product] = counts.get((store, product), 0) + orders
    return counts


def default_policies(store: str) -> Policies:
    """What counts in ``store`` where a mapping does not say otherwise; that of no store if it is configured no more."""
    try:
        return adapter_of(store).policies
    except ConfigurationProblem:
        return Policies()


def _counted(waiting: QuerySet[PurchaseItem], what: str) -> list[UnmappedProduct]:
    rows = waiting.values_list(what).annotate(orders=Count("purchase", distinct=True), shown=Max("display"))
    return [UnmappedProduct(id=found, name=name, orders=orders) for found, orders, name in rows[:MOST_LISTED]]


def _ask_server(name: str) -> ServerLists:
    try:
        with answering_within(ASKING_SECONDS):
            backend = backend_of(name)
            return ServerLists(products=tuple(backend.list_products()), templates=_tuple(backend.list_templates()))
    except LicensingIntegrationError as error:
        return ServerLists(problem=str(error))


def _ask_store(name: str) -> StoreList:
    try:
        with answering_within(ASKING_SECONDS):
            list_products, api = adapter_of(name).list_products, store_api(name)
            if list_products is None or api is None:
                return StoreList()
            return StoreList(products=tuple(islice(list_products(api), MOST_LISTED)))
    except LicensingIntegrationError as error:
        return StoreList(problem=str(error))


def _kept(key: str, ask: Callable[[], Lists], *, oldest: float) -> Lists:
    kept: Lists | None = cache.get(key)
    if kept is not None:
        most = min(oldest, PROBLEM_KEPT_SECONDS) if kept.problem else oldest
        if time.time() - kept.asked_at <= most:
            return kept
    lists = ask()
    cache.set(key, lists, PROBLEM_KEPT_SECONDS if lists.problem else KEPT_SECONDS)
    return lists


def _tuple(templates: Sequence[LicenseTemplate] | None) -> tuple[LicenseTemplate, ...] | None:
    return None if templates is None else tuple(templates)


def _server_key(name: str) -> str:
    try:
        config = server_config(name)
    except ConfigurationProblem:
        return _key("server", name)
    return _key("server", config.name, config.backend, config.base_url, config.access_token)


def _store_key(name: str) -> str:
    try:
        config = store_config(name)
    except ConfigurationProblem:
        return _key("store", name)
    return _key("store", config.name, config.adapter, config.api_base_url, config.api_username, config.api_password)


def _key(*parts: str) -> str:
    """A cache key that says nothing: another address or token is another key."""
    return f"mapping-choices:{hashlib.sha256(repr(tuple(map(str, parts))).encode()).hexdigest()}"
