"""The page a shop sends its buyer to: the keys of one order, as a page for people and as JSON for programs."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from typing import ClassVar, NoReturn

from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.http import urlencode
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.views import APIView

from licensing_integration import conf
from licensing_integration.api.throttles import AddressThrottle, ReferenceThrottle
from licensing_integration.services.order_access import may_see
from licensing_integration.services.order_page import OrderedLicense, OrderView, Stage, view_order

TEMPLATE = "licensing_integration/order.html"

# Seconds until the page looks again, by how often it has looked: ten minutes in all, then it says what to do.
PAUSES = (2, 3, 5, 5, 10, 10, 15, 20, 30, 30, 30, 30, 30, 30, 60, 60, 60, 60, 60, 60)

_TEXTS = {
    Stage.PREPARING: ("Your license is being prepared", "Thank you for your order. This usually takes a few seconds."),
    Stage.READY: ("Your license is ready", "Thank you for your order."),
    Stage.PARTLY_READY: ("Some of your licenses are ready", "The others follow."),
    Stage.WAITING_FOR_PAYMENT: (
        "Waiting for your payment",
        "Your license is ready to use as soon as the payment has arrived. Some ways to pay take a few days.",
    ),
    Stage.NOT_PAID: ("Your order was not paid", "The payment did not go through, so there is no license."),
    Stage.ON_HOLD: ("Your license is on hold", "It cannot be used at the moment. If that surprises you, contact us."),
    Stage.ENDED: ("Your license has ended", "Nothing of this order can be used any more."),
    Stage.DELAYED: (
        "Your license takes longer than usual",
        "Your order has arrived, and we are on it. If you cannot wait, contact us.",
    ),
}
_NO_LICENSE = ("Your order is complete", "Thank you for your order. What you bought comes without a license key.")
_KEYS_HIDDEN = "This page shows keys only for a while after the purchase. If you need yours again, contact us."


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What is answered, whichever way it is shown. ``retry_after``: in seconds, ``None`` if asking again is no use."""

    title: str
    text: str
    code: str
    status: int = 200
    order: OrderView | None = None
    retry_after: int | None = None


_NOT_FOUND = _Answer(
    title="Nothing to see here",
    text="This address is not complete, or no longer valid. Use the link from your order exactly as you got it.",
    code="not_found",
    status=404,
)
_AWAY = _Answer(
    title="Please try again in a moment",
    text="Your order is safe, but we cannot look it up right now.",
    code="unavailable",
    status=503,
    retry_after=30,
)


class _Refused(Exception):
    """Ends a request with ``answer``."""

    def __init__(self, answer: _Answer) -> None:
        super().__init__(answer.code)
        self.answer = answer


class OrderPageView(APIView):
    """``GET /orders/<store>/<reference>/``: 404 for whoever may not see the order, whether it exists or not; 429 for
    whoever asks too often; 503 while the database is away."""

    authentication_classes: ClassVar = []
    permission_classes: ClassVar = []
    throttle_classes: ClassVar = [AddressThrottle]
    parser_classes: ClassVar = []
    http_method_names: ClassVar = ["get", "head"]

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        """No login, and no content negotiation of the framework's: there are two forms, and the page is the default."""
        self.check_throttles(request)

    def get(self, request: Request, store: str, reference: str) -> HttpResponse:
        if not conf.order_page().is_on or not may_see(store, reference, token=request.GET.get("token", "")):
            raise _Refused(_NOT_FOUND)
        throttle = ReferenceThrottle()
        if not throttle.allow_request(request, self):
            self.throttled(request, throttle.wait())
        try:
            order = view_order(store, reference)
        except (DatabaseError, InterfaceError) as error:
            raise _Refused(_AWAY) from error
        return _respond(request, _answer(order, looks=_looks(request)))

    def throttled(self, request: Request, wait: float | None) -> NoReturn:
        raise _Refused(_too_many(wait))

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]  # any answer will do
        if isinstance(exc, _Refused):
            return _respond(self.request, exc.answer)
        if isinstance(exc, MethodNotAllowed):
            return HttpResponse(status=405, headers=_headers())
        raise exc


def _answer(order: OrderView, *, looks: int) -> _Answer:
    title, text = _TEXTS[order.stage] if order.licenses or order.stage is not Stage.READY else _NO_LICENSE
    if order.are_keys_hidden:
        text = _KEYS_HIDDEN
    if order.stage is Stage.READY and len(order.licenses) > 1:
        title = "Your licenses are ready"
    is_looking = order.is_unfinished and looks < len(PAUSES)
    return _Answer(
        title=title,
        text=text,
        code=order.stage.value,
        order=order,
        retry_after=PAUSES[looks] if is_looking else None,
    )


def _too_many(wait: float | None) -> _Answer:
    """``wait``: in seconds; ``None`` where it cannot be told, as the limit was lowered meanwhile."""
    seconds = math.ceil(wait or 60)
    return _Answer(
        title="One moment, please",
        text=f"This page was opened very often. Open it again in {seconds} seconds.",
        code="too_many_requests",
        status=429,
        retry_after=seconds,
    )


def _looks(request: Request) -> int:
    """How often the page has looked by itself. It is in the address, as the page runs no script and sets no cookie."""
    text = request.GET.get("look", "")
    return min(int(text), len(PAUSES)) if text.isascii() and text.isdigit() and len(text) <= 3 else 0


def _respond(request: Request, answer: _Answer) -> HttpResponse:
    nonce = secrets.token_urlsafe(16)
    response = _json(answer) if _wants_json(request) else HttpResponse(_page(request, answer, nonce=nonce))
    response.status_code = answer.status
    for name, value in _headers(nonce).items():
        response[name] = value
    if answer.status in {429, 503}:
        response["Retry-After"] = str(answer.retry_after)
    return response


def _headers(nonce: str = "") -> dict[str, str]:
    """Nothing is kept, indexed, framed or told to other sites, and nothing but the page's own style is used."""
    style = f"style-src 'nonce-{nonce}'; " if nonce else ""
    return {
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex, nofollow",
        "Content-Security-Policy": f"default-src 'none'; {style}"
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Vary": "Accept",
    }


def _wants_json(request: HttpRequest | Request) -> bool:
    if request.GET.get("format") == "json":
        return True
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def _json(answer: _Answer) -> JsonResponse:
    body: dict[str, object] = {
        "state": answer.code,
        "message": f"{answer.title}. {answer.text}",
        "support": conf.order_page().support,
        "retry_after": answer.retry_after,
    }
    if order := answer.order:
        body |= {"are_keys_hidden": order.are_keys_hidden, "licenses": [_license(row) for row in order.licenses]}
    return JsonResponse(body)


def _license(row: OrderedLicense) -> dict[str, object]:
    return {
        "product": row.product,
        "unit": row.unit,
        "units": row.units,
        "state": row.stage.value,
        "message": row.state,
        "key": row.key,
        "valid_until": row.valid_until,
    }


def _page(request: Request, answer: _Answer, *, nonce: str) -> str:
    page = conf.order_page()
    order = answer.order
    context = {
        "answer": answer,
        "licenses": order.licenses if order else (),
        "keys": [row.key for row in order.licenses if row.key] if order else [],
        "has_stopped_looking": bool(order and order.is_unfinished and answer.retry_after is None),
        "is_looking": bool(order and answer.retry_after),
        "again": _address(request, look=_looks(request) + 1),
        "from_start": _address(request, look=0),
        "name": page.name,
        "support": page.support,
        "support_address": _support_address(page.support),
        "nonce": nonce,
    }
    return render_to_string(TEMPLATE, context)


def _address(request: Request, *, look: int) -> str:
    """This page again, relative to itself."""
    token = request.GET.get("token", "")
    return "?" + urlencode([*([("token", token)] if token else []), ("look", str(look))])


def _support_address(support: str) -> str:
    """What a link leads to; a check at the start refuses anything else, and so does this."""
    if support.startswith(("https://", "http://")):
        return support
    return f"mailto:{support}" if "@" in support else ""
