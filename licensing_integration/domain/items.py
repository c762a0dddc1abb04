"""What a purchase consists of, put together from everything that told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from licensing_integration.domain.facts import ItemFact, Subscription
from licensing_integration.domain.outcomes import PurchaseKind
from licensing_integration.domain.purchases import MAIN_LINE, PurchaseState


def items_of(state: PurchaseState) -> Mapping[str, ItemFact]:
    """The items of a purchase by line.

    A subscription's own product is the line ``main`` where the store does not list the items. Where nothing listed any
    yet, the only line is ``main`` with what the purchase's metadata says; as soon as something does, that metadata
    belongs to the first line. What keys were given out for on the order page counts until the order is told.
    """
    told = state.items if state.kind is PurchaseKind.ORDER else _subscribed(state)
    guess = state.guessed_item
    if not told and (prepared := open_preparations(state)):
        return prepared
    if not told:
        return {MAIN_LINE: guess} if guess else {}
    if guess is None or not guess.attributes:
        return told
    first = first_line(told)
    return {line: replace(i, attributes=guess.attributes) if line == first else i for line, i in told.items()}


def open_preparations(state: PurchaseState) -> Mapping[str, ItemFact]:
    """What keys were given out for on the order page, as far as no other purchase has taken it over."""
    return {line: item for line, item in state.prepared.items() if line not in state.released}


def first_line(lines: Mapping[str, ItemFact]) -> str:
    """The line that counts as the purchase itself; the same whatever order a store lists them in."""
    return min(lines)


def _subscribed(state: PurchaseState) -> Mapping[str, ItemFact]:
    subscription = state.subscription
    if subscription is None:
        return {**state.charged_items, **state.items}
    if not subscription.items:
        main = {} if subscription.is_paid_by_charges else _main_item(subscription, order_id=state.initial_order_id)
        return {**main, **state.charged_items, **state.items}
    listed = {item.line: item for item in subscription.items}
    later = {
        line: item
        for line, item in state.charged_items.items()
        if _is_later(state.charged_item_versions[line].occurred_at, than=subscription.period_began_at)
    }
    return {**listed, **later, **state.items}


def _main_item(subscription: Subscription, *, order_id: str) -> Mapping[str, ItemFact]:
    item = ItemFact(
        line=MAIN_LINE,
        product=subscription.product,
        quantity=subscription.quantity,
        display=subscription.display,
        attributes=subscription.attributes,
        order_id=order_id,
    )
    return {MAIN_LINE: item}


def _is_later(charged_period: datetime, *, than: datetime | None) -> bool:
    """Whether an invoice is for a period that the description of the subscription does not know yet."""
    return than is not None and charged_period > than
