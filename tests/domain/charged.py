"""Facts of a store whose subscriptions are extended by charges alone, and whose sums name no lines. Times in days since
the first of March 2026; a period has 30 days."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from licensing_integration.domain.facts import (
    Charge,
    Customer,
    CustomerFact,
    DisputeFact,
    ItemFact,
    OrderFact,
    ReturnFact,
    Subscription,
    SubscriptionFact,
)
from licensing_integration.domain.outcomes import PurchaseStatus
from tests.domain.samples import AVA, day

SEAT = ItemFact(line="si_1", product="prod_team", variant="price_m", quantity=3, subtotal=147.0)
GUESS = ItemFact(line="main", product="", quantity=1, attributes={"cryptlex_product_id": "p"})


def start_of(period: int) -> datetime:
    """The first period is 1."""
    return day(30 * (period - 1))


def end_of(period: int) -> datetime:
    return day(30 * period)


def listed(at: float, status: PurchaseStatus = PurchaseStatus.ACTIVE, *items: ItemFact, **changes: Any) -> Any:
    """A subscription as the store describes it; ``period`` as its dates say, paid or not."""
    period, rank = changes.pop("period", 1), changes.pop("rank", 1)
    fetched_at = changes.pop("fetched_at", None)
    snapshot = Subscription(
        status=status,
        items=items or (SEAT,),
        period_began_at=start_of(period),
        is_paid_by_charges=True,
        **changes,
    )
    return SubscriptionFact(
        occurred_at=day(at),
        note="",
        subscription_id="sub_1",
        snapshot=snapshot,
        snapshot_rank=rank,
        snapshot_at=fetched_at and day(fetched_at),
        customer=Customer(external_id="cus_1"),
        overdue=status in {PurchaseStatus.OVERDUE, PurchaseStatus.UNPAID},
    )


def invoiced(at: float, period: int, *items: ItemFact, **changes: Any) -> SubscriptionFact:
    """A paid invoice for a whole period."""
    lines = items or (SEAT,)
    charge = Charge(
        order_id=changes.pop("order_id", f"in_{period}"),
        is_initial=period == 1,
        paid_through={line.line: end_of(period) for line in lines},
        period_began_at=start_of(period),
        **changes,
    )
    return SubscriptionFact(
        occurred_at=day(at),
        note="",
        subscription_id="sub_1",
        order_id="in_1" if period == 1 else "",
        customer=AVA,
        charge=charge,
        charged_items=lines,
        is_confirmed=True,
        aliases=(charge.order_id,),
    )


def prorated(at: float, order_id: str) -> SubscriptionFact:
    return SubscriptionFact(
        occurred_at=day(at),
        note="",
        subscription_id="sub_1",
        charge=Charge(order_id=order_id, is_proration=True),
        is_confirmed=True,
    )


def checked_out(at: float = 0.0, **changes: Any) -> SubscriptionFact:
    """The checkout that began the subscription; it knows the buyer and its own metadata, not the items."""
    return SubscriptionFact(
        occurred_at=day(at),
        note="",
        subscription_id="sub_1",
        order_id="in_1",
        customer=AVA,
        customer_is_buyer=True,
        charge=Charge(order_id="in_1", is_initial=True, **changes),
        guessed_item=GUESS,
        is_confirmed=True,
        aliases=("cs_1", "in_1"),
    )


def sold(at: float = 0.0, *items: ItemFact, **changes: Any) -> OrderFact:
    """A one-time sale; without items the checkout did not tell any."""
    values = {
        "order_id": "cs_1",
        "status": PurchaseStatus.COMPLETED,
        "aliases": ("pi_1",),
        "transaction_id": "pi_1",
        "items": items or (GUESS,),
        "items_are_guessed": not items,
        **changes,
    }
    return OrderFact(occurred_at=day(at), note="", customer=AVA, **values)


def refunded(
    at: float, amount: float, *, refund_id: str = "re_1", order_id: str = "pi_1", **changes: Any
) -> ReturnFact:
    return ReturnFact(occurred_at=day(at), note="", return_id=refund_id, order_id=order_id, amount=amount, **changes)


def refunded_so_far(at: float, amount: float, *, is_whole: bool = False, order_id: str = "pi_1") -> ReturnFact:
    return ReturnFact(
        occurred_at=day(at),
        note="",
        return_id="charge:ch_1",
        order_id=order_id,
        amount=amount,
        is_cumulative=True,
        is_whole_order=is_whole,
    )


def disputed(at: float, *, is_open: bool = True, is_lost: bool = False, order_id: str = "pi_1") -> DisputeFact:
    return DisputeFact(
        occurred_at=day(at), note="", dispute_id="du_1", order_id=order_id, is_open=is_open, is_lost=is_lost
    )


def renamed(at: float, email: str) -> CustomerFact:
    return CustomerFact(occurred_at=day(at), note="", customer=Customer(email=email, external_id="cus_1"))
