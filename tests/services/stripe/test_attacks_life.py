"""Subscriptions that move, wait, fall behind and come back, told late or twice: what their licenses must not do."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from licensing_integration.domain.outcomes import EventState
from licensing_integration.models import ProductMapping, WebhookEvent
from licensing_integration.sandbox.stripe import StripeShop
from licensing_integration.services.catalog import save_mapping
from licensing_integration.services.catch_up import catch_up
from licensing_integration.services.interventions import replay_events
from licensing_integration.services.pipeline import plan_purchases
from licensing_integration.services.purchases import load_state
from licensing_integration.services.sweep import sweep
from tests.services.conftest import only_purchase
from tests.services.scenario import map_product, states, waiting_products
from tests.services.stripe.conftest import AVA, line, only, show, stock

pytestmark = pytest.mark.django_db

COMPLETED = "checkout.session.completed"
UPDATED = "customer.subscription.updated"
LEEWAY = timedelta(days=3)
GRACE_DAYS = 7


@pytest.fixture(params=[False, True], ids=["no key", "with a key"])
def api(request):
    return request.getfixturevalue("rest") if request.param else None


@pytest.fixture
def tell(api, send):
    """Send events of an account with Stripe's API up to date."""

    def _tell(account, *events):
        if api:
            show(api, account)
        send(*events)

    return _tell


@pytest.fixture
def told(rest, send):
    """As ``tell``, and always with a key."""

    def _tell(account, *events):
        show(rest, account)
        send(*events)

    return _tell


@pytest.fixture
def mapping():
    return map_product("prod_team", store="stripe")


@pytest.fixture
def account(account):
    account.add_product("Other", product_id="prod_other")
    account.add_price("prod_other", price_id="price_other", interval="month", amount=100)
    return account


@pytest.fixture
def past_account(shop_clock):
    """An account some days ago, for stories that end now."""

    def _open(*, days):
        shop_clock.advance(days=-days)
        account = StripeShop(clock=shop_clock, enabled_events=None)
        stock(account)
        return account

    return _open


def subscribe(account, tell, price="price_month", **values):
    session, events = account.subscribe(AVA, line(price), **values)
    tell(account, *events)
    return account.subscriptions[session["subscription"]]


def moment(seconds) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def period_end(subscription) -> datetime:
    return moment(subscription["items"]["data"][0]["current_period_end"])


def ends(cryptlex) -> set[datetime]:
    return {datetime.fromisoformat(one["expiresAt"]) for one in cryptlex.licenses}


def emails(cryptlex) -> set[str]:
    return {one["user"]["email"] for one in cryptlex.licenses}


def grace_began_at() -> datetime:
    return load_state(only_purchase()).grace_began_at


# To another product


def _to_an_unmapped_product(account, subscription, mapping):
    return account.change_price(subscription["id"], "price_other")


def _to_a_price_after_the_mapping_was_switched_off(account, subscription, mapping):
    mapping.is_active = False
    save_mapping(mapping, user_id=None)
    return account.change_price(subscription["id"], "price_year")


def _to_more_than_anybody_buys(account, subscription, mapping):
    return account.change_quantity(subscription["id"], 6000)


MOVES = [_to_an_unmapped_product, _to_a_price_after_the_mapping_was_switched_off, _to_more_than_anybody_buys]


def _cancel(account, subscription):
    return account.cancel_now(subscription["id"])


def _refund(account, subscription):
    return account.refund(account.payment_of_invoice(subscription["latest_invoice"]))


@pytest.mark.parametrize("lose", [_cancel, _refund])
@pytest.mark.parametrize("move", MOVES)
def test_a_license_that_waits_after_a_move_is_kept_and_still_taken_away(account, told, cryptlex, mapping, move, lose):
    subscription = subscribe(account, told)
    account.pass_time(60)
    told(account, *move(account, subscription, mapping))
    assert waiting_products()
    assert states(cryptlex) == ["active"]
    account.pass_time(60)
    told(account, *lose(account, subscription))
    assert states(cryptlex) == ["suspended"]


@pytest.mark.parametrize("is_mapped", [True, False], ids=["no license needed", "unmapped is ignored"])
def test_a_move_to_what_needs_no_license_takes_it_until_the_way_back(
    account, tell, cryptlex, shop_clock, settings, mapping, is_mapped
):
    if is_mapped:
        map_product("prod_other", store="stripe", is_license_needed=False)
    else:
        settings.STORES = [*settings.STORES[:-1], {**settings.STORES[-1], "unmapped": "ignore"}]
    subscription = subscribe(account, tell)
    shop_clock.advance(days=1)
    tell(account, *account.change_price(subscription["id"], "price_other"))
    assert states(cryptlex) == ["suspended"]
    shop_clock.advance(days=31)
    tell(account, *account.renew(subscription["id"]))
    assert states(cryptlex) == ["suspended"]
    shop_clock.advance(days=1)
    tell(account, *account.change_price(subscription["id"], "price_month"))
    assert states(cryptlex) == ["active"]


def test_from_a_year_to_a_month_the_month_is_what_is_paid(account, tell, cryptlex, shop_clock, mapping):
    subscription = subscribe(account, tell, "price_year")
    shop_clock.advance(days=10)
    tell(account, *account.change_price(subscription["id"], "price_month"))
    assert ends(cryptlex) == {period_end(subscription) + LEEWAY}
    assert period_end(subscription) < timezone.now() + timedelta(days=60)


def test_what_begins_to_wait_is_looked_at_once_more_a_minute_later(account, told):
    told(account, *account.buy(AVA, line("price_studio"))[1])
    wait = only_purchase().review_at - timezone.now()
    assert timedelta(seconds=30) < wait < timedelta(seconds=90)
    plan_purchases([only_purchase().pk])
    assert only_purchase().review_at is None


def test_a_mapping_that_planning_missed_is_found_a_minute_later(account, told, work, cryptlex):
    told(account, *account.buy(AVA, line("price_studio"))[1])
    unseen = ProductMapping(store="stripe", store_product="prod_studio", product_id="prod-1", template_id="tmpl-1")
    unseen.save()  # sets nothing in motion, as if the purchase had not waited yet
    sweep(now=timezone.now() + timedelta(seconds=90))
    work()
    assert states(cryptlex) == ["active"]


# Overdue, unpaid, held back


def test_grace_counts_from_the_first_notice_however_many_periods_stay_unpaid(past_account, tell, cryptlex, mapping):
    account = past_account(days=75)
    subscription = subscribe(account, tell)
    account.pass_time(31 * 86_400)
    tell(account, *account.fail_renewal(subscription["id"]))
    first_notice = grace_began_at()
    account.pass_time(43 * 86_400)
    tell(account, *account.fail_renewal(subscription["id"]))
    assert grace_began_at() == first_notice
    assert states(cryptlex) == ["suspended"]


def test_grace_counts_anew_after_a_payment(past_account, tell, cryptlex, mapping):
    account = past_account(days=75)
    subscription = subscribe(account, tell)
    account.pass_time(31 * 86_400)
    tell(account, *account.fail_renewal(subscription["id"]))
    account.pass_time(86_400)
    tell(account, *account.recover(subscription["id"]))
    account.pass_time(42 * 86_400)
    tell(account, *account.fail_renewal(subscription["id"]))
    assert grace_began_at() > timezone.now() - timedelta(days=GRACE_DAYS)
    assert states(cryptlex) == ["active"]


def test_an_old_event_that_comes_late_starts_no_grace_in_the_past(past_account, told, rest, work, cryptlex, mapping):
    account = past_account(days=64)
    subscription = subscribe(account, told)
    account.pass_time(86_400)
    late = account.cancel_at_period_end(subscription["id"])
    account.undo_cancellation(subscription["id"])
    account.pass_time(31 * 86_400)
    told(account, *account.renew(subscription["id"]))
    account.pass_time(32 * 86_400 - 2 * 3600)
    account.fail_renewal(subscription["id"])
    told(account, *late)
    assert only_purchase().status == "overdue"
    assert grace_began_at() > timezone.now() - timedelta(minutes=5)
    assert states(cryptlex) == ["active"]


def test_an_old_event_caught_up_with_starts_no_grace_in_the_past(past_account, told, rest, work, cryptlex, mapping):
    account = past_account(days=64)
    subscription = subscribe(account, told)
    account.pass_time(86_400)
    (scheduled,) = account.cancel_at_period_end(subscription["id"])
    account.undo_cancellation(subscription["id"])
    account.pass_time(31 * 86_400)
    told(account, *account.renew(subscription["id"]))
    account.pass_time(32 * 86_400 - 2 * 3600)
    account.fail_renewal(subscription["id"])
    show(rest, account)
    rest.objects["events"] = {}
    recent = int(timezone.now().timestamp()) - 20 * 86_400  # Stripe keeps events for thirty days
    rest.put("events", {**scheduled, "created": recent, "pending_webhooks": 1})
    assert catch_up("stripe").new == 1
    work()
    assert WebhookEvent.objects.get(external_id=scheduled["id"]).state == EventState.APPLIED
    assert grace_began_at() > timezone.now() - timedelta(minutes=5)
    assert states(cryptlex) == ["active"]


def test_an_unpaid_subscription_is_suspended_though_its_period_was_paid(account, tell, cryptlex, shop_clock, mapping):
    subscription = subscribe(account, tell)
    shop_clock.advance(days=1)
    before = copy.deepcopy(subscription)
    subscription["status"] = "unpaid"  # an invoice for more seats, say
    tell(account, *account.report(UPDATED, subscription, before=before))
    assert states(cryptlex) == ["suspended"]
    before = copy.deepcopy(subscription)
    subscription["status"] = "active"
    shop_clock.advance(days=31)
    tell(account, *account.report(UPDATED, subscription, before=before), *account.renew(subscription["id"]))
    assert states(cryptlex) == ["active"]


def test_an_extended_trial_keeps_its_end_until_the_first_payment(past_account, tell, cryptlex, mapping):
    account = past_account(days=44)
    subscription = subscribe(account, tell, trial_days=14)
    account.pass_time(60)
    before, longer = copy.deepcopy(subscription), 30 * 86_400
    subscription["trial_end"] += longer
    subscription["billing_cycle_anchor"] += longer
    subscription["items"]["data"][0]["current_period_end"] += longer
    tell(account, *account.report(UPDATED, subscription, before=before))
    end = moment(subscription["trial_end"]) + LEEWAY
    assert ends(cryptlex) == {end}
    account.pass_time(44 * 86_400)
    tell(account, *account.begin_period(subscription["id"]))
    assert ends(cryptlex) == {end}
    assert states(cryptlex) == ["active"]


def test_collection_that_goes_on_in_mid_period_keeps_the_end_that_was_promised(past_account, tell, cryptlex, mapping):
    account = past_account(days=50)
    subscription = subscribe(account, tell)
    account.pass_time(5 * 86_400)
    tell(account, *account.pause_collection(subscription["id"]))
    account.pass_time(27 * 86_400)
    tell(account, *account.renew(subscription["id"]))
    promised = {period_end(subscription) + LEEWAY}
    assert ends(cryptlex) == promised
    account.pass_time(18 * 86_400)
    tell(account, *account.resume_collection(subscription["id"]))
    assert ends(cryptlex) == promised
    assert states(cryptlex) == ["active"]


# The customer's address


@pytest.mark.parametrize("is_replayed", [False, True], ids=["late", "replayed"])
def test_a_session_told_after_a_change_of_address_does_not_undo_it(
    past_account, told, work, cryptlex, mapping, is_replayed
):
    account = past_account(days=1)
    session, events = account.subscribe(AVA, line("price_month"))
    completed = only(events, COMPLETED)
    told(account, *(event for event in events if is_replayed or event not in completed))
    account.pass_time(3600)
    told(account, *account.change_customer(session["customer"], email="new@example.com"))
    assert emails(cryptlex) == {"new@example.com"}
    if is_replayed:
        replay_events([WebhookEvent.objects.get(event_type=COMPLETED).pk], user_id=None, reason="")
        work()
    else:
        told(account, *completed)
    assert emails(cryptlex) == {"new@example.com"}
