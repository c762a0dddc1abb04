"""Every screen, on a desk and on a phone, light and dark: nothing to scroll sideways for, nobody is kept out."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from licensing_integration.sandbox.fastspring import Buyer, FastSpringShop
from tests.browser.console import DESK, PHONE, Console, Doorkeeper

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
    "connections": "/admin/connections/",
    "audit": f"{APP}/auditentry/",
    "users": "/admin/auth/user/",
    "roles": "/admin/auth/group/",
}
_SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="module")
def ids(console: Console) -> dict[str, int]:
    """Something to look at: a subscription that is overdue, an order whose product nobody mapped."""
    shop = FastSpringShop()
    zoe = Buyer(email="zoe@example.com", first="Zoe")
    subscription, started = shop.subscribe(zoe, "by-date", quantity=2)
    console.send(*started)
    console.send(shop.overdue(subscription))
    console.send(shop.buy(zoe, "nobody-mapped-this"))
    tables = {"event": "webhookevent", "purchase": "purchase", "link": "licenselink", "mapping": "productmapping"}
    return {
        name: int(console.database.value(f"SELECT min(id) FROM licensing_integration_{table}"))
        for name, table in tables.items()
    }


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
        assert not page.title().startswith("Server Error")
        assert _width_beyond(page) <= 0
        assert _obstacles(page) == []


def _width_beyond(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


def _obstacles(page: Page) -> list[str]:
    """What axe-core calls serious or worse, and where."""
    found: list[Any] = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {node['target']} {node['html'][:150]}"
        for violation in found
        if violation["impact"] in _SERIOUS
        for node in violation["nodes"]
    ]
