"""What the REST stub answers: its objects, the paths it knows, and what may be asked of each."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

Json = dict[str, Any]

REST = Path(__file__).parent / "rest"
LISTED = 10  # the usual page
MOST_LISTED = 100
MOST_TYPES = 20
PAGING = frozenset({"limit", "starting_after"})


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(json.dumps(body))
        self.status = status
        self.body = body


def example(name: str) -> Any:
    """An answer of Stripe's, fresh, to be changed at will."""
    return json.loads((REST / f"{name}.json").read_bytes())


def invalid(message: str, *, code: str = "parameter_invalid", status: int = 400) -> Refused:
    error = {"code": code, "message": message, "type": "invalid_request_error"}
    return Refused(status, {"error": error})


def _missing(kind: str, external_id: str) -> Refused:
    body = example("error-404-resource_missing")
    body["error"]["message"] = f"No such {kind.rstrip('s').replace('_', '.')}: '{external_id}'"
    return Refused(404, body)


def _with_plain_lists(value: Json) -> Json:
    """How much of a list inside an object is shown is decided when it is asked for."""
    lists = ("items", "lines", "line_items")
    return {key: part["data"] if key in lists and isinstance(part, dict) else part for key, part in value.items()}


class Objects:
    """What Stripe knows, by kind and id. Lists inside an object are plain, references are ids.

    ``embedded``: how many entries of a list inside an object are shown at once.
    """

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Json]] = {}
        self.embedded = LISTED

    def put(self, kind: str, *values: Json) -> None:
        """Add objects as an event or an unexpanded answer shows them, or replace them. The last one is the newest."""
        for value in copy.deepcopy(values):
            held = self.objects.setdefault(kind, {})
            held.pop(value["id"], None)
            held[value["id"]] = _with_plain_lists(value)

    def change(self, kind: str, external_id: str, **changes: Any) -> None:
        """What happened to an object since."""
        self.objects[kind][external_id].update(_with_plain_lists(copy.deepcopy(changes)))

    def remove(self, kind: str, external_id: str) -> None:
        del self.objects[kind][external_id]

    def get(self, kind: str, external_id: str) -> Json:
        try:
            return self.objects.get(kind, {})[external_id]
        except KeyError:
            raise _missing(kind, external_id) from None

    def newest_first(self, kind: str) -> list[Json]:
        return list(reversed(self.objects.get(kind, {}).values()))


@dataclass(frozen=True, kw_only=True)
class Query:
    """The parameters of a request, and what of them a path knows."""

    values: Mapping[str, str]
    expand: tuple[str, ...]
    types: tuple[str, ...]

    @classmethod
    def read(cls, text: str, *, known: frozenset[str]) -> Query:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
        for name, value in pairs:
            if name not in known:
                raise invalid(f"Received unknown parameter: {name}", code="parameter_unknown")
            if not value:
                raise invalid(f"You passed an empty string for '{name}'.", code="parameter_invalid_empty")
        single = {name: value for name, value in pairs if not name.endswith("[]")}
        if len(single) != sum(not name.endswith("[]") for name, _ in pairs):
            raise invalid("A parameter came twice.")
        expand, types = (tuple(v for n, v in pairs if n == name) for name in ("expand[]", "types[]"))
        return cls(values=single, expand=expand, types=types)


@dataclass(frozen=True, kw_only=True)
class Route:
    """``permission``: the kind of objects a key must be allowed to read. ``expands``: what may be asked for."""

    pattern: str
    permission: str
    answer: Callable[[Objects, Query, str], Json]
    filters: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    expands: frozenset[str] = frozenset()
    is_list: bool = False

    @property
    def known(self) -> frozenset[str]:
        return self.filters | self.required | {"expand[]"} | (PAGING if self.is_list else frozenset())


def _listing(entries: list[Json], query: Query, *, url: str) -> Json:
    """A page of a list."""
    limit = query.values.get("limit", str(LISTED))
    if not (limit.isdecimal() and 1 <= int(limit) <= MOST_LISTED):
        raise invalid("Invalid integer: limit")
    after, ids = query.values.get("starting_after"), [entry["id"] for entry in entries]
    if after is not None and after not in ids:
        raise _missing("entries", after)
    begin = ids.index(after) + 1 if after else 0
    page = entries[begin : begin + int(limit)]
    return {"object": "list", "data": page, "has_more": begin + len(page) < len(entries), "url": url}


def _embedded(held: Objects, entries: list[Json], *, url: str) -> Json:
    page = entries[: held.embedded]
    return {"object": "list", "data": page, "has_more": len(page) < len(entries), "url": url}


def _filtered(held: Objects, kind: str, query: Query, *, names: Iterable[str]) -> list[Json]:
    """The objects, newest first, that have the wanted value under each of the names that a query gives."""
    wanted = {name: query.values[name] for name in names if name in query.values}
    return [entry for entry in held.newest_first(kind) if all(entry.get(n) == value for n, value in wanted.items())]


def _get_session(held: Objects, query: Query, session_id: str) -> Json:
    session = dict(held.get("checkout_sessions", session_id))
    lines = session.pop("line_items", [])
    if any(path.startswith("line_items") for path in query.expand):
        session["line_items"] = _embedded(held, lines, url=f"/v1/checkout/sessions/{session_id}/line_items")
    return session


def _list_sessions(held: Objects, query: Query, _: str) -> Json:
    found = _filtered(held, "checkout_sessions", query, names=("payment_intent", "subscription", "customer"))
    shown = [{key: value for key, value in session.items() if key != "line_items"} for session in found]
    return _listing(shown, query, url="/v1/checkout/sessions")


def _list_session_lines(held: Objects, query: Query, session_id: str) -> Json:
    lines = held.get("checkout_sessions", session_id)["line_items"]
    return _listing(lines, query, url=f"/v1/checkout/sessions/{session_id}/line_items")


def _get_subscription(held: Objects, _: Query, subscription_id: str) -> Json:
    found = held.get("subscriptions", subscription_id)
    url = f"/v1/subscription_items?subscription={subscription_id}"
    return {**found, "items": _embedded(held, found["items"], url=url)}


def _list_subscription_items(held: Objects, query: Query, _: str) -> Json:
    return _listing(
        held.get("subscriptions", query.values["subscription"])["items"], query, url="/v1/subscription_items"
    )


def _get_invoice(held: Objects, _: Query, invoice_id: str) -> Json:
    found = held.get("invoices", invoice_id)
    return {**found, "lines": _embedded(held, found["lines"], url=f"/v1/invoices/{invoice_id}/lines")}


def _list_invoice_lines(held: Objects, query: Query, invoice_id: str) -> Json:
    return _listing(held.get("invoices", invoice_id)["lines"], query, url=f"/v1/invoices/{invoice_id}/lines")


def _list_invoice_payments(held: Objects, query: Query, _: str) -> Json:
    found = _filtered(held, "invoice_payments", query, names=("invoice", "status"))
    names = ("type", "payment_intent")
    wanted = {name: query.values[f"payment[{name}]"] for name in names if f"payment[{name}]" in query.values}
    if wanted and set(wanted) != set(names):
        raise invalid("The stub wants payment[type] and payment[payment_intent], or neither.")
    if not wanted and "invoice" not in query.values:
        raise invalid("The stub does not list the invoice payments of everybody.")
    shown = [entry for entry in found if all(entry["payment"].get(n) == value for n, value in wanted.items())]
    return _listing(shown, query, url="/v1/invoice_payments")


def _list_products(held: Objects, query: Query, _: str) -> Json:
    active = query.values.get("active")
    if active not in (None, "true", "false"):
        raise invalid("Invalid boolean: active")
    shown = [
        product
        for product in held.newest_first("products")
        if active is None or product["active"] == (active == "true")
    ]
    return _listing(shown, query, url="/v1/products")


def _list_events(held: Objects, query: Query, _: str) -> Json:
    if len(query.types) > MOST_TYPES or (query.types and "type" in query.values):
        raise invalid("At most twenty types, and not together with type.")
    delivered = query.values.get("delivery_success")
    if delivered not in (None, "true", "false"):
        raise invalid("Invalid boolean: delivery_success")
    types = {*query.types, *filter(None, [query.values.get("type")])}
    shown = [
        event
        for event in held.newest_first("events")
        if (not types or event["type"] in types)
        and event["created"] >= int(query.values.get("created[gte]", "0"))
        and (delivered is None or (event["pending_webhooks"] == 0) == (delivered == "true"))
    ]
    return _listing(shown, query, url="/v1/events")


def _list_refunds(held: Objects, query: Query, _: str) -> Json:
    return _listing(_filtered(held, "refunds", query, names=("payment_intent", "charge")), query, url="/v1/refunds")


def _getter(kind: str) -> Callable[[Objects, Query, str], Json]:
    return lambda held, _, external_id: held.get(kind, external_id)


def _lister(kind: str) -> Callable[[Objects, Query, str], Json]:
    return lambda held, query, _: _listing(held.newest_first(kind), query, url=f"/v1/{kind}")


_ID = "/([^/]+)"

ROUTES = (
    Route(
        pattern=f"/v1/checkout/sessions{_ID}/line_items",
        permission="checkout_sessions",
        answer=_list_session_lines,
        expands=frozenset({"data.price.product"}),
        is_list=True,
    ),
    Route(
        pattern=f"/v1/checkout/sessions{_ID}",
        permission="checkout_sessions",
        answer=_get_session,
        expands=frozenset({"line_items", "line_items.data.price.product", "customer"}),
    ),
    Route(
        pattern="/v1/checkout/sessions",
        permission="checkout_sessions",
        answer=_list_sessions,
        filters=frozenset({"payment_intent", "subscription", "customer"}),
        is_list=True,
    ),
    Route(
        pattern=f"/v1/subscriptions{_ID}",
        permission="subscriptions",
        answer=_get_subscription,
        expands=frozenset({"items.data.price.product", "customer"}),
    ),
    Route(
        pattern="/v1/subscription_items",
        permission="subscriptions",
        answer=_list_subscription_items,
        required=frozenset({"subscription"}),
        expands=frozenset({"data.price.product"}),
        is_list=True,
    ),
    Route(pattern=f"/v1/invoices{_ID}/lines", permission="invoices", answer=_list_invoice_lines, is_list=True),
    Route(pattern=f"/v1/invoices{_ID}", permission="invoices", answer=_get_invoice, expands=frozenset({"customer"})),
    Route(
        pattern="/v1/invoice_payments",
        permission="invoices",
        answer=_list_invoice_payments,
        filters=frozenset({"invoice", "status", "payment[type]", "payment[payment_intent]"}),
        is_list=True,
    ),
    Route(pattern=f"/v1/prices{_ID}", permission="prices", answer=_getter("prices"), expands=frozenset({"product"})),
    Route(pattern=f"/v1/products{_ID}", permission="products", answer=_getter("products")),
    Route(
        pattern="/v1/products",
        permission="products",
        answer=_list_products,
        filters=frozenset({"active"}),
        is_list=True,
    ),
    Route(pattern=f"/v1/customers{_ID}", permission="customers", answer=_getter("customers")),
    *(
        Route(pattern=f"/v1/{kind}", permission=kind, answer=_lister(kind), is_list=True)
        for kind in ("subscriptions", "invoices", "prices", "customers")
    ),
    Route(
        pattern="/v1/refunds",
        permission="refunds",
        answer=_list_refunds,
        filters=frozenset({"payment_intent", "charge"}),
        is_list=True,
    ),
    Route(
        pattern="/v1/events",
        permission="events",
        answer=_list_events,
        filters=frozenset({"type", "types[]", "delivery_success", "created[gte]"}),
        is_list=True,
    ),
)
