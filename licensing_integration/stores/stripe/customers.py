"""Customers who change their name or address. A customer is no purchase, so creating or deleting one means nothing."""

from __future__ import annotations

from licensing_integration.domain.facts import CustomerFact, PurchaseFact
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.stripe.shapes import previous_attributes, read_customer, read_head, read_object

_WORDS = {"email": "e-mail address", "name": "name", "business_name": "company", "individual_name": "name"}


def translate_customer_updated(event: Payload) -> tuple[PurchaseFact, ...]:
    """The customer as it is now. Whose purchases it concerns is told by ``customer.external_id``."""
    head = read_head(event)
    fact = CustomerFact(
        occurred_at=head.occurred_at,
        is_live=head.is_live,
        note=f"Customer changed in Stripe: {_changes(event)}.",
        customer=read_customer(read_object(event)),
    )
    return (fact,)


def _changes(event: Payload) -> str:
    """What changed, never from what to what: that is personal data."""
    before = previous_attributes(event)
    names = before.raw if before is not None and before.is_mapping else {}
    words = dict.fromkeys(word for name, word in _WORDS.items() if name in names)
    return " and ".join(words) or "other details"
