"""Actions on several rows: each is done to exactly the rows that were shown, and what cannot be done is told apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from licensing_integration.models import KeyMail, LicenseLink
from tests.admin.conftest import url
from tests.factories import LicenseLinkFactory, ProductMappingFactory, PurchaseFactory

REASON = {"reason": "The customer asked."}


@pytest.fixture
def with_mail(settings: Settings) -> None:
    settings.CAN_SEND_MAIL = True


def _asked(client: Client, model: str, action: str, rows: Sequence[Any]) -> HttpResponse:
    """The confirmation page for these rows of the list."""
    data = {"action": action, "_selected_action": [row.pk for row in rows]}
    answer: HttpResponse = client.post(url(model, "changelist"), data, follow=True)
    return answer


def _confirmed(client: Client, model: str, action: str, asked: HttpResponse) -> list[tuple[str, str]]:
    """Press the button of that page. Returns the messages that are shown then."""
    ids = re.search(r'name="ids" value="([^"]*)"', asked.content.decode())
    assert ids
    answer = client.post(url(model, f"{action}_many"), {**REASON, "ids": ids[1]}, follow=True)
    return _messages(answer)


def _messages(answer: Any) -> list[tuple[str, str]]:
    return [(message.level_tag, str(message)) for message in answer.context["messages"]]


def _no_address() -> dict[str, Any]:
    return {"item__purchase__customer_email": ""}


@pytest.mark.usefixtures("with_mail")
@pytest.mark.parametrize("is_first", [True, False])
def test_a_row_that_fails_keeps_no_other_waiting_and_is_told_apart(is_first: bool, staff: Client) -> None:
    links = [LicenseLinkFactory(**(_no_address() if is_bad else {})) for is_bad in (is_first, not is_first)]
    bad, good = links if is_first else links[::-1]
    told = _confirmed(staff, "licenselink", "resend", _asked(staff, "licenselink", "resend", links))
    assert [mail.link_ids for mail in KeyMail.objects.all()] == [[good.pk]]
    (done, failed) = told
    assert done[0] == "success"
    assert good.purchase.customer_email in done[1]
    assert failed[0] == "warning"
    assert failed[1].startswith(f"License {bad.masked_key} of {bad.item.name} (order {bad.purchase.reference}): ")
    assert "open the license or the purchase to send to another one" in failed[1]


@pytest.mark.usefixtures("with_mail")
def test_what_fails_for_several_rows_is_told_once_with_all_their_names(staff: Client) -> None:
    purchases = [LicenseLinkFactory(**_no_address()).purchase for _ in range(3)]
    told = _confirmed(staff, "purchase", "resend", _asked(staff, "purchase", "resend", purchases))
    assert [level for level, _ in told] == ["warning"]
    names = ", ".join(f"Order {purchase.reference}" for purchase in purchases)
    assert told[0][1].startswith(f"{names}: The store gave no address")
    assert not KeyMail.objects.exists()


@pytest.mark.usefixtures("with_mail")
def test_of_a_single_row_the_form_says_what_is_missing_and_can_be_mended(staff: Client) -> None:
    link = LicenseLinkFactory(**_no_address())
    for address in (url("licenselink", "resend", link.pk), url("licenselink", "resend_many")):
        page = staff.post(address, {**REASON, "ids": link.pk})
        assert "enter the one to send to" in page.content.decode()
        assert 'name="address"' in page.content.decode()


def test_a_row_that_was_left_out_is_not_done_even_if_it_could_be_by_now(staff: Client) -> None:
    until = timezone.now() + timedelta(days=3)
    overridden, other = LicenseLinkFactory(override_until=until, override_state="active"), LicenseLinkFactory()
    asked = _asked(staff, "licenselink", "end-override", [overridden, other])
    named = f"License {other.masked_key} of {other.item.name} ({other.purchase}, {other.purchase.customer_email})"
    assert f"<li>{named}: The license is not" in asked.content.decode()
    LicenseLink.objects.filter(pk=other.pk).update(override_until=until, override_state="active")
    _confirmed(staff, "licenselink", "end-override", asked)
    assert list(LicenseLink.objects.filter(override_until=until)) == [other]


def test_a_row_that_was_shown_and_cannot_be_done_any_more_is_told(staff: Client) -> None:
    purchases = PurchaseFactory.create_batch(2, attention="Look.")
    asked = _asked(staff, "purchase", "acknowledge", purchases)
    staff.post(url("purchase", "acknowledge", purchases[0].pk), REASON)
    told = _confirmed(staff, "purchase", "acknowledge", asked)
    assert told[-1] == ("warning", f"Order {purchases[0].reference}: There is no note to acknowledge.")


def test_a_refusal_names_the_row_once(staff: Client) -> None:
    mappings = [ProductMappingFactory(store_product="a", is_active=False), ProductMappingFactory(store_product="b")]
    asked = _asked(staff, "productmapping", "deactivate", mappings)
    assert f"<li>{mappings[0]}: It is not active.</li>" in asked.content.decode()
    (refusal,) = _messages(_asked(staff, "productmapping", "deactivate", mappings[:1]))
    assert refusal == ("warning", f"{mappings[0]}: It is not active.")


def test_on_its_own_page_a_refusal_does_not_repeat_the_rows_name(support: Client) -> None:
    purchase = PurchaseFactory()
    (refusal,) = _messages(support.get(url("purchase", "acknowledge", purchase.pk), follow=True))
    assert refusal == ("warning", "There is no note to acknowledge.")


def test_many_names_are_cut(staff: Client, queued: Callable[[], list[Any]]) -> None:
    purchases = PurchaseFactory.create_batch(22)
    (refusal,) = _messages(_asked(staff, "purchase", "close-disputes", purchases))
    assert f"Order {purchases[19].reference} and 2 more: The purchase has no open dispute." in refusal[1]
    assert queued() == []


def test_licenses_without_a_key_are_told_apart_before_something_is_done_to_them(staff: Client) -> None:
    first = LicenseLinkFactory(is_new=True, item__quantity=2)
    links = [first, LicenseLinkFactory(is_new=True, item=first.item, unit=2), LicenseLinkFactory(is_new=True)]
    titles = _asked(staff, "licenselink", "resync", links).context["titles"]
    assert len(set(titles)) == 3
    purchase = first.purchase
    told = f"License without a key of Photon Editor (order {purchase.reference}, unit 1, {purchase.customer_email})"
    assert titles[0] == told


def test_after_an_action_the_list_is_filtered_as_before(staff: Client) -> None:
    links = [LicenseLinkFactory(is_new=True) for _ in range(2)]
    address = url("licenselink", "changelist")
    data = {"action": "resync", "_selected_action": [link.pk for link in links]}
    asked = staff.post(f"{address}?sync_state=pending&p=1", data)
    back = f"{address}?sync_state=pending&p=1"
    assert asked.context["back_url"] == back
    sent = {"ids": asked.context["ids"], "list_query": asked.context["list_query"]}
    assert f'name="list_query" value="{sent["list_query"].replace("&", "&amp;")}"' in asked.content.decode()
    again = staff.post(url("licenselink", "resync_many"), sent)  # without the reason it is asked again
    assert (again.context["back_url"], again.context["list_query"]) == (back, sent["list_query"])
    assert staff.post(url("licenselink", "resync_many"), {**REASON, **sent})["Location"] == back
    refused = {"action": "end-override", "_selected_action": [links[0].pk]}
    assert staff.post(back, refused)["Location"] == back


@pytest.mark.parametrize(
    "query",
    ["https://elsewhere.example/", "//elsewhere.example", "/../../x", "\r\nLocation: //x", "@elsewhere.example"],
)
def test_an_action_leads_back_to_its_own_list_and_nowhere_else(query: str, staff: Client) -> None:
    sent = {**REASON, "ids": str(LicenseLinkFactory().pk), "list_query": query}
    location = staff.post(url("licenselink", "resync_many"), sent)["Location"]
    assert location.startswith(url("licenselink", "changelist") + "?")
    assert not {"\r", "\n", "/"} & set(location.partition("?")[2])


def test_a_moment_in_what_was_done_to_several_is_in_the_readers_zone(staff: Client) -> None:
    ids = ",".join(str(LicenseLinkFactory().pk) for _ in range(2))
    typed = {"state": "active", "until": "2031-07-01T12:30", "zone": "Europe/Berlin"}
    page = staff.post(url("licenselink", "override_many"), {**REASON, **typed, "ids": ids}, follow=True)
    told = '2 times: The override is set until <time datetime="2031-07-01T10:30:00Z"'
    assert told in page.content.decode()
