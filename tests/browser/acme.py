"""A shop of two months, for pictures of the console: what it sells, to whom, and what goes wrong.

The shops report one day after the other to the product as it runs, so every row came about as any other. After that the
moments at which things happened here are moved to where the shops' clocks stood: two months cannot be waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

import psycopg

from licensing_integration.sandbox.fastspring import Buyer, DemoSubscription, Event, FastSpringShop
from licensing_integration.sandbox.faults import FaultKind
from licensing_integration.sandbox.stripe import StripeShop
from licensing_integration.sandbox.stripe_steps import Line
from tests.browser.console import Console

DAYS = 62
EDITOR, TEAM, RENDERER, FORGOTTEN = "photon-editor", "studio-team-monthly", "photon-renderer", "photon-brushes"
STRIPE_TEAM = "prod_StudioTeam"
LATE_PAYER = Buyer(email="mia.tanaka@northlight.example", first="Mia", last="Tanaka", company="Northlight Studio")
RETURNER = Buyer(email="jonas.weber@example.com", first="Jonas", last="Weber", company="Weber & Söhne")
FIRST_NAMES = ("Ava", "Ben", "Chloe", "Dev", "Elif", "Femi", "Grace", "Hugo", "Ines", "Jamal", "Kira", "Leo", "Noor")
LAST_NAMES = (
    "Lindqvist",
    "Okafor",
    "Martin",
    "Rao",
    "Yilmaz",
    "Santos",
    "Novak",
    "Dubois",
    "Keller",
    "Haddad",
    "Moreau",
)

# What came of an event happened as long after it as it did; a delivery comes two seconds after what it tells.
_MOVE = """
CREATE TEMPORARY TABLE moved ON COMMIT DROP AS
    SELECT id, received_at - occurred_at - interval '2 seconds' AS by FROM licensing_integration_webhookevent;
UPDATE licensing_integration_historyentry entry
   SET at = at - by,
       calls = (SELECT jsonb_agg(call || jsonb_build_object('at', (call ->> 'at')::timestamptz - by) ORDER BY number)
                  FROM jsonb_array_elements(calls) WITH ORDINALITY AS kept (call, number))
  FROM moved WHERE moved.id = entry.event_id;
UPDATE licensing_integration_webhookevent event
   SET received_at = received_at - by, processed_at = processed_at - by FROM moved WHERE moved.id = event.id;
UPDATE licensing_integration_secretuse used
   SET last_at = (SELECT max(received_at) FROM licensing_integration_webhookevent event WHERE event.store = used.store);
UPDATE licensing_integration_licenselink link
   SET issued_at = CASE WHEN issued_at IS NOT NULL THEN told.first_at END,
       failing_since = CASE WHEN failing_since IS NOT NULL THEN told.last_at END,
       created_at = told.first_at, observed_at = told.last_at, attempted_at = told.last_at
  FROM (SELECT link_id, min(at) AS first_at, max(at) AS last_at
          FROM licensing_integration_historyentry GROUP BY link_id) told
 WHERE told.link_id = link.id;
UPDATE licensing_integration_purchase purchase SET first_seen_at = told.first_at, updated_at = told.last_at
  FROM (SELECT purchase_id, min(at) AS first_at, max(at) AS last_at
          FROM licensing_integration_historyentry GROUP BY purchase_id) told
 WHERE told.purchase_id = purchase.id;
"""


@dataclass(kw_only=True)
class Clock:
    """The shops' time."""

    chance: Random
    moment: datetime = datetime.min

    def __call__(self) -> datetime:
        return self.moment

    def begin_day(self, days_ago: int) -> None:
        self.moment = datetime.now(UTC) - timedelta(days=days_ago, hours=9)

    def tick(self) -> None:
        self.moment += timedelta(minutes=self.chance.uniform(15, 50))


class Acme:
    """The same every time but for ids and moments."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._chance = Random(11)
        self._clock = Clock(chance=self._chance)
        self._clock.begin_day(DAYS)
        for sandbox in console.sandboxes:
            sandbox.clock = self._clock
        self._shop = FastSpringShop(clock=self._clock)
        self._stripe = StripeShop(clock=self._clock, seed="acme")
        self._stripe.add_product("Studio Team", product_id=STRIPE_TEAM)
        self._price = self._stripe.add_price(STRIPE_TEAM, amount=4900, interval="month")["id"]
        self._tester = FastSpringShop(clock=self._clock, live=False)
        self._subscriptions: list[DemoSubscription] = []
        self._order: Event = {}  # of which one unit will be returned
        self._specials: dict[int, Callable[[], list[Event]]] = {
            62: lambda: self._subscribe(LATE_PAYER, TEAM, quantity=3),
            25: self._fail_for_a_moment,
            13: self._fail_for_a_moment,
            4: self._sell_three,
            3: lambda: [self._tester.buy(self._somebody(), EDITOR)],
            2: self._return_one,
            1: lambda: self._sell_unmapped(2),
            0: lambda: self._sell_unmapped(3),
        }

    def live(self) -> None:
        """Two months of business, and then everything is worked on."""
        for days_ago in range(DAYS, -1, -1):
            self._clock.begin_day(days_ago)
            if days_ago == 1:
                self._refuse_one()
            self._console.send(*self._day_at_fastspring(days_ago))
            if days_ago % 5 == 0:
                _, events = self._stripe.subscribe(self._somebody(), Line(price=self._price, quantity=2))
                self._console.send(*events, store="stripe")
        with psycopg.connect(self._console.database.url) as connection:
            connection.execute(_MOVE)

    def _day_at_fastspring(self, days_ago: int) -> list[Event]:
        events = list(self._renewals(days_ago))
        if days_ago in self._specials:
            events += self._specials[days_ago]()
        if days_ago % 3 == 0:  # of a type that means nothing for licensing, so nobody reads what it says
            events.append({**self._shop.buy(self._somebody(), EDITOR), "type": "account.updated"})
        for _ in range(self._chance.choice((1, 2, 2, 3, 4))):
            self._clock.tick()
            events += self._sell_something()
        return events

    def _renewals(self, days_ago: int) -> Iterator[Event]:
        """What becomes of every period that ends. Who is late pays some days after, or never."""
        for subscription in [each for each in self._subscriptions if each.next <= self._clock()]:
            self._clock.tick()
            luck = self._chance.random()
            if subscription.buyer == LATE_PAYER:
                luck = 0.0 if days_ago < 10 else 1.0
            if subscription.state == "overdue" and luck < 0.6:
                continue
            if subscription.state != "overdue" and luck < 0.15:
                yield self._shop.overdue(subscription)
            elif 0.65 < luck < 0.75:
                self._subscriptions.remove(subscription)
                yield self._shop.deactivate(subscription)
            else:
                yield self._shop.renew(subscription)

    def _sell_something(self) -> list[Event]:
        product = self._chance.choices((EDITOR, TEAM, RENDERER), weights=(5, 3, 3))[0]
        if product == EDITOR:
            return [self._shop.buy(self._somebody(), product)]
        return self._subscribe(self._somebody(), product, quantity=self._chance.choice((1, 1, 2, 3)))

    def _subscribe(self, buyer: Buyer, product: str, *, quantity: int) -> list[Event]:
        subscription, events = self._shop.subscribe(buyer, product, quantity=quantity)
        self._subscriptions.append(subscription)
        return events

    def _sell_three(self) -> list[Event]:
        self._order = self._shop.buy(RETURNER, EDITOR, quantity=3)
        return [self._order]

    def _return_one(self) -> list[Event]:
        (line,) = self._order["data"]["items"]
        returned = {**line, "quantity": 1, "subtotal": line["subtotal"] / 3, "refundType": "Partial Refund"}
        return [self._shop.refund(self._order, lines=[returned])]

    def _sell_unmapped(self, number: int) -> list[Event]:
        return [self._shop.buy(self._somebody(), FORGOTTEN) for _ in range(number)]

    def _fail_for_a_moment(self) -> list[Event]:
        """The license server is overloaded when the next two licenses are asked for; both are tried again."""
        self._console.cryptlex.faults.add(
            kind=FaultKind.STATUS, times=2, method="POST", path="/v3/licenses", status=503
        )
        return self._shop.subscribe(self._somebody(), TEAM, quantity=2)[1]

    def _refuse_one(self) -> None:
        """The license server refuses the next license."""
        self._console.cryptlex.faults.add(
            kind=FaultKind.STATUS,
            method="POST",
            path="/v3/licenses",
            status=400,
            message="The account's plan allows no more licenses.",
        )

    def _somebody(self) -> Buyer:
        first, last = self._chance.choice(FIRST_NAMES), self._chance.choice(LAST_NAMES)
        number = self._chance.randrange(10, 100)
        return Buyer(email=f"{first}.{last}{number}@example.com".lower(), first=first, last=last)
