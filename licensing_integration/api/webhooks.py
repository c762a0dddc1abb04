"""The endpoint the stores post to: verify, store, answer. All work happens later, in a worker."""

from __future__ import annotations

import logging
from typing import ClassVar

from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from rest_framework.views import APIView

from licensing_integration import conf
from licensing_integration.exceptions import DeliveryRejected, DeliveryTooLarge, LengthRequired
from licensing_integration.services import rejections
from licensing_integration.services.receive import receive

logger = logging.getLogger(__name__)


class WebhookView(APIView):
    """``POST /webhooks/<store>/``: 200 once everything is committed; 403 bad signature, 404 unknown store, 413 too
    large, 503 disabled store or database away (the store tries again). The answer says nothing about licenses."""

    # The signature is the authentication, and the raw bytes are what it signs: nothing may parse them before us.
    authentication_classes: ClassVar = []
    permission_classes: ClassVar = []
    throttle_classes: ClassVar = []
    parser_classes: ClassVar = []
    http_method_names: ClassVar = ["post"]

    def initial(self, request: HttpRequest, *args: object, **kwargs: object) -> None:
        """No content negotiation: the answer is one plain word."""

    def post(self, request: HttpRequest, store: str) -> HttpResponse:
        try:
            receipt = receive(store, body=read_body(request), headers=_headers(request))
        except DeliveryRejected as error:
            logger.warning("delivery rejected: %s", error, extra={"store": store, "status": error.status})
            rejections.count(store, error)
            return _answer(type(error).__name__, status=error.status)
        except (DatabaseError, InterfaceError):
            logger.exception("delivery not stored: the database is away", extra={"store": store})
            return _answer("try again later", status=503)
        return _answer(f"stored {receipt.events}", status=200)


def read_body(request: HttpRequest) -> bytes:
    """The raw body, its size checked before a byte of it is read."""
    limit = conf.webhook_max_bytes()
    try:
        announced = int(request.META.get("CONTENT_LENGTH", ""))
    except ValueError as error:
        raise LengthRequired("The delivery does not say how long it is; a chunked body is not read.") from error
    if announced > limit:
        raise DeliveryTooLarge(f"The delivery has {announced} bytes; the limit is {limit}.")
    try:
        return request.body
    except RequestDataTooBig as error:
        raise DeliveryTooLarge(f"The delivery is larger than the limit of {limit} bytes.") from error


def _headers(request: HttpRequest) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _answer(text: str, *, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
