"""Refused deliveries in the admin: the list, a row's page, the start page, and who may see them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from licensing_integration.domain.outcomes import RejectionReason
from licensing_integration.models import RejectedDelivery
from licensing_integration.services.attention import Topic
from tests.admin.conftest import ROLES, url
from tests.factories import RejectedDeliveryFactory

VIEWERS = {"viewer", "Support", "Staff", "Owner", "superuser"}
MODEL = "rejecteddelivery"


def _expected(role: str, allowed: set[str]) -> int:
    if role == "anonymous":
        return 302
    return 200 if role in allowed else 403


@pytest.mark.parametrize("role", ROLES)
def test_whoever_may_look_sees_them_and_nobody_changes_them(role: str, client_of: Callable[[str], Client]) -> None:
    client, row = client_of(role), RejectedDeliveryFactory()
    for what, allowed in (("changelist", VIEWERS), ("change", VIEWERS), ("add", set()), ("delete", set())):
        address = url(MODEL, what, *([row.pk] if what in {"change", "delete"} else []))
        assert client.get(address).status_code == _expected(role, allowed), address


def test_not_even_superusers_add_edit_or_delete_them(client_of: Callable[[str], Client]) -> None:
    client, row = client_of("superuser"), RejectedDeliveryFactory(count=7)
    assert client.post(url(MODEL, "add"), {}).status_code == 403
    assert client.post(url(MODEL, "change", row.pk), {"count": 1}).status_code == 405
    assert client.post(url(MODEL, "delete", row.pk), {"post": "yes"}).status_code == 403
    client.post(url(MODEL, "changelist"), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert RejectedDelivery.objects.get().count == 7


def test_list_and_page_say_why_and_what_to_do(support: Client) -> None:
    row = RejectedDeliveryFactory(store="eu-west", reason="wrong_signature", count=1234)
    for address in (url(MODEL, "changelist"), url(MODEL, "change", row.pk)):
        page = support.get(address).content.decode()
        assert "signed with another secret, or changed on the way" in page.lower()
        assert "Compare EU_WEST_WEBHOOK_SECRET with" in page
        assert "1234" in page


def test_an_empty_list_says_so(support: Client) -> None:
    assert "No delivery has been refused." in support.get(url(MODEL, "changelist")).content.decode()


def test_the_list_is_cheap(support: Client, django_assert_max_num_queries: Callable[[int], object]) -> None:
    for reason in RejectionReason:
        RejectedDeliveryFactory(reason=reason.value)
    with django_assert_max_num_queries(12):
        assert support.get(url(MODEL, "changelist")).status_code == 200


def test_what_was_refused_in_the_last_24_hours_needs_attention(client_of: Callable[[str], Client]) -> None:
    """All of them since the day without any, and so does the page say."""
    since = timezone.now() - timedelta(days=10)
    RejectedDeliveryFactory(store="eu", reason="wrong_signature", count=7, first_at=since)
    RejectedDeliveryFactory(store="us", reason="old_signature", count=101)
    RejectedDeliveryFactory(store="old", reason="no_signature", last_at=timezone.now() - timedelta(hours=25))
    ((topic, lines),) = client_of("Owner").get("/admin/").context["topics"]
    assert topic is Topic.FAILED
    assert [(line.number, line.label) for line in lines] == [
        ("7", "Deliveries of eu refused: signed with another secret, or changed on the way"),
        ("100+", "Deliveries of us refused: signed too long ago, or in the future"),
    ]
    assert (lines[0].moment_label, lines[0].moment) == ("since", since)
    assert lines[0].advice.startswith("Compare EU_WEBHOOK_SECRET with")
    assert {line.url for line in lines} == {url(MODEL, "changelist")}


def test_the_start_page_shows_them_only_to_those_who_may_see_them(client_of: Callable[[str], Client]) -> None:
    RejectedDeliveryFactory()
    client = client_of("viewer")
    client.user.user_permissions.remove(Permission.objects.get(codename="view_rejecteddelivery"))
    assert "Deliveries of fastspring refused" not in client.get("/admin/").content.decode()
    assert "Deliveries of fastspring refused" in client_of("Support").get("/admin/").content.decode()
