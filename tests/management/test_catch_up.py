"""``manage.py catch_up``: what it tells about each store, and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from licensing_integration.models import WebhookEvent
from licensing_integration.sandbox.fastspring import Buyer, FastSpringShop
from project.embedded_postgres import EmbeddedPostgres
from tests.services.fastspring_events import FastSpringEvents

ROOT = Path(__file__).resolve().parents[2]
A_JOB = """
    INSERT INTO procrastinate_jobs (queue_name, task_name, args)
    VALUES ('default', 'licensing_integration.catch_up', '{"timestamp": 0}')
"""
FETCHED = "SELECT count(*) FROM licensing_integration_webhookevent WHERE deliveries = 0"
AVA = Buyer(email="ava.lindqvist@example.com")


@pytest.fixture
def fastspring(db: None, settings: Any) -> Iterator[FastSpringEvents]:
    """A store that lists two undelivered events, and a second store without credentials."""
    shop, server = FastSpringShop(), FastSpringEvents()
    server.events = [shop.buy(AVA, "photon"), shop.buy(AVA, "photon")]
    credentials = {"api_username": "user", "api_password": "password", "api_base_url": server.base_url}
    settings.STORES = [{**settings.STORES[0], **credentials}, {**settings.STORES[0], "name": "eu"}]
    yield server
    server.stop()


FOUND = "fastspring: 2 undelivered events fetched, 2 of them new."
WITHOUT = (
    "eu: skipped. Without API credentials nothing can be fetched from it; set EU_API_USERNAME and EU_API_PASSWORD."
)


def test_it_tells_what_it_found_at_every_store(
    fastspring: FastSpringEvents, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("catch_up")
    assert capsys.readouterr().out.splitlines() == [FOUND, WITHOUT]
    assert WebhookEvent.objects.count() == 2
    fastspring.events = fastspring.events[:1]
    call_command("catch_up", "fastspring")
    assert capsys.readouterr().out == "fastspring: 1 undelivered event fetched, 0 of them new.\n"


def test_a_store_that_was_asked_for_and_is_not_set_up_is_a_failure(
    fastspring: FastSpringEvents, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match=r"^Not caught up with: eu\.$"):
        call_command("catch_up", "eu", "fastspring")
    assert capsys.readouterr().out.splitlines() == [WITHOUT, FOUND]


def test_a_store_that_fails_is_told_with_what_came_before(
    fastspring: FastSpringEvents, capsys: pytest.CaptureFixture[str]
) -> None:
    fastspring.fails_after, fastspring.status = 0, 403
    with pytest.raises(CommandError, match=r"^Not caught up with: fastspring\.$"):
        call_command("catch_up")
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("fastspring: 0 undelivered events fetched, 0 of them new. Then it failed: FastSpring: GET ")
    assert "refused (403)" in first
    assert second == WITHOUT


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nobody"], r"No store is named nobody\. There are: fastspring, eu\."),
        (["--days", "0"], "--days must be from 1 to 30"),
        (["--days", "31"], "--days must be from 1 to 30"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_fetched(
    fastspring: FastSpringEvents, arguments: list[str], sentence: str
) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("catch_up", *arguments)
    assert fastspring.requests == []


def test_the_days_are_passed_on(fastspring: FastSpringEvents, capsys: pytest.CaptureFixture[str]) -> None:
    fastspring.events[0]["created"] -= 3 * 24 * 3600 * 1000
    call_command("catch_up", "--days", "2")
    assert "1 undelivered event fetched" in capsys.readouterr().out


def _environment(postgres: EmbeddedPostgres, **variables: str) -> dict[str, str]:
    own = {"DATABASE_URL": postgres.url, "DJANGO_SETTINGS_MODULE": "project.settings"}
    return {**os.environ, **own, **variables}


def _run(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def _credentials(base_url: str) -> dict[str, str]:
    return {
        "FASTSPRING_API_USERNAME": "user",
        "FASTSPRING_API_PASSWORD": "password-of-the-api",
        "FASTSPRING_API_BASE_URL": base_url,
    }


@pytest.mark.slow
def test_the_exit_code_says_whether_all_went_well(postgres: EmbeddedPostgres) -> None:
    environment = _environment(postgres)
    assert _run("migrate", "-v0", environment=environment).returncode == 0
    assert _run("catch_up", environment=environment).returncode == 0
    failed = _run("catch_up", environment={**environment, **_credentials("http://127.0.0.1:9")})
    assert failed.returncode == 1
    assert "Then it failed: FastSpring: GET" in failed.stdout
    assert "cannot be reached" in failed.stdout
    assert "password-of-the-api" not in failed.stdout + failed.stderr


@pytest.mark.slow
def test_a_worker_catches_up_when_the_clock_says_so(fastspring: FastSpringEvents, postgres: EmbeddedPostgres) -> None:
    environment = _environment(postgres, **_credentials(fastspring.base_url))
    assert _run("migrate", "-v0", environment=environment).returncode == 0
    command = [sys.executable, "manage.py", "worker", "--concurrency", "2"]
    worker = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        with psycopg.connect(postgres.url, autocommit=True) as database:
            database.execute(A_JOB)  # as procrastinate's clock makes one
            deadline = time.monotonic() + 30
            while database.execute(FETCHED).fetchone() != (2,):
                assert time.monotonic() < deadline, "the worker fetched nothing"
                time.sleep(0.05)
    finally:
        worker.kill()
        worker.wait()
