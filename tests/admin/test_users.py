"""Users, roles and sign-ins: nobody gives more than they have, and the audit keeps who did what."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from licensing_integration.models import AuditEntry
from licensing_integration.services.roles import sync_roles
from tests.factories import PASSWORD, UserFactory

LIST = "admin:auth_user_changelist"


@pytest.fixture
def owner(client_of: Callable[[str], Client]) -> Client:
    return client_of("Owner")


def _page(user: Any) -> str:
    return reverse("admin:auth_user_change", args=[user.pk])


def _form(user: Any, **values: Any) -> dict[str, Any]:
    return {"username": user.username, "is_active": "on", "is_staff": "on", **values}


def _told() -> list[tuple[str, str, str]]:
    return [(e.action, e.user_name, e.sentence) for e in AuditEntry.objects.order_by("id")]


def test_the_list_answers_what_its_filters_ask_and_nothing_else(owner: Client) -> None:
    page = owner.get(reverse(LIST))
    choices = [choice for spec in page.context["cl"].filter_specs for choice in spec.choices(page.context["cl"])]
    assert len(choices) > Group.objects.count()
    for choice in choices:
        assert owner.get(reverse(LIST) + choice["query_string"]).status_code == 200
    for parameter in ("username__regex", "email__startswith", "password__startswith"):
        assert owner.get(reverse(LIST), {parameter: "("}).status_code == 400, parameter


def test_the_page_of_somebody_is_cheap(owner: Client, django_assert_max_num_queries: Any) -> None:
    user = UserFactory(username="nora")
    with django_assert_max_num_queries(12):
        assert owner.get(_page(user)).status_code == 200


def test_an_owner_gives_a_role_and_the_audit_says_so(owner: Client) -> None:
    user = UserFactory(username="nora")
    support = Group.objects.get(name="Support")
    assert owner.post(_page(user), _form(user, groups=[support.pk])).status_code == 302
    assert list(user.groups.all()) == [support]
    assert _told() == [("user.changed", "owner", "The user nora was changed: roles. Roles: Support.")]


def test_nobody_gives_a_role_that_may_more_than_they(owner: Client) -> None:
    user, beyond = UserFactory(username="nora"), Group.objects.create(name="Beyond")
    beyond.permissions.add(Permission.objects.get(codename="delete_productmapping"))
    offered = owner.get(_page(user)).context["adminform"].form.fields["groups"].queryset
    assert [role.name for role in offered] == ["Owner", "Staff", "Support"]
    assert owner.post(_page(user), _form(user, groups=[beyond.pk])).status_code == 200
    assert not user.groups.exists()


def test_nobody_touches_somebody_who_may_more_than_they(owner: Client) -> None:
    user = UserFactory(username="nora", is_active=False)
    user.user_permissions.add(Permission.objects.get(codename="delete_productmapping"))
    for name in ("auth_user_change", "auth_user_delete", "auth_user_password_change"):
        assert owner.post(reverse(f"admin:{name}", args=[user.pk]), _form(user)).status_code == 403
    assert not _told()


def test_an_owner_adds_a_user_sets_a_password_and_deletes(owner: Client) -> None:
    form = {"username": "nora", "password1": "x7!kkQpz2", "password2": "x7!kkQpz2", "usable_password": "true"}
    assert owner.post(reverse("admin:auth_user_add"), form).status_code == 302
    nora = User.objects.get(username="nora")
    new = {"password1": "y7!kkQpz2", "password2": "y7!kkQpz2", "usable_password": "true", "set-password": "1"}
    assert owner.post(reverse("admin:auth_user_password_change", args=[nora.pk]), new).status_code == 302
    assert owner.post(reverse("admin:auth_user_delete", args=[nora.pk]), {"post": "yes"}).status_code == 302
    assert [(action, sentence) for action, _, sentence in _told()] == [
        ("user.added", "The user nora was added. May not use the console."),
        ("user.changed", "The user nora was changed: password. May not use the console."),
        ("user.deleted", "The user nora was deleted."),
    ]


@pytest.mark.parametrize("role", ["Owner", "superuser"])
def test_nobody_deletes_somebody_whom_the_audit_knows(role: str, client_of: Callable[[str], Client]) -> None:
    client, nora = client_of(role), UserFactory(username="nora", role="Support")
    delete = reverse("admin:auth_user_delete", args=[nora.pk])
    Client().post("/admin/login/", {"username": "nora", "password": "a guess of somebody else"})
    assert delete in client.get(_page(nora)).content.decode()
    Client().post("/admin/login/", {"username": "nora", "password": PASSWORD})
    assert delete not in client.get(_page(nora)).content.decode()
    assert client.get(delete).status_code == 403
    assert client.post(delete, {"post": "yes"}).status_code == 403
    client.post(reverse(LIST), {"action": "delete_selected", "_selected_action": [nora.pk], "post": "yes"})
    assert User.objects.filter(pk=nora.pk).exists()
    page = client.get(_page(nora)).content.decode()
    assert "Whoever has signed in once cannot be deleted" in page
    assert client.post(_page(nora), {"username": "nora", "is_staff": "on"}).status_code == 302
    nora.refresh_from_db()
    assert not nora.is_active


@pytest.mark.parametrize("name", ["Support", "Owner"])
def test_roles_are_read_only_for_owners(name: str, owner: Client) -> None:
    role = Group.objects.get(name=name)
    page = owner.get(reverse("admin:auth_group_change", args=[role.pk]))
    assert "puts them back as they were" in page.content.decode()
    assert 'name="_save"' not in page.content.decode()
    for what in ("change", "delete"):
        assert owner.post(reverse(f"admin:auth_group_{what}", args=[role.pk]), {"name": "x"}).status_code == 403
    assert owner.get(reverse("admin:auth_group_add")).status_code == 403
    assert "puts them back as they were" in owner.get(reverse("admin:auth_group_changelist")).content.decode()


def test_a_superuser_makes_a_role_and_the_audit_says_so(client_of: Callable[[str], Client]) -> None:
    assert client_of("superuser").post(reverse("admin:auth_group_add"), {"name": "Auditors"}).status_code == 302
    assert _told() == [("role.added", "superuser", "The role Auditors was added.")]


def test_the_lists_say_who_has_which_role(owner: Client) -> None:
    UserFactory(username="nora", role="Staff")
    page = owner.get(reverse(LIST)).content.decode()
    assert "nobody gives more than they have" in page
    assert "Staff" in page
    assert "delete_selected" not in page


def test_a_new_user_may_sign_in_and_gets_a_role_at_once(owner: Client) -> None:
    beyond = Group.objects.create(name="Beyond")
    beyond.permissions.add(Permission.objects.get(codename="delete_productmapping"))
    add, support = reverse("admin:auth_user_add"), Group.objects.get(name="Support")
    form = owner.get(add).context["adminform"].form
    assert form["is_staff"].value() is True
    assert [role.name for role in form.fields["groups"].queryset] == ["Owner", "Staff", "Support"]
    values = {"username": "nora", "password1": "x7!kkQpz2", "password2": "x7!kkQpz2", "usable_password": "true"}
    assert owner.post(add, {**values, "is_staff": "on", "groups": [beyond.pk]}).status_code == 200
    assert owner.post(add, {**values, "is_staff": "on", "groups": [support.pk]}).status_code == 302
    assert Client().login(username="nora", password="x7!kkQpz2")
    assert _told() == [("user.added", "owner", "The user nora was added. Roles: Support.")]


def test_sign_ins_are_told_in_the_readers_zone(owner: Client) -> None:
    at = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
    nora = UserFactory(username="nora", last_login=at, date_joined=at)
    for address, number in ((reverse(LIST), 1), (_page(nora), 2)):
        assert owner.get(address).content.decode().count('<time datetime="2026-05-01T12:30:00Z"') == number


def test_somebody_who_never_signed_in_has_an_empty_date(owner: Client) -> None:
    nora = UserFactory(username="nora", last_login=None)
    assert "never" in owner.get(reverse(LIST)).content.decode()
    assert owner.get(_page(nora)).status_code == 200


def test_before_a_user_is_deleted_it_says_what_happens_and_what_to_do_instead(owner: Client) -> None:
    nora = UserFactory(username="nora", role="Support")
    page = owner.get(reverse("admin:auth_user_delete", args=[nora.pk])).content.decode()
    assert "Delete the user nora?" in page
    assert f'href="{_page(nora)}"' in page
    assert "object (" not in page


def test_a_role_says_in_words_what_it_allows(owner: Client, client_of: Callable[[str], Client]) -> None:
    address = reverse("admin:auth_group_change", args=[Group.objects.get(name="Support").pk])
    page = owner.get(address).content.decode()
    assert "<li>View purchase</li>" in page
    edited = client_of("superuser").get(address).content.decode()
    assert "Plan a purchase again" in edited
    for text in (page, edited):
        assert "Licensing |" not in text
        assert "Authentication and Authorization" not in text
    listed = owner.get(reverse("admin:auth_group_changelist")).content.decode()
    for text in ("Groups", "Authentication and Authorization"):
        assert text not in listed


def test_signing_in_and_out_is_kept(db: None) -> None:
    sync_roles()
    UserFactory(username="nora", role="Support")
    client = Client()
    assert client.post("/admin/login/", {"username": "nora", "password": PASSWORD}).status_code == 302
    assert client.post("/admin/logout/").status_code == 200
    client.post("/admin/logout/")
    assert _told() == [("user.signed_in", "nora", "Signed in."), ("user.signed_out", "nora", "Signed out.")]


def test_failed_sign_ins_are_kept_once_a_minute_and_of_known_names_only(db: None) -> None:
    nora = UserFactory(username="nora")
    client = Client()
    for name in ("nora", "nora", "hunter2", "\x00", ""):
        assert client.post("/admin/login/", {"username": name, "password": "wrong"}).status_code == 200
    ((action, who, sentence),) = _told()
    assert (action, who) == ("user.sign_in_failed", "nora")
    assert "failed" in sentence
    AuditEntry.objects.filter(user=nora).update(at=timezone.now() - timedelta(minutes=2))
    client.post("/admin/login/", {"username": "nora", "password": "wrong"})
    assert len(_told()) == 2


def test_the_pages_around_signing_in_load_nothing_from_elsewhere(support: Client) -> None:
    wrong = {"username": "nora", "password": "wrong"}
    for answer in (
        Client().get("/admin/login/"),
        Client().post("/admin/login/", wrong),
        support.post("/admin/logout/"),
    ):
        assert answer.status_code == 200
        assert "default-src 'self'" in answer["Content-Security-Policy"]


def test_a_new_password_of_ones_own_is_kept(support: Client) -> None:
    form = {"old_password": PASSWORD, "new_password1": "x7!kkQpz2", "new_password2": "x7!kkQpz2"}
    assert support.post("/admin/password_change/", {**form, "old_password": "wrong"}).status_code == 200
    assert not _told()
    assert support.post("/admin/password_change/", form).status_code == 302
    assert _told() == [("user.password_changed", "support", "Changed the own password.")]


def test_there_is_no_list_of_tables(support: Client) -> None:
    for app in ("licensing_integration", "auth"):
        assert support.get(f"/admin/{app}/")["Location"] == "/admin/"
