"""The versions of a mapping: two beside each other, and one put back."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html

from licensing_integration.admin.actions import ReasonForm
from licensing_integration.admin.addresses import list_url
from licensing_integration.admin.mapping_form import find_on_server, product_warning
from licensing_integration.admin.mixins import ActingAdmin
from licensing_integration.domain.wording import count_of
from licensing_integration.models import MappingVersion, ProductMapping, Purchase
from licensing_integration.services import catalog, mapping_versions


class VersionPages(ActingAdmin):
    """Adds the pages ``compare`` and ``put_back`` to the mappings."""

    def get_urls(self) -> list[URLPattern]:
        compare, put_back = (
            self.admin_site.admin_view(self.compare_view),
            self.admin_site.admin_view(self.put_back_view),
        )
        return [
            path("<int:object_id>/versions/", compare, name=self._url_name("compare")),
            path("<int:object_id>/versions/<int:number>/", put_back, name=self._url_name("put_back")),
            *super().get_urls(),
        ]

    def compare_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Two versions beside each other: ``?before=1&after=3``; else the newest and the one before it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        mapping = self.get_object(request, str(object_id))
        if mapping is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(object_id))
        versions = list(mapping.versions.select_related("saved_by"))
        if len(versions) < 2:
            self.message_user(request, "There is nothing to compare: the mapping has one version.", messages.WARNING)
            return HttpResponseRedirect(self.row_url(mapping))
        after = _chosen(request, "after", versions) or versions[0]
        before = _chosen(request, "before", versions) or versions[1]
        lines = mapping_versions.compare(before.values, after.values)
        context = {
            **self._context(request, mapping),
            "title": "Compare versions",
            "row_title": self.row_title(mapping),
            "back_url": self.row_url(mapping),
            "versions": versions,
            "before": before,
            "after": after,
            "different": [line for line in lines if line.is_different],
            "same": [line for line in lines if not line.is_different],
        }
        return TemplateResponse(request, "admin/licensing_integration/mapping_compare.html", context)

    def put_back_view(self, request: HttpRequest, object_id: int, number: int) -> HttpResponse:
        """What putting a version back would change, the reason for it, and then the deed: a new version."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        mapping = self.get_object(request, str(object_id))
        version = mapping and mapping.versions.filter(number=number).first()
        if not mapping or not version:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(object_id))
        changes = mapping_versions.different(mapping_versions.current(mapping), version.values)
        unknown, problem = find_on_server(
            mapping_versions.complete(version.values), changed=[change.name for change in changes]
        )
        may_be_put_back = bool(changes) and not unknown
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if may_be_put_back and form.is_valid() and self._put_back(request, mapping, version, form):
            if problem:
                self.message_user(request, problem, messages.WARNING)
            return HttpResponseRedirect(self.row_url(mapping))
        context = {
            **self._context(request, mapping),
            "title": f"Put version {number} back",
            "row_title": self.row_title(mapping),
            "back_url": self.row_url(mapping),
            "version": version,
            "changes": changes,
            "unknown": unknown.values(),
            "may_be_put_back": may_be_put_back,
            "server_problem": problem,
            "form": form,
        }
        return TemplateResponse(request, "admin/licensing_integration/mapping_put_back.html", context)

    def _put_back(
        self, request: HttpRequest, mapping: ProductMapping, version: MappingVersion, form: ReasonForm
    ) -> bool:
        try:
            waiting = catalog.put_back(
                mapping, version.number, user_id=request.user.pk, reason=form.cleaned_data["reason"]
            )
        except ValueError as error:
            form.add_error(None, str(error))
            return False
        self.message_user(request, f"Version {version.number} is put back, as a new version.", messages.SUCCESS)
        tell_waiting(request, waiting, [mapping])
        return True


def _chosen(request: HttpRequest, name: str, versions: list[MappingVersion]) -> MappingVersion | None:
    return next((version for version in versions if str(version.number) == request.GET.get(name)), None)


def tell_waiting(request: HttpRequest, waiting: int, saved: Sequence[ProductMapping]) -> None:
    """Say how many purchases the saved mappings set in motion, and where those are that still wait; of a mapping that
    names no license product, that nobody promises an end of the waiting."""
    if not waiting:
        return
    is_unsure = any(product_warning(mapping) for mapping in saved)
    link = format_html(
        '<a class="underline font-semibold" href="{}">See which still wait</a>',
        list_url(Purchase, attention="waiting"),
    )
    sentence = format_html("{} {}", _of_waiting(waiting, is_unsure=is_unsure), link)
    messages.add_message(request, messages.INFO if is_unsure else messages.SUCCESS, sentence)


def _of_waiting(waiting: int, *, is_unsure: bool) -> str:
    purchases = count_of(waiting, "waiting purchase")
    if is_unsure:
        verb = "is" if waiting == 1 else "are"
        return (
            f"{purchases} {verb} looked at again now. Where the mapping names no license product and the store's "
            "product has no attribute that names one, they go on waiting."
        )
    moved = "was set in motion: it is" if waiting == 1 else "were set in motion: they are"
    return f"{purchases} {moved} being worked on now, and counted as waiting until that is done."
