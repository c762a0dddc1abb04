"""Folders for PostgreSQL servers that live as long as a test run, also when the run is killed."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from project.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError, choose_folder

PREFIX = "licensing-integration-tests-"
ALIVE = "alive.lock"  # locked as long as the process that made the folder lives


def make_postgres_folder() -> Path:
    """A folder the server's own user can reach, which pytest's are not; removed when this process ends."""
    _remove_what_killed_runs_left()
    unfinished = Path(tempfile.mkdtemp(prefix=f"new-{PREFIX}"))
    handle = os.open(unfinished / ALIVE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    fcntl.flock(handle, fcntl.LOCK_EX)
    unfinished.chmod(0o755)
    # Found by others only now, with its lock held: root is not kept out by permissions.
    outside = unfinished.rename(unfinished.with_name(unfinished.name.removeprefix("new-")))
    atexit.register(_remove, outside)  # before the server's own clean-up is registered, so it happens after it
    return choose_folder(outside / "postgres")


def _remove(outside: Path) -> None:
    folder = choose_folder(outside / "postgres")
    with contextlib.suppress(OSError, EmbeddedPostgresError):  # or it was killed, and only its files are left
        EmbeddedPostgres(folder).stop()
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(outside, ignore_errors=True)


@cache
def _remove_what_killed_runs_left() -> None:
    for outside in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # in use, somebody else's, or gone meanwhile
            handle = os.open(outside / ALIVE, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(outside)
            finally:
                os.close(handle)
