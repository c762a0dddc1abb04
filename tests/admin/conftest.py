"""Admin tests: people in every role, and a look into the queue."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.urls import reverse

from licensing_integration.services.roles import sync_roles
from tests.factories import UserFactory

APP = "licensing_integration"
ROLES = ("anonymous", "no group", "viewer", "Support", "Staff", "Owner", "superuser")


@pytest.fixture
def client_of(db: None) -> Callable[[str], Client]:
    """A logged-in client of somebody in that role; ``client.user`` is who it is."""

    def _client_of(role: str) -> Client:
        client = Client()
        if role == "anonymous":
            return client
        sync_roles()
        in_group = role in {"Support", "Staff", "Owner"}
        client.user = UserFactory(
            username=role.lower().replace(" ", "-"), role=role if in_group else None, is_superuser=role == "superuser"
        )
        if role == "viewer":  # somebody whom the owner lets look and nothing else
            may_look = Permission.objects.filter(content_type__app_label=APP, codename__startswith="view_")
            client.user.user_permissions.set(may_look)
        client.force_login(client.user)
        return client

    return _client_of


@pytest.fixture
def support(client_of: Callable[[str], Client]) -> Client:
    return client_of("Support")


@pytest.fixture
def staff(client_of: Callable[[str], Client]) -> Client:
    return client_of("Staff")


@pytest.fixture
def queued(db: None) -> Callable[[], list[tuple[str, dict[str, list[int]]]]]:
    """The jobs in the queue as (task, arguments), oldest first."""

    def _queued() -> list[tuple[str, dict[str, list[int]]]]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT task_name, args FROM procrastinate_jobs ORDER BY id")
            rows = cursor.fetchall()
        return [
            (name.removeprefix(f"{APP}."), args if isinstance(args, dict) else json.loads(args)) for name, args in rows
        ]

    return _queued


def url(model: str, what: str, *args: object) -> str:
    """The address of an admin page, such as ``url("purchase", "change", 1)``."""
    return reverse(f"admin:{APP}_{model}_{what}", args=args)
