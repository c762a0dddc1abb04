"""resend: license keys go to a customer once more, by mail. Asked for by a person, sent by a worker.

A mail can be sent twice, as no mail server can be asked whether it took one; but never without saying so. The attempt
is recorded before it begins and its end afterwards, so what a killed worker leaves behind is told in the history.
"""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.validators import validate_email
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import DateTimeField, Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from licensing_integration import conf, jobs
from licensing_integration.domain.outcomes import FailureMode, LicenseState, MailState
from licensing_integration.exceptions import CredentialsRejected, PermanentRemoteError, TransientRemoteError
from licensing_integration.models import HistoryEntry, KeyMail, LicenseLink, Purchase
from licensing_integration.services import audit, retries
from licensing_integration.services.key_mail import compose

logger = logging.getLogger(__name__)

NOT_CONFIGURED = "No mail can be sent from here: EMAIL_URL and DEFAULT_FROM_EMAIL are not set."

_LEASE = timedelta(minutes=5)  # longer than any conversation with a mail server
_SWEPT_AT_ONCE = 100
_USELESS = frozenset({LicenseState.REVOKED, LicenseState.ABSENT})


def why_not_resend(link: LicenseLink) -> str:
    """Why the key of this license cannot be sent; empty if it can."""
    if not conf.can_send_mail():
        return NOT_CONFIGURED
    if not link.key:
        return "The license has no key yet."
    return "The license has ended, so its key is of no use." if link.state in _USELESS else ""


def sendable_links(purchase: Purchase) -> QuerySet[LicenseLink]:
    """The licenses of a purchase whose keys can be used, or will be again."""
    links = _sendable(purchase.links.all())
    return links.only("id", "purchase_id", "key", "state").order_by("item_id", "unit")


def with_sendable(purchases: QuerySet[Purchase]) -> QuerySet[Any]:
    """Each with ``has_sendable``: whether it has such licenses."""
    return purchases.annotate(has_sendable=Exists(_sendable(LicenseLink.objects.filter(purchase=OuterRef("pk")))))


def _sendable(links: QuerySet[LicenseLink]) -> QuerySet[LicenseLink]:
    return links.exclude(key="").exclude(state__in=_USELESS)


def resend_keys(links: Sequence[LicenseLink], *, address: str | None, user_id: int | None, reason: str) -> KeyMail:
    """Have the keys of these licenses, all of one purchase, sent to ``address``; empty: to that of the purchase;
    ``None``: to that, and whoever asks could not give another one.

    Raises ``ValueError`` with a sentence for the person who asked, and then does nothing.
    """
    if not conf.can_send_mail():
        raise ValueError(NOT_CONFIGURED)
    if not links:
        raise ValueError("There is no license here whose key could be sent.")
    with transaction.atomic():
        purchase = (
            Purchase.objects.select_for_update(no_key=True).only("id", "customer_email").get(pk=links[0].purchase_id)
        )
        to = (address or "").strip() or purchase.customer_email
        _check(to, may_be_given=address is not None)
        link_ids = [link.pk for link in links]
        if purchase.key_mails.filter(state=MailState.WAITING, address__iexact=to, link_ids=link_ids).exists():
            raise ValueError(f"The same mail to {to} is on its way already; the history tells what becomes of it.")
        mail = KeyMail.objects.create(purchase=purchase, link_ids=link_ids, address=to, asked_by_id=user_id)
        sentence = f"Asked for the key to be sent again to {to}."
        _tell(links, kind="license.resend_asked", sentence=f"{sentence} {reason}".strip(), user_id=user_id)
        _audit(links, purchase, sentence=sentence, reason=reason, user_id=user_id)
        jobs.enqueue_key_mails([mail.pk])
    return mail


def _audit(
    links: Sequence[LicenseLink], purchase: Purchase, *, sentence: str, reason: str, user_id: int | None
) -> None:
    """One entry: about the license, or about the purchase when it is about several of its licenses."""
    if len(links) == 1:
        audit.record("license.resend", sentence, user_id=user_id, reason=reason, link=links[0])
    else:
        told = sentence.replace("the key", f"{len(links)} keys")
        audit.record("license.resend", told, user_id=user_id, reason=reason, purchase=purchase)


def _check(address: str, *, may_be_given: bool) -> None:
    advice = "enter the one to send to" if may_be_given else "open the license or the purchase to send to another one"
    if not address:
        raise ValueError(f"The store gave no address for this purchase; {advice}.")
    try:
        validate_email(address)
    except ValidationError as error:
        raise ValueError(f"{address} is no e-mail address; {advice}.") from error


def wake_due() -> None:
    """Set in motion every mail that is due: its job was lost, its worker was killed, or its time to retry has come."""
    now = timezone.now()
    with transaction.atomic():
        is_free = Q(lease_until=None) | Q(lease_until__lt=now)
        due = KeyMail.objects.filter(is_free, state=MailState.WAITING, retry_at__lte=now)
        ids = list(
            due.order_by("retry_at")
            .select_for_update(no_key=True, skip_locked=True)
            .values_list("id", flat=True)[:_SWEPT_AT_ONCE]
        )
        # Until ``retry_at`` the job that is made here is believed to be on its way. The lease that is over lets it pass
        # all the same; after a failure there is none, so that a second job waits like everybody.
        KeyMail.objects.filter(pk__in=ids).update(
            retry_at=now + timedelta(seconds=conf.sweep_grace_seconds()),
            lease_until=Coalesce("lease_until", Value(now, output_field=DateTimeField())),
        )
        jobs.enqueue_key_mails(ids)


# --- the worker ------------------------------------------------------------------------------------------------------


def send_key_mails(mail_ids: Iterable[int]) -> None:
    """Send these mails; a failure of one is recorded and does not keep the others waiting."""
    for mail_id in mail_ids:
        _send_key_mail(mail_id)


def _send_key_mail(mail_id: int) -> None:
    mail = _claim(mail_id)
    if mail is None:
        return
    links = list(LicenseLink.objects.filter(pk__in=mail.link_ids).exclude(key="").select_related("item", "purchase"))
    try:
        if not links:
            raise PermanentRemoteError("None of the licenses has a key any more, so no mail was sent.", status=0)
        _deliver(compose(mail, links))
    except (OperationalError, InterfaceError):
        raise  # our own database is away: the lease runs out, and the sweep tries again
    except Exception as error:
        _record_failure(mail, error)
    else:
        _record_end(mail, MailState.SENT, sentence=f"The key was sent again to {mail.address}.", kind="license.resent")


def _claim(mail_id: int) -> KeyMail | None:
    """Take the mail for the length of a lease, and note that an attempt begins; ``None`` when it is sent, given up,
    taken, not due yet, or its purchase's personal data was erased."""
    now = timezone.now()
    with transaction.atomic():
        is_due = Q(lease_until=None, retry_at__lte=now) | Q(lease_until__lt=now)
        free = KeyMail.objects.filter(is_due, pk=mail_id, state=MailState.WAITING).exclude(address="")
        mail = free.select_for_update(no_key=True, skip_locked=True).first()
        if mail is None:
            return None
        if mail.is_unclear:
            _tell(
                _links_of(mail),
                kind="license.resend_unclear",
                sentence=f"An attempt to send the key to {mail.address} was cut off, and whether the mail went out is "
                "not known. It is sent again, so it may arrive twice.",
                user_id=mail.asked_by_id,
            )
        mail.attempts, mail.is_unclear, mail.lease_until = mail.attempts + 1, True, now + _LEASE
        mail.save(update_fields=["attempts", "is_unclear", "lease_until"])
    return mail


def _deliver(message: EmailMultiAlternatives) -> None:
    """Hand the mail to the mail server. Raises our errors, which say whether it may have been taken all the same."""
    connection = get_connection()
    try:
        connection.open()
    except (smtplib.SMTPException, OSError) as error:
        raise _as_ours(error, may_have_succeeded=False) from error
    try:
        connection.send_messages([message])
    except (smtplib.SMTPException, OSError) as error:
        raise _as_ours(error, may_have_succeeded=True) from error
    finally:
        with suppress(smtplib.SMTPException, OSError):
            connection.close()  # taken is taken, whatever becomes of the farewell


def _as_ours(error: Exception, *, may_have_succeeded: bool) -> Exception:
    """An answer is clear: 4xx passes by itself, 5xx does not (RFC 5321, 4.2.1). No answer is unclear."""
    code, text = _answer_of(error)
    if not code:
        sentence = f"The mail server did not answer ({type(error).__name__})."
        return TransientRemoteError(sentence, may_have_succeeded=may_have_succeeded)
    sentence = f"The mail server refused: {code} {text}".strip()
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return CredentialsRejected(f"{sentence} Correct EMAIL_URL.")
    if code >= 500:
        return PermanentRemoteError(sentence, status=code)
    return TransientRemoteError(sentence, may_have_succeeded=False)


def _answer_of(error: Exception) -> tuple[int, str]:
    """The mail server's code and sentence; 0 where it gave none."""
    match error:
        case smtplib.SMTPRecipientsRefused(recipients=refused) if refused:
            code, text = next(iter(refused.values()))
            return code, _words(text)
        case smtplib.SMTPResponseException(smtp_code=code, smtp_error=answer):
            return max(code, 0), _words(answer)
        case smtplib.SMTPNotSupportedError():
            return 550, _words(str(error))
        case _:
            return 0, ""


def _words(text: bytes | str) -> str:
    decoded = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return " ".join(decoded.split())[:300]


def _record_failure(mail: KeyMail, error: Exception) -> None:
    now = timezone.now()
    since = mail.failing_since or now
    decision = retries.decide(error, attempts=mail.attempts, failing_since=since, now=now)
    if now - since > retries.GIVE_UP_AFTER:  # whatever it was: nobody waits for this mail any more
        decision = replace(decision, retry_at=None)
    is_told = mail.failing_since is None or decision.retry_at is None
    outlook = "It is tried again by itself." if decision.retry_at else "It is not tried again; ask for it once more."
    sentence = f"The mail to {mail.address} was not sent. {retries.describe(error, decision)} {outlook}"
    _record_end(
        mail,
        MailState.WAITING if decision.retry_at else MailState.FAILED,
        sentence=sentence if is_told else "",
        kind="license.resend_failed",
        failing_since=since,
        retry_at=decision.retry_at or now,
        is_unclear=not decision.is_clear,
    )
    log = logger.exception if decision.failure_mode is FailureMode.INTERNAL else logger.warning
    log("mail with keys not sent", extra={"mail": mail.pk, "error": type(error).__name__})


def _record_end(mail: KeyMail, state: MailState, *, sentence: str, kind: str, **values: object) -> None:
    """Record how the attempt ended, unless another worker has taken the mail since, or its purchase's
    personal data were erased, so that its address must not be told any more. ``sentence`` may be empty."""
    ended = {"is_unclear": False, **values, "state": state, "lease_until": None}
    with transaction.atomic():
        ours = KeyMail.objects.filter(pk=mail.pk, lease_until=mail.lease_until, state=MailState.WAITING)
        if ours.update(**ended) and sentence:
            _tell(_links_of(mail), kind=kind, sentence=sentence, user_id=mail.asked_by_id)


def _links_of(mail: KeyMail) -> list[LicenseLink]:
    return list(LicenseLink.objects.filter(pk__in=mail.link_ids).only("id", "purchase_id"))


def _tell(links: Sequence[LicenseLink], *, kind: str, sentence: str, user_id: int | None) -> None:
    HistoryEntry.objects.bulk_create(
        HistoryEntry(purchase_id=link.purchase_id, link=link, kind=kind, sentence=sentence, user_id=user_id)
        for link in links
    )
