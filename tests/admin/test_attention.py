"""What needs attention: the filter of the three lists, and the counts of the start page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from licensing_integration.admin.attention import value_of_product
from licensing_integration.models import LicenseLink, Purchase, WebhookEvent
from licensing_integration.services import attention
from licensing_integration.services.attention import Topic
from licensing_integration.services.interventions import replay_events
from tests.admin.conftest import url
from tests.admin.statistics import forget_statistics
from tests.factories import LicenseLinkFactory, PurchaseFactory, PurchaseItemFactory, WebhookEventFactory

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
NOT_FOR_A_PERSON = {"unlicensed", "override", "backlog"}


@pytest.fixture
def rows(db: None) -> dict[tuple[str, str], Any]:
    """One row for every concern, and some that concern nobody."""
    WebhookEventFactory()
    WebhookEventFactory(state="ignored")
    WebhookEventFactory(state="received")
    LicenseLinkFactory()
    LicenseLinkFactory(is_new=True)
    stopped = {"sync_state": "attention"}
    now = timezone.now()
    return {
        ("webhookevent", "failed"): WebhookEventFactory(state="failed"),
        ("webhookevent", "malformed"): WebhookEventFactory(state="malformed"),
        ("webhookevent", "unsupported"): WebhookEventFactory(state="unsupported"),
        ("webhookevent", "backlog"): WebhookEventFactory(state="received", received_at=now - timedelta(minutes=2)),
        ("purchase", "waiting"): PurchaseItemFactory(is_waiting=True).purchase,
        ("purchase", "note"): PurchaseFactory(attention="Look."),
        ("licenselink", "config"): LicenseLinkFactory(sync_state="pending", failure_mode="config"),
        ("licenselink", "permanent"): LicenseLinkFactory(**stopped, failure_mode="permanent"),
        ("licenselink", "exceeded"): LicenseLinkFactory(**stopped, failure_mode="exceeded"),
        ("licenselink", "internal"): LicenseLinkFactory(**stopped, failure_mode="internal"),
        ("licenselink", "question"): LicenseLinkFactory(question="Keep it?"),
        ("licenselink", "override"): LicenseLinkFactory(override_until=now + timedelta(days=6)),
        ("licenselink", "unlicensed"): _made(LicenseLinkFactory(is_new=True), created_at=now - timedelta(minutes=6)),
        ("licenselink", "backlog"): LicenseLinkFactory(sync_state="pending", failing_since=now - timedelta(minutes=2)),
    }


def _made(row: Any, **moments: datetime) -> Any:
    """The row with moments that are written by themselves otherwise."""
    type(row).objects.filter(pk=row.pk).update(**moments)
    return row


def _listed(client: Client, model: str, value: str) -> set[int]:
    found = client.get(url(model, "changelist"), {"attention": value}).context["cl"].result_list
    return {row.pk for row in found}


def _count(slug: str, model: type[Any] = LicenseLink, *, now: datetime = NOW) -> attention.Count:
    concern = next(concern for concern in attention.concerns_of(model) if concern.slug == slug)
    return attention.summarize([concern], now=now)[0]


def test_each_reason_lists_its_rows(rows: dict[tuple[str, str], Any], support: Client) -> None:
    for (model, slug), row in rows.items():
        assert _listed(support, model, slug) == {row.pk}, slug


@pytest.mark.parametrize("model", ["webhookevent", "purchase", "licenselink"])
def test_any_reason_lists_what_waits_for_a_person(
    model: str, rows: dict[tuple[str, str], Any], support: Client
) -> None:
    for_people = {row.pk for (name, slug), row in rows.items() if name == model and slug not in NOT_FOR_A_PERSON}
    assert _listed(support, model, "any") == for_people


def test_an_unknown_reason_filters_nothing(rows: dict[tuple[str, str], Any], support: Client) -> None:
    assert len(_listed(support, "webhookevent", "nonsense")) == WebhookEvent.objects.count()
    assert len(_listed(support, "purchase", "waiting:fastspring")) == Purchase.objects.count()


def test_every_count_is_of_the_rows_its_filter_lists(rows: dict[tuple[str, str], Any]) -> None:
    counts = attention.summarize(attention.CONCERNS, now=timezone.now())
    assert {(count.concern.model._meta.model_name, count.concern.slug) for count in counts} == set(rows)
    assert [count.number for count in counts] == [1] * len(rows)


def test_all_counts_are_one_query(rows: dict[tuple[str, str], Any], django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        attention.summarize(attention.CONCERNS, now=timezone.now())
    with django_assert_num_queries(0):
        assert attention.summarize([], now=timezone.now()) == []


def test_counts_are_capped(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "MOST_COUNTED", 2)
    WebhookEventFactory.create_batch(3, state="failed")
    WebhookEventFactory.create_batch(2, state="malformed")
    slugs = ("failed", "malformed", "unsupported")
    assert [str(_count(slug, WebhookEvent)) for slug in slugs] == ["2+", "2", "0"]


def test_a_count_says_since_when_unless_it_saw_only_some_of_the_rows(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = NOW - timedelta(days=3), NOW - timedelta(days=2)
    for state in ("failed", "received"):
        WebhookEventFactory(state=state, received_at=first, processed_at=None)
        WebhookEventFactory(state=state, received_at=second, processed_at=None)
    assert _count("failed", WebhookEvent).moment == first
    monkeypatch.setattr(attention, "MOST_COUNTED", 1)
    assert _count("failed", WebhookEvent).moment is None
    assert _count("backlog", WebhookEvent).moment == first


@pytest.mark.parametrize("state", ["failed", "held"])
def test_a_replayed_event_does_not_wait_since_it_came(state: str, db: None) -> None:
    came, failing = NOW - timedelta(days=20), NOW - timedelta(hours=1)
    processed_at = None if state == "held" else NOW - timedelta(days=19)
    event = WebhookEventFactory(state=state, received_at=came, processed_at=processed_at)
    replay_events([event.pk], user_id=None, reason="")
    count = _count("backlog", WebhookEvent)
    assert (count.number, count.moment) == (1, None)
    WebhookEvent.objects.update(failing_since=failing)
    assert _count("backlog", WebhookEvent).moment == failing


def test_of_many_overrides_the_first_to_end_is_told(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "MOST_COUNTED", 1)
    for days in (5, 6, 2, 4):
        LicenseLinkFactory(override_until=NOW + timedelta(days=days))
    with connection.cursor() as cursor:  # without the index nothing comes in this order by chance
        cursor.execute("SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off")
    count = _count("override")
    assert (str(count), count.moment) == ("1+", NOW + timedelta(days=2))


@pytest.mark.parametrize(
    ("until", "number"),
    [(timedelta(seconds=-1), 0), (timedelta(seconds=1), 1), (timedelta(days=7), 1), (timedelta(days=7, seconds=1), 0)],
)
def test_overrides_of_the_next_seven_days_are_ending(until: timedelta, number: int, db: None) -> None:
    LicenseLinkFactory(override_until=NOW + until)
    LicenseLinkFactory()
    assert _count("override").number == number


@pytest.mark.parametrize(
    ("fields", "number"),
    [
        ({}, 1),
        ({"sync_state": "attention"}, 1),
        ({"created_at": NOW - timedelta(minutes=4)}, 0),
        ({"external_id": "there-is-one"}, 0),
        ({"sync_state": "settled"}, 0),
        ({"desired": {"state": "absent"}}, 0),
    ],
)
def test_paid_without_a_license_are_those_that_should_have_one_for_minutes(
    fields: dict[str, Any], number: int, db: None
) -> None:
    _made(LicenseLinkFactory(is_new=True), **{"created_at": NOW - timedelta(minutes=6), **fields})
    assert _count("unlicensed").number == number


@pytest.mark.parametrize(
    ("fields", "number"),
    [
        ({"updated_at": NOW - timedelta(minutes=2)}, 1),
        ({"updated_at": NOW - timedelta(seconds=59)}, 0),
        ({"failing_since": NOW - timedelta(minutes=2), "updated_at": NOW}, 1),
        ({"failing_since": NOW - timedelta(seconds=59), "updated_at": NOW}, 0),
        ({"sync_state": "settled", "updated_at": NOW - timedelta(minutes=2)}, 0),
    ],
)
def test_a_license_waits_from_its_first_failure_else_from_its_last_change(
    fields: dict[str, Any], number: int, db: None
) -> None:
    _made(LicenseLinkFactory(sync_state="pending"), **fields)
    assert _count("backlog").number == number


# --- products without a mapping --------------------------------------------------------------------------------------


def test_waiting_purchases_are_counted_by_product_the_most_first(db: None) -> None:
    PurchaseItemFactory.create_batch(2, is_waiting=True, product="b-forgotten")
    PurchaseItemFactory(is_waiting=True, product="a-forgotten")
    PurchaseItemFactory(is_waiting=True, product="a-forgotten", store="stripe")
    twice = PurchaseItemFactory(is_waiting=True, product="c-forgotten").purchase
    PurchaseItemFactory(is_waiting=True, product="c-forgotten", purchase=twice, line="2")
    PurchaseItemFactory(product="mapped")
    PurchaseItemFactory(product="needs no license", terms=None)
    assert [(found.store, found.product, str(found)) for found in attention.waiting_products()] == [
        ("fastspring", "b-forgotten", "2"),
        ("fastspring", "a-forgotten", "1"),
        ("fastspring", "c-forgotten", "1"),
        ("stripe", "a-forgotten", "1"),
    ]


def test_waiting_purchases_are_counted_up_to_a_limit(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "MOST_COUNTED", 2)
    monkeypatch.setattr(attention, "MOST_PRODUCTS", 2)
    PurchaseItemFactory.create_batch(3, is_waiting=True, product="forgotten")
    PurchaseItemFactory(is_waiting=True, product="new")
    PurchaseItemFactory(is_waiting=True, product="one more, as a sign")
    PurchaseItemFactory(is_waiting=True, product="yet another")
    assert [str(found) for found in attention.waiting_products()] == ["2+", "1", "1"]


def test_the_filter_lists_the_purchases_that_wait_for_one_product(support: Client) -> None:
    waiting = PurchaseItemFactory(is_waiting=True, product="pro:yearly").purchase
    PurchaseItemFactory(is_waiting=True, product="pro:yearly", store="stripe")
    PurchaseItemFactory(is_waiting=True, product="other")
    PurchaseItemFactory(product="pro:yearly")
    value = value_of_product("fastspring", "pro:yearly")
    assert _listed(support, "purchase", value) == {waiting.pk}
    page = support.get(url("purchase", "changelist"), {"attention": value}).content.decode()
    assert "Waits for a mapping of pro:yearly (fastspring)" in page


# --- plans -----------------------------------------------------------------------------------------------------------

INDEXES = {
    "failed": ["events_by_verdict", "events_needing_attention"],
    "malformed": ["events_by_verdict", "events_needing_attention"],
    "unsupported": ["events_by_verdict", "events_needing_attention"],
    "waiting": ["items_with_problem", "waiting_items"],
    "unlicensed": ["pending_links"],
    "question": ["links_needing_attention"],
    "note": ["purchases_with_attention"],
    "override": ["overridden_links"],
    "backlog": ["waiting_events", "pending_links", "events_by_verdict"],
}


@pytest.mark.parametrize("concern", attention.CONCERNS, ids=lambda concern: f"{concern.topic.name}-{concern.slug}")
def test_every_count_has_its_index(concern: attention.Concern, rows: dict[tuple[str, str], Any]) -> None:
    _without_sequential_scans()
    plan = concern.rows(NOW).order_by(*filter(None, [concern.order])).values("pk")[:101].explain()
    assert "Seq Scan" not in plan
    assert any(index in plan for index in INDEXES.get(concern.slug, ["pending_links"])), plan


@pytest.mark.parametrize(
    ("model", "condition", "indexes"),
    [
        (WebhookEvent, attention.events_needing_attention, ["events_needing_attention"]),
        (Purchase, attention.purchases_needing_attention, ["purchases_with_attention", "items_with_problem"]),
        (LicenseLink, attention.links_needing_attention, ["links_needing_attention", "pending_links"]),
    ],
)
def test_the_conditions_for_any_reason_have_their_indexes(
    model: type[Any], condition: Any, indexes: list[str], rows: dict[tuple[str, str], Any]
) -> None:
    _without_sequential_scans()
    plan = model.objects.filter(condition()).order_by().values("pk").explain()
    assert "Seq Scan" not in plan
    for index in indexes:
        assert index in plan, plan


def test_products_that_wait_are_found_by_the_index(rows: dict[tuple[str, str], Any]) -> None:
    _without_sequential_scans()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {attention._WAITING_PRODUCTS}", {"products": 21, "rows": 101})
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Seq Scan" not in plan
    assert plan.count("items_with_problem") == 3, plan


def _without_sequential_scans() -> None:
    with connection.cursor() as cursor:
        forget_statistics(cursor)
        cursor.execute("SET LOCAL enable_seqscan = off")


def test_failures_come_first_and_the_backlog_last() -> None:
    assert next(iter(Topic)) is Topic.FAILED
    topics = [list(Topic).index(concern.topic) for concern in attention.CONCERNS]
    assert topics == sorted(topics)


def test_the_advice_says_whose_sentence_tells_why_and_what_issue_again_is_for() -> None:
    advice = {concern.slug: concern.advice for concern in attention.CONCERNS}
    assert "license server's own sentence" in advice["permanent"]
    assert "only for a license that was issued and then deleted there" in advice["permanent"]
    assert "how it failed last" in advice["exceeded"]
