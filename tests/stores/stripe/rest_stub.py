"""Stripe's REST API as far as we read it, over real HTTP on 127.0.0.1, and stricter than Stripe where that finds bugs.

It refuses what it does not know: paths, query parameters, expansions, keys, ids. Objects are held with plain ids where
Stripe holds references, and are expanded only where a request asks for it. Tests may change them between two requests.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from licensing_integration.sandbox.http_server import HttpRequest, HttpServer, Reply
from licensing_integration.stores.stripe.enrich import StripeApi
from tests.stores.stripe.rest_answers import ROUTES, Json, Objects, Query, Refused, Route, example, invalid

KEY = "rk_test_stub4Fq9wXyZ"
DEEPEST = 4  # levels of an expansion

# What an expandable id leads to, by its prefix.
KINDS = {
    "cs": "checkout_sessions",
    "cus": "customers",
    "in": "invoices",
    "price": "prices",
    "prod": "products",
    "sub": "subscriptions",
}


class StripeRest(Objects):
    """The stub. ``calls`` are the requests so far as ``path?query``, readable, and ``called_at`` when each came;
    ``base_url`` is where it listens."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.called_at: list[datetime] = []
        self._forbidden: set[str] = set()
        self._refusals: list[Refused] = []
        self._seed()
        self._server = HttpServer(application=self._receive)
        self.base_url = f"http://127.0.0.1:{self._server.start(host='127.0.0.1', port=0)}"

    def stop(self) -> None:
        self._server.stop()

    def api(self, *, key: str = KEY) -> StripeApi:
        return StripeApi(username="", password=key, base_url=self.base_url)

    # For tests

    @property
    def paths(self) -> list[str]:
        return [call.partition("?")[0] for call in self.calls]

    def sell(self, session_id: str, *lines: Json) -> None:
        """Give a Checkout session its lines."""
        session = self.objects["checkout_sessions"].get(session_id, {"id": session_id, "object": "checkout.session"})
        self.put("checkout_sessions", {**session, "line_items": list(lines)})

    def add_price(self, price_id: str, product_id: str, *, metadata: Mapping[str, str] | None = None) -> Json:
        """A price and its product, for lines and items to name. Returns the price."""
        price = {**example("GET_v1_prices_ID--expand-product"), "id": price_id, "product": product_id}
        product = {**example("GET_v1_products_ID"), "id": product_id, "metadata": dict(metadata or {})}
        self.put("prices", price)
        self.put("products", product)
        return price

    def forbid(self, kind: str) -> None:
        """Take the permission to read a kind of object from the key."""
        self._forbidden.add(kind)

    def refuse_next(self, status: int, *, times: int = 1, body: Json | None = None) -> None:
        """Answer the next requests like this: 429 as Stripe does, others with ``body``."""
        answer = example("error-429-rate_limit") if status == 429 else {"error": {"type": "api_error"}}
        self._refusals += [Refused(status, body or answer)] * times

    # The server

    def _receive(self, request: HttpRequest) -> Reply:
        self.calls.append(_readable(request))
        self.called_at.append(datetime.now(UTC))
        try:
            body, status = self._answer(request), 200
        except Refused as refusal:
            body, status = refusal.body, refusal.status
        headers = (("Request-Id", f"req_stub{len(self.calls)}"),)
        return Reply(status=status, body=json.dumps(body).encode(), headers=headers)

    def _answer(self, request: HttpRequest) -> Json:
        if self._refusals:
            raise self._refusals.pop(0)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            raise Refused(401, example("error-401"))
        if not re.fullmatch(r"\d{4}-\d\d-\d\d\.[a-z]+", request.headers.get("stripe-version", "")):
            raise invalid("The stub insists on a Stripe-Version.")
        for route in ROUTES:
            match = re.fullmatch(route.pattern, request.path)
            if match and request.method == "GET":
                return self._serve(route, request.query, *match.groups())
        raise Refused(404, {"error": {"message": "Unrecognized request URL.", "type": "invalid_request_error"}})

    def _serve(self, route: Route, text: str, external_id: str = "") -> Json:
        self.check_permission(route.permission)
        query = Query.read(text, known=route.known)
        if missing := sorted(route.required - set(query.values)):
            raise invalid(f"Missing required param: {missing[0]}.", code="parameter_missing")
        for path in query.expand:
            if path not in route.expands or path.count(".") >= DEEPEST:
                raise invalid(f"This property cannot be expanded ({path}).")
        answer = copy.deepcopy(route.answer(self, query, external_id))
        for path in query.expand:
            self._expand(answer, path.split("."))
        return answer

    def check_permission(self, kind: str) -> None:
        if kind in self._forbidden:
            body = example("error-403-restricted-key")
            words = body["error"]["message"]
            body["error"]["message"] = words.replace("rak_subscription_read", f"rak_{kind.rstrip('s')}_read")
            raise Refused(403, body)

    def _expand(self, value: Any, path: list[str]) -> None:
        """Put objects in place of their ids, along a path such as ``items.data.price.product``."""
        key, *rest = path
        if isinstance(value.get(key), str):
            kind = KINDS[value[key].partition("_")[0]]
            self.check_permission(kind)
            value[key] = copy.deepcopy(self.get(kind, value[key]))
        if not rest or value.get(key) is None:
            return
        for child in value[key] if isinstance(value[key], list) else [value[key]]:
            self._expand(child, rest)

    def _seed(self) -> None:
        """The examples, taken apart: every reference is an id."""
        self.put("products", example("GET_v1_products_ID"))
        self.put("customers", example("GET_v1_customers_ID"), example("GET_v1_customers_ID--deleted"))
        self.put("subscriptions", example("GET_v1_subscriptions_ID"))
        self.put("invoice_payments", *example("GET_v1_invoice_payments--by-payment_intent")["data"])
        self.put("events", *reversed(example("GET_v1_events--newest-first")["data"]))
        price = example("GET_v1_prices_ID--expand-product")
        self.put("prices", {**price, "product": price["product"]["id"]})
        session = example("GET_v1_checkout_sessions_ID--multi-quantity-expand-line_items")
        self.put("checkout_sessions", session)
        for name in ("multi-quantity", "payment-link-unmapped-product", "subscription"):
            lines = example(f"GET_v1_checkout_sessions_ID_line_items--{name}")
            self.sell(lines["url"].split("/")[4], *lines["data"])
            self._seed_prices(line["price"] for line in lines["data"])

    def _seed_prices(self, prices: Iterable[Json]) -> None:
        for price in prices:
            self.put("prices", price)
            if price["product"] not in self.objects["products"]:
                self.put("products", {**example("GET_v1_products_ID"), "id": price["product"], "metadata": {}})


def _readable(request: HttpRequest) -> str:
    pairs = parse_qsl(request.query, keep_blank_values=True)
    return request.path + ("?" + "&".join(f"{name}={value}" for name, value in pairs) if pairs else "")
