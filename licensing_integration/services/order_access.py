"""Who may see an order's page: whoever knows what only its buyer, or the shop, can know."""

from __future__ import annotations

import hashlib
import hmac

from django.urls import reverse

from licensing_integration import conf
from licensing_integration.exceptions import ConfigurationProblem
from licensing_integration.services.connections import adapter_of

LONGEST_REFERENCE = 200  # as long as a purchase's id can be


def may_see(store: str, reference: str, *, token: str) -> bool:
    """Whether ``reference`` is a secret by itself, or ``token`` was made for it. Says nothing about whether such an
    order exists."""
    if not _is_readable(reference) or conf.store(store) is None:
        return False
    return is_secret(store, reference) or _is_right(token, store, reference)


def is_secret(store: str, reference: str) -> bool:
    """Whether the store itself gives this id to nobody but the buyer. No for a store without a known adapter."""
    try:
        return adapter_of(store).is_secret_reference(reference)
    except ConfigurationProblem:
        return False


def token_for(store: str, reference: str) -> str:
    """The token that opens the order's page: what a shop computes for itself, too (docs/order-page.md).

    Raises ``ConfigurationProblem`` without a secret, or for what cannot be an id of an order.
    """
    secrets = conf.order_page().secrets
    if not secrets:
        raise ConfigurationProblem("Set ORDER_PAGE_SECRET to a long random text; without it no token opens a page.")
    if not _is_readable(reference):
        raise ConfigurationProblem(f"An order id has 1 to {LONGEST_REFERENCE} characters, all of them visible, no /.")
    return _token(secrets[0], store, reference)


def address_of(store: str, reference: str) -> str:
    """The address of the order's page; only its path where the public address of this service is not configured.

    Raises ``ConfigurationProblem`` when it needs a token and none can be made.
    """
    token = "" if is_secret(store, reference) else f"?token={token_for(store, reference)}"  # refuses what has no path
    path = reverse("order-page", args=[store, reference])
    return f"{conf.order_page().base_url.rstrip('/')}{path}{token}"


def _is_right(token: str, store: str, reference: str) -> bool:
    given = token.encode(errors="replace")
    # Every secret is tried, and each comparison takes the same time wherever the first difference is.
    verdicts = [
        hmac.compare_digest(given, _token(secret, store, reference).encode()) for secret in conf.order_page().secrets
    ]
    return any(verdicts)


def _token(secret: str, store: str, reference: str) -> str:
    """A store's name holds no slash, so no two orders share a message."""
    return hmac.new(secret.encode(), f"{store}/{reference}".encode(), hashlib.sha256).hexdigest()


def _is_readable(reference: str) -> bool:
    """Whether it could be an id at all; PostgreSQL, for one, takes no NUL."""
    return 0 < len(reference) <= LONGEST_REFERENCE and reference.isprintable() and "/" not in reference
