"""Every screen, on a desk and on a phone, light and dark: nothing to scroll sideways for, nobody is kept out."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from licensing_integration.sandbox.fastspring import Buyer, FastSpringShop
from tests.browser.console import DESK, PASSWORD, PHONE, Console, Doorkeeper, Visit

APP = "/admin/licensing_integration"
SCREENS = {
    "start": "/admin/",
    "start of 30 days": "/admin/?days=30",
    "search": "/admin/search/?q=zoe@example.com",
    "search without a hit": "/admin/search/?q=nobody@example.com",
    "webhook log": f"{APP}/webhookevent/",
    "event": f"{APP}/webhookevent/{{event}}/",
    "replay": f"{APP}/webhookevent/{{event}}/replay/",
    "purchases": f"{APP}/purchase/",
    "purchase": f"{APP}/purchase/{{purchase}}/",
    "licenses": f"{APP}/licenselink/",
    "license": f"{APP}/licenselink/{{link}}/",
    "override": f"{APP}/licenselink/{{link}}/override/",
    "resync": f"{APP}/licenselink/{{link}}/resync/",
    "mappings": f"{APP}/productmapping/",
    "mapping": f"{APP}/productmapping/{{mapping}}/change/",
    "new mapping": f"{APP}/productmapping/add/",
    "new mapping of a long name": f"{APP}/productmapping/add/?store=fastspring&store_product=photon-{'studio-' * 12}",
    "mapping with versions": f"{APP}/productmapping/{{changed}}/change/#versions",
    "two versions": f"{APP}/productmapping/{{changed}}/versions/?before=2&after=3",
    "a version to put back": f"{APP}/productmapping/{{changed}}/versions/2/",
    "a version that cannot be put back": f"{APP}/productmapping/{{changed}}/versions/1/",
    "connections": "/admin/connections/",
    "audit": f"{APP}/auditentry/",
    "users": "/admin/auth/user/",
    "roles": "/admin/auth/group/",
    "no such page": "/admin/nothing-here/",
}
_CHANGED = "often-changed"
_CHANGE_A_MAPPING = f"""
from licensing_integration.models import ProductMapping
from licensing_integration.services.catalog import save_mapping
mapping = ProductMapping(store="fastspring", store_product={_CHANGED!r}, server="cryptlex", product_id="gone")
save_mapping(mapping, user_id=None)
mapping.product_id, mapping.custom_fields = "", {{"Seats": "5", "an_attribute_with_a_very_long_name": "and_its_value"}}
save_mapping(mapping, user_id=None)
mapping.refund_action, mapping.notes = "revoke", "Agreed with the shop, see https://acme.example/" + "long-address/" * 9
save_mapping(mapping, user_id=None)
"""
_SERIOUS = {"serious", "critical"}
_LANDMARK = "landmark-one-main"


@pytest.fixture(scope="module")
def ids(console: Console) -> dict[str, int]:
    """Something to look at: a subscription that is overdue, an order whose product nobody mapped."""
    shop = FastSpringShop()
    zoe = Buyer(email="zoe@example.com", first="Zoe")
    subscription, started = shop.subscribe(zoe, "by-date", quantity=2)
    console.send(*started)
    console.send(shop.overdue(subscription))
    console.send(shop.buy(zoe, "nobody-mapped-this"))
    console.manage("shell", "--no-imports", "--command", _CHANGE_A_MAPPING)
    changed = "SELECT id FROM licensing_integration_productmapping WHERE store_product = %s"
    tables = {"event": "webhookevent", "purchase": "purchase", "link": "licenselink", "mapping": "productmapping"}
    first = {
        name: int(console.database.value(f"SELECT min(id) FROM licensing_integration_{table}"))
        for name, table in tables.items()
    }
    return {**first, "changed": int(console.database.value(changed, _CHANGED))}


@pytest.fixture(scope="module", params=["light", "dark"])
def theme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("screen", SCREENS)
def test_a_screen_fits_and_keeps_nobody_out(
    doorkeeper: Doorkeeper, ids: dict[str, int], screen: str, size: dict[str, int], theme: str
) -> None:
    with doorkeeper.visit("Owner", size=size, theme=theme) as visit:
        page = visit.go(SCREENS[screen].format(**ids))
        if screen == "no such page":
            visit.complaints.clear()  # the browser tells of the 404
        _assert_fits(page)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_mapping_fits_when_its_lists_are_filled(
    doorkeeper: Doorkeeper, ids: dict[str, int], size: dict[str, int], theme: str
) -> None:
    """Once the lists of the license server are there, what is chosen is shown by its name, however long."""
    with doorkeeper.visit("Owner", size=size, theme=theme) as visit:
        page = visit.go(SCREENS["mapping"].format(**ids))
        page.evaluate(
            """document.querySelectorAll("select[data-picker]").forEach((list) => {
                list.options[list.selectedIndex].text = "A name as long as some people give their products ".repeat(3);
                django.jQuery(list).trigger("change.select2");
            })"""
        )
        _assert_fits(page)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_page_beyond_the_role_says_who_may(doorkeeper: Doorkeeper, size: dict[str, int], theme: str) -> None:
    with doorkeeper.visit("Support", size=size, theme=theme) as visit:
        page = visit.go("/admin/connections/")
        visit.complaints.clear()  # the browser tells of the 403
        expect(page.get_by_role("heading")).to_have_text("Your role does not allow this")
        expect(page.get_by_text("Owner also sees connections")).to_be_visible()
        _assert_fits(page)
        page.get_by_role("link", name="Go to Start").click()
        expect(page).to_have_title(re.compile("^Start"))


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_keyboard_is_enough_to_sign_in_and_out(
    browser: Browser, console: Console, size: dict[str, int], theme: str
) -> None:
    context = browser.new_context(viewport=size, color_scheme=theme)
    page = context.new_page()
    page.goto(f"{console.base_url}/admin/login/")
    _assert_fits(page)
    page.get_by_label("Username").fill("support")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/")
    if size is PHONE:
        _press_with_tab(page, "Show or hide the menu")
        page.evaluate("document.activeElement.blur()")
    _press_with_tab(page, "Your account: support")
    _assert_fits(page)
    _press_with_tab(page, "Log out")
    expect(page.get_by_role("heading")).to_have_text("You are signed out.")
    _assert_fits(page)
    _press_with_tab(page, "Sign in again")
    page.wait_for_url("**/admin/login/**")
    context.close()


def test_the_first_stop_of_the_tab_key_leads_past_the_menu(support: Visit) -> None:
    page = support.go(f"{APP}/licenselink/")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to content")
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#content') !== null")


def test_the_theme_is_switched_with_the_keyboard(support: Visit) -> None:
    page = support.go("/admin/")
    _press_with_tab(page, "Your account: support")
    _press_with_tab(page, "Dark")
    expect(page.locator("html")).to_have_class(re.compile("dark"))
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Your account")).to_be_focused()
    expect(page.get_by_role("button", name="Your account")).to_have_attribute("aria-expanded", "false")
    expect(page.get_by_role("button", name="Log out")).to_be_hidden()


def test_a_phone_shows_no_empty_cells(doorkeeper: Doorkeeper, ids: dict[str, int]) -> None:
    with doorkeeper.visit("Support", size=PHONE) as visit:
        page = visit.go(SCREENS["licenses"])
        assert page.locator(".data-row > :empty").count() > 0
        assert page.locator(".data-row > :empty:visible").count() == 0
        assert page.locator(".data-row").first.bounding_box()["height"] < 250  # type: ignore[index]


@pytest.mark.parametrize("screen", ["mapping with versions", "two versions", "a version to put back"])
def test_versions_are_read_on_a_phone_without_scrolling_sideways(
    doorkeeper: Doorkeeper, ids: dict[str, int], screen: str
) -> None:
    with doorkeeper.visit("Owner", size=PHONE) as visit:
        _assert_tables_fit(visit.go(SCREENS[screen].format(**ids)))


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_look_at_a_file_of_mappings_fits(doorkeeper: Doorkeeper, size: dict[str, int], theme: str) -> None:
    text = "store,store_product,notes\nfastspring,new-one,x\nfastspring,too-short\nfastspring,by-date,Changed.\n"
    with doorkeeper.visit("Owner", size=size, theme=theme) as visit:
        page = visit.go(f"{APP}/productmapping/import/")
        page.get_by_label("CSV file").set_input_files(
            {"name": "mappings.csv", "mimeType": "text/csv", "buffer": text.encode()}
        )
        page.get_by_role("button", name="Look at it first").click()
        expect(page.get_by_text("The mapping names no license product.")).to_be_visible()
        _assert_tables_fit(page)
        _assert_fits(page)


_NO_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', { value: undefined })"  # as without https


def test_a_button_that_copies_has_its_own_label_again_in_the_end(support: Visit, ids: dict[str, int]) -> None:
    page = support.go(SCREENS["license"].format(**ids))
    button = page.locator("[data-copy-from='#explanation']")
    button.click()
    expect(button).to_have_text("Copied")
    button.click()
    expect(button).to_have_text("Copy explanation")
    page.evaluate(_NO_CLIPBOARD)
    button.click()
    expect(button).to_have_text("The browser did not let us copy it. Mark the text and copy it.")


def test_a_key_that_cannot_be_copied_is_not_noted_as_copied(
    console: Console, support: Visit, ids: dict[str, int]
) -> None:
    page = support.go(SCREENS["license"].format(**ids))
    page.evaluate(_NO_CLIPBOARD)
    page.get_by_role("button", name="Copy key").click()
    expect(page.get_by_text("The browser did not let us copy it. Show the key instead.")).to_be_visible()
    noted = "SELECT count(*) FROM licensing_integration_historyentry WHERE kind = 'license.key_copied' AND link_id = %s"
    assert console.database.value(noted, ids["link"]) == 0


def test_who_was_signed_out_meanwhile_is_told_so_when_copying_a_key(support: Visit, ids: dict[str, int]) -> None:
    page = support.go(SCREENS["license"].format(**ids))
    page.context.clear_cookies(name="sessionid")
    page.get_by_role("button", name="Copy key").click()
    expect(page.get_by_text("You are signed out by now. Reload the page and sign in.")).to_be_visible()


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.25, 4], ["0.2", "0.5", "1", "2"]),
        ([0.3, 40_000], ["1", "10", "100", "1,000", "10,000"]),
    ],
)
def test_tenfold_scales_are_labelled_at_round_numbers(support: Visit, values: list[float], labels: list[str]) -> None:
    shown = support.go("/admin/").evaluate(
        """(values) => new Chart(document.createElement("canvas"), {
            type: "line",
            data: { labels: values, datasets: [{ data: values }] },
            options: { animation: false, responsive: false, scales: { y: { type: "logarithmic" } } },
        }).scales.y.ticks.map((tick) => tick.label)""",
        values,
    )
    assert [label for label in shown if label in labels] == labels
    assert all(label.strip("0.,")[:1] in "125" for label in shown)


def _press_with_tab(page: Page, name: str) -> None:
    """Go on with the Tab key to the thing of that name, and press Enter."""
    wanted = page.locator(":focus").and_(
        page.get_by_role("button", name=name, exact=True).or_(page.get_by_role("link", name=name, exact=True))
    )
    for _ in range(40):
        page.keyboard.press("Tab")
        if wanted.count():
            page.keyboard.press("Enter")
            return
    pytest.fail(f"The Tab key does not reach {name!r}.")


def _assert_fits(page: Page) -> None:
    assert not page.title().startswith("Server Error")
    assert _width_beyond(page) <= 0
    assert _obstacles(page) == []


def _assert_tables_fit(page: Page) -> None:
    tables = page.locator(".li-scroll:visible").all()
    assert tables
    assert all(table.evaluate("table => table.scrollWidth <= table.clientWidth") for table in tables)


def _width_beyond(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


def _obstacles(page: Page) -> list[str]:
    """What axe-core calls serious or worse, and where; and a page without a main part."""
    found: list[Any] = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {node['target']} {node['html'][:150]}"
        for violation in found
        if violation["impact"] in _SERIOUS or violation["id"] == _LANDMARK
        for node in violation["nodes"]
    ]
