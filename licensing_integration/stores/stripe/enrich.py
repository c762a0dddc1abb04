"""What an event leaves out and what has changed since, fetched once and stored beside it: translating needs no network.

A Checkout session comes without its lines, a subscription without its customer and its products, an invoice without its
payment, a payment without its invoice. Events are not ordered, so a subscription is read as it is now. Every call is a
read; which permissions the key needs is told in docs/stores/stripe.md. https://docs.stripe.com/api
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import chain
from types import MappingProxyType
from typing import Final

from licensing_integration.exceptions import MalformedPayload, PermanentRemoteError, TransientRemoteError
from licensing_integration.http import Query, RemoteSession
from licensing_integration.stores.base import StoreApi
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.storable import storable
from licensing_integration.stores.stripe.invoices import FIRST, is_paid, reason_of
from licensing_integration.stores.stripe.refunds import named_invoice, payment_of
from licensing_integration.stores.stripe.sessions import is_selling, is_unpaid
from licensing_integration.stores.stripe.shapes import (
    expanded,
    id_of,
    is_proration,
    item_of_line,
    list_data,
    price_of,
    subscription_of_invoice,
)

BASE_URL: Final = "https://api.stripe.com"
API_VERSION: Final = "2026-10-28.endive"  # how answers are shaped; events keep the version of their endpoint
PAGE_SIZE: Final = 100  # the most Stripe lists at once

ANSWER: Final = "answer"  # the path of what Stripe answered, where an error names it

# An id goes into a path or a query. All real ones look like this; anything else could address something else.
_SAFE_ID = re.compile(r"[A-Za-z0-9_-]+")

Found = dict[str, dict[str, object]]  # kind → id → what was fetched


class StripeApi(StoreApi):
    """Read access to Stripe. ``password`` is a restricted key with read permissions; there is no user name."""

    def __init__(self, *, username: str = "", password: str, base_url: str = "") -> None:
        self._session = RemoteSession(
            "Stripe",
            base_url=base_url or BASE_URL,
            headers={"Authorization": f"Bearer {password}", "Stripe-Version": API_VERSION},
        )

    @property
    def base_url(self) -> str:
        return self._session.base_url

    def get(self, path: str, *, ids: Mapping[str, str] | None = None, params: Query | None = None) -> object:
        """The decoded JSON at ``path``. A conflict (409) is with another request of the moment, so it will pass."""
        try:
            return self._session.request("GET", path, ids=ids, params=params).data
        except PermanentRemoteError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            raise TransientRemoteError(str(error), may_have_succeeded=False, request_id=error.request_id) from error


def enrich(payload: Payload, api: StoreApi) -> dict[str, object]:
    """What was fetched, by kind and id; a kind is there only where something was left out.

    ``sessions``: ``{"line_items": [...]}``, for an invoice with the session's ``metadata`` · ``subscriptions``: as they
    are now, with customer and products · ``invoice_lines``: all lines of an invoice that carries but some ·
    ``invoices_of_payment``: the invoice id a payment intent paid, or empty · ``sessions_of_invoice``: the session id
    that made an invoice, or empty · ``prices``: of one-time invoice lines, with their products.

    What Stripe does not know is left out too; translators then make do with the event. Raises ``RemoteError``,
    ``CredentialsRejected``, and ``MalformedPayload`` where the translator would.
    """
    find = WANTED.get(payload.text("type"))
    if find is None or payload.has("account"):  # another account's event, which the key cannot ask about
        return {}
    try:
        found = find(payload.require("data").require("object"), api)
    except MalformedPayload as error:
        if error.path.startswith(ANSWER):
            raise _unreadable(error) from None
        raise
    return {kind: storable(objects) for kind, objects in found.items() if objects}


def read_pages(
    api: StoreApi, path: str, *, ids: Mapping[str, str] | None = None, params: Query | None = None, after: str = ""
) -> Iterator[tuple[Payload, ...]]:
    """The pages of a list, from behind the entry with the id ``after`` to the end. Every entry is an object with an id.

    Raises ``RemoteError``, ``CredentialsRejected``.
    """
    has_more = True
    while has_more:
        position: Query = {"starting_after": after} if after else {}
        answer = api.get(path, ids=ids, params={**(params or {}), "limit": PAGE_SIZE, **position})
        page, has_more = _read_page(answer)
        yield page
        before, after = after, page[-1].identifier("id") if page else ""
        has_more = has_more and after not in ("", before)  # a page that leads nowhere is not asked for again


def _read_page(answer: object) -> tuple[tuple[Payload, ...], bool]:
    body = Payload(answer, path=ANSWER)
    try:
        page = body.require("data").elements
        for entry in page:
            entry.identifier("id")
        return page, body.boolean("has_more", default=False)
    except MalformedPayload as error:
        raise _unreadable(error) from None


def _unreadable(error: MalformedPayload) -> TransientRemoteError:
    """Not the event is at fault but an answer; something in between may have given it."""
    return TransientRemoteError(
        f"Stripe answered with something unreadable ({error}). It is tried again by itself.", may_have_succeeded=False
    )


# What each kind of event lacks


def _of_session(session: Payload, api: StoreApi) -> Found:
    """What was bought, and the subscription it began; nothing while the payment is on its way, or none is asked for."""
    if not is_selling(session) or is_unpaid(session):
        return {}
    return {
        "sessions": _session_lines(api, session.identifier("id")),
        "subscriptions": _subscription(api, id_of(session, "subscription")),
    }


def _of_invoice(invoice: Payload, api: StoreApi) -> Found:
    if not is_paid(invoice):
        return {}
    invoice_id, lines = invoice.identifier("id"), list_data(invoice, "lines")
    found: Found = {}
    if _has_more(invoice, "lines"):
        lines = _all_lines(api, invoice_id) or lines
        found["invoice_lines"] = {invoice_id: [line.raw for line in lines]}
    subscription_id = subscription_of_invoice(invoice)
    if subscription_id:
        found["subscriptions"] = _subscription(api, subscription_id)
        return {**found, "prices": _prices(api, lines) if reason_of(invoice) == FIRST else {}}
    session = _session_of_invoice(api, invoice)
    if session is None:
        return {**found, "sessions_of_invoice": {invoice_id: ""}, "prices": _prices(api, lines)}
    session_id = session.identifier("id")
    # The session's own event says what was sold, too, and the two have to agree.
    sold = _session_lines(api, session_id, metadata=session.strings("metadata"))
    return {**found, "sessions_of_invoice": {invoice_id: session_id}, "sessions": sold}


def _of_subscription(subscription: Payload, api: StoreApi) -> Found:
    return {"subscriptions": _subscription(api, subscription.identifier("id"))}


def _of_money(money: Payload, api: StoreApi) -> Found:
    """Which invoice a refunded or disputed payment was for, unless the event says it."""
    payment_id = payment_of(money)
    if named_invoice(money) or not _is_safe(payment_id):
        return {}
    return {"invoices_of_payment": {payment_id: _invoice_of_payment(api, payment_id)}}


# The calls


def _session_lines(api: StoreApi, session_id: str, **told: object) -> dict[str, object]:
    path = "/v1/checkout/sessions/{id}/line_items"
    params: Query = {"expand[]": ["data.price.product"]}
    lines = _list(api, path, ids={"id": session_id}, params=params) if _is_safe(session_id) else None
    return {} if lines is None else {session_id: {"line_items": [line.raw for line in lines], **told}}


def _subscription(api: StoreApi, subscription_id: str) -> dict[str, object]:
    """The subscription as it is now, with all of its items."""
    if not _is_safe(subscription_id):
        return {}
    expand = ["items.data.price.product", "customer"]
    found = _find(api, "/v1/subscriptions/{id}", subscription_id, expand=expand)
    if found is None:
        return {}
    if _has_more(found, "items"):
        found = _with_all_items(api, subscription_id, found)
    return {subscription_id: found.raw}


def _with_all_items(api: StoreApi, subscription_id: str, subscription: Payload) -> Payload:
    known = [item.raw for item in list_data(subscription, "items")]
    last = list_data(subscription, "items")[-1].identifier("id") if known else ""
    params: Query = {"subscription": subscription_id, "expand[]": ["data.price.product"]}
    more = _list(api, "/v1/subscription_items", params=params, after=last) or ()
    items = {**subscription.require("items").raw, "data": [*known, *(item.raw for item in more)], "has_more": False}
    return Payload({**subscription.raw, "items": items}, path=subscription.path)


def _all_lines(api: StoreApi, invoice_id: str) -> tuple[Payload, ...] | None:
    return _list(api, "/v1/invoices/{id}/lines", ids={"id": invoice_id}) if _is_safe(invoice_id) else None


def _prices(api: StoreApi, lines: Iterable[Payload]) -> dict[str, object]:
    """The prices of one-time lines. A line tells ids only, and the products' metadata may say what to issue."""
    names = dict.fromkeys(price_of(line) for line in lines if not (item_of_line(line) or is_proration(line)))
    found = {name: _find(api, "/v1/prices/{id}", name, expand=["product"]) for name in names if _is_safe(name)}
    return {name: price.raw for name, price in found.items() if price is not None}


def _session_of_invoice(api: StoreApi, invoice: Payload) -> Payload | None:
    """The Checkout session that made an invoice; ``None`` for one made by hand."""
    named = id_of(invoice, "payment_intent")  # before basil
    for payment_id in (named,) if named else _payments_of_invoice(api, invoice.identifier("id")):
        sessions = _first(api, "/v1/checkout/sessions", params={"payment_intent": payment_id})
        if sessions:
            return sessions[0]
    return None


def _payments_of_invoice(api: StoreApi, invoice_id: str) -> Iterator[str]:
    if not _is_safe(invoice_id):
        return
    for entry in _first(api, "/v1/invoice_payments", params={"invoice": invoice_id}):
        payment = expanded(entry, "payment")
        payment_id = id_of(payment, "payment_intent") if payment is not None else ""
        if _is_safe(payment_id):
            yield payment_id


def _invoice_of_payment(api: StoreApi, payment_id: str) -> str:
    params = {"payment[type]": "payment_intent", "payment[payment_intent]": payment_id}
    entries = _first(api, "/v1/invoice_payments", params=params)
    return next((invoice_id for entry in entries if (invoice_id := id_of(entry, "invoice"))), "")


def _find(api: StoreApi, path: str, external_id: str, *, expand: Sequence[str]) -> Payload | None:
    """The object, or ``None`` if Stripe knows none of that id."""
    try:
        answer = Payload(api.get(path, ids={"id": external_id}, params={"expand[]": expand}), path=ANSWER)
    except PermanentRemoteError as error:
        if _is_missing(error):
            return None
        raise
    if not answer.is_mapping:
        raise answer.malformed("not an object")
    return answer


def _list(
    api: StoreApi, path: str, *, ids: Mapping[str, str] | None = None, params: Query | None = None, after: str = ""
) -> tuple[Payload, ...] | None:
    """A whole list, or ``None`` if Stripe does not know what it would be of."""
    try:
        return tuple(chain.from_iterable(read_pages(api, path, ids=ids, params=params, after=after)))
    except PermanentRemoteError as error:
        if _is_missing(error):
            return None
        raise


def _first(api: StoreApi, path: str, *, params: Query) -> tuple[Payload, ...]:
    """The first page of a list, in which there is but one entry as a rule."""
    try:
        return next(read_pages(api, path, params=params), ())
    except PermanentRemoteError as error:
        if _is_missing(error):
            return ()
        raise


def _is_missing(error: PermanentRemoteError) -> bool:
    """Whether Stripe does not know the id. A wrong base URL answers 404 as well, but not so."""
    return error.status == HTTPStatus.NOT_FOUND and error.code == "resource_missing"


def _has_more(parent: Payload, key: str) -> bool:
    """Whether the list under ``key`` is only the beginning of it."""
    child = expanded(parent, key)
    return child is not None and child.boolean("has_more", default=False)


def _is_safe(external_id: str) -> bool:
    return _SAFE_ID.fullmatch(external_id) is not None


# Events that change nothing (a payment that failed, a checkout that was left) are not worth a call.
WANTED: Final[Mapping[str, Callable[[Payload, StoreApi], Found]]] = MappingProxyType(
    {
        "checkout.session.completed": _of_session,
        "checkout.session.async_payment_succeeded": _of_session,
        "invoice.paid": _of_invoice,
        "invoice.payment_succeeded": _of_invoice,
        "customer.subscription.created": _of_subscription,
        "customer.subscription.updated": _of_subscription,
        "customer.subscription.deleted": _of_subscription,
        "customer.subscription.paused": _of_subscription,
        "customer.subscription.resumed": _of_subscription,
        "customer.subscription.trial_will_end": _of_subscription,
        "customer.subscription.pending_update_applied": _of_subscription,
        "customer.subscription.pending_update_expired": _of_subscription,
        "charge.refunded": _of_money,
        "charge.refund.updated": _of_money,
        "refund.created": _of_money,
        "refund.updated": _of_money,
        "refund.failed": _of_money,
        "charge.dispute.created": _of_money,
        "charge.dispute.updated": _of_money,
        "charge.dispute.closed": _of_money,
        "charge.dispute.funds_withdrawn": _of_money,
        "charge.dispute.funds_reinstated": _of_money,
    }
)
