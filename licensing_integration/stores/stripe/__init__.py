"""Stripe: https://docs.stripe.com/webhooks. Set-up: docs/stores/stripe.md."""

from __future__ import annotations

import re
from typing import Final

from licensing_integration.domain.outcomes import EndAction, PurchaseKind
from licensing_integration.domain.terms import Policies
from licensing_integration.stores.base import KEPT_FROM_EVERY_STORE, StoreAdapter
from licensing_integration.stores.stripe.catch_up import catch_up
from licensing_integration.stores.stripe.check_api import check_api
from licensing_integration.stores.stripe.enrich import StripeApi, enrich
from licensing_integration.stores.stripe.products import list_products
from licensing_integration.stores.stripe.samples import KINDS as SAMPLES
from licensing_integration.stores.stripe.samples import build_sample
from licensing_integration.stores.stripe.signature import HEADER, verify, without_signatures
from licensing_integration.stores.stripe.split import split
from licensing_integration.stores.stripe.translate import IGNORED, TRANSLATORS
from licensing_integration.stores.stripe.trial_event import make_test_event

# The id of a Checkout session, which Stripe tells the buyer's browser and nobody else.
_SESSION_ID: Final = re.compile(r"cs_[A-Za-z0-9_]{40,}", re.ASCII)


def is_session_id(reference: str) -> bool:
    """Whether ``reference`` is too long to be guessed, so that only the buyer (and the shop) can know it."""
    return _SESSION_ID.fullmatch(reference) is not None


ADAPTER = StoreAdapter(
    slug="stripe",
    verify=verify,
    split=split,
    translators=TRANSLATORS,
    ignored=IGNORED,
    reference_keys={
        PurchaseKind.ORDER: ("stripe_transaction_id",),
        PurchaseKind.SUBSCRIPTION: ("stripe_subscription_id", "subscription_id", "SUBSCRIPTION_ID_KEY"),
    },
    # A renewal is charged an hour after its period began, or days later where an invoice is held up. What ended may be
    # bought again, or turn out to have been paid: so it is suspended rather than deleted.
    policies=Policies(extra_days=3, overdue_grace_days=7, ended_action=EndAction.SUSPEND),
    kept_headers={**KEPT_FROM_EVERY_STORE, HEADER: without_signatures},
    has_several_names=True,
    build_api=StripeApi,
    enrich=enrich,
    catch_up=catch_up,
    list_products=list_products,
    check_api=check_api,
    make_test_event=make_test_event,
    is_secret_reference=is_session_id,
    samples=SAMPLES,
    build_sample=build_sample,
)
