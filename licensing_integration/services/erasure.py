"""erase: the personal data of one purchase are taken out of everything we keep; licenses and their story stay."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import Any, Final

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from licensing_integration.domain.facts import Customer
from licensing_integration.domain.outcomes import UNPROCESSABLE, EventState, MailState
from licensing_integration.models import (
    AuditEntry,
    BulkReplay,
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
_SHORTEST_NAME: Final = 3
_NOTHING: Final = r"(?!)"
_BEFORE: Final = timedelta(hours=1)  # an event that failed may be the first of its purchase
# An event with one of these verdicts leaves no history entry that would name its purchase.
_WITHOUT_STORY: Final = (*UNPROCESSABLE, EventState.HELD, EventState.IGNORED)


def is_erased(event: WebhookEvent) -> bool:
    """Whether the event's body was taken away with somebody's personal data."""
    return event.body == ERASED_BODY


def keeps_personal_data(purchase: Purchase) -> bool:
    """Whether anything is left to erase: what the store says of its customer, or an address that its keys were sent to
    since."""
    customer = replace(load_state(purchase).customer or Customer(), external_id="")
    is_known = purchase.customer_email or purchase.customer_name not in {"", ERASED} or customer != Customer()
    return bool(is_known) or purchase.key_mails.exclude(address="").exists()


def erase_purchase(purchase_id: int, *, user_id: int | None, reason: str) -> None:
    """Erase name, address and company of the customer: from the purchase, its licenses here, its story, the audit, the
    mails sent for it, and every event that spoke of it, whose body is gone then.

    Nothing is sent to a license server, and what was sent there before stays there. Raises ``ValueError`` while a
    worker is at one of the licenses or of the events.
    """
    with transaction.atomic():
        event_ids = _empty_events(Purchase.objects.get(pk=purchase_id))  # events first, as planning locks them
        purchase = Purchase.objects.select_for_update(no_key=True).get(pk=purchase_id)
        links = list(purchase.links.select_for_update(no_key=True).order_by("id"))
        _refuse_while_worked_on(purchase, links)
        personal = _personal_in(purchase)
        _forget_customer(purchase, personal)
        _clean_links(links, personal)
        _clean_story(purchase, event_ids, personal)
        history.purchase_entry(
            purchase, kind="purchase.erased", sentence="The personal data were erased.", user_id=user_id
        ).save()
        audit.record(
            "purchase.erased", "The personal data of the purchase were erased.", user_id=user_id,
            reason=_clean(reason, personal.in_sentences), purchase=purchase,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Personal:
    """What names the customer: ``in_data`` addresses and names in full, ``in_sentences`` also either name alone. Data
    may hold a first name as the word of something else, and a license must not change because of it."""

    in_data: re.Pattern[str]
    in_sentences: re.Pattern[str]


def _personal_in(purchase: Purchase) -> _Personal:
    customer = load_state(purchase).customer or Customer()
    full = {customer.company, f"{customer.first_name} {customer.last_name}".strip(), purchase.customer_name}
    full |= {*_addresses_of(purchase), *purchase.key_mails.values_list("address", flat=True)}
    alone = {customer.first_name, customer.last_name, *purchase.customer_name.split()}
    wholly = [_expression(text) for text in _longest_first(full)]
    as_words = [rf"(?<!\w){_expression(text)}(?!\w)" for text in _longest_first(alone)]
    return _Personal(in_data=_any_of(wholly), in_sentences=_any_of([*wholly, *as_words]))


def _addresses_of(purchase: Purchase) -> set[str]:
    customer = load_state(purchase).customer or Customer()
    return {address for address in (customer.email, purchase.customer_email) if address}


def _longest_first(texts: Iterable[str]) -> list[str]:
    """So that a name inside an address leaves nothing over; without those that stand inside too many other words."""
    return sorted((text for text in texts if len(text) >= _SHORTEST_NAME), key=len, reverse=True)


def _expression(text: str) -> str:
    """The text in capitals or not: Straße is STRASSE then, which ``re.IGNORECASE`` does not know."""
    folded = re.escape(text.casefold()).replace("ss", "(?:ss|ß)")
    return f"(?:{re.escape(text)}|{folded})"


def _any_of(expressions: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(expressions) or _NOTHING, re.IGNORECASE)


def _forget_customer(purchase: Purchase, personal: _Personal) -> None:
    """From the purchase's own row, and from those that exist only for its customer."""
    state, address = load_state(purchase), purchase.customer_email
    customer_id = state.customer.external_id if state.customer else ""
    store_state(purchase, replace(state, customer=Customer(external_id=customer_id)))
    purchase.customer_email, purchase.customer_name = "", ERASED
    purchase.attention = _clean(purchase.attention, personal.in_sentences)
    purchase.save()
    purchase.aliases.filter(value__contains="@").delete()
    if customer_id:
        StoreCustomer.objects.filter(store=purchase.store, external_id=customer_id).delete()
    if address and not Purchase.objects.filter(customer_email=address).exists():
        LicensingUser.objects.filter(email=address).delete()
    purchase.key_mails.filter(state=MailState.WAITING).update(state=MailState.FAILED)
    purchase.key_mails.update(address="")


def _refuse_while_worked_on(purchase: Purchase, links: Iterable[LicenseLink]) -> None:
    """A worker writes down what it was told when it began, address and all."""
    now = timezone.now()
    if any(link.lease_token and link.lease_until and link.lease_until > now for link in links):
        raise ValueError("A worker has one of the licenses at this moment; try again in two minutes.")
    if WebhookEvent.objects.filter(pk__in=_events_told_of(purchase)).exclude(body=ERASED_BODY).exists():
        raise ValueError("An event of the purchase arrived at this moment; try again.")


def _clean_links(links: Sequence[LicenseLink], personal: _Personal) -> None:
    """Wanted and brought about are cleaned alike, so nothing differs between them and nothing is sent."""
    data, sentences = ("desired", "applied", "observed"), ("reason", "question", "failure_message", "override_reason")
    for link in links:
        for name in data:
            setattr(link, name, _clean(getattr(link, name), personal.in_data))
        for name in sentences:
            setattr(link, name, _clean(getattr(link, name), personal.in_sentences))
    LicenseLink.objects.bulk_update(links, [*data, *sentences], batch_size=200)


def _clean(value: Any, pattern: re.Pattern[str]) -> Any:
    """Text, or JSON, without the members that are personal, and without the texts wherever they stand."""
    match value:
        case dict():
            return {name: _clean(part, pattern) for name, part in value.items() if name not in _PERSONAL_MEMBERS}
        case list():
            return [_clean(part, pattern) for part in value]
        case str():
            return pattern.sub(ERASED, value)
        case _:
            return value


def _clean_story(purchase: Purchase, event_ids: Sequence[int], personal: _Personal) -> None:
    """The sentences stay, without address and name; so do the reasons why somebody replayed its events."""
    story = HistoryEntry.objects.filter(purchase=purchase)
    _clean_rows(story, ("sentence",), personal.in_sentences)
    _clean_rows(story, ("changes", "calls"), personal.in_data)
    replays = BulkReplay.objects.filter(event_ids__overlap=list(event_ids))
    _clean_rows(replays, ("reason",), personal.in_sentences)
    told = [f"Bulk replay {number} of " for number in replays.values_list("pk", flat=True)]
    is_of_replay = reduce(or_, (Q(sentence__startswith=words) for words in told), Q(pk=None))
    for audited in (Q(purchase=purchase), Q(event__in=event_ids), Q(action="event.replay_many") & is_of_replay):
        _clean_rows(AuditEntry.objects.filter(audited), ("sentence", "reason"), personal.in_sentences)


def _clean_rows(rows: QuerySet[Any], fields: Sequence[str], pattern: re.Pattern[str]) -> None:
    for row in rows.order_by().values("pk", *fields).iterator():
        cleaned = {name: _clean(row[name], pattern) for name in fields}
        if any(cleaned[name] != row[name] for name in fields):
            # Not by save(): the story and the audit are append-only for everybody else.
            rows.model._default_manager.filter(pk=row["pk"]).update(**cleaned)


def _empty_events(purchase: Purchase) -> list[int]:
    """Bodies cannot be cleaned member by member without knowing every store's words, so they go as a whole. Nothing is
    left to do for these events, waiting ones included. Returns their ids."""
    ids = {*_events_told_of(purchase), *_events_without_story(purchase)}
    locked = WebhookEvent.objects.filter(pk__in=ids).order_by("id").select_for_update(no_key=True)
    event_ids = list(locked.values_list("pk", flat=True))
    events = WebhookEvent.objects.filter(pk__in=event_ids)
    events.filter(state=EventState.RECEIVED).update(state=EventState.APPLIED)
    events.filter(state__in=_WITHOUT_STORY).update(state=EventState.IGNORED)
    events.update(body=ERASED_BODY, fetched=None, problem="", retry_at=None)
    return event_ids


def _events_told_of(purchase: Purchase) -> QuerySet[HistoryEntry, int]:
    told = HistoryEntry.objects.filter(purchase=purchase).exclude(event=None).order_by()
    return told.values_list("event_id", flat=True).distinct()


def _events_without_story(purchase: Purchase) -> Iterable[int]:
    """Those with the customer's address since the purchase was first seen. Only their bodies tell, so all are read."""
    found = Q()
    for address in _addresses_of(purchase):
        found |= Q(body__icontains=address)
    if not found:
        return ()
    since = WebhookEvent.objects.filter(store=purchase.store, received_at__gte=purchase.first_seen_at - _BEFORE)
    return since.filter(found, state__in=_WITHOUT_STORY).order_by().values_list("pk", flat=True)
