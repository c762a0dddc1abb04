"""Which stores are silent: by their own pace, and never sooner than after a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import Settings

from licensing_integration.services import silence
from tests.factories import WebhookEventFactory

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def _only_pulse() -> silence.Pulse:
    (pulse,) = silence.pulses(now=NOW)
    return pulse


def _events(*ages: timedelta) -> None:
    for age in sorted(ages, reverse=True):
        WebhookEventFactory(received_at=NOW - age)


def test_a_store_that_never_sent_an_event_is_silent() -> None:
    assert _only_pulse() == silence.Pulse(store="fastspring", last_at=None, is_silent=True)


@pytest.mark.parametrize(("hours", "is_silent"), [(1, False), (24, False), (25, True)])
def test_a_busy_store_is_silent_after_a_day(hours: int, is_silent: bool) -> None:
    _events(*((hours + n) * HOUR for n in range(5)))
    assert _only_pulse() == silence.Pulse(store="fastspring", last_at=NOW - hours * HOUR, is_silent=is_silent)


@pytest.mark.parametrize(("days", "is_silent"), [(3, False), (10, False), (11, True)])
def test_a_store_that_sells_every_other_day_is_silent_after_ten(days: int, is_silent: bool) -> None:
    _events(*((days + 2 * n) * DAY for n in range(5)))
    assert _only_pulse().is_silent is is_silent


def test_only_its_last_events_tell_a_stores_pace() -> None:
    _events(*(25 * HOUR + n * HOUR for n in range(silence.EVENTS_LOOKED_AT)), 400 * DAY)
    assert _only_pulse().is_silent


def test_a_single_event_tells_no_pace() -> None:
    _events(25 * HOUR)
    assert _only_pulse().is_silent


def test_each_store_has_its_own_pulse_and_one_without_a_secret_has_none(settings: Settings) -> None:
    (store,) = settings.STORES
    settings.STORES = [
        {**store, "name": "us"},
        {**store, "name": "eu"},
        {**store, "name": "closed", "webhook_secrets": ()},
    ]
    WebhookEventFactory(store="eu", received_at=NOW - HOUR)
    WebhookEventFactory(store="closed", received_at=NOW - HOUR)
    assert [(pulse.store, pulse.is_silent) for pulse in silence.pulses(now=NOW)] == [("us", True), ("eu", False)]


def test_without_stores_there_is_no_pulse(settings: Settings) -> None:
    settings.STORES = []
    assert silence.pulses(now=NOW) == []


def test_all_pulses_are_one_query(django_assert_num_queries) -> None:
    with django_assert_num_queries(1):
        silence.pulses(now=NOW)
