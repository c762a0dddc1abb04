"""The benchmark of the console works, on a database of a size for tests."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from django.db import connections

from benchmarks.console.generate import Size, fill
from benchmarks.console.measure import is_shown
from benchmarks.console.pages import Page, all_pages
from benchmarks.console.samples import make_samples
from benchmarks.console.sites import Site
from benchmarks.orders import SECRET
from benchmarks.stripe_orders import SECRET as STRIPE_SECRET
from licensing_integration.models import HistoryEntry, LicenseLink, Purchase, WebhookEvent
from licensing_integration.sandbox.cryptlex import CryptlexSandbox

EVENTS = 200


@pytest.fixture
def console(db: None, settings: Any, cryptlex: CryptlexSandbox) -> Site:
    """The console on a small database that the benchmark has filled."""
    settings.STORES = [
        {"name": name, "adapter": name, "webhook_secrets": (secret,), "test_events": "apply"}
        for name, secret in (("fastspring", SECRET), ("stripe", STRIPE_SECRET))
    ]
    fill(Size(EVENTS), make_samples())
    site = Site(size=Size(EVENTS), connection=connections["default"])
    site.log_in()
    return site


def test_there_is_as_much_of_everything_as_was_asked_for(console: Site) -> None:
    assert WebhookEvent.objects.count() == EVENTS
    purchases, licenses, entries = console.counts()
    assert purchases == EVENTS // 4
    assert licenses >= purchases
    assert entries == pytest.approx(2 * EVENTS, rel=0.05)


def test_what_is_made_hangs_together(console: Site) -> None:
    for link in LicenseLink.objects.exclude(external_id=""):
        assert (link.observed["license_id"], link.observed["key"]) == (link.external_id, link.key)
        assert link.purchase.external_id in link.reference
    for entry in HistoryEntry.objects.filter(event__isnull=False, kind__startswith="event."):
        assert entry.purchase.external_id in entry.event.body
    assert "@" not in "".join(Purchase.objects.values_list("external_id", flat=True))


@pytest.mark.slow
def test_every_page_is_shown(console: Site) -> None:
    visits = [(page, console.visit(page)) for page in _some_of_each_group(all_pages())]
    assert [page.address for page, visit in visits if not (is_shown(page, visit) or page.is_found)] == []
    shown = {page.group.partition(",")[0] for page, visit in visits if visit.status == 200}
    assert {"Start", "Connections", "Search", "Webhook log", "Licenses", "Purchases", "Audit"} <= shown
    assert {"Purchase: page", "License: page", "Webhook event: page", "Product mapping: rehearse"} <= shown


def _some_of_each_group(pages: list[Page]) -> list[Page]:
    counts = Counter[str]()
    chosen = []
    for page in pages:
        counts[page.group] += 1
        if counts[page.group] <= 2:
            chosen.append(page)
    return chosen
