"""What a purchase consists of, put together from everything that told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from licensing_integration.domain.facts import ItemFact, Subscription
from licensing_integration.domain.outcomes import PurchaseKind
from licensing_integration.domain.purchases import MAIN_LINE, Preparation, PurchaseState


def items_of(state: PurchaseState) -> Mapping[str, ItemFact]:
    """The items of a purchase by line.

    A subscription's own product is the line ``main`` where the store does not list the items. Where nothing listed any
    yet, the only line is ``main`` with what the purchase's metadata says; as soon as something does, that metadata
    belongs to the first line. What keys were given out for on the order page counts until the order is known.
    """
    told = told_items(state)
    prepared = {line: p.item for line, p in expected_preparations(state).items()} if state.prepared else {}
    guess = state.guessed_item
    if not told:
        return prepared or ({MAIN_LINE: guess} if guess else {})
    if guess is None or not guess.attributes:
        return {**told, **prepared}
    first = first_line(told)
    return {line: replace(i, attributes=guess.attributes) if line == first else i for line, i in told.items()}


def told_items(state: PurchaseState) -> Mapping[str, ItemFact]:
    """The items that the order, the subscription or its charges told, by line."""
    return state.items if state.kind is PurchaseKind.ORDER else _subscribed(state)


def expected_preparations(state: PurchaseState) -> Mapping[str, Preparation]:
    """What keys were given out for, and no order has told yet: it counts as an item of its own until then.

    What a subscription is about needs no order to be known.
    """
    told = told_items(state)
    is_main_only = state.kind is PurchaseKind.SUBSCRIPTION
    products = {item.product for line, item in told.items() if line == MAIN_LINE or not is_main_only}
    return {
        line: p
        for line, p in state.prepared.items()
        if not p.line
        and not p.is_elsewhere
        and p.reference not in state.known_orders
        and p.item.product not in products
    }


def first_line(lines: Mapping[str, ItemFact]) -> str:
    """The line that counts as the purchase itself; the same whatever order a store lists them in."""
    return min(lines)


def _subscribed(state: PurchaseState) -> Mapping[str, ItemFact]:
    subscription = state.subscription
    if subscription is None:
        return {**_charged(state), **state.items}
    if not subscription.items:
        main = {} if subscription.is_paid_by_charges else _main_item(subscription, order_id=state.initial_order_id)
        return {**main, **_charged(state), **state.items}
    listed = {item.line: item for item in subscription.items}
    later = {
        line: item
        for line, item in _charged(state).items()
        if not (line in listed and listed[line].is_metered)
        and _is_later(state.charged_item_versions[line].occurred_at, than=subscription.period_began_at)
    }
    return {**listed, **later, **state.items}


def _charged(state: PurchaseState) -> Mapping[str, ItemFact]:
    """What invoices tell; old ones, that do not name their items, only where no other does."""
    named = {line: item for line, item in state.charged_items.items() if line != MAIN_LINE}
    return named or state.charged_items


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
