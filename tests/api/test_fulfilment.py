"""The endpoint that stores ask for keys, over HTTP: its answers, many at once, and a worker or license server away."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import islice
from urllib.parse import urlencode

import pytest
import requests
from django.db import connection
from django.test import Client

from licensing_integration import tasks
from licensing_integration.models import HistoryEntry, LicenseLink, Purchase, RejectedDelivery, WebhookEvent
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.fastspring import Buyer, Event, FastSpringShop, delivery, sign
from licensing_integration.sandbox.fastspring_fulfilment import CONTENT_TYPE, key_request, show_keys
from tests.services.conftest import SECRET, _next_job
from tests.services.scenario import map_product, try_again

PRIVATE_KEY = "0123456789abcdef0123456789abcdef"
ADDRESS = "/fulfilment/fastspring/"
AVA = Buyer(email="ava.lindqvist@example.com")
NOT_READY = b"The license key is not ready. Please try again."
CREATE = {"method": "POST", "path": "/v3/licenses"}


@pytest.fixture(autouse=True)
def _gives_out_keys(settings) -> None:
    settings.STORES = [{**settings.STORES[0], "fulfilment_keys": (PRIVATE_KEY,)}]
    settings.FULFILMENT_WAIT_SECONDS = 0


@pytest.fixture
def order(shop: FastSpringShop) -> Event:
    return shop.buy(AVA, "photon", quantity=3)


def _form(order: Event, **options: str) -> str:
    return key_request(order, **{"private_key": PRIVATE_KEY, **options})


def _post(client: Client, order: Event, **options: str):
    return client.post(ADDRESS, data=_form(order, **options), content_type=CONTENT_TYPE)


# --- its answers -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["post", "get"])
def test_the_keys_are_the_whole_answer(client, order, work, cryptlex, method):
    map_product("photon")
    _post(client, order)
    work()
    answer = _post(client, order) if method == "post" else client.get(f"{ADDRESS}?{_form(order)}")
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert answer["Cache-Control"] == "no-store"
    links = LicenseLink.objects.order_by("unit")
    assert answer.content.decode() == "\n".join(link.key for link in links)
    assert links.count() == 3


@pytest.mark.django_db
def test_keys_that_are_not_ready_are_answered_with_503(client, order):
    answer = _post(client, order)
    assert (answer.status_code, answer.content) == (503, NOT_READY)
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.django_db
def test_a_wrong_hash_is_answered_with_403_and_counted(client, order, settings):
    name = f"store-{secrets.token_hex(4)}"  # this process remembers when it wrote about a store last
    settings.STORES = [{**settings.STORES[0], "name": name}]
    form = _form(order, private_key="another")
    assert client.post(f"/fulfilment/{name}/", data=form, content_type=CONTENT_TYPE).status_code == 403
    assert not WebhookEvent.objects.exists()
    assert RejectedDelivery.objects.get().reason == "wrong_hash"


@pytest.mark.django_db
@pytest.mark.parametrize("body", ["quantity=1&quantity=1", "name=%FF", "&".join(f"p{n}=1" for n in range(200))])
def test_what_cannot_be_read_is_answered_with_400(client, body):
    answer = client.post(ADDRESS, data=body, content_type=CONTENT_TYPE)
    assert (answer.status_code, answer.content) == (400, b"The request cannot be read.")


@pytest.mark.django_db
def test_a_request_that_lacks_something_is_answered_with_400(client, order):
    assert _post(client, order, quantity="").status_code == 400
    assert not WebhookEvent.objects.exists()


@pytest.mark.django_db
def test_another_kind_of_body_is_answered_with_400(client, order):
    assert client.post(ADDRESS, data=_form(order), content_type="application/json").status_code == 400


@pytest.mark.django_db
def test_an_unknown_store_is_answered_with_404(client, order):
    answer = client.post("/fulfilment/nobody/", data=_form(order), content_type=CONTENT_TYPE)
    assert answer.status_code == 404


@pytest.mark.django_db
def test_a_store_without_private_keys_is_answered_with_503_and_not_counted(client, order, settings):
    settings.STORES = [{**settings.STORES[0], "fulfilment_keys": ()}]
    assert _post(client, order).status_code == 503
    assert not RejectedDelivery.objects.exists()


@pytest.mark.django_db
def test_a_body_above_the_limit_is_answered_with_413(client, order, settings):
    settings.WEBHOOK_MAX_BYTES = 100
    assert _post(client, order).status_code == 413
    assert client.get(f"{ADDRESS}?{_form(order)}").status_code == 413


@pytest.mark.parametrize("method", ["head", "put", "patch", "delete", "options"])
def test_other_methods_are_answered_with_405(client, method):
    assert getattr(client, method)(ADDRESS).status_code == 405


@pytest.mark.django_db
def test_no_csrf_token_is_asked_for(order):
    assert _post(Client(enforce_csrf_checks=True), order).status_code == 503


@pytest.mark.django_db
def test_no_answer_and_no_line_of_the_log_tells_a_secret(client, order, work, cryptlex, caplog):
    caplog.set_level("DEBUG", logger="licensing_integration")
    map_product("photon")
    answers = [_post(client, order, private_key="another"), _post(client, order, quantity="?"), _post(client, order)]
    work()
    _post(client, order)
    told = caplog.text + "".join(answer.content.decode() for answer in answers)
    hashed = _form(order).rpartition("=")[2]
    keys = LicenseLink.objects.values_list("key", flat=True)
    for private in (*keys, PRIVATE_KEY, hashed, AVA.email, AVA.last, "another"):
        assert private not in told


# --- waiting ---------------------------------------------------------------------------------------------------------


@contextmanager
def _workers(count: int = 2) -> Iterator[None]:
    """Workers in threads of their own, each with its own connection."""
    stop = threading.Event()
    functions = {
        task.name: task.func for task in (tasks.process_events_task, tasks.apply_links_task, tasks.plan_purchases_task)
    }

    def _run() -> None:
        try:
            while not stop.is_set():
                if job := _next_job():
                    functions[job[0]](**job[1])
                else:
                    stop.wait(0.005)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        running = [pool.submit(_run) for _ in range(count)]
        try:
            yield
        finally:
            stop.set()
    for worker in running:
        worker.result()


@pytest.fixture
def server(live_server, transactional_db: None, settings, cryptlex: CryptlexSandbox) -> str:
    """The address of the endpoint in a server of its own, which waits for keys."""
    map_product("photon")
    settings.FULFILMENT_WAIT_SECONDS = 20
    settings.FULFILMENT_MAX_WAITING = 50
    return f"{live_server.url}{ADDRESS}"


def _ask(address: str, order: Event, **options: str) -> requests.Response:
    headers = {"Content-Type": CONTENT_TYPE}
    return requests.post(address, data=_form(order, **options).encode(), headers=headers, timeout=30)


def _deliver(address: str, order: Event) -> int:
    """The status with which the order's own webhook is answered."""
    body = delivery(order)
    headers = {"X-FS-Signature": sign(body, secret=SECRET), "Content-Type": "application/json"}
    return requests.post(
        address.replace("/fulfilment/", "/webhooks/"), data=body, headers=headers, timeout=30
    ).status_code


def _keys(box: CryptlexSandbox) -> list[str]:
    return sorted(license["key"] for license in box.licenses)


@pytest.mark.slow
def test_fifty_requests_at_once_get_the_same_keys_of_one_set_of_licenses(server, order, cryptlex):
    with _workers(3), ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: _ask(server, order), range(50)))
    assert {answer.status_code for answer in answers} == {200}
    (text,) = {answer.text for answer in answers}
    assert sorted(text.split("\n")) == _keys(cryptlex)
    assert len(_keys(cryptlex)) == 3
    assert WebhookEvent.objects.get().deliveries == 50


@pytest.mark.slow
def test_requests_and_order_at_once_make_one_set_of_licenses(server, order, cryptlex):
    """Whatever the store does by itself, it does not complete an order before it has its keys; people resend things."""
    with _workers(4), ThreadPoolExecutor(20) as pool:
        deliveries = pool.map(lambda _: _deliver(server, order), range(10))
        answers = list(pool.map(lambda _: _ask(server, order), range(10)))
        assert set(deliveries) == {200}
    assert {tuple(sorted(answer.text.split("\n"))) for answer in answers} == {tuple(_keys(cryptlex))}
    assert len(_keys(cryptlex)) == 3
    assert Purchase.objects.get().status == "completed"


@pytest.mark.slow
def test_of_many_requests_a_few_wait_and_the_others_are_answered_at_once(server, order, shop, cryptlex, settings):
    """Nothing is lost for those: the licenses are made, and whoever asks again gets the same keys."""
    settings.FULFILMENT_MAX_WAITING = 2
    other = shop.buy(AVA, "photon")
    with _workers():
        ready = _ask(server, other).text
    with ThreadPoolExecutor(6) as pool:
        everybody = [pool.submit(_ask, server, order) for _ in range(6)]
        early = [future.result() for future in islice(as_completed(everybody, timeout=15), 4)]
        assert {(answer.status_code, answer.content) for answer in early} == {(503, NOT_READY)}
        assert _deliver(server, shop.buy(AVA, "photon")) == 200
        assert _ask(server, other).text == ready  # what is there needs no place
        assert sum(not future.done() for future in everybody) == 2
        with _workers():
            told = {future.result().text for future in everybody} - {NOT_READY.decode()}
            told.add(_ask(server, order).text)
    (text,) = told
    assert WebhookEvent.objects.get(event_type="fulfilment.requested", body__contains='"3"').deliveries == 7
    links = LicenseLink.objects.filter(purchase__reference=order["data"]["reference"])
    assert text.split("\n") == [link.key for link in links.order_by("unit")]
    assert len(_keys(cryptlex)) == 3 + 1 + 1


@pytest.mark.slow
def test_a_slow_license_server_costs_the_answer_but_not_the_keys(server, order, cryptlex, settings):
    settings.FULFILMENT_WAIT_SECONDS = 0.3
    cryptlex.faults.add(**CREATE, kind="delay", seconds=1.0)
    with _workers(1):
        with ThreadPoolExecutor(8) as pool:
            early = list(pool.map(lambda _: _ask(server, order), range(8)))
        assert {(answer.status_code, answer.content) for answer in early} == {(503, NOT_READY)}
        settings.FULFILMENT_WAIT_SECONDS = 20
        late = _ask(server, order)
    assert sorted(late.text.split("\n")) == _keys(cryptlex)
    assert len(_keys(cryptlex)) == 3
    assert HistoryEntry.objects.filter(sentence__contains="not ready within 0.3 seconds").count() == 1


@pytest.mark.slow
def test_without_a_worker_there_is_no_key_in_time_and_the_same_one_afterwards(
    server, order, cryptlex, settings, work: Callable[[], int]
):
    settings.FULFILMENT_WAIT_SECONDS = 0.2
    assert [_ask(server, order).status_code for _ in range(3)] == [503] * 3
    assert not cryptlex.licenses
    work()
    assert sorted(_ask(server, order).text.split("\n")) == _keys(cryptlex)


@pytest.mark.slow
def test_a_lost_answer_of_the_license_server_makes_no_second_license(
    server, order, cryptlex, settings, work: Callable[[], int]
):
    cryptlex.faults.add(**CREATE, kind="commit_then_drop")
    settings.FULFILMENT_WAIT_SECONDS = 0.3
    with _workers(2):
        assert _ask(server, order).status_code == 503
    try_again(work)
    answer = _ask(server, order)
    assert sorted(answer.text.split("\n")) == _keys(cryptlex)
    assert len(_keys(cryptlex)) == 3


@pytest.mark.slow
def test_the_order_recognises_the_keys_that_were_waited_for(server, order, cryptlex, deliver):
    with _workers(2):
        keys = _ask(server, order).text.split("\n")
    deliver(show_keys(order, keys))
    assert _keys(cryptlex) == sorted(keys)
    assert Purchase.objects.get().attention == ""
    assert json.dumps(Purchase.objects.get().state).count(keys[0]) == 0


@pytest.mark.django_db
def test_an_address_of_more_than_latin_letters_is_refused_in_order(client):
    assert client.get(f"{ADDRESS}?{urlencode({'name': 'ü'})}").status_code == 403
    assert client.get(ADDRESS, QUERY_STRING="name=ü€").status_code in {400, 403}
