"""What the benchmarks ask of the database, and how they empty it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import psycopg

from benchmarks.errors import BenchmarkError
from benchmarks.load import Result
from benchmarks.orders import Book

_KEPT = ("django_migrations", "django_content_type", "auth_permission")
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> ALL(%s)"
_PROGRESS = "SELECT count(*), count(*) FILTER (WHERE sync_state = 'settled') FROM licensing_integration_licenselink"
# A job that is due in an hour is left alone; released, it wakes the workers as a new one would.
_HOLD = "UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 hour' WHERE status = 'todo'"
_RELEASE = "UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'"
_WAKE = """SELECT pg_notify('procrastinate_any_queue_v1', '{"type": "job_inserted", "job_id": 1}')"""
_ISSUED = """
SELECT p.external_id, extract(epoch FROM l.issued_at)
  FROM licensing_integration_licenselink l JOIN licensing_integration_purchase p ON p.id = l.purchase_id
 WHERE l.issued_at IS NOT NULL AND l.sync_state = 'settled' AND p.external_id LIKE %s
"""


@dataclass(frozen=True)
class Database:
    """The database at a libpq ``url``."""

    url: str

    def query(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(sql, arguments)
            return cursor.fetchall() if cursor.description else []

    def empty(self) -> None:
        """Forget everything but the migrations, and give the next measurement a quiet start."""
        names = ", ".join(name for (name,) in self.query(_TABLES, list(_KEPT)))
        self.query(f"TRUNCATE {names} RESTART IDENTITY CASCADE")
        self.query("CHECKPOINT")

    def version(self) -> str:
        return str(self.query("SHOW server_version")[0][0]).split()[0]

    def settings(self, *names: str) -> dict[str, str]:
        return {name: str(self.query(f"SHOW {name}")[0][0]) for name in names}

    def live_workers(self) -> int:
        return int(self.query("SELECT count(*) FROM procrastinate_workers")[0][0])

    def hold_jobs(self) -> None:
        """Keep all waiting jobs from the workers that are about to be started."""
        self.query(_HOLD)
        self.query("VACUUM ANALYZE")
        self.query("CHECKPOINT")

    def release_jobs(self) -> None:
        self.query(_RELEASE)
        self.query(_WAKE)

    def settled(self) -> int:
        """License links that are as they should be."""
        return int(self.query(_PROGRESS)[0][1])

    def wait_for_licenses(self, count: int, *, seconds: float) -> None:
        """Until that many links are settled, and none is not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            total, settled = self.query(_PROGRESS)[0]
            if settled == total and settled >= count:
                return
            time.sleep(0.2)
        raise BenchmarkError(f"After {seconds:.0f} s only {self.settled()} of {count} licenses were settled.")

    def issued_at(self, run: str) -> list[tuple[str, float]]:
        """(order id, seconds since the epoch) of each license issued for the orders of a run."""
        return [(order_id, float(moment)) for order_id, moment in self.query(_ISSUED, f"%{run}%")]

    def order_to_license_seconds(self, posted: Result, *, book: Book) -> list[float]:
        """From the moment an order's first POST was due to its license's being recorded; one clock for both."""
        due: dict[str, float] = {}
        for number, at in zip(posted.numbers, posted.due_at, strict=True):
            order_id = book.order_id(number)
            due[order_id] = min(at, due.get(order_id, at))
        waits = [moment - due[order_id] for order_id, moment in self.issued_at(book.run) if order_id in due]
        if len(waits) != len(due):
            raise BenchmarkError(f"{len(due)} orders were posted, {len(waits)} have a license.")
        return waits
