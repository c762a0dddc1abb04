"""A license's page beyond its buttons: the key, sending it again, dates, asking the server, the story."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from licensing_integration.admin.comparison import compare
from licensing_integration.admin.history import PER_PAGE
from licensing_integration.domain.licenses import DesiredLicense, ServerProduct
from licensing_integration.domain.outcomes import LicenseState
from licensing_integration.domain.wording import format_moment
from licensing_integration.models import AuditEntry, HistoryEntry, KeyMail, LicenseLink, MappingVersion
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.services import choices
from licensing_integration.services.codec import to_json
from tests.admin.conftest import ROLES, url
from tests.factories import (
    HistoryEntryFactory,
    LicenseLinkFactory,
    MappingVersionFactory,
    ProductMappingFactory,
    PurchaseFactory,
)
from tests.services.vendor import Vendor

REASON = {"reason": "The customer asked."}


def _page(client: Client, link: LicenseLink) -> str:
    return client.get(url("licenselink", "change", link.pk)).content.decode()


# --- the key ---------------------------------------------------------------------------------------------------------


def test_copying_the_key_is_noted_once_and_nothing_is_stored(support: Client) -> None:
    link = LicenseLinkFactory()
    answer = support.post(url("licenselink", "copy", link.pk))
    assert answer.json() == {"key": link.key}
    assert "no-store" in answer["Cache-Control"]
    assert HistoryEntry.objects.get().kind == "license.key_copied"
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.user, entry.link) == ("license.key_copied", support.user, link)


def test_asking_for_the_key_to_copy_by_its_address_gives_nothing(support: Client) -> None:
    link = LicenseLinkFactory()
    answer = support.get(url("licenselink", "copy", link.pk))
    assert answer.status_code == 405
    assert link.key not in answer.content.decode()
    assert not HistoryEntry.objects.exists()


def test_a_key_that_is_not_there_was_neither_shown_nor_copied(support: Client) -> None:
    link = LicenseLinkFactory(is_new=True)
    assert "None yet." in support.post(url("licenselink", "reveal", link.pk)).content.decode()
    assert support.post(url("licenselink", "copy", link.pk)).status_code == 404
    assert support.post(url("licenselink", "copy", 999)).status_code == 404
    assert not HistoryEntry.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.fixture
def with_mail(settings: Settings) -> None:
    settings.CAN_SEND_MAIL = True


@pytest.mark.usefixtures("with_mail")
def test_sending_the_key_again_asks_with_the_address_filled_in(support: Client, queued: Callable[[], Any]) -> None:
    link = LicenseLinkFactory()
    address = url("licenselink", "resend", link.pk)
    assert address in _page(support, link)
    assert f'value="{link.purchase.customer_email}"' in support.get(address).content.decode()
    answer = support.post(address, {**REASON, "address": "new@example.com"}, follow=True)
    mail = KeyMail.objects.get()
    assert (mail.address, mail.link_ids, mail.asked_by) == ("new@example.com", [link.pk], support.user)
    assert queued() == [("send_key_mails", {"mail_ids": [mail.pk]})]
    assert "on its way to new@example.com" in answer.content.decode()


@pytest.mark.usefixtures("with_mail")
@pytest.mark.parametrize("values", [{"address": "nobody"}, {"reason": ""}])
def test_what_cannot_be_sent_stays_in_the_form(values: dict[str, str], support: Client) -> None:
    data = {**REASON, "address": "new@example.com", **values}
    answer = support.post(url("licenselink", "resend", LicenseLinkFactory().pk), data)
    assert answer.status_code == 200
    assert not KeyMail.objects.exists()


@pytest.mark.usefixtures("with_mail")
@pytest.mark.parametrize("role", ROLES)
def test_support_may_send_keys_and_viewers_may_not(role: str, client_of: Callable[[str], Client]) -> None:
    link = LicenseLinkFactory()
    client_of(role).post(url("licenselink", "resend", link.pk), REASON)
    assert KeyMail.objects.exists() == (role in {"Support", "Staff", "Owner", "superuser"})


@pytest.mark.usefixtures("with_mail")
def test_many_keys_go_each_to_the_address_of_its_purchase(staff: Client) -> None:
    links = LicenseLinkFactory.create_batch(3)
    asked = staff.post(
        url("licenselink", "changelist"), {"action": "resend", "_selected_action": [link.pk for link in links]}
    )
    assert "3 mails are sent" in asked.content.decode()
    assert 'name="address"' not in asked.content.decode()
    ids = ",".join(str(link.pk) for link in links)
    staff.post(url("licenselink", "resend_many"), {**REASON, "ids": ids, "address": "stranger@example.com"})
    assert {mail.address for mail in KeyMail.objects.all()} == {link.purchase.customer_email for link in links}


@pytest.mark.usefixtures("with_mail")
def test_pressed_twice_the_key_is_sent_once(support: Client) -> None:
    address = url("licenselink", "resend", LicenseLinkFactory().pk)
    support.post(address, {**REASON, "address": ""})
    assert "on its way already" in support.post(address, {**REASON, "address": ""}).content.decode()
    assert KeyMail.objects.count() == 1


def test_without_a_mail_server_the_page_says_what_to_set(support: Client, client_of: Callable[[str], Client]) -> None:
    link = LicenseLinkFactory()
    page = _page(support, link)
    assert "EMAIL_URL" in page
    assert url("licenselink", "resend", link.pk) not in page
    assert "EMAIL_URL" not in _page(client_of("viewer"), link)


# --- dates in the reader's zone --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "typed", "meant"),
    [
        ("Europe/Berlin", "2031-07-01T12:30", datetime(2031, 7, 1, 10, 30, tzinfo=UTC)),  # summer time
        ("Europe/Berlin", "2031-01-01T12:30", datetime(2031, 1, 1, 11, 30, tzinfo=UTC)),
        ("America/New_York", "2031-01-01T20:00", datetime(2031, 1, 2, 1, 0, tzinfo=UTC)),
        ("", "2031-01-01T12:30", datetime(2031, 1, 1, 12, 30, tzinfo=UTC)),
        ("Mars/Olympus", "2031-01-01T12:30", datetime(2031, 1, 1, 12, 30, tzinfo=UTC)),
        ("../../etc/passwd", "2031-01-01T12:30", datetime(2031, 1, 1, 12, 30, tzinfo=UTC)),
    ],
)
def test_dates_are_meant_in_the_readers_zone(zone: str, typed: str, meant: datetime, staff: Client) -> None:
    link = LicenseLinkFactory()
    data = {**REASON, "state": "active", "until": typed, "expires_at": typed, "zone": zone}
    answer = staff.post(url("licenselink", "override", link.pk), data, follow=True)
    link.refresh_from_db()
    assert (link.override_until, link.override_expires_at) == (meant, meant)
    told = answer.content.decode()
    assert f'The override is set until <time datetime="{meant:%Y-%m-%dT%H:%M:%SZ}"' in told
    assert f"until {format_moment(meant)}" in HistoryEntry.objects.get().sentence


def test_an_override_is_looked_at_before_it_is_set(staff: Client) -> None:
    link = LicenseLinkFactory()
    bought = {"line": link.item.line, "product": link.item.product, "quantity": 1}
    link.purchase.state |= {"items": {link.item.line: bought}}
    link.purchase.save()
    data = {**REASON, "state": "suspended", "until": "2031-07-01T12:30", "zone": "Europe/Berlin", "foresee": "1"}
    page = staff.post(url("licenselink", "override", link.pk), data).content.decode()
    assert 'The plan wins again on <time datetime="2031-07-01T10:30:00Z"' in page
    assert "active → suspended" in page
    link.refresh_from_db()
    assert (link.override_state, link.override_until) == ("", None)
    assert not HistoryEntry.objects.exists()
    assert "required" in staff.post(url("licenselink", "override", link.pk), {"foresee": "1"}).content.decode()


def test_an_override_that_has_run_out_is_none_any_more(staff: Client) -> None:
    values = {"override_state": "suspended", "override_expires_at": timezone.now()}
    for days, is_overridden in ((3, True), (-3, False)):
        link = LicenseLinkFactory(**values, override_until=timezone.now() + timedelta(days=days))
        origins = {row.label: row.origin for row in compare(link)}
        assert [origins[label] == "override" for label in ("State", "Expires")] == [is_overridden] * 2
        page = _page(staff, link)
        assert ("Override until" in page) is (">override<" in page) is is_overridden
        address = url("licenselink", "end-override", link.pk)
        assert (address in page) is is_overridden
        staff.post(address, REASON)
        assert HistoryEntry.objects.filter(link=link).exists() is is_overridden


# --- asking the license server ---------------------------------------------------------------------------------------


@pytest.fixture
def on_server(db: None, cryptlex: CryptlexSandbox) -> LicenseLink:
    """A license that the sandbox has, too."""
    made = Vendor(cryptlex).call(
        "POST", "/v3/licenses", json={"productId": "prod-1", "licenseTemplateId": "tmpl-1", "metadata": []}
    )
    wanted = DesiredLicense(state=LicenseState.ACTIVE, server="cryptlex", product_id="prod-1")
    return LicenseLinkFactory(external_id=made["id"], key=made["key"], desired=to_json(wanted))


def test_refresh_shows_what_the_server_says_now(
    support: Client, on_server: LicenseLink, cryptlex: CryptlexSandbox
) -> None:
    Vendor(cryptlex).patch(on_server.external_id, suspended=True)
    answer = support.post(url("licenselink", "refresh", on_server.pk), follow=True)
    page = answer.content.decode()
    assert "cryptlex has just answered, with something new" in page
    assert "Different on the server: State" in page
    assert "On cryptlex it is suspended, but it should be active." in page
    assert answer.context["row"].state == "suspended"


def test_while_a_worker_has_the_license_the_answer_is_shown_and_not_kept(
    support: Client, on_server: LicenseLink, cryptlex: CryptlexSandbox
) -> None:
    Vendor(cryptlex).patch(on_server.external_id, suspended=True)
    LicenseLink.objects.update(sync_state="pending")
    answer = support.post(url("licenselink", "refresh", on_server.pk))
    lines = {line.label: line for line in answer.context["comparison"]}
    assert lines["State"].reported == "suspended"
    assert "the answer is not kept" in answer.content.decode()
    on_server.refresh_from_db()
    assert on_server.state == "active"


def test_a_license_that_is_gone_says_what_to_do(
    support: Client, on_server: LicenseLink, cryptlex: CryptlexSandbox
) -> None:
    Vendor(cryptlex).delete(on_server.external_id)
    page = support.post(url("licenselink", "refresh", on_server.pk), follow=True).content.decode()
    assert "somebody deleted it there" in page


def test_a_server_that_is_away_is_a_sentence(support: Client) -> None:
    page = support.post(url("licenselink", "refresh", LicenseLinkFactory().pk), follow=True).content.decode()
    assert "cryptlex gave no answer" in page


@pytest.mark.parametrize("role", ROLES)
def test_only_support_and_above_may_ask_the_server(
    role: str, on_server: LicenseLink, cryptlex: CryptlexSandbox, client_of: Callable[[str], Client]
) -> None:
    cryptlex.clear_requests()
    answer = client_of(role).post(url("licenselink", "refresh", on_server.pk))
    may = role in {"Support", "Staff", "Owner", "superuser"}
    assert bool(cryptlex.requests) == AuditEntry.objects.exists() == may
    if not may:
        assert answer.status_code == (302 if role == "anonymous" else 403)


def test_how_old_the_servers_report_is_stands_on_the_page(support: Client) -> None:
    known = LicenseLinkFactory(observed_at=datetime(2026, 5, 1, 10, 0, 5, tzinfo=UTC))
    assert "2026-05-01 10:00:05 UTC" in _page(support, known)
    assert "was not kept. Refresh to be sure" in _page(support, LicenseLinkFactory())
    assert "has not reported it yet" in _page(support, LicenseLinkFactory(is_new=True))


# --- the story -------------------------------------------------------------------------------------------------------


def test_a_long_story_comes_in_pages_without_gaps(support: Client) -> None:
    link = LicenseLinkFactory()
    written = [HistoryEntryFactory(link=link).pk for _ in range(2 * PER_PAGE + 3)]
    address, seen = url("licenselink", "change", link.pk), []
    query: dict[str, int] = {}
    while True:
        page = support.get(address, query).context["timeline"]
        seen += [told.entry.pk for told in page.told]
        if page.older is None:
            break
        query = {"before": page.older}
    assert seen == written[::-1]
    assert support.get(address, {"before": "abc"}).status_code == 200
    assert "There is nothing older." in support.get(address, {"before": written[0]}).content.decode()


def test_an_entry_tells_what_changed_by_which_mapping_and_what_was_said(support: Client) -> None:
    mapping = ProductMappingFactory()
    versions = [MappingVersionFactory(mapping=mapping) for _ in range(3)]
    for number, version in enumerate(versions):
        MappingVersion.objects.filter(pk=version.pk).update(saved_at=datetime(2026, 1, 1 + number, tzinfo=UTC))
    link = LicenseLinkFactory(item__mapping=mapping)
    call = {
        "at": "2026-01-02T12:00:00+00:00",
        "method": "PATCH",
        "path": "/v3/licenses/{id}",
        "status": 200,
        "ms": 12.4,
        "request_id": "req-9",
        "request": '{"suspended": true}',
        "answer": json.dumps({"key": link.key, "suspended": True}),
    }
    HistoryEntryFactory(
        link=link,
        kind="license.suspended",
        at=datetime(2026, 1, 2, 12, tzinfo=UTC),
        changes={"state": ["active", "suspended"], "expires_at": [None, "2026-02-01T00:00:00+00:00"]},
        calls=[call],
    )
    page = _page(support, link)
    for expected in (
        f"{url('productmapping', 'change', mapping.pk)}#version-2",
        "PATCH /v3/licenses/{id}",
        "req-9",
        "&quot;suspended&quot;: true",
        link.masked_key,
        "2026-02-01 00:00 UTC",
        "<td>never</td>",
    ):
        assert expected in page, expected
    assert link.key not in page


def test_an_entry_older_than_the_mapping_names_no_version(support: Client) -> None:
    link = LicenseLinkFactory(item__mapping=MappingVersionFactory().mapping)
    HistoryEntryFactory(link=link, at=datetime(2020, 1, 1, tzinfo=UTC))
    (told,) = support.get(url("licenselink", "change", link.pk)).context["timeline"].told
    assert (told.version, told.has_details) == (None, False)


# --- the rest of the page --------------------------------------------------------------------------------------------


def test_a_wanted_value_leads_to_the_mapping_it_comes_from(support: Client) -> None:
    mapping = ProductMappingFactory()
    link = LicenseLinkFactory(item__mapping=mapping)
    lines = {line.label: line for line in support.get(url("licenselink", "change", link.pk)).context["comparison"]}
    assert lines["License product"].origin_url == url("productmapping", "change", mapping.pk)
    assert lines["State"].origin_url == ""


def test_the_explanation_for_the_customer_stands_on_the_page(support: Client) -> None:
    wanted = to_json(DesiredLicense(state=LicenseState.SUSPENDED, server="cryptlex", product_id="prod-1"))
    link = LicenseLinkFactory(state="suspended", desired=wanted, reason="The subscription is paused.")
    assert "Please resume the subscription" in _page(support, link)


def test_the_lists_filters_find_overrides(staff: Client) -> None:
    soon = LicenseLinkFactory(override_state="active", override_until=timezone.now() + timedelta(days=3))
    later = LicenseLinkFactory(override_state="active", override_until=timezone.now() + timedelta(days=30))
    LicenseLinkFactory(override_until=timezone.now() - timedelta(days=1))
    LicenseLinkFactory()
    for filters, expected in (({"override": "any"}, {soon, later}), ({"attention": "override"}, {soon})):
        answer = staff.get(url("licenselink", "changelist"), filters)
        assert set(answer.context["cl"].result_list) == expected


def test_a_page_of_no_license_leads_back(support: Client) -> None:
    for address in (url("licenselink", "change", 999), url("licenselink", "resync", 999)):
        assert support.get(address)["Location"] == "/admin/"
    for name in ("reveal", "refresh"):
        assert support.post(url("licenselink", name, 999))["Location"] == "/admin/"


def test_a_deleted_license_is_not_called_one_that_is_still_to_come(support: Client) -> None:
    link = LicenseLinkFactory(external_id="", observed=None, state="absent", desired__state="absent")
    page = _page(support, link)
    assert "no license yet" not in page
    assert "The license was deleted on cryptlex." in page


# --- following what a worker does ------------------------------------------------------------------------------------


def _next_look(client: Client, link: LicenseLink, **query: str) -> int:
    found: int = client.get(url("licenselink", "change", link.pk), query).context["next_look"]
    return found


def test_the_page_follows_a_pending_license_for_a_minute(support: Client) -> None:
    link = LicenseLinkFactory(is_new=True)
    page = _page(support, link)
    assert f'hx-get="{url("licenselink", "change", link.pk)}?look=1"' in page
    assert "This page follows by itself" in page
    assert [_next_look(support, link, look=look) for look in ("1", "29", "30", "x")] == [2, 30, 0, 1]
    assert _next_look(support, link, before="5") == 0
    settled = _page(support, LicenseLinkFactory())
    assert "hx-get=" not in settled.split('id="content-main"')[1]


def test_the_page_follows_what_was_just_asked_for_before_a_worker_begins(support: Client) -> None:
    link = LicenseLinkFactory()
    HistoryEntryFactory(link=link, kind="license.overridden", at=timezone.now() - timedelta(minutes=2))
    assert _next_look(support, link) == 0
    HistoryEntryFactory(link=link, kind="license.overridden", at=timezone.now())
    assert _next_look(support, link) == 1
    HistoryEntryFactory(link=link, kind="license.renewed", at=timezone.now())
    assert _next_look(support, link) == 0


def test_the_page_does_not_follow_what_is_tried_again_later(support: Client) -> None:
    later = LicenseLinkFactory(sync_state="pending", retry_at=timezone.now() + timedelta(hours=1))
    soon = LicenseLinkFactory(sync_state="pending", retry_at=timezone.now() + timedelta(seconds=20))
    assert [_next_look(support, link) for link in (later, soon)] == [0, 1]


def test_a_page_with_a_whole_key_does_not_follow(support: Client) -> None:
    link = LicenseLinkFactory(sync_state="pending")
    answer = support.post(url("licenselink", "reveal", link.pk))
    assert link.key in answer.content.decode()
    assert answer.context["next_look"] == 0


# --- what a reader meets first ---------------------------------------------------------------------------------------


def test_a_license_that_was_refused_says_so_first(support: Client) -> None:
    refused = {"sync_state": "attention", "failure_mode": "permanent", "failure_message": "There is no such plan."}
    page = _page(support, LicenseLinkFactory(is_new=True, **refused))
    assert '<p class="li-why">Not issued: There is no such plan.</p>' in page
    assert page.count("There is no such plan.") == 1
    assert '<p class="li-why">The order is paid.</p>' in _page(support, LicenseLinkFactory(**refused))


def test_an_override_that_outlasts_the_license_is_warned_of(support: Client) -> None:
    until = timezone.now() + timedelta(days=90)
    link = LicenseLinkFactory(override_state="active", override_until=until)
    warning = "The license expires before the override ends"
    assert warning not in _page(support, link)
    link.desired |= {"expiry": "paid_through", "expires_at": (until - timedelta(days=9)).isoformat()}
    link.save()
    assert warning in _page(support, link)


def test_the_zone_of_the_times_is_named_once(support: Client) -> None:
    link = LicenseLinkFactory()
    HistoryEntryFactory.create_batch(3, link=link)
    assert _page(support, link).count("data-zone-name") == 1


def test_fields_left_to_the_template_are_folded_and_come_last(support: Client) -> None:
    link = LicenseLinkFactory()
    page = _page(support, link)
    left = [row.is_left for row in compare(link)]
    assert left == sorted(left)
    assert f"{sum(left)} fields left to the license template</summary>" in page
    assert page.index("Licensed to") < page.index("left to the license template") < page.index("Floating seats")
    assert "from: " in page


def test_a_product_is_shown_by_its_name_where_that_is_known(support: Client) -> None:
    link = LicenseLinkFactory()
    lists = choices.ServerLists(products=[ServerProduct(id="prod-1", name="Photon")])
    (before,) = [row.wanted for row in compare(link) if row.label == "License product"]
    cache.set(choices._server_key(link.server), lists)
    try:
        (row,) = [row for row in compare(link) if row.label == "License product"]
    finally:
        cache.delete(choices._server_key(link.server))
    assert (before, row.wanted, row.reported, row.is_different) == (
        "prod-1",
        "Photon (prod-1)",
        "Photon (prod-1)",
        False,
    )


def test_of_a_license_that_is_gone_the_server_reports_that_there_is_none(staff: Client) -> None:
    page = _page(staff, LicenseLinkFactory(state="absent", observed=None, observed_at=timezone.now()))
    assert page.count("no license there") == 1
    assert "not reported yet" not in page


def test_a_license_without_an_end_says_never_in_the_list_and_on_its_page(staff: Client) -> None:
    link = LicenseLinkFactory(state="suspended")
    assert ">never<" in staff.get(url("licenselink", "changelist")).content.decode()
    assert "<dd>never</dd>" in _page(staff, link)


@pytest.mark.parametrize(
    ("values", "expiry", "said"),
    [
        ({"expires_at": datetime(2031, 7, 2, tzinfo=UTC)}, "paid_through", "2031-07-02 00:00 UTC</time>"),
        ({}, "perpetual", "never"),
        ({}, "template", "no end date"),  # it may still end, such as 30 days after its first activation
        ({"is_new": True}, "perpetual", "–"),
        ({"state": "absent"}, "perpetual", "–"),  # its server has it no more
    ],
)
def test_every_page_says_in_the_same_words_when_a_license_expires(
    support: Client, values: dict[str, Any], expiry: str, said: str
) -> None:
    link = LicenseLinkFactory(**values)
    link.desired |= {"expiry": expiry, "valid_duration": "30d"}
    link.save()
    PurchaseFactory(customer_email=link.purchase.customer_email)  # else the search would lead to the one there is
    found = support.get("/admin/search/", {"q": link.purchase.customer_email}).content.decode()
    pages = [
        support.get(url("licenselink", "changelist")).content.decode().split('class="field-expires')[1],
        _page(support, link).split("<dt>Expires</dt>")[1],
        support.get(url("purchase", "change", link.purchase_id)).content.decode().split('data-label="Expires">')[1],
        found.split('<td class="li-nowrap">')[1],
    ]
    assert [page.split("</td>")[0].split("</dd>")[0].endswith(said) for page in pages] == [True] * 4


@pytest.mark.parametrize(("expiry", "said"), [("perpetual", "never"), ("template", "no end date")])
def test_without_an_end_date_a_license_is_endless_only_where_that_is_wanted(expiry: str, said: str, db: None) -> None:
    link = LicenseLinkFactory()
    link.desired |= {"expiry": expiry}
    assert [row.reported for row in compare(link) if row.label == "Expires"] == [said]


def test_list_page_and_filter_say_in_the_same_words_whether_it_is_in_step(staff: Client) -> None:
    words = {"settled": "as wanted", "pending": "being changed", "attention": "waits for a person"}
    links = {state: LicenseLinkFactory(sync_state=state) for state in words}
    for state, said in words.items():
        answer = staff.get(url("licenselink", "changelist"), {"sync_state": state})
        assert list(answer.context["cl"].result_list) == [links[state]]
        assert f">{said}</span>" in answer.content.decode()
        assert said.capitalize() in answer.content.decode()
        assert f">{said}</span>" in _page(staff, links[state])


def test_a_license_without_a_key_is_called_so(staff: Client) -> None:
    link = LicenseLinkFactory(is_new=True, sync_state="attention")
    assert "License without a key of" in _page(staff, link)
    asked = staff.get(url("licenselink", "issue-again", link.pk)).content.decode()
    assert "Forgotten here: license without a key." in asked


def test_the_purchase_is_named_with_a_capital(support: Client) -> None:
    link = LicenseLinkFactory()
    name = str(link.purchase)
    assert f">{name[0].upper()}{name[1:]}</a>" in _page(support, link)


def test_the_override_form_says_in_the_readers_zone_until_when_the_license_is_wanted(staff: Client) -> None:
    wanted = {"state": "active", "expires_at": "2031-07-01T10:30:00+00:00"}
    link = LicenseLinkFactory(reason="Paid <b>for</b>.")
    link.desired |= wanted
    link.save()
    page = staff.get(url("licenselink", "override", link.pk)).content.decode()
    assert 'Wanted now: active, until <time datetime="2031-07-01T10:30:00Z"' in page
    assert "Paid &lt;b&gt;for&lt;/b&gt;." in page


def test_a_disputed_purchase_is_called_so_beside_its_status(support: Client) -> None:
    disputed, quiet = (LicenseLinkFactory(item__purchase=PurchaseFactory(is_disputed=is_it)) for is_it in (True, False))
    label = '<span class="li-tag li-danger">Disputed</span>'
    assert label in _page(support, disputed)
    assert label not in _page(support, quiet)


def test_the_list_shows_what_the_license_server_said(staff: Client) -> None:
    sentence = f"LicenseSpring refused: no product with the code photon-editor-2. {'Very long. ' * 20}".strip()
    LicenseLinkFactory(sync_state="attention", failure_mode="permanent", failure_message=sentence)
    LicenseLinkFactory(question="A refund of 3.00 fits no number of units.")
    page = staff.get(url("licenselink", "changelist")).content.decode()
    assert f'title="{sentence}">LicenseSpring refused: no product' in page
    assert page.count(sentence) == 1
    assert ">A refund of 3.00 fits no number of units.</span>" in page
