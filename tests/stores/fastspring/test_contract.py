from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from licensing_integration.stores.fastspring import ADAPTER
from licensing_integration.stores.fastspring.signature import sign
from tests.stores.contract import StoreAdapterContract
from tests.stores.fastspring import samples


class TestFastSpring(StoreAdapterContract):
    adapter = ADAPTER
    envelope = MappingProxyType({"id": "EVW1", "created": 1742584397661, "live": True})
    body = samples.body("order.completed--batch-with-subscription.activated")

    def sign(self, body: bytes, secret: str) -> Mapping[str, str]:
        return {"x-fs-signature": sign(body, secret)}
