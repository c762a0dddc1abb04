"""One address, one view; and the one by which whoever starts it knows that it answers."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

from licensing_integration.api.health import live
from licensing_integration.stores.base import Delivery
from licensing_integration.stores.fastspring.signature import verify


def check_signature(request: HttpRequest) -> HttpResponse:
    """200 for a signed delivery; ``InvalidSignature``, so 500, for any other."""
    headers = {"x-fs-signature": request.headers.get("X-FS-Signature", "")}
    verify(Delivery(body=request.body, headers=headers), settings.STORES[0]["webhook_secrets"])
    # The middleware that would say the length is not there, and without it the answer would be chunked.
    return HttpResponse(b"verified", headers={"Content-Length": "8"})


urlpatterns = [path("webhooks/fastspring/", check_signature), path("health/live", live)]
