"""Search finds everything by exact ids, on every list and in the one box, and through indexes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from licensing_integration.models import LicenseLink, Purchase, WebhookEvent
from licensing_integration.services import search
from tests.admin.conftest import url
from tests.admin.statistics import forget_statistics
from tests.factories import (
    HistoryEntryFactory,
    LicenseLinkFactory,
    PurchaseAliasFactory,
    PurchaseFactory,
    WebhookEventFactory,
)


@pytest.fixture
def story(db: None) -> dict[str, Any]:
    """One customer's purchase, license and event, beside somebody else's."""
    HistoryEntryFactory(link=LicenseLinkFactory(), event=WebhookEventFactory())
    purchase = PurchaseFactory(
        customer_email="ava@example.com", external_id="SUB123456", reference="ACME260101-1", is_subscription=True
    )
    PurchaseAliasFactory(purchase=purchase, value="ORDER987654")
    link = LicenseLinkFactory(
        item__purchase=purchase, key="AAAAAA-BBBBBB-CCCCCC-DDDDDD-EEEEEE-F1F2F3", external_id="license-id-1"
    )
    event = WebhookEventFactory(external_id="evt-42")
    HistoryEntryFactory(link=link, event=event)
    return {"purchase": purchase, "licenselink": link, "webhookevent": event}


TERMS = {
    "e-mail": "ava@example.com",
    "e-mail in capitals, with spaces": "  Ava@Example.COM ",
    "subscription id": "SUB123456",
    "reference": "ACME260101-1",
    "order id": "ORDER987654",
    "license key": "AAAAAA-BBBBBB-CCCCCC-DDDDDD-EEEEEE-F1F2F3",
    "license key in small letters": "aaaaaa-bbbbbb-cccccc-dddddd-eeeeee-f1f2f3",
    "last six": "F1F2F3",
    "last six as shown": "…f1f2f3",
    "more than the last six": "EEEE-F1F2F3",
    "license id": "license-id-1",
    "event id": "evt-42",
}


@pytest.mark.parametrize("model", ["purchase", "licenselink", "webhookevent"])
@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
def test_every_list_finds_by_every_name(term: str, model: str, story: dict[str, Any], support: Client) -> None:
    found = support.get(url(model, "changelist"), {"q": term}).context["cl"].result_list
    assert [row.pk for row in found] == [story[model].pk]


@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
def test_the_history_finds_by_every_name(term: str, story: dict[str, Any], support: Client) -> None:
    found = support.get(url("historyentry", "changelist"), {"q": term}).context["cl"].result_list
    assert {row.purchase_id for row in found} == {story["purchase"].pk}


@pytest.mark.parametrize(
    "term", ["ava@", "SUB12", "F2F3", "XF1F2F3", "BBBBBB", "nobody@example.com", "%", "\x00", "' OR 1=1"]
)
def test_parts_and_nonsense_find_nothing(term: str, story: dict[str, Any], support: Client) -> None:
    assert search.find(term).total == 0
    assert support.get("/admin/search/", {"q": term}).status_code == 200
    assert not support.get("/admin/search/", {"q": term}).context["groups"]


@pytest.mark.parametrize(
    ("term", "model"),
    [
        ("ava@example.com", "purchase"),
        ("ORDER987654", "purchase"),
        ("F1F2F3", "licenselink"),
        ("license-id-1", "licenselink"),
        ("evt-42", "webhookevent"),
    ],
)
def test_the_one_box_goes_straight_to_a_single_hit(
    term: str, model: str, story: dict[str, Any], support: Client
) -> None:
    answer = support.get("/admin/search/", {"q": term})
    assert answer["Location"] == url(model, "change", story[model].pk)


def test_the_one_box_lists_several_hits_by_kind(story: dict[str, Any], support: Client) -> None:
    second = PurchaseFactory(customer_email="ava@example.com")
    page = support.get("/admin/search/", {"q": "ava@example.com"}).content.decode()
    for model, pk in [
        ("purchase", story["purchase"].pk),
        ("purchase", second.pk),
        ("licenselink", story["licenselink"].pk),
        ("webhookevent", story["webhookevent"].pk),
    ]:
        assert url(model, "change", pk) in page
    assert story["licenselink"].key not in page


def test_the_one_box_is_empty_at_first(support: Client) -> None:
    assert 'name="q"' in support.get("/admin/search/").content.decode()
    assert 'name="q"' in support.get("/admin/").content.decode()


def test_an_order_id_names_every_purchase_of_the_order(support: Client) -> None:
    order = PurchaseFactory(external_id="ORDER1")
    subscription = PurchaseFactory(is_subscription=True)
    PurchaseAliasFactory(purchase=subscription, value="ORDER1")
    found = support.get(url("purchase", "changelist"), {"q": "ORDER1"}).context["cl"].result_list
    assert {row.pk for row in found} == {order.pk, subscription.pk}


def _plan_of(work: Callable[[], object]) -> str:
    """The plans PostgreSQL would choose for large tables, of every query ``work`` makes."""
    with CaptureQueriesContext(
        connection,
    ) as queries:
        work()
    with connection.cursor() as cursor:
        forget_statistics(cursor)
        cursor.execute("SET LOCAL enable_seqscan = off")
        plans = []
        for query in queries.captured_queries:
            if query["sql"].startswith("(SELECT") or query["sql"].startswith("SELECT"):
                cursor.execute(f"EXPLAIN {query['sql']}")
                plans += [row[0] for row in cursor.fetchall()]
    return "\n".join(plans)


@pytest.mark.parametrize(
    ("term", "work"),
    [
        ("x@example.com", lambda term: search.find(term)),
        ("F1F2F3", lambda term: search.purchases_of(search.find(term))),
        ("evt-42", lambda term: search.links_of(search.find(term))),
        ("ava@example.com", lambda term: search.events_of(search.find(term))),
    ],
)
def test_searching_reads_no_whole_table(term: str, work: Callable[[str], object], story: dict[str, Any]) -> None:
    plan = _plan_of(lambda: work(term))
    assert "Seq Scan" not in plan
    scans = plan.count("Index Scan") + plan.count("Index Only Scan")
    assert 0 < scans == plan.count("Index Cond"), plan  # without a condition a scan reads the whole index


def test_a_customer_with_many_purchases_does_not_flood_the_lists(
    story: dict[str, Any], support: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_FOUND", 2)
    PurchaseFactory.create_batch(3, customer_email="ava@example.com")
    assert len(search.find("ava@example.com").purchases) == 2


def test_search_finds_nothing_in_empty_tables(db: None) -> None:
    hits = search.find("ava@example.com")
    assert (search.purchases_of(hits), search.links_of(hits), search.events_of(hits)) == (frozenset(),) * 3
    assert not any(model.objects.exists() for model in (Purchase, LicenseLink, WebhookEvent))
