"""A Chromium, and the product for it to be used on: started once for each process of the test run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from licensing_integration.sandbox.mail import MailSink
from tests.browser.console import Console, Doorkeeper, Visit

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Without these it asks its maker's hosts for this and that at every start.
ARGUMENTS = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", *(["--no-sandbox"] if os.geteuid() == 0 else []),
]  # fmt: skip

# Only what fails waits that long: all processes of the test run share the machine with the browser.
PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a Chromium there is nothing to see."""
    for item in items:
        if CHROMIUM is None and "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.skip(reason="needs a Chromium"))


@pytest.fixture(scope="session")
def console() -> Iterator[Console]:
    with MailSink() as mails, Console(mails) as console:
        console.open()
        yield console


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Ends with the last of these tests in a row: its event loop runs in the tests' own thread, and Django would take
    the tests that follow for asynchronous code with database connections of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def doorkeeper(console: Console, browser: Browser) -> Doorkeeper:
    return Doorkeeper(console, browser)


@pytest.fixture
def support(doorkeeper: Doorkeeper) -> Iterator[Visit]:
    with doorkeeper.visit("Support") as visit:
        yield visit


@pytest.fixture
def staff(doorkeeper: Doorkeeper) -> Iterator[Visit]:
    with doorkeeper.visit("Staff") as visit:
        yield visit


@pytest.fixture
def owner(doorkeeper: Doorkeeper) -> Iterator[Visit]:
    with doorkeeper.visit("Owner") as visit:
        yield visit


@pytest.fixture(autouse=True)
def _no_database_here(django_db_blocker: Any) -> None:
    """The product's database belongs to its own processes; the tests look at it through ``console.database``."""
