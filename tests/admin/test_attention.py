"""What needs attention: filters, the overview, the summary on the first page."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client

from licensing_integration.services import attention
from tests.admin.conftest import url
from tests.admin.statistics import forget_statistics
from tests.factories import LicenseLinkFactory, PurchaseFactory, PurchaseItemFactory, WebhookEventFactory


@pytest.fixture
def rows(db: None) -> dict[tuple[str, str], Any]:
    """One row for every concern, and some that concern nobody."""
    WebhookEventFactory()
    WebhookEventFactory(state="ignored")
    LicenseLinkFactory()
    LicenseLinkFactory(is_new=True)
    stopped = {"sync_state": "attention"}
    return {
        ("webhookevent", "failed"): WebhookEventFactory(state="failed"),
        ("webhookevent", "malformed"): WebhookEventFactory(state="malformed"),
        ("webhookevent", "unsupported"): WebhookEventFactory(state="unsupported"),
        ("purchase", "waiting"): PurchaseItemFactory(is_waiting=True).purchase,
        ("purchase", "note"): PurchaseFactory(attention="Look."),
        ("licenselink", "config"): LicenseLinkFactory(sync_state="pending", failure_mode="config"),
        ("licenselink", "permanent"): LicenseLinkFactory(**stopped, failure_mode="permanent"),
        ("licenselink", "exceeded"): LicenseLinkFactory(**stopped, failure_mode="exceeded"),
        ("licenselink", "internal"): LicenseLinkFactory(**stopped, failure_mode="internal"),
        ("licenselink", "question"): LicenseLinkFactory(question="Keep it?"),
    }


def _listed(client: Client, model: str, value: str) -> set[int]:
    found = client.get(url(model, "changelist"), {"attention": value}).context["cl"].result_list
    return {row.pk for row in found}


def test_each_reason_lists_its_rows(rows: dict[tuple[str, str], Any], support: Client) -> None:
    for (model, slug), row in rows.items():
        assert _listed(support, model, slug) == {row.pk}, slug


@pytest.mark.parametrize("model", ["webhookevent", "purchase", "licenselink"])
def test_any_reason_lists_them_all(model: str, rows: dict[tuple[str, str], Any], support: Client) -> None:
    assert _listed(support, model, "any") == {row.pk for (name, _), row in rows.items() if name == model}


def test_an_unknown_reason_filters_nothing(rows: dict[tuple[str, str], Any], support: Client) -> None:
    assert len(_listed(support, "webhookevent", "nonsense")) == 5


def test_the_overview_counts_and_links(rows: dict[tuple[str, str], Any], support: Client) -> None:
    page = support.get("/admin/attention/").content.decode()
    for model, slug in rows:
        assert f"{url(model, 'changelist')}?attention={slug}" in page
    assert page.count("<td>1</td>") == len(rows)


def test_the_first_page_shows_what_waits_and_links_the_overview(
    rows: dict[tuple[str, str], Any], support: Client
) -> None:
    page = support.get("/admin/").content.decode()
    assert 'href="/admin/attention/"' in page
    assert "Purchases: waiting for a product mapping" in page


def test_nothing_waits(support: Client) -> None:
    assert "Nothing needs attention." in support.get("/admin/").content.decode()
    assert support.get("/admin/attention/").content.decode().count("Nothing here needs attention.") == 4


def test_counts_are_capped(support: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "MOST_COUNTED", 2)
    WebhookEventFactory.create_batch(3, state="failed")
    WebhookEventFactory.create_batch(2, state="malformed")
    assert [str(count) for count in attention.summarize(attention.EVENT_CONCERNS)] == ["2+", "2", "0"]
    assert "<td>2+</td>" in support.get("/admin/attention/").content.decode()


def test_people_without_permission_see_no_counts(rows: dict[tuple[str, str], Any], client_of: Any) -> None:
    page = client_of("no group").get("/admin/").content.decode()
    assert "Needs attention" not in page


@pytest.mark.parametrize(
    ("model", "condition", "indexes"),
    [
        ("events", attention.events_needing_attention, ["events_needing_attention"]),
        ("purchases", attention.purchases_needing_attention, ["purchases_with_attention", "waiting_items"]),
        ("links", attention.links_needing_attention, ["links_needing_attention", "pending_links"]),
    ],
)
def test_the_conditions_have_their_indexes(
    model: str, condition: Any, indexes: list[str], rows: dict[tuple[str, str], Any]
) -> None:
    concerns = {
        "events": attention.EVENT_CONCERNS,
        "purchases": attention.PURCHASE_CONCERNS,
        "links": attention.LICENSE_CONCERNS,
    }[model]
    rows_wanted = concerns[0].model._default_manager.filter(condition()).order_by().values("pk")
    with connection.cursor() as cursor:
        forget_statistics(cursor)
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = rows_wanted.explain()
    assert "Seq Scan" not in plan
    for index in indexes:
        assert index in plan, plan
