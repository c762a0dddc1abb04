"""The pretend Stripe shop makes events of the shapes the adapter's fixtures have, and lives like an account."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import stripe

from licensing_integration.sandbox.fastspring import Buyer
from licensing_integration.sandbox.stripe import StripeShop, delivery, sign
from licensing_integration.sandbox.stripe_account import Event
from licensing_integration.sandbox.stripe_life import ImpossibleStepError
from licensing_integration.sandbox.stripe_old_shapes import OLD_VERSION
from licensing_integration.sandbox.stripe_steps import Line

FIXTURES = Path(__file__).resolve().parents[1] / "stores" / "stripe" / "fixtures"
SECRET = "whsec_for_the_shop"
NOON = datetime(2026, 10, 31, 12, tzinfo=UTC)
AVA = Buyer(email="ava@example.com", company="Lindqvist AB")
MONTHLY, YEARLY, ONCE = Line(price="price_month", quantity=3), Line(price="price_year"), Line(price="price_once")

Story = Callable[[StripeShop], list[Event]]


def _shop(**options: Any) -> StripeShop:
    shop = StripeShop(**{"clock": lambda: NOON, "enabled_events": None, **options})
    shop.add_product("Studio", product_id="prod_studio")
    shop.add_price("prod_studio", price_id="price_month", interval="month", amount=4900)
    shop.add_price("prod_studio", price_id="price_year", interval="year", amount=49000)
    shop.add_product("Photon", product_id="prod_photon")
    shop.add_price("prod_photon", price_id="price_once", amount=29900)
    shop.add_price("prod_photon", price_id="price_pro", interval="month", amount=12900)
    return shop


@pytest.fixture
def shop() -> StripeShop:
    return _shop()


def _team(shop: StripeShop, **options: Any) -> str:
    """The id of a new subscription of three."""
    session, _ = shop.subscribe(AVA, MONTHLY, **options)
    return str(session["subscription"])


def _trial(shop: StripeShop) -> str:
    return _team(shop, trial_days=14)


def _overdue(shop: StripeShop) -> str:
    subscription_id = _team(shop)
    shop.fail_renewal(subscription_id)
    return subscription_id


def _canceled(shop: StripeShop, **options: Any) -> str:
    subscription_id = _team(shop, **options)
    shop.cancel_at_period_end(subscription_id)
    return subscription_id


def _paused(shop: StripeShop) -> str:
    subscription_id = _trial(shop)
    shop.end_trial_unpaid(subscription_id)
    return subscription_id


def _paid(shop: StripeShop) -> str:
    """The payment intent of a one-time sale."""
    return str(shop.buy(AVA, ONCE)[0]["payment_intent"])


def _disputed(shop: StripeShop) -> str:
    return str(shop.dispute(_paid(shop))[0]["data"]["object"]["id"])


def _delayed(shop: StripeShop) -> str:
    return str(shop.buy(AVA, ONCE, is_delayed=True)[0]["id"])


# The fixture, and the steps that make an event of its kind.
STORIES: dict[str, Story] = {
    "checkout.session.completed--payment-paid": lambda s: s.buy(AVA, ONCE)[1],
    "checkout.session.completed--multi-quantity": lambda s: s.buy(AVA, ONCE, has_invoice=True)[1],
    "checkout.session.completed--payment-unpaid": lambda s: s.buy(AVA, ONCE, is_delayed=True)[1],
    "checkout.session.completed--payment-no-cost": lambda s: s.buy(AVA, ONCE, is_free=True)[1],
    "checkout.session.completed--payment-link": lambda s: s.buy(AVA, ONCE, is_payment_link=True)[1],
    "checkout.session.completed--setup": lambda s: s.set_up(AVA)[1],
    "checkout.session.completed--subscription": lambda s: s.subscribe(AVA, MONTHLY)[1],
    "checkout.session.completed--subscription-trial": lambda s: s.subscribe(AVA, MONTHLY, trial_days=14)[1],
    "checkout.session.expired": lambda s: s.abandon(AVA, ONCE)[1],
    "checkout.session.async_payment_succeeded": lambda s: s.settle(_delayed(s)),
    "checkout.session.async_payment_failed": lambda s: s.settle(_delayed(s), succeeds=False),
    "customer.created": lambda s: s.subscribe(AVA, MONTHLY)[1],
    "customer.updated--email-change": lambda s: s.change_customer(
        s.subscribe(AVA, MONTHLY)[0]["customer"], email="b@c.d"
    ),
    "customer.subscription.created": lambda s: s.create_subscription(AVA, MONTHLY)[1],
    "customer.subscription.created--trialing": lambda s: s.subscribe(AVA, MONTHLY, trial_days=14)[1],
    "customer.subscription.updated--renewal": lambda s: s.renew(_team(s)),
    "customer.subscription.updated--trial-to-active": lambda s: s.renew(_trial(s)),
    "customer.subscription.updated--quantity-3-to-5": lambda s: s.change_quantity(_team(s), 5, is_invoiced_now=True),
    "customer.subscription.updated--price-change": lambda s: s.change_price(
        _team(s), "price_pro", is_invoiced_now=True
    ),
    "customer.subscription.updated--past_due": lambda s: s.fail_renewal(_team(s))[1:],
    "customer.subscription.updated--recovered-active": lambda s: s.recover(_overdue(s)),
    "customer.subscription.updated--unpaid": lambda s: s.give_up(_overdue(s), is_canceled=False),
    "customer.subscription.updated--cancel_at-flexible": lambda s: s.cancel_at_period_end(_team(s)),
    "customer.subscription.updated--cancel_at_period_end": lambda s: s.cancel_at_period_end(_team(s, is_classic=True)),
    "customer.subscription.updated--cancel-undone": lambda s: s.undo_cancellation(_canceled(s, is_classic=True)),
    "customer.subscription.updated--pause_collection": lambda s: s.pause_collection(_team(s)),
    "customer.subscription.deleted--payment_failed": lambda s: s.give_up(_overdue(s)),
    "customer.subscription.deleted--period-end": lambda s: s.reach_cancellation(_canceled(s)),
    "customer.subscription.deleted--immediate": lambda s: s.cancel_now(_team(s, is_classic=True)),
    "customer.subscription.paused": lambda s: s.end_trial_unpaid(_trial(s)),
    "customer.subscription.resumed": lambda s: s.resume(_paused(s)),
    "customer.subscription.trial_will_end": lambda s: s.remind_of_trial_end(_trial(s)),
    "invoice.paid--subscription_create": lambda s: s.subscribe(AVA, MONTHLY)[1],
    "invoice.paid--subscription_create-trial-zero": lambda s: s.subscribe(AVA, MONTHLY, trial_days=14)[1],
    "invoice.paid--subscription_cycle": lambda s: s.renew(_team(s)),
    "invoice.paid--subscription_cycle-first-after-trial": lambda s: s.renew(_trial(s)),
    "invoice.paid--subscription_cycle-recovered": lambda s: s.recover(_overdue(s)),
    "invoice.paid--subscription_update-proration": lambda s: s.change_quantity(_team(s), 5, is_invoiced_now=True),
    "invoice.paid--manual-from-checkout": lambda s: s.buy(AVA, ONCE, has_invoice=True)[1],
    "invoice.payment_succeeded--subscription_cycle": lambda s: s.renew(_team(s)),
    "invoice.payment_failed--subscription_cycle": lambda s: s.fail_renewal(_team(s)),
    "charge.refunded--full": lambda s: s.refund(_paid(s)),
    "charge.refunded--partial": lambda s: s.refund(_paid(s), amount=100),
    "refund.created": lambda s: s.refund(_paid(s)),
    "charge.dispute.created": lambda s: s.dispute(_paid(s)),
    "charge.dispute.created--inquiry": lambda s: s.dispute(_paid(s), is_inquiry=True),
    "charge.dispute.funds_withdrawn": lambda s: s.dispute(_paid(s)),
    "charge.dispute.closed--won": lambda s: s.close_dispute(_disputed(s), status="won"),
    "charge.dispute.funds_reinstated": lambda s: s.close_dispute(_disputed(s), status="won"),
    "charge.dispute.closed--lost": lambda s: s.close_dispute(_disputed(s), status="lost"),
}
# Members the merchant fills, or of which our shop keeps only a part.
_FREE = {"metadata", "payment_method_details", "fee_details", "payment_method_options"}
# By these an adapter tells one event of a type from another.
_TELLING = {
    "billing_reason",
    "cancel_at_period_end",
    "mode",
    "object",
    "payment_status",
    "proration",
    "refunded",
    "status",
    "type",
}


def _differences(fixture: Any, made: Any, *, where: str = "") -> list[str]:
    """Members that only one has, at any depth both reach, and telling members that differ."""
    if isinstance(fixture, list) and isinstance(made, list) and fixture and made:
        return _differences(fixture[0], made[0], where=f"{where}[]")
    if not isinstance(fixture, dict) or not isinstance(made, dict):
        is_telling = where.rpartition(".")[2] in _TELLING
        return [f"{where}: {fixture} / {made}"] if is_telling and fixture != made else []
    found = [f"{where}.{name}" for name in sorted(set(fixture) ^ set(made))]
    for name in sorted(set(fixture) & set(made) - _FREE):
        found += _differences(fixture[name], made[name], where=f"{where}.{name}")
    return found


@pytest.mark.parametrize("name", STORIES)
def test_an_event_has_the_shape_of_its_fixture(shop, name):
    fixture = json.loads((FIXTURES / f"{name}.json").read_bytes())
    made = [event for event in STORIES[name](shop) if event["type"] == fixture["type"]]
    assert len(made) == 1
    assert set(made[0]) == set(fixture)
    assert _differences(fixture["data"]["object"], made[0]["data"]["object"]) == []
    assert _previous_names(made[0]) == _previous_names(fixture)


def _previous_names(event: Event) -> set[str]:
    return set(event["data"].get("previous_attributes", {}))


def test_every_kind_of_event_the_shop_makes_is_compared_with_a_fixture():
    made: set[str] = set()
    for story in STORIES.values():
        made |= {event["type"] for event in story(_shop())}
    compared = {name.partition("--")[0] for name in STORIES}
    assert made - compared == set()


def test_the_official_library_accepts_the_signature(shop):
    _, events = shop.buy(AVA, ONCE)
    body = delivery(events[0])
    header = sign(body, secret=SECRET, at=datetime.now(UTC))
    assert stripe.Webhook.construct_event(body, header, SECRET).id == events[0]["id"]
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body + b" ", header, SECRET)


def test_the_same_steps_give_the_same_events_and_another_seed_gives_other_ids():
    first, again, other = (_shop(seed=seed).subscribe(AVA, MONTHLY)[1] for seed in ("a", "a", "b"))
    assert first == again
    assert not {event["id"] for event in first} & {event["id"] for event in other}


def test_a_session_in_an_event_has_no_line_items_and_the_one_in_the_account_has(shop):
    session, events = shop.buy(AVA, ONCE, Line(price="price_once", quantity=2))
    assert "line_items" not in events[-1]["data"]["object"]
    lines = shop.sessions[session["id"]]["line_items"]["data"]
    assert [(line["price"]["id"], line["quantity"]) for line in lines] == [("price_once", 1), ("price_once", 2)]


def test_a_renewal_moves_the_period_first_and_is_paid_an_hour_later(shop):
    subscription_id = _team(shop)
    end = _item(shop, subscription_id)["current_period_end"]
    updated, paid, _ = shop.renew(subscription_id)
    assert _item(shop, subscription_id)["current_period_start"] == end
    assert [updated["type"], paid["type"]] == ["customer.subscription.updated", "invoice.paid"]
    assert paid["created"] - updated["created"] == 3600
    assert paid["data"]["object"]["lines"]["data"][0]["period"]["start"] == end


def test_periods_end_on_the_day_of_the_month_the_subscription_began(shop):
    subscription_id = _team(shop)
    ends = []
    for _ in range(5):
        ends.append(datetime.fromtimestamp(_item(shop, subscription_id)["current_period_end"], UTC))
        shop.renew(subscription_id)
    assert [f"{end:%m-%d}" for end in ends] == ["11-30", "12-31", "01-31", "02-28", "03-31"]


def test_a_change_without_an_invoice_is_on_the_next_one(shop):
    subscription_id = _team(shop)
    assert [event["type"] for event in shop.change_quantity(subscription_id, 5)] == ["customer.subscription.updated"]
    lines = shop.renew(subscription_id)[1]["data"]["object"]["lines"]["data"]
    details = [line["parent"]["subscription_item_details"]["proration"] for line in lines]
    assert details == [True, True, False]
    assert [line["amount"] for line in lines] == [5 * 4900, -3 * 4900, 5 * 4900]
    assert len(shop.renew(subscription_id)[1]["data"]["object"]["lines"]["data"]) == 1


def test_another_interval_begins_a_new_period_at_once(shop):
    subscription_id = _team(shop)
    paid = shop.change_price(subscription_id, "price_year")[1]["data"]["object"]
    assert datetime.fromtimestamp(_item(shop, subscription_id)["current_period_end"], UTC).year == NOON.year + 1
    assert [line["amount"] for line in paid["lines"]["data"]] == [-3 * 4900, 3 * 49000]


def test_paused_collection_moves_the_period_and_pays_nothing(shop):
    subscription_id = _team(shop)
    shop.pause_collection(subscription_id)
    assert [event["type"] for event in shop.renew(subscription_id)] == ["customer.subscription.updated"]
    assert len([event for event in shop.events if event["type"] == "invoice.paid"]) == 1


def test_a_delayed_payment_leaves_the_invoice_open_until_it_is_settled(shop):
    session, _ = shop.subscribe(AVA, MONTHLY, is_delayed=True)
    assert (session["payment_status"], shop.invoices[session["invoice"]]["status"]) == ("unpaid", "open")
    assert shop.subscriptions[session["subscription"]]["status"] == "active"
    assert [event["type"] for event in shop.settle(session["id"])][:2] == [
        "checkout.session.async_payment_succeeded",
        "invoice.paid",
    ]
    assert (session["payment_status"], shop.invoices[session["invoice"]]["status"]) == ("paid", "paid")


def test_an_incomplete_subscription_is_paid_or_expires(shop):
    subscription, _ = shop.create_subscription(AVA, MONTHLY, is_paid=False)
    assert [event["type"] for event in shop.recover(subscription["id"])][::2] == [
        "invoice.paid",
        "customer.subscription.updated",
    ]
    lost, _ = shop.create_subscription(AVA, MONTHLY, is_paid=False)
    shop.expire_incomplete(lost["id"])
    assert (subscription["status"], lost["status"]) == ("active", "incomplete_expired")


def test_one_time_lines_of_a_subscription_are_on_its_first_invoice_only(shop):
    session, _ = shop.subscribe(AVA, MONTHLY, ONCE)
    first = shop.invoices[session["invoice"]]["lines"]["data"]
    assert [line["parent"]["type"] for line in first] == ["subscription_item_details", "invoice_item_details"]
    assert len(shop.renew(session["subscription"])[1]["data"]["object"]["lines"]["data"]) == 1


def test_a_payment_and_its_invoice_find_each_other(shop):
    session, _ = shop.subscribe(AVA, MONTHLY)
    payment_intent = shop.payment_of_invoice(session["invoice"])
    assert shop.invoice_of_payment(payment_intent) == session["invoice"]
    refunded = shop.refund(payment_intent)[-1]["data"]["object"]
    assert (refunded["amount_refunded"], refunded["refunded"]) == (3 * 4900, True)


def test_a_failed_refund_has_refunded_nothing(shop):
    payment_intent = _paid(shop)
    refund = shop.refund(payment_intent)[0]["data"]["object"]
    assert shop.fail_refund(refund["id"])[0]["data"]["object"]["status"] == "failed"
    charge = shop.charge_of_payment(payment_intent)
    assert (charge["amount_refunded"], charge["refunded"]) == (0, False)


def test_only_types_the_endpoint_listens_to_are_delivered_and_all_are_kept():
    shop = _shop(enabled_events={"invoice.paid"})
    _, events = shop.subscribe(AVA, MONTHLY)
    assert [event["type"] for event in events] == ["invoice.paid"]
    assert len(shop.events) == 5


@pytest.mark.parametrize("step", ["renew", "recover", "change_quantity", "cancel_now", "resume", "give_up"])
def test_an_ended_subscription_stays_ended(shop, step):
    subscription_id = _team(shop)
    shop.cancel_now(subscription_id)
    more = (1,) if step == "change_quantity" else ()
    with pytest.raises(ImpossibleStepError):
        getattr(shop, step)(subscription_id, *more)


def test_an_older_api_version_has_everything_in_its_old_place():
    shop = _shop(api_version=OLD_VERSION)
    session, events = shop.subscribe(AVA, MONTHLY, ONCE)
    found = {event["type"]: event["data"]["object"] for event in [*events, *shop.renew(session["subscription"])]}
    subscription, invoice = found["customer.subscription.updated"], found["invoice.paid"]
    assert subscription["current_period_end"] == _item(shop, session["subscription"])["current_period_end"]
    assert "current_period_end" not in subscription["items"]["data"][0]
    assert (invoice["subscription"], invoice["paid"]) == (session["subscription"], True)
    assert invoice["payment_intent"] == shop.payment_of_invoice(invoice["id"])
    line = invoice["lines"]["data"][0]
    assert (line["type"], line["proration"], line["price"]["id"]) == ("subscription", False, "price_month")
    assert line["subscription_item"] == subscription["items"]["data"][0]["id"]
    assert not {"parent", "pricing"} & {*invoice, *line}
    refunded = shop.refund(invoice["payment_intent"])[-1]["data"]["object"]
    assert refunded["invoice"] == invoice["id"]
    assert {event["api_version"] for event in shop.events} == {OLD_VERSION}


def test_the_shop_can_wait_less_for_its_money():
    shop = _shop(payment_delay=timedelta(seconds=1))
    updated, paid, _ = shop.renew(_team(shop))
    assert paid["created"] - updated["created"] == 1


def _item(shop: StripeShop, subscription_id: str) -> dict[str, Any]:
    found: dict[str, Any] = shop.subscriptions[subscription_id]["items"]["data"][0]
    return found
