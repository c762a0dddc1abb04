"""A strict and, on demand, nasty emulator of the Cryptlex Web API v3 over real HTTP; for trials, tests and benchmarks.

    with CryptlexSandbox(access_token="sandbox-token") as box:
        requests.get(f"{box.base_url}/v3/me", headers={"Authorization": "Bearer sandbox-token"}, timeout=5)

It is built on the published OpenAPI document; where that is silent it behaves as ``SandboxOptions`` says. State lives
in memory. It never stands in for the real service: nothing outside tests, demo and benchmarks may import it.
"""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, Self

from licensing_integration.sandbox.cryptlex_call import Call, Operation, SandboxOptions
from licensing_integration.sandbox.cryptlex_catalog import (
    DEMO_ENTITLEMENT_SETS,
    DEMO_PRODUCTS,
    DEMO_TEMPLATES,
    Catalog,
)
from licensing_integration.sandbox.cryptlex_control import Control
from licensing_integration.sandbox.cryptlex_errors import ApiError, invalid
from licensing_integration.sandbox.cryptlex_filters import parse_query, read_pairs
from licensing_integration.sandbox.cryptlex_operations import ALL_PERMISSIONS, Route, Router
from licensing_integration.sandbox.cryptlex_store import CryptlexStore
from licensing_integration.sandbox.cryptlex_terms import activate_license
from licensing_integration.sandbox.faults import Fault, FaultKind, FaultPlan
from licensing_integration.sandbox.http_server import Drop, HttpRequest, HttpServer, Later, Outcome, Reply
from licensing_integration.sandbox.moments import to_wire, utc_now
from licensing_integration.sandbox.rate_limit import Budget, RateLimiter
from licensing_integration.sandbox.wire import RecordedRequest, json_reply, read_json

__all__ = ["CryptlexSandbox", "RecordedRequest", "SandboxOptions"]

# Sent while no limit is set: the real service's figures, never used up.
_UNLIMITED = 50
_UNLIMITED_WINDOW_SECONDS = 5.0


class CryptlexSandbox:
    """One emulated account with one access token. Thread-safe; usable as a context manager.

    ``products`` / ``templates``: keyword arguments for ``add_product`` / ``add_template``, instead of the demo account.
    ``permissions``: what the token may do; ``None`` = everything. ``latency``: seconds added to each request, half of
    them before it is carried out. ``visibility_delay``: seconds, by ``clock``, for which a new license or user
    is missing from lists.
    """

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
        self.clock = clock
        self.faults = FaultPlan()
        self.latency = 0.0
        self.visibility_delay = 0.0
        self.base_url = ""
        self._lock = threading.RLock()
        self._store = CryptlexStore()
        self._catalog = Catalog(self._store, clock=self._now)
        self._requests: deque[RecordedRequest] = deque(maxlen=kept_requests)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._limiter = RateLimiter()
        self._router = Router()
        self._control = Control(self)
        self._server = HttpServer(application=self._receive)
        self._set_up(products=products, templates=templates)

    # Running ---------------------------------------------------------------------------------------------------------

    def start(self, *, host: str = "127.0.0.1", port: int = 0) -> Self:
        """Listen; ``base_url`` then says where."""
        chosen = self._server.start(host=host, port=port)
        self.base_url = f"http://{host}:{chosen}"
        return self

    def stop(self) -> None:
        self._server.stop()

    def __enter__(self) -> Self:
        return self if self.base_url else self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

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

    def dump(self, what: Literal["licenses", "users"]) -> bytes:
        """All of them as a JSON array; many times faster than copying a large account."""
        with self._lock:
            collection = self._store.licenses if what == "licenses" else self._store.users
            return json_reply(200, [record.shown for record in collection]).body

    def _copies(self, what: Literal["licenses", "users"]) -> list[dict[str, Any]]:
        copies: list[dict[str, Any]] = json.loads(self.dump(what))
        return copies

    # What happened ---------------------------------------------------------------------------------------------------

    @property
    def requests(self) -> list[RecordedRequest]:
        """The latest requests, oldest first; control requests are not among them."""
        with self._lock:
            return list(self._requests)

    @property
    def request_counts(self) -> dict[str, int]:
        """Number of requests by ``METHOD /path/{template}``, since the start or the last ``clear_requests``."""
        with self._lock:
            return {f"{method} {template}": count for (method, template), count in self._counts.items()}

    def clear_requests(self) -> None:
        with self._lock:
            self._requests.clear()
            self._counts.clear()

    def reset(self) -> None:
        """Forget licenses, users, requests, faults and delays; products and templates stay."""
        with self._lock:
            self._store.forget_customers()
            self._limiter.forget()
            self.clear_requests()
            self.faults.clear()
            self.latency = self.visibility_delay = 0.0

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

    def _now(self) -> datetime:
        return self.clock()

    def _receive(self, request: HttpRequest) -> Outcome:
        if request.path.startswith("/_control/"):
            with self._lock:
                return self._control.answer(request)
        half = self.latency / 2
        if half:
            return Later(half, lambda: _delayed(half, self._admit(request)))
        return self._admit(request)

    def _admit(self, request: HttpRequest) -> Outcome:
        route = self._router.find(request.method, request.path)
        budget = self._spend(request)
        if budget.is_exceeded:
            return self._finish(request, route, self._too_many(budget), budget)
        fault = self.faults.take(method=request.method, path=request.path, template=route.template)
        if fault is None:
            return self._finish(request, route, self._answer(request, route), budget)
        return self._fail(request, route, fault, budget)

    def _fail(self, request: HttpRequest, route: Route, fault: Fault, budget: Budget) -> Outcome:
        def answer() -> Reply:
            return self._finish(request, route, self._answer(request, route), budget)

        if fault.kind is FaultKind.DELAY:
            return Later(fault.seconds, answer)
        if fault.kind is FaultKind.COMMIT_THEN_DELAY:
            reply = answer()
            return Later(fault.seconds, lambda: reply)
        if fault.kind in (FaultKind.COMMIT_THEN_DROP, FaultKind.COMMIT_THEN_STATUS):
            self._answer(request, route)
        if fault.kind in (FaultKind.COMMIT_THEN_DROP, FaultKind.DROP):
            self._record(request, route, Reply(status=0))
            return Drop()
        return self._record(request, route, self._faulty_reply(fault))

    def _answer(self, request: HttpRequest, route: Route) -> Reply:
        with self._lock:
            try:
                return self._carry_out(request, route)
            except ApiError as problem:
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
            operation.body.validate(members["body"])
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

    # Limits, faults, records -----------------------------------------------------------------------------------------

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

    def _faulty_reply(self, fault: Fault) -> Reply:
        headers = []
        if fault.retry_after is not None:
            headers.append(("Retry-After", str(fault.retry_after)))
        if fault.reset_in is not None:
            reset = to_wire(self._now() + timedelta(seconds=fault.reset_in))
            headers.append(("X-Rate-Limit-Reset", reset))
        if fault.raw_body is not None:
            body, content_type = fault.raw_body.encode(), "text/html; charset=utf-8"
            return Reply(status=fault.status, body=body, headers=tuple(headers), content_type=content_type)
        body = json.dumps({"message": fault.message, "code": fault.code}).encode()
        return Reply(status=fault.status, body=body, headers=tuple(headers))

    def _finish(self, request: HttpRequest, route: Route, reply: Reply, budget: Budget) -> Reply:
        window = _UNLIMITED_WINDOW_SECONDS if self.options.rate_limit is None else self.options.rate_limit[1]
        headers = (
            ("X-Rate-Limit-Limit", f"{window:g}s"),
            ("X-Rate-Limit-Remaining", str(budget.remaining)),
            ("X-Rate-Limit-Reset", to_wire(budget.resets_at)),
        )
        complete = Reply(
            status=reply.status, body=reply.body, headers=reply.headers + headers, content_type=reply.content_type
        )
        return self._record(request, route, complete)

    def _record(self, request: HttpRequest, route: Route, reply: Reply) -> Reply:
        recorded = RecordedRequest(
            method=request.method,
            path=request.path,
            template=route.template,
            raw_query=request.query,
            raw_body=request.body,
            status=reply.status,
            raw_response=reply.body,
        )
        with self._lock:
            self._requests.append(recorded)
            self._counts[request.method, route.template or request.path] += 1
        return reply


def _delayed(seconds: float, outcome: Outcome) -> Outcome:
    """The outcome, so many seconds later."""
    if isinstance(outcome, Later):
        return Later(outcome.seconds, lambda: _delayed(seconds, outcome.then()))
    return Later(seconds, lambda: outcome)
