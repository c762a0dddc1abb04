"""Refused deliveries, counted for the operator: by store and reason, and nothing else.

Whoever sends them decides what they contain and how many there are. So no part of them is kept, the table cannot grow
beyond one row per configured store and reason, and a process writes each row at most once in ten seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from licensing_integration import conf
from licensing_integration.domain.outcomes import RejectionReason
from licensing_integration.exceptions import DeliveryRejected
from licensing_integration.models import RejectedDelivery
from licensing_integration.services import tallies
from licensing_integration.services.tallies import Tally

RECENTLY: Final = timedelta(hours=24)

_ADD = """
INSERT INTO licensing_integration_rejecteddelivery AS old (store, reason, count, first_at, last_at)
VALUES (%(store)s, %(reason)s, %(number)s, statement_timestamp(), statement_timestamp())
ON CONFLICT (store, reason) DO UPDATE
   SET count = excluded.count + CASE WHEN old.last_at < excluded.last_at - %(day)s THEN 0 ELSE old.count END,
       first_at = CASE WHEN old.last_at < excluded.last_at - %(day)s THEN excluded.first_at ELSE old.first_at END,
       last_at = excluded.last_at
"""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """``meaning``: what was wrong with the deliveries. ``advice``: what the operator does about it."""

    meaning: str
    advice: str


_STRANGER = "A few may be somebody trying addresses: nothing to do."
_EXPLANATIONS: Mapping[RejectionReason, Explanation] = MappingProxyType(
    {
        RejectionReason.NO_SECRET: Explanation(
            meaning="no webhook secret is configured here",
            advice="Set {prefix}_WEBHOOK_SECRET to the secret of this webhook in the store, and restart.",
        ),
        RejectionReason.NO_SIGNATURE: Explanation(
            meaning="not signed at all",
            advice="Give this webhook a secret in the store, and check that no proxy removes the signature's header. "
            + _STRANGER,
        ),
        RejectionReason.UNREADABLE_SIGNATURE: Explanation(
            meaning="with a signature that cannot be read",
            advice="Check that the address in the store names the right store, and that no proxy changes headers. "
            + _STRANGER,
        ),
        RejectionReason.WRONG_SIGNATURE: Explanation(
            meaning="signed with another secret, or changed on the way",
            advice="Compare {prefix}_WEBHOOK_SECRET with the secret of this very webhook in the store; while one is "
            "being replaced, list both. If they are the same, a proxy changes the body: have it pass the bytes as they "
            "are. " + _STRANGER,
        ),
        RejectionReason.CHANGED_BODY: Explanation(
            meaning="changed on the way, though rightly signed",
            advice="Something in front reads the body and writes it anew: have it pass the bytes as they are.",
        ),
        RejectionReason.OLD_SIGNATURE: Explanation(
            meaning="signed too long ago, or in the future",
            advice="Set this machine's clock by a time server, and check that no proxy keeps deliveries back. "
            "A few may be somebody sending old deliveries again: nothing to do.",
        ),
        RejectionReason.WRONG_HASH: Explanation(
            meaning="requests for keys whose hash no private key makes",
            advice="Compare {prefix}_FULFILMENT_KEY with the private key on the Security tab of the fulfilment in the "
            "store; every product's fulfilment has its own, so list them all. " + _STRANGER,
        ),
        RejectionReason.BAD_SIGNATURE: Explanation(
            meaning="without a valid signature",
            advice="The lines 'delivery rejected' in the log say more. " + _STRANGER,
        ),
        RejectionReason.NO_LENGTH: Explanation(
            meaning="without their length",
            advice="Have the proxy in front take whole requests and pass on Content-Length. " + _STRANGER,
        ),
        RejectionReason.TOO_LARGE: Explanation(
            meaning="larger than allowed",
            advice="If they are the store's, raise WEBHOOK_MAX_BYTES and restart. " + _STRANGER,
        ),
    }
)


_tally = Tally()


def count(store_name: str, error: DeliveryRejected, *, tally: Tally = _tally) -> None:
    """Count a refused delivery. Never raises: whatever happens, the caller of the endpoint gets its refusal."""
    # Names of stores come from addresses anybody can ask for; only configured ones get a row.
    if not error.reason or conf.store(store_name) is None:
        return
    reason = _known(error.reason)
    number = tally.add((store_name, reason))
    if number:
        _write(store_name, reason, number)


def explain(row: RejectedDelivery) -> Explanation:
    """What it means and what to do, for this store."""
    explanation = _EXPLANATIONS[_known(row.reason)]
    prefix = conf.prefix_of(row.store)
    return Explanation(meaning=explanation.meaning, advice=explanation.advice.format(prefix=prefix))


def recent(*, now: datetime) -> Sequence[RejectedDelivery]:
    """Stores and reasons with a refusal in the last 24 hours."""
    return list(RejectedDelivery.objects.filter(last_at__gte=now - RECENTLY).order_by("store", "reason"))


def _known(reason: str) -> RejectionReason:
    try:
        return RejectionReason(reason)
    except ValueError:
        return RejectionReason.BAD_SIGNATURE


def _write(store_name: str, reason: RejectionReason, number: int) -> None:
    arguments: dict[str, Any] = {"store": store_name, "reason": reason.value, "number": number, "day": RECENTLY}
    tallies.write(_ADD, arguments, what="refused deliveries")
