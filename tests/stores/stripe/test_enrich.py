"""What is fetched for an event, with which calls, and how it is stored; against the REST stub."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing_integration.exceptions import (
    CredentialsRejected,
    MalformedPayload,
    PermanentRemoteError,
    RemoteError,
    TransientRemoteError,
)
from licensing_integration.sandbox.http_server import HttpRequest, HttpServer, Reply
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.stripe.enrich import API_VERSION, WANTED, StripeApi, enrich
from licensing_integration.stores.stripe.translate import TRANSLATORS
from tests.stores.contract import GARBAGE, JSON, Garbler
from tests.stores.stripe.rest_stub import KEY, StripeRest, example
from tests.stores.stripe.samples import event, translate, updated

Json = dict[str, Any]

SUB, CUSTOMER = "sub_1oWtMPPqLk8WmTzDkIMubv3W", "cus_9zoSTOdmptEFNF"
PRICE, PRODUCT = "price_1ad5eGPqLk8WmTzDK7D6RFRJ", "prod_IQoZULjEhuxvnd"
CART = "cs_test_a1dzCCTlRGcGmbfV1FYAGBJCTwer8vrkIXhlFaUSLzgkh6iPCWusxnzFKi"
SUB_SESSION = "cs_test_a1D4scXp0NRFQajFnraduK4tY7ZHH1NVrVm631EWwcxyyhnNoXJ8OdH4fg"
CART_INVOICE, CART_PAYMENT = "in_17qWqUPqLk8WmTzDRpO6vSeI", "pi_3Qhq0vPqLk8WmTzDAz8Tz6QU"
RENEWAL, RENEWAL_PAYMENT = "in_1FGTolPqLk8WmTzDsoFKRxUf", "pi_3DRMRrPqLk8WmTzD0thzGbuS"
ONE_TIME_PAYMENT = "pi_3IuxklPqLk8WmTzD10sx1dkN"

LINES_OF_CART = f"/v1/checkout/sessions/{CART}/line_items?expand[]=data.price.product&limit=100"
THE_SUBSCRIPTION = f"/v1/subscriptions/{SUB}?expand[]=items.data.price.product&expand[]=customer"


@pytest.fixture
def rest() -> Iterator[StripeRest]:
    stub = StripeRest()
    yield stub
    stub.stop()


def fetch(rest: StripeRest, value: Json) -> dict[str, Any]:
    return enrich(Payload(copy.deepcopy(value)), rest.api())


def items(number: int) -> list[Json]:
    """Items of a subscription that all cost the same."""
    (item,) = example("GET_v1_subscriptions_ID")["items"]["data"]
    return [{**item, "id": f"si_{index}"} for index in range(number)]


def lines(number: int, template: Json) -> list[Json]:
    return [{**template, "id": f"{template['id']}{index}"} for index in range(number)]


# Checkout sessions


def test_a_one_time_session_gets_its_lines_with_their_products(rest: StripeRest) -> None:
    fetched = fetch(rest, event("checkout.session.completed--multi-quantity"))
    assert rest.calls == [LINES_OF_CART]
    assert set(fetched) == {"sessions"}
    first, second = fetched["sessions"][CART]["line_items"]
    assert (first["quantity"], first["price"]["id"]) == (5, "price_1XrHK5PqLk8WmTzDOBeQY8bK")
    assert (first["price"]["product"]["id"], second["price"]["product"]["id"]) == (
        "prod_QRicvu1eZoxvlo",
        "prod_pldlYBsSE2GgXY",
    )


def test_a_subscription_session_gets_its_lines_and_the_subscription_as_it_is_now(rest: StripeRest) -> None:
    rest.change("subscriptions", SUB, status="past_due")
    fetched = fetch(rest, event("checkout.session.completed--subscription"))
    assert rest.calls == [
        f"/v1/checkout/sessions/{SUB_SESSION}/line_items?expand[]=data.price.product&limit=100",
        THE_SUBSCRIPTION,
    ]
    assert [line["quantity"] for line in fetched["sessions"][SUB_SESSION]["line_items"]] == [3]
    assert fetched["subscriptions"][SUB]["status"] == "past_due"


def test_a_subscription_comes_with_its_customer_and_products(rest: StripeRest) -> None:
    fetched = fetch(rest, event("customer.subscription.created"))["subscriptions"][SUB]
    expected = example("GET_v1_subscriptions_ID--expand-items-price-product-and-customer")
    del expected["items"]["total_count"], fetched["items"]["url"], expected["items"]["url"]
    assert fetched == expected


def test_words_are_read_as_the_translator_reads_them(rest: StripeRest) -> None:
    sold = "checkout.session.completed--multi-quantity"
    assert set(fetch(rest, updated(sold, mode=" Payment"))) == {"sessions"}
    assert fetch(rest, updated(sold, payment_status="UNPAID")) == {}


def test_many_lines_are_all_fetched(rest: StripeRest) -> None:
    (line,) = example("GET_v1_checkout_sessions_ID_line_items--subscription")["data"]
    rest.sell(CART, *lines(230, line))
    fetched = fetch(rest, event("checkout.session.completed--multi-quantity"))
    assert fetched["sessions"][CART]["line_items"][0]["price"]["product"]["id"] == PRODUCT
    assert [entry["id"] for entry in fetched["sessions"][CART]["line_items"]] == [
        entry["id"] for entry in lines(230, line)
    ]
    assert rest.calls == [
        LINES_OF_CART,
        f"{LINES_OF_CART}&starting_after={line['id']}99",
        f"{LINES_OF_CART}&starting_after={line['id']}199",
    ]


@pytest.mark.parametrize("name", ["checkout.session.async_payment_succeeded", "invoice.paid--subscription_cycle"])
def test_what_stripe_does_not_know_is_left_out(rest: StripeRest, name: str) -> None:
    rest.remove("subscriptions", SUB)
    assert fetch(rest, event(name)) == {}
    assert len(rest.calls) == 1


# Invoices


@pytest.mark.parametrize("name", ["invoice.paid--subscription_cycle", "invoice.payment_succeeded--subscription_cycle"])
def test_a_renewal_gets_the_subscription_in_one_call(rest: StripeRest, name: str) -> None:
    rest.change("subscriptions", SUB, cancel_at=1796472004)
    fetched = fetch(rest, event(name))
    assert rest.calls == [THE_SUBSCRIPTION]
    assert set(fetched) == {"subscriptions"}
    assert fetched["subscriptions"][SUB]["cancel_at"] == 1796472004


def test_an_invoice_of_an_old_version_names_its_subscription_too(rest: StripeRest) -> None:
    fetched = fetch(rest, updated("invoice.paid--subscription_cycle", parent=None, subscription=SUB))
    assert set(fetched["subscriptions"]) == {SUB}


@pytest.mark.parametrize(("changes", "is_paid"), [({"paid": True}, True), ({"paid": False}, False), ({}, False)])
def test_an_invoice_without_status_is_paid_if_it_says_so(rest: StripeRest, changes: Json, is_paid: bool) -> None:
    fetch(rest, updated("invoice.paid--subscription_cycle", status=None, **changes))
    assert bool(rest.calls) == is_paid


def test_an_invoice_that_carries_some_of_its_lines_gets_them_all(rest: StripeRest) -> None:
    value = event("invoice.paid--subscription_cycle")
    shown = value["data"]["object"]["lines"]
    every = lines(120, shown["data"][0])
    rest.put("invoices", {**value["data"]["object"], "lines": every})
    shown.update(data=every[:10], has_more=True)
    fetched = fetch(rest, value)
    assert fetched["invoice_lines"][RENEWAL] == every
    assert rest.paths.count(f"/v1/invoices/{RENEWAL}/lines") == 2


def test_one_time_lines_of_a_first_invoice_get_their_prices(rest: StripeRest) -> None:
    rest.add_price("price_setup", "prod_setup", metadata={"cryptlex_product_id": "p"})
    value = event("invoice.paid--subscription_create")
    extra = event("invoice.paid--manual-from-checkout")["data"]["object"]["lines"]["data"][0]
    extra["pricing"]["price_details"] = {"price": "price_setup", "product": "prod_setup"}
    value["data"]["object"]["lines"]["data"].append(extra)
    fetched = fetch(rest, value)
    assert rest.calls == [THE_SUBSCRIPTION, "/v1/prices/price_setup?expand[]=product"]
    assert fetched["prices"]["price_setup"]["product"]["metadata"] == {"cryptlex_product_id": "p"}


def test_one_time_lines_of_a_later_invoice_are_not_sold_by_it(rest: StripeRest) -> None:
    value = event("invoice.paid--subscription_cycle")
    extra = event("invoice.paid--manual-from-checkout")["data"]["object"]["lines"]["data"][0]
    value["data"]["object"]["lines"]["data"].append(extra)
    fetch(rest, value)
    assert rest.calls == [THE_SUBSCRIPTION]


def test_an_invoice_of_a_checkout_gets_the_session_and_its_lines(rest: StripeRest) -> None:
    rest.put("invoice_payments", payment(CART_INVOICE, CART_PAYMENT))
    fetched = fetch(rest, event("invoice.paid--manual-from-checkout"))
    assert rest.calls == [
        f"/v1/invoice_payments?invoice={CART_INVOICE}&limit=100",
        f"/v1/checkout/sessions?payment_intent={CART_PAYMENT}&limit=100",
        LINES_OF_CART,
    ]
    assert fetched["sessions_of_invoice"] == {CART_INVOICE: CART}
    by_session = fetch(rest, event("checkout.session.completed--multi-quantity"))["sessions"][CART]
    assert fetched["sessions"] == {CART: {**by_session, "metadata": {"order_ref": "PO-77120"}}}
    assert "prices" not in fetched


@pytest.mark.parametrize("metadata", [{}, {"CRYPTLEX_PRODUCT_ID": "from-the-session"}])
def test_a_session_and_its_invoice_tell_the_same_sale(rest: StripeRest, metadata: Json) -> None:
    rest.put("invoice_payments", payment(CART_INVOICE, CART_PAYMENT))
    rest.change("checkout_sessions", CART, metadata=metadata)
    rest.change("products", "prod_QRicvu1eZoxvlo", metadata={"cryptlex_product_id": "from-the-product"})
    told = [
        translate(value, **fetch(rest, value))[0]
        for value in (
            updated("checkout.session.completed--multi-quantity", metadata=metadata),
            event("invoice.paid--manual-from-checkout"),
        )
    ]
    assert [fact.order_id for fact in told] == [CART, CART]  # type: ignore[union-attr]
    by_session, by_invoice = [fact.items for fact in told]  # type: ignore[union-attr]
    assert by_session == by_invoice
    assert {"cryptlex_product_id": "from-the-product"} in [item.attributes for item in by_session]


def test_an_invoice_of_an_old_version_names_its_payment_itself(rest: StripeRest) -> None:
    fetched = fetch(rest, updated("invoice.paid--manual-from-checkout", payment_intent=CART_PAYMENT))
    assert fetched["sessions_of_invoice"] == {CART_INVOICE: CART}
    assert "/v1/invoice_payments" not in rest.paths


def test_an_invoice_made_by_hand_gets_the_prices_of_its_lines_once_each(rest: StripeRest) -> None:
    rest.put("invoice_payments", payment(CART_INVOICE, "pi_by_hand"))
    value = event("invoice.paid--manual-from-checkout")
    shown = value["data"]["object"]["lines"]["data"]
    shown += copy.deepcopy(shown)
    fetched = fetch(rest, value)
    assert fetched["sessions_of_invoice"] == {CART_INVOICE: ""}
    assert {price["product"]["id"] for price in fetched["prices"].values()} == {
        "prod_QRicvu1eZoxvlo",
        "prod_pldlYBsSE2GgXY",
    }
    assert rest.calls[2:] == [
        "/v1/prices/price_1XrHK5PqLk8WmTzDOBeQY8bK?expand[]=product",
        "/v1/prices/price_16b3C8PqLk8WmTzD8aKfUntp?expand[]=product",
    ]


def test_an_invoice_paid_in_parts_finds_the_session_of_any_of_them(rest: StripeRest) -> None:
    rest.put("invoice_payments", payment(CART_INVOICE, CART_PAYMENT), payment(CART_INVOICE, "pi_second"))
    fetched = fetch(rest, event("invoice.paid--manual-from-checkout"))
    assert fetched["sessions_of_invoice"] == {CART_INVOICE: CART}


def test_an_invoice_paid_outside_of_stripe_has_no_session(rest: StripeRest) -> None:
    fetched = fetch(rest, event("invoice.paid--manual-from-checkout"))
    assert fetched["sessions_of_invoice"] == {CART_INVOICE: ""}
    assert "/v1/checkout/sessions" not in rest.paths


def test_a_price_that_is_gone_is_left_out(rest: StripeRest) -> None:
    rest.remove("prices", "price_16b3C8PqLk8WmTzD8aKfUntp")
    fetched = fetch(rest, event("invoice.paid--manual-from-checkout"))
    assert list(fetched["prices"]) == ["price_1XrHK5PqLk8WmTzDOBeQY8bK"]


def payment(invoice_id: str, payment_id: str) -> Json:
    (found,) = example("GET_v1_invoice_payments--by-payment_intent")["data"]
    found.update(id=f"inpay_{payment_id}", invoice=invoice_id)
    found["payment"]["payment_intent"] = payment_id
    return found  # type: ignore[no-any-return]


# Subscriptions

SUBSCRIPTION_EVENTS = sorted(name for name in TRANSLATORS if name.startswith("customer.subscription."))


@pytest.mark.parametrize("event_type", SUBSCRIPTION_EVENTS)
def test_a_subscription_is_fetched_as_it_is_now(rest: StripeRest, event_type: str) -> None:
    rest.change("subscriptions", SUB, status="canceled")
    fetched = fetch(rest, {**event("customer.subscription.updated--renewal"), "type": event_type})
    assert rest.calls == [THE_SUBSCRIPTION]
    assert fetched["subscriptions"][SUB]["status"] == "canceled"


def test_a_customer_deleted_since_is_told_as_deleted(rest: StripeRest) -> None:
    rest.change("subscriptions", SUB, customer="cus_KE4MMHJgfLT8is")
    fetched = fetch(rest, event("customer.subscription.created"))
    assert fetched["subscriptions"][SUB]["customer"] == example("GET_v1_customers_ID--deleted")


@pytest.mark.parametrize(("number", "calls"), [(10, 1), (11, 2), (130, 3)])
def test_a_subscription_with_many_items_is_complete(rest: StripeRest, number: int, calls: int) -> None:
    rest.change("subscriptions", SUB, items=items(number))
    found = fetch(rest, event("customer.subscription.created"))["subscriptions"][SUB]["items"]
    assert [item["id"] for item in found["data"]] == [f"si_{index}" for index in range(number)]
    assert {item["price"]["product"]["id"] for item in found["data"]} == {PRODUCT}
    assert not found["has_more"]
    assert len(rest.calls) == calls


# Money that goes back


@pytest.mark.parametrize(
    ("name", "payment_id", "invoice_id"),
    [
        ("charge.refunded--partial", RENEWAL_PAYMENT, RENEWAL),
        ("charge.dispute.created--inquiry", RENEWAL_PAYMENT, RENEWAL),
        ("charge.refunded--full", ONE_TIME_PAYMENT, ""),
        ("refund.created", ONE_TIME_PAYMENT, ""),
        ("charge.dispute.closed--lost", ONE_TIME_PAYMENT, ""),
    ],
)
def test_a_payment_that_goes_back_gets_the_invoice_it_paid(
    rest: StripeRest, name: str, payment_id: str, invoice_id: str
) -> None:
    assert fetch(rest, event(name)) == {"invoices_of_payment": {payment_id: invoice_id}}
    query = f"payment[type]=payment_intent&payment[payment_intent]={payment_id}&limit=100"
    assert rest.calls == [f"/v1/invoice_payments?{query}"]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("charge.refunded--full", {"invoice": "in_old"}),
        ("charge.refunded--full", {"payment_intent": None}),
        ("refund.created", {"charge": {"id": "ch_1", "object": "charge", "invoice": "in_old"}}),
        ("charge.dispute.created", {"payment_intent": {"id": "pi_1", "object": "payment_intent", "invoice": "in_old"}}),
    ],
)
def test_a_payment_whose_invoice_is_told_or_that_has_no_intent_makes_no_call(
    rest: StripeRest, name: str, changes: Json
) -> None:
    assert fetch(rest, updated(name, **changes)) == {}
    assert rest.calls == []


# No call


def test_only_for_events_that_are_translated_something_is_fetched() -> None:
    assert set(WANTED) <= set(TRANSLATORS)


@pytest.mark.parametrize(
    "name",
    [
        "checkout.session.completed--setup",
        "checkout.session.completed--payment-unpaid",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
        "invoice.payment_failed--subscription_cycle",
        "invoice.payment_action_required",
        "customer.created",
        "customer.updated--email-change",
        "customer.deleted",
        "price.created",
        "product.updated--metadata",
    ],
)
def test_an_event_that_changes_nothing_is_not_worth_a_call(rest: StripeRest, name: str) -> None:
    assert fetch(rest, event(name)) == {}
    assert rest.calls == []


def test_an_invoice_that_is_not_paid_is_not_worth_a_call(rest: StripeRest) -> None:
    assert fetch(rest, updated("invoice.paid--subscription_cycle", status="open")) == {}
    assert rest.calls == []


@pytest.mark.parametrize("event_type", sorted(WANTED))
def test_the_event_of_a_connected_account_makes_no_call(rest: StripeRest, event_type: str) -> None:
    value = {**event("customer.subscription.updated--renewal"), "type": event_type, "account": "acct_1"}
    assert fetch(rest, value) == {}
    assert rest.calls == []


@pytest.mark.parametrize("odd", ["../accounts", "sub_1/items", "a b", "%2e", "{id}", "sub_é", "..", "sub_1?x=1", "*"])
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("customer.subscription.created", lambda o, odd: o.update(id=odd)),
        ("checkout.session.completed--payment-paid", lambda o, odd: o.update(id=odd)),
        (
            "invoice.paid--subscription_cycle",
            lambda o, odd: o["parent"]["subscription_details"].update(subscription=odd),
        ),
        ("charge.refunded--full", lambda o, odd: o.update(payment_intent=odd)),
        ("invoice.paid--manual-from-checkout", lambda o, odd: (o.update(id=odd), odd_prices(o, odd))),
    ],
)
def test_an_id_that_could_mean_something_else_is_never_asked_for(
    rest: StripeRest, name: str, change: Any, odd: str
) -> None:
    value = event(name)
    change(value["data"]["object"], odd)
    fetch(rest, value)
    assert rest.calls == []


def odd_prices(invoice: Json, odd: str) -> None:
    for line in invoice["lines"]["data"]:
        line["pricing"]["price_details"]["price"] = odd


# Failures


@pytest.mark.parametrize(
    ("kind", "name", "permission"),
    [
        ("subscriptions", "customer.subscription.created", "rak_subscription_read"),
        ("customers", "customer.subscription.created", "rak_customer_read"),
        ("checkout_sessions", "checkout.session.completed--payment-paid", "rak_checkout_session_read"),
        ("invoices", "charge.refunded--full", "rak_invoice_read"),
        ("prices", "invoice.paid--manual-from-checkout", "rak_price_read"),
    ],
)
def test_a_key_without_a_permission_is_told_which(rest: StripeRest, kind: str, name: str, permission: str) -> None:
    rest.forbid(kind)
    with pytest.raises(CredentialsRejected, match=permission):
        fetch(rest, event(name))


def test_a_wrong_key_is_a_matter_of_configuration(rest: StripeRest) -> None:
    with pytest.raises(CredentialsRejected, match="401") as refusal:
        enrich(Payload(event("customer.subscription.created")), rest.api(key="rk_test_other"))
    assert "rk_test_other" not in str(refusal.value)


@pytest.mark.parametrize("status", [409, 429, 500, 503])
def test_what_passes_by_itself_is_tried_again(rest: StripeRest, status: int) -> None:
    rest.refuse_next(status)
    with pytest.raises(TransientRemoteError):
        fetch(rest, event("customer.subscription.created"))
    assert fetch(rest, event("customer.subscription.created"))["subscriptions"]


def test_a_wrong_address_is_not_taken_for_a_missing_object(rest: StripeRest) -> None:
    api = StripeApi(username="", password=KEY, base_url=f"{rest.base_url}/elsewhere")
    with pytest.raises(PermanentRemoteError, match="404"):
        enrich(Payload(event("customer.subscription.created")), api)


def test_a_failure_names_neither_the_key_nor_an_id_that_opens_an_order_page(rest: StripeRest) -> None:
    missing = {"error": {"code": "odd", "message": f"No such checkout.session: '{SUB_SESSION}' for {KEY}"}}
    rest.refuse_next(400, body=missing)
    with pytest.raises(PermanentRemoteError) as refusal:
        fetch(rest, event("checkout.session.completed--subscription"))
    assert SUB_SESSION not in str(refusal.value)
    assert KEY not in str(refusal.value)
    assert "/v1/checkout/sessions/{id}/line_items" in str(refusal.value)
    assert refusal.value.request_id == "req_stub1"


def test_an_unreadable_event_fails_as_its_translator_would(rest: StripeRest) -> None:
    with pytest.raises(MalformedPayload, match=r"data\.object\.id"):
        fetch(rest, updated("customer.subscription.created", id=None))


@pytest.fixture
def answering() -> Iterator[Any]:
    """A function that gives an API whose every answer has this body."""
    servers: list[HttpServer] = []

    def api(body: bytes) -> StripeApi:
        server = HttpServer(application=lambda request: Reply(status=200, body=body))
        servers.append(server)
        url = f"http://127.0.0.1:{server.start(host='127.0.0.1', port=0)}"
        return StripeApi(username="", password=KEY, base_url=url)

    yield api
    for server in servers:
        server.stop()


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"data": 7}', b'{"data": [7]}', b'{"data": [{"object": "item"}]}'])
@pytest.mark.parametrize("name", ["checkout.session.completed--payment-paid", "charge.refunded--full"])
def test_an_odd_answer_is_the_fault_of_the_answer_not_of_the_event(answering: Any, name: str, body: bytes) -> None:
    with pytest.raises(TransientRemoteError, match="unreadable"):
        enrich(Payload(event(name)), answering(body))


ENTRIES = st.fixed_dictionaries(
    {"id": st.sampled_from(["x_1", "x_2", "", None, 7])},
    optional={"invoice": JSON, "payment": st.one_of(JSON, st.fixed_dictionaries({"payment_intent": JSON}))},
)
ANSWERS = JSON | st.fixed_dictionaries(
    {"data": st.lists(ENTRIES, max_size=3) | JSON, "has_more": st.booleans() | JSON},
    optional={"items": st.fixed_dictionaries({"data": st.lists(ENTRIES) | JSON, "has_more": st.booleans() | JSON})},
)


@pytest.mark.parametrize(
    "name",
    [
        "checkout.session.completed--subscription",
        "invoice.paid--subscription_create",
        "invoice.paid--manual-from-checkout",
        "customer.subscription.updated--renewal",
        "charge.refunded--full",
    ],
)
@GARBAGE
@given(answer=ANSWERS)
def test_whatever_stripe_answers_the_event_is_not_at_fault(name: str, answer: object) -> None:
    with contextlib.suppress(RemoteError):
        json.dumps(enrich(Payload(event(name)), Garbler(answer)), allow_nan=False).encode()


def test_an_object_that_is_none_is_the_fault_of_the_answer(answering: Any) -> None:
    with pytest.raises(TransientRemoteError, match="not an object"):
        enrich(Payload(event("customer.subscription.created")), answering(b"[]"))


def test_a_list_that_never_ends_is_left(answering: Any) -> None:
    api = answering(b'{"data": [{"id": "li_1"}], "has_more": true}')
    fetched: Any = enrich(Payload(event("checkout.session.completed--multi-quantity")), api)
    assert len(fetched["sessions"][CART]["line_items"]) == 2


def test_an_answer_is_kept_in_a_form_the_database_takes(rest: StripeRest) -> None:
    rest.change("subscriptions", SUB, description="A\x00\ud83d", odd=float("inf"))
    fetched = fetch(rest, event("customer.subscription.created"))["subscriptions"][SUB]
    assert (fetched["description"], fetched["odd"]) == ("A?", None)


# The API


def test_every_call_carries_the_key_and_the_version() -> None:
    requests: list[HttpRequest] = []
    server = HttpServer(application=lambda request: requests.append(request) or Reply(status=200, body=b"{}"))
    url = f"http://127.0.0.1:{server.start(host='127.0.0.1', port=0)}"
    StripeApi(username="", password="rk_test_1", base_url=url).get("/v1/prices/{id}", ids={"id": "price_1"})
    server.stop()
    (request,) = requests
    assert (request.method, request.path) == ("GET", "/v1/prices/price_1")
    assert request.headers["authorization"] == "Bearer rk_test_1"
    assert request.headers["stripe-version"] == API_VERSION == "2026-10-28.endive"


def test_without_an_address_it_is_the_public_one() -> None:
    assert StripeApi(username="", password="rk_test_1", base_url="").base_url == "https://api.stripe.com"


# The stub itself: what it refuses would be refused by Stripe


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/v1/subscriptions/{id}", {"expand": "customer"}),
        ("/v1/subscriptions/{id}", {"expand[]": ["latest_invoice"]}),
        ("/v1/subscription_items", {}),
        ("/v1/events", {"types[]": [f"t{number}" for number in range(21)]}),
        ("/v1/events", {"types[]": ["a"], "type": "b"}),
        ("/v1/events", {"limit": 101}),
        ("/v1/invoice_payments", {}),
    ],
)
def test_the_stub_refuses_a_query_it_does_not_know(rest: StripeRest, path: str, params: Json) -> None:
    with pytest.raises(PermanentRemoteError, match="400"):
        rest.api().get(path, ids={"id": SUB}, params=params)
