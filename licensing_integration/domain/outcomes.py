"""The closed vocabularies of the product: every state a row can be in, and what each means."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class PurchaseKind(StrEnum):
    """An order's one-time part, or one subscription."""

    ORDER = "order"
    SUBSCRIPTION = "subscription"


class PurchaseStatus(StrEnum):
    """What the store says of a purchase. Orders use the first five, subscriptions all."""

    UNKNOWN = "unknown"  # seen only through a later event (a refund that overtook its order)
    PENDING = "pending"
    PREPARED = "prepared"  # its keys were given out while the store completed it; that it did, we have not heard
    NOT_PAID = "not_paid"  # failed or canceled before anything was paid
    COMPLETED = "completed"
    TRIAL = "trial"
    ACTIVE = "active"
    OVERDUE = "overdue"
    UNPAID = "unpaid"  # the store gave up collecting, but the subscription has not ended
    PAUSED = "paused"
    CANCELED = "canceled"  # will not renew, still paid for
    ENDED = "ended"


class LicenseState(StrEnum):
    """The state a license should have, or has, on the license server."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    ABSENT = "absent"  # deleted, or never to be made


class ReplayState(StrEnum):
    """How far a bulk replay has come."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CANCELED = "canceled"


class MailState(StrEnum):
    """How far a mail with license keys has come."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


class QuantityMode(StrEnum):
    """How a quantity above one becomes licenses."""

    PER_UNIT = "per_unit"
    ACTIVATIONS = "activations"
    FLOATING = "floating"
    USERS = "users"


class LicenseType(StrEnum):
    """What limits a license. Fixed when it is made."""

    PERPETUAL = "perpetual"
    TIME_LIMITED = "time-limited"
    SUBSCRIPTION = "subscription"
    CONSUMPTION = "consumption"


class PolicyPreset(StrEnum):
    """Whose FastSpring guide says what happens to a license."""

    CRYPTLEX = "cryptlex"
    LICENSESPRING = "licensespring"


class ExpiryMode(StrEnum):
    """Where a license's end date comes from."""

    PAID_THROUGH = "paid_through"
    INTERVAL = "interval"
    PERPETUAL = "perpetual"
    TEMPLATE = "template"  # whatever the license template says; we send no date


class OverdueAction(StrEnum):
    SUSPEND = "suspend"
    LOG = "log"


class EndAction(StrEnum):
    """What happens to a license whose subscription ended or whose unit is no longer paid for."""

    DELETE = "delete"
    REVOKE = "revoke"
    SUSPEND = "suspend"
    LEAVE = "leave"


class PauseAction(StrEnum):
    SUSPEND = "suspend"
    IGNORE = "ignore"


class RefundAction(StrEnum):
    SUSPEND = "suspend"
    REVOKE = "revoke"
    DELETE = "delete"
    IGNORE = "ignore"
    ASK = "ask"


class DisputeAction(StrEnum):
    SUSPEND = "suspend"
    IGNORE = "ignore"


class EventState(StrEnum):
    """The verdict on one webhook event."""

    RECEIVED = "received"  # stored, work is waiting
    APPLIED = "applied"  # understood, its purchases are up to date with it
    IGNORED = "ignored"  # known, deliberately nothing; or set aside by a person, and then with a problem
    UNSUPPORTED = "unsupported"  # a type we do not know
    MALFORMED = "malformed"  # cannot be read
    HELD = "held"  # a test event, kept apart by setting
    FAILED = "failed"  # our own error; replay after it is mended


UNPROCESSABLE: Final = (EventState.FAILED, EventState.MALFORMED, EventState.UNSUPPORTED)
"""Verdicts after which nothing comes of an event until a person has looked at it."""


class RejectionReason(StrEnum):
    """Why a delivery was refused, so that nothing of it was stored."""

    NO_SECRET = "no_secret"  # noqa: S105 - none is configured for the store
    NO_SIGNATURE = "no_signature"
    UNREADABLE_SIGNATURE = "unreadable_signature"  # there is one, but not of the form the store uses
    WRONG_SIGNATURE = "wrong_signature"  # no configured secret signs these bytes
    CHANGED_BODY = "changed_body"  # a configured secret signed other bytes that mean the same
    OLD_SIGNATURE = "old_signature"  # rightly signed, at a time too far from ours
    BAD_SIGNATURE = "bad_signature"  # the adapter does not say more
    NO_LENGTH = "no_length"
    TOO_LARGE = "too_large"
    WRONG_HASH = "wrong_hash"  # keys were asked for, with a hash that no configured private key makes


class SyncState(StrEnum):
    """How a license link stands between desired and observed."""

    PENDING = "pending"  # desired differs from what was last applied
    SETTLED = "settled"
    ATTENTION = "attention"  # stopped for a person, see the failure mode


class FailureMode(StrEnum):
    """Why something stopped for a person."""

    NONE = ""
    CONFIG = "config"  # credentials, mapping or attribute must be corrected
    PERMANENT = "permanent"  # the license server refused
    EXCEEDED = "exceeded"  # gave up after three days of transient failures
    INTERNAL = "internal"  # our bug
