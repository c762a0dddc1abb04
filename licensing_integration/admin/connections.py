"""Connections: every store and license server, whether it is set up, and whether it works.

Opening the page asks nobody; the buttons ask the other side, or deliver a test event, and leave an audit entry.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from urllib.parse import urlsplit

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from licensing_integration import conf
from licensing_integration.admin.addresses import row_url
from licensing_integration.exceptions import LicensingIntegrationError
from licensing_integration.models import WebhookEvent
from licensing_integration.services import connection_checks, connections_report
from licensing_integration.services.connection_checks import CheckResult

# The hosts under which the service answers on its own machine, whatever ALLOWED_HOSTS says.
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
ORDER_ID = "ORDER_ID"
MAY_VIEW = "licensing_integration.view_connections"


def connections_page(request: HttpRequest) -> HttpResponse:
    """``/admin/connections/``"""
    _require_permission(request)
    return _page(request)


def check_license_server(request: HttpRequest, name: str) -> HttpResponse:
    """``POST /admin/connections/license-servers/<name>/check/``"""
    return _checked(request, name, conf.license_servers(), connection_checks.check_license_server, kind="server")


def check_store(request: HttpRequest, name: str) -> HttpResponse:
    """``POST /admin/connections/stores/<name>/check/``"""
    return _checked(request, name, conf.stores(), connection_checks.check_store, kind="store")


def send_test_event(request: HttpRequest, name: str) -> HttpResponse:
    """``POST /admin/connections/stores/<name>/test-event/``"""
    _require_permission(request)
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    if conf.store(name) is None:
        raise Http404
    try:
        event = connection_checks.send_test_event(name, user_id=request.user.pk)
    except LicensingIntegrationError as error:
        messages.error(request, f"The test event was refused. {error}")
    else:
        url = row_url(WebhookEvent, event.pk)
        sentence = 'The signature is right. Stored as <a href="{}">event {}</a>, a test event. Verdict: {}.'
        messages.success(request, format_html(sentence, url, event.pk, event.get_state_display().lower()))
    return HttpResponseRedirect(reverse("admin:connections"))


def _checked(
    request: HttpRequest, name: str, known: Container[str], check: Callable[..., CheckResult], *, kind: str
) -> HttpResponse:
    _require_permission(request)
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    if name not in known:
        raise Http404
    result = check(name, user_id=request.user.pk)
    return _page(request, **{f"checked_{kind}": name, "result": result})


def _require_permission(request: HttpRequest) -> None:
    if not request.user.has_perm(MAY_VIEW):
        raise PermissionDenied


def _page(request: HttpRequest, **extra: object) -> HttpResponse:
    installation = connections_report.installation()
    context = {
        **admin.site.each_context(request),
        "title": "Connections",
        "installation": installation,
        "stores": [
            {"report": report, **_addresses(request, report.config.name)}
            for report in connections_report.stores(now=timezone.now())
        ],
        "servers": connections_report.license_servers(),
        "is_local": urlsplit(f"//{request.get_host()}").hostname in LOCAL_HOSTS,
        "order_id": ORDER_ID,
        **extra,
    }
    return TemplateResponse(request, "admin/licensing_integration/connections.html", context)


def _addresses(request: HttpRequest, store: str) -> dict[str, str]:
    """What is to be pasted at the store, by the host under which the reader sees this page."""
    order_page = reverse("order-page", args=[store, ORDER_ID])
    return {
        "webhook_url": request.build_absolute_uri(reverse("webhook", args=[store])),
        "fulfilment_url": request.build_absolute_uri(reverse("fulfilment", args=[store])),
        "order_page_url": f"{conf.order_page().base_url.rstrip('/')}{order_page}"
        if conf.order_page().base_url
        else request.build_absolute_uri(order_page),
    }


admin.site.add_page("connections/", connections_page, name="connections")
admin.site.add_page(
    "connections/license-servers/<str:name>/check/", check_license_server, name="connections_check_license_server"
)
admin.site.add_page("connections/stores/<str:name>/check/", check_store, name="connections_check_store")
admin.site.add_page("connections/stores/<str:name>/test-event/", send_test_event, name="connections_test_event")
