"""The retry policy as a table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from licensing_integration.domain.outcomes import FailureMode
from licensing_integration.exceptions import (
    ConfigurationProblem,
    CredentialsRejected,
    InvalidTerm,
    PermanentRemoteError,
    ProductNotMapped,
    TransientRemoteError,
    UnsupportedOperation,
)
from licensing_integration.services.retries import GIVE_UP_AFTER, decide

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = 3600.0


def _seconds(error: Exception, *, attempts: int = 1, failing: timedelta = timedelta()) -> float:
    decision = decide(error, attempts=attempts, failing_since=NOW - failing, now=NOW)
    assert decision.retry_at is not None
    return (decision.retry_at - NOW).total_seconds()


@pytest.mark.parametrize(
    ("error", "mode", "is_retried", "is_clear"),
    [
        (TransientRemoteError("x"), FailureMode.NONE, True, False),
        (TransientRemoteError("x", may_have_succeeded=False), FailureMode.NONE, True, True),
        (CredentialsRejected("x"), FailureMode.CONFIG, True, True),
        (ConfigurationProblem("x"), FailureMode.CONFIG, False, True),
        (ProductNotMapped("x"), FailureMode.CONFIG, False, True),
        (InvalidTerm("x"), FailureMode.CONFIG, False, True),
        (PermanentRemoteError("x", status=400), FailureMode.PERMANENT, False, True),
        (UnsupportedOperation("x"), FailureMode.PERMANENT, False, True),
        (ValueError("x"), FailureMode.INTERNAL, False, False),
        (KeyError("x"), FailureMode.INTERNAL, False, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_each_error_has_its_consequence(error, mode, is_retried, is_clear):
    decision = decide(error, attempts=1, failing_since=NOW, now=NOW)
    assert (decision.failure_mode, decision.retry_at is not None, decision.is_clear) == (mode, is_retried, is_clear)


@pytest.mark.parametrize(
    ("attempts", "least", "most"),
    [(1, 4, 6), (2, 8, 12), (3, 16, 24), (8, 512, 768), (11, 0.8 * HOUR, 1.2 * HOUR), (10_000, 0.8 * HOUR, 1.2 * HOUR)],
)
def test_waits_double_up_to_an_hour_with_some_jitter(attempts, least, most):
    waits = {_seconds(TransientRemoteError("x", may_have_succeeded=False), attempts=attempts) for _ in range(20)}
    assert all(least <= wait <= most for wait in waits)
    assert len(waits) > 1


def test_the_first_look_for_a_lost_license_waits_until_it_can_be_seen(settings):
    settings.SETTLING_SECONDS = 30
    assert _seconds(TransientRemoteError("x", may_have_succeeded=True)) == 30
    assert _seconds(TransientRemoteError("x", may_have_succeeded=False)) < 30


@pytest.mark.parametrize("asked", [60.0, 1800.0])
def test_nobody_comes_back_before_the_server_wants(asked):
    assert _seconds(TransientRemoteError("x", retry_after=asked, may_have_succeeded=False)) == asked


def test_a_short_wish_does_not_shorten_our_own_patience():
    assert _seconds(TransientRemoteError("x", retry_after=0.0, may_have_succeeded=False), attempts=5) > 60


def test_credentials_are_tried_every_ten_minutes_for_ever():
    assert _seconds(CredentialsRejected("x"), failing=timedelta(days=30)) == 600


@pytest.mark.parametrize(
    ("failing", "gives_up"), [(GIVE_UP_AFTER, False), (GIVE_UP_AFTER + timedelta(seconds=1), True)]
)
def test_three_days_are_enough(failing, gives_up):
    decision = decide(TransientRemoteError("x"), attempts=80, failing_since=NOW - failing, now=NOW)
    assert (decision.retry_at is None) is gives_up
    assert (decision.failure_mode is FailureMode.EXCEEDED) is gives_up
