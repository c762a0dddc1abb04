"""Retry policy, in one place: an error and what came before it decide what happens next."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from licensing_integration import conf
from licensing_integration.domain.outcomes import FailureMode
from licensing_integration.exceptions import (
    ConfigurationProblem,
    CredentialsRejected,
    PermanentRemoteError,
    TransientRemoteError,
    UnsupportedOperation,
)

GIVE_UP_AFTER = timedelta(days=3)
LONGEST_DELAY_SECONDS = 3600.0
CREDENTIALS_DELAY = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """``retry_at=None``: a person has to act first. ``is_clear``: the failed attempt certainly changed nothing."""

    retry_at: datetime | None
    failure_mode: FailureMode
    is_clear: bool


def decide(error: Exception, *, attempts: int, failing_since: datetime, now: datetime) -> Decision:
    """What to do after ``error``, the ``attempts``-th failure in a row since ``failing_since``."""
    decision = _decide(error, attempts=attempts, failing_since=failing_since, now=now)
    return replace(decision, is_clear=decision.is_clear and not getattr(error, "is_partial", False))


def _decide(error: Exception, *, attempts: int, failing_since: datetime, now: datetime) -> Decision:
    match error:
        case TransientRemoteError():
            return _retry_later(error, attempts=attempts, failing_since=failing_since, now=now)
        case CredentialsRejected():
            return Decision(retry_at=now + CREDENTIALS_DELAY, failure_mode=FailureMode.CONFIG, is_clear=True)
        case ConfigurationProblem():
            return Decision(retry_at=None, failure_mode=FailureMode.CONFIG, is_clear=True)
        case PermanentRemoteError() | UnsupportedOperation():
            return Decision(retry_at=None, failure_mode=FailureMode.PERMANENT, is_clear=True)
        case _:
            return Decision(retry_at=None, failure_mode=FailureMode.INTERNAL, is_clear=False)


def describe(error: Exception, decision: Decision) -> str:
    """The sentence a person reads about it."""
    if decision.failure_mode is FailureMode.INTERNAL:
        return f"An error of ours stopped this ({type(error).__name__}); the log has the details."
    if decision.failure_mode is FailureMode.EXCEEDED:
        return f"Given up after three days: {error}"
    return str(error)


def _retry_later(error: TransientRemoteError, *, attempts: int, failing_since: datetime, now: datetime) -> Decision:
    is_clear = not error.may_have_succeeded
    if now - failing_since > GIVE_UP_AFTER:
        return Decision(retry_at=None, failure_mode=FailureMode.EXCEEDED, is_clear=is_clear)
    delay = min(conf.retry_first_delay_seconds() * 2 ** min(attempts - 1, 12), LONGEST_DELAY_SECONDS)
    delay *= random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not cryptography
    at_least = max(error.retry_after or 0.0, conf.settling_seconds() if error.may_have_succeeded else 0.0)
    return Decision(
        retry_at=now + timedelta(seconds=max(delay, at_least)), failure_mode=FailureMode.NONE, is_clear=is_clear
    )
