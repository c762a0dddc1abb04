"""What the demonstration tells: a customer of FastSpring and one of Stripe, through the life of a license."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from licensing_integration.sandbox import fastspring, fastspring_fulfilment, stripe
from licensing_integration.sandbox.fastspring import Buyer, FastSpringShop
from licensing_integration.sandbox.stripe import StripeShop
from licensing_integration.sandbox.stripe_steps import Line

PRODUCT, TEAM_PRODUCT = "photon-editor", "studio-team-monthly"  # FastSpring's product paths
STRIPE_PRODUCT, STRIPE_TEAM_PRODUCT = "prod_PhotonEditor", "prod_StudioTeam"
# The stores' policies where a mapping says nothing else: what a license outlasts the paid period, and a failed payment.
FASTSPRING_EXTRA_DAYS, STRIPE_EXTRA_DAYS, STRIPE_GRACE_DAYS = 1, 3, 7

Event = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing a shop does, and what the licenses of that purchase must be like afterwards.

    It reports ``events``, or it asks for the keys of the first line of ``asks_for``, an order it is about to complete.
    """

    store: str
    title: str
    expected: str  # as the demo describes licenses, such as "3 active until 2027-01-21"
    events: Sequence[Event] = ()
    asks_for: Event | None = None


@dataclass(frozen=True, kw_only=True)
class Endings:
    """How licenses end, which is not the same on every license server: those of a ``subscription`` of three that ends,
    with ``{until}`` for their end date, and that of a ``refunded`` one-time purchase."""

    subscription: str
    refunded: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a store posts: body and headers."""

    body: bytes
    headers: dict[str, str]


class Clock:
    """The shops' time, which we move."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def advance(self, *, days: int) -> None:
        self._offset += timedelta(days=days)


def requests_of(step: Step, *, secret: str) -> list[Request]:
    """FastSpring puts all events into one request, Stripe sends one each."""
    if step.store == "fastspring":
        body = fastspring.delivery(*step.events)
        return [_json_request(body, {"X-FS-Signature": fastspring.sign(body, secret=secret)})]
    bodies = [stripe.delivery(event) for event in step.events]
    signed = [stripe.sign(body, secret=secret, at=datetime.now(UTC)) for body in bodies]
    return [_json_request(body, {"Stripe-Signature": header}) for body, header in zip(bodies, signed, strict=True)]


def _json_request(body: bytes, headers: dict[str, str]) -> Request:
    return Request(body=body, headers={**headers, "Content-Type": "application/json"})


def key_request(order: Event, *, private_key: str) -> Request:
    """FastSpring asks for the keys of an order's first line."""
    form = fastspring_fulfilment.key_request(order, private_key=private_key)
    return Request(body=form.encode(), headers={"Content-Type": fastspring_fulfilment.CONTENT_TYPE})


def tell_story(*, metadata: Mapping[str, str], endings: Endings) -> list[Step]:
    """``metadata``: how the one-time Stripe purchase names its license product; all else is mapped."""
    return [*_fastspring_story(endings), *_stripe_story(metadata, endings)]


def _fastspring_story(endings: Endings) -> list[Step]:
    """A one-time order with its key on the order page; the life of a subscription of quantity 3 in a few seconds."""
    clock = Clock()
    shop = FastSpringShop(clock=clock)
    ava, ben = _buyer("Ava", "Lindqvist"), _buyer("Ben", "Okafor")
    step = partial(Step, store="fastspring")
    order = shop.buy(ava, PRODUCT)
    steps = [
        step(
            title="Ava pays. Before FastSpring completes her order, it asks for her key",
            asks_for=order,
            expected="1 active",
        ),
        step(title="Ava has her key on the order page; the order recognises it", events=[order], expected="1 active"),
    ]
    team, started = shop.subscribe(ben, TEAM_PRODUCT, quantity=3)

    def until() -> str:
        return _date(team.next, extra_days=FASTSPRING_EXTRA_DAYS)

    steps.append(step(title="Ben subscribes for three", events=started, expected=f"3 active until {until()}"))

    def later(title: str, make: Callable[[fastspring.DemoSubscription], Event], expected: str, *, days: int) -> None:
        clock.advance(days=days)
        event = make(team)
        steps.append(step(title=title, events=[event], expected=expected.format(until=until())))

    later("A month later the subscription renews", shop.renew, "3 active until {until}", days=30)
    later("The next payment fails", shop.overdue, "3 suspended until {until}", days=30)
    later("The payment arrives late", shop.renew, "3 active until {until}", days=2)
    later("The subscription ends", shop.deactivate, endings.subscription, days=28)
    return steps


def _stripe_story(metadata: Mapping[str, str], endings: Endings) -> list[Step]:
    """A subscription of three by Checkout, and a one-time purchase that is refunded; no API key is needed for it."""
    clock = Clock()
    shop = StripeShop(clock=clock, seed=secrets.token_hex(8))
    once, monthly = _sell_in(shop)
    chloe, dev = _buyer("Chloe", "Martin"), _buyer("Dev", "Rao")
    step = partial(Step, store="stripe")
    session, started = shop.subscribe(chloe, Line(price=monthly, quantity=3))
    subscription = session["subscription"]
    steps = [
        step(
            title="Chloe subscribes for three in Stripe Checkout",
            events=started,
            expected=f"3 active until {_stripe_date(shop, subscription)}",
        )
    ]

    def later(title: str, make: Callable[[str], list[Event]], *, days: int) -> None:
        clock.advance(days=days)
        events = make(subscription)
        until = _stripe_date(shop, subscription) if _is_paid(events) else _grace(events)
        steps.append(step(title=title, events=events, expected=f"3 active until {until}"))

    later("A month later the Stripe subscription renews", shop.renew, days=31)
    later("The next payment fails, and days of grace begin", shop.fail_renewal, days=31)
    later("Stripe's second attempt succeeds", shop.recover, days=3)
    session, bought = shop.buy(dev, Line(price=once), metadata=metadata)
    steps.append(step(title="Dev buys a one-time product in Stripe Checkout", events=bought, expected="1 active"))
    refunded = shop.refund(session["payment_intent"])
    steps.append(step(title="Dev gets all his money back", events=refunded, expected=endings.refunded))
    return steps


def _sell_in(shop: StripeShop) -> tuple[str, str]:
    """The price ids of a one-time product and of a monthly one."""
    shop.add_product("Photon Editor", product_id=STRIPE_PRODUCT)
    shop.add_product("Studio Team", product_id=STRIPE_TEAM_PRODUCT)
    monthly = shop.add_price(STRIPE_TEAM_PRODUCT, amount=4900, interval="month")
    return shop.add_price(STRIPE_PRODUCT, amount=7900)["id"], monthly["id"]


def _buyer(first: str, last: str) -> Buyer:
    return Buyer(email=f"{first.lower()}.{secrets.token_hex(3)}@example.com", first=first, last=last)


def _stripe_date(shop: StripeShop, subscription_id: str) -> str:
    item = shop.subscriptions[subscription_id]["items"]["data"][0]
    return _date(datetime.fromtimestamp(item["current_period_end"], UTC), extra_days=STRIPE_EXTRA_DAYS)


def _is_paid(events: Sequence[Event]) -> bool:
    return any(event["type"] == "invoice.paid" for event in events)


def _grace(events: Sequence[Event]) -> str:
    """The date until which licenses stay usable after a failed payment."""
    return _date(datetime.fromtimestamp(events[-1]["created"], UTC), extra_days=STRIPE_GRACE_DAYS)


def _date(moment: datetime, *, extra_days: int) -> str:
    """The date a license should show: so many days after the moment."""
    return f"{moment + timedelta(days=extra_days):%Y-%m-%d}"
