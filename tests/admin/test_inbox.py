"""The webhook log: the list, an event's page, replay."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from html import escape
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.urls import reverse

from licensing_integration.admin import event_effects, mixins, replays
from licensing_integration.admin.payloads import MOST_CHARACTERS
from licensing_integration.models import AuditEntry, BulkReplay, WebhookEvent
from licensing_integration.sandbox.fastspring import Buyer, FastSpringShop
from licensing_integration.services import erasure, pipeline
from licensing_integration.services import replays as service
from licensing_integration.services.translate import translate_as_stored
from licensing_integration.stores.fastspring import ADAPTER
from tests.admin.conftest import ROLES, url
from tests.factories import (
    HistoryEntryFactory,
    LicenseLinkFactory,
    ProductMappingFactory,
    PurchaseFactory,
    WebhookEventFactory,
)

REASON = {"reason": "because"}


def _page(client: Client, event: WebhookEvent) -> str:
    return client.get(url("webhookevent", "change", event.pk)).content.decode()


def test_the_page_says_the_verdict_the_problem_and_what_to_do(support: Client) -> None:
    event = WebhookEventFactory(state="failed", problem="No store named 'eu' is configured.")
    page = _page(support, event)
    assert page.count("Failed") == 1
    assert "We could not process it." in page
    assert page.index("No store named") < page.index("the problem above names")
    assert "No store named &#x27;eu&#x27; is configured." in page
    assert "then replay it" in page


@pytest.mark.parametrize("state", ["received", "applied", "ignored", "unsupported", "malformed", "held", "failed"])
def test_every_verdict_has_words(state: str, support: Client) -> None:
    event = WebhookEventFactory(state=state)
    page = _page(support, event)
    lead = page.partition('class="li-lead"')[2].partition("</p>")[0]
    assert lead.count(event.get_state_display()) == 1
    assert ("What to do next" in page) is (state not in {"applied", "ignored"})
    assert "next: Nothing" not in page


def test_a_failed_event_leads_to_the_purchase_it_speaks_of(support: Client) -> None:
    order = FastSpringShop().buy(Buyer(email="ava@example.com"), "photon")
    fields = {"body": json.dumps(order), "event_type": order["type"], "external_id": order["id"]}
    event = WebhookEventFactory(state="failed", problem="Broken.", **fields)
    page = _page(support, event)
    assert page.index("<h3>What it says</h3>") < page.index("<h3>What it changed</h3>")
    assert "No purchase and no license so far." in page
    purchase = PurchaseFactory(external_id=order["data"]["id"])
    page = _page(support, event)
    assert url("purchase", "change", purchase.pk) in page
    assert "It changed no license so far." in page


def test_the_list_shows_the_ids_of_stores_whole_and_longer_ones_on_hover(support: Client) -> None:
    WebhookEventFactory(external_id="evt_1Pf0s2LkdIwHu7ixN3d8zAbc")
    WebhookEventFactory(external_id="x" * 60)
    page = support.get(url("webhookevent", "changelist")).content.decode()
    assert ">evt_1Pf0s2LkdIwHu7ixN3d8zAbc</span>" in page
    assert f'title="{"x" * 60}">{"x" * 31}…</span>' in page


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
    assert len(page) < MOST_CHARACTERS + 60_000


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
        f"/admin/search/?q={evil}",
        f"/admin/search/?q={link.purchase.reference}",
    ]
    for address in pages:
        content = support.get(address, follow=True).content.decode()
        assert evil not in content, address
    assert "&lt;script&gt;" in support.get(pages[0]).content.decode()


def test_the_page_shows_the_headers_that_were_kept(support: Client) -> None:
    page = _page(support, WebhookEventFactory(headers={"user-agent": "FastSpring/1", "content-type": "text/json"}))
    assert '<th scope="row">user-agent</th><td class="li-mono">FastSpring/1</td>' in page
    assert "None were kept" in _page(support, WebhookEventFactory())


@pytest.mark.parametrize("place", ["body", "fetched"])
def test_keys_that_the_store_gave_out_are_not_shown(place: str, support: Client) -> None:
    given = {"license": "15BABC-15BABC", "display": "License Key", "type": "license"}
    kept = {"type": "license", "license": ""}, {"type": "file", "license": "MIT"}
    told = {"data": {"items": [{"fulfillments": {"photon_license_0": [given, *kept], "instructions": "Enjoy."}}]}}
    event = WebhookEventFactory(**{place: json.dumps(told) if place == "body" else told})
    page = _page(support, event)
    assert "15BABC" not in page
    assert "License Key" in page
    assert "MIT" in page


@pytest.mark.parametrize(
    "body", ['{"metadata": {"note": "Key a-secret-abc123 of an order."}}', "not JSON: a-secret-abc123"]
)
def test_no_key_of_the_purchases_it_touched_is_shown(body: str, support: Client) -> None:
    link = LicenseLinkFactory(key="a-secret-abc123")
    LicenseLinkFactory(item=link.item, unit=2, key="a-secret-abc123-and-longer")
    event = WebhookEventFactory(body=body + " " if body.startswith("{") else f"{body} a-secret-abc123-and-longer")
    HistoryEntryFactory(purchase=link.purchase, event=event)
    page = _page(support, event)
    assert "a-secret" not in page
    assert "…abc123" in page
    assert "and-longer" not in page


def test_an_event_that_was_erased_says_that_nothing_is_left_to_do(support: Client) -> None:
    page = _page(support, WebhookEventFactory(state="ignored", body=erasure.ERASED_BODY))
    assert erasure.WHY_NO_REPLAY in page
    assert "What to do next" not in page


def test_payloads_can_be_copied(support: Client) -> None:
    page = _page(support, WebhookEventFactory(fetched={"a": 1}))
    for name in ("payload", "fetched"):
        assert f'data-copy-from="#{name}"' in page
        assert f'<pre id="{name}"' in page


@pytest.mark.parametrize(("is_live", "tag"), [(True, "Live"), (False, "Test")])
def test_the_page_says_whether_it_is_a_test(is_live: bool, tag: str, support: Client) -> None:
    page = _page(support, WebhookEventFactory(is_live=is_live))
    assert [word for word in ("Live", "Test") if f">{word}</span>" in page] == [tag]


def test_the_page_says_what_the_event_means_and_what_it_did_to_which_license(support: Client) -> None:
    shop = FastSpringShop()
    order = shop.buy(Buyer(email="ava@example.com"), "photon", quantity=2)
    event = WebhookEventFactory(body=json.dumps(order), event_type=order["type"], external_id=order["id"])
    purchase = PurchaseFactory(external_id=order["data"]["id"])
    facts = translate_as_stored(event)
    page = _page(support, event)
    assert escape(facts[0].note) in page
    assert url("purchase", "change", purchase.pk) in page
    assert "It changed no license." in page

    link = LicenseLinkFactory(item__purchase=purchase)
    HistoryEntryFactory(
        link=link, event=event, sentence="Renewed license.", changes={"expires_at": [None, "2026-06-01T00:00:00+00:00"]}
    )
    page = _page(support, event)
    assert "Renewed license." in page
    assert 'Expires: never → <strong><time datetime="2026-06-01T00:00:00Z"' in page
    assert "It changed no license" not in page


def test_what_the_event_said_is_not_told_twice(support: Client) -> None:
    order = FastSpringShop().buy(Buyer(email="ava@example.com"), "photon")
    event = WebhookEventFactory(body=json.dumps(order), event_type=order["type"], external_id=order["id"])
    note = translate_as_stored(event)[0].note
    purchase = PurchaseFactory(external_id=order["data"]["id"])
    HistoryEntryFactory(purchase=purchase, event=event, sentence=note)
    HistoryEntryFactory(purchase=purchase, event=event, sentence="A person should look.")
    page = _page(support, event)
    assert page.count(escape(note)) == 1
    assert "A person should look." in page


def test_a_translator_that_breaks_does_not_break_the_page(support: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"order.completed": lambda payload: 1 // 0}
    monkeypatch.setattr(
        "licensing_integration.stores.registry.ADAPTERS", {"fastspring": replace(ADAPTER, translators=broken)}
    )
    event = WebhookEventFactory(state="failed", problem="ZeroDivisionError")
    assert "ZeroDivisionError" in _page(support, event)


def test_an_event_that_touched_much_says_that_not_all_is_shown(
    support: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_effects, "MOST_SHOWN", 2)
    event = WebhookEventFactory()
    LicenseLinkFactory.create_batch(2, cause=event)
    assert "Only the first" not in _page(support, event)
    LicenseLinkFactory(cause=event)
    page = _page(support, event)
    assert "Only the first" in page
    assert page.count("Planned because of this event") == 2


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
    page = support.get(address).content.decode()
    assert "as if it had just arrived" in page
    assert "What it will change" in page
    event.refresh_from_db()
    assert event.state == "failed"
    support.post(address)
    event.refresh_from_db()
    assert event.state == "failed"  # no reason, no replay
    support.post(address, REASON)
    event.refresh_from_db()
    assert (event.state, event.problem, event.attempts) == ("received", "", 0)
    assert queued() == [("process_events", {"event_ids": [event.pk]})]
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.user, entry.reason, entry.event) == ("event.replay", support.user, "because", event)


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
    support.post(url("webhookevent", "replay", event.pk), REASON)
    pipeline.process_events(queued()[0][1]["event_ids"])
    event.refresh_from_db()
    assert event.state == verdict
    assert event.problem


@pytest.mark.parametrize("state", ["received", "ignored"])
def test_what_has_nothing_to_replay_is_not_replayed(state: str, staff: Client, queued: Callable[[], list[Any]]) -> None:
    event = WebhookEventFactory(state=state)
    assert url("webhookevent", "replay", event.pk) not in _page(staff, event)
    staff.post(url("webhookevent", "replay", event.pk), REASON)
    page = _ask(staff, [event.pk]).content.decode()
    assert "left out: there is nothing to replay" in page
    assert "Replay 0" not in page
    assert queued() == []


# --- setting aside ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", ["failed", "malformed", "unsupported"])
def test_what_nobody_can_mend_is_set_aside_and_says_who_and_why(verdict: str, support: Client) -> None:
    event = WebhookEventFactory(state=verdict, problem="A field is missing.")
    assert f"?attention={verdict}" in support.get("/admin/").content.decode()
    address = url("webhookevent", "set-aside", event.pk)
    assert address in _page(support, event)
    assert "it can still be replayed" in support.get(address).content.decode()
    support.post(address)
    event.refresh_from_db()
    assert event.state == verdict  # no reason, nothing set aside
    support.post(address, {"reason": "The shop is gone."})
    event.refresh_from_db()
    assert (event.state, event.problem) == (
        "ignored",
        f"{verdict.capitalize()}: A field is missing. Set aside by support: The shop is gone.",
    )
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.user, entry.reason, entry.event) == (
        "event.set_aside", support.user, "The shop is gone.", event,
    )  # fmt: skip
    page = _page(support, event)
    assert "A person set it aside" in page
    assert "mean nothing" not in page
    assert "means nothing for licensing" not in page
    assert event.problem in page
    assert address not in page


def test_with_the_last_one_set_aside_the_start_page_is_green_again(support: Client) -> None:
    ProductMappingFactory()
    event = WebhookEventFactory(state="malformed", problem="A field is missing.")
    assert "Nothing needs attention" not in support.get("/admin/").content.decode()
    support.post(url("webhookevent", "set-aside", event.pk), REASON)
    assert "Nothing needs attention" in support.get("/admin/").content.decode()


@pytest.mark.parametrize("verdict", ["received", "applied", "ignored", "held"])
def test_only_what_could_not_be_processed_is_set_aside(verdict: str, support: Client) -> None:
    event = WebhookEventFactory(state=verdict)
    assert url("webhookevent", "set-aside", event.pk) not in _page(support, event)
    support.post(url("webhookevent", "set-aside", event.pk), REASON)
    event.refresh_from_db()
    assert (event.state, AuditEntry.objects.count()) == (verdict, 0)


def test_several_are_set_aside_from_the_list_without_reading_their_payloads(
    staff: Client, django_assert_max_num_queries: Any
) -> None:
    events = WebhookEventFactory.create_batch(20, state="unsupported")
    fine = WebhookEventFactory(state="applied")
    chosen = [event.pk for event in [*events, fine]]
    with django_assert_max_num_queries(12) as queries:
        asked = staff.post(url("webhookevent", "changelist"), {"action": "set-aside", "_selected_action": chosen})
    assert not [query for query in queries.captured_queries if '"body"' in query["sql"]]
    assert "could not be processed" in asked.content.decode()
    staff.post(url("webhookevent", "set-aside_many"), {"ids": asked.context["ids"], **REASON})
    assert WebhookEvent.objects.filter(state="ignored").count() == 20
    assert AuditEntry.objects.filter(action="event.set_aside").count() == 20


def test_what_was_set_aside_can_be_replayed(staff: Client, queued: Callable[[], list[Any]]) -> None:
    one, other, ignored = (
        WebhookEventFactory(state="failed"),
        WebhookEventFactory(state="failed"),
        WebhookEventFactory(),
    )
    WebhookEvent.objects.filter(pk=ignored.pk).update(state="ignored")
    for event in (one, other):
        staff.post(url("webhookevent", "set-aside", event.pk), REASON)
    assert url("webhookevent", "replay", one.pk) in _page(staff, one)
    asked = _ask(staff, [one.pk, other.pk, ignored.pk])
    assert "Replay 2 events" in asked.content.decode()
    assert "1 of them left out: there is nothing to replay" in asked.content.decode()
    staff.post(url("webhookevent", "replay", one.pk), REASON)
    one.refresh_from_db()
    assert (one.state, one.problem) == ("received", "")
    assert queued() == [("process_events", {"event_ids": [one.pk]})]


# --- many at once ----------------------------------------------------------------------------------------------------


def _ask(client: Client, ids: list[int], query: str = "") -> Any:
    data = {"action": "replay_selected", "_selected_action": ids}
    return client.post(url("webhookevent", "changelist") + query, data, follow=True)


def _begin(client: Client, ids: object, reason: str = "The server is back.") -> Any:
    return client.post(url("webhookevent", "bulk_replay"), {"ids": ids, "reason": reason}, follow=True)


def test_replaying_many_first_shows_how_many_of_which_verdict(staff: Client, queued: Callable[[], list[Any]]) -> None:
    failed = WebhookEventFactory.create_batch(3, state="failed")
    ignored = WebhookEventFactory(state="ignored")
    asked = _ask(staff, [event.pk for event in [*failed, ignored]])
    page = asked.content.decode()
    assert "Replay 3 events" in page
    counts = {row["label"]: (row["number"], row["left_out"]) for row in asked.context["verdicts"]}
    assert counts == {"Failed": (3, 0), "Ignored": (1, 1)}
    assert "What it will change" in page
    assert (queued(), BulkReplay.objects.count()) == ([], 0)

    WebhookEventFactory(state="failed")  # arrives while somebody reads the page
    begun = _begin(staff, asked.context["ids"])
    replay = BulkReplay.objects.get()
    assert begun.redirect_chain[-1][0] == url("bulkreplay", "change", replay.pk)
    assert replay.event_ids == [event.pk for event in failed]
    assert (replay.created_by, replay.reason) == (staff.user, "The server is back.")
    assert queued() == [("replay", {"replay_id": replay.pk})]


def test_the_preview_of_many_counts_what_would_change(staff: Client) -> None:
    events = WebhookEventFactory.create_batch(3, state="failed")
    preview = _ask(staff, [event.pk for event in events]).context["preview"]
    assert preview["counts"] == ["Of the events chosen, 3 could not be processed this time either."]
    assert len(preview["changes"]) == 3


def test_whoever_wants_to_see_more_of_a_preview_asks_for_it(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "PREVIEW_SECONDS", 0)
    events = WebhookEventFactory.create_batch(3, state="failed")
    asked = _ask(staff, [event.pk for event in events])
    assert "2 were not looked at for this preview" in asked.content.decode()
    assert "Look at more of them" in asked.content.decode()

    data = {"ids": asked.context["ids"], "reason": "The server is back.", "look": "longer"}
    page = staff.post(url("webhookevent", "bulk_replay"), data).content.decode()
    assert "3 could not be processed this time either" in page
    assert "not looked at" not in page
    assert "Look at more of them" not in page
    assert "The server is back." in page
    assert BulkReplay.objects.count() == 0


def test_a_long_preview_is_cut(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "MOST_SENTENCES", 2)
    events = WebhookEventFactory.create_batch(5, state="failed")
    preview = _ask(staff, [event.pk for event in events]).context["preview"]
    assert (len(preview["changes"]), preview["changes"][-1]) == (3, "And 3 more changes.")


def test_without_a_reason_it_asks_again(staff: Client) -> None:
    event = WebhookEventFactory(state="failed")
    asked = _begin(staff, str(event.pk), reason=" ")
    assert "This field is required" in asked.content.decode()
    assert "Replay 1 event<" in asked.content.decode()
    assert BulkReplay.objects.count() == 0


def test_all_events_of_a_filter_can_be_replayed(staff: Client) -> None:
    WebhookEventFactory.create_batch(60, state="failed")
    WebhookEventFactory()
    data = {"action": "replay_selected", "select_across": "1", "_selected_action": ["0"]}
    page = staff.post(url("webhookevent", "changelist") + "?state__exact=failed", data)
    assert "Replay 60 events" in page.content.decode()


def test_choosing_many_loads_no_payloads(staff: Client, django_assert_max_num_queries: Any) -> None:
    ids = [event.pk for event in WebhookEventFactory.create_batch(3, state="held", event_type="wishlist.created")]
    with django_assert_max_num_queries(60) as queries:
        _ask(staff, ids)
        _begin(staff, ",".join(map(str, ids)))
    heavy = [query["sql"] for query in queries.captured_queries if '"body",' in query["sql"]]
    assert len(heavy) == 3  # those of the preview,
    assert all('"id" = ' in sql for sql in heavy)  # one after the other


def test_too_many_events_are_refused(
    staff: Client, monkeypatch: pytest.MonkeyPatch, queued: Callable[[], list[Any]]
) -> None:
    monkeypatch.setattr(service, "MOST_EVENTS", 2)
    ids = [event.pk for event in WebhookEventFactory.create_batch(3, state="failed")]
    assert "smaller lots" in _ask(staff, ids).content.decode()
    assert "are too many at once" in _begin(staff, ",".join(map(str, ids))).content.decode()
    assert queued() == []


@pytest.mark.parametrize("ids", ["", "abc", "1;2", "²", "9" * 19, "-1"])
def test_nonsense_instead_of_ids_replays_nothing(ids: str, staff: Client, queued: Callable[[], list[Any]]) -> None:
    WebhookEventFactory(state="failed")
    assert _begin(staff, ids).redirect_chain == [(url("webhookevent", "changelist"), 302)]
    assert queued() == []


# --- a bulk replay's own page ----------------------------------------------------------------------------------------


@pytest.fixture
def replay(staff: Client, monkeypatch: pytest.MonkeyPatch) -> BulkReplay:
    """One of four events, of which two have been set in motion."""
    monkeypatch.setattr(service, "EVENTS_PER_BATCH", 2)
    ids = [event.pk for event in WebhookEventFactory.create_batch(4, state="failed")]
    replay = service.start(ids, user_id=staff.user.pk, reason="The server is back.")
    service.work_through(replay.pk)
    return replay


def test_the_page_shows_how_far_it_has_come_and_asks_again_while_it_moves(staff: Client, replay: BulkReplay) -> None:
    page = staff.get(url("bulkreplay", "change", replay.pk)).content.decode()
    part = staff.get(url("bulkreplay", "progress", replay.pk)).content.decode()
    for content in (page, part):
        assert "2 of 4 events set in motion" in content
        assert '<progress class="li-progress" max="4" value="2" aria-label="Events set in motion">' in content
        assert f'hx-get="{url("bulkreplay", "progress", replay.pk)}" hx-trigger="every 2s"' in content
    assert "Cancel the replay" in page
    assert "The server is back." in page
    assert "<html" not in part


def test_the_page_stops_asking_when_all_has_been_done(staff: Client, replay: BulkReplay) -> None:
    service.work_through(replay.pk)
    part = staff.get(url("bulkreplay", "progress", replay.pk)).content.decode()
    assert "All 4 events were set in motion; 4 still wait for a worker." in part
    assert "hx-trigger" in part
    assert '<form id="cancel-replay" hx-swap-oob="delete">' in part
    pipeline.process_events(replay.event_ids)
    part = staff.get(url("bulkreplay", "progress", replay.pk)).content.decode()
    assert "All 4 events were replayed." in part
    assert "hx-trigger" not in part
    page = staff.get(url("bulkreplay", "change", replay.pk)).content.decode()
    assert "Cancel the replay" not in page
    assert "hx-swap-oob" not in page


def test_it_can_be_canceled_with_one_press(staff: Client, replay: BulkReplay) -> None:
    assert staff.get(url("bulkreplay", "cancel", replay.pk)).status_code == 302
    replay.refresh_from_db()
    assert replay.state == "running"  # looking is not pressing
    page = staff.post(url("bulkreplay", "cancel", replay.pk), follow=True).content.decode()
    assert "Canceled. No further event is replayed." in page
    assert "Stopped after 2 of 4 events" in page
    again = staff.post(url("bulkreplay", "cancel", replay.pk), follow=True).content.decode()
    assert "There was nothing left to cancel." in again


def test_the_webhook_log_leads_to_the_bulk_replays(staff: Client, support: Client, replay: BulkReplay) -> None:
    link = f'href="{url("bulkreplay", "changelist")}"'
    assert link in staff.get(url("webhookevent", "changelist")).content.decode()
    assert link not in support.get(url("webhookevent", "changelist")).content.decode()
    page = staff.get(url("bulkreplay", "changelist")).content.decode()
    assert "2 of 4" in page
    assert url("bulkreplay", "change", replay.pk) in page


def test_a_replay_that_does_not_exist_is_said_to_be_missing(staff: Client) -> None:
    for what in ("change", "progress"):
        assert staff.get(url("bulkreplay", what, 0)).status_code == 302


# --- the list --------------------------------------------------------------------------------------------------------


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
    ],
)
def test_an_empty_list_says_what_will_be_there(model: str, sentence: str, support: Client) -> None:
    assert sentence in support.get(url(model, "changelist")).content.decode()
    assert "Nothing matches" in support.get(url(model, "changelist") + "?q=nothing").content.decode()


LISTS = sorted(f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("parameter", ["q", "type", "state__exact", "store__exact", "\x00"])
def test_a_list_asked_for_a_nul_character_shows_itself_whole(name: str, parameter: str, client_of: Any) -> None:
    address = reverse(f"admin:{name}_changelist")
    answer = client_of("superuser").get(address, {parameter: "a\x00b"}, follow=True)
    assert answer.status_code == 200
    assert answer.redirect_chain == [(address, 302)]


def test_nothing_is_done_to_a_list_asked_for_a_nul_character(staff: Client) -> None:
    ids = [WebhookEventFactory(state="failed").pk]
    assert "Replay 1 event" not in _ask(staff, ids, "?type=%00").content.decode()


def test_a_type_that_only_another_store_sends_is_found_nowhere_without_looking(
    support: Client, settings: Any, django_assert_max_num_queries: Any
) -> None:
    stripe = {"name": "stripe", "adapter": "stripe", "webhook_secrets": ("s",), "test_events": "apply"}
    settings.STORES = [*settings.STORES, stripe]
    WebhookEventFactory(event_type="order.completed")
    WebhookEventFactory(event_type="unheard.of", store="stripe", state="unsupported")
    address = url("webhookevent", "changelist")
    with django_assert_max_num_queries(12) as queries:
        page = support.get(address, {"store": "stripe", "type": "order.completed"})
    assert page.context["cl"].result_count == 0
    assert not [
        query for query in queries.captured_queries if 'FROM "licensing_integration_webhookevent"' in query["sql"]
    ]
    assert support.get(address, {"store": "stripe", "type": "unheard.of"}).context["cl"].result_count == 1
    assert support.get(address, {"store": "gone", "type": "order.completed"}).context["cl"].result_count == 0


def test_the_types_offered_are_those_of_the_chosen_store(support: Client, settings: Any) -> None:
    stripe = {"name": "stripe", "adapter": "stripe", "webhook_secrets": ("s",), "test_events": "apply"}
    settings.STORES = [*settings.STORES, stripe]
    address = url("webhookevent", "changelist")
    assert "?type=order.completed" in support.get(address).content.decode()
    assert "type=invoice.paid" in support.get(address).content.decode()
    chosen = support.get(address, {"store": "stripe"}).content.decode()
    assert "type=invoice.paid" in chosen
    assert "type=order.completed" not in chosen


@pytest.mark.django_db
def test_postgresql_knows_which_filters_have_nothing_in_common() -> None:
    """Else it reads all events of a type, newest first, for fifty of a verdict that events of that type never get."""
    columns = "store, external_id, event_type, is_live, received_at, deliveries, body, state, problem, attempts"
    make = (
        f"INSERT INTO licensing_integration_webhookevent ({columns}) "
        "SELECT 'fastspring', 'e' || n, (ARRAY['order.completed', 'mailingListEntry.updated'])[1 + n % 2], "
        "true, now(), 1, '{}', (ARRAY['applied', 'ignored'])[1 + n % 2], '', 1 "
        "FROM generate_series(1, 4000) n"
    )
    with connection.cursor() as cursor:
        cursor.execute(make)
        cursor.execute("ANALYZE licensing_integration_webhookevent")
    rows = WebhookEvent.objects.filter(state="ignored", event_type="order.completed").order_by()
    (plan,) = json.loads(rows.explain(format="json"))
    assert plan["Plan"]["Plan Rows"] < 50


@pytest.mark.parametrize("role", ROLES)
def test_bulk_replays_are_seen_and_canceled_by_staff_and_above(
    role: str, client_of: Any, staff: Client, replay: BulkReplay
) -> None:
    client = staff if role == "Staff" else client_of(role)
    may_look = role in {"viewer", "Staff", "Owner", "superuser"}
    expected = 302 if role == "anonymous" else 200 if may_look else 403
    for what in ("changelist", "change", "progress"):
        address = url("bulkreplay", what, *([] if what == "changelist" else [replay.pk]))
        assert client.get(address).status_code == expected, address
    for what in ("add", "delete"):
        address = url("bulkreplay", what, *([] if what == "add" else [replay.pk]))
        assert client.get(address).status_code == (302 if role == "anonymous" else 403), address
    client.post(url("bulkreplay", "cancel", replay.pk))
    replay.refresh_from_db()
    assert (replay.state == "canceled") == (role in {"Staff", "Owner", "superuser"})
