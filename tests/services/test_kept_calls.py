"""Every outcome of an attempt keeps what was said to the license server, without what nobody should read there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from licensing_integration.models import HistoryEntry, LicenseLink
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.fastspring import FastSpringShop
from tests.services.conftest import AVA
from tests.services.scenario import CREATE, NOTHING_DONE, map_product, photon_order, try_again


def calls_of(kind: str) -> list[list[dict[str, Any]] | None]:
    return list(HistoryEntry.objects.filter(kind=kind).order_by("id").values_list("calls", flat=True))


def test_an_issued_license_keeps_its_requests_and_answers(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox
) -> None:
    deliver(photon_order(shop))

    (calls,) = calls_of("license.issued")
    assert calls is not None
    assert [(call["method"], call["path"], call["status"]) for call in calls] == [
        ("POST", "/v3/users", 201),
        ("POST", "/v3/licenses", 201),
    ]
    assert json.loads(calls[1]["request"])["productId"] == "prod-1"
    assert json.loads(calls[1]["answer"])["key"] == "•••"
    assert all(call["ms"] > 0 for call in calls)


def test_nothing_of_the_customer_and_no_key_is_kept(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox
) -> None:
    deliver(photon_order(shop))

    kept = json.dumps(calls_of("license.issued"), ensure_ascii=False).lower()

    assert LicenseLink.objects.get().key.lower() not in kept
    assert not [word for word in ("lindqvist", "example.com", "aa1!", "sandbox-token") if word in kept]


def test_a_failure_keeps_the_call_that_failed(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox
) -> None:
    cryptlex.faults.add(**CREATE, **NOTHING_DONE[1])

    deliver(photon_order(shop))

    (calls,) = calls_of("license.failed")
    assert calls is not None
    assert (calls[-1]["path"], calls[-1]["status"]) == ("/v3/licenses", 500)


def test_a_call_without_answer_says_so(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox
) -> None:
    cryptlex.faults.add(**CREATE, kind="drop")

    deliver(photon_order(shop))

    (calls,) = calls_of("license.failed")
    assert calls is not None
    assert "status" not in calls[-1]  # 0, the default, is left out
    assert "the connection broke" in calls[-1]["answer"]


def test_calls_are_told_once_though_an_attempt_tells_several_things(
    shop: FastSpringShop, deliver: Callable[..., None], work: Callable[[], int], cryptlex: CryptlexSandbox
) -> None:
    """A license found after a lost answer, and suspended at once, is adopted and changed in one attempt."""
    map_product("team")
    subscription, events = shop.subscribe(AVA, "team")
    cryptlex.faults.add(**CREATE, kind="commit_then_drop")
    deliver(*events)
    deliver(shop.overdue(subscription))
    try_again(work)

    entries = list(HistoryEntry.objects.filter(link__isnull=False).order_by("id").values_list("kind", "calls"))
    (adopted,) = [calls for kind, calls in entries if kind == "license.adopted"]
    (suspended,) = [calls for kind, calls in entries if kind == "license.suspended"]
    assert adopted[0]["method"] == "GET"
    assert adopted[-1]["method"] == "PATCH"
    assert suspended is None


def test_an_entry_about_something_else_keeps_none(
    shop: FastSpringShop, deliver: Callable[..., None], cryptlex: CryptlexSandbox
) -> None:
    deliver(photon_order(shop))

    assert calls_of("event.order.completed") == [None]
