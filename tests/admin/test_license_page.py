"""A license's page beyond its buttons: the key, sending it again, dates, asking the server, the story."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from licensing_integration.admin.history import PER_PAGE
from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.outcomes import LicenseState
from licensing_integration.domain.wording import format_moment
from licensing_integration.models import AuditEntry, HistoryEntry, KeyMail, LicenseLink, MappingVersion
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.services.codec import to_json
from tests.admin.conftest import ROLES, url
from tests.factories import (
    HistoryEntryFactory,
    LicenseLinkFactory,
    MappingVersionFactory,
    ProductMappingFactory,
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
    assert support.post(url("licenselink", "copy", LicenseLinkFactory(is_new=True).pk)).status_code == 404
    assert not HistoryEntry.objects.exists()


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
    ids = ",".join(str(link.pk) for link in links)
    staff.post(url("licenselink", "resend_many"), {**REASON, "ids": ids, "address": ""})
    assert {mail.address for mail in KeyMail.objects.all()} == {link.purchase.customer_email for link in links}


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
    assert f"until {format_moment(meant)}" in answer.content.decode()


def test_an_override_is_looked_at_before_it_is_set(staff: Client) -> None:
    link = LicenseLinkFactory()
    bought = {"line": link.item.line, "product": link.item.product, "quantity": 1}
    link.purchase.state |= {"items": {link.item.line: bought}}
    link.purchase.save()
    data = {**REASON, "state": "suspended", "until": "2031-07-01T12:30", "zone": "Europe/Berlin", "foresee": "1"}
    page = staff.post(url("licenselink", "override", link.pk), data).content.decode()
    assert "The plan wins again on 1 July 2031 10:30 UTC." in page
    assert "active → suspended" in page
    link.refresh_from_db()
    assert (link.override_state, link.override_until) == ("", None)
    assert not HistoryEntry.objects.exists()
    assert "required" in staff.post(url("licenselink", "override", link.pk), {"foresee": "1"}).content.decode()


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


def test_the_page_of_one_entry_shows_what_is_behind_it(support: Client) -> None:
    entry = HistoryEntryFactory(link=LicenseLinkFactory(), changes={"state": ["active", "suspended"]})
    page = support.get(url("historyentry", "change", entry.pk)).content.decode()
    assert "<td>suspended</td>" in page


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
    for value, expected in (("any", {soon, later}), ("week", {soon})):
        answer = staff.get(url("licenselink", "changelist"), {"override": value})
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
