"""The Cryptlex sandbox, and a protocol of what it was asked and when: what no API would tell."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.faults import Fault
from licensing_integration.sandbox.http_server import HttpRequest, Later, Outcome, Reply
from licensing_integration.sandbox.rate_limit import Budget
from licensing_integration.sandbox.router import Route

SLOT = "licensing_integration_slot"


@dataclass
class Protocol:
    """``made``: slot → licenses ever created for it. ``renewed``: license id → renewals carried out. ``faults``: kind →
    how often. ``overlaps``: slots for which a request came in while another was being answered."""

    made: Counter[str] = field(default_factory=Counter)
    renewed: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    overlaps: list[str] = field(default_factory=list)
    open: Counter[str] = field(default_factory=Counter)
    slots: dict[str, str] = field(default_factory=dict)  # license id → slot


class WatchedSandbox(CryptlexSandbox):
    """Keeps a protocol. Everything it sees happens on the sandbox's one event loop."""

    def __init__(self, **options: Any) -> None:
        self.protocol = Protocol()
        self._watching = threading.Lock()
        super().__init__(**options)

    def reset(self) -> None:
        with self._watching:
            self.protocol = Protocol()
        self.options.rate_limit = None
        super().reset()

    def _receive(self, request: HttpRequest) -> Outcome:
        slot = self._slot_of(request)
        if not slot:
            return super()._receive(request)
        protocol = self.protocol
        if protocol.open[slot]:
            protocol.overlaps.append(slot)
        protocol.open[slot] += 1
        return self._watch(protocol, slot, super()._receive(request))

    def _watch(self, protocol: Protocol, slot: str, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Later):
            return Later(outcome.seconds, lambda: self._watch(protocol, slot, outcome.then()))
        protocol.open[slot] -= 1
        return outcome

    def _slot_of(self, request: HttpRequest) -> str:
        if (request.method, request.path) == ("POST", "/v3/licenses"):
            return _slot(json.loads(request.body))
        parts = request.path.split("/")
        return self.protocol.slots.get(parts[3], "") if len(parts) > 3 and parts[2] == "licenses" else ""

    def _answer(self, request: HttpRequest, route: Route) -> Reply:
        reply = super()._answer(request, route)
        if 200 <= reply.status < 300 and request.method == "POST":
            if route.template == "/v3/licenses":
                made = json.loads(reply.body)
                self.protocol.made[_slot(made)] += 1
                self.protocol.slots[made["id"]] = _slot(made)
            elif route.template.endswith("/renew"):
                self.protocol.renewed[request.path.split("/")[3]] += 1
        return reply

    def _fail(self, request: HttpRequest, route: Route, fault: Fault, budget: Budget) -> Outcome:
        self.protocol.faults[fault.kind.value] += 1
        return super()._fail(request, route, fault, budget)

    def _too_many(self, budget: Budget) -> Reply:
        self.protocol.faults["too_many_requests"] += 1
        return super()._too_many(budget)


def _slot(data: Any) -> str:
    return next((entry["value"] for entry in data.get("metadata", ()) if entry["key"] == SLOT), "")
