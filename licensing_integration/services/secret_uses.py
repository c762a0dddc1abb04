"""Which of the secrets configured for a store it signs with: what somebody who replaces one wants to know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.utils.crypto import salted_hmac

from licensing_integration.services import tallies
from licensing_integration.services.tallies import Tally
from licensing_integration.stores.base import Secret

FINGERPRINT_LENGTH: Final = 12

_SALT: Final = "licensing_integration.secret_uses"
_NOTE: Final = """
INSERT INTO licensing_integration_secretuse (store, fingerprint, last_at)
VALUES (%(store)s, %(fingerprint)s, statement_timestamp())
ON CONFLICT (store, fingerprint) DO UPDATE SET last_at = excluded.last_at
"""

_tally = Tally()


def fingerprint(secret: Secret) -> str:
    """Tells secrets apart and gives nothing of them away, not even to whoever guesses one: it takes ``SECRET_KEY``."""
    return salted_hmac(_SALT, secret, algorithm="sha256").hexdigest()[:FINGERPRINT_LENGTH]


def note(store_name: str, secrets: Sequence[Secret], *, tally: Tally = _tally) -> None:
    """A delivery of the store was signed with these. Never raises, and writes seldom."""
    for secret in secrets:
        mark = fingerprint(secret)
        if tally.add((store_name, mark)):
            tallies.write(_NOTE, {"store": store_name, "fingerprint": mark}, what="use of a secret")
