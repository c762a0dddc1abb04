"""Orders: what was bought, what was not paid for, what FastSpring could not deliver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from licensing_integration.domain.facts import (
    Charge,
    ItemFact,
    NoteFact,
    OrderFact,
    PurchaseFact,
    Subscription,
    SubscriptionFact,
)
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus
from licensing_integration.stores.base import Translator
from licensing_integration.stores.fastspring import notes
from licensing_integration.stores.fastspring.shapes import (
    Head,
    find_subscription,
    is_add_on,
    linked_id,
    read_buyer,
    read_given_keys,
    read_head,
    read_item,
    read_reference,
    read_subscription,
    required_id,
)
from licensing_integration.stores.payload import Payload


@dataclass(kw_only=True)
class _Cart:
    """The lines of one order, sorted by the purchase they belong to."""

    one_time: list[ItemFact] = field(default_factory=list)
    subscriptions: dict[str, tuple[Payload, ItemFact]] = field(default_factory=dict)
    add_ons: dict[str, list[ItemFact]] = field(default_factory=dict)
    given_keys: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict, repr=False)  # by subscription, line

    def take(self, item: Payload, fact: ItemFact, *, subscription_id: str = "") -> ItemFact:
        """Note the license keys that FastSpring has shown for this line."""
        if keys := read_given_keys(item):
            self.given_keys.setdefault(subscription_id, {})[fact.line] = keys
        return fact


def translate_order_completed(event: Payload) -> tuple[PurchaseFact, ...]:
    """One fact for all one-time items and one for each subscription that was bought or got an add-on."""
    head, order = read_head(event), event.require("data")
    order_id = order.identifier("id", "order")
    if not order.boolean("completed", default=True):
        return (_odd_order(head, order_id, "is not marked as completed"),)
    cart = _fill_cart(order.items("items"), order_id=order_id)
    facts = tuple(_cart_facts(cart, head=head, order=order, order_id=order_id))
    return facts or (_odd_order(head, order_id, "has no items"),)


def _odd_order(head: Head, order_id: str, oddity: str) -> NoteFact:
    """Money may have moved but nothing can be issued; that has never been seen, so a person should look."""
    return NoteFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        kind=PurchaseKind.ORDER,
        purchase_id=order_id,
        note=f"Completed order received that {oddity}; nothing was issued.",
        attention=f"FastSpring's event for the completed order {order_id} {oddity}. Look at the order in FastSpring, "
        "then resend the event from there.",
    )


def _fill_cart(items: Sequence[Payload], *, order_id: str) -> _Cart:
    cart, lines = _Cart(), _LineNames()
    for item in items:
        product, subscription_id = required_id(item, "product"), _subscription_of(item)
        is_first = subscription_id not in cart.subscriptions
        if not subscription_id:
            cart.one_time.append(cart.take(item, read_item(item, line=lines.name(product), order_id=order_id)))
        elif is_first and not is_add_on(item):
            fact = read_item(item, line="main", order_id=order_id)
            cart.subscriptions[subscription_id] = (item, cart.take(item, fact, subscription_id=subscription_id))
        elif is_add_on(item) or product != cart.subscriptions[subscription_id][1].product:
            line = lines.name(f"addon:{product}:{order_id}")
            fact = cart.take(item, read_item(item, line=line, order_id=order_id), subscription_id=subscription_id)
            cart.add_ons.setdefault(subscription_id, []).append(fact)
    return cart


def _subscription_of(item: Payload) -> str:
    """The subscription an order line belongs to; empty for a one-time item."""
    return linked_id(item, "parentSubscription" if is_add_on(item) else "subscription")


class _LineNames:
    """``photon``, ``photon#2``, ``photon#3``: a product may stand on several lines of one order."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def name(self, name: str) -> str:
        self._seen[name] += 1
        return name if self._seen[name] == 1 else f"{name}#{self._seen[name]}"


def _cart_facts(cart: _Cart, *, head: Head, order: Payload, order_id: str) -> Iterator[PurchaseFact]:
    customer, reference = read_buyer(order), read_reference(order, "reference")
    subscribed = {name: line for name, (_, line) in cart.subscriptions.items()}
    if cart.one_time:
        yield OrderFact(
            occurred_at=head.occurred_at,
            is_live=head.is_live,
            note=notes.order_completed(cart.one_time),
            order_id=order_id,
            status=PurchaseStatus.COMPLETED,
            reference=reference,
            customer=customer,
            items=tuple(cart.one_time),
            beside=tuple(subscribed.values()),
            given_keys=cart.given_keys.get("", {}),
        )
    bought = {
        subscription_id: _bought(item, line=line, subscription_id=subscription_id)
        for subscription_id, (item, line) in cart.subscriptions.items()
    }
    for subscription_id in dict.fromkeys([*bought, *cart.add_ons]):
        snapshot, add_ons = bought.get(subscription_id), tuple(cart.add_ons.get(subscription_id, ()))
        yield SubscriptionFact(
            occurred_at=head.occurred_at,
            is_live=head.is_live,
            note=notes.subscription_bought(snapshot, add_ons) if snapshot else notes.add_ons_bought(add_ons),
            subscription_id=subscription_id,
            snapshot=snapshot,
            order_id=order_id,
            reference=reference,
            customer=customer,
            customer_is_buyer=True,
            add_ons=add_ons,
            beside=(*cart.one_time, *(line for name, line in subscribed.items() if name != subscription_id)),
            charge=_initial_charge(snapshot, order_id=order_id),
            is_confirmed=True,
            given_keys=cart.given_keys.get(subscription_id, {}),
        )


def _bought(item: Payload, *, line: ItemFact, subscription_id: str) -> Subscription:
    """The subscription a line bought. With nothing but its id the line itself tells the rest, all but the dates."""
    subscription = find_subscription(item, subscription_id=subscription_id)
    if subscription is not None:
        return read_subscription(subscription, line=line)
    return Subscription(
        status=PurchaseStatus.ACTIVE,
        quantity=line.quantity,
        product=line.product,
        attributes=line.attributes,
        display=line.display,
    )


def _initial_charge(snapshot: Subscription | None, *, order_id: str) -> Charge | None:
    """``order.completed`` is sent for the initial purchase only, so it paid for period 1, whatever period the
    subscription had reached when the event was resent or the object fetched. A trial is not paid for."""
    if snapshot is None or snapshot.status is PurchaseStatus.TRIAL:
        return None
    return Charge(order_id=order_id, sequence=1, is_initial=True)


def unpaid_order(status: PurchaseStatus, describe: Callable[[Payload], str]) -> Translator:
    """A translator for orders nobody has paid for; nothing was issued for them, so their items do not matter."""

    def translate(event: Payload) -> tuple[PurchaseFact, ...]:
        head, order = read_head(event), event.require("data")
        fact = OrderFact(
            occurred_at=head.occurred_at,
            is_live=head.is_live,
            note=describe(order),
            order_id=order.identifier("id", "order"),
            status=status,
            reference=read_reference(order, "reference"),
            customer=read_buyer(order),
        )
        return (fact,)

    return translate


def translate_fulfillment_failed(event: Payload) -> tuple[PurchaseFact, ...]:
    """The buyer paid, but FastSpring holds the order back: ``order.completed`` does not come."""
    head, data = read_head(event), event.require("data")
    order_id = required_id(data, "order")
    reference = read_reference(data, "reference") or order_id
    reason = notes.read_reason(data) or "no reason given"
    fact = NoteFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        note=f"Fulfilment failed in FastSpring: {reason}.",
        kind=PurchaseKind.ORDER,
        purchase_id=order_id,
        reference="" if reference == order_id else reference,
        attention=f"FastSpring could not fulfil order {reference}: {reason}. The buyer has paid, but no license is "
        "issued before FastSpring completes the order. Correct the fulfilment there and process the order again.",
    )
    return (fact,)
