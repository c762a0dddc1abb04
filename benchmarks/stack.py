"""Everything under test, on loopback, private to this run: PostgreSQL, sandbox license server, web server, workers."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil

from benchmarks.database import Database
from benchmarks.errors import BenchmarkError
from benchmarks.orders import SECRET
from benchmarks.processes import Child, cpu_seconds_of, own_cpu_seconds
from benchmarks.stripe_orders import SECRET as STRIPE_SECRET
from project.embedded_postgres import EmbeddedPostgres

TOKEN = "benchmark-token"
BARE_SETTINGS = "benchmarks.bare.settings"


@dataclass(frozen=True, kw_only=True)
class Web:
    port: int
    child: Child


class Sandbox:
    """The license server's emulator, and its control interface."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self._url = ""
        child.wait_until(self._is_ready)

    @property
    def url(self) -> str:
        return self._url

    def _is_ready(self) -> bool:
        match = re.search(r"(http://127\.0\.0\.1:\d+)", self.child.log.read_text(errors="replace"))
        self._url = match[1] if match else ""
        return match is not None

    def reset(self, *, latency: float = 0.0) -> None:
        """No customers, no faults, no requests counted; ``latency`` in seconds."""
        self.control("reset", {})
        self.control("latency", {"seconds": latency})

    def commit_faults(self, *, rate: float) -> None:
        """A share of the calls fails: refused with 500, done and refused, done and cut off, cut off."""
        self.control("faults", {"random": {"rate": rate, "seed": 1}} if rate else {"clear": True})

    def calls(self) -> dict[str, int]:
        counts: dict[str, int] = self.control("requests/count")
        return counts

    def forget_calls(self) -> None:
        self.control("requests/clear", {})

    def licenses(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control("licenses")
        return found

    def control(self, name: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._url}/_control/{name}", data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None


@dataclass
class Stack:
    """Use as a context manager: whatever happens, all processes are ended and all files removed."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="licensing-benchmarks-")))
    _cleanup: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _count: int = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.folder.chmod(0o755)  # as root the database runs as another user, who has to pass through
            self._postgres = EmbeddedPostgres(self.folder / "postgres")
            cleanup.callback(self._postgres.stop)
            self._postgres.start()
            self.database = Database(self._postgres.url)
            self._migrate()
            child = self._child("sandbox", "--port", "0", "--token", TOKEN, "--accept-any-product")
            cleanup.callback(child.stop)
            self.sandbox = Sandbox(child)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._cleanup.close()

    def reset(self, *, latency: float = 0.0) -> None:
        """An empty database and an empty license server that answers after ``latency`` seconds."""
        self.database.empty()
        self.sandbox.reset(latency=latency)

    @contextmanager
    def web(self, *, settings: str = "") -> Iterator[Web]:
        """The web server as it runs in production."""
        port = _free_port()
        child = self._child("serve", "--port", str(port), settings=settings)
        try:
            child.wait_until(lambda: _answers(port))
            yield Web(port=port, child=child)
        finally:
            child.stop()

    @contextmanager
    def workers(self, count: int, *, concurrency: int | None = None) -> Iterator[Sequence[Child]]:
        """Worker processes, all connected and waiting for jobs."""
        options = [] if concurrency is None else ["--concurrency", str(concurrency)]
        with contextlib.ExitStack() as stack:
            children = [self._child("worker", *options) for _ in range(count)]
            for child in children:
                stack.callback(child.stop)
            for child in children:
                child.wait_until(lambda: self.database.live_workers() >= count)
            yield children

    @property
    def cpu_seconds(self) -> float:
        """All that this benchmark has cost so far, to tell it from what others cost; no child may be running."""
        return own_cpu_seconds() + self.database_cpu_seconds + self.sandbox.child.cpu_seconds

    @property
    def database_cpu_seconds(self) -> float:
        """Of the database server with all its backends, also those that have ended."""
        pid = int((self._postgres.data_dir / "postmaster.pid").read_text().split()[0])
        postmaster = psutil.Process(pid)
        return cpu_seconds_of([postmaster, *postmaster.children(recursive=True)])

    def _migrate(self) -> None:
        child = self._child("migrate", "--verbosity", "0")
        try:
            if child.wait() != 0:
                raise BenchmarkError(child.log.read_text(errors="replace")[-2000:])
        finally:
            child.stop()

    def _child(self, *arguments: str, settings: str = "") -> Child:
        self._count += 1
        log = self.folder / f"{self._count}-{arguments[0]}.log"
        return Child(*arguments, environment=self._environment(settings), log=log)

    def _environment(self, settings: str) -> dict[str, str]:
        """Nothing of the caller's own configuration; the defaults of production but for the request budget."""
        sandbox_url = self.sandbox.url if hasattr(self, "sandbox") else ""
        return {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "PYTHONDONTWRITEBYTECODE": os.environ.get("PYTHONDONTWRITEBYTECODE", ""),
            "PYTHONUNBUFFERED": "1",
            "ENV_FILE": "",
            "DJANGO_SETTINGS_MODULE": settings or "project.settings",
            "SECRET_KEY": "only-for-benchmarks-" + "x" * 50,
            "DATABASE_URL": self._postgres.url,
            "STORES": "fastspring,stripe",
            "FASTSPRING_WEBHOOK_SECRET": SECRET,
            "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
            "CRYPTLEX_ACCESS_TOKEN": TOKEN,
            "CRYPTLEX_WEB_API_BASE_URL": sandbox_url or "http://127.0.0.1:9",
            "CRYPTLEX_REQUEST_LIMIT": "0",
        }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    """Every process of the web server has been asked something is more than we can know; that one answers is enough."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def python_version() -> str:
    return ".".join(str(part) for part in sys.version_info[:3])
