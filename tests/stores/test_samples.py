"""Samples of every store are read by the store's own translators, as a purchase that is paid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from licensing_integration.domain.facts import OrderFact, PurchaseFact, SubscriptionFact
from licensing_integration.domain.folding import fold
from licensing_integration.domain.items import items_of
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus
from licensing_integration.domain.purchases import PurchaseState
from licensing_integration.domain.samples import Sample
from licensing_integration.stores.base import StoreAdapter
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.registry import get_adapter

AT = datetime(2026, 5, 4, 10, 30, tzinfo=UTC)
ATTRIBUTES = {"cryptlex_product_id": "prod-1"}
STORES = ["fastspring", "stripe"]


def facts_of(adapter: StoreAdapter, sample: Sample) -> tuple[PurchaseFact, ...]:
    assert adapter.build_sample is not None
    made = adapter.build_sample(sample, AT)
    assert made.event.problem == ""
    return adapter.translators[made.event.event_type](Payload.from_json(made.event.body, fetched=made.fetched))


def known_from(fact: PurchaseFact, kind: PurchaseKind) -> PurchaseState:
    return fold(PurchaseState(kind=kind), fact, event_id="sample")


@pytest.mark.parametrize("store", STORES)
def test_every_kind_is_labelled_and_can_be_made(store: str) -> None:
    adapter = get_adapter(store)

    assert [kind.slug for kind in adapter.samples] == ["order", "subscription"]
    assert all(facts_of(adapter, Sample(kind=kind.slug, product="photon")) for kind in adapter.samples)


@pytest.mark.parametrize("product", ["photon", "price_photon"])
@pytest.mark.parametrize("store", STORES)
def test_a_sample_order_is_paid_and_says_what_was_bought(store: str, product: str) -> None:
    sample = Sample(kind="order", product=product, quantity=3, attributes=ATTRIBUTES)

    (fact,) = facts_of(get_adapter(store), sample)

    assert isinstance(fact, OrderFact)
    assert (fact.status, fact.occurred_at, fact.is_live) == (PurchaseStatus.COMPLETED, AT, True)
    (item,) = fact.items
    assert product in {item.product, item.variant}
    assert (item.quantity, dict(item.attributes)) == (3, ATTRIBUTES)
    assert fact.customer is not None
    assert (fact.customer.email, fact.customer.last_name) == ("sam.sample@example.com", "Sample")


@pytest.mark.parametrize("product", ["photon", "price_photon"])
@pytest.mark.parametrize("store", STORES)
def test_a_sample_subscription_is_active_and_paid_for_a_month(store: str, product: str) -> None:
    sample = Sample(kind="subscription", product=product, quantity=3, attributes=ATTRIBUTES)

    (fact,) = facts_of(get_adapter(store), sample)

    assert isinstance(fact, SubscriptionFact)
    state = known_from(fact, PurchaseKind.SUBSCRIPTION)
    (item,) = items_of(state).values()
    assert state.status is PurchaseStatus.ACTIVE
    assert product in {item.product, item.variant}
    assert (item.quantity, dict(item.attributes)) == (3, ATTRIBUTES)
    paid_through = state.paid_through_of(item.line)
    assert paid_through is not None
    assert timedelta(days=29) < paid_through - AT <= timedelta(days=30)
