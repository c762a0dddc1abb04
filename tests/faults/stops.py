"""Where in its work a worker is caught: at a step of our own transaction, or during a call to the license server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from licensing_integration.sandbox.faults import Programmed
from tests.faults.database import StopPoint
from tests.faults.processes import wait_until
from tests.faults.servers import Call
from tests.faults.stack import Stack

FOR_EVER = 3600.0


class Caught(Protocol):
    """An armed catch. ``wait``: until a worker is caught. ``abandon``: what it had begun in our database is undone."""

    def wait(self) -> None: ...

    def abandon(self) -> None: ...


@dataclass(frozen=True)
class At:
    """At a step of our own, before it is written. ``is_undone``: the killed worker's connection dies with it; else its
    last statement still takes effect after its death."""

    point: StopPoint
    is_undone: bool = True

    @contextmanager
    def catch(self, stack: Stack) -> Iterator[Caught]:
        with stack.database.stopping_at(self.point) as stop:
            yield stop if self.is_undone else _Finished(stop)

    def __str__(self) -> str:
        return f"{self.point.name.lower()}{'' if self.is_undone else ', finished after death'}"


@dataclass(frozen=True)
class _Finished:
    stop: Caught

    def wait(self) -> None:
        self.stop.wait()

    def abandon(self) -> None:
        pass


@dataclass(frozen=True)
class During:
    """During a call: ``kind`` is ``delay`` (not done yet) or ``commit_then_delay`` (done, not answered)."""

    kind: str
    call: Call
    seconds: float = FOR_EVER

    @contextmanager
    def catch(self, stack: Stack) -> Iterator[Caught]:
        faults = stack.sandbox_of(self.call.server).faults
        fault = faults.add(kind=self.kind, method=self.call.method, path=self.call.path, seconds=self.seconds)
        yield _Caught(fault, what=str(self))

    def __str__(self) -> str:
        when = "done, not answered" if self.kind == "commit_then_delay" else "not done"
        when = when if self.seconds == FOR_EVER else "done after death"
        return f"{self.call}, {when}"


@dataclass(frozen=True)
class _Caught:
    fault: Programmed
    what: str

    def wait(self) -> None:
        wait_until(lambda: self.fault.hits > 0, what=f"the call {self.what}")

    def abandon(self) -> None:
        pass
