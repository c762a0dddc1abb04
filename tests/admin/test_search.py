"""Search finds everything by exact ids, on every list and in the one box, and through indexes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
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
    "e-mail as a link": "mailto:ava@example.com?subject=Key",
    "e-mail as a mail program writes it": "Ava Lindqvist <ava@example.com>",
    "subscription id": "SUB123456",
    "reference": "ACME260101-1",
    "reference in small letters": "acme260101-1",
    "order id": "ORDER987654",
    "reference with a number sign": " #ACME260101-1",
    "license key without dashes": "AAAAAABBBBBBCCCCCCDDDDDDEEEEEEF1F2F3",
    "license key in small letters without dashes": "aaaaaabbbbbbccccccddddddeeeeeef1f2f3",
    "license key": "AAAAAA-BBBBBB-CCCCCC-DDDDDD-EEEEEE-F1F2F3",
    "license key in small letters": "aaaaaa-bbbbbb-cccccc-dddddd-eeeeee-f1f2f3",
    "last six": "F1F2F3",
    "last six as shown": "…f1f2f3",
    "last six with three dots": " ...F1F2F3 ",
    "more than the last six": "EEEE-F1F2F3",
    "license id": "license-id-1",
    "event id": "evt-42",
}


@pytest.mark.parametrize("model", ["purchase", "licenselink", "webhookevent"])
@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
def test_every_list_finds_by_every_name(term: str, model: str, story: dict[str, Any], support: Client) -> None:
    found = support.get(url(model, "changelist"), {"q": term}).context["cl"].result_list
    assert [row.pk for row in found] == [story[model].pk]


@pytest.mark.parametrize(
    "term", ["ava@", "SUB12", "F2F3", "XF1F2F3", "BBBBBB", "nobody@example.com", "%", "\x00", "' OR 1=1"]
)
def test_parts_and_nonsense_find_nothing(term: str, story: dict[str, Any], support: Client) -> None:
    assert search.find(term).total == 0
    page = support.get("/admin/search/", {"q": term}, follow=True)
    assert page.status_code == 200
    assert not page.context["cards"]
    assert "What can be searched" in page.content.decode()


@pytest.mark.parametrize(("term", "is_short"), [("F2F3", True), ("XF1F2F3", False)])
def test_the_empty_answer_says_how_much_of_a_key_is_needed(term: str, is_short: bool, support: Client) -> None:
    page = support.get("/admin/search/", {"q": term}).content.decode()
    assert ("too short for the ending of a license key, which takes at least 6 characters" in page) == is_short


def test_where_nothing_is_found_every_search_says_that_names_are_not_searched(story: Any, support: Client) -> None:
    page = support.get("/admin/search/", {"q": "Ava Lindqvist"}).content.decode()
    assert "compared whole" in page
    assert "names are not searched" in page
    for model in ("purchase", "licenselink", "webhookevent"):
        page = support.get(url(model, "changelist"), {"q": "Ava Lindqvist"}).content.decode()
        assert "Customers are found by e-mail address, not by name." in page
    page = support.get(url("purchase", "changelist"), {"status__exact": "paused"}).content.decode()
    assert "Nothing matches" in page
    assert "not by name" not in page


@pytest.mark.parametrize(
    ("term", "model", "name"),
    [
        ("ava@example.com", "purchase", "e-mail address"),
        ("SUB123456", "purchase", "order or subscription id"),
        ("acme260101-1", "purchase", "order reference"),
        ("ORDER987654", "purchase", "another id of the order"),
        ("F1F2F3", "licenselink", "ending of the license key"),
        ("AAAAAA-BBBBBB-CCCCCC-DDDDDD-EEEEEE-F1F2F3", "licenselink", "license key"),
        ("license-id-1", "licenselink", "license id"),
        ("evt-42", "webhookevent", "event id"),
    ],
)
def test_the_one_box_goes_straight_to_a_single_hit_and_says_by_what(
    term: str, model: str, name: str, story: dict[str, Any], support: Client
) -> None:
    answer = support.get("/admin/search/", {"q": term})
    assert answer["Location"] == url(model, "change", story[model].pk)
    assert f"Found by {name}." in support.get(answer["Location"]).content.decode()


def test_what_was_found_is_grouped_by_purchase_newest_first(story: dict[str, Any], support: Client) -> None:
    second = LicenseLinkFactory(item__purchase__customer_email="ava@example.com", item__purchase__is_live=False)
    answer = support.get("/admin/search/", {"q": "Ava@example.com"})
    told = [(card.purchase, card.links, card.events) for card in answer.context["cards"]]
    assert told == [
        (second.purchase, [second], []),
        (story["purchase"], [story["licenselink"]], [story["webhookevent"]]),
    ]
    page = answer.content.decode()
    for model, row in [("purchase", second.purchase), ("licenselink", second), *story.items()]:
        assert url(model, "change", row.pk) in page
    assert "<mark>ava@example.com</mark>" in page
    assert page.count("found by e-mail address") == 2
    assert page.count(">Test<") == 1
    assert story["licenselink"].key not in page
    assert story["licenselink"].masked_key in page


def test_a_license_that_is_named_is_marked_among_its_siblings(story: dict[str, Any], support: Client) -> None:
    for unit in range(2, 12):
        LicenseLinkFactory(item=story["licenselink"].item, unit=unit)
    other = LicenseLinkFactory(key="ZZZ-F1F2F3")
    page = support.get("/admin/search/", {"q": "F1F2F3"})
    (newest, older) = page.context["cards"]
    assert newest.links == [other]
    assert (older.links[0], len(older.links), older.has_more_links) == (story["licenselink"], 6, True)
    assert page.content.decode().count("<mark>…F1F2F3</mark>") == 2
    assert f"{url('licenselink', 'changelist')}?purchase={story['purchase'].pk}" in page.content.decode()


def test_by_another_id_of_the_order_a_card_shows_that_id(story: dict[str, Any], support: Client) -> None:
    PurchaseFactory(external_id="ORDER987654")
    page = support.get("/admin/search/", {"q": "ORDER987654"})
    assert [card.is_found_by_alias for card in page.context["cards"]] == [False, True]
    assert page.content.decode().count("<dt>Also known as</dt>") == 1


def test_a_purchase_shows_its_newest_events_each_once(story: dict[str, Any], support: Client) -> None:
    PurchaseFactory(customer_email="ava@example.com")
    events = WebhookEventFactory.create_batch(4)
    for event in events:
        HistoryEntryFactory.create_batch(2, purchase=story["purchase"], event=event)
    cards = support.get("/admin/search/", {"q": "ava@example.com"}).context["cards"]
    assert cards[1].events == events[:0:-1]


def test_no_more_than_twenty_purchases_are_shown_and_the_list_has_the_rest(support: Client) -> None:
    PurchaseFactory.create_batch(21, customer_email="ava+x@example.com")
    page = support.get("/admin/search/", {"q": "ava+x@example.com"})
    assert len(page.context["cards"]) == 20
    assert f"{url('purchase', 'changelist')}?q=ava%2Bx%40example.com" in page.content.decode()


def test_events_without_a_purchase_stand_apart(support: Client) -> None:
    events = [WebhookEventFactory(external_id="evt-1", store=store) for store in ("fastspring", "stripe")]
    page = support.get("/admin/search/", {"q": "evt-1"})
    assert page.context["lone_events"] == events[::-1]
    assert not page.context["cards"]


@pytest.mark.parametrize("model", ["purchase", "licenselink", "webhookevent"])
def test_nobody_finds_what_they_may_not_look_at(
    model: str, story: dict[str, Any], client_of: Callable[[str], Client]
) -> None:
    client = client_of("no group")
    client.user.user_permissions.add(Permission.objects.get(codename=f"view_{model}"))  # type: ignore[attr-defined]
    PurchaseFactory(customer_email="ava@example.com")
    for term in ("ava@example.com", "SUB123456", "F1F2F3", "evt-42"):
        answer = client.get("/admin/search/", {"q": term})
        told = answer.headers.get("Location", "") + answer.content.decode()
        assert {one for one in story if url(one, "change", story[one].pk) in told} <= {model}


def test_searching_makes_at_most_twelve_queries(
    story: dict[str, Any], support: Client, django_assert_max_num_queries: Any
) -> None:
    PurchaseFactory(external_id="evt-42")
    LicenseLinkFactory(external_id="evt-42")
    for _ in range(5):
        LicenseLinkFactory(item__purchase__reference="EVT-42")
    with django_assert_max_num_queries(12):
        page = support.get("/admin/search/", {"q": "evt-42"})
    assert len(page.context["cards"]) == 8


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
