"""However a sale is told, there is one license for every unit that was paid for."""

from __future__ import annotations

import itertools

import pytest

from licensing_integration.domain.outcomes import PurchaseStatus
from licensing_integration.models import LicenseLink, Purchase, PurchaseItem, WebhookEvent
from tests.services.scenario import map_product, metadata, sentences, states
from tests.services.stripe.conftest import AVA, CRYPTLEX, line, only, show

pytestmark = pytest.mark.django_db

COMPLETED = "checkout.session.completed"
PAID = "invoice.paid"
CREATED = "customer.subscription.created"
UPDATED = "customer.subscription.updated"
CREATION = (COMPLETED, PAID, CREATED, UPDATED)


def signup(account, quantity=1, **values):
    """The events of a sign-up in one second: everything an endpoint may listen to, ``updated`` among it."""
    moment = account.clock()
    account.clock = lambda: moment
    session, events = account.subscribe(AVA, line("price_month", quantity), **values)
    subscription = account.subscriptions[session["subscription"]]
    events += account.report(UPDATED, subscription, before=subscription)
    return session, only(events, *CREATION)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_one_license_per_unit_in_any_order_twice_each(api, account, send, cryptlex, order):
    map_product("prod_team", store="stripe")
    session, events = signup(account, quantity=3)
    assert len({event["created"] for event in events}) == 1
    if api:
        show(api, account)
    for index in order:
        send(events[index], events[index])
    assert states(cryptlex) == ["active"] * 3
    assert {metadata(one)["stripe_subscription_id"] for one in cryptlex.licenses} == {session["subscription"]}
    assert {one["user"]["email"] for one in cryptlex.licenses} == {AVA.email.lower()}
    assert set(LicenseLink.objects.values_list("sync_state", flat=True)) == {"settled"}


@pytest.mark.parametrize("enabled", [(COMPLETED,), (PAID,), (COMPLETED, PAID)], ids=str)
def test_the_vendors_instructions_work_as_written(account, send, cryptlex, enabled):
    """One product, named in the metadata of session and subscription; no key, no mapping, one or both events."""
    session, events = account.subscribe(AVA, line("price_month"), metadata=CRYPTLEX, subscription_metadata=CRYPTLEX)
    send(*only(events, *enabled))
    assert states(cryptlex) == ["active"]
    (made,) = cryptlex.licenses
    assert (made["productId"], metadata(made)["stripe_subscription_id"]) == ("prod-1", session["subscription"])
    send(*only(account.renew(session["subscription"]), *enabled))
    assert states(cryptlex) == ["active"]
    if PAID in enabled:
        assert cryptlex.licenses[0]["expiresAt"] > made["expiresAt"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=str)
def test_metadata_of_the_session_alone_is_enough(account, send, cryptlex, order):
    _, events = account.subscribe(AVA, line("price_month", 2), metadata=CRYPTLEX)
    events = only(events, COMPLETED, PAID)
    send(*(events[index] for index in order))
    assert states(cryptlex) == ["active"] * 2
    assert {one["productId"] for one in cryptlex.licenses} == {"prod-1"}


def test_a_sale_of_several_products_is_several_items(rest, account, send, cryptlex):
    map_product("prod_studio", store="stripe")
    map_product("price_plugin", store="stripe")
    session, events = account.buy(AVA, line("price_studio", 2), line("price_plugin"))
    show(rest, account)
    send(*events)
    assert len(cryptlex.licenses) == 3
    assert {metadata(one)["stripe_transaction_id"] for one in cryptlex.licenses} == {session["payment_intent"]}
    assert sorted(PurchaseItem.objects.values_list("product", "variant", "quantity")) == [
        ("prod_plugin", "price_plugin", 1),
        ("prod_studio", "price_studio", 2),
    ]


def test_a_mapping_of_the_price_wins_over_one_of_the_product(rest, account, send, cryptlex):
    map_product("prod_team", store="stripe", is_license_needed=False)
    map_product("price_year", store="stripe")
    _, yearly = account.subscribe(AVA, line("price_year"))
    _, monthly = account.subscribe(AVA, line("price_month"))
    show(rest, account)
    send(*yearly, *monthly)
    assert len(cryptlex.licenses) == 1


@pytest.mark.parametrize("api", [False], indirect=True)
def test_without_lines_the_sessions_metadata_says_what_was_bought(api, account, send, cryptlex):
    session, events = account.buy(AVA, line("price_studio"), metadata=CRYPTLEX)
    send(*events)
    (made,) = cryptlex.licenses
    assert (made["productId"], metadata(made)["stripe_transaction_id"]) == ("prod-1", session["payment_intent"])


def test_metadata_names_the_entitlement_set(account, tell, cryptlex):
    given = {**CRYPTLEX, "CRYPTLEX_ENTITLEMENT_SET_ID": "set-2"}
    _, events = account.subscribe(AVA, line("price_month"), metadata=given, subscription_metadata=given)
    tell(*events)
    assert [one["entitlementSetId"] for one in cryptlex.licenses] == ["set-2"]


def test_metadata_of_the_product_counts_where_nothing_else_does(rest, account, send, cryptlex):
    account.products["prod_studio"]["metadata"] = dict(CRYPTLEX)
    _, events = account.buy(AVA, line("price_studio", 2))
    show(rest, account)
    send(*events)
    assert len(cryptlex.licenses) == 2


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=str)
def test_a_checkout_that_makes_an_invoice_is_one_sale(api, account, send, cryptlex, order):
    map_product("prod_studio", store="stripe")
    map_product("prod_plugin", store="stripe")
    session, events = account.buy(AVA, line("price_studio", 5), line("price_plugin", 2), has_invoice=True)
    if api:
        show(api, account)
    events = only(events, COMPLETED, PAID)
    send(*(events[index] for index in order), *events)
    assert len(cryptlex.licenses) == 7
    assert Purchase.objects.count() == 1
    assert {metadata(one).get("stripe_transaction_id") for one in cryptlex.licenses} <= {
        session["payment_intent"],
        None,
    }


def test_an_invoice_made_by_hand_is_a_sale(account, tell, cryptlex):
    map_product("prod_studio", store="stripe")
    _, events = account.send_invoice(AVA, line("price_studio", 2))
    tell(*events)
    assert len(cryptlex.licenses) == 2


def test_a_subscription_made_by_api_gets_its_licenses_when_it_is_paid(account, tell, cryptlex):
    map_product("prod_team", store="stripe")
    subscription, events = account.create_subscription(AVA, line("price_month", 2), is_paid=False)
    tell(*events)
    assert cryptlex.licenses == []
    events = account.recover(subscription["id"])
    tell(*events)
    assert states(cryptlex) == ["active"] * 2


def test_a_subscription_whose_first_payment_never_comes_gets_none(account, tell, cryptlex):
    map_product("prod_team", store="stripe")
    subscription, events = account.create_subscription(AVA, line("price_month"), is_paid=False)
    events += account.expire_incomplete(subscription["id"])
    tell(*events)
    assert cryptlex.licenses == []
    assert Purchase.objects.get().status == PurchaseStatus.NOT_PAID
    assert set(WebhookEvent.objects.values_list("state", flat=True)) <= {"applied", "ignored"}


def test_one_time_lines_beside_a_subscription_are_a_purchase_of_their_own(account, tell, cryptlex):
    map_product("prod_team", store="stripe")
    map_product("prod_plugin", store="stripe")
    _, events = account.subscribe(AVA, line("price_month"), line("price_plugin", 2))
    tell(*events, *reversed(events))
    assert len(cryptlex.licenses) == 3
    assert sorted(Purchase.objects.values_list("kind", flat=True)) == ["order", "subscription"]


def test_a_payment_link_for_something_unmapped_waits(rest, account, send, cryptlex, settings):
    settings.LICENSE_SERVERS = [{**settings.LICENSE_SERVERS[0], "default_product_id": "prod-1"}]
    _, events = account.buy(AVA, line("price_plugin"), is_payment_link=True)
    show(rest, account)
    send(*events)
    assert cryptlex.licenses == []
    assert "No product mapping" in PurchaseItem.objects.get().problem


def test_saving_the_mapping_issues_what_waited(rest, account, send, work, cryptlex):
    _, events = account.buy(AVA, line("price_plugin", 2))
    show(rest, account)
    send(*events)
    map_product("price_plugin", store="stripe")
    work()
    assert len(cryptlex.licenses) == 2


@pytest.mark.parametrize(("unmapped", "licenses"), [("ignore", 0), ("default", 1)])
def test_what_becomes_of_unmapped_sales_is_a_setting(account, send, cryptlex, settings, unmapped, licenses):
    settings.STORES = [*settings.STORES[:-1], {**settings.STORES[-1], "unmapped": unmapped}]
    settings.LICENSE_SERVERS = [{**settings.LICENSE_SERVERS[0], "default_product_id": "prod-1"}]
    _, events = account.buy(AVA, line("price_plugin"))
    send(*events)
    assert len(cryptlex.licenses) == licenses
    assert PurchaseItem.objects.get().problem == ""


def test_a_mapping_that_was_switched_off_is_no_reason_for_the_default(rest, account, send, cryptlex, settings):
    settings.STORES = [*settings.STORES[:-1], {**settings.STORES[-1], "unmapped": "default"}]
    settings.LICENSE_SERVERS = [{**settings.LICENSE_SERVERS[0], "default_product_id": "prod-1"}]
    map_product("price_plugin", store="stripe", is_active=False)
    _, events = account.buy(AVA, line("price_plugin"))
    show(rest, account)
    send(*events)
    assert cryptlex.licenses == []
    assert PurchaseItem.objects.get().problem


def test_a_sale_that_says_nothing_of_its_lines_tells_what_to_do(account, send, cryptlex):
    _, events = account.buy(AVA, line("price_plugin"))
    send(*events)
    assert cryptlex.licenses == []
    assert "API key" in PurchaseItem.objects.get().problem


def test_a_free_order_is_licensed_without_any_constant_id(rest, account, send, cryptlex):
    map_product("prod_studio", store="stripe")
    for _ in range(2):
        _, events = account.buy(AVA, line("price_studio"), is_free=True)
        show(rest, account)
        send(*events)
    assert len(cryptlex.licenses) == 2
    assert [metadata(one).get("stripe_transaction_id") for one in cryptlex.licenses] == [None, None]


def test_the_event_log_holds_nothing_unprocessed(rest, account, send, cryptlex):
    map_product("prod_team", store="stripe")
    _, events = signup(account)
    show(rest, account)
    send(*events)
    assert set(WebhookEvent.objects.values_list("state", flat=True)) == {"applied"}
    assert "Issued license" in sentences()
    assert Purchase.objects.get().status == PurchaseStatus.ACTIVE
