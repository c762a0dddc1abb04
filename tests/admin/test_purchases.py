"""A purchase's page and its buttons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.test import Client

from licensing_integration.models import HistoryEntry
from licensing_integration.services.purchases import load_state
from tests.admin.conftest import url
from tests.factories import (
    HistoryEntryFactory,
    LicenseLinkFactory,
    PurchaseAliasFactory,
    PurchaseFactory,
    PurchaseItemFactory,
    WebhookEventFactory,
)

REASON = {"reason": "The bank sided with us."}


def test_the_page_tells_everything_we_know(support: Client) -> None:
    purchase = PurchaseFactory(is_subscription=True, is_disputed=True, attention="Mail bounced.")
    waiting = PurchaseItemFactory(purchase=purchase, is_waiting=True, product="other", display="Other")
    link = LicenseLinkFactory(item__purchase=purchase)
    alias = PurchaseAliasFactory(purchase=purchase)
    event = WebhookEventFactory(event_type="subscription.activated")
    HistoryEntryFactory(purchase=purchase, event=event, sentence="Activated.")
    HistoryEntryFactory(link=link, sentence="Issued.")
    page = support.get(url("purchase", "change", purchase.pk)).content.decode()
    for expected in (
        "Mail bounced.",
        waiting.problem,
        link.masked_key,
        url("licenselink", "change", link.pk),
        url("webhookevent", "change", event.pk),
        alias.value,
        purchase.customer_email,
        "Dispute CB1",
        f"{purchase.paid_through:%Y %H:%M} UTC",
    ):
        assert expected in page, expected
    assert page.index("Issued.") < page.index("Activated.")
    assert link.key not in page


def test_plan_again_enqueues_and_tells(support: Client, queued: Callable[[], list[Any]]) -> None:
    purchase = PurchaseFactory()
    support.post(url("purchase", "plan", purchase.pk), {"reason": "The mapping was wrong."})
    assert queued() == [("plan_purchases", {"purchase_ids": [purchase.pk]})]
    entry = HistoryEntry.objects.get()
    assert (entry.kind, entry.user, entry.purchase) == ("purchase.plan_again", support.user, purchase)
    assert "The mapping was wrong." in entry.sentence


def test_a_reason_is_needed(support: Client, queued: Callable[[], list[Any]]) -> None:
    purchase = PurchaseFactory()
    answer = support.post(url("purchase", "plan", purchase.pk), {"reason": "  "})
    assert answer.context["form"].errors["reason"]
    assert queued() == []


def test_closing_disputes_reinstates(staff: Client, queued: Callable[[], list[Any]]) -> None:
    purchase = PurchaseFactory(is_disputed=True)
    staff.post(url("purchase", "close-disputes", purchase.pk), REASON)
    purchase.refresh_from_db()
    assert not load_state(purchase).has_open_dispute
    assert queued() == [("plan_purchases", {"purchase_ids": [purchase.pk]})]
    assert HistoryEntry.objects.get().user == staff.user


def test_what_is_not_there_cannot_be_closed_or_acknowledged(staff: Client, queued: Callable[[], list[Any]]) -> None:
    purchase = PurchaseFactory()
    for name in ("close-disputes", "acknowledge"):
        assert (
            url("purchase", name, purchase.pk) not in staff.get(url("purchase", "change", purchase.pk)).content.decode()
        )
        staff.post(url("purchase", name, purchase.pk), REASON)
    assert not HistoryEntry.objects.exists()
    assert queued() == []


def test_acknowledging_takes_the_note_away(support: Client) -> None:
    purchase = PurchaseFactory(attention="Mail bounced.")
    support.post(url("purchase", "acknowledge", purchase.pk), {"reason": "Called them."})
    purchase.refresh_from_db()
    assert purchase.attention == ""
    assert "Called them." in HistoryEntry.objects.get(kind="purchase.acknowledged").sentence


def test_a_purchase_that_does_not_exist_leads_back(support: Client) -> None:
    for address in (url("purchase", "change", 999), url("purchase", "plan", 999)):
        assert support.get(address)["Location"] == "/admin/"
    assert support.get("/admin/licensing_integration/purchase/abc/change/").status_code == 302
