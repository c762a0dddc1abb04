"""Who may open and press what: one table of every address of the console, GET and POST, for every role.

An address that the table lacks fails the first test, so no new page can be forgotten.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection, transaction
from django.forms.models import model_to_dict
from django.test import Client
from django.urls import URLPattern
from django.utils import timezone
from pytest_django import Settings

from licensing_integration.domain.outcomes import ReplayState
from licensing_integration.models import (
    AuditEntry,
    BulkReplay,
    HistoryEntry,
    LicenseLink,
    ProductMapping,
    Purchase,
    WebhookEvent,
)
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.services.roles import sync_roles
from tests.admin.conftest import ROLES, url
from tests.factories import (
    LicenseLinkFactory,
    MappingVersionFactory,
    ProductMappingFactory,
    PurchaseFactory,
    RejectedDeliveryFactory,
    UserFactory,
    WebhookEventFactory,
)

# Support reads, replays one, resyncs, resends; Staff also mappings, overrides, bulk; Owner also users, connections,
# erase. A viewer is somebody with all ``view_`` permissions of ours and no others.
NOBODY: frozenset[str] = frozenset()
SUPERUSER = frozenset({"superuser"})
OWNER = SUPERUSER | {"Owner"}
STAFF = OWNER | {"Staff"}
SUPPORT = STAFF | {"Support"}
VIEWERS = SUPPORT | {"viewer"}
PEOPLE = VIEWERS | {"no group"}  # whoever may enter the console

OK, FOUND, FORBIDDEN, MISSING, WRONG_METHOD = 200, 302, 403, 404, 405
REASON = {"reason": "because"}


@dataclass(frozen=True, kw_only=True)
class Page:
    """Who gets an address and who may post to it, and what both answer to them; everybody else gets 403, and whoever is
    not signed in is sent to sign in. ``told``: the action that the audit keeps after a POST; empty for a POST that
    changes nothing. ``data``: what is posted; ``{link}`` and the like are the ids of rows."""

    get: frozenset[str]
    gets: int = OK
    post: frozenset[str]
    posts: int = FOUND
    told: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    anonymous: int = FOUND


def _shown(get: frozenset[str], **rest: Any) -> Page:
    """A page to look at: whoever may, may post to it as well, and nothing comes of that."""
    return Page(get=get, post=get, **{"posts": OK, **rest})


def _closed() -> Page:
    return Page(get=NOBODY, post=NOBODY)


def _action(who: frozenset[str], told: str, **rest: Any) -> Page:
    """A confirmation page, and the deed."""
    return Page(get=who, post=who, told=told, **{"data": REASON, **rest})


def _many(who: frozenset[str], told: str, ids: str, **data: Any) -> Page:
    """The same for rows chosen in the list: only its confirmation page can be posted."""
    return Page(get=who, gets=FOUND, post=who, told=told, data={**REASON, "ids": ids, **data})


def _pressed(who: frozenset[str], told: str, **rest: Any) -> Page:
    """A button without a confirmation page."""
    return Page(get=who, post=who, told=told, **{"gets": WRONG_METHOD, **rest})


def _read_only(model: str, who: frozenset[str], **rest: Any) -> dict[str, Page]:
    """The addresses Django gives to every table, for one that nobody edits."""
    base = f"licensing_integration/{model}/"
    return {
        base: _shown(who),
        f"{base}add/": _closed(),
        f"{base}<id>/change/": Page(get=who, post=who, posts=WRONG_METHOD, **rest),
        f"{base}<id>/delete/": _closed(),
        f"{base}<id>/history/": _shown(who),
        f"{base}<id>/": _shown(PEOPLE, gets=FOUND, posts=FOUND),  # on to …/change/, which asks who it is
    }


_OVERRIDE = {**REASON, "state": "suspended", "until": "2199-01-01T00:00"}
_NEW_USER = {"username": "new", "password1": "x7!kkQpz2", "password2": "x7!kkQpz2", "usable_password": "true"}
_NEW_MAPPING = {"store": "fastspring", "store_product": "new", "is_active": "on", **REASON}
_MAPPING = "licensing_integration/productmapping/"
_EVENT = "licensing_integration/webhookevent/"
_REPLAY = "licensing_integration/bulkreplay/"
_LICENSE = "licensing_integration/licenselink/"
_PURCHASE = "licensing_integration/purchase/"
_CHECK = "connections/"

TABLE: dict[str, Page] = {
    # Start, search, signing in
    "": _shown(PEOPLE),
    "search/": _shown(VIEWERS),
    "login/": Page(get=PEOPLE, gets=FOUND, post=PEOPLE, posts=OK, anonymous=OK),  # a POST without a password fails
    "logout/": _pressed(PEOPLE, "user.signed_out", posts=OK),
    "password_change/": _shown(PEOPLE),
    "password_change/done/": Page(get=PEOPLE, post=PEOPLE, posts=WRONG_METHOD),
    "autocomplete/": Page(get=NOBODY, post=PEOPLE, posts=WRONG_METHOD),
    "jsi18n/": Page(get=PEOPLE, post=PEOPLE, posts=WRONG_METHOD),
    "r/<content_type_id>/<id>/": _shown(PEOPLE, gets=MISSING, posts=MISSING),
    "<app_label>/": _shown(PEOPLE, gets=FOUND, posts=FOUND),
    "<url>": _shown(PEOPLE, gets=MISSING, posts=MISSING),
    # Webhook log
    **_read_only("webhookevent", VIEWERS),
    **_read_only("rejecteddelivery", VIEWERS),
    **_read_only("bulkreplay", STAFF | {"viewer"}),
    f"{_EVENT}<id>/replay/": _action(SUPPORT, "event.replay"),
    f"{_EVENT}<id>/set-aside/": _action(SUPPORT, "event.set_aside"),
    f"{_EVENT}many/set-aside/": _many(STAFF, "event.set_aside", "{event}"),
    f"{_EVENT}many/replay/": Page(get=NOBODY, post=NOBODY),  # bulk-replay/ takes its place
    f"{_EVENT}bulk-replay/": _many(STAFF, "event.replay_many", "{event}"),
    f"{_REPLAY}<id>/progress/": _shown(STAFF | {"viewer"}),
    f"{_REPLAY}<id>/cancel/": Page(get=STAFF, gets=FOUND, post=STAFF, told="event.replay_canceled"),
    # Purchases
    **_read_only("purchase", VIEWERS),
    f"{_PURCHASE}<id>/plan/": _action(SUPPORT, "purchase.plan_again"),
    f"{_PURCHASE}<id>/acknowledge/": _action(SUPPORT, "purchase.acknowledged"),
    f"{_PURCHASE}<id>/resend/": _action(SUPPORT, "license.resend"),
    f"{_PURCHASE}<id>/close-disputes/": _action(STAFF, "purchase.dispute_closed"),
    f"{_PURCHASE}<id>/erase/": _action(OWNER, "purchase.erased", data={**REASON, "confirmation": "ORDER-1"}),
    f"{_PURCHASE}many/plan/": _many(STAFF, "purchase.plan_again", "{purchase}"),
    f"{_PURCHASE}many/acknowledge/": _many(STAFF, "purchase.acknowledged", "{purchase}"),
    f"{_PURCHASE}many/resend/": _many(STAFF, "license.resend", "{purchase}"),
    f"{_PURCHASE}many/close-disputes/": _many(STAFF, "purchase.dispute_closed", "{purchase}"),
    f"{_PURCHASE}many/erase/": Page(get=NOBODY, post=NOBODY),  # one at a time
    # Licenses
    **_read_only("licenselink", VIEWERS),
    f"{_LICENSE}<id>/reveal/": _pressed(SUPPORT, "license.key_revealed", gets=FOUND, posts=OK),
    f"{_LICENSE}<id>/copy/": _pressed(SUPPORT, "license.key_copied", posts=OK),
    f"{_LICENSE}<id>/refresh/": _pressed(SUPPORT, "license.refreshed", gets=FOUND),
    f"{_LICENSE}<id>/resync/": _action(SUPPORT, "license.resync"),
    f"{_LICENSE}<id>/resend/": _action(SUPPORT, "license.resend"),
    f"{_LICENSE}<id>/override/": _action(STAFF, "license.overridden", data=_OVERRIDE),
    f"{_LICENSE}<id>/end-override/": _action(STAFF, "license.override_ended"),
    f"{_LICENSE}<id>/issue-again/": _action(STAFF, "license.issue_again"),
    f"{_LICENSE}many/resync/": _many(STAFF, "license.resync", "{link}"),
    f"{_LICENSE}many/resend/": _many(STAFF, "license.resend", "{link}"),
    f"{_LICENSE}many/override/": _many(STAFF, "license.overridden", "{link}", **_OVERRIDE),
    f"{_LICENSE}many/end-override/": _many(STAFF, "license.override_ended", "{link}"),
    f"{_LICENSE}many/issue-again/": _many(STAFF, "license.issue_again", "{link}"),
    # Product mappings
    _MAPPING: _shown(VIEWERS),
    f"{_MAPPING}add/": Page(get=STAFF, post=STAFF, told="mapping.saved", data=_NEW_MAPPING),
    f"{_MAPPING}<id>/change/": Page(get=VIEWERS, post=STAFF, told="mapping.saved", data=_NEW_MAPPING),
    f"{_MAPPING}<id>/delete/": Page(get=SUPERUSER, post=SUPERUSER, data={"post": "yes"}, told="mapping.deleted"),
    f"{_MAPPING}<id>/history/": _shown(VIEWERS),
    f"{_MAPPING}<id>/": _shown(PEOPLE, gets=FOUND, posts=FOUND),
    f"{_MAPPING}<id>/check/": Page(get=VIEWERS, gets=FOUND, post=VIEWERS, told="mapping.checked"),
    f"{_MAPPING}<id>/versions/": _shown(VIEWERS),
    f"{_MAPPING}<id>/versions/<number>/": _action(STAFF, "mapping.restored"),
    f"{_MAPPING}<id>/deactivate/": _action(STAFF, "mapping.deactivated"),
    f"{_MAPPING}many/deactivate/": _many(STAFF, "mapping.deactivated", "{mapping}"),
    f"{_MAPPING}choices/": _shown(STAFF),
    f"{_MAPPING}export/": _shown(VIEWERS),
    f"{_MAPPING}import/": _shown(STAFF),
    f"{_MAPPING}rehearse/": Page(get=STAFF, gets=FOUND, post=STAFF, posts=OK),
    # Connections
    _CHECK: _shown(OWNER | {"viewer"}),
    f"{_CHECK}license-servers/<name>/check/": _pressed(OWNER | {"viewer"}, "connection.checked", posts=OK),
    f"{_CHECK}stores/<name>/check/": _pressed(OWNER | {"viewer"}, "connection.checked", posts=OK),
    f"{_CHECK}stores/<name>/test-event/": _pressed(OWNER | {"viewer"}, "connection.test_event"),
    # Audit
    **_read_only("auditentry", STAFF | {"viewer"}, gets=FOUND),
    "licensing_integration/auditentry/export/": _pressed(STAFF | {"viewer"}, "audit.exported", posts=OK),
    # Users and roles
    "auth/user/": _shown(OWNER),
    "auth/user/add/": Page(get=OWNER, post=OWNER, told="user.added", data=_NEW_USER),
    "auth/user/<id>/change/": Page(
        get=OWNER, post=OWNER, told="user.changed", data={"username": "other", "is_staff": "on"}
    ),
    "auth/user/<id>/delete/": Page(get=OWNER, post=OWNER, told="user.deleted", data={"post": "yes"}),
    "auth/user/<id>/password/": Page(
        get=OWNER, post=OWNER, told="user.changed", data={**_NEW_USER, "set-password": "1"}
    ),
    "auth/user/<id>/history/": _shown(OWNER),
    "auth/user/<id>/": _shown(PEOPLE, gets=FOUND, posts=FOUND),
    "auth/group/": _shown(OWNER),
    "auth/group/add/": Page(get=SUPERUSER, post=SUPERUSER, told="role.added", data={"name": "New"}),
    "auth/group/<id>/change/": Page(get=OWNER, post=SUPERUSER, told="role.changed", data={"name": "Other"}),
    "auth/group/<id>/delete/": Page(get=SUPERUSER, post=SUPERUSER, told="role.deleted", data={"post": "yes"}),
    "auth/group/<id>/history/": _shown(OWNER),
    "auth/group/<id>/": _shown(PEOPLE, gets=FOUND, posts=FOUND),
}


# --- filling the table's addresses -----------------------------------------------------------------------------------

# The actions of a list, posted to its address: (list, action), who has it, and what the audit keeps of it. The others
# ask first and do nothing yet.
LIST_ACTIONS: dict[tuple[str, str], frozenset[str]] = {
    **{("webhookevent", name): STAFF for name in ("replay_selected", "set-aside")},
    **{("purchase", name): STAFF for name in ("plan", "acknowledge", "close-disputes", "resend")},
    **{("licenselink", name): STAFF for name in ("resync", "override", "end-override", "resend", "issue-again")},
    ("productmapping", "deactivate"): STAFF,
    ("productmapping", "check_selected"): VIEWERS,
    ("productmapping", "export_selected"): VIEWERS,
}


@pytest.fixture
def rows(db: None, settings: Settings, cryptlex: CryptlexSandbox) -> dict[str, Any]:
    """One row of each kind, such that every action is possible."""
    settings.CAN_SEND_MAIL = True
    sync_roles()
    purchase = PurchaseFactory(attention="Look at this.", is_disputed=True, external_id="ORDER-1")
    link = LicenseLinkFactory(
        item__purchase=purchase,
        sync_state="attention",
        failure_mode="permanent",
        failure_message="The license no longer exists.",
        override_state="suspended",
        override_until=timezone.now() + timedelta(days=1),
    )
    event = WebhookEventFactory(state="failed")
    user = UserFactory()
    return {
        "purchase": purchase,
        "licenselink": link,
        "webhookevent": event,
        "rejecteddelivery": RejectedDeliveryFactory(),
        "bulkreplay": BulkReplay.objects.create(event_ids=[event.pk], state=ReplayState.WAITING),
        "auditentry": AuditEntry.objects.create(action="license.resync", sentence="Resync asked for.", link=link),
        "productmapping": _mapping_with_versions(),
        "user": user,
        "group": Group.objects.create(name="Ours"),
    }


def _mapping_with_versions() -> ProductMapping:
    """``notes`` say in each version which it is; the mapping itself has none."""
    mapping = ProductMappingFactory(is_license_needed=False)
    for notes in ("first", "second"):
        MappingVersionFactory(mapping=mapping, values={**model_to_dict(mapping, exclude=["id"]), "notes": notes})
    return mapping


def _routes(patterns: Any, prefix: str = "") -> Iterator[str]:
    """Every address of the console as the table spells it."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            route = re.sub(r"\^?\(\?P<(\w+)>[^)]*\)(/?)\$", r"<\1>\2", route)
            yield re.sub(r"<(?:\w+:)?(\w+)>", r"<\1>", route).replace("<object_id>", "<id>")
        else:
            yield from _routes(pattern.url_patterns, route)


def _address(route: str, rows: dict[str, Any]) -> str:
    model = route.split("/")[1] if route.count("/") > 1 else ""
    parts = {
        "<id>": str(rows[model].pk) if model in rows else "1",
        "<number>": "1",
        "<name>": "fastspring" if "stores/" in route else "cryptlex",
        "<content_type_id>": "1",
        "<app_label>": "licensing_integration",
        "<url>": "nothing/",
    }
    return "/admin/" + re.sub(r"<\w+>", lambda found: parts[found[0]], route)


def _expected(role: str, who: frozenset[str], status: int, anonymous: int = FOUND) -> int:
    if role == "anonymous":
        return anonymous
    return status if role in who else FORBIDDEN


def _data(page: Page, rows: dict[str, Any]) -> dict[str, Any]:
    ids = {"event": rows["webhookevent"].pk, "purchase": rows["purchase"].pk, "link": rows["licenselink"].pk}
    ids |= {"mapping": rows["productmapping"].pk}
    return {name: value.format(**ids) if name == "ids" else value for name, value in page.data.items()}


def _different(got: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """Address → (what came, what should have come)."""
    return {route: (got[route], expected[route]) for route in expected if got[route] != expected[route]}


def _traces() -> tuple[Any, ...]:
    """What an action would leave behind."""
    models = (AuditEntry, HistoryEntry, Purchase, LicenseLink, WebhookEvent, ProductMapping, User, Group)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_jobs")
        (jobs,) = cursor.fetchone()
    return (jobs, *(model.objects.count() for model in models), BulkReplay.objects.filter(state="waiting").count())


# --- the table is the console ----------------------------------------------------------------------------------------


def test_the_table_names_every_address_and_no_others() -> None:
    assert sorted(set(_routes(admin.site.get_urls()))) == sorted(TABLE)


@pytest.mark.parametrize("role", ROLES)
def test_every_page_opens_for_those_who_may_and_for_nobody_else(
    role: str, rows: dict[str, Any], client_of: Callable[[str], Client]
) -> None:
    client, before = client_of(role), _traces()
    got = {route: client.get(_address(route, rows)).status_code for route in TABLE}
    expected = {route: _expected(role, page.get, page.gets, page.anonymous) for route, page in TABLE.items()}
    assert _different(got, expected) == {}
    assert _traces()[0] == before[0]


@pytest.mark.parametrize("role", ROLES)
def test_every_post_works_for_those_who_may_and_for_nobody_else_and_is_kept(
    role: str, rows: dict[str, Any], client_of: Callable[[str], Client]
) -> None:
    client = client_of(role)
    cookies = copy.deepcopy(client.cookies)
    got, expected = {}, {}
    for route, page in TABLE.items():
        with transaction.atomic():
            before, newest = _traces(), AuditEntry.objects.latest("id").pk
            status = client.post(_address(route, rows), _data(page, rows)).status_code
            told = set(AuditEntry.objects.filter(pk__gt=newest).values_list("action", flat=True))
            got[route] = (status, told, _traces() == before)
            transaction.set_rollback(True)
        client.cookies = copy.deepcopy(cookies)  # whoever signed out is still there
        will_act = bool(page.told) and role in page.post
        expected[route] = (
            _expected(role, page.post, page.posts, page.anonymous),
            {page.told} if will_act else set(),
            not will_act,
        )
    assert _different(got, expected) == {}


@pytest.mark.parametrize("role", ROLES)
def test_every_action_of_a_list_is_offered_to_those_who_may_and_to_nobody_else(
    role: str, rows: dict[str, Any], client_of: Callable[[str], Client]
) -> None:
    client = client_of(role)
    for model in ("purchase", "licenselink", "webhookevent", "productmapping", "auditentry"):
        answer = client.get(url(model, "changelist"))
        if answer.status_code == OK:
            form = answer.context["action_form"]
            offered = {name for name, _ in form.fields["action"].choices if name} if form else set()
            allowed = {name for (of, name), who in LIST_ACTIONS.items() if of == model and role in who}
            assert offered == allowed, model


@pytest.mark.parametrize("role", ROLES)
def test_a_list_does_nothing_for_those_who_may_not(
    role: str, rows: dict[str, Any], client_of: Callable[[str], Client]
) -> None:
    client = client_of(role)
    for (model, name), who in LIST_ACTIONS.items():
        before = _traces()
        data = {"action": name, "_selected_action": [rows[model].pk]}
        answer = client.post(url(model, "changelist"), data)
        if role not in VIEWERS:
            assert answer.status_code == _expected(role, VIEWERS, OK)
        asks = b'name="reason"' in answer.content
        assert asks == (role in who and name not in {"check_selected", "export_selected"}), name
        if name != "check_selected":  # it asks the license server at once, and that is kept
            assert _traces() == before


# --- what the table cannot say ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_importing_mappings_is_for_staff_and_above(role: str, client_of: Callable[[str], Client]) -> None:
    client = client_of(role)
    file = SimpleUploadedFile("m.csv", b"store,store_product,is_license_needed\nfastspring,new,false\n")
    page = client.post(url("productmapping", "import"), {"file": file})
    assert page.status_code == _expected(role, STAFF, OK)
    sent = page.context["form"].initial if role in STAFF else {"content": "YQ==", "fingerprint": "x"}
    client.post(url("productmapping", "import"), {**sent, **REASON})
    assert ProductMapping.objects.filter(store_product="new").exists() == (role in STAFF)


@pytest.mark.parametrize("model", ["purchase", "licenselink", "webhookevent", "auditentry"])
def test_not_even_superusers_edit_or_delete_what_happened(
    model: str, rows: dict[str, Any], client_of: Callable[[str], Client]
) -> None:
    client, row, before = client_of("superuser"), rows[model], _traces()
    client.post(url(model, "changelist"), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    client.post(url(model, "change", row.pk), {"status": "ended", "state": "revoked", "sentence": "x"})
    assert _traces() == before
    assert type(row).objects.filter(pk=row.pk, **_unchanged(row)).exists()


def _unchanged(row: Any) -> dict[str, Any]:
    names = ("status", "state", "sentence")
    return {name: getattr(row, name) for name in names if isinstance(getattr(row, name, None), str)}


def test_history_aliases_items_versions_and_jobs_have_no_pages_of_their_own(client_of: Callable[[str], Client]) -> None:
    client = client_of("superuser")
    for model in ("historyentry", "purchasealias", "purchaseitem", "mappingversion", "licensinguser", "requestbudget"):
        assert client.get(f"/admin/licensing_integration/{model}/").status_code == MISSING
    assert client.get("/admin/procrastinate/procrastinatejob/").status_code == MISSING


def test_a_page_shows_only_the_buttons_one_may_press(rows: dict[str, Any], client_of: Callable[[str], Client]) -> None:
    address = url("licenselink", "change", rows["licenselink"].pk)
    for_support = client_of("Support").get(address).content.decode()
    for_staff = client_of("Staff").get(address).content.decode()
    for name, is_for_support in {"resync": True, "reveal": True, "override": False, "issue-again": False}.items():
        assert (f"/{name}/" in for_support) == is_for_support
        assert f"/{name}/" in for_staff


# --- the roles -------------------------------------------------------------------------------------------------------


def test_roles_are_made_once_and_mended(client_of: Callable[[str], Client]) -> None:
    client_of("Support")
    member = User.objects.get(username="support")
    assert sync_roles() == []
    group = Group.objects.get(name="Support")
    group.permissions.clear()
    assert sync_roles() == ["Support"]
    assert group.permissions.filter(codename="view_licenselink").exists()
    assert list(member.groups.all()) == [group]


@pytest.mark.django_db
def test_the_command_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("sync_roles")
    assert capsys.readouterr().out.splitlines() == [
        "Role Support: updated",
        "Role Staff: updated",
        "Role Owner: updated",
    ]
    call_command("sync_roles")
    assert "Owner: up to date" in capsys.readouterr().out
