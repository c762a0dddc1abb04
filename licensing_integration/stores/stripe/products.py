"""What Stripe sells: ``GET /v1/products?active=true``, https://docs.stripe.com/api/products/list.

Prices are left out: they are listed for one product at a time, and a mapping of the product counts for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from licensing_integration.stores.base import StoreApi, StoreProduct
from licensing_integration.stores.stripe.enrich import read_pages

PATH: Final = "/v1/products"


def list_products(api: StoreApi) -> Iterator[StoreProduct]:
    """The active products with their names, newest first. Raises ``RemoteError`` or ``CredentialsRejected``."""
    for page in read_pages(api, PATH, params={"active": "true"}):
        yield from (StoreProduct(id=entry.identifier("id"), name=entry.text("name", default="")) for entry in page)
