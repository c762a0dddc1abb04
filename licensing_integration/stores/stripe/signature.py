"""Stripe signs a delivery with ``Stripe-Signature: t=<seconds>,v1=<hex>``, by the whole endpoint secret.

https://docs.stripe.com/webhooks#verify-manually. The official SDK verifies; ours are the check of the time, which the
SDK makes in one direction only, and the words that tell the operator why a delivery was refused.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Final

import stripe

from licensing_integration.domain.outcomes import RejectionReason
from licensing_integration.exceptions import InvalidSignature
from licensing_integration.stores.base import LONGEST_HEADER, Delivery, Secret
from licensing_integration.stores.stripe.rewritten import originals

HEADER: Final = "stripe-signature"
TOLERANCE_S: Final = 300  # Stripe's own default; every attempt is signed anew, so an honest one is never older

_SECONDS = re.compile(r"[0-9]{1,15}", re.ASCII)


def sign(body: bytes, secret: str, *, timestamp: int) -> str:
    """What Stripe puts into the header for ``body``, sent at ``timestamp`` (seconds since 1970)."""
    return str(stripe.WebhookSignature.generate_signature_header(body.decode(), secret, timestamp))


def without_signatures(header: str) -> str:
    """The time at which a delivery was signed, as the header says it; the signatures are left out."""
    return ",".join(part for part in header[:LONGEST_HEADER].split(",") if part.strip().startswith("t="))


def verify(delivery: Delivery, secrets: Sequence[Secret], *, now: Callable[[], float] = time.time) -> Sequence[Secret]:
    """Those of ``secrets`` that signed the body; raises ``InvalidSignature`` if none did within 5 minutes of ``now``.

    Empty secrets sign nothing. While a secret is being rolled, Stripe signs with both.
    """
    usable = [secret for secret in secrets if secret.strip()]
    if not usable:
        raise _no_secret()
    header = delivery.headers.get(HEADER, "").strip()
    signed_at = _read_timestamp(header)
    signed_with = _signing(delivery.body, header, usable)
    if not signed_with:
        raise _wrong(delivery.body, header, usable)
    age = now() - signed_at
    if abs(age) > TOLERANCE_S:
        raise _out_of_time(age)
    return signed_with


def _read_timestamp(header: str) -> int:
    """When the delivery says it was sent. There has to be one time only: that which was signed.

    Schemes other than ``v1`` are test signatures and mean nothing.
    """
    if not header:
        raise InvalidSignature(
            "The Stripe-Signature header is missing. Whatever sent this is not Stripe, or a proxy removes the header.",
            reason=RejectionReason.NO_SIGNATURE,
        )
    parts = [part.partition("=") for part in header.split(",")] if header.isascii() else []
    times = [value for name, _, value in parts if name == "t"]
    is_signed = any(name == "v1" and value for name, _, value in parts)
    if len(times) != 1 or not _SECONDS.fullmatch(times[0]) or not is_signed:
        raise InvalidSignature(
            "The Stripe-Signature header is not of the form t=…,v1=…. Check that no proxy shortens or rewrites it.",
            reason=RejectionReason.UNREADABLE_SIGNATURE,
        )
    return int(times[0])


def _signing(body: bytes, header: str, secrets: Sequence[Secret]) -> list[Secret]:
    """Every secret is tried, so that the time taken does not tell which one matched."""
    return [secret for secret in secrets if _signs(secret, body, header)]


def _signs(secret: Secret, body: bytes, header: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body, header, secret))
    except (stripe.SignatureVerificationError, UnicodeDecodeError):  # Stripe signs text only
        return False


def _no_secret() -> InvalidSignature:
    return InvalidSignature(
        "No Stripe webhook secret is configured here. Set the signing secret (whsec_…) that Stripe shows for this "
        "endpoint under Developers > Webhooks as the store's webhook secret.",
        reason=RejectionReason.NO_SECRET,
    )


def _wrong(body: bytes, header: str, secrets: Sequence[Secret]) -> InvalidSignature:
    """A body that was merely written anew can be told from a wrong secret: one of its likely originals verifies."""
    if any(_signing(original, header, secrets) for original in originals(body)):
        return InvalidSignature(
            "The secret is right, but the body was changed on the way: something in front of this server (a proxy, a "
            "gateway, a middleware) reads the JSON and writes it anew. Have it pass on the bytes as they came.",
            reason=RejectionReason.CHANGED_BODY,
        )
    return InvalidSignature(
        "Stripe-Signature matches none of the configured secrets. Compare the signing secret (whsec_…) of this very "
        "endpoint in Stripe with the store's webhook secret here: every endpoint has its own, in test mode another "
        "than in live mode. If they are the same, check that no proxy changes the body.",
        reason=RejectionReason.WRONG_SIGNATURE,
    )


def _out_of_time(age: float) -> InvalidSignature:
    when = f"{age:.0f} seconds ago" if age > 0 else f"{-age:.0f} seconds in the future"
    return InvalidSignature(
        f"The secret is right, but the delivery was signed {when}; {TOLERANCE_S} are allowed. Either it was delayed on "
        "the way (or recorded and sent again), or the clock of this machine is wrong: set it by a time server.",
        reason=RejectionReason.OLD_SIGNATURE,
    )
