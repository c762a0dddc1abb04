"""A purchase's page and its buttons."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from licensing_integration.admin import mixins, purchases
from licensing_integration.domain.facts import ItemFact, ReturnedLine
from licensing_integration.domain.purchases import Return
from licensing_integration.models import HistoryEntry, KeyMail
from licensing_integration.services import search
from licensing_integration.services.erasure import ERASED_BODY
from licensing_integration.services.purchases import load_state, store_state
from tests.admin.conftest import ROLES, url
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
        f"{purchase.paid_through:%Y-%m-%d %H:%M} UTC",
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


def test_only_open_disputes_are_closed_and_they_are_named_before(staff: Client) -> None:
    purchase = PurchaseFactory(is_disputed=True)
    known = load_state(purchase)
    lost = replace(known.disputes["CB1"], is_open=False, is_lost=True)
    store_state(purchase, replace(known, disputes={**known.disputes, "CB2": lost}))
    purchase.save()
    address = url("purchase", "close-disputes", purchase.pk)
    preview = staff.get(address).context["preview"]
    assert preview == [f"Dispute CB1 of order {purchase.reference}, open since 1 January 2026, counts as won."]
    staff.post(address, REASON)
    purchase.refresh_from_db()
    disputes = load_state(purchase).disputes
    assert (disputes["CB1"].is_open, disputes["CB1"].version.occurred_at > lost.version.occurred_at) == (False, True)
    assert disputes["CB2"] == lost


def test_of_very_many_disputes_the_first_are_named(staff: Client) -> None:
    ids = [PurchaseFactory(is_disputed=True).pk for _ in range(22)]
    data = {"action": "close-disputes", "_selected_action": ids}
    preview = staff.post(url("purchase", "changelist"), data).context["preview"]
    assert (len(preview), preview[-1]) == (21, "And 2 more.")


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


# --- keys and personal data ------------------------------------------------------------------------------------------


def test_all_keys_of_a_purchase_are_sent_again_in_one_mail(support: Client, settings: Settings) -> None:
    settings.CAN_SEND_MAIL = True
    link = LicenseLinkFactory()
    second = LicenseLinkFactory(item=link.item, unit=2)
    address = url("purchase", "resend", link.purchase_id)
    asked = support.get(address).content.decode()
    assert "One mail with 2 keys" in asked
    assert f'value="{link.purchase.customer_email}"' in asked
    support.post(address, {"reason": "Lost them.", "address": link.purchase.customer_email})
    assert KeyMail.objects.get().link_ids == [link.pk, second.pk]


def test_keys_of_many_purchases_go_each_to_its_own_address(staff: Client, settings: Settings) -> None:
    settings.CAN_SEND_MAIL = True
    purchases = [LicenseLinkFactory().purchase for _ in range(2)]
    ids = ",".join(str(purchase.pk) for purchase in purchases)
    sent = {"reason": "Lost them.", "ids": ids, "address": "stranger@example.com"}
    staff.post(url("purchase", "resend_many"), sent)
    assert {(mail.purchase, mail.address) for mail in KeyMail.objects.all()} == {
        (purchase, purchase.customer_email) for purchase in purchases
    }


def test_the_keys_can_be_sent_again_where_only_the_first_license_has_ended(support: Client, settings: Settings) -> None:
    settings.CAN_SEND_MAIL = True
    ended = LicenseLinkFactory(state="revoked")
    page, address = url("purchase", "change", ended.purchase_id), url("purchase", "resend", ended.purchase_id)
    content = support.get(page).content.decode()
    assert address not in content
    assert "None of its licenses has a key that could be used." in content
    LicenseLinkFactory(item=ended.item, unit=2)
    content = support.get(page).content.decode()
    assert address in content
    assert "why-not-resend" not in content


def test_without_a_mail_server_the_page_says_what_to_set(support: Client) -> None:
    link = LicenseLinkFactory()
    page = support.get(url("purchase", "change", link.purchase_id)).content.decode()
    assert "EMAIL_URL" in page
    assert url("purchase", "resend", link.purchase_id) not in page


@pytest.mark.parametrize("name_typed", ["external_id", "reference"])
def test_erasing_needs_a_name_of_this_purchase(name_typed: str, client_of: Callable[[str], Client]) -> None:
    purchase, owner = PurchaseFactory(), client_of("Owner")
    address = url("purchase", "erase", purchase.pk)
    refused = owner.post(address, {"reason": "Asked for.", "confirmation": "ANOTHER"})
    assert "Nothing was erased" in refused.content.decode()
    purchase.refresh_from_db()
    assert purchase.customer_email
    asked = owner.get(address).content.decode()
    for name in (purchase.reference, purchase.external_id):
        assert f'<span class="li-mono" translate="no">{name}</span>' in asked
    refused = owner.post(address, {"reason": "Asked for.", "confirmation": purchase.reference.lower()})
    assert f"{purchase.reference} or {purchase.external_id}. Nothing was erased" in refused.content.decode()
    owner.post(address, {"reason": "Asked for.", "confirmation": f" {getattr(purchase, name_typed)} "})
    purchase.refresh_from_db()
    assert (purchase.customer_email, purchase.customer_name) == ("", "[erased]")
    assert HistoryEntry.objects.get().kind == "purchase.erased"
    assert address not in owner.get(url("purchase", "change", purchase.pk)).content.decode()


def test_a_reference_that_two_purchases_share_names_neither(client_of: Callable[[str], Client]) -> None:
    order = PurchaseFactory(reference="ACM-1", customer_email="ava@example.com")
    PurchaseFactory(reference="ACM-1", kind="subscription")
    client_of("Owner").post(url("purchase", "erase", order.pk), {"reason": "Asked for.", "confirmation": "ACM-1"})
    order.refresh_from_db()
    assert order.customer_email == "ava@example.com"


def test_a_purchase_without_reference_is_not_erased_by_an_empty_one(client_of: Callable[[str], Client]) -> None:
    purchase, owner = PurchaseFactory(reference=""), client_of("Owner")
    address = url("purchase", "erase", purchase.pk)
    assert f'Type <span class="li-mono" translate="no">{purchase.external_id}</span> to confirm.' in (
        owner.get(address).content.decode()
    )
    owner.post(address, {"reason": "Asked for.", "confirmation": " "})
    purchase.refresh_from_db()
    assert purchase.customer_email


def test_keys_of_an_erased_purchase_go_only_to_an_address_that_is_typed(support: Client, settings: Settings) -> None:
    settings.CAN_SEND_MAIL = True
    link = LicenseLinkFactory(item__purchase__customer_email="", item__purchase__customer_name="[erased]")
    address = url("purchase", "resend", link.purchase_id)
    assert "No address of the customer is known here" in support.get(address).content.decode()
    asked = support.post(address, {"reason": "Lost them."})
    assert asked.context["form"].errors["address"]
    support.post(address, {"reason": "Lost them.", "address": "ava@example.com"})
    assert KeyMail.objects.get().address == "ava@example.com"


@pytest.mark.parametrize("role", ROLES)
def test_only_an_owner_erases(role: str, client_of: Callable[[str], Client]) -> None:
    purchase = PurchaseFactory()
    data = {"reason": "Asked for.", "confirmation": purchase.external_id}
    client_of(role).post(url("purchase", "erase", purchase.pk), data)
    purchase.refresh_from_db()
    assert (purchase.customer_email == "") == (role in {"Owner", "superuser"})


def test_erasing_says_that_other_purchases_of_the_address_stay(client_of: Callable[[str], Client]) -> None:
    purchase = PurchaseFactory(customer_email="ava@example.com")
    PurchaseFactory(customer_email="ava@example.com")
    page = client_of("Owner").get(url("purchase", "erase", purchase.pk)).content.decode()
    assert "1 other purchase of this address stay" in page


def test_beyond_a_hundred_other_purchases_it_is_said_that_there_are_more(client_of: Callable[[str], Client]) -> None:
    purchase = PurchaseFactory(customer_email="ava@example.com")
    PurchaseFactory.create_batch(100, customer_email="ava@example.com")
    address, owner = url("purchase", "erase", purchase.pk), client_of("Owner")
    assert "100 other purchases of this address stay" in owner.get(address).context["preview"][-2]
    PurchaseFactory(customer_email="ava@example.com")
    assert owner.get(address).context["preview"][-2].startswith("More than 100 other purchases of this address stay")


def test_an_erased_event_cannot_be_replayed_and_says_why(support: Client) -> None:
    event = WebhookEventFactory(body=ERASED_BODY)
    address = url("webhookevent", "replay", event.pk)
    assert address not in support.get(url("webhookevent", "change", event.pk)).content.decode()
    assert "was erased with the personal data" in support.get(address, follow=True).content.decode()


def test_planning_again_says_first_what_it_would_change(support: Client) -> None:
    page = support.get(url("purchase", "plan", LicenseLinkFactory().purchase_id)).content.decode()
    assert "What it will change" in page


def test_the_page_follows_its_licenses_and_a_plan_that_was_just_asked_for(support: Client) -> None:
    link = LicenseLinkFactory()
    address = url("purchase", "change", link.purchase_id)
    assert support.get(address).context["next_look"] == 0
    answer = support.post(url("purchase", "plan", link.purchase_id), {"reason": "Mended."}, follow=True)
    assert answer.context["next_look"] == 1
    assert f'hx-get="{address}?look=1"' in answer.content.decode()
    HistoryEntry.objects.all().delete()
    LicenseLinkFactory(item=link.item, unit=2, sync_state="pending")
    assert "being changed" in support.get(address).content.decode()
    assert support.get(address).context["next_look"] == 1


def test_all_licenses_of_a_large_order_can_be_reached(
    support: Client, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(purchases, "MOST_LINKS", 2)
    monkeypatch.setattr(search, "MOST_FOUND", 3)
    first = LicenseLinkFactory()
    LicenseLinkFactory()
    links = [first, *(LicenseLinkFactory(item=first.item, unit=unit) for unit in range(2, 6))]
    page = support.get(url("purchase", "change", first.purchase_id)).content.decode()
    found = re.search(r'href="([^"]*)">Show more in the list', page)
    assert found
    with django_assert_max_num_queries(12):
        answer = support.get(found[1])
    assert list(answer.context["cl"].result_list) == links[::-1]
    assert f"Order {first.purchase.reference}" in answer.content.decode()
    unfiltered = support.get(url("licenselink", "changelist")).context["cl"]
    assert "purchase" not in [getattr(spec, "parameter_name", "") for spec in unfiltered.filter_specs]


@pytest.mark.parametrize("value", ["", "abc", "-1", "999999999", "9" * 30])
def test_a_purchase_that_does_not_exist_narrows_no_list(value: str, support: Client) -> None:
    link = LicenseLinkFactory()
    answer = support.get(url("licenselink", "changelist"), {"purchase": value})
    assert list(answer.context["cl"].result_list) == [link]


def test_a_list_of_exactly_as_many_rows_as_are_counted_does_not_say_that_there_are_more(
    support: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixins, "MOST_COUNTED", 3)
    PurchaseFactory.create_batch(3)
    address = url("purchase", "changelist")
    assert "More than" not in support.get(address).content.decode()
    PurchaseFactory()
    assert "More than 3 rows" in support.get(address).content.decode()


def test_a_purchase_is_named_with_a_capital_everywhere(staff: Client) -> None:
    purchase = PurchaseFactory(external_id="aCmE-1", reference="")
    for address in (url("purchase", "changelist"), url("purchase", "plan", purchase.pk)):
        assert f"{purchase.kind.capitalize()} aCmE-1" in staff.get(address).content.decode()


@pytest.mark.parametrize(("units", "label"), [(0, ""), (1, "Partly refunded"), (2, "Refunded")])
def test_a_refunded_purchase_is_called_so_beside_its_status(units: int, label: str, support: Client) -> None:
    purchase = PurchaseFactory()
    bought = ItemFact(line="photon", product="photon", quantity=2)
    returned = ReturnedLine(product="photon", quantity=units, is_full=False)
    refunds = {"r": Return(order_id=purchase.external_id, lines=(returned,))} if units else {}
    store_state(purchase, replace(load_state(purchase), items={"photon": bought}, returns=refunds))
    purchase.save()
    link = LicenseLinkFactory(item__purchase=purchase)
    for address in (url("purchase", "change", purchase.pk), url("licenselink", "change", link.pk)):
        page = support.get(address).content.decode()
        after = page.split('<span class="li-tag li-success">Completed</span>')[1].split("</")[0]
        assert after.strip() == (f'<span class="li-tag li-warning">{label}' if label else "")
