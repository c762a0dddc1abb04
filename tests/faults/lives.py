"""The lives of purchases as a shop reports them, and what the licenses must be like in the end."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from licensing_integration.sandbox.fastspring import Buyer, DemoSubscription, Event, FastSpringShop
from tests.faults.servers import CRYPTLEX, Server

EXTRA_DAYS = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What each license of a purchase must be like. ``state``: ``active``, ``suspended`` or ``absent``. It ends at
    ``until``, or so many monthly ``periods`` after its creation; both ``None``: not looked at."""

    server: Server
    slots: tuple[str, ...]
    state: str
    until: datetime | None = None
    periods: int | None = None


@dataclass(frozen=True, kw_only=True)
class Life:
    """One purchase: its events in the order in which they happened, and how each part of it ends."""

    events: tuple[Event, ...]
    expected: tuple[Expected, ...]


class Clock:
    """The shop's time: it begins now, and moves when it is told to."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, *, days: int = 0, seconds: int = 1) -> None:
        self.now += timedelta(days=days, seconds=seconds)


class Teller:
    """Lets one subscription live; each verb moves the clock on and notes the event."""

    def __init__(
        self, buyer: Buyer, *, server: Server = CRYPTLEX, is_by_interval: bool = False, quantity: int = 1
    ) -> None:
        self.server = server
        self.is_counted = is_by_interval and server.is_counting
        self.clock = Clock()
        self.shop = FastSpringShop(clock=self.clock)
        self.events: list[Event] = []
        product = server.by_interval if is_by_interval else server.by_date
        self.subscription: DemoSubscription
        self.subscription, begun = self.shop.subscribe(buyer, product, quantity=quantity)
        self.most = quantity
        self.events += begun

    def renew(self, *, late_days: int = 0) -> Teller:
        self.clock.advance(days=30 + late_days)
        self.events.append(self.shop.renew(self.subscription))
        return self

    def overdue(self) -> Teller:
        self.clock.advance(days=30)
        self.events.append(self.shop.overdue(self.subscription))
        return self

    def change(self, event_type: str, *, state: str) -> Teller:
        self.clock.advance(days=1)
        self.events.append(self.shop.change(self.subscription, event_type, state=state))
        return self

    def refund(self) -> Teller:
        self.clock.advance(days=1)
        self.events.append(self.shop.refund(self.events[1]))
        return self

    def grow(self, *, by: int) -> Teller:
        self.clock.advance(days=1)
        self.most = self.subscription.quantity + by
        self.events += self.shop.prorate(self.subscription, quantity=self.most)
        return self

    def end(self, state: str) -> Life:
        """The life so far; its licenses must be in ``state``."""
        slots = tuple(f"fastspring/subscription/{self.subscription.id}/main/{n}" for n in range(1, self.most + 1))
        end: dict[str, Any] = {"until": self.subscription.next + EXTRA_DAYS}
        if self.is_counted:
            end = {"periods": self.subscription.sequence}
        expected = Expected(server=self.server, slots=slots, state=state, **({} if state == "absent" else end))
        return Life(events=tuple(self.events), expected=(expected,))


_STORIES: Sequence[Callable[[Teller], Life]] = (
    lambda teller: teller.end("active"),
    lambda teller: teller.renew().renew().end("active"),
    lambda teller: teller.renew().overdue().end("suspended"),
    lambda teller: teller.renew().overdue().renew(late_days=2).end("active"),
    lambda teller: teller.renew().change("subscription.deactivated", state="deactivated").end("absent"),
    lambda teller: teller.change("subscription.paused", state="paused").end("suspended"),
    lambda teller: (
        teller.change("subscription.paused", state="paused")
        .change("subscription.resumed", state="active")
        .end("active")
    ),
    lambda teller: teller.renew().change("subscription.canceled", state="canceled").end("active"),
    lambda teller: teller.grow(by=2).renew().end("active"),
    lambda teller: teller.refund().end("suspended"),
)


def subscriptions(count: int, *, server: Server = CRYPTLEX) -> list[Life]:
    """Subscriptions with a story each, of quantities 1 to 5; every third is renewed by interval instead of by date."""
    lives = []
    for number in range(count):
        teller = Teller(buyer(number), server=server, is_by_interval=number % 3 == 1, quantity=1 + number % 4)
        lives.append(_STORIES[number % len(_STORIES)](teller))
    return lives


def orders(
    count: int, *, quantity: int, servers: Sequence[Server] = (CRYPTLEX,), is_prepared: bool = False
) -> list[Life]:
    """One-time orders, each with one product of each of these servers. ``is_prepared``: their keys are asked for before
    they are completed, so they are known by reference first."""
    shop = FastSpringShop()
    lives = []
    for number in range(count):
        lines = [shop.item(server.by_date, quantity=quantity) for server in servers]
        event = shop.order(buyer(number), *lines)
        name = event["data"]["reference" if is_prepared else "id"]
        asked = f"*{quantity}" if is_prepared else ""
        expected = [_ordered(f"{name}/{server.by_date}{asked}", server, quantity=quantity) for server in servers]
        lives.append(Life(events=(event,), expected=tuple(expected)))
    return lives


def _ordered(line: str, server: Server, *, quantity: int) -> Expected:
    slots = tuple(f"fastspring/order/{line}/{unit}" for unit in range(1, quantity + 1))
    return Expected(server=server, slots=slots, state="active")


def buyer(number: int) -> Buyer:
    return Buyer(email=f"buyer-{number}@example.com", first=f"Buyer{number}")


def deliveries_of(lives: Iterable[Life]) -> list[list[Event]]:
    """One delivery per event, each purchase's in order."""
    return [[event] for life in lives for event in life.events]


def with_duplicates(deliveries: Sequence[list[Event]], *, share: float, chance: random.Random) -> list[list[Event]]:
    """``deliveries`` and a share of them once more, each at some later place."""
    result = list(deliveries)
    for number, delivery in enumerate(deliveries):
        if chance.random() < share:
            result.insert(chance.randint(number + 1, len(result)), delivery)
    return result
