"""What FastSpring sells: ``GET /products``, https://developer.fastspring.com/reference/get-all-products.

The list holds product paths, which are readable names; asking for each product's display name would take many calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from licensing_integration.exceptions import MalformedPayload, TransientRemoteError
from licensing_integration.stores.base import StoreApi, StoreProduct
from licensing_integration.stores.payload import Payload

PATH: Final = "/products"


def list_products(api: StoreApi) -> Sequence[StoreProduct]:
    """Every product's path. Raises ``RemoteError`` or ``CredentialsRejected``."""
    answer = Payload(api.get(PATH), path="answer")
    try:
        entries = answer.elements if answer.is_list else answer.items("products")
        return [StoreProduct(id=_path_of(entry)) for entry in entries]
    except MalformedPayload as error:
        raise TransientRemoteError(
            f"FastSpring: GET {PATH} answered without a readable list ({error}).", may_have_succeeded=False
        ) from None


def _path_of(entry: Payload) -> str:
    """The list holds paths, or objects as other lists of FastSpring do."""
    return entry.identifier("product") if entry.is_mapping else entry.as_identifier()
