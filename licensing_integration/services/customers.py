"""What a store's customers said of themselves last. Kept, because a purchase may be heard of later than that."""

from __future__ import annotations

from django.db import connection

from licensing_integration.domain.facts import CustomerFact
from licensing_integration.domain.folding import fold
from licensing_integration.domain.purchases import PurchaseState
from licensing_integration.models import StoreCustomer
from licensing_integration.services.codec import from_json, to_json

# Events come in any order: only a later word replaces an earlier one.
_REMEMBER = """
INSERT INTO licensing_integration_storecustomer AS known (store, external_id, occurred_at, event_id, fact)
VALUES (%s, %s, %s, %s, %s::jsonb)
ON CONFLICT (store, external_id) DO UPDATE
   SET occurred_at = excluded.occurred_at, event_id = excluded.event_id, fact = excluded.fact
 WHERE (known.occurred_at, known.event_id) < (excluded.occurred_at, excluded.event_id)
"""


def remember_customer(store: str, fact: CustomerFact, *, event_id: str) -> None:
    """Keep what a customer says, for purchases that we have not heard of."""
    encoded = StoreCustomer._meta.get_field("fact").get_db_prep_value(to_json(fact), connection)
    with connection.cursor() as cursor:
        cursor.execute(_REMEMBER, [store, fact.customer.external_id, fact.occurred_at, event_id, encoded])


def with_known_customer(store: str, state: PurchaseState, *, customer_id: str) -> PurchaseState:
    """``state`` with what its customer has said before, or since."""
    known = StoreCustomer.objects.filter(store=store, external_id=customer_id).first()
    if known is None:
        return state
    return fold(state, from_json(known.fact, CustomerFact), event_id=known.event_id)
