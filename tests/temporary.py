"""Folders for PostgreSQL servers that live as long as a test run."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

from project.embedded_postgres import choose_folder


def make_postgres_folder() -> Path:
    """A folder the server's own user can reach, which pytest's are not; removed when this process ends."""
    outside = Path(tempfile.mkdtemp(prefix="licensing-integration-tests-"))
    outside.chmod(0o755)
    folder = choose_folder(outside / "postgres")
    atexit.register(_remove, outside, folder)  # before the server's own clean-up is registered, so it happens after it
    return folder


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
