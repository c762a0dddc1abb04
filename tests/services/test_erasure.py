"""Erasing the personal data of a purchase: nothing of them is left in any table, and the licenses go on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, transaction

from licensing_integration.domain.facts import Customer
from licensing_integration.domain.outcomes import EventState, MailState, SyncState
from licensing_integration.exceptions import TransientRemoteError
from licensing_integration.models import (
    AuditEntry,
    BulkReplay,
    HistoryEntry,
    KeyMail,
    LicenseLink,
    LicensingUser,
    Purchase,
    StoreCustomer,
    WebhookEvent,
)
from licensing_integration.services import erasure, interventions, leases, pipeline, replays, resend
from licensing_integration.services.plan import plan_event
from licensing_integration.services.purchases import load_state, store_state
from licensing_integration.services.translate import translate_as_stored
from tests.factories import (
    HistoryEntryFactory,
    LicenseLinkFactory,
    LicensingUserFactory,
    PurchaseAliasFactory,
    PurchaseFactory,
    WebhookEventFactory,
)
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


def test_what_came_after_erasing_can_be_erased_too(sold: Purchase) -> None:
    assert erasure.keeps_personal_data(sold)
    erasure.erase_purchase(sold.pk, user_id=None, reason="Asked for.")
    sold.refresh_from_db()
    assert not erasure.keeps_personal_data(sold)
    resend.resend_keys([only_link()], address="new@ava.example", user_id=None, reason="Lost it.")
    assert erasure.keeps_personal_data(sold)
    erasure.erase_purchase(sold.pk, user_id=None, reason="Asked for again.")
    assert (_where("new@ava.example"), erasure.keeps_personal_data(sold)) == (set(), False)


@pytest.mark.parametrize(
    ("customer", "is_personal"),
    [(None, False), (Customer(external_id="cus_1"), False), (Customer(company="Ava's Garage"), True)],
)
def test_a_company_is_personal_and_the_stores_id_of_a_customer_is_not(
    customer: Customer | None, is_personal: bool, db: None
) -> None:
    purchase = PurchaseFactory(customer_email="", customer_name="")
    store_state(purchase, replace(load_state(purchase), customer=customer))
    assert erasure.keeps_personal_data(purchase) is is_personal


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


def test_an_event_that_a_worker_has_read_or_that_waits_brings_nothing_back(sold: Purchase) -> None:
    event = WebhookEvent.objects.latest("id")
    assert interventions.replay_events([event.pk], user_id=None, reason="To be sure.") == 1
    event.refresh_from_db()
    facts = translate_as_stored(event)
    erasure.erase_purchase(sold.pk, user_id=None, reason="Asked for.")
    assert plan_event(event, facts) == []
    pipeline.process_events([event.pk])
    pipeline._fail(event, TransientRemoteError(f"Nobody knows {AVA.email}."))
    event.refresh_from_db()
    assert (event.state, event.problem) == (EventState.APPLIED, "")
    assert _where(AVA.email) == set()


@pytest.mark.django_db(transaction=True)
def test_erasing_waits_for_planning_and_planning_for_erasing_but_never_both() -> None:
    purchase = PurchaseFactory()
    event = HistoryEntryFactory(purchase=purchase, event=WebhookEventFactory(state=EventState.RECEIVED)).event
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():  # as planning does: the event, then its purchase
            WebhookEvent.objects.filter(pk=event.pk).update(state=EventState.APPLIED)
            erasing = pool.submit(_erase_in_a_thread, purchase.pk)
            _wait_until_somebody_waits()
            Purchase.objects.select_for_update(nowait=True).get(pk=purchase.pk)
        erasing.result(timeout=20)
    assert erasure.is_erased(WebhookEvent.objects.get())


def _erase_in_a_thread(purchase_id: int) -> None:
    try:
        erasure.erase_purchase(purchase_id, user_id=None, reason="Asked for.")
    finally:
        connection.close()


def _wait_until_somebody_waits() -> None:
    """Whoever waits for a transaction to end waits for no database, but has other locks in ours."""
    with connection.cursor() as cursor:
        for _ in range(20_000):
            cursor.execute(
                "SELECT 1 FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_locks WHERE database = "
                "(SELECT oid FROM pg_database WHERE datname = current_database())) LIMIT 1"
            )
            if cursor.fetchone():
                return
    raise AssertionError("Nobody waits for a lock.")


def test_an_event_that_arrives_meanwhile_is_not_overlooked(sold: Purchase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "_events_told_of", _all_but_the_first_time(erasure._events_told_of))
    with pytest.raises(ValueError, match="try again"):
        erasure.erase_purchase(sold.pk, user_id=None, reason="Asked for.")


def _all_but_the_first_time(events_told_of: Any) -> Any:
    """What would be read, but nothing at first."""
    answers = iter([lambda purchase: HistoryEntry.objects.none().values_list("event_id", flat=True)])
    return lambda purchase: next(answers, events_told_of)(purchase)


@pytest.mark.parametrize("state", ["failed", "malformed", "unsupported", "held", "ignored"])
def test_events_that_never_became_part_of_the_story_are_emptied_by_their_address(state: str, sold: Purchase) -> None:
    body = f'{{"email": "{AVA.email.upper()}"}}'
    left = WebhookEventFactory(body=body, state=state, problem=f"{AVA.email} is unknown.")
    of_others = [
        WebhookEventFactory(body=body, state=state, store="other"),
        WebhookEventFactory(body=body, state=state, received_at=sold.first_seen_at - timedelta(days=1)),
        WebhookEventFactory(body="{}", state=state),
        WebhookEventFactory(body=body, state="applied"),
    ]
    erasure.erase_purchase(sold.pk, user_id=None, reason="Asked for.")
    left.refresh_from_db()
    assert (erasure.is_erased(left), left.problem, left.state) == (True, "", EventState.IGNORED)
    assert not any(erasure.is_erased(WebhookEvent.objects.get(pk=event.pk)) for event in of_others)


def test_no_reason_sentence_or_question_names_the_customer_any_more(sold: Purchase) -> None:
    event, words = WebhookEvent.objects.latest("id"), f"Mrs Lindqvist <{AVA.email}> asked; LINDQVIST it is."
    assert sold.customer_name.endswith("Lindqvist")
    replays.start([event.pk], user_id=None, reason=words)
    replays.start([event.pk + 1], user_id=None, reason="Of somebody else: lindqvist.")
    interventions.replay_events([event.pk], user_id=None, reason=words)
    interventions.resync_link(only_link().pk, user_id=None, reason=words)
    LicenseLink.objects.update(reason=words, question=words, failure_message=words, override_reason=words)
    Purchase.objects.update(attention=words)
    WebhookEvent.objects.update(problem=words)
    erasure.erase_purchase(sold.pk, user_id=None, reason=words)
    assert _where(AVA.email) == set()
    assert _where("lindqvist") == {"AuditEntry", "BulkReplay"}
    assert list(BulkReplay.objects.filter(reason__icontains="lindqvist")) == [BulkReplay.objects.latest("id")]
    assert AuditEntry.objects.get(reason__icontains="lindqvist").action == "event.replay_many"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "name", ["Straße GmbH", "STRASSE GMBH", "Ünal Öztürk", "O'Brien \\ Co", "(Smith)", "Ömer İstanbul"]
)
def test_names_are_found_however_they_are_written(name: str) -> None:
    purchase = PurchaseFactory(customer_name=name)
    spellings = {name, name.lower(), name.upper(), name.casefold(), name.replace("SS", "ß")}
    for spelling in spellings:
        HistoryEntryFactory(purchase=purchase, sentence=f"Sold to {spelling}!")
    erasure.erase_purchase(purchase.pk, user_id=None, reason="Asked for.")
    told = HistoryEntry.objects.exclude(kind="purchase.erased").values_list("sentence", flat=True)
    assert set(told) == {"Sold to [erased]!"}


@pytest.mark.django_db
def test_a_name_alone_is_no_part_of_another_word_and_never_changes_a_license() -> None:
    purchase = PurchaseFactory(customer_name="Art Bo")
    link = LicenseLinkFactory(item__purchase=purchase, desired={"state": "active", "product_id": "art"})
    HistoryEntryFactory(purchase=purchase, sentence="Art Bo started. Art called about Bo's part.")
    erasure.erase_purchase(purchase.pk, user_id=None, reason="Asked for.")
    sentence = HistoryEntry.objects.earliest("id").sentence
    assert sentence == "[erased] started. [erased] called about Bo's part."
    link.refresh_from_db()
    assert link.desired["product_id"] == "art"
