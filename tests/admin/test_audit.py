"""The audit shows who did what, to what and why, filtered through indexes, and as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from licensing_integration.models import AuditEntry, LicenseLink
from licensing_integration.services import audit, search
from tests.admin.conftest import url
from tests.admin.statistics import forget_statistics
from tests.factories import (
    HistoryEntryFactory,
    LicenseLinkFactory,
    ProductMappingFactory,
    PurchaseFactory,
    PurchaseItemFactory,
    UserFactory,
    WebhookEventFactory,
)

LIST = "auditentry"


def _record(sentence: str, *, action: str = "license.resync", days_ago: float = 0, **values: Any) -> AuditEntry:
    entry = audit.record(action, sentence, **{"user_id": None, **values})
    AuditEntry.objects.filter(pk=entry.pk).update(at=timezone.now() - timedelta(days=days_ago))
    return entry


def _shown(client: Client, **filters: object) -> list[str]:
    answer = client.get(url(LIST, "changelist"), filters)
    return [entry.sentence for entry in answer.context["cl"].result_list]


def test_an_entry_says_who_did_what_to_what_and_why(staff: Client) -> None:
    person = UserFactory(username="nora")
    subjects: dict[str, Any] = {
        "link": LicenseLinkFactory(key="ABC-123456"),
        "purchase": PurchaseFactory(),
        "event": WebhookEventFactory(),
        "mapping": ProductMappingFactory(),
    }
    for name, subject in subjects.items():
        _record(f"Did it to the {name}.", user_id=person.pk, reason=f"For the {name}.", **{name: subject})
    page = staff.get(url(LIST, "changelist")).content.decode()
    for name, subject in subjects.items():
        assert f"Did it to the {name}." in page
        assert f"For the {name}." in page
        assert url(subject._meta.model_name, "change", subject.pk) in page
    assert page.count("nora") >= 4
    assert "license …123456" in page
    assert "ABC-123456" not in page


def test_the_newest_come_first(staff: Client) -> None:
    _record("First.")
    _record("Second.")
    assert _shown(staff) == ["Second.", "First."]


def test_the_audit_is_filtered_by_person_action_and_date(staff: Client) -> None:
    nora = UserFactory(username="nora")
    _record("Long ago.", days_ago=40, user_id=nora.pk)
    _record("Last week.", days_ago=5, user_id=nora.pk, action="license.overridden")
    _record("By a command.", days_ago=0.5)
    assert _shown(staff, person=nora.pk) == ["Last week.", "Long ago."]
    assert _shown(staff, person="none") == ["By a command."]
    assert _shown(staff, action="license.overridden") == ["Last week."]
    assert _shown(staff, days="1") == ["By a command."]
    assert _shown(staff, days="7", person=nora.pk) == ["Last week."]
    assert _shown(staff, days="30") == ["By a command.", "Last week."]
    assert len(_shown(staff, days="all")) == len(_shown(staff, person="' OR 1=1")) == 3


def test_the_filters_offer_what_there_is(staff: Client) -> None:
    _record("One.", user_id=UserFactory(username="nora").pk, action="license.key_revealed")
    _record("Two.", action="event.replay")
    page = staff.get(url(LIST, "changelist")).content.decode()
    assert (audit.actions(), len(audit.user_ids())) == (["event.replay", "license.key_revealed"], 1)
    for text in ("License: key revealed", "Event: replay", ">nora<", "Nobody signed in"):
        assert text in page


@pytest.fixture
def audited(db: None) -> LicenseLink:
    """One of two licenses of a purchase with an event, and entries about all of them and about others."""
    purchase = PurchaseFactory(customer_email="ava@example.com", reference="ACM1")
    item = PurchaseItemFactory(purchase=purchase, display="Photon Editor")
    first, second = LicenseLinkFactory(item=item, key="ABC-123456"), LicenseLinkFactory(item=item, unit=2, key="")
    event = WebhookEventFactory(external_id="evt-1")
    HistoryEntryFactory(link=first, event=event)
    _record("To the first.", link=first)
    _record("To the second.", link=second)
    _record("To the purchase.", purchase=purchase)
    _record("To the event.", event=event)
    _record("To another.", link=LicenseLinkFactory())
    _record("To another.", purchase=PurchaseFactory())
    _record("To another.", event=WebhookEventFactory())
    _record("To nothing.")
    return first


@pytest.mark.parametrize(
    ("term", "shown"),
    [
        ("ava@example.com", ["event", "purchase", "second", "first"]),
        ("ACM1", ["event", "purchase", "second", "first"]),
        ("ABC-123456", ["event", "purchase", "first"]),
        ("123456", ["event", "purchase", "first"]),
        ("evt-1", ["event"]),
        ("nobody@example.com", []),
    ],
)
def test_the_audit_is_asked_about_a_customer_a_license_or_an_event(
    term: str, shown: list[str], audited: LicenseLink, staff: Client, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(12):
        assert _shown(staff, q=term) == [f"To the {name}." for name in shown]
    assert _shown(staff, q=term, action="license.overridden") == []
    rows = staff.post(f"{url(LIST, 'export')}?q={term}").content.decode().splitlines()
    assert len(rows) == len(shown) + 1


def test_only_the_newest_entries_are_found_where_there_are_too_many(
    audited: LicenseLink, staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_FOUND", 2)
    assert _shown(staff, q="ABC-123456") == ["To the event.", "To the purchase."]


def test_a_license_without_a_key_is_named_by_its_product_and_order(audited: LicenseLink, staff: Client) -> None:
    page = staff.get(url(LIST, "changelist"), {"q": "ACM1"}).content.decode()
    assert f"license without a key for Photon Editor of {audited.purchase}</a>" in page


@pytest.mark.parametrize("number", [0, 1, 2, 3, 10, 33])
def test_the_first_entry_since_a_moment_is_found_whatever_ids_are_missing(number: int, db: None) -> None:
    entries = [_record(str(age), days_ago=100 - age) for age in range(number)]
    AuditEntry.objects.filter(sentence__in=["1", "5", "6", "7", "8", "20"])._raw_delete("default")  # type: ignore[attr-defined]
    left = AuditEntry.objects.order_by("id")
    for age in range(number + 1):
        since = timezone.now() - timedelta(days=100.5 - age)
        found = list(left.filter(pk__gte=audit.first_id_since(since)))
        assert found == [entry for entry in entries if entry in left and int(entry.sentence) >= age]


@pytest.mark.parametrize(
    "query",
    [
        *("", "?person=1", "?person=none", "?action=license.resync", "?days=7", "?person=1&days=7"),
        *("?q=ava@example.com", "?q=123456", "?q=evt-1"),
    ],
)
def test_no_filter_and_no_search_reads_the_whole_audit(
    query: str, audited: LicenseLink, staff: Client, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(12), CaptureQueriesContext(connection) as queries:
        assert staff.get(url(LIST, "changelist") + query).status_code == 200
    with connection.cursor() as cursor:
        forget_statistics(cursor)
        for way in ("seqscan", "bitmapscan", "sort"):  # no harm in a small table, but not to be needed
            cursor.execute(f"SET LOCAL enable_{way} = off")
        for query_made in queries.captured_queries:
            if "_auditentry" in query_made["sql"]:
                cursor.execute(f"EXPLAIN {query_made['sql']}")
                plan = "\n".join(row[0] for row in cursor.fetchall())
                assert "Seq Scan on licensing_integration_auditentry" not in plan
                # PostgreSQL sorts what is null; and what is found, which is little.
                assert "Sort Key" not in plan or query == "?person=none" or "?q=" in query, plan


def test_what_the_list_shows_is_exported_and_that_is_kept_too(staff: Client) -> None:
    link = LicenseLinkFactory(key="ABC-123456")
    _record("Before.", days_ago=50)
    _record("=1+1", link=link, reason=" \n@cmd", action="license.overridden")
    answer = staff.post(f"{url(LIST, 'export')}?days=7")
    header, *rows = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert header == ["at (UTC)", "who", "action", "what", "to what", "why"]
    assert [row[1:] for row in rows] == [["command line", "license.overridden", "'=1+1", "license …123456", "' \n@cmd"]]
    kept = AuditEntry.objects.get(action="audit.exported")
    assert (kept.sentence, kept.user) == ("Exported 1 entry of the audit.", staff.user)  # type: ignore[attr-defined]


def test_exporting_needs_a_button_and_never_reads_without_end(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("licensing_integration.admin.audit.MOST_EXPORTED", 2)
    for number in range(3):
        _record(str(number))
    assert f'action="{url(LIST, "export")}?action=license.resync"' in staff.get(
        url(LIST, "changelist"), {"action": "license.resync"}
    ).content.decode().replace("&amp;", "&")
    assert staff.get(url(LIST, "export")).status_code == 405
    assert staff.post(url(LIST, "export")).status_code == 200
    assert staff.post(f"{url(LIST, 'export')}?key__startswith=A").status_code in {302, 400}


def test_an_export_that_is_cut_says_so_in_the_file_and_in_the_audit(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("licensing_integration.admin.audit.MOST_EXPORTED", 2)
    _record("First.")
    _record("Second.")
    rows = list(csv.reader(io.StringIO(staff.post(url(LIST, "export")).content.decode("utf-8-sig"))))
    assert [row[3] for row in rows[1:]] == ["Second.", "First."]
    answer = staff.post(f"{url(LIST, 'export')}?days=7")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row[3][:37] for row in rows[2:]] == ["Second.", "Only the newest 2 entries are in this"]
    sentences = AuditEntry.objects.filter(action="audit.exported").order_by("id").values_list("sentence", flat=True)
    assert list(sentences) == ["Exported 2 entries of the audit.", "Exported the newest 2 entries of the audit."]


def test_an_entry_has_no_page_and_leads_to_what_it_speaks_of(staff: Client) -> None:
    link = LicenseLinkFactory()
    about_it, about_nothing = _record("One.", link=link), _record("Two.")
    assert staff.get(url(LIST, "change", about_it.pk))["Location"] == url("licenselink", "change", link.pk)
    assert staff.get(url(LIST, "change", about_nothing.pk))["Location"] == url(LIST, "changelist")


def test_an_empty_audit_says_so(staff: Client) -> None:
    page = staff.get(url(LIST, "changelist")).content.decode()
    assert "Nobody has done anything here yet" in page
    assert "Export as CSV" not in page


def test_support_does_not_see_the_audit(support: Client, client_of: Callable[[str], Client]) -> None:
    assert support.get(url(LIST, "changelist")).status_code == 403
    assert client_of("Owner").get(url(LIST, "changelist")).status_code == 200
