"""The page that shows a buyer the keys of an order, over HTTP: what it says, and to whom."""

from __future__ import annotations

import io
import json
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from django.core.cache import caches
from django.core.management import CommandError, call_command
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from pytest_django import Settings

from licensing_integration.api import throttles
from licensing_integration.api.order_page import PAUSES
from licensing_integration.logs import redact
from licensing_integration.models import LicenseLink
from licensing_integration.services.order_access import token_for
from licensing_integration.stores import registry
from tests.factories import LicenseLinkFactory, PurchaseFactory, PurchaseItemFactory
from tests.services.conftest import ATTRIBUTES, AVA, only_link
from tests.services.scenario import photon_order

SECRET = "a-secret-for-order-pages-of-the-tests"
SESSION = "cs_live_a1dzCCTlRGcGmbfV1FYAGBJCTwer8vrkIXhlFaUSLzgkh6iPCWusxnzFKi"
SUPPORT = "help@acme.example"


@pytest.fixture(autouse=True)
def _configured(settings: Settings) -> Iterator[None]:
    settings.ORDER_PAGE_SECRET = (SECRET,)
    settings.ORDER_PAGE_SUPPORT = SUPPORT
    caches["order_page"].clear()
    yield
    caches["order_page"].clear()


@pytest.fixture
def secretive(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """The store ``pay``, whose Checkout sessions are secrets."""
    adapter = replace(registry.ADAPTERS["fastspring"], is_secret_reference=lambda text: text.startswith("cs_live_"))
    monkeypatch.setattr(registry, "ADAPTERS", {**registry.ADAPTERS, "secretive": adapter})
    settings.STORES = [*settings.STORES, {"name": "pay", "adapter": "secretive"}]


@pytest.fixture
def sold(shop, deliver, cryptlex) -> str:
    """The id of an order whose license was issued."""
    order = photon_order(shop)
    deliver(order)
    return order["data"]["id"]


def _address(reference: str, *, store: str = "fastspring", **query: object) -> str:
    given = {"token": token_for(store, reference), **query}
    return f"/orders/{store}/{quote(reference, safe='')}/?" + "&".join(
        f"{name}={quote(str(value), safe='')}" for name, value in given.items() if value is not None
    )


def _without_nonce(response: HttpResponse) -> tuple[str, dict[str, str]]:
    """A response with what differs every time taken out."""
    hidden = [re.sub(r"nonce[-=][\"\w-]+", "nonce", text) for text in (_text(response), str(dict(response.items())))]
    return hidden[0], {"headers": hidden[1]}


def _text(response: HttpResponse) -> str:
    return response.content.decode()


class _Refresh(HTMLParser):
    """Where and when a page looks again."""

    found: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "meta" and given.get("http-equiv") == "refresh":
            self.found = given["content"]


def _refresh(response: HttpResponse) -> tuple[int, str] | None:
    parser = _Refresh()
    parser.feed(_text(response))
    seconds, _, address = (parser.found or "").partition(";url=")
    return (int(seconds), address) if parser.found else None


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_page_shows_the_key(client: Client, sold: str):
    response = client.get(_address(sold))
    assert response.status_code == 200
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert only_link().key in _text(response)
    assert "Your license is ready" in _text(response)
    assert _refresh(response) is None


def test_the_page_carries_the_shops_name_and_a_way_to_ask(client: Client, sold: str, settings: Settings):
    settings.ORDER_PAGE_NAME = "Acme <Tools> & Co"
    text = _text(client.get(_address(sold)))
    assert "Acme &lt;Tools&gt; &amp; Co" in text
    assert f'href="mailto:{SUPPORT}"' in text


@pytest.mark.parametrize(
    ("support", "link"),
    [("https://acme.example/help?a=1&b=2", "https://acme.example/help?a=1&amp;b=2"), ("javascript:alert(1)", None)],
)
def test_only_mail_and_web_addresses_become_links(client: Client, sold: str, settings: Settings, support, link):
    settings.ORDER_PAGE_SUPPORT = support
    found = re.search(r'<footer>.*?href="([^"]*)"', _text(client.get(_address(sold))))
    assert (found[1] if found else None) == link


def test_several_keys_can_be_copied_at_once(client: Client, shop, deliver, cryptlex):
    order = photon_order(shop, quantity=3)
    deliver(order)
    text = _text(client.get(_address(order["data"]["id"])))
    keys = list(LicenseLink.objects.order_by("unit").values_list("key", flat=True))
    assert "\n".join(keys) in text
    assert "Your licenses are ready" in text
    assert "2 of 3" in text


@pytest.mark.django_db
def test_without_a_key_there_is_nothing_to_copy(client: Client):
    text = _text(client.get(_address("unheard-of")))
    assert "being prepared" in text
    assert "<textarea" not in text


@pytest.mark.django_db
def test_a_product_name_cannot_put_anything_into_the_page(client: Client):
    attack = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
    purchase = PurchaseFactory(external_id="ORDER")
    item = PurchaseItemFactory(purchase=purchase, display=attack, product=attack)
    LicenseLinkFactory(item=item, key="</textarea><script>alert(3)</script>")
    text = _text(client.get(_address("ORDER")))
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert client.get(_address("ORDER", format="json")).json()["licenses"][0]["product"] == attack


@pytest.mark.django_db
def test_what_stands_in_the_address_cannot_put_anything_into_the_page(client: Client, secretive: None):
    reference = 'cs_live_"><script>'
    for look in ('"><script>', "-1", "１", "9" * 400, "1e3", "\x00"):
        address = f"/orders/pay/{quote(reference)}/?look={quote(look)}&token={quote(chr(34) + '><script>')}"
        response = client.get(address)
        assert response.status_code == 200
        assert "<script" not in _text(response)
        assert _refresh(response)[0] == PAUSES[0 if look != "1" else 1]


# --- looking again ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_page_looks_again_ever_more_slowly_and_then_stops(client: Client):
    address, pauses = _address("unheard-of"), []
    while refresh := _refresh(client.get(address)):
        assert refresh[1].startswith("?")
        pauses.append(refresh[0])
        address = address.partition("?")[0] + refresh[1]
        caches["order_page"].clear()
    assert pauses == sorted(pauses)
    assert 9 * 60 <= sum(pauses) <= 11 * 60
    text = _text(client.get(address))
    assert "stopped looking" in text
    assert 'look=0">Look again</a>' in text
    assert SUPPORT in text


def test_the_page_finds_the_key_when_it_looks_again(client: Client, shop, post, work, cryptlex):
    order = photon_order(shop)
    address = _address(order["data"]["id"])
    refresh = _refresh(client.get(address))
    post(order)
    work()
    response = client.get(address.partition("?")[0] + refresh[1])
    assert only_link().key in _text(response)
    assert _refresh(response) is None


@pytest.mark.django_db
def test_a_secret_reference_is_looked_at_again_without_a_token(client: Client, secretive: None):
    assert _refresh(client.get(f"/orders/pay/{SESSION}/")) == (PAUSES[0], "?look=1")


# --- for programs ----------------------------------------------------------------------------------------------------


def test_json_says_the_same(client: Client, sold: str):
    link = only_link()
    by_query = client.get(_address(sold, format="json"))
    by_header = client.get(_address(sold), headers={"Accept": "application/json"})
    assert by_query.json() == by_header.json()
    assert by_query.json() == {
        "state": "ready",
        "message": "Your license is ready. Thank you for your order.",
        "support": SUPPORT,
        "retry_after": None,
        "are_keys_hidden": False,
        "licenses": [
            {
                "product": "Photon",
                "unit": 1,
                "units": 1,
                "state": "ready",
                "message": "Ready to use",
                "key": link.key,
                "valid_until": link.expires_at and link.expires_at.isoformat().replace("+00:00", "Z"),
            }
        ],
    }
    assert by_query["Content-Type"] == "application/json"


@pytest.mark.django_db
def test_json_says_when_to_ask_again(client: Client):
    body = client.get(_address("unheard-of", format="json")).json()
    assert (body["state"], body["retry_after"], body["licenses"]) == ("preparing", PAUSES[0], [])


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("accept", "is_json"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),
        ("*/*", False),
        ("", False),
        ("image/png", False),
        ("application/json;q=0.1, text/html", False),
        ("application/json, text/plain, */*", True),
        ("nonsense;;;/", False),
    ],
)
def test_a_browser_gets_the_page_and_a_program_json(client: Client, accept: str, is_json: bool):
    response = client.get(_address("unheard-of"), headers={"Accept": accept})
    assert response.status_code == 200
    assert (response["Content-Type"] == "application/json") is is_json
    assert response["Vary"] == "Accept"


def test_errors_have_a_json_form(client: Client, settings: Settings):
    body = client.get("/orders/fastspring/x/?format=json").json()
    assert (body["state"], body["support"]) == ("not_found", SUPPORT)


# --- to whom ---------------------------------------------------------------------------------------------------------


def test_without_the_right_token_an_order_looks_like_none(client: Client, sold: str):
    caches["order_page"].clear()
    key, responses = only_link().key, []
    for reference in (sold, "no-such-order"):
        for token in (None, "", "0" * 64, token_for("fastspring", "another")):
            response = client.get(_address(reference, token=token))
            assert response.status_code == 404
            assert key not in _text(response)
            assert reference not in _text(response)
            responses.append(_without_nonce(response))
    assert all(response == responses[0] for response in responses)


def test_a_token_opens_one_order_of_one_store(client: Client, sold: str, settings: Settings):
    settings.STORES = [*settings.STORES, {**settings.STORES[0], "name": "other"}]
    token = token_for("fastspring", sold)
    assert client.get(_address("another", token=token)).status_code == 404
    assert client.get(_address(sold, store="other", token=token)).status_code == 404
    elsewhere = client.get(_address(sold, store="other"))
    assert elsewhere.status_code == 200
    assert only_link().key not in _text(elsewhere)


def test_neither_guessed_ids_nor_what_buyers_know_open_anything(client: Client, sold: str, secretive: None):
    link = only_link()
    guesses = [
        str(link.pk),
        str(link.purchase_id),
        link.purchase.reference,
        AVA.email,
        link.key,
        "*",
        "%",
        "' OR 1=1--",
    ]
    for guess in guesses:
        for store in ("fastspring", "pay"):
            assert client.get(f"/orders/{store}/{quote(guess, safe='')}/").status_code == 404
    assert client.get(f"/orders/pay/{SESSION}/").status_code == 200  # unheard of, and so it says
    assert link.key not in _text(client.get(f"/orders/pay/{SESSION}/"))


@pytest.mark.django_db
def test_a_secret_reference_opens_its_own_order(client: Client, secretive: None):
    mine = LicenseLinkFactory(item__purchase__store="pay", item__purchase__external_id=SESSION)
    other = LicenseLinkFactory(item__purchase__store="pay", item__purchase__external_id=SESSION[:-1] + "x")
    text = _text(client.get(f"/orders/pay/{SESSION}/"))
    assert mine.key in text
    assert other.key not in text


def test_switched_off_there_are_no_pages(client: Client, sold: str, secretive: None, settings: Settings):
    settings.ORDER_PAGES = False
    assert client.get(_address(sold)).status_code == 404
    assert client.get(f"/orders/pay/{SESSION}/").status_code == 404


def test_without_a_secret_no_token_opens_a_page(client: Client, sold: str, settings: Settings):
    address = _address(sold)
    settings.ORDER_PAGE_SECRET = ()
    assert client.get(address).status_code == 404


@pytest.mark.parametrize("store", ["nobody", "FASTSPRING", "%00", "ü", "a%2Fb"])
def test_an_unknown_store_has_no_pages(client: Client, store: str):
    assert client.get(f"/orders/{store}/x/").status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize(
    "reference",
    [
        "\x00",
        "a\x00b",
        "\n",
        "ü" * 300,
        "Ω",
        "\U0001f511",
        "x" * 5_000,
        "..",
        "%2e%2e",
        "\u202e",
        "'; DROP TABLE x",
        "{}",
    ],
)
def test_whatever_stands_in_the_address_is_no_fault_of_ours(client: Client, secretive: None, reference: str):
    for store, prefix in (("fastspring", ""), ("pay", ""), ("pay", "cs_live_")):
        for query in ("", "?token=\x00", "?token=%ff%fe", "?token=" + "a" * 9_000, "?format=xml", "?look=%00"):
            response = client.get(f"/orders/{store}/{quote(prefix + reference, safe='')}/{query}")
            assert response.status_code in {200, 404}
        caches["order_page"].clear()
    assert client.get(b"/orders/pay/cs_live_\xff\xfe/".decode("latin-1")).status_code in {200, 404}


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options", "trace"])
def test_the_page_can_only_be_read(client: Client, method: str):
    response = getattr(client, method)("/orders/fastspring/x/")
    assert response.status_code == 405
    assert {name.strip() for name in response["Allow"].split(",")} == {"GET", "HEAD"}


def test_head_answers_without_a_body(client: Client, sold: str):
    response = client.head(_address(sold))
    assert (response.status_code, response.content) == (200, b"")


# --- what surrounds it -----------------------------------------------------------------------------------------------


def _all_kinds(client: Client, reference: str, settings: Settings) -> Iterator[HttpResponse]:
    yield client.get(_address(reference))
    yield client.get(_address(reference, format="json"))
    yield client.get("/orders/fastspring/x/")
    yield client.post("/orders/fastspring/x/")
    settings.ORDER_PAGE_RATE = "1/hour"
    yield client.get(_address(reference))


def test_nothing_is_kept_indexed_framed_or_told_to_other_sites(client: Client, sold: str, settings: Settings):
    responses = list(_all_kinds(client, sold, settings))
    assert [response.status_code for response in responses] == [200, 200, 404, 405, 429]
    for response in responses:
        assert response["Cache-Control"] == "no-store"
        assert response["Referrer-Policy"] == "no-referrer"
        assert "noindex" in response["X-Robots-Tag"]
        assert response["X-Frame-Options"] == "DENY"
        assert response["X-Content-Type-Options"] == "nosniff"
        policy = dict(part.strip().partition(" ")[::2] for part in response["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert not response.cookies
        assert "Cookie" not in response.get("Vary", "")


def test_the_page_brings_everything_with_it(client: Client, sold: str):
    response, again = client.get(_address(sold)), client.get(_address(sold))
    text = _text(response)
    nonces = [re.search(r'<style nonce="([\w-]{20,})">', _text(answer))[1] for answer in (response, again)]
    assert nonces[0] != nonces[1]
    assert f"style-src 'nonce-{nonces[0]}'" in response["Content-Security-Policy"]
    for outside in ("<script", "<link", "<img", "<iframe", "@import", "url(", "//", "style=", " on"):
        assert outside not in text.replace(" on hold", "").replace(" once", "").partition("<main>")[0], outside
    assert re.findall(r'(?:src|href)="(?!mailto:|\?)', text) == []


def test_no_log_line_holds_a_key_a_token_or_what_opens_a_page(
    client: Client, sold: str, secretive: None, settings: Settings, caplog: pytest.LogCaptureFixture
):
    key = only_link().key
    other = LicenseLinkFactory(item__purchase__store="pay", item__purchase__external_id=SESSION, key="KEY-OF-SESSION")
    caplog.set_level("DEBUG")
    caplog.clear()
    list(_all_kinds(client, sold, settings))
    settings.ORDER_PAGES = False
    client.get(f"/orders/pay/{SESSION}/?token=0")
    assert "/orders/pay/" in caplog.text
    written = redact(caplog.text)
    for secret in (SESSION, sold, token_for("fastspring", sold), key, other.key):
        assert secret not in written


def test_while_the_database_is_away_the_page_says_so(transactional_db: None, client: Client):
    host = connection.settings_dict["HOST"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        connection.close()
        connection.settings_dict.update(HOST="127.0.0.1", PORT=str(taken.getsockname()[1]))
        try:
            response = client.get(_address("some-order"))
        finally:
            connection.close()
            connection.settings_dict.update(HOST=host, PORT="")
    assert response.status_code == 503
    assert response["Retry-After"] == "30"
    assert "try again" in _text(response)
    assert client.get(_address("some-order")).status_code == 200


@pytest.mark.django_db
def test_a_page_takes_three_queries(client: Client, django_assert_num_queries):
    LicenseLinkFactory(item__purchase__external_id="ORDER")
    with django_assert_num_queries(3):
        client.get(_address("ORDER"))


def test_a_stranger_costs_no_query(client: Client):
    """No database mark: a query would fail."""
    assert client.get("/orders/fastspring/x/").status_code == 404


# --- how often -------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The throttles' time, in seconds; put another in its place to move it."""
    now = [1_000_000.0]
    for throttle in (throttles.AddressThrottle, throttles.ReferenceThrottle):
        monkeypatch.setattr(throttle, "timer", staticmethod(lambda: now[0]))
    return now


@pytest.fixture
def _three_a_minute(settings: Settings) -> None:
    settings.ORDER_PAGE_RATE = "3/min"
    settings.TRUST_FORWARDED_FOR = False


def _statuses(client: Client, count: int, address: str = "/orders/fastspring/x/", **more: str) -> list[int]:
    return [client.get(address, **more).status_code for _ in range(count)]


@pytest.mark.usefixtures("_three_a_minute")
def test_who_asks_too_often_is_told_when_to_come_back(client: Client, clock: list[float]):
    assert _statuses(client, 3) == [404, 404, 404]
    clock[0] += 20
    response = client.get("/orders/fastspring/x/")
    assert response.status_code == 429
    assert 1 <= int(response["Retry-After"]) <= 40
    assert f"in {response['Retry-After']} seconds" in _text(response)
    assert client.get("/orders/fastspring/x/?format=json").json()["retry_after"] == int(response["Retry-After"])
    clock[0] += 41
    assert _statuses(client, 1) == [404]


@pytest.mark.usefixtures("_three_a_minute")
def test_addresses_are_counted_one_by_one(client: Client):
    assert _statuses(client, 4, REMOTE_ADDR="192.0.2.1")[-1] == 429
    assert _statuses(client, 3, REMOTE_ADDR="192.0.2.2") == [404] * 3


@pytest.mark.usefixtures("_three_a_minute")
def test_a_subscribers_ipv6_addresses_count_as_one(client: Client):
    assert _statuses(client, 3, REMOTE_ADDR="2001:db8:0:1::1") == [404] * 3
    assert _statuses(client, 1, REMOTE_ADDR="2001:db8:0:1:ffff::2") == [429]
    assert _statuses(client, 1, REMOTE_ADDR="2001:db8:0:2::1") == [404]
    assert _statuses(client, 3, REMOTE_ADDR="::1") == [404] * 3
    assert _statuses(client, 3, REMOTE_ADDR="192.0.2.7") == [404] * 3
    assert _statuses(client, 1, REMOTE_ADDR="::ffff:192.0.2.7") == [429]
    assert _statuses(client, 1, REMOTE_ADDR="::ffff:192.0.2.8") == [404]


@pytest.mark.usefixtures("_three_a_minute")
def test_nobody_gets_a_new_limit_by_inventing_addresses(client: Client):
    forged = [client.get("/orders/fastspring/x/", headers={"X-Forwarded-For": f"192.0.2.{n}"}) for n in range(4)]
    assert [response.status_code for response in forged] == [404, 404, 404, 429]


@pytest.mark.usefixtures("_three_a_minute")
def test_behind_a_proxy_what_the_proxy_wrote_last_counts(client: Client, settings: Settings):
    settings.TRUST_FORWARDED_FOR = True
    forged = [
        client.get("/orders/fastspring/x/", headers={"X-Forwarded-For": f"203.0.113.{n}, 192.0.2.1"}) for n in range(4)
    ]
    assert [response.status_code for response in forged] == [404, 404, 404, 429]
    assert client.get("/orders/fastspring/x/", headers={"X-Forwarded-For": "192.0.2.2"}).status_code == 404


@pytest.mark.usefixtures("_three_a_minute")
@pytest.mark.parametrize("address", ["", "nonsense", "192.0.2.1:80", "fe80::1%eth0\x00", "x" * 9_000])
def test_an_address_that_cannot_be_read_is_limited_as_well(client: Client, settings: Settings, address: str):
    settings.TRUST_FORWARDED_FOR = True
    statuses = [
        client.get("/orders/fastspring/x/", headers={"X-Forwarded-For": address}, REMOTE_ADDR=address).status_code
        for _ in range(4)
    ]
    assert statuses == [404, 404, 404, 429]


@pytest.mark.django_db
@pytest.mark.usefixtures("_three_a_minute")
def test_a_link_that_went_round_is_limited_wherever_it_is_opened(client: Client):
    address = _address("ORDER")
    statuses = [client.get(address, REMOTE_ADDR=f"192.0.2.{n}").status_code for n in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert client.get(_address("ANOTHER"), REMOTE_ADDR="192.0.2.9").status_code == 200


@pytest.mark.django_db
@pytest.mark.usefixtures("_three_a_minute")
def test_strangers_cannot_use_up_a_buyers_limit(client: Client):
    for number in range(20):
        client.get(_address("ORDER", token="0" * 64), REMOTE_ADDR=f"192.0.2.{number}")
    assert client.get(_address("ORDER"), REMOTE_ADDR="198.51.100.1").status_code == 200


# --- manage.py order_link --------------------------------------------------------------------------------------------


def _link(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("order_link", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_prints_an_address_that_opens_the_page(client: Client, sold: str):
    out, err = _link("fastspring", "--", sold)
    assert out == _address(sold) + "\n"
    assert err == ""
    assert only_link().key in _text(client.get(out.strip()))


def test_the_command_puts_the_base_address_before_it(sold: str, settings: Settings):
    settings.ORDER_PAGE_BASE_URL = "https://licensing.example.com/"
    assert _link("fastspring", "--", sold)[0] == f"https://licensing.example.com{_address(sold)}\n"


@pytest.mark.django_db
def test_the_command_gives_a_secret_id_no_token_and_says_when_nobody_knows_it(secretive: None):
    out, err = _link("pay", SESSION)
    assert out == f"/orders/pay/{SESSION}/\n"
    assert "No order with this id" in err


@pytest.mark.parametrize(
    ("arguments", "changes", "says"),
    [
        (("nobody", "x"), {}, "There are: fastspring"),
        (("fastspring", "x"), {"ORDER_PAGE_SECRET": ()}, "Set ORDER_PAGE_SECRET"),
        (("fastspring", "x"), {"ORDER_PAGES": False}, "switched off"),
        (("fastspring", "a/b"), {}, "no /"),
        (("fastspring", ""), {}, "1 to 200"),
    ],
)
def test_the_command_says_why_there_is_no_address(settings: Settings, arguments, changes, says):
    for name, value in changes.items():
        setattr(settings, name, value)
    with pytest.raises(CommandError, match=says):
        _link(*arguments)


def test_the_json_of_a_view_holds_nothing_else(client: Client, sold: str):
    body = json.dumps(client.get(_address(sold, format="json")).json())
    link = only_link()
    for inside in (AVA.email.lower(), link.external_id, link.reference, sold, ATTRIBUTES["cryptlex_product_id"]):
        assert inside not in body
