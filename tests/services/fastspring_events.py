"""FastSpring's list of undelivered events, as far as it is documented, over HTTP.

https://developer.fastspring.com/reference/get-unprocessed-events: a window in milliseconds, 25 events at most, and
``more`` when there are more.
"""

from __future__ import annotations

import json
from urllib.parse import parse_qs

from licensing_integration.sandbox.fastspring import Event
from licensing_integration.sandbox.http_server import HttpRequest, HttpServer, Outcome, Reply

LISTED_AT_ONCE = 25


class FastSpringEvents:
    """``events`` is what it lists; ``status`` what it answers from the ``fails_after``-th request on."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.requests: list[HttpRequest] = []
        self.fails_after: int | None = None
        self.status = 500
        self._server = HttpServer(application=self._answer)
        self.base_url = f"http://127.0.0.1:{self._server.start(host='127.0.0.1', port=0)}"

    def stop(self) -> None:
        self._server.stop()

    def _answer(self, request: HttpRequest) -> Outcome:
        self.requests.append(request)
        if self.fails_after is not None and len(self.requests) > self.fails_after:
            return _json(self.status, {"error": "Not now."})
        if (request.method, request.path) != ("GET", "/events/unprocessed"):
            return _json(404, {"error": "There is nothing else here."})
        query = {name: int(values[0]) for name, values in parse_qs(request.query).items()}
        found = [event for event in self.events if query["begin"] <= event["created"] <= query["end"]]
        answer = {"action": "events.get", "result": "success", "total": len(found), "events": found[:LISTED_AT_ONCE]}
        return _json(200, answer if len(found) <= LISTED_AT_ONCE else {**answer, "more": True})


def _json(status: int, value: object) -> Reply:
    return Reply(status=status, body=json.dumps(value).encode())
