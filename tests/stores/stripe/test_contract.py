from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType

from licensing_integration.stores.stripe import ADAPTER
from licensing_integration.stores.stripe.signature import sign
from tests.stores.contract import StoreAdapterContract
from tests.stores.stripe import samples


class TestStripe(StoreAdapterContract):
    adapter = ADAPTER
    envelope = MappingProxyType({"id": "evt_1", "object": "event", "created": 1791201608, "livemode": True})
    body = samples.body("checkout.session.completed--subscription")

    def sign(self, body: bytes, secret: str) -> Mapping[str, str]:
        return {"stripe-signature": sign(body, secret, timestamp=int(time.time()))}
