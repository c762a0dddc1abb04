"""``make screenshots``: the pictures of the console in the documentation, of the product as it runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from licensing_integration.sandbox.fastspring import Buyer
from licensing_integration.sandbox.mail import MailSink
from tests.browser.acme import EDITOR, LATE_PAYER, RENDERER, RETURNER, STRIPE_TEAM, TEAM, Acme
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.browser.console import DESK, PASSWORD, PHONE, Console

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images"
APP = "/admin/licensing_integration"
HOST = "licensing.acme.example"
EDITOR_ID, TEAM_ID = "5c1f0a3e-7d0b-4a52-9a53-0d0f6a1be001", "5c1f0a3e-7d0b-4a52-9a53-0d0f6a1be002"
PERPETUAL_ID, MONTHLY_ID = "8e2d4b6a-1c3f-4e57-8b79-2f4c6d8ea001", "8e2d4b6a-1c3f-4e57-8b79-2f4c6d8ea002"

# store, store product, license server, product, template
_MAPPINGS = (
    ("fastspring", EDITOR, "cryptlex", EDITOR_ID, PERPETUAL_ID),
    ("fastspring", TEAM, "cryptlex", TEAM_ID, MONTHLY_ID),
    ("fastspring", RENDERER, "licensespring", RENDERER, ""),
    ("stripe", STRIPE_TEAM, "cryptlex", TEAM_ID, MONTHLY_ID),
)
_MAKE_MAPPINGS = f"""
from licensing_integration.models import ProductMapping
from licensing_integration.services.catalog import save_mapping
ProductMapping.objects.all().delete()
for store, store_product, server, product_id, template_id in {_MAPPINGS!r}:
    mapping = ProductMapping(store=store, store_product=store_product, server=server)
    mapping.product_id, mapping.template_id = product_id, template_id
    save_mapping(mapping, user_id=None)
"""
_COUNT_DAYS = """
from licensing_integration.models import DailyFigures
from licensing_integration.services.figures import count_days
DailyFigures.objects.all().delete()
count_days()
"""


class Showcase(Console):
    """The console of a company called Acme, behind its proxy, with the settings of a fresh installation."""

    def open(self) -> None:
        self.cryptlex.add_template(id=PERPETUAL_ID, name="Perpetual")
        self.cryptlex.add_template(id=MONTHLY_ID, name="Monthly", interval="P1M")
        self.cryptlex.add_product(id=EDITOR_ID, name="Photon Editor", template_id=PERPETUAL_ID)
        self.cryptlex.add_product(id=TEAM_ID, name="Studio Team", template_id=MONTHLY_ID)
        self.spring.add_product(short_code=RENDERER, name="Photon Renderer", default_license_type="subscription")
        self.manage("shell", "--no-imports", "--command", _MAKE_MAPPINGS)
        super().open()

    @property
    def chromium_arguments(self) -> list[str]:
        """So that a browser finds us by our name, and keeps the cookies of a page with HTTPS."""
        return [
            f"--host-resolver-rules=MAP {HOST}:80 127.0.0.1:{self.port}",
            f"--unsafely-treat-insecure-origin-as-secure=http://{HOST}",
        ]

    def _post(self, store: str, body: bytes, headers: Mapping[str, str]) -> None:
        super()._post(store, body, {**headers, "User-Agent": "pretend-store/1.0", "X-Forwarded-Proto": "https"})

    def _environment(self) -> dict[str, str]:
        variables = super()._environment()
        del variables["FASTSPRING_TEST_EVENTS"]
        return {
            **variables,
            "ALLOWED_HOSTS": f"127.0.0.1,{HOST}",
            "BEHIND_HTTPS_PROXY": "true",
            "CSRF_TRUSTED_ORIGINS": f"http://{HOST}",  # the browser's side of a proxy that is not there
            "LICENSE_SERVERS": "cryptlex,licensespring",
            "LICENSESPRING_REQUEST_LIMIT": "0",
            "LICENSESPRING_ACCESS_TOKEN": self.spring.access_token,
            "LICENSESPRING_WEB_API_BASE_URL": self.spring.base_url,
        }


@contextmanager
def _page(browser: Browser, size: Mapping[str, int], *, theme: str = "light") -> Iterator[Page]:
    """A page of a signed-in owner, as if the proxy had taken HTTPS off."""
    context = browser.new_context(
        base_url=f"http://{HOST}",
        viewport=dict(size),
        color_scheme=theme,
        timezone_id="Europe/Berlin",
        locale="en-GB",
        extra_http_headers={"X-Forwarded-Proto": "https"},
    )
    page = context.new_page()
    page.goto("/admin/login/")
    page.get_by_label("Username").fill("owner")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/")
    yield page
    context.close()


class Camera:
    """Takes the pictures, each of a page as somebody sees it who has just opened it."""

    def __init__(self, console: Showcase, browser: Browser) -> None:
        self._console = console
        self._browser = browser

    def take_all(self) -> None:
        for theme, name in (("light", "start"), ("dark", "start-dark")):
            with _page(self._browser, {**DESK, "height": 1290}, theme=theme) as page:
                page.goto("/admin/?days=30")
                _shoot(page, name)
        with _page(self._browser, DESK) as page:
            self._take_license(page)
            self._take_event(page)
            self._take_rehearsal(page)
            page.goto("/admin/connections/")
            _shoot(page, "connections")
        with _page(self._browser, {**PHONE, "height": 1200}) as page:
            page.goto(f"{APP}/purchase/{self._purchase(RETURNER)}/")
            _shoot(page, "purchase")

    def _take_license(self, page: Page) -> None:
        """Its head, and its timeline with the newest entry opened."""
        link = self._id("licenselink", "purchase_id = %s", self._purchase(LATE_PAYER))
        page.goto(f"{APP}/licenselink/{link}/")
        _shoot(page, "license")
        page.locator(".li-timeline > li summary").first.click()
        page.get_by_role("heading", name="What happened").evaluate("heading => heading.parentElement.scrollIntoView()")
        _shoot(page, "timeline")

    def _take_event(self, page: Page) -> None:
        event = self._id("webhookevent", "event_type = 'subscription.payment.overdue' AND body LIKE %s", "%Northlight%")
        page.goto(f"{APP}/webhookevent/{event}/")
        _shoot(page, "event")

    def _take_rehearsal(self, page: Page) -> None:
        """The newest purchase, by a mapping as it is being edited."""
        page.goto(f"{APP}/productmapping/{self._id('productmapping', 'store_product = %s', TEAM)}/change/")
        with page.expect_popup() as opened:
            page.get_by_role("button", name="Rehearse…").click()
        opened.value.get_by_text("Nothing was sent").wait_for()
        _shoot(opened.value, "rehearsal")
        opened.value.close()

    def _purchase(self, buyer: Buyer) -> int:
        return self._id("purchase", "customer_email = %s", buyer.email)

    def _id(self, table: str, condition: str, value: object) -> int:
        """The newest such row."""
        asked = f"SELECT max(id) FROM licensing_integration_{table} WHERE {condition}"
        return int(self._console.database.query(asked, value)[0][0])


def _shoot(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    page.screenshot(path=FOLDER / f"console-{name}.png", animations="disabled")


def main() -> None:
    if CHROMIUM is None:
        sys.exit("Pictures need a Chromium: install one as chromium, chromium-browser or google-chrome.")
    with MailSink() as mails, Showcase(mails) as console, sync_playwright() as playwright:
        console.open()
        Acme(console).live()
        console.manage("shell", "--no-imports", "--command", _COUNT_DAYS)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *console.chromium_arguments])
        Camera(console, browser).take_all()
        browser.close()


if __name__ == "__main__":
    main()
