"""The product in real processes with people in every role, for a browser to be used on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page
from playwright.sync_api import Request as BrowserRequest

from licensing_integration.sandbox import fastspring, stripe
from licensing_integration.sandbox.fastspring import Event
from licensing_integration.sandbox.mail import MailSink
from tests.faults.stack import SECRET, Stack

STRIPE_SECRET = "whsec_long_enough_for_tests"
PASSWORD = "a-password-for-tests"
ROLES = ("Support", "Staff", "Owner")
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}

_MAKE_PEOPLE = f"""
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
for role in {ROLES!r}:
    user = get_user_model().objects.create_user(role.lower(), email="", password={PASSWORD!r}, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
"""
_COUNT_CLICKS = "document.addEventListener('click', (event) => event.isTrusted && window.countClick(), true);"


class Console(Stack):
    """The stack of the fault tests with Stripe as a second store, a mail server and people. Nothing is emptied between
    two tests, so each works with purchases of its own. ``mails``: what was sent."""

    def __init__(self, mails: MailSink) -> None:
        super().__init__()
        self.mails = mails

    def open(self) -> None:
        """Start web server and worker and let people in."""
        self._manage("sync_roles")
        self._manage("shell", "--no-imports", "--command", _MAKE_PEOPLE)
        self.start_web()
        self.start_worker()

    def manage(self, *arguments: str) -> None:
        """Run a management command of the product."""
        self._manage(*arguments)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def send(self, *events: Event, store: str = "fastspring") -> None:
        """Deliver events, and wait until they are worked on."""
        self.deliver(*events, store=store)
        self.wait_for_quiet()

    def stop_workers(self) -> None:
        """As for an update of the product; what is delivered meanwhile waits."""
        for worker in self._workers:
            worker.stop()
        self._workers.clear()

    def deliver(self, *events: Event, store: str = "fastspring") -> None:
        """Deliver events as the store does."""
        if store == "fastspring":
            body = fastspring.delivery(*events)
            self._post(store, body, {"X-FS-Signature": fastspring.sign(body, secret=SECRET)})
        else:
            for event in events:
                body = stripe.delivery(event)
                signature = stripe.sign(body, secret=STRIPE_SECRET, at=datetime.now(UTC))
                self._post(store, body, {"Stripe-Signature": signature})

    def _post(self, store: str, body: bytes, headers: Mapping[str, str]) -> None:
        headers = {**headers, "Content-Type": "application/json"}
        answer = requests.post(f"{self.base_url}/webhooks/{store}/", data=body, headers=headers, timeout=20)
        assert answer.status_code == 200, answer.status_code

    def _environment(self) -> dict[str, str]:
        return {
            **super()._environment(),
            "STORES": "fastspring,stripe",
            "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
            "EMAIL_URL": f"smtp://127.0.0.1:{self.mails.port}",
            "DEFAULT_FROM_EMAIL": "Acme <keys@acme.example>",
        }


@dataclass
class Visit:
    """A signed-in person at the console. ``clicks``: how many they made. Leaving it fails when a page asked another
    host for anything, or the browser's console told an error."""

    page: Page
    base_url: str
    clicks: int = 0
    complaints: list[str] = field(default_factory=list)

    def go(self, address: str) -> Page:
        """Open an address such as ``/admin/`` as if it had been typed or followed from a mail."""
        self.page.goto(self.base_url + address)
        return self.page

    def search(self, term: str) -> Page:
        """Type into the search box and press Enter: no click."""
        self.page.keyboard.press("Control+k")
        self.page.keyboard.type(term)
        self.page.keyboard.press("Enter")
        self.page.wait_for_load_state()
        return self.page

    def choose(self, field: Locator, option: str) -> None:
        """Choose from a drop-down list: a click opens it, another chooses."""
        field.select_option(label=option)
        self.clicks += 2

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text}")

    def _see(self, request: BrowserRequest) -> None:
        if not re.match(rf"({re.escape(self.base_url)}/|data:|blob:)", request.url):
            self.complaints.append(f"asked another host: {request.url}")


class Doorkeeper:
    """Lets people in; each role signs in once."""

    def __init__(self, console: Console, browser: Browser) -> None:
        self._console = console
        self._browser = browser
        self._passes: dict[str, Any] = {}

    @contextmanager
    def visit(
        self, role: str, *, size: Mapping[str, int] = DESK, theme: str = "light", zone: str = "Europe/Berlin"
    ) -> Iterator[Visit]:
        """A visit of somebody in that role. ``zone``: where they are."""
        context = self._browser.new_context(
            viewport=dict(size),
            color_scheme=theme,
            timezone_id=zone,
            locale="en-GB",
            storage_state=self._passes.get(role),
            permissions=["clipboard-read", "clipboard-write"],
        )
        try:
            yield from self._look_after(context, role)
        finally:
            context.close()

    def _look_after(self, context: BrowserContext, role: str) -> Iterator[Visit]:
        page = context.new_page()
        page.set_default_timeout(20_000)
        visit = Visit(page=page, base_url=self._console.base_url)
        if role not in self._passes:
            self._sign_in(visit, role)
            self._passes[role] = context.storage_state()

        def _count_click() -> None:
            visit.clicks += 1

        context.expose_function("countClick", _count_click)
        context.add_init_script(_COUNT_CLICKS)
        page.on("console", visit._hear)
        page.on("pageerror", lambda error: visit.complaints.append(f"script: {error}"))
        page.on("request", visit._see)
        yield visit
        assert visit.complaints == []

    @staticmethod
    def _sign_in(visit: Visit, role: str) -> None:
        page = visit.go("/admin/login/")
        page.get_by_label("Username").fill(role.lower())
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/admin/")
