"""Erasing the personal data of a purchase: nothing of them is left in any table, and the licenses go on."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from licensing_integration.domain.outcomes import EventState, MailState, SyncState
from licensing_integration.models import (
    AuditEntry,
    HistoryEntry,
    KeyMail,
    LicenseLink,
    LicensingUser,
    Purchase,
    StoreCustomer,
    WebhookEvent,
)
from licensing_integration.services import erasure, interventions, leases, pipeline, resend
from tests.factories import LicensingUserFactory, PurchaseAliasFactory, PurchaseFactory
from tests.services.conftest import ATTRIBUTES, AVA, only_link


def _where(text: str) -> set[str]:
    """The tables of ours in which the text stands anywhere."""
    found = set()
    with connection.cursor() as cursor:
        for model in apps.get_app_config("licensing_integration").get_models():
            table = model._meta.db_table
            cursor.execute(f"SELECT 1 FROM {table} AS t WHERE t::text ILIKE %s LIMIT 1", [f"%{text}%"])
            if cursor.fetchone():
                found.add(model.__name__)
    return found


@pytest.fixture
def sold(shop: Any, deliver: Any, cryptlex: Any, settings: Any) -> Purchase:
    settings.CAN_SEND_MAIL = True
    deliver(*shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)[1])
    purchase = Purchase.objects.get()
    PurchaseAliasFactory(purchase=purchase, kind="customer", value=AVA.email)
    resend.resend_keys([only_link()], address="other@ava.example", user_id=None, reason=f"{AVA.email} asked.")
    return purchase


def test_nothing_personal_is_left_anywhere(sold: Purchase) -> None:
    texts = [AVA.email, "other@ava.example", sold.customer_name]
    assert all(_where(text) for text in texts)
    erasure.erase_purchase(sold.pk, user_id=None, reason=f"{sold.customer_name} asked for it.")
    assert [_where(text) for text in texts] == [set(), set(), set()]


def test_licenses_and_story_stay_and_nothing_is_sent(sold: Purchase, cryptlex: Any, work: Any) -> None:
    before = only_link()
    number, calls = HistoryEntry.objects.count(), len(cryptlex.requests)
    erasure.erase_purchase(sold.pk, user_id=None, reason="Asked for.")
    link = only_link()
    assert (link.key, link.external_id, link.state) == (before.key, before.external_id, before.state)
    assert HistoryEntry.objects.count() == number + 1
    assert AuditEntry.objects.filter(action="purchase.erased", purchase=sold).count() == 1
    pipeline.plan_purchases([sold.pk])  # which finds nothing to change
    assert only_link().sync_state == SyncState.SETTLED
    assert len(cryptlex.requests) == calls


def test_nothing_is_erased_while_a_worker_has_a_license(sold: Purchase) -> None:
    purchase = Purchase.objects.get(pk=sold.pk)
    LicenseLink.objects.update(sync_state=SyncState.PENDING)
    assert leases.claim(only_link().pk) is not None
    with pytest.raises(ValueError, match="try again"):
        erasure.erase_purchase(sold.pk, user_id=None, reason="Asked for.")
    assert Purchase.objects.get(pk=sold.pk).customer_email == purchase.customer_email


def test_a_mail_that_is_just_being_sent_tells_its_address_to_nobody(sold: Purchase) -> None:
    claimed = resend._claim(KeyMail.objects.get().pk)
    assert claimed is not None
    erasure.erase_purchase(sold.pk, user_id=None, reason="Asked for.")
    resend._record_end(claimed, MailState.SENT, sentence=f"Sent to {claimed.address}.", kind="license.resent")
    assert _where("other@ava.example") == set()


def test_its_events_are_never_replayed(sold: Purchase) -> None:
    erasure.erase_purchase(sold.pk, user_id=None, reason="Asked for.")
    ids = list(WebhookEvent.objects.values_list("id", flat=True))
    assert ids
    assert interventions.replay_events(ids, user_id=None, reason="By mistake.") == 0
    assert set(WebhookEvent.objects.values_list("state", flat=True)) == {EventState.APPLIED}
    assert all(erasure.is_erased(event) for event in WebhookEvent.objects.all())


def test_a_mail_that_waits_is_not_sent_any_more(sold: Purchase) -> None:
    erasure.erase_purchase(sold.pk, user_id=None, reason="Asked for.")
    mail = KeyMail.objects.get()
    resend.send_key_mails([mail.pk])
    mail.refresh_from_db()
    assert (mail.address, mail.attempts, mail.state) == ("", 0, "failed")


@pytest.mark.django_db
@pytest.mark.parametrize("is_shared", [False, True])
def test_the_license_servers_user_is_forgotten_unless_another_purchase_has_the_address(is_shared: bool) -> None:
    purchase = PurchaseFactory(customer_email="ava@example.com")
    LicensingUserFactory(email="ava@example.com")
    if is_shared:
        other = PurchaseFactory(customer_email="ava@example.com")
    erasure.erase_purchase(purchase.pk, user_id=None, reason="Asked for.")
    assert LicensingUser.objects.exists() == is_shared
    if is_shared:
        other.refresh_from_db()
        assert (other.customer_email, other.customer_name) == ("ava@example.com", "Ava Lindqvist")
    assert not StoreCustomer.objects.exists()
