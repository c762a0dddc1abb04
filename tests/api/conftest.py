"""A shop that posts signed deliveries and a worker, for pages that show what came of them."""

from __future__ import annotations

from tests.services.conftest import deliver, post, shop, shop_clock, work

__all__ = ["deliver", "post", "shop", "shop_clock", "work"]
