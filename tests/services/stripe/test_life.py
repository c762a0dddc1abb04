"""The life of a Stripe subscription, and what its licenses look like at every turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from licensing_integration.domain.outcomes import PurchaseStatus
from licensing_integration.models import LicenseLink, Purchase
from licensing_integration.sandbox.stripe_steps import pay_invoice
from licensing_integration.services.pipeline import plan_purchases
from tests.services.conftest import only_purchase
from tests.services.scenario import map_product, sentences, states
from tests.services.stripe.conftest import AVA, line, only

pytestmark = pytest.mark.django_db

PAID = "invoice.paid"
UPDATED = "customer.subscription.updated"


@pytest.fixture
def subscription(account, tell, shop_clock):
    """A monthly subscription for three, paid, some days old."""
    map_product("prod_team", store="stripe")
    session, events = account.subscribe(AVA, line("price_month", 3))
    tell(*events)
    shop_clock.advance(days=3)
    return account.subscriptions[session["subscription"]]


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def period_end(subscription) -> datetime:
    return moment(subscription["items"]["data"][0]["current_period_end"])


def ends(cryptlex) -> set[datetime]:
    return {datetime.fromisoformat(one["expiresAt"]) for one in cryptlex.licenses}


def test_licenses_end_three_days_after_what_is_paid(subscription, cryptlex):
    assert ends(cryptlex) == {period_end(subscription) + timedelta(days=3)}


def test_only_a_paid_invoice_extends_and_it_extends_all(subscription, account, tell, cryptlex):
    first_end = period_end(subscription)
    moved = account.begin_period(subscription["id"])
    tell(*moved)
    assert ends(cryptlex) == {first_end + timedelta(days=3)}
    tell(*pay_invoice(account, account.invoices[subscription["latest_invoice"]]))
    assert ends(cryptlex) == {period_end(subscription) + timedelta(days=3)}
    assert len(cryptlex.licenses) == 3


def test_the_leeway_is_a_policy(account, send, cryptlex):
    map_product("prod_team", store="stripe", extra_days=10)
    session, events = account.subscribe(AVA, line("price_month"))
    send(*events)
    subscription = account.subscriptions[session["subscription"]]
    assert ends(cryptlex) == {period_end(subscription) + timedelta(days=10)}


def test_more_seats_at_once_and_no_longer_life(subscription, account, tell, cryptlex):
    before = ends(cryptlex)
    tell(*account.change_quantity(subscription["id"], 5, is_invoiced_now=True))
    assert states(cryptlex) == ["active"] * 5
    assert ends(cryptlex) == before


def test_fewer_seats_take_the_last_ones(subscription, account, tell, cryptlex):
    tell(*account.change_quantity(subscription["id"], 1))
    assert states(cryptlex) == ["active", "suspended", "suspended"]


@pytest.mark.parametrize("api", [False], indirect=True)
def test_an_overdue_payment_has_a_week(subscription, account, tell):
    events = account.fail_renewal(subscription["id"])
    tell(*events)
    notice = max(event["created"] for event in only(events, UPDATED))
    assert only_purchase().review_at == moment(notice) + timedelta(days=7)


def test_a_failed_renewal_has_grace_and_then_suspends(subscription, account, tell, work, cryptlex):
    tell(*account.fail_renewal(subscription["id"]))
    assert states(cryptlex) == ["active"] * 3
    assert "overdue" in LicenseLink.objects.first().reason
    Purchase.objects.update(review_at=None)
    purchase = only_purchase()
    state = dict(purchase.state)
    past = moment(subscription["items"]["data"][0]["current_period_start"]) - timedelta(days=40)
    notices = dict.fromkeys(state["overdue_notices"], past.isoformat())
    Purchase.objects.update(state={**state, "overdue_notices": notices})
    plan_purchases([purchase.pk])
    work()
    assert states(cryptlex) == ["suspended"] * 3
    tell(*account.recover(subscription["id"]))
    assert states(cryptlex) == ["active"] * 3


def test_an_unpaid_subscription_is_suspended_and_comes_back(subscription, account, tell, shop_clock, cryptlex):
    tell(*account.fail_renewal(subscription["id"]))
    shop_clock.advance(days=14)
    tell(*account.give_up(subscription["id"], is_canceled=False))
    assert states(cryptlex) == ["suspended"] * 3
    tell(*account.recover(subscription["id"]))
    assert states(cryptlex) == ["active"] * 3


def test_a_subscription_given_up_has_ended(subscription, account, tell, cryptlex):
    tell(*account.fail_renewal(subscription["id"]))
    tell(*account.give_up(subscription["id"]))
    assert states(cryptlex) == ["suspended"] * 3
    assert only_purchase().status == PurchaseStatus.ENDED


@pytest.mark.parametrize("is_classic", [False, True])
def test_a_cancellation_runs_to_its_end(account, tell, shop_clock, cryptlex, is_classic):
    map_product("prod_team", store="stripe")
    session, events = account.subscribe(AVA, line("price_month"), is_classic=is_classic)
    tell(*events)
    shop_clock.advance(days=2)
    tell(*account.cancel_at_period_end(session["subscription"]))
    assert states(cryptlex) == ["active"]
    assert only_purchase().status == PurchaseStatus.CANCELED
    shop_clock.advance(days=1)
    tell(*account.undo_cancellation(session["subscription"]))
    assert only_purchase().status == PurchaseStatus.ACTIVE
    shop_clock.advance(days=1)
    tell(*account.cancel_at_period_end(session["subscription"]))
    tell(*account.reach_cancellation(session["subscription"]))
    assert states(cryptlex) == ["suspended"]


def test_a_day_of_the_end_beyond_the_period_lets_it_renew_until_then(subscription, account, tell, shop_clock, cryptlex):
    last_day = period_end(subscription) + timedelta(days=45)
    tell(*account.cancel_on(subscription["id"], last_day))
    assert only_purchase().status == PurchaseStatus.CANCELED
    shop_clock.advance(days=30)
    tell(*account.renew(subscription["id"]))
    assert states(cryptlex) == ["active"] * 3
    assert ends(cryptlex) == {period_end(subscription) + timedelta(days=3)}
    tell(*account.reach_cancellation(subscription["id"]))
    assert states(cryptlex) == ["suspended"] * 3


def test_nothing_revives_an_ended_subscription(subscription, account, tell, cryptlex):
    late = account.change_quantity(subscription["id"], 4)
    tell(*account.cancel_now(subscription["id"]))
    tell(*late)
    assert set(states(cryptlex)) == {"suspended"}


def test_pausing_suspends_and_resuming_gives_back(subscription, account, tell, shop_clock, cryptlex):
    tell(*account.pause(subscription["id"]))
    assert states(cryptlex) == ["suspended"] * 3
    shop_clock.advance(days=5)
    tell(*account.resume(subscription["id"]))
    assert states(cryptlex) == ["active"] * 3


def test_while_collection_is_paused_the_service_goes_on(subscription, account, tell, shop_clock, cryptlex):
    tell(*account.pause_collection(subscription["id"]))
    assert states(cryptlex) == ["active"] * 3
    shop_clock.advance(days=30)
    tell(*account.renew(subscription["id"]))
    assert ends(cryptlex) == {period_end(subscription) + timedelta(days=3)}


def test_a_trial_ends_on_its_day_and_becomes_full_with_the_first_payment(account, tell, shop_clock, cryptlex):
    map_product("prod_team", store="stripe")
    session, events = account.subscribe(AVA, line("price_month"), trial_days=14)
    tell(*events)
    subscription = account.subscriptions[session["subscription"]]
    assert ends(cryptlex) == {moment(subscription["trial_end"]) + timedelta(days=3)}
    assert only_purchase().status == PurchaseStatus.TRIAL
    shop_clock.advance(days=14)
    tell(*account.renew(subscription["id"]))
    assert ends(cryptlex) == {period_end(subscription) + timedelta(days=3)}
    assert only_purchase().status == PurchaseStatus.ACTIVE


def test_a_trial_that_ends_unpaid_is_suspended_until_it_resumes(account, tell, shop_clock, cryptlex):
    map_product("prod_team", store="stripe")
    session, events = account.subscribe(AVA, line("price_month"), trial_days=14)
    tell(*events)
    tell(*account.remind_of_trial_end(session["subscription"]))
    shop_clock.advance(days=14)
    tell(*account.end_trial_unpaid(session["subscription"]))
    assert states(cryptlex) == ["suspended"]
    shop_clock.advance(days=1)
    tell(*account.resume(session["subscription"]))
    assert states(cryptlex) == ["active"]


def test_another_price_of_the_product_keeps_the_key(subscription, account, tell, cryptlex):
    keys = {one["key"] for one in cryptlex.licenses}
    tell(*account.change_price(subscription["id"], "price_year"))
    assert {one["key"] for one in cryptlex.licenses} == keys
    assert states(cryptlex) == ["active"] * 3


def test_a_price_with_a_mapping_of_its_own_changes_what_the_license_is(subscription, account, tell, cryptlex):
    map_product("price_year", store="stripe", entitlement_set_id="set-2")
    keys = {one["key"] for one in cryptlex.licenses}
    tell(*account.change_price(subscription["id"], "price_year"))
    assert {one["key"] for one in cryptlex.licenses} == keys
    assert {one["entitlementSetId"] for one in cryptlex.licenses} == {"set-2"}


def test_a_new_address_of_the_customer_is_followed(subscription, account, tell, cryptlex):
    tell(*account.change_customer(subscription["customer"], email="new@example.com"))
    assert {one["user"]["email"] for one in cryptlex.licenses} == {"new@example.com"}
    assert only_purchase().customer_email == "new@example.com"


def test_a_manual_invoice_is_no_renewal(subscription, account, tell, cryptlex):
    before = ends(cryptlex)
    map_product("prod_studio", store="stripe", is_license_needed=False)
    _, events = account.send_invoice(AVA, line("price_studio"))
    tell(*events)
    assert ends(cryptlex) == before


def test_the_history_tells_the_story(subscription, account, tell):
    tell(*account.renew(subscription["id"]))
    told = sentences()
    assert "Issued license" in told
    assert "Renewed" in told


def test_both_spellings_of_a_payment_are_one(subscription, account, tell, cryptlex):
    events = account.renew(subscription["id"])
    twin = [{**event, "id": f"{event['id']}twin", "type": "invoice.payment_succeeded"} for event in only(events, PAID)]
    tell(*events, *twin)
    assert ends(cryptlex) == {period_end(subscription) + timedelta(days=3)}
    assert only(events, UPDATED)


def test_a_new_address_that_overtakes_the_purchase_is_not_lost(account, send, cryptlex):
    map_product("prod_team", store="stripe")
    session, events = account.subscribe(AVA, line("price_month"))
    renamed = account.change_customer(session["customer"], email="first@example.com")
    account.pass_time(60)
    again = account.change_customer(session["customer"], email="second@example.com")
    send(*again, *renamed, *events)
    assert {one["user"]["email"] for one in cryptlex.licenses} == {"second@example.com"}


def test_what_a_price_change_cannot_change_is_said(subscription, account, tell, cryptlex):
    cryptlex.add_product(id="prod-2", name="Other")
    map_product("price_year", store="stripe", product_id="prod-2")
    tell(*account.change_price(subscription["id"], "price_year"))
    assert {one["productId"] for one in cryptlex.licenses} == {"prod-1"}
    assert "product" in sentences(kind__startswith="license.")
    assert "cannot" in sentences(kind__startswith="license.")


def test_a_price_change_to_another_template_keeps_the_old_one_and_says_so(subscription, account, tell, cryptlex):
    before = {one["allowedActivations"] for one in cryptlex.licenses}
    map_product("price_year", store="stripe", template_id="tmpl-2")
    tell(*account.change_price(subscription["id"], "price_year"))
    assert {one["allowedActivations"] for one in cryptlex.licenses} == before
    assert "license template cannot be changed" in sentences(kind__startswith="license.")
