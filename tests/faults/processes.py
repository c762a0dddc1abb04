"""``manage.py`` commands in processes of their own: started, killed, paused and ended by their ids."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
STOP_SECONDS = 30.0


class Child:
    """One command, and whatever it starts."""

    def __init__(self, *arguments: str, environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._known: list[psutil.Process] = []  # children seen while it still ran
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [sys.executable, "manage.py", *arguments],
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        return self._popen.poll() is None

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def children(self) -> list[psutil.Process]:
        """What it has started, as last seen."""
        if self.is_running:  # else its id may be somebody else's by now
            self._known = psutil.Process(self.pid).children(recursive=True) or self._known
        return self._known

    def send(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Until it ends by itself; its exit code."""
        return self._popen.wait(seconds)

    def kill(self) -> None:
        """SIGKILL for it and whatever it has started, as a machine that loses its power would."""
        self._end(self.children)

    def stop(self) -> None:
        """Ask it to end; after a while insist, also with what it leaves behind."""
        children = self.children
        if self.is_running:
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(STOP_SECONDS)
        self._end([*children, *self.children])

    def _end(self, children: list[psutil.Process]) -> None:
        """The parent first, which might replace its children. A process may have left its parent's group, so each is
        ended by its id."""
        self._popen.kill()
        self._popen.wait()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children, timeout=STOP_SECONDS)


def wait_until(is_so: Callable[[], bool], *, what: str, seconds: float = START_SECONDS) -> None:
    """Poll for a condition; fail after a deadline."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"Not within {seconds:.0f} s: {what}"
        time.sleep(0.02)
