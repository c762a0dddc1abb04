"""License keys sent again: through a real mail server, with every way in which one can fail."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from licensing_integration.domain.outcomes import MailState
from licensing_integration.models import AuditEntry, HistoryEntry, KeyMail, LicenseLink
from licensing_integration.sandbox.mail import MailSink
from licensing_integration.services import resend
from licensing_integration.services.order_access import token_for
from tests.factories import LicenseLinkFactory, PurchaseFactory, UserFactory
from tests.services.test_sweep import count_jobs

pytestmark = pytest.mark.django_db


@pytest.fixture
def sink(settings: Settings) -> Iterator[MailSink]:
    with MailSink() as sink:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", sink.port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = None
        settings.EMAIL_TIMEOUT = 5
        settings.DEFAULT_FROM_EMAIL = "Acme <keys@acme.example>"
        settings.CAN_SEND_MAIL = True
        yield sink


@pytest.fixture
def link() -> LicenseLink:
    return LicenseLinkFactory(item__purchase=PurchaseFactory(customer_email="ava@example.com"))


def _ask(link: LicenseLink, address: str = "") -> KeyMail:
    return resend.resend_keys([link], address=address, user_id=UserFactory().pk, reason="Lost it.")


def _kinds() -> list[str]:
    return list(HistoryEntry.objects.order_by("id").values_list("kind", flat=True))


def _make_due(mail: KeyMail) -> None:
    KeyMail.objects.filter(pk=mail.pk).update(retry_at=timezone.now(), lease_until=None)


def test_the_key_goes_to_the_address_of_the_purchase_in_two_forms(sink: MailSink, link: LicenseLink) -> None:
    mail = _ask(link)
    assert sink.messages == []  # nobody waits for a mail server while a page is loading
    resend.send_key_mails([mail.pk])
    (message,) = sink.messages
    assert sink.recipients == ["ava@example.com"]
    assert (message["To"], message["From"]) == ("ava@example.com", "Acme <keys@acme.example>")
    assert message["Subject"] == "Your license key for Photon Editor"
    for kind in ("plain", "html"):
        body = message.get_body((kind,))
        assert body is not None
        assert link.key in body.get_content()
        assert "Photon Editor" in body.get_content()
    mail.refresh_from_db()
    assert (mail.state, mail.is_unclear, mail.attempts) == (MailState.SENT, False, 1)
    assert _kinds() == ["license.resend_asked", "license.resent"]
    told = HistoryEntry.objects.get(kind="license.resent")
    assert told.sentence == "The key was sent again to ava@example.com."
    assert (told.link, told.user) == (link, mail.asked_by)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.reason, entry.link) == ("license.resend", "Lost it.", link)
    assert link.key not in f"{entry.sentence} {told.sentence}"


def test_a_mail_that_was_sent_is_not_sent_again(sink: MailSink, link: LicenseLink) -> None:
    mail = _ask(link)
    for _ in range(3):
        resend.send_key_mails([mail.pk])
    resend.wake_due()
    assert len(sink.messages) == 1


def test_all_keys_of_a_purchase_go_in_one_mail(sink: MailSink, link: LicenseLink, settings: Settings) -> None:
    settings.ORDER_PAGE_NAME = "Acme Software"
    second = LicenseLinkFactory(item=link.item, unit=2)
    LicenseLinkFactory(item=link.item, unit=3, is_new=True)
    LicenseLinkFactory(item=link.item, unit=4, state="revoked")
    links = list(resend.sendable_links(link.purchase))
    mail = resend.resend_keys(links, address="", user_id=None, reason="Lost them.")
    resend.send_key_mails([mail.pk])
    (message,) = sink.messages
    assert message["Subject"] == "Your 2 license keys for Photon Editor (Acme Software)"
    body = message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert body.count(link.key) == body.count(second.key) == 1
    assert HistoryEntry.objects.filter(kind="license.resent").count() == 2
    entry = AuditEntry.objects.get()
    assert (entry.purchase, entry.link) == (link.purchase, None)
    assert "2 keys" in entry.sentence


def test_the_order_page_is_named_to_the_buyer_and_to_nobody_else(
    sink: MailSink, link: LicenseLink, settings: Settings
) -> None:
    settings.ORDER_PAGES, settings.ORDER_PAGE_BASE_URL = True, "https://licensing.example.com"
    settings.ORDER_PAGE_SECRET = ("s" * 40,)
    address = (
        f"https://licensing.example.com/orders/fastspring/{link.purchase.external_id}/"
        f"?token={token_for('fastspring', link.purchase.external_id)}"
    )
    resend.send_key_mails([_ask(link).pk, _ask(link, "new@example.com").pk])
    to_buyer, to_other = (message.get_body(("plain",)).get_content() for message in sink.messages)  # type: ignore[union-attr]
    assert address in to_buyer
    assert "/orders/" not in to_other


def test_a_product_name_cannot_add_headers(sink: MailSink) -> None:
    link = LicenseLinkFactory(item__display="Photon\r\nBcc: eve@example.com")
    resend.send_key_mails([_ask(link).pk])
    assert sink.messages[0]["Subject"] == "Your license key for Photon Bcc: eve@example.com"
    assert sink.messages[0]["Bcc"] is None


def test_a_mail_server_that_is_away_is_tried_again(link: LicenseLink, sink: MailSink, settings: Settings) -> None:
    mail = _ask(link)
    settings.EMAIL_PORT = 9  # nobody listens there
    resend.send_key_mails([mail.pk])
    mail.refresh_from_db()
    assert (mail.state, mail.is_unclear) == (MailState.WAITING, False)
    assert mail.retry_at > timezone.now()
    resend.wake_due()
    assert count_jobs() == 1  # the one of the request; it is not due yet
    settings.EMAIL_PORT = sink.port
    _make_due(mail)
    resend.send_key_mails([mail.pk])
    assert len(sink.messages) == 1
    assert _kinds() == ["license.resend_asked", "license.resend_failed", "license.resent"]
    assert "tried again by itself" in HistoryEntry.objects.get(kind="license.resend_failed").sentence


@pytest.mark.parametrize(
    ("verb", "answer", "state"),
    [
        ("RCPT", b"550 5.1.1 no such mailbox", MailState.FAILED),
        ("RCPT", b"451 greylisted", MailState.WAITING),
        ("MAIL", b"452 too busy", MailState.WAITING),
        ("DATA", b"554 not from you", MailState.FAILED),
        (".", b"554 looks like spam", MailState.FAILED),
        (".", b"451 disk full", MailState.WAITING),
    ],
)
def test_what_the_mail_server_answers_is_clear(
    verb: str, answer: bytes, state: MailState, sink: MailSink, link: LicenseLink
) -> None:
    sink.answers[verb] = answer
    mail = _ask(link)
    resend.send_key_mails([mail.pk])
    mail.refresh_from_db()
    assert (mail.state, mail.is_unclear, sink.messages) == (state, False, [])
    sentence = HistoryEntry.objects.get(kind="license.resend_failed").sentence
    assert answer.decode() in sentence
    assert ("ask for it once more" in sentence) == (state is MailState.FAILED)


def test_a_connection_cut_after_the_mail_was_taken_is_told_before_it_is_sent_again(
    sink: MailSink, link: LicenseLink
) -> None:
    sink.answers["."] = b""
    mail = _ask(link)
    resend.send_key_mails([mail.pk])
    mail.refresh_from_db()
    assert (mail.state, mail.is_unclear) == (MailState.WAITING, True)
    _make_due(mail)
    resend.send_key_mails([mail.pk])
    first, second = sink.messages
    assert first["Message-ID"] == second["Message-ID"]  # a mail server that keeps books delivers one of them
    assert _kinds()[-2:] == ["license.resend_unclear", "license.resent"]
    assert "may arrive twice" in HistoryEntry.objects.get(kind="license.resend_unclear").sentence


def test_a_second_job_waits_for_the_retry_like_everybody(sink: MailSink, link: LicenseLink) -> None:
    mail = _ask(link)
    resend.wake_due()  # the queue is late
    sink.answers["."] = b""
    for _ in range(2):
        resend.send_key_mails([mail.pk])
    assert len(sink.messages) == 1
    _make_due(mail)
    resend.wake_due()  # from now on its job may send it, though the next sweep is not to make another
    resend.send_key_mails([mail.pk])
    assert len(sink.messages) == 2
    mail.refresh_from_db()
    assert mail.state == MailState.SENT


def test_the_same_mail_is_not_asked_for_twice_while_it_waits(sink: MailSink, link: LicenseLink) -> None:
    first = _ask(link)
    with pytest.raises(ValueError, match="on its way already"):
        _ask(link, "AVA@example.com")
    _ask(link, "other@example.com")
    second = LicenseLinkFactory(item=link.item, unit=2)
    resend.resend_keys([link, second], address="", user_id=None, reason="Both.")
    resend.send_key_mails([first.pk])
    _ask(link)
    assert KeyMail.objects.count() == 4


def test_a_killed_worker_leaves_a_trace_and_the_sweep_goes_on(sink: MailSink, link: LicenseLink) -> None:
    mail = _ask(link)
    assert resend._claim(mail.pk) is not None  # and the worker is killed
    resend.send_key_mails([mail.pk])  # somebody has it
    assert sink.messages == []
    later = timezone.now() - timedelta(seconds=1)
    KeyMail.objects.filter(pk=mail.pk).update(lease_until=later, retry_at=later)
    for _ in range(2):  # the job is on its way, and the next sweep makes no other
        resend.wake_due()
    assert count_jobs() == 2
    _make_due(mail)
    resend.send_key_mails([mail.pk])
    assert len(sink.messages) == 1
    assert "license.resend_unclear" in _kinds()


def test_after_three_days_nobody_waits_any_more(sink: MailSink, link: LicenseLink) -> None:
    mail = _ask(link)
    KeyMail.objects.filter(pk=mail.pk).update(failing_since=timezone.now() - timedelta(days=4))
    sink.answers["MAIL"] = b"451 still busy"
    resend.send_key_mails([mail.pk])
    mail.refresh_from_db()
    assert mail.state == MailState.FAILED
    assert "ask for it once more" in HistoryEntry.objects.get(kind="license.resend_failed").sentence


def test_neither_key_nor_address_reaches_the_log(
    sink: MailSink, link: LicenseLink, caplog: pytest.LogCaptureFixture
) -> None:
    sink.answers["RCPT"] = b"550 <ava@example.com> unknown"
    with caplog.at_level(logging.DEBUG):
        resend.send_key_mails([_ask(link).pk])
    told = " ".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records if record.exc_info is None)
    assert "mail with keys not sent" in told
    assert link.key not in told
    assert "ava@" not in told


@pytest.mark.parametrize("address", ["ava", "ava@", "ava@example.com\nBcc: eve@example.com"])
def test_what_is_no_address_is_refused(address: str, sink: MailSink, link: LicenseLink) -> None:
    with pytest.raises(ValueError, match="no e-mail address"):
        _ask(link, address)
    assert not KeyMail.objects.exists()


def test_without_any_address_somebody_has_to_give_one(sink: MailSink) -> None:
    link = LicenseLinkFactory(item__purchase=PurchaseFactory(customer_email=""))
    with pytest.raises(ValueError, match="enter the one"):
        _ask(link)


def test_without_a_mail_server_it_is_said_what_to_set(link: LicenseLink, settings: Settings) -> None:
    settings.CAN_SEND_MAIL = False
    assert "EMAIL_URL" in resend.why_not_resend(link)
    with pytest.raises(ValueError, match="EMAIL_URL"):
        _ask(link)
