"""Faults a sandbox commits on request: programmed one by one, or at random with a seed."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any


class FaultKind(StrEnum):
    """What goes wrong with one request."""

    STATUS = "status"  # answer `status` without doing anything
    COMMIT_THEN_STATUS = "commit_then_status"  # do it, then answer `status` all the same
    COMMIT_THEN_DROP = "commit_then_drop"  # do it, then close the connection without an answer
    DROP = "drop"  # close the connection without doing anything
    DELAY = "delay"  # wait `seconds`, then do it and answer; done even if the client has given up meanwhile
    COMMIT_THEN_DELAY = "commit_then_delay"  # do it, wait `seconds`, then answer


RANDOM_KINDS = (FaultKind.STATUS, FaultKind.COMMIT_THEN_STATUS, FaultKind.COMMIT_THEN_DROP, FaultKind.DROP)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault. ``path`` is a path, a path template (``/v3/licenses/{id}``) or a pattern with ``*``; empty = all.

    ``retry_after``: value of the ``Retry-After`` header; ``reset_in``: seconds until the moment announced in
    ``X-Rate-Limit-Reset``; each header is left out when ``None``. ``raw_body`` replaces the JSON error body,
    as a proxy's page would. ``code``: machine code of the error body.
    """

    kind: FaultKind
    method: str = ""
    path: str = ""
    status: int = 500
    retry_after: float | str | None = None
    reset_in: float | None = None
    raw_body: str | None = None
    message: str = "The sandbox was told to fail."
    code: str | None = None
    seconds: float = 0.0

    def matches(self, *, method: str, path: str, template: str) -> bool:
        if self.method and self.method != method:
            return False
        return not self.path or self.path in (path, template) or fnmatchcase(path, self.path)


@dataclass(kw_only=True)
class Programmed:
    """A fault with the number of times it will still happen (``None`` = always), after ``skip`` spared requests."""

    fault: Fault
    times: int | None = 1
    skip: int = 0
    hits: int = 0

    @property
    def is_spent(self) -> bool:
        return self.times is not None and self.hits >= self.times


@dataclass(kw_only=True)
class _RandomFaults:
    rate: float
    faults: Sequence[Fault]
    source: random.Random = field(default_factory=random.Random)


class FaultPlan:
    """The faults a sandbox has been told to commit. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._programmed: list[Programmed] = []
        self._random: _RandomFaults | None = None

    def add(self, *, kind: str, times: int | None = 1, skip: int = 0, **options: Any) -> Programmed:
        """Let the next ``times`` matching requests fail, after ``skip`` spared ones; ``options`` as in ``Fault``."""
        programmed = Programmed(fault=Fault(kind=FaultKind(kind), **options), times=times, skip=skip)
        with self._lock:
            self._programmed.append(programmed)
        return programmed

    def random(
        self, *, rate: float, kinds: Sequence[str] = RANDOM_KINDS, seed: int | None = None, **options: Any
    ) -> None:
        """Let a share ``rate`` (0 to 1) of the matching requests fail, each in one of ``kinds``; 0 switches it off."""
        faults = [Fault(kind=FaultKind(kind), **options) for kind in kinds]
        if not 0 <= rate <= 1 or not faults:
            raise ValueError("rate must lie between 0 and 1 and kinds must not be empty")
        source = random.Random(seed)  # noqa: S311 - repeatable accidents, no cryptography
        with self._lock:
            self._random = _RandomFaults(rate=rate, faults=faults, source=source) if rate else None

    def clear(self) -> None:
        """Forget everything, programmed and random."""
        with self._lock:
            self._programmed.clear()
            self._random = None

    @property
    def pending(self) -> list[Programmed]:
        """Programmed faults that will still happen."""
        with self._lock:
            return list(self._programmed)

    def take(self, *, method: str, path: str, template: str) -> Fault | None:
        """The fault for this request, if any: the oldest programmed one that matches, else perhaps a random one."""
        if not self._programmed and self._random is None:
            return None
        with self._lock:
            return self._take_programmed(method, path, template) or self._take_random(method, path, template)

    def _take_programmed(self, method: str, path: str, template: str) -> Fault | None:
        for programmed in self._programmed:
            if not programmed.fault.matches(method=method, path=path, template=template):
                continue
            if programmed.skip:
                programmed.skip -= 1
                continue
            programmed.hits += 1
            self._programmed = [entry for entry in self._programmed if not entry.is_spent]
            return programmed.fault
        return None

    def _take_random(self, method: str, path: str, template: str) -> Fault | None:
        if self._random is None or self._random.source.random() >= self._random.rate:
            return None
        fault = self._random.source.choice(self._random.faults)
        return fault if fault.matches(method=method, path=path, template=template) else None
