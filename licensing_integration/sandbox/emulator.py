"""What every emulated license server is: an HTTP server with faults, latency, a request budget, a memory of requests.

A subclass says how its service lets somebody in, carries out a request, counts requests and writes its errors.
"""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime
from typing import Any, Self

from licensing_integration.sandbox.control import Control
from licensing_integration.sandbox.errors import ApiError
from licensing_integration.sandbox.faults import Fault, FaultKind, FaultPlan
from licensing_integration.sandbox.http_server import Drop, HttpRequest, HttpServer, Later, Outcome, Reply
from licensing_integration.sandbox.moments import utc_now
from licensing_integration.sandbox.rate_limit import Budget
from licensing_integration.sandbox.router import Route, Router
from licensing_integration.sandbox.wire import RecordedRequest


class Emulator(ABC):
    """One emulated account. Thread-safe; usable as a context manager.

    ``latency``: seconds added to each request, half of them before it is carried out. ``visibility_delay``: seconds, by
    ``clock``, for which what is new is missing from lists. ``options``: a dataclass with the behaviour the vendor's
    documentation leaves open.
    """

    name: str  # the service, as its vendor writes it
    options: Any

    def __init__(
        self, *, router: Router, clock: Callable[[], datetime] = utc_now, kept_requests: int = 100_000
    ) -> None:
        self.clock = clock
        self.faults = FaultPlan()
        self.latency = 0.0
        self.visibility_delay = 0.0
        self.base_url = ""
        self._lock = threading.RLock()
        self._requests: deque[RecordedRequest] = deque(maxlen=kept_requests)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._router = router
        self._control = self._make_control()
        self._server = HttpServer(application=self._receive)

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
        """Forget customers and licenses, requests, faults and delays; the catalogue stays."""
        with self._lock:
            self._forget_customers()
            self.clear_requests()
            self.faults.clear()
            self.latency = self.visibility_delay = 0.0

    # What a subclass says --------------------------------------------------------------------------------------------

    @abstractmethod
    def dump(self, what: str) -> bytes:
        """All of a kind, such as ``licenses``, as a JSON array; many times faster than copying a large account."""

    @abstractmethod
    def _make_control(self) -> Control: ...

    @abstractmethod
    def _forget_customers(self) -> None: ...

    @abstractmethod
    def _carry_out(self, request: HttpRequest, route: Route) -> Reply:
        """Answer one request; raises ``ApiError``. The lock is held."""

    @abstractmethod
    def _refusal(self, problem: ApiError) -> Reply:
        """The error body of this service."""

    @abstractmethod
    def _spend(self, request: HttpRequest) -> Budget:
        """Count the request against the rate limit."""

    @abstractmethod
    def _too_many(self, budget: Budget) -> Reply: ...

    def _limit_headers(self, budget: Budget) -> tuple[tuple[str, str], ...]:
        """Headers of every answer that was not made up by a fault."""
        return ()

    def _fault_headers(self, fault: Fault) -> tuple[tuple[str, str], ...]:
        return () if fault.retry_after is None else (("Retry-After", str(fault.retry_after)),)

    # Answering -------------------------------------------------------------------------------------------------------

    def _copies(self, what: str) -> list[dict[str, Any]]:
        copies: list[dict[str, Any]] = json.loads(self.dump(what))
        return copies

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
                return self._refusal(problem)

    def _faulty_reply(self, fault: Fault) -> Reply:
        headers = self._fault_headers(fault)
        if fault.raw_body is not None:
            page = "text/html; charset=utf-8"
            return Reply(status=fault.status, body=fault.raw_body.encode(), headers=headers, content_type=page)
        body = self._refusal(ApiError(fault.status, fault.message, code=fault.code)).body
        return Reply(status=fault.status, body=body, headers=headers)

    def _finish(self, request: HttpRequest, route: Route, reply: Reply, budget: Budget) -> Reply:
        headers = reply.headers + self._limit_headers(budget)
        complete = Reply(status=reply.status, body=reply.body, headers=headers, content_type=reply.content_type)
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
