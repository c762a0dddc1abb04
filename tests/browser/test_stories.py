"""Ten days at the console, as the people who work there have them: what they look for, click, and end with.

Each tells how many clicks it takes. Typing, the Enter key and opening the start page are no clicks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from licensing_integration.sandbox.fastspring import Buyer, Event, FastSpringShop
from licensing_integration.sandbox.faults import FaultKind
from tests.browser.console import Console, Visit
from tests.faults.processes import wait_until

APP = "/admin/licensing_integration"
REASON = "The customer wrote to us."


@pytest.fixture
def shop() -> FastSpringShop:
    return FastSpringShop()


@pytest.fixture
def buyer() -> Buyer:
    """Somebody whom no other story knows."""
    return Buyer(email=f"{uuid4().hex[:10]}@example.com")


@pytest.fixture(scope="module")
def license_product(console: Console) -> str:
    """The id of a product on the license server."""
    return str(console.cryptlex.add_product(name="Photon 3")["id"])


@pytest.fixture
def product() -> str:
    """A product that no other story knows."""
    return f"photon-{uuid4().hex[:8]}"


def _licenses(console: Console, *buyers: Buyer) -> list[dict[str, Any]]:
    """Their licenses on the license server."""
    rows = console.database.query(
        "SELECT link.external_id FROM licensing_integration_licenselink link"
        " JOIN licensing_integration_purchase purchase ON purchase.id = link.purchase_id"
        " WHERE purchase.customer_email = ANY(%s) ORDER BY link.purchase_id, link.unit",
        [buyer.email for buyer in buyers],
    )
    there = {str(license["id"]): license for license in console.cryptlex.licenses}
    return [there[external_id] for (external_id,) in rows if external_id in there]


def _history(console: Console, buyer: Buyer) -> list[str]:
    rows = console.database.query(
        "SELECT entry.sentence FROM licensing_integration_historyentry entry"
        " JOIN licensing_integration_purchase purchase ON purchase.id = entry.purchase_id"
        " WHERE purchase.customer_email = %s ORDER BY entry.id",
        buyer.email,
    )
    return [sentence for (sentence,) in rows]


def _card(page: Page, title: str) -> Any:
    return page.locator("section.li-card", has=page.get_by_role("heading", name=title, exact=True))


def _clipboard(page: Page) -> str:
    return str(page.evaluate("navigator.clipboard.readText()"))


# --- support ---------------------------------------------------------------------------------------------------------


def test_1_i_paid_and_have_no_key(console: Console, support: Visit, shop: FastSpringShop, buyer: Buyer) -> None:
    console.cryptlex.faults.add(
        kind=FaultKind.STATUS, method="POST", path="/v3/licenses", status=400, message="The account's plan is used up."
    )
    console.send(shop.buy(buyer, "by-date"))
    assert _licenses(console, buyer) == []

    page = support.go("/admin/")
    support.search(buyer.email)  # there is one purchase of theirs: its page opens
    expect(page.get_by_text("The account's plan is used up.").first).to_be_visible()
    _card(page, "Licenses").get_by_role("link").first.click()
    page.get_by_role("link", name="Resync…").click()
    page.get_by_label("Reason").fill(REASON)
    page.get_by_role("button", name="Resync").click()
    page.get_by_role("button", name="Copy key").click()  # the page follows the worker by itself

    (license,) = _licenses(console, buyer)
    expect(page.get_by_text("Copied.", exact=True)).to_be_visible()
    assert _clipboard(page) == license["key"]
    assert support.clicks <= 6
    assert support.clicks == 4
    assert "The whole license key was copied." in " ".join(_history(console, buyer))


def test_2_send_the_key_again_to_another_address(
    console: Console, support: Visit, shop: FastSpringShop, buyer: Buyer
) -> None:
    console.send(shop.buy(buyer, "by-date"))
    (license,) = _licenses(console, buyer)

    page = support.go("/admin/")
    support.search(license["key"])  # there is one license with it: its page opens
    page.get_by_role("link", name="Send key again…").click()
    expect(page.get_by_label("Address")).to_have_value(buyer.email)
    page.get_by_label("Address").fill("new-address@example.com")
    page.get_by_label("Reason").fill("Lost the old mailbox.")
    page.get_by_role("button", name="Send key again").click()

    wait_until(lambda: "new-address@example.com" in console.mails.recipients, what="the mail is sent")
    assert license["key"] in str(console.mails.messages[-1])
    assert support.clicks == 2
    wait_until(lambda: "new-address@example.com" in " ".join(_history(console, buyer)), what="the history tells it")


def test_3_why_is_my_license_suspended(console: Console, support: Visit, shop: FastSpringShop, buyer: Buyer) -> None:
    subscription, started = shop.subscribe(buyer, "by-date")
    console.send(*started)
    console.send(shop.overdue(subscription))
    assert [license["suspended"] for license in _licenses(console, buyer)] == [True]

    page = support.go("/admin/")
    support.search(_licenses(console, buyer)[0]["key"])
    expect(_card(page, "Why it is so")).to_contain_text("The payment is overdue since")
    page.get_by_role("button", name="Copy explanation").click()
    assert "invoice" in _clipboard(page)
    newest = page.locator(".li-timeline > li").first
    newest.locator("summary").first.click()
    expect(newest).to_contain_text("suspended")
    assert support.clicks == 2


def test_8_refund_of_one_of_three(console: Console, support: Visit, shop: FastSpringShop, buyer: Buyer) -> None:
    order = shop.buy(buyer, "by-date", quantity=3)
    console.send(order)
    line = order["data"]["items"][0]
    returned = {**line, "quantity": 1, "subtotal": line["subtotal"] / 3, "refundType": "Partial Refund"}
    console.send(shop.refund(order, lines=[returned]))

    page = support.go("/admin/")
    support.search(order["data"]["reference"])  # the purchase
    licenses = _card(page, "Licenses")
    expect(licenses.get_by_text("Active", exact=True)).to_have_count(2)
    expect(licenses.get_by_text("Suspended", exact=True)).to_have_count(1)
    licenses.get_by_role("row", name="Suspended").get_by_role("link").first.click()
    expect(_card(page, "Why it is so")).to_contain_text("refunded")
    assert [license["suspended"] for license in _licenses(console, buyer)] == [False, False, True]
    assert support.clicks == 1


def test_10_a_support_agent_tries_what_only_an_owner_may(
    console: Console, support: Visit, shop: FastSpringShop, buyer: Buyer
) -> None:
    console.send(shop.buy(buyer, "by-date"))
    page = support.go("/admin/")
    for name in ("Connections", "Audit", "Users", "Roles"):
        expect(page.get_by_role("link", name=name, exact=True)).to_have_count(0)
    support.search(buyer.email)
    expect(page.get_by_role("link", name="Plan again…")).to_be_visible()
    expect(page.get_by_role("link", name="Erase personal data…")).to_have_count(0)
    purchase = page.url.rstrip("/").split("/")[-2 if page.url.rstrip("/").endswith("change") else -1]
    for address in (
        "/admin/connections/",
        "/admin/auth/user/",
        f"{APP}/auditentry/",
        f"{APP}/productmapping/add/",
        f"{APP}/purchase/{purchase}/erase/",
    ):
        answer = support.page.request.get(console.base_url + address)
        assert answer.status == 403, address
    assert support.clicks == 0


# --- staff -----------------------------------------------------------------------------------------------------------


def test_4_a_new_product_on_sale_is_mapped_and_rehearsed(
    console: Console, staff: Visit, product: str, license_product: str
) -> None:
    asked = _requests(console)
    page = staff.go(f"{APP}/productmapping/")
    page.locator("a.addlink").click()
    _choose(page, "store_product", product)
    _choose(page, "product_id", license_product)
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Rehearse…").click()
    rehearsal = opened.value
    expect(rehearsal.get_by_text("Nothing was sent")).to_be_visible()
    expect(rehearsal.locator("body")).to_contain_text(license_product)
    expect(rehearsal.locator("body")).to_contain_text("POST /v3/licenses")
    assert _requests(console) == asked
    rehearsal.close()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("row", name=product)).to_be_visible()
    assert staff.clicks == 5

    shop, buyer = FastSpringShop(), Buyer(email=f"{uuid4().hex[:10]}@example.com")
    console.send(shop.buy(buyer, product))
    assert [license["productId"] for license in _licenses(console, buyer)] == [license_product]


def test_5_a_forgotten_product_fourteen_orders_heal_on_save(
    console: Console, staff: Visit, shop: FastSpringShop, product: str, license_product: str
) -> None:
    buyers = [Buyer(email=f"{uuid4().hex[:10]}@example.com") for _ in range(14)]
    console.send(*(shop.buy(buyer, product) for buyer in buyers))
    assert _licenses(console, *buyers) == []

    page = staff.go("/admin/")
    line = page.locator("li", has_text=product)
    expect(line).to_contain_text("14")
    line.get_by_role("link", name="Add mapping").click()
    _choose(page, "product_id", license_product)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("14 waiting purchases")).to_be_visible()
    wait_until(lambda: len(_licenses(console, *buyers)) == 14, what="all fourteen have their license")
    assert staff.clicks == 3
    staff.go("/admin/")
    expect(page.locator("li", has_text=product)).to_have_count(0)


def test_a_mapping_is_rehearsed_with_an_order_of_the_readers_day(
    console: Console, staff: Visit, shop: FastSpringShop, buyer: Buyer, product: str, license_product: str
) -> None:
    console.send(shop.buy(buyer, product))
    page = staff.go(f"{APP}/productmapping/add/?store=fastspring&store_product={product}")
    _choose(page, "product_id", license_product)
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Rehearse…").click()
    orders = opened.value.get_by_role("combobox", name="Rehearse with")
    expect(orders).to_contain_text("order.completed of")
    expect(orders).not_to_contain_text("UTC")
    expect(orders.locator("option").first).to_have_attribute("title", re.compile("UTC$"))


def test_6_the_server_was_down_thirty_seven_are_replayed_with_a_preview(
    console: Console, staff: Visit, shop: FastSpringShop
) -> None:
    buyers = [Buyer(email=f"{uuid4().hex[:10]}@example.com") for _ in range(37)]
    events = [shop.buy(buyer, "by-date") for buyer in buyers]
    _let_fail(console, events)
    page = staff.go(f"{APP}/webhookevent/?state__exact=failed")
    page.locator("#action-toggle").click()
    staff.choose(page.locator("select[name=action]"), "Replay…")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("button", name="Replay 37 events")).to_be_visible()
    longer = page.get_by_role("button", name="Look at more of them")
    looks_longer = longer.is_visible()  # a slow machine shows only some of them at once
    if looks_longer:
        longer.click()
    expect(page.get_by_text("37 licenses would be issued for By Date")).to_be_visible()
    assert _licenses(console, *buyers) == []
    page.get_by_label("Reason").fill("The server was down.")
    page.get_by_role("button", name="Replay 37 events").click()
    expect(page.get_by_text("All 37 events were replayed.")).to_be_visible(timeout=30_000)
    wait_until(lambda: len(_licenses(console, *buyers)) == 37, what="all thirty-seven have their license")
    assert staff.clicks == 5 + looks_longer


def test_7_a_goodwill_override(console: Console, staff: Visit, shop: FastSpringShop, buyer: Buyer) -> None:
    subscription, started = shop.subscribe(buyer, "by-date")
    console.send(*started)
    console.send(shop.overdue(subscription))
    (license,) = _licenses(console, buyer)
    assert license["suspended"]

    page = staff.go("/admin/")
    staff.search(license["key"])
    page.get_by_role("link", name="Override…").click()
    staff.choose(page.get_by_label("State"), "Active")
    page.get_by_label("Override until").fill("2099-01-31T12:00")
    page.get_by_label("Reason").fill("They are moving banks; goodwill.")
    page.get_by_role("button", name="Override").click()
    console.wait_for_quiet()
    page.reload()
    expect(page.get_by_text("Override until")).to_contain_text("31 Jan 2099, 12:00")  # in the reader's zone
    assert not _licenses(console, buyer)[0]["suspended"]
    until = "SELECT override_until FROM licensing_integration_licenselink WHERE external_id = %s"
    assert console.database.query(until, license["id"])[0][0].hour == 11  # Berlin's noon in UTC
    assert staff.clicks == 4


def test_9_a_mapping_is_put_back_to_last_weeks_version(
    console: Console, staff: Visit, product: str, license_product: str
) -> None:
    _map_by_hand(staff, product, license_product)
    mapping = console.database.value(
        f"SELECT id FROM licensing_integration_productmapping WHERE store_product = '{product}'"
    )
    page = staff.go(f"{APP}/productmapping/{mapping}/change/")
    page.get_by_label("Extra days").fill("30")
    page.get_by_label("Reason").fill("A try.")
    page.get_by_role("button", name="Save", exact=True).click()

    page = staff.go(f"{APP}/productmapping/{mapping}/change/")
    before = staff.clicks
    page.get_by_role("link", name="Put version 1 back").click()
    expect(page.get_by_text("Extra days").first).to_be_visible()
    page.get_by_label("Reason").fill("It was better last week.")
    page.get_by_role("button", name="Put version 1 back").click()
    expect(page.locator("#version-3")).to_be_visible()
    assert staff.clicks - before == 2
    days = f"SELECT extra_days FROM licensing_integration_productmapping WHERE id = {mapping}"
    assert console.database.query(days)[0][0] is None


# --- how they do it --------------------------------------------------------------------------------------------------


def _choose(page: Page, name: str, value: str) -> None:
    """Open a searchable list, type what it may not offer, and press Enter."""
    page.locator(f"#select2-id_{name}-container").click()
    page.locator(".select2-search__field").last.fill(value)
    expect(page.get_by_text("Searching…")).to_have_count(0)
    page.locator(".select2-results__option--highlighted", has_text=value).wait_for()
    page.keyboard.press("Enter")
    expect(page.locator(f"#id_{name}")).to_have_value(value)


def _map_by_hand(staff: Visit, product: str, license_product: str) -> None:
    page = staff.go(f"{APP}/productmapping/add/?store=fastspring&store_product={product}")
    _choose(page, "product_id", license_product)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("row", name=product)).to_be_visible()


def _requests(console: Console) -> int:
    """How often the license server was asked to change something."""
    counts = console.cryptlex.request_counts
    return sum(number for request, number in counts.items() if not request.startswith("GET "))


def _let_fail(console: Console, events: list[Event]) -> None:
    """Events that were given up. Three days of trying are left out: only the verdict is written."""
    console.stop_workers()
    try:
        console.deliver(*events)
        console.database.query(
            "UPDATE licensing_integration_webhookevent SET state = 'failed', problem = 'The server was down for days.'"
            " WHERE external_id = ANY(%s) RETURNING id",
            [event["id"] for event in events],
        )
    finally:
        console.start_worker()
    console.wait_for_quiet()


@pytest.fixture(autouse=True)
def _no_faults_are_left(console: Console) -> Iterator[None]:
    yield
    console.cryptlex.faults.clear()
