"""What a buyer is told of an order, from rows that signed deliveries and the license server made."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from licensing_integration.domain.outcomes import LicenseState
from licensing_integration.models import LicenseLink, Purchase, PurchaseAlias
from licensing_integration.sandbox.fastspring import FastSpringShop
from licensing_integration.services import interventions
from licensing_integration.services.order_page import LATE_AFTER, OrderView, view_order
from tests.factories import LicenseLinkFactory, PurchaseAliasFactory, PurchaseFactory, PurchaseItemFactory
from tests.services.conftest import ATTRIBUTES, AVA, only_link, only_purchase
from tests.services.scenario import CREATE, add_on_line, map_product, photon_order, try_again


def _id(order) -> str:
    return order["data"]["id"]


def _view(reference: str, *, store: str = "fastspring", later: timedelta = timedelta()) -> OrderView:
    return view_order(store, reference, now=timezone.now() + later)


def _told(view: OrderView) -> list[tuple[str, str]]:
    """Stage and words of each license."""
    return [(license.stage.value, license.state) for license in view.licenses]


def _keys(view: OrderView) -> list[str]:
    return [license.key for license in view.licenses if license.key]


# --- from the order to its keys --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_order_nobody_has_heard_of_is_being_prepared():
    assert _view("no-such-order") == OrderView(stage="preparing")


def test_an_order_is_being_prepared_until_a_worker_has_been_there(shop, post, work, cryptlex):
    order = photon_order(shop)
    post(order)
    assert _view(_id(order)).stage == "preparing"
    work()
    assert _view(_id(order)).stage == "ready"


def test_a_ready_license_is_shown_with_product_key_and_end(shop, deliver, cryptlex):
    order = photon_order(shop)
    deliver(order)
    (license,) = _view(_id(order)).licenses
    assert (license.product, license.unit, license.units) == ("Photon", 1, 1)
    assert license.key == cryptlex.licenses[0]["key"]
    assert license.state == "Ready to use"
    assert license.valid_until == only_link().expires_at


@pytest.mark.parametrize(("expiry", "is_endless"), [("perpetual", True), ("template", False)])
def test_no_end_is_promised_that_the_license_template_may_yet_give(shop, deliver, cryptlex, expiry, is_endless):
    map_product("photon", expiry=expiry)
    order = shop.buy(AVA, "photon")
    deliver(order)
    LicenseLink.objects.update(expires_at=None)
    (license,) = _view(_id(order)).licenses
    assert (license.valid_until, license.is_endless) == (None, is_endless)


def test_each_unit_has_its_own_key_in_its_own_place(shop, deliver, cryptlex):
    order = photon_order(shop, quantity=3)
    deliver(order)
    view = _view(_id(order))
    assert [(license.unit, license.units) for license in view.licenses] == [(1, 3), (2, 3), (3, 3)]
    assert len(set(_keys(view))) == 3


def test_a_subscription_is_found_by_its_order_and_by_its_own_id(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "photon", attributes=ATTRIBUTES)
    deliver(*events)
    view = _view(subscription.order_id)
    assert view == _view(subscription.id)
    assert view.stage == "ready"
    assert view.licenses[0].valid_until == only_link().expires_at


def test_an_order_shows_its_one_time_part_and_its_subscription_together(shop, deliver, cryptlex):
    subscription, (activation, order) = shop.subscribe(AVA, "photon", attributes=ATTRIBUTES)
    order["data"]["items"].append(shop.item("brushes", attributes=ATTRIBUTES))
    deliver(activation, order)
    view = _view(subscription.order_id)
    assert sorted(license.product for license in view.licenses) == ["Brushes", "Photon"]
    assert len(set(_keys(view))) == 2


def test_an_add_on_is_shown_with_its_subscription(shop, deliver, cryptlex):
    subscription, (activation, order) = shop.subscribe(AVA, "photon", attributes=ATTRIBUTES)
    order["data"]["items"].append(add_on_line(shop, subscription, "seats", attributes=ATTRIBUTES))
    deliver(activation, order)
    assert len(_keys(_view(subscription.order_id))) == 2


@pytest.mark.django_db
def test_a_session_that_names_an_order_and_a_subscription_shows_both():
    """A Checkout session in subscription mode with a one-time product beside it."""
    session = "cs_live_a1b2c3"
    order = PurchaseFactory(external_id=session)
    subscription = PurchaseFactory(is_subscription=True, external_id="sub_1")
    PurchaseAliasFactory(purchase=subscription, value=session)
    links = [LicenseLinkFactory(item__purchase=purchase) for purchase in (order, subscription)]
    assert _keys(_view(session)) == [link.key for link in links]


def test_an_activation_waits_for_its_order(shop, deliver, cryptlex):
    subscription, (activation, _) = shop.subscribe(AVA, "photon", attributes=ATTRIBUTES)
    deliver(activation)
    assert _view(subscription.id).stage == "preparing"
    assert _view(subscription.id, later=LATE_AFTER + timedelta(minutes=1)).stage == "delayed"


def test_a_refund_that_overtook_its_order_does_not_end_the_wait(shop, deliver, cryptlex):
    order = photon_order(shop)
    deliver(shop.refund(order))
    assert _view(_id(order)).stage == "preparing"


def test_an_order_of_which_nothing_is_licensed_is_ready_without_keys(shop, deliver, cryptlex):
    map_product("photon", is_license_needed=False, product_id="")
    order = shop.buy(AVA, "photon")
    deliver(order)
    assert _view(_id(order)) == OrderView(stage="ready")


# --- what is not ready -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event_type", "stage"),
    [
        ("order.payment.pending", "waiting_for_payment"),
        ("order.canceled", "not_paid"),
        ("order.failed", "not_paid"),
    ],
)
def test_an_order_that_is_not_paid_has_no_license(shop, deliver, cryptlex, event_type, stage):
    order = photon_order(shop)
    order["type"], order["data"]["completed"] = event_type, False
    deliver(order)
    view = _view(_id(order))
    assert (view.stage, view.licenses) == (stage, ())


def test_a_failure_is_told_only_as_a_delay_and_only_after_a_while(shop, deliver, work, cryptlex):
    cryptlex.faults.add(**CREATE, kind="status", status=500)
    order = photon_order(shop)
    deliver(order)
    assert _told(_view(_id(order))) == [("preparing", "Being prepared")]
    late = _view(_id(order), later=LATE_AFTER + timedelta(minutes=1))
    assert (late.stage, _told(late)) == ("delayed", [("delayed", "Delayed, we are on it")])
    assert only_link().failure_message not in str(late)
    try_again(work)
    assert _view(_id(order)).stage == "ready"


def test_what_only_a_person_can_mend_is_delayed_at_once(shop, deliver, cryptlex):
    cryptlex.faults.add(**CREATE, kind="status", status=400)
    order = photon_order(shop)
    deliver(order)
    assert only_link().failure_mode == "permanent"
    assert _view(_id(order)).stage == "delayed"


def test_a_product_without_a_mapping_is_delayed_and_the_rest_is_shown(shop, deliver, work, cryptlex):
    order = shop.order(AVA, shop.item("photon", attributes=ATTRIBUTES), shop.item("unmapped"))
    deliver(order)
    view = _view(_id(order))
    assert view.stage == "partly_ready"
    assert _told(view) == [("ready", "Ready to use"), ("delayed", "Delayed, we are on it")]
    assert view.licenses[1].product == "Unmapped"
    assert "mapping" not in str(view)
    map_product("unmapped")
    work()
    assert (_view(_id(order)).stage, len(_keys(_view(_id(order))))) == ("ready", 2)


def test_one_of_several_licenses_that_hangs_leaves_the_order_partly_ready(shop, deliver, cryptlex):
    cryptlex.faults.add(**CREATE, kind="status", status=503)
    order = photon_order(shop, quantity=2)
    deliver(order)
    view = _view(_id(order))
    assert view.stage == "partly_ready"
    assert len(_keys(view)) == 1


# --- licenses that cannot be used any more ---------------------------------------------------------------------------


@pytest.fixture
def subscription(shop, deliver, cryptlex):
    subscription, events = shop.subscribe(AVA, "photon", attributes=ATTRIBUTES)
    deliver(*events)
    return subscription


def test_an_overdue_subscription_waits_for_its_payment(shop, deliver, subscription):
    deliver(shop.overdue(subscription))
    view = _view(subscription.order_id)
    assert view.stage == "waiting_for_payment"
    assert _told(view) == [("waiting_for_payment", "On hold until the payment arrives")]
    assert _keys(view) == []
    deliver(shop.renew(subscription))
    assert len(_keys(_view(subscription.order_id))) == 1


def test_a_paused_subscription_is_on_hold(shop, deliver, subscription):
    deliver(shop.change(subscription, "subscription.paused", state="paused"))
    view = _view(subscription.order_id)
    assert (view.stage, _keys(view)) == ("on_hold", [])
    assert _told(view) == [("on_hold", "On hold while the subscription is paused")]


@pytest.mark.parametrize(("action", "stage"), [("revoke", "ended"), ("delete", "ended"), ("suspend", "on_hold")])
def test_a_refunded_license_is_named_without_its_key(shop, deliver, cryptlex, action, stage):
    map_product("photon", refund_action=action)
    order = shop.buy(AVA, "photon")
    deliver(order)
    deliver(shop.refund(order))
    view = _view(_id(order))
    assert (view.stage, [license.product for license in view.licenses], _keys(view)) == (stage, ["Photon"], [])


@pytest.mark.parametrize("action", ["suspend", "revoke", "delete"])
def test_a_refunded_key_is_not_shown_while_the_license_server_is_away(shop, deliver, cryptlex, action):
    map_product("photon", refund_action=action)
    order = shop.buy(AVA, "photon")
    deliver(order)
    cryptlex.faults.add(kind="status", status=503, times=5)
    deliver(shop.refund(order))
    assert only_link().state == "active"
    assert _keys(_view(_id(order))) == []


def test_the_licenses_that_were_not_refunded_stay(shop, deliver, cryptlex):
    map_product("photon", refund_action="revoke")
    order = shop.buy(AVA, "photon", quantity=3)
    deliver(order)
    deliver(shop.refund(order, lines=[{**order["data"]["items"][0], "quantity": 1, "subtotal": 79.0}]))
    view = _view(_id(order))
    assert (view.stage, len(_keys(view)), len(view.licenses)) == ("ready", 2, 3)


def test_a_disputed_license_is_on_hold_without_saying_why(shop, deliver, cryptlex):
    order = photon_order(shop)
    deliver(order)
    deliver(shop.chargeback(_id(order)))
    assert _told(_view(_id(order))) == [("on_hold", "On hold")]


def test_a_license_that_ran_out_is_named_without_its_key(subscription):
    end = timezone.now() - timedelta(minutes=1)
    LicenseLink.objects.update(expires_at=end)
    view = _view(subscription.order_id)
    assert (view.stage, _keys(view)) == ("ended", [])
    assert _told(view) == [("ended", f"Ran out on {end.day} {end:%B %Y}")]


def test_a_subscription_that_ended_before_anything_was_issued_has_ended(shop, deliver, cryptlex):
    subscription, _ = shop.subscribe(AVA, "photon", attributes=ATTRIBUTES)
    deliver(shop.deactivate(subscription))
    LicenseLink.objects.all().delete()
    assert _view(subscription.id).stage == "ended"


def test_what_staff_suspended_by_hand_on_the_server_is_not_shown(shop, deliver, cryptlex):
    order = photon_order(shop)
    deliver(order)
    LicenseLink.objects.update(state="suspended")  # as observed
    assert _told(_view(_id(order))) == [("on_hold", "On hold")]


def test_an_override_counts(shop, deliver, work, cryptlex):
    order = photon_order(shop)
    deliver(order)
    interventions.override_link(
        only_link().pk,
        state=LicenseState.SUSPENDED,
        until=timezone.now() + timedelta(days=1),
        reason="abuse",
        user_id=None,
    )
    work()
    view = _view(_id(order))
    assert _told(view) == [("on_hold", "On hold")]
    assert "abuse" not in str(view)


# --- how long --------------------------------------------------------------------------------------------------------


def test_keys_are_shown_for_some_days_only(shop, deliver, cryptlex, settings):
    order = photon_order(shop)
    deliver(order)
    settings.ORDER_PAGE_DAYS = 30
    assert _keys(_view(_id(order), later=timedelta(days=29))) != []
    view = _view(_id(order), later=timedelta(days=31))
    assert (view.stage, view.are_keys_hidden, _keys(view)) == ("ready", True, [])
    assert _told(view) == [("ready", "Ready to use")]


# --- nobody else's ---------------------------------------------------------------------------------------------------


def test_another_stores_order_of_the_same_id_is_not_shown(shop, deliver, cryptlex, settings):
    settings.STORES = [*settings.STORES, {**settings.STORES[0], "name": "other"}]
    order = photon_order(shop)
    deliver(order)
    subscription, events = shop.subscribe(AVA, "photon", attributes=ATTRIBUTES)
    deliver(*events)
    for reference in (_id(order), subscription.order_id, subscription.id):
        assert _view(reference).stage == "ready"
        assert _view(reference, store="other") == OrderView(stage="preparing")


@pytest.mark.django_db
def test_an_id_of_the_customer_names_no_order():
    """Customers have aliases, too; they would list everything that somebody ever bought."""
    link = LicenseLinkFactory()
    PurchaseAliasFactory(purchase=link.purchase, kind="customer", value="cus_1")
    assert _view("cus_1") == OrderView(stage="preparing")


def test_what_people_know_of_an_order_does_not_name_it(shop, deliver, cryptlex):
    order = photon_order(shop)
    deliver(order)
    purchase, link = only_purchase(), only_link()
    for known in (purchase.reference, purchase.customer_email, link.key, link.external_id, order["id"], ""):
        assert _view(known) == OrderView(stage="preparing"), known


def test_test_orders_are_shown_only_where_they_count(deliver, cryptlex, settings):
    order = photon_order(FastSpringShop(live=False))
    deliver(order)
    assert _view(_id(order)).stage == "ready"
    settings.STORES = [{**settings.STORES[0], "test_events": "hold"}]
    assert Purchase.objects.filter(is_live=False).exists()
    assert _view(_id(order)) == OrderView(stage="preparing")


def test_a_view_shows_no_key_when_it_is_printed(shop, deliver, cryptlex):
    order = photon_order(shop)
    deliver(order)
    assert only_link().key not in repr(_view(_id(order)))


# --- cost ------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("count", [1, 30])
def test_a_view_takes_three_queries_however_much_was_bought(django_assert_num_queries, count):
    for number in range(count):
        purchase = PurchaseFactory(is_subscription=True)
        PurchaseAliasFactory(purchase=purchase, value="ORDER")
        item = PurchaseItemFactory(purchase=purchase, product=f"photon-{number}")
        for unit in (1, 2):
            LicenseLinkFactory(item=item, unit=unit)
        PurchaseItemFactory(purchase=purchase, is_waiting=True, product="waiting", line="waiting")
    assert PurchaseAlias.objects.count() == count
    with django_assert_num_queries(3):
        view = _view("ORDER")
    assert len(view.licenses) == 3 * count
