"""The closed vocabularies of the product: every state a row can be in, and what each means."""

from __future__ import annotations

from enum import StrEnum


class PurchaseKind(StrEnum):
    """An order's one-time part, or one subscription."""

    ORDER = "order"
    SUBSCRIPTION = "subscription"


class PurchaseStatus(StrEnum):
    """What the store says of a purchase. Orders use the first four, subscriptions the rest."""

    UNKNOWN = "unknown"  # seen only through a later event (a refund that overtook its order)
    PENDING = "pending"
    NOT_PAID = "not_paid"  # failed or canceled before anything was paid
    COMPLETED = "completed"
    TRIAL = "trial"
    ACTIVE = "active"
    OVERDUE = "overdue"
    PAUSED = "paused"
    CANCELED = "canceled"  # will not renew, still paid for
    ENDED = "ended"


class LicenseState(StrEnum):
    """The state a license should have, or has, on the license server."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    ABSENT = "absent"  # deleted, or never to be made


class QuantityMode(StrEnum):
    """How a quantity above one becomes licenses."""

    PER_UNIT = "per_unit"
    ACTIVATIONS = "activations"
    FLOATING = "floating"
    USERS = "users"


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
    IGNORED = "ignored"  # known, deliberately nothing
    UNSUPPORTED = "unsupported"  # a type we do not know
    MALFORMED = "malformed"  # cannot be read
    HELD = "held"  # a test event, kept apart by setting
    FAILED = "failed"  # our own error; replay after it is mended


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
