"""What a load balancer and a monitor are told."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.utils import timezone


@pytest.fixture(autouse=True)
def _forget_migrations() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def _worker_reported(ago: timedelta = timedelta()) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (%s)", [timezone.now() - ago]
        )  # the product's models of this table refuse to write


def test_live_asks_nothing_of_the_database(client: Client) -> None:
    answer = client.get("/health/live")
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db
def test_ready_when_tables_are_up_to_date_and_a_worker_reports(client: Client) -> None:
    _worker_reported()
    answer = client.get("/health/ready")
    assert answer.json() == {"status": "ok", "database": "ok", "migrations": "ok", "worker": "ok"}
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db
@pytest.mark.parametrize("workers", [[], [timedelta(seconds=61)]], ids=["none", "silent"])
def test_not_ready_without_a_worker_that_reports(client: Client, workers: list[timedelta]) -> None:
    for ago in workers:
        _worker_reported(ago)
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert "manage.py worker" in answer.json()["worker"]


@pytest.mark.django_db
def test_not_ready_with_an_unapplied_migration_until_it_is_applied(client: Client) -> None:
    _worker_reported()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert "manage.py migrate" in answer.json()["migrations"]
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('sessions', '0001_initial', now())")
    assert client.get("/health/ready").status_code == 200


@pytest.mark.django_db
def test_migrations_are_not_looked_up_again_once_they_were_complete(client: Client) -> None:
    _worker_reported()
    client.get("/health/ready")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
    assert client.get("/health/ready").json()["migrations"] == "ok"


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_is_a_quick_503(client: Client) -> None:
    host = connection.settings_dict["HOST"]
    with socket.socket() as taken_but_silent:
        taken_but_silent.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        connection.close()
        connection.settings_dict["HOST"] = "127.0.0.1"
        connection.settings_dict["PORT"] = str(taken_but_silent.getsockname()[1])
        started = time.monotonic()
        try:
            answer = client.get("/health/ready")
        finally:
            connection.close()
            connection.settings_dict.update(HOST=host, PORT="")
    assert answer.status_code == 503
    assert "does not answer" in answer.json()["database"]
    assert time.monotonic() - started < 6


def test_health_can_only_be_read(client: Client) -> None:
    assert client.post("/health/live").status_code == 405
    assert client.post("/health/ready").status_code == 405
