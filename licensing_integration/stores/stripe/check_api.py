"""Whether the API key works, and what it may read: a restricted key has a permission for each kind of object.

Stripe answers 403 with a sentence that names the missing permission. https://docs.stripe.com/keys#limit-access
"""

from __future__ import annotations

from typing import Final

from licensing_integration.exceptions import CredentialsRejected, LicensingIntegrationError
from licensing_integration.stores.base import StoreApi

# Path, the permission as Stripe's dashboard calls it, and what is lost without; docs/stores/stripe.md has the same.
PROBES: Final = (
    ("/v1/checkout/sessions", "Checkout Sessions", "nobody learns what a session sold"),
    ("/v1/subscriptions", "Subscriptions", "a subscription cannot be read as it is now"),
    ("/v1/invoices", "Invoices", "a refunded payment cannot be traced to its invoice"),
    ("/v1/customers", "Customers", "a subscription's customer has no e-mail address"),
    ("/v1/products", "Products", "names and metadata of products are missing"),
    ("/v1/prices", "Prices", "metadata of prices is missing"),
    ("/v1/events", "Events", "undelivered events cannot be fetched"),
)


def check_api(api: StoreApi) -> list[str]:
    """What is wrong with the key, in sentences; empty when nothing is. Changes nothing.

    One entry of each list is read. What is no matter of permissions ends it: the next call would say the same.
    """
    problems: list[str] = []
    for path, permission, consequence in PROBES:
        try:
            api.get(path, params={"limit": 1})
        except LicensingIntegrationError as error:
            if not (isinstance(error, CredentialsRejected) and error.is_permission):
                return [*problems, str(error)]
            problems.append(f"{error} ({permission}: Read; without it {consequence})")
    return problems
