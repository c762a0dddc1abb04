"""What the console's templates share: moments in the reader's zone, and states as coloured labels."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from licensing_integration.domain.outcomes import LicenseState, SyncState

register = template.Library()

_GOOD, _BAD, _WARN, _INFO, _PLAIN = "success", "danger", "warning", "info", ""

# Every state that any row of ours can be in; one that is not here is shown without a colour.
_TONES: Final[Mapping[str, str]] = {
    # licenses
    "active": _GOOD, "suspended": _WARN, "revoked": _BAD, "absent": _PLAIN,
    # whether a license is in step with its server
    "settled": _GOOD, "pending": _INFO, "attention": _BAD,
    # purchases
    "completed": _GOOD, "trial": _INFO, "overdue": _WARN, "unpaid": _BAD, "paused": _WARN, "canceled": _PLAIN,
    "prepared": _INFO, "not_paid": _PLAIN, "ended": _PLAIN, "unknown": _WARN,
    # webhook events
    "received": _INFO, "applied": _GOOD, "ignored": _PLAIN, "held": _WARN, "failed": _BAD, "malformed": _BAD,
    "unsupported": _WARN,
    # bulk replays
    "waiting": _INFO, "running": _INFO, "done": _GOOD,
}  # fmt: skip


# Whether a license is in step with its server, in the words of lists, pages and filters.
IN_STEP: Final[Mapping[str, str]] = {
    SyncState.SETTLED: "as wanted",
    SyncState.PENDING: "being changed",
    SyncState.ATTENTION: "waits for a person",
}


# How a license ends that has no end date: not at all, or as nobody has told yet.
NEVER: Final = "never"
NO_DATE: Final = "no end date"


class Expiring(Protocol):
    """What ``expires`` needs to know of a license link."""

    @property
    def external_id(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def expires_at(self) -> datetime | None: ...
    @property
    def is_endless(self) -> bool: ...


@register.filter
def moment(value: datetime | None, precision: str = "minutes") -> SafeString:
    """A moment: in UTC as written here, in the reader's zone once the page's script has run, with the exact UTC on
    hover. ``precision``: ``minutes`` or ``seconds``. Nothing for ``None``."""
    if value is None:
        return SafeString("")
    value = value.astimezone(UTC)
    exact = value.strftime("%Y-%m-%d %H:%M:%S UTC")
    return format_html(
        '<time datetime="{}" title="{}" data-precision="{}">{}</time>',
        value.strftime("%Y-%m-%dT%H:%M:%SZ"),
        exact,
        precision,
        exact if precision == "seconds" else value.strftime("%Y-%m-%d %H:%M UTC"),
    )


@register.simple_tag
def expires(link: Expiring) -> SafeString:
    """When a license expires, as far as that is known."""
    if not link.external_id or link.state == LicenseState.ABSENT:
        return SafeString("–")
    return moment(link.expires_at) or SafeString(NEVER if link.is_endless else NO_DATE)


@register.simple_tag
def state(value: str, label: str = "") -> SafeString:
    """A state as a coloured label; ``label`` is what it says instead of the state's own name."""
    tone = _TONES.get(value, _PLAIN)
    return tag(label or value.replace("_", " "), tone)


@register.simple_tag
def in_step(sync_state: str) -> SafeString:
    """Whether a license is in step with its server, as a coloured label."""
    return state(sync_state, IN_STEP[sync_state])


@register.simple_tag
def tag(text: object, tone: str = "") -> SafeString:
    """A small label. ``tone``: ``success``, ``warning``, ``danger``, ``info`` or nothing."""
    return format_html('<span class="li-tag{}">{}</span>', f" li-{tone}" if tone else "", text)


@register.simple_tag
def named(text: str, term: str) -> SafeString:
    """A name, marked if it is what was searched for, capitals or not."""
    return format_html("<mark>{}</mark>" if text.lower() == term.lower() else "{}", text)
