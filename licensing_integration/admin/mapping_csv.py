"""Mappings as a file: written, and read back after a look at what that would do."""

from __future__ import annotations

import base64
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextareaWidget

from licensing_integration.admin.csv_answer import csv_answer
from licensing_integration.admin.mapping_form import MAPPING_FIELDS
from licensing_integration.admin.mapping_import import DryRun, Verdict, dry_run
from licensing_integration.admin.mapping_versions import tell_waiting
from licensing_integration.admin.mixins import ActingAdmin
from licensing_integration.domain.wording import count_of
from licensing_integration.models import ProductMapping
from licensing_integration.services import catalog, mapping_csv


class UploadForm(forms.Form):
    """The file."""

    file = forms.FileField(
        label="CSV file",
        widget=UnfoldAdminFileFieldWidget,
        help_text=f"UTF-8, at most 1 MB and {mapping_csv.MOST_ROWS} rows, with the columns of an exported file; those "
        "that are left out stay as they are. Split a longer file.",
    )

    def clean_file(self) -> bytes:
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > mapping_csv.MOST_BYTES:
            raise forms.ValidationError("The file is larger than 1 MB. Split it into several files.")
        return bytes(file.read())


class ConfirmForm(forms.Form):
    """The file once more, what its dry run was, and why it is taken."""

    content = forms.CharField(widget=forms.HiddenInput)
    fingerprint = forms.CharField(widget=forms.HiddenInput)
    reason = forms.CharField(
        max_length=500,
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="Kept in the audit with every mapping that changes.",
    )

    def __init__(self, *args: Any, is_reason_needed: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = is_reason_needed

    def clean_content(self) -> bytes:
        try:
            return base64.b64decode(self.cleaned_data["content"], validate=True)
        except ValueError as error:
            raise forms.ValidationError("Choose the file again.") from error


class CsvPages(ActingAdmin):
    """Adds the pages ``export`` and ``import`` to the mappings, and an action that writes the chosen ones."""

    def get_urls(self) -> list[URLPattern]:
        write, read = self.admin_site.admin_view(self.export_view), self.admin_site.admin_view(self.import_view)
        return [
            path("export/", write, name=self._url_name("export")),
            path("import/", read, name=self._url_name("import")),
            *super().get_urls(),
        ]

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """All mappings as a file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return _file_of(self.get_queryset(request))

    @admin.action(description="Export as CSV", permissions=["view"])
    def export_selected(self, request: HttpRequest, queryset: QuerySet[ProductMapping]) -> HttpResponse:
        return _file_of(queryset)

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """First the file, then what each row would do, then all of it or nothing."""
        if not (self.has_add_permission(request) and self.has_change_permission(request)):
            raise PermissionDenied
        if "content" in request.POST:
            return self._confirmed(request)
        form = UploadForm(request.POST or None, request.FILES or None)
        if form.is_valid():
            run = self._read(form, form.cleaned_data["file"])
            if run:
                return self._show(request, run=run, content=form.cleaned_data["file"])
        return self._page(request, form=form)

    def _confirmed(self, request: HttpRequest) -> HttpResponse:
        form = ConfirmForm(request.POST)
        run = self._read(form, form.cleaned_data["content"]) if form.is_valid() else None
        if run is None:
            return self._page(request, form=UploadForm(), problem="The file cannot be read. Choose it again.")
        content = form.cleaned_data["content"]
        form = ConfirmForm(request.POST, is_reason_needed=run.count(Verdict.CHANGED) > 0)
        if run.fingerprint != form.data["fingerprint"]:
            problem = "The mappings have changed meanwhile. This is what the file would do now."
            return self._show(request, run=run, content=content, problem=problem)
        if not (run.may_be_applied and form.is_valid()):
            return self._show(request, run=run, content=content, form=form)
        return self._apply(request, run=run, content=content, reason=form.cleaned_data["reason"])

    def _apply(self, request: HttpRequest, *, run: DryRun, content: bytes, reason: str) -> HttpResponse:
        try:
            waiting = catalog.save_mappings(
                run.to_save, user_id=request.user.pk, saving=catalog.Saving.IMPORTED, reason=reason
            )
        except IntegrityError:
            problem = "Somebody else saved one of these mappings at the same moment. Nothing was saved; try again."
            return self._show(request, run=run, content=content, problem=problem)
        counts = {"added": run.count(Verdict.NEW), "changed": run.count(Verdict.CHANGED)}
        done = ", ".join(f"{count_of(number, 'mapping')} {verb}" for verb, number in counts.items() if number)
        self.message_user(request, f"The file was imported: {done}.", messages.SUCCESS)
        tell_waiting(request, waiting, run.to_save)
        return HttpResponseRedirect(self.list_url())

    def _read(self, form: forms.Form, data: bytes) -> DryRun | None:
        """``None``, with an error in the form, for a file that cannot be taken."""
        try:
            return dry_run(mapping_csv.read(data, columns=MAPPING_FIELDS))
        except ValueError as error:
            form.add_error(None, str(error))
            return None

    def _show(
        self, request: HttpRequest, *, run: DryRun, content: bytes, form: ConfirmForm | None = None, problem: str = ""
    ) -> HttpResponse:
        initial = {"content": base64.b64encode(content).decode(), "fingerprint": run.fingerprint}
        form = form or ConfirmForm(initial=initial, is_reason_needed=run.count(Verdict.CHANGED) > 0)
        return self._page(request, form=form, run=run, problem=problem)

    def _page(
        self, request: HttpRequest, *, form: forms.Form, run: DryRun | None = None, problem: str = ""
    ) -> HttpResponse:
        context = {
            **self._context(request, None),
            "title": "Import product mappings",
            "form": form,
            "run": run,
            "shown": run.telling if run else (),
            "problem": problem,
        }
        return TemplateResponse(request, "admin/licensing_integration/mapping_import.html", context)


def _file_of(mappings: QuerySet[ProductMapping]) -> HttpResponse:
    rows = mapping_csv.rows(mappings.order_by("store", "store_product"), columns=MAPPING_FIELDS)
    return csv_answer("product-mappings.csv", rows)
