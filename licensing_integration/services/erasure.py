"""erase: the personal data of one purchase are taken out of everything we keep; licenses and their story stay."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from django.db import transaction
from django.db.models import F, Func, QuerySet, TextField, Value
from django.utils import timezone

from licensing_integration.domain.facts import Customer
from licensing_integration.domain.outcomes import MailState
from licensing_integration.models import (
    AuditEntry,
    HistoryEntry,
    LicenseLink,
    LicensingUser,
    Purchase,
    StoreCustomer,
    WebhookEvent,
)
from licensing_integration.services import audit, history
from licensing_integration.services.purchases import load_state, store_state

ERASED: Final = "[erased]"
ERASED_BODY: Final = json.dumps({"erased": "The personal data of its purchase were erased, and the event with them."})
WHY_NO_REPLAY: Final = "Its body was erased with the personal data of its purchase, so nothing is left to replay."

_PERSONAL_MEMBERS: Final = frozenset({"email", "first_name", "last_name", "company"})
_SHORTEST_NAME: Final = 3  # a shorter one stands inside too many other words


def is_erased(event: WebhookEvent) -> bool:
    """Whether the event's body was taken away with somebody's personal data."""
    return event.body == ERASED_BODY


def erase_purchase(purchase_id: int, *, user_id: int | None, reason: str) -> None:
    """Erase name, address and company of the customer: from the purchase, its licenses here, its story, the audit, the
    mails sent for it, and every event that spoke of it, whose body is gone then.

    Nothing is sent to a license server, and what was sent there before stays there. Raises ``ValueError`` while a
    worker is at one of the licenses.
    """
    with transaction.atomic():
        purchase = Purchase.objects.select_for_update(no_key=True).get(pk=purchase_id)
        links = list(purchase.links.select_for_update(no_key=True).order_by("id"))
        _refuse_while_worked_on(links)
        texts = _personal_texts(purchase)
        _forget_customer(purchase)
        _clean_links(links, texts)
        _clean_story(purchase, texts)
        _empty_events(purchase)
        history.purchase_entry(
            purchase, kind="purchase.erased", sentence="The personal data were erased.", user_id=user_id
        ).save()
        audit.record(
            "purchase.erased", "The personal data of the purchase were erased.", user_id=user_id,
            reason=_clean_text(reason, texts), purchase=purchase,
        )  # fmt: skip


def _personal_texts(purchase: Purchase) -> list[str]:
    """Everything that names the customer, longest first, so that a name inside an address leaves nothing over."""
    customer = load_state(purchase).customer or Customer()
    names = [customer.company, f"{customer.first_name} {customer.last_name}".strip(), purchase.customer_name]
    addresses = [customer.email, purchase.customer_email, *purchase.key_mails.values_list("address", flat=True)]
    found = {text for text in (*names, *addresses) if len(text) >= _SHORTEST_NAME}
    return sorted(found, key=len, reverse=True)


def _forget_customer(purchase: Purchase) -> None:
    """From the purchase's own row, and from those that exist only for its customer."""
    state, address = load_state(purchase), purchase.customer_email
    customer_id = state.customer.external_id if state.customer else ""
    store_state(purchase, replace(state, customer=Customer(external_id=customer_id)))
    purchase.customer_email, purchase.customer_name = "", ERASED
    purchase.save()
    purchase.aliases.filter(value__contains="@").delete()
    if customer_id:
        StoreCustomer.objects.filter(store=purchase.store, external_id=customer_id).delete()
    if address and not Purchase.objects.filter(customer_email=address).exists():
        LicensingUser.objects.filter(email=address).delete()
    purchase.key_mails.filter(state=MailState.WAITING).update(state=MailState.FAILED)
    purchase.key_mails.update(address="")


def _refuse_while_worked_on(links: Iterable[LicenseLink]) -> None:
    """A worker writes down what it was told when it began, address and all."""
    now = timezone.now()
    if any(link.lease_token and link.lease_until and link.lease_until > now for link in links):
        raise ValueError("A worker has one of the licenses at this moment; try again in two minutes.")


def _clean_links(links: Sequence[LicenseLink], texts: Sequence[str]) -> None:
    """Wanted and brought about are cleaned alike, so nothing differs between them and nothing is sent."""
    for link in links:
        link.desired, link.applied = _clean_json(link.desired, texts), _clean_json(link.applied, texts)
        link.observed = _clean_json(link.observed, texts)
        link.failure_message = _clean_text(link.failure_message, texts)
        link.override_reason = _clean_text(link.override_reason, texts)
    fields = ["desired", "applied", "observed", "failure_message", "override_reason"]
    LicenseLink.objects.bulk_update(links, fields, batch_size=200)


def _clean_json(value: Any, texts: Sequence[str]) -> Any:
    """JSON without the members that are personal, and without the texts wherever they stand."""
    match value:
        case dict():
            return {name: _clean_json(part, texts) for name, part in value.items() if name not in _PERSONAL_MEMBERS}
        case list():
            return [_clean_json(part, texts) for part in value]
        case str():
            return _clean_text(value, texts)
        case _:
            return value


def _clean_text(text: str, texts: Iterable[str]) -> str:
    for personal in texts:
        text = re.sub(re.escape(personal), ERASED, text, flags=re.IGNORECASE)
    return text


def _clean_story(purchase: Purchase, texts: Sequence[str]) -> None:
    """The sentences stay, without address and name."""
    entries = HistoryEntry.objects.filter(purchase=purchase)
    _replace_in(entries, ("sentence",), texts)
    for entry in entries.filter(calls__isnull=False).only("calls").iterator():
        calls = _clean_json(entry.calls, texts)
        if calls != entry.calls:  # not by save(): the story is append-only for everybody else
            entries.filter(pk=entry.pk).update(calls=calls)
    _replace_in(AuditEntry.objects.filter(purchase=purchase), ("sentence", "reason"), texts)


def _replace_in(rows: QuerySet[Any], fields: Sequence[str], texts: Sequence[str]) -> None:
    for field in fields:
        for personal in texts:
            cleaned = Func(
                *(F(field), Value(re.escape(personal)), Value(ERASED), Value("gi")),
                function="regexp_replace",
                output_field=TextField(),
            )
            rows.filter(**{f"{field}__icontains": personal}).update(**{field: cleaned})


def _empty_events(purchase: Purchase) -> None:
    """Bodies cannot be cleaned member by member without knowing every store's words, so they go as a whole."""
    ids = HistoryEntry.objects.filter(purchase=purchase).exclude(event=None).order_by().values("event_id")
    WebhookEvent.objects.filter(pk__in=ids).update(body=ERASED_BODY, fetched=None)
