"""Two filled databases and one product: this process, which is turned from the one to the other between two requests.

So both are measured by the same warm process at the same time, and whatever else the machine does meanwhile slows both.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections
from django.db.utils import load_backend
from django.test import Client

from benchmarks.console.generate import Size, at_full_speed, fill
from benchmarks.console.pages import Page, all_pages
from benchmarks.console.samples import make_samples
from benchmarks.errors import BenchmarkError
from licensing_integration.models import HistoryEntry, LicenseLink, Purchase
from licensing_integration.services.roles import ROLES
from project.embedded_postgres import SERVER_OPTIONS, EmbeddedPostgres

# Nothing here has to outlive a crash, and filling takes half as long.
OPTIONS = {**SERVER_OPTIONS, "fsync": "off", "synchronous_commit": "off", "max_wal_size": "8GB"}
_FILLED = "filled"


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One request. ``status`` is 0 if it ended in an error of ours. ``database``: seconds of all its statements;
    ``bytes``: of the answer; ``slowest``: its slowest statement."""

    status: int
    seconds: float
    database: float
    queries: int
    bytes: int
    slowest: str


@dataclass
class _Watch:
    """Counts statements and remembers the slowest."""

    queries: int = 0
    total: float = 0.0
    longest: float = 0.0
    slowest: tuple[str, Any] = ("", None)

    def __call__(self, execute: Any, sql: str, arguments: Any, is_many: bool, context: Any) -> Any:
        started = perf_counter()
        try:
            return execute(sql, arguments, is_many, context)
        finally:
            took = perf_counter() - started
            self.queries += 1
            self.total += took
            if took >= self.longest:
                self.longest, self.slowest = took, (sql, arguments)


@dataclass
class Site:
    """The console on one database. ``turn_to`` before anything else; there is only one connection of this process."""

    size: Size
    connection: Any
    clients: dict[str, Client] = field(default_factory=dict)

    def turn_to(self) -> None:
        connections["default"] = self.connection

    def log_in(self) -> None:
        for role in ROLES:
            client = Client(SERVER_NAME="localhost", raise_request_exception=False)
            client.force_login(get_user_model().objects.get(username=role.lower()))
            self.clients[role.lower()] = client

    def pages(self) -> list[Page]:
        self.turn_to()
        return all_pages()

    def counts(self) -> tuple[int, int, int]:
        """Purchases, licenses, history entries."""
        self.turn_to()
        return Purchase.objects.count(), LicenseLink.objects.count(), HistoryEntry.objects.count()

    def visit(self, page: Page) -> Visit:
        """Answer one request: everything the web server would do, but for the wire."""
        self.turn_to()
        client, watch = self.clients[page.role], _Watch()
        with self.connection.execute_wrapper(watch):
            started = perf_counter()
            answer = client.get(page.address) if page.data is None else client.post(page.address, page.data)
            took = perf_counter() - started
        status = 0 if answer.status_code >= 500 else answer.status_code
        return Visit(
            status=status,
            seconds=took,
            database=watch.total,
            queries=watch.queries,
            bytes=len(answer.content),
            slowest=self._written_out(watch.slowest),
        )

    def explain(self, statement: str) -> str:
        """The plan of a statement, with what it really read."""
        self.turn_to()
        with self.connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, BUFFERS) " + statement.replace("%", "%%"), ())
            return "\n".join(row[0] for row in cursor.fetchall())

    def _written_out(self, statement: tuple[str, Any]) -> str:
        sql, arguments = statement
        with self.connection.cursor() as cursor:
            return str(cursor.mogrify(sql, arguments)) if sql else ""


@contextmanager
def site(size: Size, *, folder: Path, tell: Callable[[str], None]) -> Iterator[Site]:
    """A database of this size in ``folder``, filled unless it is already."""
    server = EmbeddedPostgres(folder, options=OPTIONS)
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(server.stop)
        server.start()
        opened = Site(size=size, connection=_connection(server))
        cleanup.callback(opened.connection.close)
        opened.turn_to()
        call_command("migrate", verbosity=0)
        if not (folder / _FILLED).exists():
            tell(f"Filling a database with {size.events:,} events.")
            _fill(folder, size)
        opened.log_in()
        yield opened


def _fill(folder: Path, size: Size) -> None:
    needed, free = size.events * 12_000, shutil.disk_usage(folder).free
    if free < needed:
        raise BenchmarkError(f"{folder} has {free / 1e9:.0f} GB left; {size.events:,} events need {needed / 1e9:.0f}.")
    samples = make_samples()
    with at_full_speed():
        fill(size, samples)
    (folder / _FILLED).touch()


def _connection(server: EmbeddedPostgres) -> Any:
    settings = {**connections.databases["default"], **server.database}
    return load_backend(settings["ENGINE"]).DatabaseWrapper(settings, alias="default")
