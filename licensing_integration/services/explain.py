"""explain: what to answer a customer who asks about a license. Plain words, nothing of how things work in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.utils import timezone

from licensing_integration import conf
from licensing_integration.domain.outcomes import ExpiryMode, LicenseState, SyncState
from licensing_integration.domain.wording import format_day
from licensing_integration.models import HistoryEntry, LicenseLink

# The history kinds that bring a license into each state.
_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    LicenseState.ACTIVE: ("license.issued", "license.reinstated", "license.adopted"),
    LicenseState.SUSPENDED: ("license.suspended", "license.issued", "license.adopted"),
    LicenseState.REVOKED: ("license.revoked",),
    LicenseState.ABSENT: ("license.deleted",),
}


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A reason of planning as a customer understands it, and what the customer can do; either may be empty."""

    why: str = ""
    what_to_do: str = ""


_PAY = (
    "Please pay the open invoice: the store has sent you an e-mail with a link for that. The license then works again "
    "by itself."
)
_ASK = "If you think that this is a mistake, please answer this message."
_CHANGED = "That should not be so. We are looking into it and will come back to you."
_BUY = "You can buy it again at any time in our store."
_RAN_OUT = f"{_BUY} If you have paid for a longer time, please answer this message."

# The beginnings of the reasons that domain/planning.py gives, each with what a customer is told.
CAUSES: Final[Mapping[str, Cause]] = {
    "The order is paid": Cause(why="your order is paid"),
    "Paid": Cause(why="your subscription is paid"),
    "On trial": Cause(why="your trial is running"),
    "Canceled; paid": Cause(
        why="you have canceled the subscription, and the time you paid for has not ended",
        what_to_do="If you want to go on after that, please subscribe again in our store.",
    ),
    "Paused; the policy": Cause(why="your subscription is paused, but the license goes on working"),
    "Paused": Cause(why="your subscription is paused"),
    "The subscription is paused": Cause(
        why="your subscription is paused",
        what_to_do="Please resume the subscription at the store. The license then works again by itself.",
    ),
    "The payment is overdue": Cause(why="the latest payment for your subscription has not arrived", what_to_do=_PAY),
    "The store has given up collecting": Cause(
        why="the latest payment for your subscription could not be collected", what_to_do=_PAY
    ),
    "The payment is disputed": Cause(
        why="the payment is disputed at your bank",
        what_to_do="If you did not mean to dispute it, please withdraw the dispute at your bank and tell us.",
    ),
    "The buyer's bank took the payment back": Cause(why="your bank has taken the payment back", what_to_do=_ASK),
    "The subscription has ended; the policy": Cause(
        why="your subscription has ended, and the license works until the time you paid for is over", what_to_do=_BUY
    ),
    "The subscription has ended": Cause(why="your subscription has ended", what_to_do=_BUY),
    "It was refunded; the policy": Cause(why="you may keep it although the purchase was refunded"),
    "It was refunded": Cause(why="the purchase was refunded", what_to_do=_ASK),
    "The order is not paid": Cause(
        why="your order is not paid yet",
        what_to_do="Please finish the payment in the store. The license is ready as soon as it has arrived.",
    ),
    "No payment for the subscription": Cause(
        why="no payment for your subscription has arrived yet",
        what_to_do="Please finish the payment in the store. The license is ready as soon as it has arrived.",
    ),
    "The order was never completed": Cause(
        why="the order was not completed",
        what_to_do="Please finish the order in the store; the same license key then works.",
    ),
    "The key was given out on the order page": Cause(why="your order is being completed"),
    "The order itself has not arrived": Cause(why="we are waiting for the store to report your order"),
    "Activated; waiting for its order": Cause(why="we are waiting for the store to report your order"),
    "The quantity is now": Cause(
        why="your subscription is now for fewer licenses, and this one is no longer part of it",
        what_to_do="If you need it again, please raise the number of licenses in the store.",
    ),
    "One license stands for all units": Cause(why="one license now stands for everything you bought"),
    "The product needs no license of its own": Cause(why="this product needs no license of its own"),
    "Set by staff": Cause(why="we have arranged it so for you", what_to_do=_ASK),
}


def explain(link: LicenseLink) -> str:
    """A short message to the customer, ready to be sent; in it the end of the key, never all of it."""
    cause = _cause(link)
    parts = [_standing(link), _why(link, cause), _outlook(link, cause)]
    about = f"this is about your license for {_product(link)}{_key(link)}."
    name = conf.order_page().name
    return "\n\n".join(["Hello,", f"{about} {' '.join(filter(None, parts))}", f"Best regards\n{name}".strip()])


def _cause(link: LicenseLink) -> Cause:
    """What is told of the reason: nothing while it could not be brought about, as it is no reason for what is; and why
    a license is active is none for its having run out, unless the buyer has to pay first."""
    if link.sync_state == SyncState.ATTENTION:
        return Cause()
    if state_wanted_instead(link):
        return Cause(what_to_do=_CHANGED)
    cause = cause_of(link.reason)
    return Cause(what_to_do=_RAN_OUT) if _has_run_out(link) and cause.what_to_do != _PAY else cause


def end_before(link: LicenseLink, until: datetime | None) -> datetime | None:
    """When a license that is wanted active expires, if that is before ``until``: an override that says nothing of the
    end date does not put it off. ``None`` if it lasts as long."""
    wanted = link.desired
    if until is None or wanted.get("state") != LicenseState.ACTIVE:
        return None
    match wanted.get("expiry"):
        case ExpiryMode.PERPETUAL:
            return None
        case ExpiryMode.PAID_THROUGH if wanted.get("expires_at"):
            end: datetime | None = datetime.fromisoformat(wanted["expires_at"])
        case _:
            end = link.expires_at
    return end if end and end < until else None


def state_wanted_instead(link: LicenseLink) -> str:
    """The state the license should have, when its server reports another one although nothing is left to be done:
    somebody changed it there. Empty otherwise."""
    wanted = str(link.desired.get("state", ""))
    is_settled = link.sync_state == SyncState.SETTLED and bool(link.observed)
    return wanted if is_settled and is_other_use(wanted, link.state) else ""


def is_other_use(wanted: str, reported: str) -> bool:
    """Whether only one of two states lets the customer work; some license servers know one kind of off alone."""
    return (wanted == LicenseState.ACTIVE) is not (reported == LicenseState.ACTIVE)


def cause_of(reason: str) -> Cause:
    """What a customer is told of a reason of planning; nothing of one that is not known here."""
    known = [beginning for beginning in CAUSES if reason.startswith(beginning)]
    return CAUSES[max(known, key=len)] if known else Cause()


def _product(link: LicenseLink) -> str:
    return link.item.name or "your product"


def _key(link: LicenseLink) -> str:
    return f" (the key that ends in {link.key[-6:]})" if link.key else ""


def _has_run_out(link: LicenseLink) -> bool:
    end = link.expires_at
    return link.state == LicenseState.ACTIVE and end is not None and end <= timezone.now()


def _standing(link: LicenseLink) -> str:
    """The state, since when, and until when."""
    if not link.external_id and link.state == LicenseState.ABSENT:
        is_coming = link.desired.get("state") == LicenseState.ACTIVE
        return "It is being prepared." if is_coming else "There is no license at the moment."
    if link.state == LicenseState.ACTIVE and link.expires_at:
        day = format_day(link.expires_at)
        return f"It ran out on {day}." if _has_run_out(link) else f"It works and is valid until {day}."
    if link.state == LicenseState.ACTIVE:
        return f"It works{' and does not expire' if link.is_endless else ''}."
    words = {LicenseState.SUSPENDED: "It is on hold", LicenseState.REVOKED: "It is no longer valid"}
    since = state_since(link)
    return f"{words.get(LicenseState(link.state), 'It has ended')}{f' since {format_day(since)}' if since else ''}."


def state_since(link: LicenseLink) -> datetime | None:
    """When the license came into its present state; ``None`` if no history tells."""
    kinds = ("license.observed",) if state_wanted_instead(link) else _KINDS[link.state]
    entries = HistoryEntry.objects.filter(link=link, kind__in=kinds).order_by("-id")
    return entries.values_list("at", flat=True).first()


def _why(link: LicenseLink, cause: Cause) -> str:
    return f"The reason: {cause.why}." if cause.why else ""


def _outlook(link: LicenseLink, cause: Cause) -> str:
    """What happens next, or what the customer can do."""
    if link.sync_state == SyncState.PENDING and link.failing_since:
        return "It takes longer than usual; we are looking into it."
    if link.sync_state == SyncState.PENDING:
        return "We are about to change it; this takes a moment."
    if link.sync_state == SyncState.ATTENTION:
        return "We are looking into it and will come back to you."
    until = link.override_until if link.is_overridden and not _has_run_out(link) else None
    if until and not end_before(link, until):
        return f"This holds until {format_day(until)}."
    return cause.what_to_do
