"""The endpoint that a store asks for license keys while it completes an order; the answer is shown to the buyer."""

from __future__ import annotations

import logging
from typing import ClassVar

from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from rest_framework.views import APIView

from licensing_integration.api.webhooks import read_body
from licensing_integration.exceptions import DeliveryRejected, KeysNotReady, PayloadError
from licensing_integration.services import rejections
from licensing_integration.services.fulfilment import give_keys

logger = logging.getLogger(__name__)

# Whatever a store does with an answer that is no success, none of these could be taken for a key.
REFUSED = "The request was refused."
UNREADABLE = "The request cannot be read."
NOT_READY = "The license key is not ready. Please try again."


class FulfilmentView(APIView):
    """``POST`` or ``GET /fulfilment/<store>/``: 200 and nothing but the keys; 400 for a request that cannot be read,
    403 without a valid hash, 404 unknown store, 413 too large, 503 for whatever may be right the next time."""

    authentication_classes: ClassVar = []
    permission_classes: ClassVar = []
    throttle_classes: ClassVar = []
    parser_classes: ClassVar = []
    http_method_names: ClassVar = ["get", "post"]

    def initial(self, request: HttpRequest, *args: object, **kwargs: object) -> None:
        """No content negotiation: the answer is plain text."""

    def get(self, request: HttpRequest, store: str) -> HttpResponse:
        return _respond(request, store, body=b"", is_post=False)

    def post(self, request: HttpRequest, store: str) -> HttpResponse:
        try:
            body = read_body(request)
        except DeliveryRejected as error:
            return _reject(store, error)
        return _respond(request, store, body=body, is_post=True)


def _respond(request: HttpRequest, store: str, *, body: bytes, is_post: bool) -> HttpResponse:
    query = request.META.get("QUERY_STRING", "").encode("latin-1", "replace")
    try:
        text = give_keys(
            store, query=query, body=body, content_type=request.META.get("CONTENT_TYPE", ""), is_post=is_post
        )
    except DeliveryRejected as error:
        return _reject(store, error)
    except PayloadError as error:
        logger.warning("fulfilment refused: %s", error, extra={"store": store, "status": 400})
        return _answer(UNREADABLE, status=400)
    except KeysNotReady as error:
        logger.warning("fulfilment refused: %s", error, extra={"store": store, "status": 503})
        return _answer(NOT_READY, status=503)
    except (DatabaseError, InterfaceError):
        logger.exception("fulfilment refused: the database is away", extra={"store": store})
        return _answer(NOT_READY, status=503)
    return _answer(text, status=200)


def _reject(store: str, error: DeliveryRejected) -> HttpResponse:
    logger.warning("fulfilment refused: %s", error, extra={"store": store, "status": error.status})
    rejections.count(store, error)
    return _answer(REFUSED, status=error.status)


def _answer(text: str, *, status: int) -> HttpResponse:
    headers = {"Cache-Control": "no-store"}
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8", headers=headers)
