"""The console's pages: every list with every filter it offers, every search, every row's page and what leads from it.

Lists, filters and the pages of rows are found by asking the admin, so that new ones are measured without being named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.contrib.auth import get_user_model
from django.db.models import Model
from django.test import RequestFactory
from django.urls import reverse

from benchmarks.console.statements import BULK_PURCHASE, BUSY_PURCHASE, THREE_PURCHASE
from licensing_integration.admin.mixins import SearchMixin
from licensing_integration.admin.rehearsal import UnsavedMappingForm
from licensing_integration.models import LicenseLink, ProductMapping, Purchase, WebhookEvent

REPLAYED: Final = 37


@dataclass(frozen=True, kw_only=True)
class Page:
    """``group``: a line of the table, which shows the slowest of its cases. ``data``: what is posted, ``None`` for a
    GET. ``is_found``: by asking the admin; such a page may refuse, because there is nothing to do on this row."""

    group: str
    case: str = ""
    role: str = "staff"
    address: str
    data: Mapping[str, Any] | None = None
    is_found: bool = False

    @property
    def is_preview(self) -> bool:
        """It may show what an action would do. That is found out by the product's own path, in a transaction that is
        taken back, with as many queries as that path makes."""
        return self.is_found or self.data is not None

    @property
    def key(self) -> tuple[str, str, str]:
        """The same in every database, unlike the address."""
        return self.group, self.case, self.role


def all_pages() -> list[Page]:
    """Of the database that is connected."""
    admins = [shown for shown in admin.site._registry.values() if shown.has_module_permission(_request("owner"))]
    pages = [*_start(), *_searches()]
    for shown in admins:
        pages += [*_lists(shown), *_row_pages(shown)]
    return [*pages, *_replays(), *_mapping_pages()]


def _request(role: str, address: str = "/") -> Any:
    request = RequestFactory().get(address)
    request.user = get_user_model().objects.get(username=role)
    return request


# --- pages of no model -----------------------------------------------------------------------------------------------


def _start() -> Iterator[Page]:
    for role in ("support", "staff", "owner"):
        for days in (7, 30):
            yield Page(group="Start", case=f"{days} days, {role}", role=role, address=f"/admin/?days={days}")
    yield Page(group="Connections", role="owner", address=reverse("admin:connections"))


def _searches() -> Iterator[Page]:
    for case, term in _terms().items():
        address = f"{reverse('admin:search')}?{urlencode({'q': term})}"
        yield Page(group="Search", case=case, role="support", address=address)


def _terms() -> dict[str, str]:
    first, link = Purchase.objects.get(pk=1), LicenseLink.objects.filter(purchase=1).earliest("pk")
    return {
        "e-mail address": first.customer_email,
        "e-mail address of hundreds": Purchase.objects.get(pk=THREE_PURCHASE).customer_email,
        "order id": first.external_id,
        "order reference": first.reference,
        "subscription": Purchase.objects.get(pk=2).external_id,
        "order id of hundreds of licenses": Purchase.objects.get(pk=BULK_PURCHASE).external_id,
        "license key": link.key,
        "end of a license key": link.key[-6:],
        "license id": link.external_id,
        "event id": WebhookEvent.objects.get(pk=1).external_id,
        "nothing we know": "nobody@example.org",
    }


# --- lists -----------------------------------------------------------------------------------------------------------

Query = Mapping[str, str]


def _lists(shown: ModelAdmin[Any]) -> Iterator[Page]:
    title, address = _title(shown), _url(shown, "changelist")
    role = "staff" if shown.has_view_permission(_request("staff")) else "owner"

    def _page(what: str, case: str, query: Query) -> Page:
        return Page(group=f"{title}{what}", case=case, role=role, address=f"{address}?{urlencode(query)}")

    yield _page("", "", {})
    yield _page(", last page", "", {"p": str(_last_page(shown, role, {}))})
    offered = list(_offered(shown, role))
    for label, case, query in offered:
        yield _page(f", by {label}", case, query)
        if (last := _last_page(shown, role, query)) > 1:
            yield _page(", filtered, last page", f"{label}: {case}", {**query, "p": str(last)})
    for (one, case, query), (other, other_case, more) in combinations(offered, 2):
        if one != other:
            yield _page(", two filters", f"{one}: {case}, {other}: {other_case}", {**query, **more})
    if isinstance(shown, SearchMixin):
        for case, term in _terms().items():
            yield _page(", search in the list", case, {"q": term})


def _offered(shown: ModelAdmin[Any], role: str) -> Iterator[tuple[str, str, Query]]:
    """Each value of each filter beside the list: the filter's name, the value's, and the query it makes."""
    changes = shown.get_changelist_instance(_request(role))
    for spec in changes.filter_specs:
        for choice in spec.choices(changes):
            if query := dict(parse_qsl(choice["query_string"].lstrip("?"))):
                yield str(spec.title), str(choice["display"]), query


def _last_page(shown: ModelAdmin[Any], role: str, query: Query) -> int:
    return int(shown.get_changelist_instance(_request(role, f"/?{urlencode(query)}")).paginator.num_pages)


def _title(shown: ModelAdmin[Any]) -> str:
    name = str(shown.opts.verbose_name_plural)
    return name[0].upper() + name[1:]


def _url(shown: ModelAdmin[Any], what: str, *args: object) -> str:
    return reverse(f"admin:{shown.opts.app_label}_{shown.opts.model_name}_{what}", args=args)


# --- pages of a row --------------------------------------------------------------------------------------------------


def _row_pages(shown: ModelAdmin[Any]) -> Iterator[Page]:
    """None where the list leads to no page of its rows."""
    if shown.list_display_links is None:
        return
    role = "support" if shown.has_view_permission(_request("support")) else "owner"
    for case, pk in _rows(shown.model).items():
        yield Page(group=f"{_name(shown)}: page", case=case, role=role, address=_url(shown, "change", pk))
        for action in _pages_behind(shown):
            address = _url(shown, action, pk)
            yield Page(group=f"{_name(shown)}: {action}", case=case, role="owner", address=address, is_found=True)


def _name(shown: ModelAdmin[Any]) -> str:
    name = str(shown.opts.verbose_name)
    return name[0].upper() + name[1:]


def _pages_behind(shown: ModelAdmin[Any]) -> Iterator[str]:
    """What leads on from the page of a row: confirmations, comparisons, and so on."""
    prefix = f"{shown.opts.app_label}_{shown.opts.model_name}_"
    for pattern in shown.get_urls():
        if re.fullmatch(r"<int:object_id>/[\w-]+/", str(pattern.pattern)):
            yield str(pattern.name).removeprefix(prefix)


def _rows(model: type[Model]) -> dict[str, Any]:
    """Rows worth looking at: small and large ones, or just the newest."""
    large = WebhookEvent.objects.count() // 2
    special: dict[type[Model], dict[str, Any]] = {
        WebhookEvent: {"small": 1, "1 MB": large, "failed": _newest(WebhookEvent, state="failed")},
        Purchase: {
            "1 license": 1,
            "3 licenses": THREE_PURCHASE,
            "hundreds of licenses": BULK_PURCHASE,
            "waits for a mapping": _newest(Purchase, items__mapping=None),
        },
        LicenseLink: {
            "short history": _newest(LicenseLink, purchase=1),
            "thousands of entries": _newest(LicenseLink, purchase=BUSY_PURCHASE),
            "one of hundreds": _newest(LicenseLink, purchase=BULK_PURCHASE),
            "stopped": _newest(LicenseLink, sync_state="attention"),
        },
    }
    found = special.get(model, {"newest": _newest(model)})
    return {case: pk for case, pk in found.items() if pk is not None}


def _newest(model: type[Model], **known: Any) -> Any:
    return model._default_manager.filter(**known).order_by("-pk").values_list("pk", flat=True).first()


# --- what is posted to be looked at first ----------------------------------------------------------------------------


def _replays() -> Iterator[Page]:
    """The confirmation of a replay, with its effects."""
    newest = list(WebhookEvent.objects.filter(state="applied").order_by("-pk").values_list("pk", flat=True)[:REPLAYED])
    chosen = {"action": "replay_selected", admin.helpers.ACTION_CHECKBOX_NAME: newest}
    address = reverse("admin:licensing_integration_webhookevent_changelist")
    yield Page(group=f"Webhook log: replay {REPLAYED}, preview", address=address, data=chosen)
    yield Page(
        group="Webhook log: replay all found, preview",
        address=f"{address}?state__exact=failed",
        data={**chosen, admin.helpers.ACTION_CHECKBOX_NAME: newest[:1], "select_across": "1"},
    )


def _mapping_pages() -> Iterator[Page]:
    mapping = ProductMapping.objects.order_by("pk")[0]
    yield Page(group="Product mapping: new", address=reverse("admin:licensing_integration_productmapping_add"))
    address = reverse("admin:licensing_integration_productmapping_rehearse")
    form = UnsavedMappingForm(instance=mapping)
    values = {field.html_name: field.value() for field in form}
    sent = {name: "" if value is None else value for name, value in values.items()}
    yield Page(group="Product mapping: rehearse", address=address, data=sent)
