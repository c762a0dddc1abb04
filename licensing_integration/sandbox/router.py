"""The operation table of an emulated service, and how a path finds its operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from licensing_integration.sandbox.body_checks import Schema


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One row of the operation table. ``handler`` gets the call and returns what is answered.

    ``permissions``: any one of them suffices; none = any valid token. ``body``: the request body it takes, ``None`` =
    none; ``filters``: this is a list operation, with these filters.
    """

    method: str
    path: str
    handler: Callable[[Any], Any]
    permissions: tuple[str, ...] = ()
    status: int = 200
    body: Schema | None = None
    filters: Mapping[str, Any] | None = None
    searchable: bool = True
    is_public: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """Where a request goes. ``template`` is empty for an unknown path; ``operation`` is ``None`` for a wrong method."""

    template: str = ""
    operation: Operation | None = None
    ids: tuple[str, ...] = ()


class Router:
    """Finds the operation of a path; fixed segments win over ids."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._exact: dict[str, dict[str, Operation]] = {}
        self._patterns: dict[int, list[tuple[list[str], str]]] = {}
        for operation in operations:
            methods = self._exact.setdefault(operation.path, {})
            if not methods and "{" in operation.path:
                segments = operation.path.split("/")
                self._patterns.setdefault(len(segments), []).append((segments, operation.path))
            methods[operation.method] = operation

    def find(self, method: str, path: str) -> Route:
        if "{" not in path and path in self._exact:
            return Route(template=path, operation=self._exact[path].get(method))
        segments = path.split("/")
        for pattern, template in self._patterns.get(len(segments), ()):
            ids = _match(pattern, segments)
            if ids is not None:
                return Route(template=template, operation=self._exact[template].get(method), ids=ids)
        return Route()


def _match(pattern: list[str], segments: list[str]) -> tuple[str, ...] | None:
    ids = []
    for expected, actual in zip(pattern, segments, strict=True):
        if expected.startswith("{"):
            if not actual:
                return None
            ids.append(actual)
        elif expected != actual:
            return None
    return tuple(ids)
