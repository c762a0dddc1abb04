"""Refused deliveries: counted by store and reason, seldom written, and nothing of them is kept."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from licensing_integration.domain.outcomes import RejectionReason
from licensing_integration.exceptions import (
    DeliveryRejected,
    DeliveryTooLarge,
    InvalidSignature,
    LengthRequired,
    StoreDisabled,
    UnknownStore,
)
from licensing_integration.models import RejectedDelivery
from licensing_integration.services import rejections
from licensing_integration.services.tallies import SECONDS_BETWEEN_WRITES

WRONG = InvalidSignature("secret-detail", reason=RejectionReason.WRONG_SIGNATURE)


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Python changes threads as often as it can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-7)
    yield
    sys.setswitchinterval(usual)


def _counts() -> dict[tuple[str, str], int]:
    return {(row.store, row.reason): row.count for row in RejectedDelivery.objects.all()}


@pytest.mark.django_db
def test_the_first_one_is_written_at_once_and_the_following_ones_together(tally, clock, django_assert_num_queries):
    with django_assert_num_queries(1):
        for _ in range(1_000):
            rejections.count("fastspring", WRONG, tally=tally)
    assert _counts() == {("fastspring", "wrong_signature"): 1}
    clock.seconds += SECONDS_BETWEEN_WRITES - 0.1
    with django_assert_num_queries(0):
        rejections.count("fastspring", WRONG, tally=tally)
    clock.seconds += 0.1
    with django_assert_num_queries(1):
        rejections.count("fastspring", WRONG, tally=tally)
    assert _counts() == {("fastspring", "wrong_signature"): 1_002}


@pytest.mark.django_db
def test_every_store_and_reason_has_a_row_of_its_own(tally, settings):
    settings.STORES = [*settings.STORES, {**settings.STORES[0], "name": "eu"}]
    errors = [WRONG, InvalidSignature("x"), StoreDisabled("x"), LengthRequired("x"), DeliveryTooLarge("x")]
    for store in ("fastspring", "eu"):
        for error in errors:
            rejections.count(store, error, tally=tally)
    reasons = {"wrong_signature", "bad_signature", "no_secret", "no_length", "too_large"}
    assert set(_counts()) == {(store, reason) for store in ("fastspring", "eu") for reason in reasons}


@pytest.mark.django_db
def test_whatever_callers_make_up_there_are_no_more_rows_than_stores_and_reasons(tally):
    for number in range(200):
        rejections.count(f"store-{number}", WRONG, tally=tally)
        rejections.count(f"store-{number}", UnknownStore("x"), tally=tally)
        rejections.count("fastspring", InvalidSignature(f"{number}", reason=f"made up {number}"), tally=tally)
        for reason in RejectionReason:
            rejections.count("fastspring", InvalidSignature(f"{number}", reason=reason), tally=tally)
    assert set(_counts()) == {("fastspring", reason.value) for reason in RejectionReason}


@pytest.mark.django_db
def test_an_error_that_names_no_reason_is_not_counted(tally):
    rejections.count("fastspring", UnknownStore("x"), tally=tally)
    assert _counts() == {}


@pytest.mark.django_db
def test_nothing_but_store_and_reason_is_kept(tally):
    rejections.count("fastspring", WRONG, tally=tally)
    assert "secret-detail" not in str(RejectedDelivery.objects.values().get())
    columns = {field.name for field in RejectedDelivery._meta.get_fields()}
    assert columns == {"id", "store", "reason", "count", "first_at", "last_at"}


@pytest.mark.django_db
@pytest.mark.parametrize(("hours", "count", "is_first_kept"), [(23, 8, True), (25, 1, False)])
def test_a_day_without_any_begins_the_count_anew(tally, hours, count, is_first_kept):
    earlier = timezone.now() - timedelta(hours=hours)
    before = RejectedDelivery.objects.create(
        store="fastspring",
        reason="wrong_signature",
        count=7,
        first_at=earlier - timedelta(days=3),
        last_at=earlier,
    )
    rejections.count("fastspring", WRONG, tally=tally)
    row = RejectedDelivery.objects.get()
    assert row.count == count
    assert (row.first_at == before.first_at) == is_first_kept
    assert row.last_at > timezone.now() - timedelta(minutes=1)


@pytest.mark.django_db
def test_recent_is_what_happened_in_the_last_24_hours():
    for store, hours in (("old", 25), ("new", 23)):
        moment = timezone.now() - timedelta(hours=hours)
        RejectedDelivery.objects.create(store=store, reason="wrong_signature", last_at=moment)
    assert [row.store for row in rejections.recent(now=timezone.now())] == ["new"]


def test_threads_lose_none_and_write_once(hasty_threads, tally, clock):
    written: Counter[str] = Counter()
    barrier = threading.Barrier(8)

    def _flood() -> list[int]:
        barrier.wait()
        return [tally.add(("store", "reason")) for _ in range(500)]

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(_flood) for _ in range(8)]:
            written.update(str(number) for number in future.result() if number)
    assert written == {"1": 1}
    clock.seconds += SECONDS_BETWEEN_WRITES
    assert tally.add(("store", "reason")) == 4_000


@pytest.mark.parametrize("reason", RejectionReason)
def test_every_reason_says_what_it_means_and_what_to_do(reason):
    explanation = rejections.explain(RejectedDelivery(store="eu-west", reason=reason.value))
    assert explanation.meaning[0].islower()
    assert explanation.advice.endswith(".")
    assert "{" not in explanation.advice


def test_the_advice_names_the_variable_of_the_store():
    explanation = rejections.explain(RejectedDelivery(store="eu-west", reason="wrong_signature"))
    assert "EU_WEST_WEBHOOK_SECRET" in explanation.advice


def test_a_reason_of_a_later_release_is_still_shown():
    assert rejections.explain(RejectedDelivery(store="eu", reason="from the future")).meaning


def _all_errors(of: type[DeliveryRejected]) -> list[type[DeliveryRejected]]:
    return [of, *(error for child in of.__subclasses__() for error in _all_errors(child))]


@pytest.mark.parametrize("error", _all_errors(DeliveryRejected))
def test_every_error_names_a_reason_that_there_is(error: Any):
    reason = error("x").reason
    assert reason == "" or RejectionReason(reason)
