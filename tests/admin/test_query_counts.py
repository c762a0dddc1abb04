"""Lists and pages make few queries, however many rows there are."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from django.test import Client

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
        *product(["historyentry", "productmapping"], ["", "?q=nobody@example.com"]),
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
