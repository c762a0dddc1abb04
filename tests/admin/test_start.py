"""The start page: what needs attention in its order, first steps, charts, and links that list what was counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.utils import timezone
from django.utils.html import escape
from pytest_django import Settings

from licensing_integration import jobs
from licensing_integration.admin.charts import Chart, time_chart
from licensing_integration.admin.happened import Happened
from licensing_integration.domain.figures import Figures, Happening
from licensing_integration.models import DailyFigures, LicenseLink
from licensing_integration.services import attention, figures
from licensing_integration.services.attention import Topic
from licensing_integration.services.codec import to_json
from tests.admin.conftest import url
from tests.admin.statistics import forget_statistics
from tests.factories import (
    HistoryEntryFactory,
    LicenseLinkFactory,
    ProductMappingFactory,
    PurchaseFactory,
    PurchaseItemFactory,
    RejectedDeliveryFactory,
    WebhookEventFactory,
)

START = "/admin/"
ALL_GOOD = "Nothing needs attention."


@pytest.fixture
def everything(db: None) -> None:
    """Something of each topic, made in another order than the page shows it."""
    now = timezone.now()
    WebhookEventFactory(received_at=now - timedelta(days=2))  # silent since
    WebhookEventFactory(store="elsewhere", state="received", received_at=now - timedelta(hours=1))
    LicenseLinkFactory(override_until=now + timedelta(days=2))
    LicenseLinkFactory(question="Keep it?")
    PurchaseFactory(attention="Look.")
    old = LicenseLinkFactory(is_new=True)
    LicenseLink.objects.filter(pk=old.pk).update(created_at=now - timedelta(hours=1))
    PurchaseItemFactory.create_batch(2, is_waiting=True, product="forgotten & new")
    WebhookEventFactory(store="elsewhere", state="failed")
    RejectedDeliveryFactory()
    ProductMappingFactory()


def _lines(client: Client) -> list[Any]:
    return [line for _, lines in client.get(START).context["topics"] for line in lines]


def _follow(client: Client, address: str) -> set[int]:
    response = client.get(address)
    assert response.status_code == 200, address
    return {row.pk for row in response.context["cl"].result_list}


# --- what needs attention --------------------------------------------------------------------------------------------


def test_nothing_to_do_is_one_green_line(support: Client) -> None:
    ProductMappingFactory()
    WebhookEventFactory()
    response = support.get(START)
    assert response.context["topics"] == []
    assert f'<p class="li-all-good">{ALL_GOOD}</p>' in response.content.decode()
    assert "First steps" not in response.content.decode()


def test_the_topics_come_in_their_order_with_their_headings(everything: None, staff: Client) -> None:
    response = staff.get(START)
    assert [topic for topic, _ in response.context["topics"]] == list(Topic)
    page = response.content.decode()
    positions = [page.index(f'<h4 class="li-topic">{topic}</h4>') for topic in Topic]
    assert positions == sorted(positions)
    assert ALL_GOOD not in page


def test_every_number_of_rows_is_a_link_to_as_many_rows(everything: None, staff: Client) -> None:
    counted = [line for line in _lines(staff) if line.number.isdigit()]
    assert len(counted) == 8
    for line in counted:
        assert len(_follow(staff, line.url)) == int(line.number), line
        link = f'<a class="li-counted" href="{escape(line.url)}"><span class="li-number">{line.number}</span> '
        assert f'{link}<strong class="li-what">{escape(line.label)}</strong></a>' in staff.get(START).content.decode()


def test_a_product_without_a_mapping_can_be_mapped_from_here(everything: None, staff: Client, support: Client) -> None:
    (line,) = (line for line in _lines(staff) if line.topic is Topic.WAITING)
    assert (line.number, line.label) == ("2", "forgotten & new (fastspring)")
    label, address = line.action
    assert (label, urlsplit(address).path) == ("Add mapping", url("productmapping", "add"))
    form = staff.get(address).context["adminform"].form
    assert (form["store"].value(), form["store_product"].value()) == ("fastspring", "forgotten & new")
    assert "Ask somebody" not in line.advice
    (line,) = (line for line in _lines(support) if line.topic is Topic.WAITING)
    assert line.action is None
    assert line.advice.endswith("Ask somebody of your staff to see to it.")


@pytest.mark.parametrize(
    ("fields", "why"), [({"is_active": False}, "is not active"), ({"product_id": ""}, "that is not enough")]
)
def test_a_product_whose_mapping_is_not_enough_leads_to_that_mapping(
    fields: dict[str, Any], why: str, staff: Client, support: Client
) -> None:
    PurchaseItemFactory(is_waiting=True, product="forgotten")
    ProductMappingFactory(store="stripe", store_product="forgotten")
    mapping = ProductMappingFactory(store_product="forgotten", **fields)
    (line,) = (line for line in _lines(staff) if line.topic is Topic.WAITING)
    assert line.action == ("Open mapping", url("productmapping", "change", mapping.pk))
    assert why in line.advice
    (line,) = (line for line in _lines(support) if line.topic is Topic.WAITING)
    assert line.action is None
    assert why in line.advice


def test_more_products_than_are_named_are_one_link_to_all_their_purchases(
    support: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "MOST_PRODUCTS", 2)
    items = [PurchaseItemFactory(is_waiting=True, product=f"product {n}") for n in range(2)]
    assert [line.number for line in _lines(support) if line.topic is Topic.WAITING] == ["1", "1"]
    items += [PurchaseItemFactory(is_waiting=True, product=f"product {n}") for n in range(2, 5)]
    *named, more = (line for line in _lines(support) if line.topic is Topic.WAITING)
    assert len(named) == 2
    assert (more.number, more.label) == ("More", "products wait")
    assert _follow(support, more.url) == {item.purchase_id for item in items}


def test_what_only_the_configuration_mends_is_told_to_those_who_have_it(
    support: Client, client_of: Callable[[str], Client]
) -> None:
    RejectedDeliveryFactory()
    (line,) = _lines(client_of("Owner"))
    assert "FASTSPRING_WEBHOOK_SECRET" in line.advice
    (line,) = _lines(support)
    assert line.advice.startswith("Tell whoever runs this service")
    assert "SECRET" not in line.advice


def test_a_silent_store_links_to_its_events_and_owners_to_the_connections(
    everything: None, support: Client, client_of: Callable[[str], Client]
) -> None:
    (line,) = (line for line in _lines(support) if line.topic is Topic.SILENCE)
    assert (line.number, line.label, line.action) == ("Last event", "fastspring", None)
    assert len(_follow(support, line.url)) == 1
    (line,) = (line for line in _lines(client_of("Owner")) if line.topic is Topic.SILENCE)
    assert line.action == ("Connections", "/admin/connections/")


def test_a_store_without_any_event_is_silent_once_another_has_one(support: Client, settings: Settings) -> None:
    settings.STORES = [*settings.STORES, {**settings.STORES[0], "name": "second"}]
    assert _lines(support) == []
    WebhookEventFactory()
    (line,) = _lines(support)
    assert (line.topic, line.number, line.label) == (Topic.SILENCE, "No event", "second")


def test_a_queue_that_nobody_works_on_is_shown(support: Client) -> None:
    jobs.enqueue_events([1])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_events SET at = now() - interval '5 minutes'")
    (line,) = _lines(support)
    assert (line.topic, line.label) == (Topic.BACKLOG, "Work waits for a worker")
    assert _follow(support, line.url) == set()


@pytest.mark.parametrize(
    ("codename", "topics"),
    [
        ("view_webhookevent", {Topic.FAILED, Topic.SILENCE, Topic.BACKLOG}),
        ("view_purchase", {Topic.WAITING, Topic.APPROVAL}),
        ("view_licenselink", {Topic.UNLICENSED, Topic.APPROVAL, Topic.OVERRIDE}),
        ("view_productmapping", set()),
    ],
)
def test_people_see_what_they_may_see(
    codename: str, topics: set[Topic], everything: None, client_of: Callable[[str], Client]
) -> None:
    client = client_of("no group")
    client.user.user_permissions.add(Permission.objects.get(codename=codename))
    assert {topic for topic, _ in client.get(START).context["topics"]} == topics


def test_people_without_permission_see_neither_counts_nor_charts(
    everything: None, client_of: Callable[[str], Client]
) -> None:
    page = client_of("no group").get(START).content.decode()
    for text in ("Needs attention", "First steps", "chart"):
        assert f">{text}" not in page
    assert "<canvas" not in page


@pytest.mark.parametrize("role", ["Support", "Owner"])
def test_the_page_makes_at_most_twelve_queries(
    role: str, everything: None, client_of: Callable[[str], Client], django_assert_max_num_queries: Any
) -> None:
    figures.count_days()
    client = client_of(role)
    with django_assert_max_num_queries(12):
        client.get(START)


# --- first steps -----------------------------------------------------------------------------------------------------


def test_an_empty_installation_says_what_to_do_first(staff: Client, settings: Settings) -> None:
    settings.STORES = [*settings.STORES, {"name": "closed", "adapter": "fastspring"}]
    page = staff.get(START).content.decode()
    assert "First steps" in page
    assert '<code class="li-mono">http://testserver/webhooks/fastspring/</code>' in page
    assert "/webhooks/closed/" not in page
    assert "tick the events its page in the documentation names" in page
    assert f'href="{url("productmapping", "add")}"' in page


def test_owners_are_sent_to_the_connections_for_the_events_to_tick(client_of: Callable[[str], Client]) -> None:
    page = client_of("Owner").get(START).content.decode()
    assert 'tick the events that <a href="/admin/connections/">Connections</a> lists' in page


def test_without_any_store_the_first_step_is_the_setting(
    staff: Client, client_of: Callable[[str], Client], settings: Settings
) -> None:
    settings.STORES = []
    assert "No store has a webhook secret yet. Name your stores" in client_of("Owner").get(START).content.decode()
    assert "No store has a webhook secret yet. Tell whoever runs" in staff.get(START).content.decode()


def test_a_step_that_is_done_is_not_shown(staff: Client, support: Client) -> None:
    WebhookEventFactory()
    page = support.get(START).content.decode()
    assert "/webhooks/" not in page
    assert "Somebody of your staff adds the first one." in page
    assert f'href="{url("productmapping", "add")}"' not in page
    ProductMappingFactory()
    assert "First steps" not in staff.get(START).content.decode()


# --- charts ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def busy(db: None) -> None:
    """Two days with something of everything, counted."""
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
    ProductMappingFactory()
    for days, number in ((0, 1), (9, 2)):
        moment = noon - timedelta(days=days)
        for _ in range(number):
            event = WebhookEventFactory(received_at=moment - timedelta(seconds=number))
            for kind in ("issued", "suspended", "deleted", "failed"):
                HistoryEntryFactory(link=LicenseLinkFactory(), kind=f"license.{kind}", at=moment, event=event)
        WebhookEventFactory(received_at=moment, state="failed")
    HistoryEntryFactory(link=LicenseLinkFactory(server="spring"), kind="license.failed", at=noon)
    figures.count_days()


def _charts(client: Client, query: str = "") -> dict[str, Chart]:
    return {chart.slug: chart for chart in client.get(START + query).context["charts"]}


def _totals(chart: Chart) -> dict[str, str]:
    return {series.label: series.summary.text for series in chart.series}


def test_the_charts_show_seven_days_or_thirty(busy: None, support: Client) -> None:
    assert _totals(_charts(support)["events"]) == {"Applied": "1", "Failed": "1"}
    month = _charts(support, "?days=30")
    assert _totals(month["events"]) == {"Applied": "3", "Failed": "2"}
    assert _totals(month["licenses"]) == {"Issued": "up to 3", "Suspended": "up to 3", "Ended": "up to 3"}
    assert _totals(month["errors"]) == {"cryptlex": "up to 3", "spring": "1"}
    assert [[cell.text for cell in one.cells if cell.text] for one in month["time"].series] == [["2 s", "1 s"]] * 2
    assert len(month["time"].days) == 30
    assert _charts(support, "?days=nonsense")["time"].days[-1] == datetime.now(UTC).date()


@pytest.mark.parametrize("query", ["", "?days=30"])
def test_every_number_of_a_chart_is_a_link_to_as_many_rows(query: str, busy: None, support: Client) -> None:
    counted = [
        cell
        for slug, chart in _charts(support, query).items()
        for series in chart.series
        for cell in (*series.cells, series.summary)
        if cell.url and slug != "time"
    ]
    assert len(counted) > 10
    page = support.get(START + query).content.decode().replace("&amp;", "&")
    for cell in counted:
        assert len(_follow(support, cell.url)) == int(cell.text.removeprefix("up to ")), cell
        assert f'href="{cell.url}"' in page


def test_a_license_suspended_on_two_days_is_not_told_to_be_two(support: Client) -> None:
    link, noon = LicenseLinkFactory(), datetime.now(UTC).replace(hour=12) - timedelta(days=1)
    for days in (0, 1):
        HistoryEntryFactory(link=link, kind="license.suspended", at=noon - timedelta(days=days))
    figures.count_days()
    (series,) = _charts(support)["licenses"].series
    assert (series.values[-3:-1], series.summary.text) == ([1, 1], "up to 2")
    assert len(_follow(support, series.summary.url)) == 1


def test_times_link_to_the_licenses_issued_on_that_day(busy: None, support: Client) -> None:
    series = _charts(support)["time"].series
    cells = [cell for one in series for cell in one.cells if cell.text]
    assert len(cells) == 2
    assert [one.summary.text.split(" on ")[0] for one in series] == ["1 s", "1 s"]
    for cell in (*cells, *(one.summary for one in series)):
        assert len(_follow(support, cell.url)) == 1


def test_a_chart_is_what_the_themes_script_reads(busy: None, support: Client) -> None:
    chart = _charts(support)["events"]
    data = json.loads(chart.data)
    assert len(data["labels"]) == 7
    assert [one["label"] for one in data["datasets"]] == ["Applied", "Failed"]
    assert data["datasets"][0]["backgroundColor"] == "var(--li-chart-good)"
    assert json.loads(chart.options)["scales"]["x"]["stacked"]


@pytest.mark.parametrize(("slowest", "scale"), [(0.9, "linear"), (90.0, "logarithmic")])
def test_times_grow_tenfold_only_where_they_span_as_much(slowest: float, scale: str) -> None:
    chart = time_chart([(datetime.now(UTC).date(), Figures(seconds_p50=0.1, seconds_p95=slowest))])
    assert json.loads(chart.options)["scales"]["y"]["type"] == scale


def test_charts_without_numbers_say_so(support: Client) -> None:
    assert support.get(START).content.decode().count("Nothing has been counted yet.") == 4
    figures.count_days()
    page = support.get(START).content.decode()
    assert "Nothing has been counted yet." not in page
    assert "No license was issued in these days." in page
    assert "<canvas" not in page


def test_days_that_are_not_counted_yet_are_empty(support: Client) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    DailyFigures.objects.create(
        day=yesterday, values=to_json(Figures(events={"applied": 5})), counted_at=timezone.now()
    )
    assert _charts(support)["events"].series[0].values == [0, 0, 0, 0, 0, 5, 0]


def test_each_chart_needs_the_permission_to_see_its_rows(busy: None, client_of: Callable[[str], Client]) -> None:
    client = client_of("no group")
    client.user.user_permissions.add(Permission.objects.get(codename="view_webhookevent"))
    assert set(_charts(client)) == {"events"}
    client = client_of("no group 2")
    client.user.user_permissions.add(Permission.objects.get(codename="view_licenselink"))
    assert set(_charts(client)) == {"licenses", "time", "errors"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.042, "0.042 s"), (3.14159, "3.1 s"), (45.4, "45 s"), (119.0, "119 s"), (130.0, "2.2 min"),
        (7000.0, "117 min"), (9000.0, "2.5 h"), (172_000.0, "48 h"), (259_200.0, "3.0 days"),
    ],
)  # fmt: skip
def test_times_are_told_in_the_unit_that_reads_best(seconds: float, text: str) -> None:
    chart = time_chart([(datetime.now(UTC).date(), Figures(seconds_p50=seconds))])
    assert [one.cells[0].text for one in chart.series] == [text]


# --- the filter behind the charts ------------------------------------------------------------------------------------


def test_the_filter_of_what_happened_names_what_it_shows(busy: None, support: Client) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    value = str(Happened(happening=Happening.FAILED, first=yesterday, last=yesterday, server="spring"))
    response = support.get(url("licenselink", "changelist"), {"happened": value})
    assert len(response.context["cl"].result_list) == 1
    assert f"Failed on spring, {yesterday} (UTC)" in response.content.decode()


@pytest.mark.parametrize(
    "value", ["", "nonsense", "issued", "issued,2026-01-01", "issued,x,y", "sold,2026-01-01,2026-01-02"]
)
def test_a_value_nobody_made_filters_nothing(value: str, busy: None, support: Client) -> None:
    every = LicenseLink.objects.count()
    assert len(_follow(support, f"{url('licenselink', 'changelist')}?happened={value}")) == every


def test_the_licenses_are_found_by_the_day_and_then_by_their_ids(busy: None) -> None:
    """In a list's order and with its limit PostgreSQL would otherwise go through all licenses."""
    day = datetime.now(UTC).date()
    links = Happened(happening=Happening.ISSUED, first=day, last=day).narrow(LicenseLink.objects.order_by("-pk"))
    with connection.cursor() as cursor:
        forget_statistics(cursor)
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = links.values("pk")[:51].explain()
    assert "InitPlan" in plan
    assert "history_by_day" in plan
    assert "history_of_link" not in plan


def test_a_value_reads_back_as_itself() -> None:
    day = datetime.now(UTC).date()
    for server in ("", "eu-cryptlex"):
        happened = Happened(happening=Happening.RENEWED, first=day, last=day, server=server)
        assert Happened.read(str(happened)) == happened
    query = parse_qs(urlsplit(f"/?happened={happened}").query)
    assert query["happened"] == [str(happened)]
