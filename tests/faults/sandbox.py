"""The license-server sandboxes, and a protocol of what they were asked and when: what no API would tell."""

from __future__ import annotations

import json
import re
import threading
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.emulator import Emulator
from licensing_integration.sandbox.faults import Fault
from licensing_integration.sandbox.http_server import HttpRequest, Later, Outcome, Reply
from licensing_integration.sandbox.licensespring import LicenseSpringSandbox
from licensing_integration.sandbox.rate_limit import Budget
from licensing_integration.sandbox.router import Route
from tests.faults.servers import CRYPTLEX, SLOT, SPRING, Call, Seen, Server


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


class WatchedSandbox(Emulator):
    """Keeps a protocol. Everything it sees happens on the sandbox's one event loop."""

    server: Server
    access_token: str

    def __init__(self, **options: Any) -> None:
        self.protocol = Protocol()
        self._watching = threading.Lock()
        super().__init__(**options)
        self._first_options = dict(vars(self.options))

    def reset(self) -> None:
        with self._watching:
            self.protocol = Protocol()
        vars(self.options).update(self._first_options)
        super().reset()

    @property
    def seen(self) -> list[Seen]:
        """Every license there is."""
        return [self.server.read(license) for license in json.loads(self.dump("licenses"))]

    def answers(self, call: Call) -> list[int]:
        """The statuses with which a call was answered so far, 0 for a cut connection."""
        return [
            record.status for record in self.requests if (record.method, record.template) == (call.method, call.path)
        ]

    @property
    @abstractmethod
    def people(self) -> list[str]:
        """The addresses of everybody of whom the server should know no more than one."""

    @abstractmethod
    def _wanted_slot(self, body: Any) -> str:
        """The slot of a request for a new license."""

    @abstractmethod
    def _made(self, answer: Any) -> Iterator[tuple[str, str]]:
        """License id and slot of what an answer says was made."""

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
        issue = self.server.calls["issue"]
        if (request.method, request.path) == (issue.method, issue.path):
            return self._wanted_slot(json.loads(request.body))
        match = re.search(r"/licenses/([^/]+)", request.path)
        return self.protocol.slots.get(match[1], "") if match else ""

    def _answer(self, request: HttpRequest, route: Route) -> Reply:
        reply = super()._answer(request, route)
        if 200 <= reply.status < 300 and request.method == "POST":
            if route.template == self.server.calls["issue"].path:
                for license_id, slot in self._made(json.loads(reply.body)):
                    self.protocol.made[slot] += 1
                    self.protocol.slots[license_id] = slot
            elif route.template.endswith("/renew"):
                self.protocol.renewed[route.ids[0]] += 1
        return reply

    def _fail(self, request: HttpRequest, route: Route, fault: Fault, budget: Budget) -> Outcome:
        self.protocol.faults[fault.kind.value] += 1
        return super()._fail(request, route, fault, budget)

    def _too_many(self, budget: Budget) -> Reply:
        self.protocol.faults["too_many_requests"] += 1
        return super()._too_many(budget)


class WatchedCryptlex(WatchedSandbox, CryptlexSandbox):
    """Cryptlex: one user for each address, one license for each request."""

    server = CRYPTLEX

    @property
    def people(self) -> list[str]:
        return [user["email"] for user in self.users]

    def _wanted_slot(self, body: Any) -> str:
        return next((entry["value"] for entry in body.get("metadata", ()) if entry["key"] == SLOT), "")

    def _made(self, answer: Any) -> Iterator[tuple[str, str]]:
        seen = self.server.read(answer)
        yield seen.license_id, seen.slot


class WatchedLicenseSpring(WatchedSandbox, LicenseSpringSandbox):
    """LicenseSpring: one order for each license; it makes a customer for each of them, which is its own affair."""

    server = SPRING

    @property
    def access_token(self) -> str:
        return self.api_key

    @property
    def people(self) -> list[str]:
        return []

    def _wanted_slot(self, body: Any) -> str:
        return str(body["items"][0]["licenses"][0]["metadata"][SLOT])

    def _made(self, answer: Any) -> Iterator[tuple[str, str]]:
        for item in answer["order_items"]:
            for license in item["licenses"]:
                yield str(license["id"]), license["metadata"][SLOT]
