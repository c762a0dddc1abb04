"""The page on which a mapping is tried before it is saved: what it would make of a past event, or of a sample."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from licensing_integration.admin.addresses import may
from licensing_integration.admin.comparison import NOT_SAID, Row, compare
from licensing_integration.admin.mapping_form import MAPPING_FIELDS, ProductMappingForm, find_on_server
from licensing_integration.admin.mapping_widgets import CustomFields
from licensing_integration.admin.payloads import readable_json
from licensing_integration.domain.samples import Sample
from licensing_integration.models import ProductMapping, WebhookEvent
from licensing_integration.services.mapping_rehearsal import (
    Rehearsal,
    RehearsedLicense,
    events_of_product,
    rehearse,
    samples_of,
)
from licensing_integration.services.pictures import name_of

MOST_UNITS: Final = 100

_LIST: Final = "admin:licensing_integration_productmapping_changelist"
_SAMPLE, _EVENT = "sample:", "event:"


class UnsavedMappingForm(ProductMappingForm):
    """Reads the mapping out of what its page has sent. What its license server does not have is no error here:
    ``unknown`` says it, after validation."""

    unknown: Collection[str] = ()

    def _check_on_server(self, values: Mapping[str, Any]) -> None:
        unknown, self.server_problem = find_on_server(values, changed=MAPPING_FIELDS)
        self.unknown = unknown.values()


class ChoiceForm(forms.Form):
    """What to rehearse the mapping with."""

    what = forms.ChoiceField(label="Rehearse with", widget=UnfoldAdminSelectWidget(attrs={"data-moments": ""}))
    event_id = forms.CharField(
        label="Or any event, by its id",
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text="The store's id of a stored event. It wins over the choice above.",
    )
    quantity = forms.IntegerField(
        label="Quantity of the sample",
        min_value=1,
        max_value=MOST_UNITS,
        initial=1,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    attributes = CustomFields(
        label="Attributes of the sample's product",
        required=False,
        help_text="The store's custom attributes, one on each line: name = value.",
    )

    def __init__(self, *args: Any, mapping: ProductMapping, may_see_events: bool, **kwargs: Any) -> None:
        super().__init__(*args, prefix="rehearse", **kwargs)
        self._mapping = mapping
        self._may_see_events = may_see_events
        events = events_of_product(mapping.store, mapping.store_product) if may_see_events else []
        self._choose_among(events)

    def clean_event_id(self) -> str:
        event_id = str(self.cleaned_data["event_id"]).strip()
        if event_id and self._find(external_id=event_id) is None:
            raise forms.ValidationError(f"{self._mapping.store} has sent no event with this id.")
        return event_id

    @property
    def event(self) -> WebhookEvent | None:
        """The event that was chosen, if it was one."""
        if event_id := self.cleaned_data["event_id"]:
            return self._find(external_id=event_id)
        kind, _, chosen = self.cleaned_data["what"].partition(":")
        return self._find(pk=int(chosen)) if f"{kind}:" == _EVENT else None

    @property
    def sample(self) -> Sample:
        values = self.cleaned_data
        return Sample(
            kind=values["what"].removeprefix(_SAMPLE),
            product=self._mapping.store_product,
            quantity=values["quantity"],
            attributes=values["attributes"],
        )

    def _find(self, **known: Any) -> WebhookEvent | None:
        if not self._may_see_events:
            return None
        return WebhookEvent.objects.filter(store=self._mapping.store, **known).first()

    def _choose_among(self, events: Sequence[WebhookEvent]) -> None:
        samples = [(f"{_SAMPLE}{kind.slug}", kind.label) for kind in samples_of(self._mapping.store)]
        past = [(f"{_EVENT}{event.pk}", _named(event)) for event in events]
        groups = [("Past events of this product", past), ("Samples", samples)]
        choices = [(label, choices) for label, choices in groups if choices]
        self.fields["what"].choices = choices  # type: ignore[attr-defined]  # it is a ChoiceField
        self.fields["what"].initial = choices[0][1][0][0] if choices else None


def _named(event: WebhookEvent) -> str:
    return f"{event.event_type} of {event.received_at:%Y-%m-%d %H:%M} UTC ({event.external_id})"


def rehearsal_page(request: HttpRequest) -> HttpResponse:
    """``/admin/licensing_integration/productmapping/rehearse/``: gets the mapping's form by POST, saved or not."""
    if not (may(request, "change", ProductMapping) or may(request, "add", ProductMapping)):
        raise PermissionDenied
    if request.method != "POST":
        return HttpResponseRedirect(reverse(_LIST))
    form = UnsavedMappingForm(request.POST, instance=_saved(request.POST))
    context = {
        **admin.site.each_context(request),
        "opts": ProductMapping._meta,
        "list_url": reverse(_LIST),
        "title": "Rehearse a product mapping",
        "mapping_form": form,
        **(_result(request, form.instance) if form.is_valid() else {}),
    }
    return TemplateResponse(request, "admin/licensing_integration/rehearsal.html", context)


def _saved(sent: QueryDict) -> ProductMapping | None:
    """The mapping as it is saved, if that product has one."""
    found = ProductMapping.objects.filter(
        store=sent.get("store", ""), store_product=sent.get("store_product", "").strip()
    )
    return found.first()


def _result(request: HttpRequest, mapping: ProductMapping) -> dict[str, Any]:
    """The form to choose with and, once something was chosen or there is something to begin with, what came of it."""
    sent = request.POST
    may_see_events = may(request, "view", WebhookEvent)
    is_chosen = "rehearse-what" in sent
    form = ChoiceForm(sent if is_chosen else None, mapping=mapping, may_see_events=may_see_events)
    if not is_chosen:  # the first look is at the first choice
        first = {form.add_prefix(name): form.get_initial_for_field(field, name) for name, field in form.fields.items()}
        form = ChoiceForm(first, mapping=mapping, may_see_events=may_see_events)
    found: dict[str, Any] = {}
    if form.is_valid():
        event = form.event
        result = rehearse(mapping, event=event) if event else rehearse(mapping, sample=form.sample)
        found = {"result": result, "licenses": _shown(result), "event": event}
    kept = [(name, value) for name in (*MAPPING_FIELDS, "preset") for value in sent.getlist(name)]
    return {**found, "mapping": mapping, "form": form, "kept": kept}


def _shown(result: Rehearsal) -> list[dict[str, Any]]:
    return [_license(license, number) for number, license in enumerate(result.licenses, start=1)]


def _license(license: RehearsedLicense, number: int) -> dict[str, Any]:
    requests = [
        {
            "id": f"request-{number}-{place}",
            "call": call,
            "body": readable_json(dict(call.body)) if call.body is not None else None,
        }
        for place, call in enumerate(license.requests, start=1)
    ]
    return {
        "name": name_of(license.link),
        "link": license.link,
        "rows": _rows(license),
        "policies": license.policies,
        "requests": requests,
        "notes": license.notes,
    }


def _rows(license: RehearsedLicense) -> list[Row]:
    """As on the page of a license that exists, of which no server has reported anything."""
    server = Row(
        label="License server",
        wanted=license.link.server,
        reported="",
        origin=license.link.item.terms.get("origins", {}).get("server", ""),
    )
    rows = compare(license.link)
    return [server, *(replace(row, origin="license template") if _is_left_open(row) else row for row in rows)]


def _is_left_open(row: Row) -> bool:
    return row.wanted == NOT_SAID and not row.origin


admin.site.add_page(
    "licensing_integration/productmapping/rehearse/",
    rehearsal_page,
    name="licensing_integration_productmapping_rehearse",
)
