"""Nobody gets more out of the admin than their role gives: no guessed keys, no superusers of one's own making."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.admin.conftest import url
from tests.factories import LicenseLinkFactory


@pytest.mark.parametrize("lookup", ["key__startswith", "key", "observed__key__startswith", "purchase__customer_email"])
def test_a_key_cannot_be_guessed_letter_by_letter_through_the_lists_address(support: Client, lookup: str) -> None:
    link = LicenseLinkFactory(key="15BABC-15BABC-15BABC-15BABC-15BABC-15BABC")
    answer = support.get(f"{url('licenselink', 'changelist')}?id={link.pk}&{lookup}=15B")
    assert answer.status_code == 400


def test_the_filters_beside_a_list_still_work(support: Client) -> None:
    LicenseLinkFactory()
    assert support.get(f"{url('licenselink', 'changelist')}?state__exact=active&attention=any").status_code == 200


@pytest.fixture
def owner(client_of: Callable[[str], Client]) -> Client:
    return client_of("Owner")


@pytest.fixture
def superuser(client_of: Callable[[str], Client]) -> Client:
    return client_of("superuser")


def test_an_owner_cannot_make_a_superuser(owner: Client) -> None:
    user = User.objects.create_user("somebody", password="x" * 12)
    form = {"username": "somebody", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    page = reverse("admin:auth_user_change", args=[user.pk])
    assert owner.post(page, form | {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}).status_code == 302
    user.refresh_from_db()
    assert user.is_staff
    assert not user.is_superuser


def test_an_owner_cannot_touch_a_superuser(owner: Client) -> None:
    boss = User.objects.create_superuser("boss", password="x" * 12)
    answer = owner.post(reverse("admin:auth_user_change", args=[boss.pk]), {"username": "mine"})
    assert answer.status_code == 403
    assert owner.post(reverse("admin:auth_user_delete", args=[boss.pk]), {"post": "yes"}).status_code == 403
    assert User.objects.filter(username="boss", is_superuser=True).exists()


def test_a_superuser_still_may(superuser: Client) -> None:
    user = User.objects.create_user("somebody", password="x" * 12)
    form = {"username": "somebody", "is_active": "on", "is_superuser": "on"}
    superuser.post(
        reverse("admin:auth_user_change", args=[user.pk]),
        form | {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"},
    )
    user.refresh_from_db()
    assert user.is_superuser
