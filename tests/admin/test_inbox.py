"""The webhook log: the list, an event's page, replay."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from licensing_integration.admin import inbox, mixins
from licensing_integration.admin.payloads import MOST_CHARACTERS
from licensing_integration.models import WebhookEvent
from licensing_integration.services import pipeline
from tests.admin.conftest import url
from tests.factories import HistoryEntryFactory, LicenseLinkFactory, WebhookEventFactory


def _page(client: Client, event: WebhookEvent) -> str:
    return client.get(url("webhookevent", "change", event.pk)).content.decode()


def test_the_page_says_the_verdict_the_problem_and_what_to_do(support: Client) -> None:
    event = WebhookEventFactory(state="failed", problem="No store named 'eu' is configured.")
    page = _page(support, event)
    assert "Failed. We could not process it." in page
    assert "No store named &#x27;eu&#x27; is configured." in page
    assert "then replay it" in page


@pytest.mark.parametrize("state", ["received", "applied", "ignored", "unsupported", "malformed", "held", "failed"])
def test_every_verdict_has_words(state: str, support: Client) -> None:
    assert "What to do next" in _page(support, WebhookEventFactory(state=state))


def test_an_event_that_was_fetched_says_so(support: Client) -> None:
    assert "fetched from the store, not delivered so far" in _page(support, WebhookEventFactory(deliveries=0))
    assert "delivered 1 time<" in _page(support, WebhookEventFactory())


def test_the_payload_is_indented(support: Client) -> None:
    event = WebhookEventFactory(body='{"a":{"b":"ü"}}')
    assert "  &quot;a&quot;: {\n    &quot;b&quot;: &quot;ü&quot;" in _page(support, event)


@pytest.mark.parametrize(
    "body",
    [
        "this is { not JSON",
        "",
        "[" * 200_000,
        '{"n": ' + "9" * 10_000 + "}",
        "[" * 5_000 + "]" * 5_000,
    ],
    ids=["text", "empty", "never closed", "huge number", "nested deep"],
)
def test_a_payload_nobody_can_parse_is_shown_as_it_came(body: str, support: Client) -> None:
    page = _page(support, WebhookEventFactory(state="malformed", body=body))
    assert "stands here as it was received" in page
    assert escape(body[:50]) in page


def test_half_a_surrogate_pair_does_not_break_the_page(support: Client) -> None:
    assert "\\ud800" in _page(support, WebhookEventFactory(body='{"name": "\\ud800"}'))


def test_a_long_payload_is_cut(support: Client) -> None:
    page = _page(support, WebhookEventFactory(body=json.dumps({"text": "x" * 2 * MOST_CHARACTERS})))
    assert "Only the beginning is shown" in page
    assert len(page) < MOST_CHARACTERS + 20_000


def test_payload_and_customer_cannot_inject_markup(support: Client) -> None:
    evil = "<script>alert(1)</script>"
    link = LicenseLinkFactory(
        item__purchase__customer_name=evil, item__display=evil, reason=evil, failure_message=evil, question=evil
    )
    event = WebhookEventFactory(
        body=json.dumps({"name": evil}), problem=evil, event_type=evil, external_id=evil, fetched={"a": evil}
    )
    HistoryEntryFactory(link=link, event=event, sentence=evil, changes={evil: [evil, evil]}, request_id=evil)
    pages = [
        url("webhookevent", "change", event.pk),
        url("webhookevent", "changelist"),
        url("licenselink", "change", link.pk),
        url("licenselink", "changelist"),
        url("licenselink", "resync", link.pk),
        url("purchase", "change", link.purchase_id),
        url("purchase", "changelist"),
        url("historyentry", "changelist"),
        f"/admin/search/?q={evil}",
        f"/admin/search/?q={link.purchase.reference}",
    ]
    for address in pages:
        content = support.get(address, follow=True).content.decode()
        assert evil not in content, address
    assert "&lt;script&gt;" in support.get(pages[0]).content.decode()


def test_the_page_links_what_the_event_touched(support: Client) -> None:
    event = WebhookEventFactory()
    link = LicenseLinkFactory()
    planned = LicenseLinkFactory(cause=event)
    HistoryEntryFactory(link=link, event=event, sentence="Issued license.")
    page = _page(support, event)
    assert url("licenselink", "change", link.pk) in page
    assert url("licenselink", "change", planned.pk) in page
    assert url("purchase", "change", link.purchase_id) in page
    assert "Issued license." in page


def test_replay_asks_then_sets_the_event_in_motion(support: Client, queued: Callable[[], list[Any]]) -> None:
    event = WebhookEventFactory(state="failed", problem="No.", attempts=3)
    address = url("webhookevent", "replay", event.pk)
    assert "as if it had just arrived" in support.get(address).content.decode()
    event.refresh_from_db()
    assert event.state == "failed"
    support.post(address)
    event.refresh_from_db()
    assert (event.state, event.problem, event.attempts) == ("received", "", 0)
    assert queued() == [("process_events", {"event_ids": [event.pk]})]
    assert LogEntry.objects.get().user == support.user


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({"event_type": "wishlist.created", "state": "unsupported"}, "unsupported"),
        ({"event_type": "", "state": "malformed"}, "malformed"),
        ({"body": "no JSON", "state": "malformed"}, "malformed"),
    ],
)
def test_replaying_what_we_still_cannot_read_ends_in_the_same_verdict(
    values: dict[str, str], verdict: str, support: Client, queued: Callable[[], list[Any]]
) -> None:
    event = WebhookEventFactory(**values)
    support.post(url("webhookevent", "replay", event.pk))
    pipeline.process_events(queued()[0][1]["event_ids"])
    event.refresh_from_db()
    assert event.state == verdict
    assert event.problem


@pytest.mark.parametrize("state", ["received", "ignored"])
def test_what_has_nothing_to_replay_is_not_replayed(state: str, staff: Client, queued: Callable[[], list[Any]]) -> None:
    event = WebhookEventFactory(state=state)
    assert url("webhookevent", "replay", event.pk) not in _page(staff, event)
    staff.post(url("webhookevent", "replay", event.pk))
    staff.post(url("webhookevent", "replay_many"), {"ids": str(event.pk)})
    event.refresh_from_db()
    assert event.state == state
    assert queued() == []


def test_replaying_many_first_shows_how_many_of_which_verdict(staff: Client, queued: Callable[[], list[Any]]) -> None:
    failed = WebhookEventFactory.create_batch(3, state="failed")
    ignored = WebhookEventFactory(state="ignored")
    ids = [event.pk for event in [*failed, ignored]]
    page = staff.post(url("webhookevent", "changelist"), {"action": "replay_selected", "_selected_action": ids})
    content = page.content.decode()
    assert "Replay 3 events" in content
    assert '<th scope="row">Failed</th><td>3</td>' in content
    assert "left out" in content
    assert queued() == []

    staff.post(url("webhookevent", "replay_many"), {"ids": page.context["ids"]})
    assert queued() == [("process_events", {"event_ids": [event.pk]}) for event in failed]
    assert WebhookEvent.objects.filter(state="received").count() == 3
    assert LogEntry.objects.filter(user=staff.user).count() == 3


def test_all_events_of_a_filter_can_be_replayed(staff: Client) -> None:
    WebhookEventFactory.create_batch(60, state="failed")
    WebhookEventFactory()
    data = {"action": "replay_selected", "select_across": "1", "_selected_action": ["0"]}
    page = staff.post(url("webhookevent", "changelist") + "?state__exact=failed", data)
    assert "Replay 60 events" in page.content.decode()


def test_too_many_events_are_refused(
    staff: Client, monkeypatch: pytest.MonkeyPatch, queued: Callable[[], list[Any]]
) -> None:
    monkeypatch.setattr(inbox, "MOST_REPLAYED", 2)
    ids = [event.pk for event in WebhookEventFactory.create_batch(3, state="failed")]
    data = {"action": "replay_selected", "_selected_action": ids}
    assert "smaller lots" in staff.post(url("webhookevent", "changelist"), data, follow=True).content.decode()
    staff.post(url("webhookevent", "replay_many"), {"ids": ",".join(map(str, ids))})
    assert queued() == []


@pytest.mark.parametrize("ids", ["", "abc", "1;2", "²"])
def test_nonsense_instead_of_ids_replays_nothing(ids: str, staff: Client, queued: Callable[[], list[Any]]) -> None:
    WebhookEventFactory(state="failed")
    assert staff.post(url("webhookevent", "replay_many"), {"ids": ids}).status_code == 302
    assert queued() == []


def test_the_list_never_loads_payloads(support: Client, django_assert_max_num_queries: Any) -> None:
    WebhookEventFactory(body="a payload that must stay where it is")
    with django_assert_max_num_queries(12) as queries:
        support.get(url("webhookevent", "changelist"))
    assert not [query for query in queries.captured_queries if '"body"' in query["sql"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state__exact=failed", 1),
        ("store=fastspring", 3),
        ("store=elsewhere", 0),
        ("is_live__exact=0", 1),
        ("type=order.completed", 2),
        ("received_at__gte=2000-01-01+00:00:00%2B00:00", 3),
    ],
)
def test_the_list_filters(query: str, expected: int, support: Client) -> None:
    WebhookEventFactory(state="failed")
    WebhookEventFactory(is_live=False)
    WebhookEventFactory(event_type="return.created")
    answer = support.get(f"{url('webhookevent', 'changelist')}?{query}")
    assert answer.context["cl"].result_count == expected


def test_the_list_stops_counting(support: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixins, "MOST_COUNTED", 3)
    WebhookEventFactory.create_batch(5)
    assert "More than 3 rows" in support.get(url("webhookevent", "changelist")).content.decode()


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("webhookevent", "No webhook events yet."),
        ("purchase", "No purchases yet."),
        ("licenselink", "No licenses yet."),
        ("productmapping", "No product mappings yet."),
        ("historyentry", "No history yet."),
    ],
)
def test_an_empty_list_says_what_will_be_there(model: str, sentence: str, support: Client) -> None:
    assert sentence in support.get(url(model, "changelist")).content.decode()
    assert "Nothing matches" in support.get(url(model, "changelist") + "?q=nothing").content.decode()
