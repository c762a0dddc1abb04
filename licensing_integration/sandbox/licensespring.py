"""A strict and, on demand, nasty emulator of the LicenseSpring Management API v1 over real HTTP; for trials and tests.

    with LicenseSpringSandbox(api_key="prefix.secret") as box:
        headers = {"Authorization": "Api-Key prefix.secret"}
        requests.get(f"{box.base_url}/api/v1/products/", headers=headers, timeout=5)

The vendor publishes no OpenAPI document; this follows its documentation pages and Postman collection. Where these are
silent it behaves as ``LicenseSpringOptions`` says. State lives in memory. It never stands in for the real service:
nothing outside tests, demo and benchmarks may import it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from licensing_integration.sandbox.body_checks import REQUIRED, UNKNOWN, sentence, unknown_members_ignored
from licensing_integration.sandbox.control import Control
from licensing_integration.sandbox.emulator import Emulator
from licensing_integration.sandbox.errors import ApiError
from licensing_integration.sandbox.http_server import HttpRequest, Reply
from licensing_integration.sandbox.licensespring_call import Call, find
from licensing_integration.sandbox.licensespring_catalog import DEMO_PRODUCTS, Catalog
from licensing_integration.sandbox.licensespring_errors import error_body, no_such, refused_order, wrong_field
from licensing_integration.sandbox.licensespring_filters import parse_query, read_parameters
from licensing_integration.sandbox.licensespring_operations import CREATE_ORDER, GENERATE_KEYS, OPERATIONS
from licensing_integration.sandbox.licensespring_options import LicenseSpringOptions
from licensing_integration.sandbox.licensespring_orders import KEY_PARAMETERS
from licensing_integration.sandbox.licensespring_reading import activate_device
from licensing_integration.sandbox.licensespring_show import show_license, show_order
from licensing_integration.sandbox.licensespring_store import LicenseSpringStore
from licensing_integration.sandbox.moments import utc_now
from licensing_integration.sandbox.rate_limit import Budget, RollingLimiter
from licensing_integration.sandbox.router import Operation, Route, Router
from licensing_integration.sandbox.wire import RecordedRequest, json_reply, read_json

__all__ = ["LicenseSpringOptions", "LicenseSpringSandbox", "RecordedRequest"]

_KINDS = ("licenses", "orders", "customers", "users")
# Requests and seconds: per address, and per value of the Authorization header.
_FLOOD_BY_ADDRESS = (200, 10.0)
_FLOOD_BY_KEY = (50, 1.0)


class LicenseSpringSandbox(Emulator):
    """One emulated account with one Management API key.

    ``products``: keyword arguments for ``add_product``, instead of the demo account's.
    """

    name = "LicenseSpring"

    def __init__(
        self,
        *,
        api_key: str = "sandbox.management-key",
        products: Iterable[Mapping[str, Any]] | None = None,
        accept_any_product: bool = False,
        options: LicenseSpringOptions | None = None,
        clock: Callable[[], datetime] = utc_now,
        kept_requests: int = 100_000,
    ) -> None:
        self.api_key = api_key
        self.options = options or LicenseSpringOptions()
        self.options.accept_any_product = self.options.accept_any_product or accept_any_product
        self._store = LicenseSpringStore(options=self.options, clock=self._now)
        self._limiter = RollingLimiter()
        super().__init__(router=Router(OPERATIONS), clock=clock, kept_requests=kept_requests)
        self._catalog = Catalog(self._store)
        for product in DEMO_PRODUCTS if products is None else products:
            self._catalog.add_product(**product)

    # The account -----------------------------------------------------------------------------------------------------

    def add_product(self, **members: Any) -> dict[str, Any]:
        """See ``Catalog.add_product``: ``short_code``, ``name``, ``authorization_method``, ``features``, …"""
        with self._lock:
            return self._catalog.add_product(**members)

    def add_feature(self, **members: Any) -> dict[str, Any]:
        """See ``Catalog.add_feature``: ``product``, ``code``, ``name``, wire members."""
        with self._lock:
            return self._catalog.add_feature(**members)

    def add_custom_field(self, **members: Any) -> dict[str, Any]:
        """See ``Catalog.add_custom_field``: ``product``, ``name``, ``default_value``, ``allowed_values``."""
        with self._lock:
            return self._catalog.add_custom_field(**members)

    def activate(self, license_id: int, *, hardware_id: str = "machine") -> None:
        """What an activation by a customer's machine does; ``ValueError`` if the license does not allow it."""
        with self._lock:
            activate_device(self._store, find(self._store.licenses, license_id), hardware_id=hardware_id)

    def consume(self, license_id: int, *, amount: int) -> None:
        """What a customer's application does that uses up a consumption license."""
        with self._lock:
            find(self._store.licenses, license_id).data["total_consumptions"] += amount

    def remove_license(self, license_id: int) -> None:
        """Somebody at the vendor deletes a license; the API has no documented operation for that."""
        with self._lock:
            self._store.licenses.remove(license_id)

    @property
    def licenses(self) -> list[dict[str, Any]]:
        """Every license as the API shows it, oldest first; copies."""
        return self._copies("licenses")

    @property
    def orders(self) -> list[dict[str, Any]]:
        """Every order as the API shows it, oldest first; copies."""
        return self._copies("orders")

    @property
    def customers(self) -> list[dict[str, Any]]:
        """Every customer as the API shows it, oldest first; copies."""
        return self._copies("customers")

    @property
    def users(self) -> list[dict[str, Any]]:
        """Every license user as the API shows it, oldest first; copies."""
        return self._copies("users")

    def dump(self, what: str) -> bytes:
        with self._lock:
            store = self._store
            if what == "licenses":
                return json_reply(200, [show_license(store, record) for record in store.licenses]).body
            if what == "orders":
                return json_reply(200, [show_order(store, record) for record in store.orders]).body
            collection = {"customers": store.customers, "users": store.users}[what]
            return json_reply(200, [record.data for record in collection]).body

    # Answering -------------------------------------------------------------------------------------------------------

    def _make_control(self) -> Control:
        actions: dict[str, Callable[..., Any]] = {
            "products": self.add_product,
            "features": self.add_feature,
            "custom-fields": self.add_custom_field,
            "activate": self.activate,
            "consume": self.consume,
            "remove-license": self.remove_license,
        }
        return Control(self, kinds=_KINDS, actions=actions)

    def _forget_customers(self) -> None:
        self._store.forget_customers()
        self._limiter.forget()

    def _refusal(self, problem: ApiError) -> Reply:
        return json_reply(problem.status, error_body(problem, order_error_shape=self.options.order_error_shape))

    def _carry_out(self, request: HttpRequest, route: Route) -> Reply:
        operation = route.operation
        if not route.template:
            return self._no_path(request)
        self._authorise(request)
        if operation is None:
            raise ApiError(405, f'Method "{request.method}" not allowed.')
        result = operation.handler(self._call(request, route, operation))
        if operation.status == 204:
            return Reply(status=204)
        status = self.options.order_status if operation.path == CREATE_ORDER else operation.status
        return json_reply(status, result)

    def _no_path(self, request: HttpRequest) -> Reply:
        """A path that lacks only the slash at its end is sent there, and with most clients loses method and body."""
        with_slash = f"{request.path}/"
        if self._router.find(request.method, with_slash).template and self.options.missing_slash == "redirect":
            query = f"?{request.query}" if request.query else ""
            return Reply(status=301, headers=(("Location", f"{with_slash}{query}"),))
        raise no_such("path")

    def _authorise(self, request: HttpRequest) -> None:
        given = request.headers.get("authorization", "")
        if not given:
            raise ApiError(self.options.bad_key_status, "Authentication credentials were not provided.")
        if given != f"Api-Key {self.api_key}":
            raise ApiError(self.options.bad_key_status, "You do not have permission to perform this action.")

    def _call(self, request: HttpRequest, route: Route, operation: Operation) -> Call:
        members: dict[str, Any] = {}
        if operation.filters is not None:
            members["query"] = parse_query(request.query, filters=operation.filters, options=self.options)
        else:
            known = KEY_PARAMETERS if operation.path == GENERATE_KEYS else ()
            members["parameters"] = read_parameters(request.query, known=known)
        return Call(
            store=self._store,
            catalog=self._catalog,
            options=self.options,
            ids=_ids(route),
            body=self._body(request, operation),
            url=f"{self.options.next_origin or self.base_url}{request.path}",
            raw_query=request.query,
            visibility_delay=self.visibility_delay,
            **members,
        )

    def _body(self, request: HttpRequest, operation: Operation) -> Any:
        schema = operation.body
        if schema is None:
            if request.body:
                raise wrong_field("", "This operation takes no body.")
            return None
        if not request.body and request.method == "POST" and schema.first_problem({}) is None:
            return {}
        is_order = operation.path == CREATE_ORDER
        body = _read_body(request, is_order=is_order)
        with unknown_members_ignored(self.options.unknown_members == "ignore"):
            problem = schema.first_problem(body)
        if problem is None:
            return body
        if is_order:
            code = "missing_parameters" if problem[1] == REQUIRED else "validation_error"
            raise refused_order(code, f"Invalid request body: {sentence(problem)}.")
        text = "This field is required." if problem[1] == REQUIRED else f"This field {problem[1]}."
        raise wrong_field(problem[0], f"There is no field {problem[0]!r}." if problem[1] == UNKNOWN else text)

    # Limits ----------------------------------------------------------------------------------------------------------

    def _spend(self, request: HttpRequest) -> Budget:
        """The whole account shares one limit, whatever the key; the flood guards are counted beside it."""
        limits: list[tuple[str, tuple[int, float]]] = []
        if self.options.rate_limit is not None:
            limits.append(("account", self.options.rate_limit))
        if self.options.flood_guards:
            limits.append((f"address {request.client}", _FLOOD_BY_ADDRESS))
            limits.append((f"key {request.headers.get('authorization', '')}", _FLOOD_BY_KEY))
        now = self._now()
        with self._lock:
            for client, (most, seconds) in limits:
                budget = self._limiter.spend(client=client, now=now, requests=most, window_seconds=seconds)
                if budget.is_exceeded:
                    return budget
        return Budget(remaining=0, resets_at=now, is_exceeded=False)

    def _too_many(self, budget: Budget) -> Reply:
        wait = budget.seconds_left(now=self._now())
        text = f"Request was throttled. Expected available in {wait} seconds."
        reply = json_reply(self.options.throttle_status, {"detail": text})
        headers = (("Retry-After", str(wait)),) if self.options.retry_after_sent else ()
        return Reply(status=reply.status, body=reply.body, headers=headers)


def _ids(route: Route) -> tuple[int, ...]:
    if any(not part.isdecimal() for part in route.ids):
        raise no_such("object")
    return tuple(int(part) for part in route.ids)


def _read_body(request: HttpRequest, *, is_order: bool) -> Any:
    try:
        return read_json(request)
    except ApiError as problem:
        if is_order:
            raise refused_order("invalid_json", problem.message) from None
        raise
