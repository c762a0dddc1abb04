"""The start page: what needs attention, most urgent first, then charts of the last days. Every number is a link."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from licensing_integration.admin import charts, connections
from licensing_integration.admin.addresses import add_url, list_url, may, row_url
from licensing_integration.admin.attention import value_of_product
from licensing_integration.models import (
    LicenseLink,
    ProductMapping,
    Purchase,
    RejectedDelivery,
    WebhookEvent,
)
from licensing_integration.services import attention, backlog, figures, silence
from licensing_integration.services.attention import Topic, WaitingProduct
from licensing_integration.services.silence import Pulse

_SPANS = (7, 30)
_TELL_OPERATOR = "Tell whoever runs this service; the list says what they can do."


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing to look at. ``number`` is a link to ``url``, the rows it counts. ``moment_label`` says what the moment
    is. ``action``: what the user may do about it from here, with its address."""

    topic: Topic
    number: str
    url: str
    label: str
    advice: str
    moment_label: str = "since"
    moment: datetime | None = None
    action: tuple[str, str] | None = None


def _start_context(request: HttpRequest) -> dict[str, Any]:
    now = timezone.now()
    pulses = silence.pulses(now=now) if may(request, "view", WebhookEvent) else []
    lines = sorted(_lines(request, pulses, now=now), key=lambda line: list(Topic).index(line.topic))
    return {
        "topics": [(topic, list(group)) for topic, group in groupby(lines, key=lambda line: line.topic)],
        "is_licensing_shown": any(may(request, "view", model) for model in (WebhookEvent, Purchase, LicenseLink)),
        "steps": _first_steps(request, pulses),
        **_charts_context(request, now=now),
    }


def _lines(request: HttpRequest, pulses: Sequence[Pulse], *, now: datetime) -> Iterator[Line]:
    yield from _counted_lines(request, now=now)
    if may(request, "view", RejectedDelivery):
        yield from (_refused_line(request, count) for count in attention.refused_deliveries(now=now))
    if may(request, "view", Purchase):
        yield from _product_lines(request)
    if any(pulse.last_at for pulse in pulses):  # before the first event of all, the first steps are shown
        yield from (_silent_line(request, pulse) for pulse in pulses if pulse.is_silent)
    if may(request, "view", LicenseLink):
        yield from _queue_lines(now)


# --- what needs attention --------------------------------------------------------------------------------------------


def _counted_lines(request: HttpRequest, *, now: datetime) -> Iterator[Line]:
    concerns = [
        concern
        for concern in attention.CONCERNS
        if concern.topic is not Topic.WAITING and may(request, "view", concern.model)
    ]
    counts = attention.summarize(concerns, now=now)
    return (_counted_line(count) for count in counts if count.number)


def _counted_line(count: attention.Count) -> Line:
    concern = count.concern
    return Line(
        topic=concern.topic,
        number=str(count),
        url=list_url(concern.model, attention=concern.slug),
        label=concern.label,
        advice=concern.advice,
        moment_label="the first ends" if concern.topic is Topic.OVERRIDE else "since",
        moment=count.moment,
    )


def _refused_line(request: HttpRequest, count: attention.Count) -> Line:
    """What mends it is in the configuration, which those who may not see the connections do not have."""
    line = replace(_counted_line(count), url=list_url(RejectedDelivery))
    return line if _connections_url(request) else replace(line, advice=_TELL_OPERATOR)


def _product_lines(request: HttpRequest) -> Iterator[Line]:
    found = attention.waiting_products()
    yield from (_product_line(request, waiting) for waiting in found[: attention.MOST_PRODUCTS])
    if len(found) > attention.MOST_PRODUCTS:
        yield Line(
            topic=Topic.WAITING,
            number="More",
            url=list_url(Purchase, attention="waiting"),
            label="products wait",
            advice=f"Only {attention.MOST_PRODUCTS} of them are named here. The list has the purchases of all.",
        )


def _product_line(request: HttpRequest, waiting: WaitingProduct) -> Line:
    may_map = may(request, "add", ProductMapping)
    return Line(
        topic=Topic.WAITING,
        number=str(waiting),
        url=list_url(Purchase, attention=value_of_product(waiting.store, waiting.product)),
        label=f"{waiting.product} ({waiting.store})",
        advice=_why_it_waits(waiting) + ("" if may_map else " Ask somebody of your staff to see to it."),
        action=_mapping_of(waiting) if may_map else None,
    )


def _why_it_waits(waiting: WaitingProduct) -> str:
    if waiting.mapping_id is None:
        return "Purchases without a license. Once the product is mapped, they go on by themselves."
    if not waiting.is_mapping_active:
        return "The product's mapping is not active. Once it is, its purchases go on by themselves."
    return "The product has a mapping, but that is not enough: each purchase says what is missing."


def _mapping_of(waiting: WaitingProduct) -> tuple[str, str]:
    if waiting.mapping_id is not None:
        return "Open mapping", row_url(ProductMapping, waiting.mapping_id)
    return "Add mapping", add_url(ProductMapping, store=waiting.store, store_product=waiting.product)


def _silent_line(request: HttpRequest, pulse: Pulse) -> Line:
    connections_url = _connections_url(request)
    return Line(
        topic=Topic.SILENCE,
        number="No event" if pulse.last_at is None else "Last event",
        url=list_url(WebhookEvent, store=pulse.store),
        label=pulse.store,
        advice="No event has come yet. Paste its webhook address into the store."
        if pulse.last_at is None
        else "Longer ago than usual. See in the store whether its webhook is still on and its deliveries arrive.",
        moment_label="",
        moment=pulse.last_at,
        action=("Connections", connections_url) if connections_url else None,
    )


def _connections_url(request: HttpRequest) -> str:
    """Empty for those who may not see the connections."""
    return reverse("admin:connections") if request.user.has_perm(connections.MAY_VIEW) else ""


def _queue_lines(now: datetime) -> Iterator[Line]:
    waiting_since = backlog.queue_waits_since(now=now)
    if waiting_since:
        yield Line(
            topic=Topic.BACKLOG,
            number="Queue",
            url=list_url(LicenseLink, sync_state="pending"),
            label="Work waits for a worker",
            advice="See whether a worker is running. If one is, more of them make the queue shorter.",
            moment=waiting_since,
        )


# --- an installation nobody has set up yet --------------------------------------------------------------------------


def _first_steps(request: HttpRequest, pulses: Iterable[Pulse]) -> list[dict[str, Any]]:
    """What is still to be done before the first license; none once there are events and a mapping."""
    steps: list[dict[str, Any]] = []
    if may(request, "view", WebhookEvent) and not any(pulse.last_at for pulse in pulses):
        addresses = _webhook_addresses(request, pulses)
        steps.append({"name": "webhook", "addresses": addresses, "url": _connections_url(request)})
    if may(request, "view", ProductMapping) and not ProductMapping.objects.exists():
        url = add_url(ProductMapping) if may(request, "add", ProductMapping) else ""
        steps.append({"name": "mapping", "url": url})
    return steps


def _webhook_addresses(request: HttpRequest, pulses: Iterable[Pulse]) -> list[tuple[str, str]]:
    return [(pulse.store, request.build_absolute_uri(reverse("webhook", args=[pulse.store]))) for pulse in pulses]


# --- charts ----------------------------------------------------------------------------------------------------------


def _charts_context(request: HttpRequest, *, now: datetime) -> dict[str, Any]:
    may_events, may_licenses = may(request, "view", WebhookEvent), may(request, "view", LicenseLink)
    if not (may_events or may_licenses):
        return {"charts": []}
    span = 30 if request.GET.get("days") == "30" else 7
    days = figures.recent(span, now=now)
    drawn = [charts.event_chart(days)] if may_events else []
    if may_licenses:
        drawn += [charts.license_chart(days), charts.time_chart(days), charts.error_chart(days)]
    return {
        "charts": drawn,
        "spans": _SPANS,
        "span": span,
        "is_counted": any(found for _, found in days),
    }


admin.site.start = _start_context
