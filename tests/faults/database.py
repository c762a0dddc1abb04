"""The stack's own database: questions, and points at which a worker can be made to stop.

A stop point is a trigger that waits for an advisory lock: nobody notices it until a test holds that lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any

import psycopg

from tests.faults.processes import wait_until

_KEPT = ("django_migrations", "django_content_type", "auth_permission", "licensing_integration_productmapping")
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> ALL(%s)"
_OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
_WAITING = """
SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = %s AND objsubid = 1 AND NOT granted
"""
_WAIT_FUNCTION = """
CREATE FUNCTION tests_wait() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::bigint); RETURN NEW; END $$
"""


class StopPoint(Enum):
    """Where a worker stops: (number of its lock, table, statement, condition on the row)."""

    STORING = (101, "webhookevent", "INSERT", "true")
    PLANNING = (102, "webhookevent", "UPDATE", "NEW.state = 'applied' AND OLD.state = 'received'")
    CLAIMING = (103, "licenselink", "UPDATE", "NEW.lease_token IS NOT NULL AND OLD.lease_token IS NULL")
    REMEMBERING_USER = (104, "licensinguser", "INSERT", "true")
    SETTLING = (105, "licenselink", "UPDATE", "NEW.lease_token IS NULL AND OLD.lease_token IS NOT NULL")
    WRITING_HISTORY = (106, "historyentry", "INSERT", "NEW.link_id IS NOT NULL")

    @property
    def lock(self) -> int:
        return self.value[0]

    @property
    def sql(self) -> str:
        number, table, statement, condition = self.value
        return (
            f"CREATE TRIGGER tests_{self.name.lower()} BEFORE {statement} ON licensing_integration_{table} "
            f"FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION tests_wait({number})"
        )


@dataclass(frozen=True)
class Database:
    """The database at a libpq ``url``; every question is asked on a connection of its own."""

    url: str

    def query(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(sql, arguments)
            return cursor.fetchall() if cursor.description else []

    def value(self, sql: str, *arguments: Any) -> Any:
        return self.query(sql, *arguments)[0][0]

    def install_stop_points(self) -> None:
        self.query(_WAIT_FUNCTION)
        for point in StopPoint:
            self.query(point.sql)

    def empty(self, *, cut: bool) -> None:
        """Forget everything but migrations and mappings. ``cut``: also everybody who might still wait for something;
        else the queue and its workers are kept."""
        if cut:
            self.query(f"SELECT pg_terminate_backend(pid) {_OTHERS}")
        names = [name for (name,) in self.query(_TABLES, list(_KEPT))]
        emptied = ", ".join(name for name in names if cut or not name.startswith("procrastinate"))
        self.query(f"TRUNCATE {emptied} RESTART IDENTITY CASCADE")

    @contextmanager
    def stopping_at(self, point: StopPoint) -> Iterator[Stop]:
        """Whoever comes to ``point`` waits there until the end of the block, or until ``abandon``."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", [point.lock])
            yield Stop(database=self, point=point)


@dataclass(frozen=True, kw_only=True)
class Stop:
    """An armed stop point."""

    database: Database
    point: StopPoint

    def wait(self) -> None:
        """Until somebody stands there."""
        wait_until(lambda: bool(self._waiting()), what=f"nobody came to {self.point.name}")

    def abandon(self) -> None:
        """Cut the connections of those who stand there: what they were about to do does not happen."""
        for (pid,) in self._waiting():
            self.database.query("SELECT pg_terminate_backend(%s, 5000)", pid)

    def _waiting(self) -> list[tuple[Any, ...]]:
        return self.database.query(_WAITING, self.point.lock)
