"""A sandbox's own HTTP interface, for tests and benchmarks that run it in another process.

No part of the emulated API, needs no token, is neither recorded nor subject to faults, latency or rate limit:

    GET  /_control/licenses, …                        what there is, as the API shows it
    GET  /_control/requests/count                     {"POST /v3/licenses": 3, …}
    POST /_control/requests/clear                     forget the requests
    GET  /_control/faults                             programmed faults still to come
    POST /_control/faults                             {"kind", "method", "path", "times", …} as ``FaultPlan.add``,
                                                      {"random": {"rate", …}} or {"clear": true}
    POST /_control/latency                            {"seconds": 0.2}
    POST /_control/visibility-delay                   {"seconds": 5}
    POST /_control/options                            members of the sandbox's options
    POST /_control/reset                              back to an account without customers

Each sandbox adds the kinds it can list and the things an owner of an account sets up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from licensing_integration.sandbox.errors import ApiError
from licensing_integration.sandbox.http_server import HttpRequest, Reply
from licensing_integration.sandbox.wire import json_reply, read_json

if TYPE_CHECKING:
    from licensing_integration.sandbox.emulator import Emulator


class Control:
    """Answers the control requests of one sandbox.

    ``kinds``: what ``GET /_control/<kind>`` may list. ``actions``: name -> what ``POST /_control/<name>`` does with its
    JSON object, given as keyword arguments.
    """

    def __init__(self, box: Emulator, *, kinds: tuple[str, ...], actions: Mapping[str, Callable[..., Any]]) -> None:
        self._box = box
        self._kinds = kinds
        self._made = dict(actions)
        self._actions: dict[tuple[str, str], Callable[[HttpRequest], Any]] = {
            ("GET", "requests/count"): lambda request: box.request_counts,
            ("POST", "requests/clear"): lambda request: box.clear_requests(),
            ("GET", "faults"): lambda request: [asdict(entry) for entry in box.faults.pending],
            ("POST", "faults"): self._program_faults,
            ("POST", "latency"): self._set_latency,
            ("POST", "visibility-delay"): self._set_visibility_delay,
            ("POST", "options"): self._set_options,
            ("POST", "reset"): lambda request: box.reset(),
        }

    def answer(self, request: HttpRequest) -> Reply:
        try:
            result = self._do(request, name=request.path.removeprefix("/_control/"))
            return result if isinstance(result, Reply) else json_reply(200, result)
        except ApiError as problem:
            return json_reply(problem.status, {"message": problem.message})
        except (TypeError, ValueError, KeyError, AttributeError) as problem:
            return json_reply(400, {"message": f"The sandbox cannot do that: {problem!r}"})

    def _do(self, request: HttpRequest, *, name: str) -> Any:
        if request.method == "GET" and name in self._kinds:
            return Reply(status=200, body=self._box.dump(name))
        if request.method == "POST" and name in self._made:
            return self._made[name](**read_json(request))
        action = self._actions.get((request.method, name))
        if action is None:
            raise ApiError(404, "No such control.")
        return action(request)

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
        unknown = wanted.keys() - {option.name for option in fields(self._box.options)}
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
