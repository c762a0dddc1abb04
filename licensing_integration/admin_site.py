"""The console's site: Unfold's admin site, with pages of ours beside the models.

It stands outside the package ``admin`` because that package registers with it while it is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.db import transaction
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseRedirect,
    QueryDict,
)
from django.urls import URLPattern, URLResolver, path, reverse
from unfold.sites import UnfoldAdminSite

View = Callable[..., HttpResponse]

# Everything a page needs comes from here, and a page that was tampered with can send nothing elsewhere. The theme's
# scripts (Alpine) evaluate expressions in attributes.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)


_LEFT_OUT = frozenset({"procrastinate"})


class LicensingAdminSite(UnfoldAdminSite):
    """Offers ``add_page`` for pages that belong to no model, ``start`` for what its first page shows, and ``tell`` for
    keeping who signed in and out."""

    index_template = "admin/licensing_integration/start.html"
    index_title = "Start"

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self._pages: list[tuple[str, View, str]] = []
        self.start: Callable[[HttpRequest], dict[str, Any]] = lambda request: {}
        self.tell: Callable[[HttpRequest, str], None] = lambda request, what: None

    def add_page(self, route: str, view: View, *, name: str) -> None:
        """Serve ``view`` to whoever may use the console, at ``/admin/<route>``; the view checks permissions itself."""
        self._pages.append((route, view, name))

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Without the queue's own list of jobs: what waits or failed, our screens say in our words."""
        models = [model_or_iterable] if isinstance(model_or_iterable, type) else list(model_or_iterable)
        super().register([one for one in models if one._meta.app_label not in _LEFT_OUT], admin_class, **options)

    def get_urls(self) -> list[URLResolver | URLPattern]:
        own = [path(route, self.admin_view(view), name=name) for route, view, name in self._pages]
        return [*own, *super().get_urls()]

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        inner = super().admin_view(view, cacheable)

        def _with_policy(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            return _under_policy(_refused_for_nul(request) or inner(request, *args, **kwargs))

        return _with_policy

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().index(request, {**self.start(request), **(extra_context or {})})

    def app_index(
        self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django's list of an app's tables: the sidebar has them, so on to the start page."""
        return HttpResponseRedirect(reverse(f"{self.name}:index"))

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response = _under_policy(super().login(request, extra_context))  # not wrapped by ``admin_view``
        if request.method == "POST":
            self.tell(request, "signed_in" if _is_redirect(response) else "sign_in_failed")
        return response

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method == "POST" and request.user.is_authenticated:
            self.tell(request, "signed_out")
        return super().logout(request, extra_context)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        with transaction.atomic():
            response = super().password_change(request, extra_context)
            if request.method == "POST" and _is_redirect(response):
                self.tell(request, "password_changed")
        return response


def _under_policy(response: HttpResponse) -> HttpResponse:
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    return response


def _is_redirect(response: HttpResponse) -> bool:
    """How Django's forms answer when they have done what was asked."""
    return response.status_code == HTTPStatus.FOUND


def _refused_for_nul(request: HttpRequest) -> HttpResponse | None:
    """PostgreSQL takes no NUL character, so no filter and no search of any list can be for one: on to the whole list,
    and nothing is done to it. Nor can a field of a form hold one; files may."""
    if _has_nul(request.GET):
        return HttpResponseRedirect(request.path)
    if _has_nul(request.POST):
        sentence = (
            "A field of the form holds a NUL character, which cannot be kept. Go back, remove it and send it again."
        )
        return HttpResponseBadRequest(sentence, content_type="text/plain; charset=utf-8")
    return None


def _has_nul(sent: QueryDict) -> bool:
    return any("\x00" in text for name, values in sent.lists() for text in (name, *values))
