"""What a payload leaves out, fetched once and stored beside the event, so that translating needs no network.

With webhook expansion on, nothing is left out and no call is made. With it off, an order names its subscriptions by id
(no state, no dates), a charge its order, account and subscription, and a lifecycle event its account.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from licensing_integration.exceptions import PermanentRemoteError, TransientRemoteError
from licensing_integration.http import Query, RemoteSession
from licensing_integration.stores.base import StoreApi
from licensing_integration.stores.fastspring.shapes import (
    ID_NAMES,
    is_add_on,
    is_whole_subscription,
    linked_id,
    read_account_owner,
    read_buyer,
    read_payer,
)
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.storable import storable

BASE_URL: Final = "https://api.fastspring.com"
USER_AGENT: Final = "licensing-integration"  # FastSpring may refuse requests without one
BATCH_SIZE: Final = 20  # several ids go into one path, separated by commas; no limit is published

# An id goes into a path. All real ones look like this; anything else could address something else.
_SAFE_ID = re.compile(r"[A-Za-z0-9_-]+")


class FastSpringApi(StoreApi):
    """Read access to https://developer.fastspring.com/reference/getting-started-with-your-api."""

    def __init__(self, *, username: str, password: str, base_url: str = "") -> None:
        credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._session = RemoteSession(
            "FastSpring",
            base_url=base_url or BASE_URL,
            headers={"Authorization": f"Basic {credentials}", "User-Agent": USER_AGENT},
        )

    @property
    def base_url(self) -> str:
        return self._session.base_url

    def get(self, path: str, *, ids: Mapping[str, str] | None = None, params: Query | None = None) -> object:
        """The decoded JSON at ``path``. A 404 is worth trying again: it is FastSpring's answer to too many requests."""
        try:
            return self._session.request("GET", path, ids=ids, params=params).data
        except PermanentRemoteError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            raise TransientRemoteError(
                f"{error} FastSpring also answers 404 when it gets too many requests, so it is tried again by itself.",
                may_have_succeeded=False,
                request_id=error.request_id,
            ) from error


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    subscriptions: Sequence[str] = ()
    accounts: Sequence[str] = ()


def enrich(payload: Payload, api: StoreApi) -> dict[str, object]:
    """``{"subscriptions": {id: object}, "accounts": {id: object}}``, both only where something was left out.

    What FastSpring does not know is left out too; translators then make do with the event. Raises ``RemoteError``,
    ``CredentialsRejected``, and ``MalformedPayload`` where the translator would.
    """
    find = WANTED.get(payload.text("type"))
    if find is None:
        return {}
    wanted = find(payload.require("data"))
    found = {
        "subscriptions": _fetch(api, "subscriptions", wanted.subscriptions),
        "accounts": _fetch(api, "accounts", wanted.accounts),
    }
    return {kind: objects for kind, objects in found.items() if objects}


def _fetch(api: StoreApi, kind: str, ids: Sequence[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    safe = [external_id for external_id in dict.fromkeys(ids) if _SAFE_ID.fullmatch(external_id)]
    for start in range(0, len(safe), BATCH_SIZE):
        batch = safe[start : start + BATCH_SIZE]
        for external_id, value in _objects(api.get(f"/{kind}/{','.join(batch)}"), kind):
            if external_id in batch:
                found[external_id] = storable(value)
    return found


def _objects(answer: object, kind: str) -> Iterator[tuple[str, object]]:
    """The objects in an answer: a bare one, ``{"subscriptions": [...]}``, or a list. Each may be an error instead."""
    body = Payload(answer, path="answer")
    if body.is_mapping and body.has(kind):
        body = body.require(kind)
    for value in body.elements if body.is_list else (body,):
        if value.is_mapping and value.text("result", default="") != "error":
            yield value.identifier(*ID_NAMES[kind.removesuffix("s")]), value.raw


def _wanted_by_order(order: Payload) -> _Wanted:
    subscriptions = [
        linked_id(item, "subscription") for item in order.items("items") if not is_add_on(item) and _is_only_named(item)
    ]
    has_email = bool(read_buyer(order).email)
    return _Wanted(subscriptions=subscriptions, accounts=() if has_email else _account(order))


def _wanted_by_charge(charge: Payload) -> _Wanted:
    return _Wanted(
        subscriptions=[linked_id(charge, "subscription")] if _is_only_named(charge) else (),
        accounts=_account(charge) if read_payer(charge) is None else (),
    )


def _wanted_by_lifecycle(subscription: Payload) -> _Wanted:
    return _Wanted(accounts=_account(subscription) if read_account_owner(subscription) is None else ())


def _is_only_named(parent: Payload) -> bool:
    subscription = parent.get("subscription")
    return subscription is not None and not is_whole_subscription(subscription)


def _account(parent: Payload) -> Sequence[str]:
    account_id = linked_id(parent, "account")
    return (account_id,) if account_id else ()


# Events that change nothing (reminders, failed charges) are not worth a call.
WANTED: Final[Mapping[str, Callable[[Payload], _Wanted]]] = MappingProxyType(
    {
        "order.completed": _wanted_by_order,
        "subscription.charge.completed": _wanted_by_charge,
        "subscription.activated": _wanted_by_lifecycle,
        "subscription.updated": _wanted_by_lifecycle,
        "subscription.payment.overdue": _wanted_by_lifecycle,
        "subscription.canceled": _wanted_by_lifecycle,
        "subscription.uncanceled": _wanted_by_lifecycle,
        "subscription.deactivated": _wanted_by_lifecycle,
        "subscription.paused": _wanted_by_lifecycle,
        "subscription.resumed": _wanted_by_lifecycle,
    }
)
