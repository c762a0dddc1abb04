"""The admin site: Django's, with pages of ours beside the models and an index in the order of daily work.

It stands outside the package ``admin`` because that package registers with it while it is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, path

View = Callable[..., HttpResponse]

_APPS_FIRST = ["licensing_integration", "auth"]
_MODELS_FIRST = ["LicenseLink", "Purchase", "WebhookEvent", "ProductMapping", "HistoryEntry"]


class LicensingAdminSite(AdminSite):
    """Offers ``add_page`` for pages that belong to no model."""

    site_header = "Licensing Integration"
    site_title = "Licensing Integration"
    index_title = "Licensing"
    index_template = "admin/licensing_integration/index.html"

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self._pages: list[tuple[str, View, str]] = []
        self.index_context: Callable[[HttpRequest], dict[str, Any]] = lambda request: {}

    def add_page(self, route: str, view: View, *, name: str) -> None:
        """Serve ``view`` to whoever may use the admin, at ``/admin/<route>``; the view checks permissions itself."""
        self._pages.append((route, view, name))

    def get_urls(self) -> list[URLResolver | URLPattern]:
        own = [path(route, self.admin_view(view), name=name) for route, view, name in self._pages]
        return [*own, *super().get_urls()]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().index(request, {**self.index_context(request), **(extra_context or {})})

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Apps and models in the order in which they are needed; what is not named follows by its name."""
        apps = sorted(
            self._build_app_dict(request, app_label).values(),
            key=lambda app: (_place(_APPS_FIRST, app["app_label"]), app["name"].lower()),
        )
        for app in apps:
            app["models"].sort(key=lambda model: (_place(_MODELS_FIRST, model["object_name"]), model["name"]))
        return apps


def _place(order: list[str], name: str) -> int:
    return order.index(name) if name in order else len(order)
