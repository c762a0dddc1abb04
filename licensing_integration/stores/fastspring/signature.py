"""FastSpring signs a delivery with ``X-FS-Signature``: base64 of HMAC-SHA256 over the raw body.

https://developer.fastspring.com/reference/message-security. One signature covers the whole batch. There is no timestamp
in it and so no replay window; repeated events are told by their id.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

from licensing_integration.domain.outcomes import RejectionReason
from licensing_integration.exceptions import InvalidSignature
from licensing_integration.stores.base import Delivery, Secret

HEADER = "x-fs-signature"


def sign(body: bytes, secret: str) -> str:
    """What FastSpring puts into the header for ``body``."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def verify(delivery: Delivery, secrets: Sequence[Secret]) -> Sequence[Secret]:
    """Those of ``secrets`` that signed the body; raises ``InvalidSignature`` if none did. Empty ones sign nothing."""
    usable = [secret for secret in secrets if secret.strip()]
    if not usable:
        raise InvalidSignature(
            "No FastSpring webhook secret is configured here. Set the one shown in FastSpring under "
            "Developer Tools > Webhooks as the store's webhook secret.",
            reason=RejectionReason.NO_SECRET,
        )
    received = delivery.headers.get(HEADER, "").strip()
    if not received:
        raise InvalidSignature(
            "The X-FS-Signature header is missing. Enter an HMAC SHA256 Secret for this webhook URL in FastSpring, "
            "and check that no proxy removes the header.",
            reason=RejectionReason.NO_SIGNATURE,
        )
    # Every secret is tried, so that the time taken does not tell which one matched.
    signed_with = [
        secret
        for secret in usable
        if hmac.compare_digest(sign(delivery.body, secret).encode(), received.encode("utf-8", "replace"))
    ]
    if not signed_with:
        raise InvalidSignature(
            "X-FS-Signature matches none of the configured secrets. Compare the HMAC SHA256 Secret of this webhook URL "
            "in FastSpring with the store's webhook secret here, and check that no proxy changes the body.",
            reason=RejectionReason.WRONG_SIGNATURE,
        )
    return signed_with
