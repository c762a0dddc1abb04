"""Service tests: a shop that posts signed deliveries, and a worker that runs the queued jobs in this thread."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from licensing_integration import tasks
from licensing_integration.models import LicenseLink, Purchase
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.fastspring import Buyer, Event, FastSpringShop, delivery, sign
from licensing_integration.services.receive import Receipt, receive
from licensing_integration.services.tallies import Tally
from tests.services.vendor import Vendor

SECRET = "webhook-secret-for-tests"
ATTRIBUTES = {"cryptlex_product_id": "prod-1", "cryptlex_license_template_id": "tmpl-1"}
AVA = Buyer(email="Ava.Lindqvist@Example.com")

_TASKS = {
    task.name: task.func for task in (tasks.process_events_task, tasks.apply_links_task, tasks.plan_purchases_task)
}

# Fetches and removes the next job as procrastinate does: by priority, then by age.
_NEXT_JOB = """
DELETE FROM procrastinate_jobs WHERE id = (
    SELECT id FROM procrastinate_jobs WHERE status = 'todo' ORDER BY priority DESC, id LIMIT 1
) RETURNING task_name, args
"""


class ShopClock:
    """The shop's time: now, unless a test moves it."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def advance(self, **delta: float) -> None:
        self.offset += timedelta(**delta)


@pytest.fixture
def shop_clock() -> ShopClock:
    return ShopClock()


@pytest.fixture
def shop(shop_clock: ShopClock) -> FastSpringShop:
    return FastSpringShop(clock=shop_clock)


class TallyClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 5_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> TallyClock:
    return TallyClock()


@pytest.fixture
def tally(clock: TallyClock) -> Tally:
    return Tally(clock=clock)


@pytest.fixture
def post(db: None) -> Callable[..., Receipt]:
    """Post events as one signed delivery."""

    def _post(*events: Event) -> Receipt:
        body = delivery(*events)
        return receive("fastspring", body=body, headers={"x-fs-signature": sign(body, secret=SECRET)})

    return _post


@pytest.fixture
def work(db: None) -> Callable[[], int]:
    """Run queued jobs until there are none; how many they were."""

    def _work() -> int:
        count = 0
        while job := _next_job():
            name, arguments = job
            _TASKS[name](**arguments)
            count += 1
        return count

    return _work


def _next_job() -> tuple[str, dict[str, list[int]]] | None:
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_JOB)
        row = cursor.fetchone()
    if row is None:
        return None
    return row[0], row[1] if isinstance(row[1], dict) else json.loads(row[1])


@pytest.fixture
def deliver(post: Callable[..., Receipt], work: Callable[[], int]) -> Callable[..., None]:
    """Post events and work them off."""

    def _deliver(*events: Event) -> None:
        post(*events)
        work()

    return _deliver


@pytest.fixture
def api_calls(cryptlex: CryptlexSandbox) -> Callable[[], list[str]]:
    """The calls made to the license server since last asked, as "METHOD path"."""

    def _calls() -> list[str]:
        calls = [f"{request.method} {request.path}" for request in cryptlex.requests]
        cryptlex.clear_requests()
        return calls

    return _calls


@pytest.fixture
def vendor(cryptlex: CryptlexSandbox) -> Vendor:
    """The license server by other hands."""
    return Vendor(cryptlex)


def only_purchase() -> Purchase:
    return Purchase.objects.get()


def only_link() -> LicenseLink:
    return LicenseLink.objects.get()
