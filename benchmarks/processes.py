"""Child processes: started and ended by id, and what they cost in processor time and memory."""

from __future__ import annotations

import contextlib
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import psutil

from benchmarks.errors import BenchmarkError

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
STOP_SECONDS = 30.0
MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Of one process, in MB. ``pss`` shares what several processes have in common among them."""

    rss: float
    pss: float
    uss: float


class Child:
    """A ``manage.py`` command in a process of its own, its output in a file."""

    def __init__(self, *arguments: str, environment: Mapping[str, str], log: Path) -> None:
        self.name = arguments[0]
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [sys.executable, "manage.py", *arguments],
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches us alone; we end our children in an order of our choosing
            )
        self._process = psutil.Process(self._popen.pid)

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not is_ready():
            if self._popen.poll() is not None or time.monotonic() > deadline:
                tail = self.log.read_text(errors="replace")[-2000:]
                raise BenchmarkError(f"{self.name} did not start:\n{tail}")
            time.sleep(0.02)

    def wait(self) -> int:
        """Until it ends by itself; its exit code."""
        return self._popen.wait(START_SECONDS)

    @property
    def tree(self) -> list[psutil.Process]:
        """The process and all its descendants."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return [self._process, *self._process.children(recursive=True)]
        return []

    @property
    def cpu_seconds(self) -> float:
        return cpu_seconds_of(self.tree)

    def stop(self) -> None:
        """Ask it to end; after a while insist, also with what it leaves behind."""
        tree = self.tree
        if self._popen.poll() is None:
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(STOP_SECONDS)
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._popen.wait()


def cpu_seconds_of(processes: list[psutil.Process]) -> float:
    """User and system time, with that of descendants that have ended already."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def own_cpu_seconds() -> float:
    """Of this process and of all its descendants that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def machine_cpu_seconds() -> float:
    """Of everybody on this machine, and what its host took for other machines."""
    times = psutil.cpu_times()
    return sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))


def memory_of(process: psutil.Process) -> Memory:
    info = process.memory_full_info()
    return Memory(rss=info.rss / MEGABYTE, pss=info.pss / MEGABYTE, uss=info.uss / MEGABYTE)


def raise_on_signals() -> None:
    """Make a signal to end a ``KeyboardInterrupt``, so that our processes are ended by us and in order."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Once is enough: ending our processes must not be interrupted by impatience."""
    for again in (signal.SIGINT, signal.SIGTERM):
        signal.signal(again, signal.SIG_IGN)
    raise KeyboardInterrupt
