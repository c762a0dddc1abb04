"""The sandbox's own HTTP interface, for tests and benchmarks that run it in another process.

No part of the emulated API, needs no token, is neither recorded nor subject to faults, latency or rate limit:

    GET  /_control/licenses, /_control/users          what there is, as the API shows it
    GET  /_control/requests/count                     {"POST /v3/licenses": 3, …}
    POST /_control/requests/clear                     forget the requests
    GET  /_control/faults                             programmed faults still to come
    POST /_control/faults                             {"kind", "method", "path", "times", …} as ``FaultPlan.add``,
                                                      {"random": {"rate", …}} or {"clear": true}
    POST /_control/latency                            {"seconds": 0.2}
    POST /_control/visibility-delay                   {"seconds": 5}
    POST /_control/options                            members of ``SandboxOptions``
    POST /_control/products, /_control/templates      as ``Catalog.add_product``, ``Catalog.add_template``
    POST /_control/reset                              back to an account without customers
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from licensing_integration.sandbox.cryptlex_call import SandboxOptions
from licensing_integration.sandbox.cryptlex_errors import ApiError
from licensing_integration.sandbox.http_server import HttpRequest, Reply
from licensing_integration.sandbox.wire import json_reply, read_json

if TYPE_CHECKING:
    from licensing_integration.sandbox.cryptlex import CryptlexSandbox

_OPTION_NAMES = frozenset(option.name for option in fields(SandboxOptions))


class Control:
    """Answers the control requests of one sandbox."""

    def __init__(self, box: CryptlexSandbox) -> None:
        self._box = box
        self._actions: dict[tuple[str, str], Callable[[HttpRequest], Any]] = {
            ("GET", "/_control/licenses"): lambda request: Reply(status=200, body=box.dump("licenses")),
            ("GET", "/_control/users"): lambda request: Reply(status=200, body=box.dump("users")),
            ("GET", "/_control/requests/count"): lambda request: box.request_counts,
            ("POST", "/_control/requests/clear"): lambda request: box.clear_requests(),
            ("GET", "/_control/faults"): lambda request: [asdict(entry) for entry in box.faults.pending],
            ("POST", "/_control/faults"): self._program_faults,
            ("POST", "/_control/latency"): self._set_latency,
            ("POST", "/_control/visibility-delay"): self._set_visibility_delay,
            ("POST", "/_control/options"): self._set_options,
            ("POST", "/_control/products"): lambda request: box.add_product(**read_json(request)),
            ("POST", "/_control/templates"): lambda request: box.add_template(**read_json(request)),
            ("POST", "/_control/reset"): lambda request: box.reset(),
        }

    def answer(self, request: HttpRequest) -> Reply:
        action = self._actions.get((request.method, request.path))
        if action is None:
            return json_reply(404, {"message": "No such control."})
        try:
            result = action(request)
            return result if isinstance(result, Reply) else json_reply(200, result)
        except ApiError as problem:
            return json_reply(problem.status, {"message": problem.message})
        except (TypeError, ValueError, KeyError, AttributeError) as problem:
            return json_reply(400, {"message": f"The sandbox cannot do that: {problem!r}"})

    def _program_faults(self, request: HttpRequest) -> None:
        wanted = read_json(request)
        if wanted.pop("clear", False):
            self._box.faults.clear()
        if "random" in wanted:
            self._box.faults.random(**wanted.pop("random"))
        if wanted:
            self._box.faults.add(**wanted)

    def _set_latency(self, request: HttpRequest) -> None:
        self._box.latency = _seconds(request)

    def _set_visibility_delay(self, request: HttpRequest) -> None:
        self._box.visibility_delay = _seconds(request)

    def _set_options(self, request: HttpRequest) -> dict[str, Any]:
        wanted = read_json(request)
        unknown = wanted.keys() - _OPTION_NAMES
        if unknown:
            raise ValueError(f"no such options: {sorted(unknown)}")
        for name, value in wanted.items():
            setattr(self._box.options, name, value)
        return asdict(self._box.options)


def _seconds(request: HttpRequest) -> float:
    seconds = float(read_json(request)["seconds"])
    if seconds < 0:
        raise ValueError("seconds must not be negative")
    return seconds
