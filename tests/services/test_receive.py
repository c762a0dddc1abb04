"""receive: what a verified delivery leaves in the inbox and in the queue, and what an unverified one does not."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from licensing_integration import jobs
from licensing_integration.exceptions import DeliveryTooLarge, InvalidSignature, StoreDisabled, UnknownStore
from licensing_integration.models import LicenseLink, Purchase, PurchaseItem, WebhookEvent
from licensing_integration.sandbox.fastspring import delivery, resent, sign
from licensing_integration.services.receive import Receipt, receive
from tests.services.conftest import ATTRIBUTES, AVA, SECRET

NESTING = 10_000


@pytest.fixture
def post_bytes(db: None) -> Callable[[bytes], Receipt]:
    """Post a body as it is, rightly signed."""
    return lambda body: receive("fastspring", body=body, headers={"x-fs-signature": sign(body, secret=SECRET)})


def _waiting_jobs() -> list[tuple[str, dict[str, list[int]]]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT task_name, args::text FROM procrastinate_jobs WHERE status = 'todo' ORDER BY id")
        return [(name, json.loads(arguments)) for name, arguments in cursor.fetchall()]


def _states() -> list[str]:
    return list(WebhookEvent.objects.order_by("id").values_list("state", flat=True))


# --- who may deliver -------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("headers", [{}, {"x-fs-signature": ""}, {"x-fs-signature": "bm9wZQ=="}])
def test_a_delivery_nobody_signed_leaves_nothing(shop, headers):
    with pytest.raises(InvalidSignature):
        receive("fastspring", body=delivery(shop.buy(AVA, "photon")), headers=headers)
    assert _states() == []
    assert _waiting_jobs() == []


@pytest.mark.django_db
def test_the_signature_covers_every_byte(shop):
    body = delivery(shop.buy(AVA, "photon"))
    with pytest.raises(InvalidSignature):
        receive("fastspring", body=body + b" ", headers={"x-fs-signature": sign(body, secret=SECRET)})
    assert _states() == []


@pytest.mark.django_db
@pytest.mark.parametrize("secret", ["old-secret", "new-secret"])
def test_every_configured_secret_counts(shop, settings, secret):
    settings.STORES = [{**settings.STORES[0], "webhook_secrets": ("new-secret", "old-secret")}]
    body = delivery(shop.buy(AVA, "photon"))
    assert receive("fastspring", body=body, headers={"x-fs-signature": sign(body, secret=secret)}).new == 1


@pytest.mark.django_db
@pytest.mark.parametrize("secrets", [(), ("",), ("  ",)])
def test_a_store_without_a_secret_is_closed_even_to_deliveries_signed_with_nothing(shop, settings, secrets):
    settings.STORES = [{**settings.STORES[0], "webhook_secrets": secrets}]
    body = delivery(shop.buy(AVA, "photon"))
    with pytest.raises((StoreDisabled, InvalidSignature)):
        receive("fastspring", body=body, headers={"x-fs-signature": sign(body, secret=(secrets or ("",))[0])})
    assert _states() == []


@pytest.mark.django_db
def test_an_unknown_store_is_refused():
    with pytest.raises(UnknownStore):
        receive("nobody", body=b"{}", headers={})


@pytest.mark.django_db
def test_a_delivery_above_the_limit_is_refused(shop, settings):
    body = delivery(shop.buy(AVA, "photon"))
    headers = {"x-fs-signature": sign(body, secret=SECRET)}
    settings.WEBHOOK_MAX_BYTES = len(body) - 1
    with pytest.raises(DeliveryTooLarge):
        receive("fastspring", body=body, headers=headers)
    assert _states() == []
    settings.WEBHOOK_MAX_BYTES = len(body)
    assert receive("fastspring", body=body, headers=headers).new == 1


# --- what is stored --------------------------------------------------------------------------------------------------


def test_every_event_of_a_batch_is_stored_and_one_job_works_on_them(shop, post):
    orders = [shop.buy(AVA, f"product-{number}") for number in range(3)]
    assert post(*orders) == Receipt(events=3, new=3)
    rows = WebhookEvent.objects.order_by("id")
    assert [row.external_id for row in rows] == [order["id"] for order in orders]
    assert [json.loads(row.body) for row in rows] == orders
    assert _waiting_jobs() == [(jobs.PROCESS_EVENTS, {"event_ids": [row.pk for row in rows]})]


def test_a_redelivery_is_counted_and_wakes_nobody(shop, post):
    first, second = shop.buy(AVA, "photon"), shop.buy(AVA, "photon")
    post(first)
    assert post(first, second) == Receipt(events=2, new=1)
    assert dict(WebhookEvent.objects.values_list("external_id", "deliveries")) == {first["id"]: 2, second["id"]: 1}
    assert len(_waiting_jobs()) == 2
    post(first, second)
    assert len(_waiting_jobs()) == 2


def test_an_event_twice_in_one_delivery_is_one_event(shop, post):
    order = shop.buy(AVA, "photon")
    assert post(order, order) == Receipt(events=1, new=1)


def test_a_redelivery_does_not_touch_the_verdict(shop, post, deliver, cryptlex):
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    deliver(order)
    post(order)
    assert _states() == ["applied"]


def test_the_same_event_of_another_store_is_another_event(shop, post, settings):
    settings.STORES = [*settings.STORES, {**settings.STORES[0], "name": "eu"}]
    order = shop.buy(AVA, "photon")
    post(order)
    body = delivery(order)
    receive("eu", body=body, headers={"x-fs-signature": sign(body, secret=SECRET)})
    assert set(WebhookEvent.objects.values_list("store", flat=True)) == {"fastspring", "eu"}


def test_rows_and_job_disappear_together(shop, post):
    class Undo(Exception):
        """Somebody above us failed."""

    with pytest.raises(Undo), transaction.atomic():  # noqa: PT012 - the whole block is the transaction
        post(shop.buy(AVA, "photon"))
        raise Undo
    assert _states() == []
    assert _waiting_jobs() == []


# --- verdicts that need no work --------------------------------------------------------------------------------------


def test_ignored_and_unsupported_types_are_decided_without_a_job(shop, post):
    ignored = {**shop.buy(AVA, "photon"), "type": "payoutEntry.created"}
    unknown = {**resent(shop.buy(AVA, "photon")), "type": "subscription.group.updated"}
    post(ignored, unknown)
    assert _states() == ["ignored", "unsupported"]
    assert _waiting_jobs() == []


def test_test_events_are_held_without_a_job_where_the_store_says_so(shop, post, settings):
    settings.STORES = [{**settings.STORES[0], "test_events": "hold"}]
    shop.live = False
    post(shop.buy(AVA, "photon"))
    shop.live = True
    post(shop.buy(AVA, "photon"))
    assert _states() == ["held", "received"]
    assert len(_waiting_jobs()) == 1


# --- what cannot be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b"3",
        b"{}",
        b'{"events": null}',
        b'{"events": {}}',
        b'{"events": []}',
        b'{"events": [',
        b"[" * NESTING,
        b'{"events":' * NESTING,
        b"NaN",
    ],
    ids=lambda body: repr(body[:14]),
)
def test_a_verified_body_without_events_is_kept_as_malformed(post_bytes, body):
    assert post_bytes(body).new == 1
    (row,) = WebhookEvent.objects.all()
    assert row.state == "malformed"
    assert row.problem
    assert row.external_id.startswith("malformed:")
    assert _waiting_jobs() == []
    assert post_bytes(body).new == 0  # the same bytes again are a redelivery
    assert WebhookEvent.objects.get().deliveries == 2


GOOD = '{"id":"good","type":"order.completed","created":1767225600000,"live":true,"data":{"id":"o","items":[]}}'


@pytest.mark.parametrize(
    "broken",
    [
        "null",
        "[]",
        '"text"',
        "{}",
        '{"type":"order.completed","created":1767225600000,"data":{}}',
        '{"id":null,"type":"order.completed","created":1767225600000}',
        '{"id":"","type":"order.completed","created":1767225600000}',
        '{"id":"x","created":1767225600000}',
        '{"id":"x","type":null,"created":1767225600000}',
        '{"id":"x","type":["order.completed"],"created":1767225600000}',
        '{"id":"x","type":"order.completed"}',
        '{"id":"x","type":"order.completed","created":"yesterday"}',
        '{"id":"x","type":"order.completed","created":1e400}',
        '{"id":"x","type":"order.completed","created":1767225600000,"live":"perhaps"}',
        f'{{"id":"{"x" * 500}","type":"order.completed","created":1767225600000}}',
        '{"id":"x","type":"order.completed","created":1767225600000,"data":' + "[" * NESTING + "]" * NESTING + "}",
        '{"id":"x","type":"order.completed","created":1767225600000,"data":'
        + '{"a":' * NESTING
        + "1"
        + "}" * NESTING
        + "}",
        '{"id":"x","type":"order.completed","created":1767225600000,"data":{"a":NaN}}',
        '{"id":"x" "type":"order.completed"}',
    ],
    ids=lambda text: text[:60],
)
def test_an_unreadable_event_is_visible_and_holds_nobody_back(post_bytes, work, broken):
    assert post_bytes(f'{{"events":[{broken},{GOOD}]}}'.encode()).new == 2
    work()
    bad = WebhookEvent.objects.exclude(external_id="good").get()
    assert bad.state == "malformed"
    assert bad.problem
    assert WebhookEvent.objects.get(external_id="good").state == "applied"


@pytest.mark.parametrize("data", ["null", "[]", '"text"', "3", "{}", '{"id":null}', '{"id":["x"]}'])
@pytest.mark.parametrize(
    "event_type",
    ["order.completed", "order.canceled", "return.created", "chargeback.created", "fulfillment.failed"]
    + [f"subscription.{name}" for name in ("activated", "charge.completed", "charge.failed", "deactivated")],
)
def test_an_event_with_unreadable_data_ends_as_malformed(post_bytes, work, event_type, data):
    odd = f'{{"id":"x","type":"{event_type}","created":1767225600000,"live":true,"data":{data}}}'
    post_bytes(f'{{"events":[{odd},{GOOD}]}}'.encode())
    work()
    row = WebhookEvent.objects.get(external_id="x")
    assert row.state == "malformed"
    assert "data" in row.problem
    assert WebhookEvent.objects.get(external_id="good").state == "applied"
    assert not LicenseLink.objects.exists()


# --- odd, but readable -----------------------------------------------------------------------------------------------


def test_nul_characters_anywhere_are_stored_and_worked_on(shop, post, work, cryptlex):
    order = shop.buy(AVA, "photon", attributes={**ATTRIBUTES, "note\x00": "a\x00b"})
    order["data"]["customer"]["first"] = "A\x00va"
    order["data"]["reference"] = "ACM\x00-1"
    order["data"]["nothing\x00"] = ["\x00"]
    post(order)
    work()
    assert _states() == ["applied"]
    assert cryptlex.licenses[0]["user"]["firstName"] == "Ava"
    assert Purchase.objects.get().reference == "ACM-1"


@pytest.mark.parametrize("text", ["\\ud83d", "\\udc00 x", "x\\ud800\\ud800"])
def test_half_a_character_costs_nobody_the_license(shop, post_bytes, work, cryptlex, text):
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    order["data"]["customer"]["first"] = "HALF"
    post_bytes(delivery(order).replace(b"HALF", text.encode()))
    work()
    assert _states() == ["applied"]
    assert len(cryptlex.licenses) == 1


def test_numbers_and_flags_spelt_as_text_are_understood(shop, post, work, cryptlex):
    order = shop.buy(AVA, "photon", quantity=2, attributes=ATTRIBUTES)
    order["created"], order["live"] = str(order["created"]), "true"
    order["data"]["completed"] = "yes"
    order["data"]["items"][0] |= {"quantity": "2", "subtotal": "158.00"}
    post(order)
    work()
    assert _states() == ["applied"]
    assert len(cryptlex.licenses) == 2


@pytest.mark.parametrize("quantity", ["many", 1.5, None, -1, True, 10**12, [2]])
def test_a_quantity_that_is_none_is_malformed_and_not_guessed_at(shop, post, work, cryptlex, quantity):
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    order["data"]["items"][0]["quantity"] = quantity
    post(order, shop.buy(AVA, "photon", attributes=ATTRIBUTES))
    work()
    assert _states() == ["malformed", "applied"]
    assert "data.items[0].quantity" in WebhookEvent.objects.order_by("id")[0].problem
    assert len(cryptlex.licenses) == 1


def test_texts_longer_than_any_column_do_not_stop_the_sale(shop, post, work, cryptlex):
    order = shop.buy(AVA, "photon", attributes=ATTRIBUTES)
    long = "x" * 1_000
    order["data"]["customer"] |= {"email": f"{long}@example.com", "first": long}
    order["data"]["reference"] = long
    order["data"]["items"][0]["display"] = long
    post(order, shop.buy(AVA, "photon", attributes=ATTRIBUTES))
    work()
    assert _states() == ["applied", "applied"]
    assert len(cryptlex.licenses) == 2


def test_a_product_id_as_long_as_an_id_may_be_is_kept(shop, post, work, cryptlex):
    post(shop.buy(AVA, "p" * 200, attributes=ATTRIBUTES))
    work()
    assert _states() == ["applied"]
    assert PurchaseItem.objects.get().product == "p" * 200
    assert len(cryptlex.licenses) == 1


# --- headers ---------------------------------------------------------------------------------------------------------

SENT_BY = {"user-agent": "FastSpring/1", "content-type": "application/json; charset=UTF-8"}


@pytest.mark.django_db
def test_the_headers_that_matter_are_kept_with_every_event_of_the_delivery(shop):
    _, events = shop.subscribe(AVA, "studio", attributes=ATTRIBUTES)
    body = delivery(*events)
    signature = sign(body, secret=SECRET)
    headers = {"x-fs-signature": signature, "authorization": "Basic c2VjcmV0", "cookie": "a=b", **SENT_BY}
    receive("fastspring", body=body, headers=headers)
    assert list(WebhookEvent.objects.values_list("headers", flat=True)) == [SENT_BY] * len(events)


@pytest.mark.django_db
def test_headers_are_those_of_the_first_delivery(shop):
    body = delivery(shop.buy(AVA, "photon"))
    for agent in ("first", "second"):
        headers = {"x-fs-signature": sign(body, secret=SECRET), "user-agent": agent}
        receive("fastspring", body=body, headers=headers)
    assert WebhookEvent.objects.get().headers == {"user-agent": "first"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("value", "kept"),
    [("x" * 10_000, "x" * 200), ('"\\', '"\\'), ("a\x00b", "ab"), ("Zoë\ud800", "Zoë?"), ("", "")],
)
def test_no_header_keeps_a_delivery_from_being_stored(shop, value, kept):
    body = delivery(shop.buy(AVA, "photon"))
    receive("fastspring", body=body, headers={"x-fs-signature": sign(body, secret=SECRET), "user-agent": value})
    assert WebhookEvent.objects.get().headers == {"user-agent": kept}


@pytest.mark.django_db
def test_headers_cost_no_query(shop, django_assert_num_queries):
    body = delivery(shop.buy(AVA, "photon"))
    with django_assert_num_queries(1):
        receive("fastspring", body=body, headers={"x-fs-signature": sign(body, secret=SECRET), **SENT_BY})
