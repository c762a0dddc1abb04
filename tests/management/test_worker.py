"""The worker as a process of its own: it starts, it stops when told to, and a database restart does not end it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from procrastinate.contrib.django import app
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.psycopg_connector import PsycopgConnector

from licensing_integration.management.commands.worker import app_over
from project.embedded_postgres import EmbeddedPostgres

ROOT = Path(__file__).resolve().parents[2]
A_JOB = """
    INSERT INTO procrastinate_jobs (queue_name, task_name, args)
    VALUES ('default', 'builtin:procrastinate.builtin_tasks.remove_old_jobs', '{"max_hours": 1}') RETURNING id
"""

pytestmark = pytest.mark.slow


def _eventually(what: str, is_so: Callable[[], bool], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def _query(url: str, statement: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return int(row[0])


def _is_done(url: str, job: int) -> bool:
    return _query(url, f"SELECT count(*) FROM procrastinate_jobs WHERE id = {job}") == 0


@pytest.fixture
def migrated(postgres: EmbeddedPostgres) -> EmbeddedPostgres:
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=_environment(postgres), check=True)
    return postgres


def _environment(postgres: EmbeddedPostgres) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": postgres.url, "DJANGO_SETTINGS_MODULE": "project.settings"}


@pytest.fixture
def worker(migrated: EmbeddedPostgres, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "manage.py", "worker", "--concurrency", "2"]
        process = subprocess.Popen(command, cwd=ROOT, env=_environment(migrated), stderr=log)
        _eventually("registered", lambda: _query(migrated.url, "SELECT count(*) FROM procrastinate_workers") == 1)
        yield process
        process.kill()
        process.wait()


def test_a_worker_that_could_do_nothing_is_refused() -> None:
    with pytest.raises(CommandError, match="at least 1"):
        call_command("worker", concurrency=0)


def test_jobs_that_a_job_enqueues_still_join_its_transaction() -> None:
    """They do as long as the application's own connector stays Django's while the worker has another one."""
    connector = PsycopgConnector()
    worker_app = app_over(connector)
    assert isinstance(app.connector, DjangoConnector)
    assert isinstance(app.job_manager.connector, DjangoConnector)
    assert worker_app.job_manager.connector is connector
    assert worker_app.tasks is app.tasks
    assert worker_app.periodic_registry is app.periodic_registry
    assert worker_app.worker_defaults == app.worker_defaults  # closes Django's dead connections around each job


def test_a_worker_does_jobs_and_survives_a_database_restart(
    migrated: EmbeddedPostgres, worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    first = _query(migrated.url, A_JOB)
    _eventually("a job is done", lambda: _is_done(migrated.url, first))

    migrated.stop()
    _eventually("the worker noticed", lambda: "does not answer" in (tmp_path / "log").read_text())
    assert worker.poll() is None
    migrated.start()

    second = _query(migrated.url, A_JOB)
    _eventually("a job is done after the restart", lambda: _is_done(migrated.url, second))
    sweeps = "SELECT coalesce(max(id), 0) FROM procrastinate_periodic_defers"
    so_far = _query(migrated.url, sweeps)
    _eventually("periodic tasks go on", lambda: _query(migrated.url, sweeps) > so_far)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_stops_when_told_and_signs_off(
    migrated: EmbeddedPostgres, worker: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    worker.send_signal(number)
    assert worker.wait(timeout=20) == 0
    assert _query(migrated.url, "SELECT count(*) FROM procrastinate_workers") == 0


def test_a_worker_stops_when_told_while_the_database_is_away(
    migrated: EmbeddedPostgres, worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    migrated.stop()
    _eventually("the worker noticed", lambda: "does not answer" in (tmp_path / "log").read_text())
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=20) == 0
