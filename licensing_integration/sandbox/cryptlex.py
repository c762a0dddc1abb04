"""A strict and, on demand, nasty emulator of the Cryptlex Web API v3 over real HTTP; for trials, tests and benchmarks.

    with CryptlexSandbox(access_token="sandbox-token") as box:
        requests.get(f"{box.base_url}/v3/me", headers={"Authorization": "Bearer sandbox-token"}, timeout=5)

It is built on the published OpenAPI document; where that is silent it behaves as ``SandboxOptions`` says. State lives
in memory. It never stands in for the real service: nothing outside tests, demo and benchmarks may import it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from licensing_integration.sandbox.body_checks import validate
from licensing_integration.sandbox.control import Control
from licensing_integration.sandbox.cryptlex_call import Call, SandboxOptions
from licensing_integration.sandbox.cryptlex_catalog import (
    DEMO_ENTITLEMENT_SETS,
    DEMO_PRODUCTS,
    DEMO_TEMPLATES,
    Catalog,
)
from licensing_integration.sandbox.cryptlex_filters import parse_query
from licensing_integration.sandbox.cryptlex_operations import ALL_PERMISSIONS, OPERATIONS
from licensing_integration.sandbox.cryptlex_store import CryptlexStore
from licensing_integration.sandbox.cryptlex_terms import activate_license
from licensing_integration.sandbox.emulator import Emulator
from licensing_integration.sandbox.errors import ApiError, invalid
from licensing_integration.sandbox.faults import Fault
from licensing_integration.sandbox.http_server import HttpRequest, Reply
from licensing_integration.sandbox.moments import to_wire, utc_now
from licensing_integration.sandbox.rate_limit import Budget, RateLimiter
from licensing_integration.sandbox.router import Operation, Route, Router
from licensing_integration.sandbox.wire import RecordedRequest, json_reply, read_json, read_pairs

__all__ = ["CryptlexSandbox", "RecordedRequest", "SandboxOptions"]

# Sent while no limit is set: the real service's figures, never used up.
_UNLIMITED = 50
_UNLIMITED_WINDOW_SECONDS = 5.0


class CryptlexSandbox(Emulator):
    """One emulated account with one access token.

    ``products`` / ``templates``: keyword arguments for ``add_product`` / ``add_template``, instead of the demo account.
    ``permissions``: what the token may do; ``None`` = everything.
    """

    name = "Cryptlex"

    def __init__(
        self,
        *,
        access_token: str = "sandbox-token",  # noqa: S107 - opens nothing but this emulator
        products: Iterable[Mapping[str, Any]] | None = None,
        templates: Iterable[Mapping[str, Any]] | None = None,
        permissions: Iterable[str] | None = None,
        accept_any_product: bool = False,
        options: SandboxOptions | None = None,
        clock: Callable[[], datetime] = utc_now,
        kept_requests: int = 100_000,
    ) -> None:
        self.access_token = access_token
        self.permissions = None if permissions is None else frozenset(permissions)
        self.options = options or SandboxOptions()
        self.options.accept_any_product = self.options.accept_any_product or accept_any_product
        self._store = CryptlexStore()
        self._catalog = Catalog(self._store, clock=self._now)
        self._limiter = RateLimiter()
        super().__init__(router=Router(OPERATIONS), clock=clock, kept_requests=kept_requests)
        self._set_up(products=products, templates=templates)

    # The account -----------------------------------------------------------------------------------------------------

    def add_product(self, **members: Any) -> dict[str, Any]:
        """See ``Catalog.add_product``: ``id``, ``name``, ``template_id``, ``metadata``."""
        with self._lock:
            return self._catalog.add_product(**members)

    def add_template(self, **members: Any) -> dict[str, Any]:
        """See ``Catalog.add_template``: ``id``, ``name``, ``interval``, ``required_metadata_keys``, wire members."""
        with self._lock:
            return self._catalog.add_template(**members)

    def add_entitlement_set(self, **members: Any) -> dict[str, Any]:
        """See ``Catalog.add_entitlement_set``: ``id``, ``name``, ``product_ids``, ``tier``, ``features``."""
        with self._lock:
            return self._catalog.add_entitlement_set(**members)

    def add_feature(self, **members: Any) -> dict[str, Any]:
        """See ``Catalog.add_feature``: ``id``, ``name``, ``display_name``."""
        with self._lock:
            return self._catalog.add_feature(**members)

    def add_maintenance_policy(self, **members: Any) -> dict[str, Any]:
        """See ``Catalog.add_maintenance_policy``: ``id``, ``name``, ``interval``, ``trigger``."""
        with self._lock:
            return self._catalog.add_maintenance_policy(**members)

    def activate(self, license_id: str) -> None:
        """What the first activation by a customer's machine does to a license."""
        with self._lock:
            activate_license(self._store.licenses.get(license_id), now=self._now())

    @property
    def licenses(self) -> list[dict[str, Any]]:
        """Every license as the API shows it, oldest first; copies."""
        return self._copies("licenses")

    @property
    def users(self) -> list[dict[str, Any]]:
        """Every user as the API shows it, oldest first; copies."""
        return self._copies("users")

    def dump(self, what: str) -> bytes:
        with self._lock:
            collection = {"licenses": self._store.licenses, "users": self._store.users}[what]
            return json_reply(200, [record.shown for record in collection]).body

    # Answering -------------------------------------------------------------------------------------------------------

    def _set_up(
        self, *, products: Iterable[Mapping[str, Any]] | None, templates: Iterable[Mapping[str, Any]] | None
    ) -> None:
        for template in DEMO_TEMPLATES if templates is None else templates:
            self._catalog.add_template(**template)
        # The demo products name demo templates: they come only with these.
        demo_products = DEMO_PRODUCTS if templates is None else ()
        for product in demo_products if products is None else products:
            self._catalog.add_product(**product)
        if products is None and templates is None:
            for entitlement_set in DEMO_ENTITLEMENT_SETS:
                self._catalog.add_entitlement_set(**entitlement_set)

    def _make_control(self) -> Control:
        actions = {"products": self.add_product, "templates": self.add_template}
        return Control(self, kinds=("licenses", "users"), actions=actions)

    def _forget_customers(self) -> None:
        self._store.forget_customers()
        self._limiter.forget()

    def _refusal(self, problem: ApiError) -> Reply:
        return json_reply(problem.status, {"message": problem.message, "code": problem.code})

    def _carry_out(self, request: HttpRequest, route: Route) -> Reply:
        operation = route.operation
        if not route.template:
            raise ApiError(404, "No such path.")
        if operation is None:
            raise ApiError(405, "The sandbox does not offer this method here.")
        if not operation.is_public:
            self._authorise(request, operation)
        result = operation.handler(self._call(request, route, operation))
        if operation.status == 204:
            return Reply(status=204)
        if isinstance(result, str):
            return Reply(status=operation.status, body=result.encode(), content_type="text/csv; charset=utf-8")
        return json_reply(operation.status, result)

    def _authorise(self, request: HttpRequest, operation: Operation) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token != self.access_token:
            raise ApiError(401, "The access token is missing, malformed, expired or revoked.")
        needed = operation.permissions
        if needed and self.permissions is not None and self.permissions.isdisjoint(needed):
            raise ApiError(403, f"The access token lacks the permission {needed[0]}.")

    def _call(self, request: HttpRequest, route: Route, operation: Operation) -> Call:
        members: dict[str, Any] = {}
        parameters = read_pairs(request.query)
        if operation.filters is not None:
            members["query"] = parse_query(parameters, filters=operation.filters, searchable=operation.searchable)
        elif parameters:
            raise invalid(f"Invalid query: unknown parameter '{next(iter(parameters))}'.")
        if operation.body is not None:
            members["body"] = read_json(request)
            validate(members["body"], schema=operation.body)
        elif request.body:
            raise invalid("Invalid request body: this operation has none.")
        now = self._now()
        return Call(
            store=self._store,
            catalog=self._catalog,
            options=self.options,
            now=now,
            stamp=to_wire(now),
            visibility_delay=self.visibility_delay,
            scopes=ALL_PERMISSIONS if self.permissions is None else self.permissions,
            ids=route.ids,
            **members,
        )

    # Limits and faults -----------------------------------------------------------------------------------------------

    def _spend(self, request: HttpRequest) -> Budget:
        now = self._now()
        limit = self.options.rate_limit
        if limit is None:
            resets_at = now + timedelta(seconds=_UNLIMITED_WINDOW_SECONDS)
            return Budget(remaining=_UNLIMITED, resets_at=resets_at, is_exceeded=False)
        with self._lock:
            return self._limiter.spend(client=request.client, now=now, requests=limit[0], window_seconds=limit[1])

    def _too_many(self, budget: Budget) -> Reply:
        reply = json_reply(429, {"message": "API calls quota exceeded.", "code": None})
        if not self.options.retry_after_sent:
            return reply
        wait = str(budget.seconds_left(now=self._now()))
        return Reply(status=429, body=reply.body, headers=(("Retry-After", wait),))

    def _limit_headers(self, budget: Budget) -> tuple[tuple[str, str], ...]:
        window = _UNLIMITED_WINDOW_SECONDS if self.options.rate_limit is None else self.options.rate_limit[1]
        return (
            ("X-Rate-Limit-Limit", f"{window:g}s"),
            ("X-Rate-Limit-Remaining", str(budget.remaining)),
            ("X-Rate-Limit-Reset", to_wire(budget.resets_at)),
        )

    def _fault_headers(self, fault: Fault) -> tuple[tuple[str, str], ...]:
        if fault.reset_in is None:
            return super()._fault_headers(fault)
        reset = to_wire(self._now() + timedelta(seconds=fault.reset_in))
        return (*super()._fault_headers(fault), ("X-Rate-Limit-Reset", reset))
