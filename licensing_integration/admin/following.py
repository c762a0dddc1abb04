"""Pages that follow by themselves: while a worker is about to change what they show, they ask for themselves again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from django.http import HttpRequest

from licensing_integration.admin.history import Timeline
from licensing_integration.domain.outcomes import SyncState
from licensing_integration.models import LicenseLink

MOST_LOOKS: Final = 30
"""Every two seconds one, so a minute: what takes longer is not waited for."""

_AT_WORK: Final = timedelta(minutes=1)

# What a person asks for and a worker does soon after; until it begins, nothing else tells that something will change.
_SETS_OFF: Final = frozenset(
    {
        "license.resync",
        "license.issue_again",
        "license.overridden",
        "license.override_ended",
        "purchase.dispute_closed",
        "purchase.plan_again",
    }
)


def next_look(request: HttpRequest, links: Iterable[LicenseLink], timeline: Timeline, *, now: datetime) -> int:
    """The number of the next look at a page of ``links`` with this ``timeline``; 0 when nothing is about to change, or
    on a page that was not simply opened: it may hold what the next one would not, such as a whole key. A license that
    is tried again later than somebody looks is left alone."""
    text = request.GET.get("look", "")
    number = int(text) + 1 if text.isascii() and text.isdigit() and len(text) < 3 else 1
    is_plain = request.method == "GET" and timeline.is_newest
    is_moving = any(_is_soon(link, now=now) for link in links) or _was_just_asked(timeline, now=now)
    return number if is_plain and is_moving and number <= MOST_LOOKS else 0


def _is_soon(link: LicenseLink, *, now: datetime) -> bool:
    return link.sync_state == SyncState.PENDING and (link.retry_at is None or link.retry_at < now + _AT_WORK)


def _was_just_asked(timeline: Timeline, *, now: datetime) -> bool:
    entry = timeline.told[0].entry if timeline.told else None
    return entry is not None and entry.kind in _SETS_OFF and entry.at > now - _AT_WORK
