"""Who may see and press what: every page and action for every role."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from licensing_integration.models import HistoryEntry, LicenseLink, ProductMapping, Purchase, WebhookEvent
from tests.admin.conftest import ROLES, url
from tests.factories import (
    HistoryEntryFactory,
    LicenseLinkFactory,
    ProductMappingFactory,
    PurchaseFactory,
    UserFactory,
    WebhookEventFactory,
)

VIEWERS = {"viewer", "Support", "Staff", "Owner", "superuser"}
SUPPORT = {"Support", "Staff", "Owner", "superuser"}
STAFF = {"Staff", "Owner", "superuser"}
OWNER = {"Owner", "superuser"}
SUPERUSER = {"superuser"}
NOBODY: set[str] = set()

REASON = {"reason": "because"}


@pytest.fixture
def rows(db: None) -> dict[str, Any]:
    """One row of each kind, such that every action is possible."""
    purchase = PurchaseFactory(attention="Look at this.", is_disputed=True)
    link = LicenseLinkFactory(
        item__purchase=purchase,
        sync_state="attention",
        failure_mode="permanent",
        failure_message="The license no longer exists.",
        override_state="suspended",
        override_until=timezone.now() + timedelta(days=1),
    )
    event = WebhookEventFactory(state="failed")
    entry = HistoryEntryFactory(link=link, event=event)
    return {
        "purchase": purchase,
        "licenselink": link,
        "webhookevent": event,
        "historyentry": entry,
        "productmapping": ProductMappingFactory(),
    }


PAGES = [
    *[(model, "changelist", VIEWERS) for model in ("purchase", "licenselink", "webhookevent", "historyentry")],
    *[(model, "change", VIEWERS) for model in ("purchase", "licenselink", "webhookevent", "historyentry")],
    *[(model, "add", NOBODY) for model in ("purchase", "licenselink", "webhookevent", "historyentry")],
    *[(model, "delete", NOBODY) for model in ("purchase", "licenselink", "webhookevent", "historyentry")],
    ("productmapping", "changelist", VIEWERS),
    ("productmapping", "change", VIEWERS),
    ("productmapping", "add", STAFF),
    ("productmapping", "delete", SUPERUSER),
    ("webhookevent", "replay", SUPPORT),
    ("purchase", "plan", SUPPORT),
    ("purchase", "acknowledge", SUPPORT),
    ("purchase", "close-disputes", STAFF),
    ("licenselink", "resync", SUPPORT),
    ("licenselink", "override", STAFF),
    ("licenselink", "end-override", STAFF),
    ("licenselink", "issue-again", STAFF),
]
WITHOUT_ROW = {"changelist", "add"}


@pytest.mark.parametrize("role", ROLES)
def test_every_page_opens_for_those_who_may_and_for_nobody_else(
    role: str, rows: dict[str, Any], client_of: Callable[[str], Client]
) -> None:
    client = client_of(role)
    for model, what, allowed in PAGES:
        address = url(model, what, *([] if what in WITHOUT_ROW else [rows[model].pk]))
        assert client.get(address).status_code == _expected(role, allowed), address


def _expected(role: str, allowed: set[str]) -> int:
    if role == "anonymous":
        return 302
    return 200 if role in allowed else 403


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("name", "allowed"), [("search", VIEWERS), ("attention", VIEWERS)])
def test_search_and_attention_are_for_whoever_may_look(
    role: str, name: str, allowed: set[str], client_of: Callable[[str], Client]
) -> None:
    assert client_of(role).get(reverse(f"admin:{name}")).status_code == _expected(role, allowed)


POSTS = [
    ("webhookevent", "replay", {}, SUPPORT, "purchase.none"),
    ("purchase", "plan", REASON, SUPPORT, "purchase.plan_again"),
    ("purchase", "acknowledge", REASON, SUPPORT, "purchase.acknowledged"),
    ("purchase", "close-disputes", REASON, STAFF, "purchase.dispute_closed"),
    ("licenselink", "resync", REASON, SUPPORT, "license.resync"),
    ("licenselink", "reveal", {}, SUPPORT, "license.key_revealed"),
    (
        "licenselink",
        "override",
        {**REASON, "state": "suspended", "until": "2999-01-01T00:00"},
        STAFF,
        "license.overridden",
    ),
    ("licenselink", "end-override", REASON, STAFF, "license.override_ended"),
    ("licenselink", "issue-again", REASON, STAFF, "license.issue_again"),
]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("model", "what", "data", "allowed", "kind"), POSTS, ids=[f"{p[0]}-{p[1]}" for p in POSTS])
def test_every_button_works_for_those_who_may_and_for_nobody_else(
    role: str,
    model: str,
    what: str,
    data: dict[str, str],
    allowed: set[str],
    kind: str,
    rows: dict[str, Any],
    client_of: Callable[[str], Client],
    queued: Callable[[], list[Any]],
) -> None:
    answer = client_of(role).post(url(model, what, rows[model].pk), data)
    has_acted = HistoryEntry.objects.filter(kind=kind).exists() or bool(queued())
    assert has_acted == (role in allowed)
    if role not in allowed:
        assert answer.status_code == (302 if role == "anonymous" else 403)


@pytest.mark.parametrize("role", ROLES)
def test_replaying_many_is_for_staff_and_above(
    role: str, rows: dict[str, Any], client_of: Callable[[str], Client], queued: Callable[[], list[Any]]
) -> None:
    client = client_of(role)
    chosen = {"action": "replay_selected", "_selected_action": [rows["webhookevent"].pk]}
    asked = client.post(url("webhookevent", "changelist"), chosen)
    assert (b"Replay 1 event" in asked.content) == (role in STAFF)
    answer = client.post(url("webhookevent", "replay_many"), {"ids": str(rows["webhookevent"].pk)})
    assert bool(queued()) == (role in STAFF)
    if role not in STAFF:
        assert answer.status_code == (302 if role == "anonymous" else 403)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("action", "allowed"), [("deactivate_selected", STAFF)])
def test_deactivating_mappings_is_for_staff_and_above(
    role: str, action: str, allowed: set[str], rows: dict[str, Any], client_of: Callable[[str], Client]
) -> None:
    mapping = rows["productmapping"]
    client_of(role).post(url("productmapping", "changelist"), {"action": action, "_selected_action": [mapping.pk]})
    mapping.refresh_from_db()
    assert mapping.is_active == (role not in allowed)


@pytest.mark.parametrize("role", ROLES)
def test_checking_a_mapping_is_for_whoever_may_look(
    role: str, rows: dict[str, Any], client_of: Callable[[str], Client]
) -> None:
    client = client_of(role)
    mapping = rows["productmapping"]
    ProductMapping.objects.update(is_license_needed=False)  # then nobody has to be asked
    answer = client.post(url("productmapping", "check", mapping.pk))
    if role in VIEWERS:
        assert b"nothing wrong was found" in client.get(answer["Location"]).content
    else:
        assert answer.status_code == (302 if role == "anonymous" else 403)


@pytest.mark.parametrize("role", ["no group", "viewer", "Support"])
def test_a_mapping_cannot_be_saved_without_the_permission(
    role: str, rows: dict[str, Any], client_of: Callable[[str], Client]
) -> None:
    mapping = rows["productmapping"]
    answer = client_of(role).post(url("productmapping", "change", mapping.pk), {"store_product": "other"})
    assert answer.status_code == 403
    mapping.refresh_from_db()
    assert mapping.store_product != "other"


@pytest.mark.parametrize("model", ["purchase", "licenselink", "webhookevent", "historyentry"])
def test_not_even_superusers_add_edit_or_delete_what_happened(
    model: str, rows: dict[str, Any], client_of: Callable[[str], Client]
) -> None:
    client, row = client_of("superuser"), rows[model]
    before = [m.objects.count() for m in (Purchase, LicenseLink, WebhookEvent, HistoryEntry)]
    assert client.post(url(model, "add"), {}).status_code == 403
    assert client.post(url(model, "change", row.pk), {"status": "ended", "state": "revoked"}).status_code == 405
    assert client.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    client.post(url(model, "changelist"), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert [m.objects.count() for m in (Purchase, LicenseLink, WebhookEvent, HistoryEntry)] == before


def test_mappings_cannot_be_deleted_by_the_list_not_even_by_superusers(client_of: Callable[[str], Client]) -> None:
    mapping = ProductMappingFactory()
    data = {"action": "delete_selected", "_selected_action": [mapping.pk], "post": "yes"}
    client_of("superuser").post(url("productmapping", "changelist"), data)
    assert ProductMapping.objects.filter(pk=mapping.pk).exists()


@pytest.mark.parametrize("role", ROLES)
def test_users_and_groups_are_for_owners(role: str, client_of: Callable[[str], Client]) -> None:
    client = client_of(role)
    other = UserFactory()
    for address in (
        reverse("admin:auth_user_changelist"),
        reverse("admin:auth_user_change", args=[other.pk]),
        reverse("admin:auth_group_changelist"),
    ):
        assert client.get(address).status_code == _expected(role, OWNER), address


def test_aliases_items_and_versions_have_no_pages_of_their_own(client_of: Callable[[str], Client]) -> None:
    client = client_of("superuser")
    for model in ("purchasealias", "purchaseitem", "mappingversion", "licensinguser", "requestbudget"):
        assert client.get(f"/admin/licensing_integration/{model}/").status_code == 404


def test_a_page_shows_only_the_buttons_one_may_press(rows: dict[str, Any], client_of: Callable[[str], Client]) -> None:
    address = url("licenselink", "change", rows["licenselink"].pk)
    for_support = client_of("Support").get(address).content.decode()
    assert "/resync/" in for_support
    assert "/reveal/" in for_support
    assert "/override/" not in for_support
    assert "/issue-again/" not in for_support
    for_staff = client_of("Staff").get(address).content.decode()
    assert "/override/" in for_staff
    assert "/issue-again/" in for_staff


def test_roles_are_made_once_and_mended(client_of: Callable[[str], Client]) -> None:
    from licensing_integration.services.roles import sync_roles

    client_of("Support")
    member = get_user_model().objects.get(username="support")
    assert sync_roles() == []
    group = Group.objects.get(name="Support")
    group.permissions.clear()
    assert sync_roles() == ["Support"]
    assert group.permissions.filter(codename="view_licenselink").exists()
    assert list(member.groups.all()) == [group]


@pytest.mark.django_db
def test_the_command_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    from django.core.management import call_command

    call_command("sync_roles")
    assert capsys.readouterr().out.splitlines() == ["Support: updated", "Staff: updated", "Owner: updated"]
    call_command("sync_roles")
    assert "Owner: up to date" in capsys.readouterr().out
