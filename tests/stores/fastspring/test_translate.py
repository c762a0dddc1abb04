from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licensing_integration.domain.facts import Charge, Customer, NoteFact, OrderFact, ReturnFact, SubscriptionFact
from licensing_integration.domain.outcomes import PurchaseKind, PurchaseStatus
from licensing_integration.exceptions import MalformedPayload, PayloadError
from licensing_integration.stores.base import Delivery
from licensing_integration.stores.fastspring import ADAPTER
from licensing_integration.stores.payload import Payload
from tests.stores.contract import JSON
from tests.stores.damage import damage
from tests.stores.fastspring import expected_facts as expected
from tests.stores.fastspring.samples import NAMES, body, changed, event, translate

LIFECYCLE = sorted(expected.LIFECYCLE)
ONE_TIME, BUNDLE = "order.completed--one-time-qty1", "order.completed--bundle"
BOUGHT, BY_ID = "order.completed--subscription-qty5", "order.completed--subscription-unexpanded"
TRIAL, ADD_ON = "order.completed--subscription-trial", "order.completed--subscription-addon"
CHARGED, CHARGED_BY_ID = "subscription.charge.completed", "subscription.charge.completed--unexpanded"
OVERDUE, REFUND = "subscription.payment.overdue", "return.created--full-refund"


def one(value: dict[str, Any], **fetched: Any) -> Any:
    (fact,) = translate(value, **fetched)
    return fact


# Every fixture


def test_every_fixture_has_its_expected_facts() -> None:
    assert set(NAMES) == set(expected.EXPECTED)


@pytest.mark.parametrize("name", NAMES)
def test_facts_of_a_fixture(name: str) -> None:
    events = ADAPTER.split(Delivery(body=body(name), headers={}))
    handled = [event for event in events if event.event_type not in ADAPTER.ignored]
    facts = [fact for event in handled for fact in ADAPTER.translators[event.event_type](Payload.from_json(event.body))]
    assert tuple(facts) == expected.EXPECTED[name]


@pytest.mark.parametrize("name", NAMES)
def test_sentences_are_whole_and_tell_nothing_private(name: str) -> None:
    for fact in expected.EXPECTED[name]:
        assert fact.note[0].isupper()
        assert fact.note.endswith(".")
        private = ("@", "Ava", "Lindqvist", "Ben", "Okafor", "Cleo", "Marchetti", "Dan", "Whitmore", "PHK4")
        assert not [word for word in private if word in fact.note]


@pytest.mark.parametrize("name", NAMES)
def test_the_payload_is_not_changed(name: str) -> None:
    value = event(name)
    if value["type"] in ADAPTER.translators:
        before = copy.deepcopy(value)
        ADAPTER.translators[value["type"]](Payload(value))
        assert value == before


# Both shapes of every reference


@pytest.mark.parametrize("name", LIFECYCLE)
def test_an_unexpanded_lifecycle_event_says_the_same_but_for_the_owner(name: str) -> None:
    def shrink(data: dict[str, Any]) -> None:
        if isinstance(data["account"], dict):
            data["account"], data["product"] = data["account"]["id"], data["product"]["product"]

    whole = expected.LIFECYCLE[name][0]
    assert isinstance(whole, SubscriptionFact)
    assert one(changed(name, shrink)) == replace(whole, customer=None)


def test_a_fetched_account_supplies_the_owner() -> None:
    value = event("subscription.deactivated--unexpanded")
    account = event("subscription.deactivated--immediate")["data"]["account"]
    fact = one(value, accounts={value["data"]["account"]: account})
    assert fact.customer == expected.CLEO
    assert not fact.customer_is_buyer


def test_an_order_may_hold_product_objects() -> None:
    def expand(data: dict[str, Any]) -> None:
        (item,) = data["items"]
        item["product"] = {"product": item["product"], "display": {"en": "Studio"}}
        item["subscription"]["product"] = {"product": item["subscription"]["product"]}
        item["subscription"]["account"] = data["account"]

    assert one(changed(BOUGHT, expand)) == expected.ORDERS[BOUGHT][0]


def test_an_order_may_name_its_account_by_id() -> None:
    assert (
        one(changed(ONE_TIME, lambda data: data.update(account=data["account"]["id"]))) == expected.ORDERS[ONE_TIME][0]
    )


def test_a_charge_may_name_its_account_by_id_and_still_know_who_paid() -> None:
    value = changed(CHARGED, lambda data: data.update(account=data["account"]["id"]))
    assert one(value) == expected.CHARGES[CHARGED][0]


def test_a_fetched_subscription_completes_an_unexpanded_charge() -> None:
    nested = event(CHARGED)["data"]["subscription"]
    account = event(CHARGED)["data"]["account"]
    fact = one(event(CHARGED_BY_ID), subscriptions={nested["id"]: nested}, accounts={account["id"]: account})
    whole = expected.CHARGES[CHARGED][0]
    assert isinstance(whole, SubscriptionFact)
    assert fact == replace(
        whole, occurred_at=fact.occurred_at, charge=Charge(order_id="xAvcbea-3uYzFCdvbO1EGw", sequence=2)
    )


def test_a_fetched_subscription_completes_an_unexpanded_order() -> None:
    fetched = {**event(BOUGHT)["data"]["items"][0]["subscription"], "id": "mZQxaMHTYL7Y_t9EkMubXw", "sequence": 4}
    fact = one(event(BY_ID), subscriptions={fetched["id"]: fetched})
    assert fact.snapshot == expected.studio(
        PurchaseStatus.ACTIVE, quantity=5, paid_through=expected.utc(2025, 4, 14), sequence=4
    )
    assert fact.charge == Charge(order_id="xAC5q5aJDC20vQboQIsrLw", sequence=1, is_initial=True)


def test_an_expanded_subscription_is_not_overruled_by_a_fetched_one() -> None:
    fetched = {**event(BOUGHT)["data"]["items"][0]["subscription"], "state": "deactivated"}
    assert one(event(BOUGHT), subscriptions={fetched["id"]: fetched}) == expected.ORDERS[BOUGHT][0]


def test_a_return_may_hold_objects() -> None:
    name = "return.created--subscription-order"

    def expand(data: dict[str, Any]) -> None:
        (item,) = data["items"]
        item["product"], item["subscription"] = {"product": item["product"]}, {"id": item["subscription"]}

    assert one(changed(name, expand)) == expected.REFUNDS[name][0]


# Order lines


def test_without_attributes_a_line_is_still_a_line() -> None:
    def strip(data: dict[str, Any]) -> None:
        (item,) = data["items"]
        for key in ("attributes", "fulfillments", "display", "subtotal"):
            del item[key]

    (item,) = one(changed(ONE_TIME, strip)).items
    assert (item.product, item.quantity, item.attributes, item.display, item.subtotal) == (
        "photon-editor",
        1,
        {},
        "",
        None,
    )


@pytest.mark.parametrize("quantity", [4, "4", 4.0, "4.0"])
def test_quantities_are_read_leniently(quantity: object) -> None:
    fact = one(changed(ONE_TIME, lambda data: data["items"][0].update(quantity=quantity)))
    assert fact.items[0].quantity == 4


@pytest.mark.parametrize("quantity", [None, "", "many", -1, True, 1.5])
def test_an_unreadable_quantity_is_never_guessed(quantity: object) -> None:
    with pytest.raises(MalformedPayload) as error:
        translate(changed(BUNDLE, lambda data: data["items"][2].update(quantity=quantity)))
    assert error.value.path == "data.items[2].quantity"


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        ([{"product": "b"}, {"product": "a"}], ("a", "b")),
        ([{"product": {"product": "a"}}], ("a",)),
        ([], ()),
        (None, None),
        ("a", None),
        (["a"], None),
        ([{"sku": "A"}], None),
    ],
)
def test_listed_add_ons_are_read_as_far_as_they_can_be(listed: object, told: object) -> None:
    fact = one(changed("subscription.updated--quantity-change", lambda data: data.update(addons=listed)))
    assert fact.snapshot.add_ons == told


def test_a_product_on_several_lines_gets_a_line_name_for_each() -> None:
    fact = one(changed(ONE_TIME, lambda data: data["items"].extend([data["items"][0]] * 2)))
    assert [item.line for item in fact.items] == ["photon-editor", "photon-editor#2", "photon-editor#3"]


def test_an_order_of_both_kinds_gives_a_fact_for_each_purchase() -> None:
    photon = event(ONE_TIME)["data"]["items"][0]
    order, subscription = translate(changed(BOUGHT, lambda data: data["items"].append(photon)))
    assert isinstance(order, OrderFact)
    assert isinstance(subscription, SubscriptionFact)
    assert [item.line for item in order.items] == ["photon-editor"]
    assert order.customer == subscription.customer == expected.AVA
    assert subscription == replace(expected.ORDERS[BOUGHT][0], beside=order.items)
    assert [(item.line, item.product) for item in order.beside] == [("main", subscription.snapshot.product)]


def test_a_bundle_child_with_a_subscription_is_a_subscription() -> None:
    def into_bundle(data: dict[str, Any]) -> None:
        data["items"][0]["driver"] = {"type": "bundle", "path": "creator-bundle"}
        data["items"].insert(0, event(BUNDLE)["data"]["items"][0])

    order, subscription = translate(changed(BOUGHT, into_bundle))
    assert isinstance(order, OrderFact)
    assert [item.line for item in order.items] == ["creator-bundle"]
    assert subscription == replace(expected.ORDERS[BOUGHT][0], beside=order.items)


def test_marketing_drivers_mean_nothing() -> None:
    driver = {"type": "cross-sell", "path": "acme-popup-main"}
    assert one(changed(ONE_TIME, lambda data: data["items"][0].update(driver=driver))) == expected.ORDERS[ONE_TIME][0]


@pytest.mark.parametrize(
    "changes",
    [{"isAddon": True}, {"isAddon": True, "driver": {"type": "configuration", "path": "studio-solo-monthly"}}],
)
def test_being_called_an_add_on_does_not_make_one(changes: dict[str, Any]) -> None:
    assert one(changed(ONE_TIME, lambda data: data["items"][0].update(changes))) == expected.ORDERS[ONE_TIME][0]


def test_an_add_on_without_a_parent_is_a_one_time_item() -> None:
    order, subscription = translate(changed(ADD_ON, lambda data: data["items"][1].pop("parentSubscription")))
    assert isinstance(order, OrderFact)
    assert [(item.line, item.driver) for item in order.items] == [("render-node-addon", "addon:studio-team-annual")]
    assert isinstance(subscription, SubscriptionFact)
    assert subscription.add_ons == ()


def test_an_add_on_without_a_parent_may_be_a_subscription_of_its_own() -> None:
    driver = {"type": "addon", "path": "studio-team-annual"}
    assert one(changed(BOUGHT, lambda data: data["items"][0].update(driver=driver))) == expected.ORDERS[BOUGHT][0]


def test_an_add_on_bought_later_goes_to_its_parent_and_says_nothing_else_of_it() -> None:
    whole = expected.ORDERS[ADD_ON][0]
    assert isinstance(whole, SubscriptionFact)
    fact = one(changed(ADD_ON, lambda data: data["items"].pop(0)))
    assert fact == replace(whole, snapshot=None, charge=None, note="Add-on bought: 3 × render-node-addon.")


def test_a_second_product_on_a_bought_subscription_hangs_on_it() -> None:
    def add_line(data: dict[str, Any]) -> None:
        extra = {"product": "extra", "quantity": 2, "subscription": data["items"][0]["subscription"]["id"]}
        data["items"].append(extra)

    fact = one(changed(BOUGHT, add_line))
    assert [(item.line, item.quantity) for item in fact.add_ons] == [("addon:extra:byByxZBM5kekTXy2BujqoQ", 2)]
    assert fact.snapshot == expected.studio(PurchaseStatus.ACTIVE, quantity=5, paid_through=expected.utc(2025, 4, 14))


def test_attributes_of_the_session_win_over_those_of_the_product() -> None:
    fact = one(changed(BOUGHT, lambda data: data["items"][0]["attributes"].update(single_license="false")))
    assert fact.snapshot.attributes == {**expected.MONTHLY_ATTRIBUTES, "single_license": "false"}


def test_a_resent_order_whose_subscription_has_moved_on_keeps_to_the_new_product() -> None:
    def move(data: dict[str, Any]) -> None:
        data["items"][0]["subscription"].update(product="studio-pro", attributes={"tier": "pro"}, sequence=7)

    fact = one(changed(BOUGHT, move))
    assert (fact.snapshot.product, fact.snapshot.attributes, fact.snapshot.sequence) == (
        "studio-pro",
        {"tier": "pro"},
        7,
    )
    assert fact.charge == Charge(order_id="byByxZBM5kekTXy2BujqoQ", sequence=1, is_initial=True)


@pytest.mark.parametrize(
    ("change", "oddity"),
    [
        ({"completed": False}, "is not marked as completed"),
        ({"items": []}, "has no items"),
        ({"items": None}, "no items"),
    ],
)
def test_an_odd_completed_order_asks_for_a_person(change: dict[str, Any], oddity: str) -> None:
    fact = one(changed(ONE_TIME, lambda data: data.update(change)))
    assert isinstance(fact, NoteFact)
    assert (fact.kind, fact.purchase_id) == (PurchaseKind.ORDER, "6hUfHRqNUCQlTU8QNbKrcw")
    assert oddity in fact.attention


# Customers


def test_the_buyer_is_cleaned_and_may_lack_everything_but_the_address() -> None:
    buyer = {"first": None, "last": None, "email": "  Ava.LINDQVIST@Example.com ", "company": None}
    fact = one(changed(ONE_TIME, lambda data: data.update(customer=buyer)))
    assert fact.customer == Customer(email="ava.lindqvist@example.com", external_id="dzZvolYoRqeWGsxiR0rdZQ")


@pytest.mark.parametrize(
    ("change", "email", "first_name"),
    [
        ({}, "buyer@example.com", "Buyer"),
        ({"customer": {"first": "Buyer", "email": None}}, "recipient@example.com", "Recipient"),
        ({"customer": None}, "recipient@example.com", "Recipient"),
        ({"customer": None, "recipients": []}, "owner@example.com", "Owner"),
        ({"customer": None, "recipients": None}, "owner@example.com", "Owner"),
        ({"customer": {"first": "Buyer"}, "recipients": [], "account": "a1"}, "", "Buyer"),
        ({"customer": None, "recipients": [], "account": "a1"}, "", ""),
    ],
)
def test_the_person_to_be_licensed(change: dict[str, Any], email: str, first_name: str) -> None:
    people = {
        "customer": {"first": "Buyer", "email": "buyer@example.com"},
        "recipients": [{"recipient": {"first": "Recipient", "email": "recipient@example.com"}}],
        "account": {"id": "a1", "contact": {"first": "Owner", "email": "owner@example.com"}},
    }
    fact = one(changed(ONE_TIME, lambda data: data.update({**people, **change})))
    assert fact.customer == Customer(email=email, first_name=first_name, external_id="a1")


def test_nonsense_behind_a_usable_buyer_does_no_harm() -> None:
    value = changed(ONE_TIME, lambda data: data.update(recipients=[7]))
    assert one(value) == expected.ORDERS[ONE_TIME][0]


# Trials


def test_a_trial_is_told_by_the_current_price_segment_too() -> None:
    fact = one(changed(TRIAL, lambda data: data["items"][0]["subscription"].update(state="active")))
    assert fact == expected.ORDERS[TRIAL][0]


def test_a_trial_that_is_over_is_not_a_trial() -> None:
    def convert(data: dict[str, Any]) -> None:
        data["items"][0]["subscription"].update(state="active", next=1745884800000, sequence=2)

    fact = one(changed(TRIAL, convert))
    assert fact.snapshot.status is PurchaseStatus.ACTIVE
    assert fact.charge is not None


def test_a_price_of_zero_is_not_a_trial() -> None:
    fact = one(changed(BOUGHT, lambda data: data.update(total=0.0, items=[{**data["items"][0], "subtotal": 0.0}])))
    assert fact.snapshot.status is PurchaseStatus.ACTIVE
    assert fact.charge == Charge(order_id="byByxZBM5kekTXy2BujqoQ", sequence=1, is_initial=True)


# Subscriptions


@pytest.mark.parametrize(
    ("state", "active", "status"),
    [
        ("active", True, PurchaseStatus.ACTIVE),
        ("Active", None, PurchaseStatus.ACTIVE),
        ("trial", True, PurchaseStatus.TRIAL),
        ("overdue", True, PurchaseStatus.OVERDUE),
        ("paused", True, PurchaseStatus.PAUSED),
        ("canceled", True, PurchaseStatus.CANCELED),
        ("deactivated", False, PurchaseStatus.ENDED),
        ("deactivated", True, PurchaseStatus.ENDED),
        ("active", False, PurchaseStatus.ENDED),
        ("canceled", "false", PurchaseStatus.ENDED),
        (None, False, PurchaseStatus.ENDED),
    ],
)
def test_states(state: str | None, active: object, status: PurchaseStatus) -> None:
    value = changed("subscription.updated--quantity-change", lambda data: data.update(state=state, active=active))
    assert one(value).snapshot.status is status


@pytest.mark.parametrize("state", ["suspended", "", None])
def test_an_unknown_state_is_an_error_that_says_where(state: str | None) -> None:
    with pytest.raises(MalformedPayload) as error:
        translate(changed("subscription.updated--quantity-change", lambda data: data.update(state=state)))
    assert error.value.path == "data.state"


def test_canceled_is_still_paid_for_and_deactivated_is_not() -> None:
    assert one(event("subscription.canceled")).snapshot.status is PurchaseStatus.CANCELED
    assert one(event("subscription.deactivated")).snapshot.status is PurchaseStatus.ENDED


@pytest.mark.parametrize("name", [*LIFECYCLE, BOUGHT, CHARGED])
def test_the_time_of_the_last_edit_says_nothing(name: str) -> None:
    def turn_back(value: Any) -> None:
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            turn_back(part)
        if isinstance(value, dict) and "changed" in value:
            value["changed"] = 1500000000000

    assert one(changed(name, turn_back)) == expected.EXPECTED[name][0]


@pytest.mark.parametrize(
    ("state", "overdue"), [("overdue", True), ("trial", True), ("canceled", True), ("active", False), ("paused", False)]
)
def test_an_overdue_notice_counts_unless_the_subscription_is_in_order_again(state: str, overdue: bool) -> None:
    assert one(changed(OVERDUE, lambda data: data.update(state=state))).overdue is overdue


def test_an_overdue_state_counts_in_every_event() -> None:
    fact = one(changed("subscription.updated--quantity-change", lambda data: data.update(state="overdue")))
    assert fact.overdue
    assert not fact.is_confirmed


def test_a_resent_event_says_what_the_subscription_has_become() -> None:
    fact = one(changed("subscription.canceled", lambda data: data.update(state="deactivated", active=False)))
    assert fact.snapshot.status is PurchaseStatus.ENDED
    assert fact.note == "Event subscription.canceled received; by then FastSpring reported the subscription as ended."


@pytest.mark.parametrize("plan", [None, {}, {"sent": 1}])
def test_an_overdue_notice_may_lack_its_number(plan: object) -> None:
    fact = one(changed(OVERDUE, lambda data: data.update(paymentOverdue=plan)))
    assert fact.note == "Payment overdue: FastSpring sent an overdue notice."


@pytest.mark.parametrize(
    ("unit", "length", "adhoc", "interval"),
    [
        ("day", 7, False, "P7D"),
        ("week", 2, False, "P2W"),
        ("month", 3, False, "P3M"),
        ("year", "1", None, "P1Y"),
        ("adhoc", 1, False, ""),
        ("month", 1, True, ""),
        ("month", 0, False, ""),
        ("month", None, False, ""),
        (None, 1, False, ""),
        ("decade", 1, False, ""),
    ],
)
def test_intervals(unit: object, length: object, adhoc: object, interval: str) -> None:
    value = changed(
        "subscription.activated", lambda data: data.update(intervalUnit=unit, intervalLength=length, adhoc=adhoc)
    )
    assert one(value).snapshot.interval == interval


def test_a_lifetime_subscription_has_no_dates() -> None:
    fact = one(changed("subscription.activated", lambda data: data.update(next=None, sequence=None, begin=None)))
    snapshot = fact.snapshot
    assert (snapshot.paid_through, snapshot.sequence, snapshot.begun_on) == (None, None, None)
    assert fact.note == "Subscription activated."


def test_product_attributes_stand_in_for_missing_ones() -> None:
    def move(data: dict[str, Any]) -> None:
        data["product"]["attributes"] = {"from": "product"}
        del data["attributes"]

    assert one(changed("subscription.activated", move)).snapshot.attributes == {"from": "product"}


def test_older_events_do_not_name_their_order() -> None:
    def strip(data: dict[str, Any]) -> None:
        del data["initialOrderId"], data["initialOrderReference"]

    fact = one(changed("subscription.activated", strip))
    assert (fact.order_id, fact.reference) == ("", "")


# Charges


@pytest.mark.parametrize("state", ["overdue", "trial", "active"])
def test_money_settles_a_state_that_lags_behind(state: str) -> None:
    assert one(changed(CHARGED, lambda data: data["subscription"].update(state=state))) == expected.CHARGES[CHARGED][0]


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("canceled", PurchaseStatus.CANCELED),
        ("deactivated", PurchaseStatus.ENDED),
        ("paused", PurchaseStatus.PAUSED),
    ],
)
def test_money_changes_no_other_state(state: str, status: PurchaseStatus) -> None:
    assert one(changed(CHARGED, lambda data: data["subscription"].update(state=state))).snapshot.status is status


@pytest.mark.parametrize("status", ["failed", "pending", ""])
def test_a_charge_that_did_not_succeed_is_a_note(status: str) -> None:
    fact = one(changed(CHARGED, lambda data: data.update(status=status)))
    assert isinstance(fact, NoteFact)
    assert (fact.kind, fact.purchase_id) == (PurchaseKind.SUBSCRIPTION, "kJJAoGBdrrobkbheIgkQ1w")


def test_a_charge_without_its_number_takes_the_subscriptions() -> None:
    fact = one(changed(CHARGED, lambda data: data.update(sequence=None)))
    assert fact.charge.sequence == 2


def test_prorated_zeros_are_no_proration() -> None:
    zeros = {"proratedItemTotal": "0.00", "proratedItemProratedCharge": 0}
    fact = one(changed(CHARGED, lambda data: data["order"]["items"][0].update(zeros)))
    assert fact == expected.CHARGES[CHARGED][0]


def test_one_prorated_item_makes_a_proration() -> None:
    name = "subscription.charge.completed--proration"
    ordinary = event(CHARGED)["data"]["order"]["items"][0]
    assert one(changed(name, lambda data: data["order"]["items"].append(ordinary))) == expected.CHARGES[name][0]


def test_a_charge_needs_its_order_and_subscription() -> None:
    for key in ("order", "subscription"):
        with pytest.raises(MalformedPayload, match=f"data.{key}: missing"):
            translate(changed(CHARGED_BY_ID, lambda data, key=key: data.pop(key)))  # type: ignore[misc]


def test_a_failed_charge_changes_nothing_whatever_its_subscription_says() -> None:
    fact = one(changed("subscription.charge.failed", lambda data: data.update(reason=None)))
    assert isinstance(fact, NoteFact)
    assert fact.attention == ""
    assert fact.note == "Charge failed; FastSpring gave no reason."


# Refunds and trouble


def test_a_refund_that_is_not_completed_is_a_note() -> None:
    fact = one(changed(REFUND, lambda data: data.update(completed=False)))
    assert isinstance(fact, NoteFact)
    assert (fact.kind, fact.purchase_id) == (PurchaseKind.ORDER, "6hUfHRqNUCQlTU8QNbKrcw")


@pytest.mark.parametrize(
    ("returned", "paid", "is_whole"),
    [(79.0, 79.0, True), (79.0, 79.004, True), (78.99, 79.0, False), ("79.00", 79, True), (None, 79.0, False)],
)
def test_a_refund_of_everything_is_told_by_the_sums(returned: object, paid: object, is_whole: bool) -> None:
    def refund(data: dict[str, Any]) -> None:
        data["totalReturn"] = returned
        data["original"]["total"] = paid
        data["items"][0]["refundType"] = "Partial"

    fact = one(changed(REFUND, refund))
    assert isinstance(fact, ReturnFact)
    assert fact.is_whole_order is is_whole
    assert [line.is_full for line in fact.lines] == [False]


def test_a_chargeback_without_a_case_number_is_named_by_its_event() -> None:
    fact = one(changed("chargeback.created", lambda data: data.pop("processorCaseId")))
    assert fact.dispute_id == "EVWEILJONORG5XBSB3JDQIQ35ZPAV3"


def test_a_chargeback_takes_its_live_flag_from_the_envelope() -> None:
    value = {**event("chargeback.created"), "live": False}
    assert one(value).is_live is False


@pytest.mark.parametrize(
    ("event_type", "status"),
    [
        ("order.payment.pending", PurchaseStatus.PENDING),
        ("order.approval.pending", PurchaseStatus.PENDING),
        ("order.canceled", PurchaseStatus.NOT_PAID),
        ("order.failed", PurchaseStatus.NOT_PAID),
    ],
)
def test_an_unpaid_order_is_told_without_its_items(event_type: str, status: PurchaseStatus) -> None:
    value = {**event("order.canceled--payment-expired"), "type": event_type}
    value["data"]["items"] = "unreadable"
    fact = one(value)
    assert isinstance(fact, OrderFact)
    assert (fact.status, fact.items) == (status, ())


def test_a_long_reason_is_cut() -> None:
    fact = one(changed("fulfillment.failed", lambda data: data.update(reason="much\n\nado " * 100)))
    assert len(fact.note) < 300
    assert "\n" not in fact.note


# Total on anything


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in entries:
        yield (*path, key)
        yield from _places(part, (*path, key))


def _is_read(place: tuple[Any, ...]) -> bool:
    """Most of a payload is spellings for people; changing those tries nothing."""
    noise = ("Display", "Value", "InSeconds", "ISO8601", "InPayoutCurrency", "Enhancements", "WithTime")
    return not str(place[-1]).endswith(noise)


PLACES = {name: [place for place in _places(event(name)) if _is_read(place)] for name in NAMES}


@settings(max_examples=400, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_damaged_event_gives_facts_or_a_payload_error(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    value = event(name)
    for place in data.draw(st.lists(st.sampled_from(PLACES[name]), min_size=1, max_size=3)):
        damage(value, place, data.draw(st.just("drop") | JSON))
    translator = ADAPTER.translators.get(event(name)["type"])
    if translator is None:
        return
    try:
        facts = translator(Payload(value))
    except PayloadError:
        return
    assert facts
    json.dumps([str(fact) for fact in facts])
