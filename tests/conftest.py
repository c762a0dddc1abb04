"""What all tests share. Settings and the database server are in ``tests/settings.py``."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from django.db import connection
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker, Settings

from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from project.embedded_postgres import EmbeddedPostgres
from tests.temporary import make_postgres_folder

hypothesis_settings.register_profile(
    "ci", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.register_profile("thorough", parent=hypothesis_settings.get_profile("ci"), max_examples=2000)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def _an_empty_queue_for_the_next(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """After real transactions Django empties its own tables, but not the queue's."""
    yield
    marker = request.node.get_closest_marker("django_db")
    if (marker and marker.kwargs.get("transaction")) or "transactional_db" in request.fixturenames:
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM procrastinate_jobs")


@pytest.fixture
def cryptlex(settings: Settings) -> Iterator[CryptlexSandbox]:
    """A sandbox Cryptlex of this test's own; the configured license server points at it."""
    sandbox = CryptlexSandbox(access_token="sandbox-token", accept_any_product=True)
    sandbox.start()
    settings.LICENSE_SERVERS = [{**config, "base_url": sandbox.base_url} for config in settings.LICENSE_SERVERS]
    yield sandbox
    sandbox.stop()


@pytest.fixture
def postgres() -> Iterator[EmbeddedPostgres]:
    """A running PostgreSQL server of this test's own, empty, to be stopped and started at will. Takes a second."""
    server = EmbeddedPostgres(make_postgres_folder())
    server.start()
    yield server
    server.stop()
