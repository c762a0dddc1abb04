"""Facts and plans in few words. Times are counted in days since the first of March 2026."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from licensing_integration.domain.desired import ItemContext, Override
from licensing_integration.domain.facts import (
    Charge,
    Customer,
    DisputeFact,
    ItemFact,
    OrderFact,
    PurchaseFact,
    ReturnedLine,
    ReturnFact,
    Subscription,
    SubscriptionFact,
)
from licensing_integration.domain.folding import fold
from licensing_integration.domain.items import items_of
from licensing_integration.domain.outcomes import ExpiryMode, PurchaseKind, PurchaseStatus
from licensing_integration.domain.planning import ItemPlan, plan_item
from licensing_integration.domain.purchases import PurchaseState
from licensing_integration.domain.terms import Policies, Terms

START = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
MAIN = "main"
AVA = Customer(email="ava@example.com", first_name="Ava")
TERMS = Terms(server="cryptlex", product_id="prod-1", template_id="tmpl-1", expiry=ExpiryMode.PAID_THROUGH)


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def period_end(sequence: int) -> datetime:
    """Midnight at which period ``sequence`` ends; the first begins on day 0, each has 30 days."""
    return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=30 * sequence)


def snapshot(status: PurchaseStatus = PurchaseStatus.ACTIVE, **changes: Any) -> Subscription:
    sequence = changes.get("sequence", 1)
    values: dict[str, Any] = {
        "product": "studio",
        "quantity": 1,
        "sequence": 1,
        "begun_on": date(2026, 3, 1),
        "paid_through": period_end(sequence or 1),
        **changes,
    }
    return Subscription(status=status, **values)


def described(at: float, status: PurchaseStatus = PurchaseStatus.ACTIVE, **changes: Any) -> SubscriptionFact:
    """A life-cycle event that shows the subscription as it is."""
    shown = snapshot(status, **changes)
    return SubscriptionFact(
        occurred_at=day(at),
        note="",
        subscription_id="sub-1",
        snapshot=shown,
        order_id="order-1",
        customer=AVA,
        overdue=status is PurchaseStatus.OVERDUE,
        is_confirmed=(shown.sequence or 0) > 1,
    )


def bought(
    at: float = 0.0, *, add_ons: Iterable[ItemFact] = (), trial: bool = False, **changes: Any
) -> SubscriptionFact:
    """The order that began the subscription."""
    return SubscriptionFact(
        occurred_at=day(at),
        note="",
        subscription_id="sub-1",
        snapshot=snapshot(PurchaseStatus.TRIAL if trial else PurchaseStatus.ACTIVE, **changes),
        order_id="order-1",
        reference="REF-1",
        customer=AVA,
        customer_is_buyer=True,
        add_ons=tuple(add_ons),
        charge=None if trial else Charge(order_id="order-1", sequence=1, is_initial=True),
        is_confirmed=True,
    )


def charged(
    at: float, sequence: int | None, *, order_id: str = "", is_proration: bool = False, **changes: Any
) -> SubscriptionFact:
    """A renewal, or a proration."""
    shown = snapshot(**{"sequence": sequence, **changes}) if sequence is not None else None
    charge = Charge(order_id=order_id or f"charge-{sequence}-{at:g}", sequence=sequence, is_proration=is_proration)
    return SubscriptionFact(
        occurred_at=day(at),
        note="",
        subscription_id="sub-1",
        snapshot=shown,
        order_id="order-1",
        customer=AVA,
        charge=charge,
        is_confirmed=True,
    )


def add_on_bought(at: float, *lines: ItemFact, order_id: str = "order-2") -> SubscriptionFact:
    """A later order that holds add-ons of the subscription and nothing else."""
    return SubscriptionFact(
        occurred_at=day(at),
        note="",
        subscription_id="sub-1",
        order_id=order_id,
        reference="REF-2",
        customer=AVA,
        customer_is_buyer=True,
        add_ons=lines,
        is_confirmed=True,
    )


def line(product: str = "photon", quantity: int = 1, **changes: Any) -> ItemFact:
    return ItemFact(**{"line": product, "product": product, "quantity": quantity, "order_id": "order-1", **changes})


def ordered(*lines: ItemFact, at: float = 0.0, status: PurchaseStatus = PurchaseStatus.COMPLETED) -> OrderFact:
    return OrderFact(
        occurred_at=day(at), note="", order_id="order-1", status=status, reference="REF-1", customer=AVA, items=lines
    )


def returned(
    at: float = 5.0,
    *lines: ReturnedLine,
    order_id: str = "order-1",
    return_id: str = "return-1",
    is_whole_order: bool = False,
) -> ReturnFact:
    return ReturnFact(
        occurred_at=day(at),
        note="",
        return_id=return_id,
        order_id=order_id,
        lines=lines,
        is_whole_order=is_whole_order,
    )


def given_back(product: str = "photon", quantity: int = 1, **changes: Any) -> ReturnedLine:
    return ReturnedLine(**{"product": product, "quantity": quantity, "is_full": False, **changes})


def disputed(at: float = 5.0, *, order_id: str = "order-1", is_open: bool = True) -> DisputeFact:
    return DisputeFact(occurred_at=day(at), note="", dispute_id="case-1", order_id=order_id, is_open=is_open)


def folded(*facts: PurchaseFact, kind: PurchaseKind | None = None) -> PurchaseState:
    """The state after these facts. Each is an event of its own, its id made from its place."""
    return folded_events([(fact, f"event-{number}") for number, fact in enumerate(facts)], kind=kind)


def folded_events(events: Iterable[tuple[PurchaseFact, str]], *, kind: PurchaseKind | None = None) -> PurchaseState:
    events = list(events)
    if kind is None:
        is_subscription = any(isinstance(fact, SubscriptionFact) for fact, _ in events)
        kind = PurchaseKind.SUBSCRIPTION if is_subscription else PurchaseKind.ORDER
    state = PurchaseState(kind=kind)
    for fact, event_id in events:
        state = fold(state, fact, event_id=event_id)
    return state


def folded_both_ways(
    history: Sequence[PurchaseFact], *, kind: PurchaseKind, data: st.DataObject
) -> tuple[PurchaseState, PurchaseState]:
    """What some of these facts make of a purchase: in any order with repetitions, and in order."""
    events = [(fact, f"event-{number:02}") for number, fact in enumerate(history)]
    chosen = data.draw(st.lists(st.sampled_from(events), min_size=1, unique_by=lambda event: event[1]))
    shuffled = [*chosen, *data.draw(st.lists(st.sampled_from(chosen), max_size=5))]
    random.Random(data.draw(st.integers(0, 2**32))).shuffle(shuffled)
    in_order = sorted(chosen, key=lambda event: event[1])
    return folded_events(shuffled, kind=kind), folded_events(in_order, kind=kind)


def plan(
    state: PurchaseState,
    *,
    name: str = "",
    now: float = 10.0,
    first_seen: float = 0.0,
    terms: Terms = TERMS,
    policies: Policies | None = None,
    existing: Mapping[int, Override | None] | None = None,
    is_adoptable: bool = False,
) -> ItemPlan:
    """The plan of one item: the one called ``name``, else the purchase's first."""
    items = items_of(state)
    context = ItemContext(
        terms=terms,
        policies=policies or Policies(),
        existing=existing or {},
        is_adoptable=is_adoptable,
        vendor_metadata={"fastspring_subscription_id": "sub-1"},
    )
    item = items[name] if name else next(iter(items.values()))
    return plan_item(state, item, context, first_seen_at=day(first_seen), now=day(now))
