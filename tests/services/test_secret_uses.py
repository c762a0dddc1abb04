"""Which secret a store signs with: noted seldom, and nothing of the secret is given away."""

from __future__ import annotations

import logging
import secrets
import socket
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from licensing_integration.models import SecretUse
from licensing_integration.sandbox.fastspring import Buyer, FastSpringShop, delivery, sign
from licensing_integration.services import secret_uses
from licensing_integration.services.receive import receive
from licensing_integration.services.tallies import SECONDS_BETWEEN_WRITES
from licensing_integration.stores.base import Secret

OLD, NEW = Secret("the-old-secret-of-the-store"), Secret("the-new-secret-of-the-store")


def _receive(store: str, secret: str, **options: bool) -> None:
    body = delivery(FastSpringShop().buy(Buyer(email="ava@example.com"), "photon"))
    receive(store, body=body, headers={"x-fs-signature": sign(body, secret=secret)}, **options)


def _marks(store: str) -> set[str]:
    return set(SecretUse.objects.filter(store=store).values_list("fingerprint", flat=True))


def test_a_fingerprint_tells_secrets_apart_and_needs_the_key_of_this_installation(settings: Settings) -> None:
    mark = secret_uses.fingerprint(OLD)
    assert len(mark) == 12
    assert mark == secret_uses.fingerprint(Secret(str(OLD)))
    assert mark != secret_uses.fingerprint(NEW)
    settings.SECRET_KEY = "another" * 10
    assert mark != secret_uses.fingerprint(OLD)


@pytest.mark.django_db
def test_the_first_use_is_written_at_once_and_then_once_in_ten_seconds(tally, clock, django_assert_num_queries):
    with django_assert_num_queries(1):
        for _ in range(100):
            secret_uses.note("fastspring", [OLD], tally=tally)
    SecretUse.objects.update(last_at=timezone.now() - timedelta(days=1))
    clock.seconds += SECONDS_BETWEEN_WRITES - 0.1
    secret_uses.note("fastspring", [OLD], tally=tally)
    assert SecretUse.objects.get().last_at < timezone.now() - timedelta(hours=23)
    clock.seconds += 0.1
    secret_uses.note("fastspring", [OLD], tally=tally)
    assert SecretUse.objects.get().last_at > timezone.now() - timedelta(minutes=1)


@pytest.mark.django_db
def test_every_store_and_secret_has_a_row_of_its_own(tally):
    for store in ("fastspring", "eu"):
        secret_uses.note(store, [OLD, NEW], tally=tally)
    assert SecretUse.objects.count() == 4


def test_without_a_database_a_delivery_goes_on(transactional_db, tally, monkeypatch, caplog):
    with socket.socket() as taken, monkeypatch.context() as away, caplog.at_level(logging.WARNING):
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        connection.close()
        away.setitem(connection.settings_dict, "HOST", "127.0.0.1")
        away.setitem(connection.settings_dict, "PORT", str(taken.getsockname()[1]))
        secret_uses.note("fastspring", [OLD], tally=tally)
        connection.close()
    assert "use of a secret not counted" in caplog.text
    assert OLD not in caplog.text


@pytest.mark.django_db
@pytest.mark.parametrize("secret", [OLD, NEW])
def test_a_delivery_notes_the_secret_that_signed_it_and_no_other(settings: Settings, secret):
    name = f"store-{secrets.token_hex(4)}"  # of this test's own: the process remembers what it wrote
    settings.STORES = [{**settings.STORES[0], "name": name, "webhook_secrets": (OLD, NEW)}]
    _receive(name, secret)
    assert _marks(name) == {secret_uses.fingerprint(secret)}


@pytest.mark.django_db
def test_what_we_signed_ourselves_says_nothing_about_the_store(settings: Settings):
    settings.STORES = [{**settings.STORES[0], "name": "ours-alone", "webhook_secrets": (OLD,)}]
    _receive("ours-alone", OLD, is_from_store=False)
    assert _marks("ours-alone") == set()
