"""Lists and pages make few queries, however many rows there are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from licensing_integration.models import LicenseLink, ProductMapping, Purchase, WebhookEvent
from tests.admin.conftest import url
from tests.factories import (
    HistoryEntryFactory,
    LicenseLinkFactory,
    ProductMappingFactory,
    PurchaseFactory,
    PurchaseItemFactory,
    UserFactory,
    WebhookEventFactory,
)


@pytest.fixture
def many(db: None) -> Any:
    ProductMappingFactory.create_batch(20)
    for _ in range(15):
        link = LicenseLinkFactory(item__purchase=PurchaseFactory(attention="Look."))
        PurchaseItemFactory(purchase=link.purchase, product="other", is_waiting=True)
        HistoryEntryFactory(link=link, event=WebhookEventFactory(state="failed"))
        HistoryEntryFactory(purchase=link.purchase, user=UserFactory())
    return link


@pytest.mark.parametrize(
    ("model", "query"),
    [
        *product(["purchase", "licenselink", "webhookevent"], ["", "?attention=any", "?q=nobody@example.com"]),
        *product(["productmapping"], ["", "?q=nobody@example.com"]),
    ],
)
def test_a_list_makes_at_most_twelve_queries(
    model: str, query: str, many: Any, staff: Client, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(12):
        assert staff.get(url(model, "changelist") + query, follow=True).status_code == 200


def test_a_page_makes_the_same_number_of_queries_for_much_as_for_little(
    staff: Client, django_assert_max_num_queries: Any
) -> None:
    event = WebhookEventFactory()
    first = LicenseLinkFactory(cause=event)
    for unit in range(2, 30):
        link = LicenseLinkFactory(item=first.item, unit=unit, cause=event)
        HistoryEntryFactory(link=link, event=event)
        HistoryEntryFactory(link=first, event=WebhookEventFactory(), user=UserFactory())
    for address in (
        url("licenselink", "change", first.pk),
        url("purchase", "change", first.purchase_id),
        url("webhookevent", "change", event.pk),
    ):
        with django_assert_max_num_queries(12):
            assert staff.get(address).status_code == 200


def test_the_first_page_and_the_search_are_cheap(many: Any, staff: Client, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(12):
        staff.get("/admin/")
    with django_assert_max_num_queries(12):
        staff.get("/admin/search/", {"q": many.purchase.customer_email})


@pytest.fixture
def ready(db: None, settings: Settings) -> dict[str, Any]:
    """Rows to which everything can be done."""
    settings.CAN_SEND_MAIL = True
    until = timezone.now() + timedelta(days=3)
    for _ in range(20):
        LicenseLinkFactory(
            item__purchase=PurchaseFactory(attention="Look.", is_disputed=True),
            sync_state="attention",
            failure_mode="permanent",
            override_until=until,
        )
        ProductMappingFactory()
        WebhookEventFactory(state="failed")
    models = (LicenseLink, Purchase, ProductMapping, WebhookEvent)
    return {str(model._meta.model_name): model for model in models}


def _bulk_actions() -> Iterator[tuple[str, str]]:
    for model, model_admin in admin.site._registry.items():
        for action in getattr(model_admin, "page_actions", ()):
            if action.is_bulk:
                yield str(model._meta.model_name), action.name


@pytest.mark.parametrize(("model", "action"), list(_bulk_actions()))
def test_a_page_that_asks_about_many_rows_makes_at_most_twelve_queries(
    model: str, action: str, ready: dict[str, Any], staff: Client, django_assert_max_num_queries: Any
) -> None:
    ids = list(ready[model].objects.order_by("pk").values_list("pk", flat=True))
    with django_assert_max_num_queries(12):
        asked = staff.post(url(model, "changelist"), {"action": action, "_selected_action": ids})
    with django_assert_max_num_queries(12):  # without the reason it is asked again
        again = staff.post(url(model, f"{action}_many"), {"ids": ",".join(map(str, ids))})
    assert [len(page.context["titles"]) for page in (asked, again)] == [20, 20]
