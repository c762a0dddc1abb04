"""FastSpring: https://developer.fastspring.com/docs/webhooks-overview. Set-up: docs/stores/fastspring.md."""

from __future__ import annotations

from licensing_integration.domain.outcomes import PurchaseKind
from licensing_integration.stores.base import StoreAdapter
from licensing_integration.stores.fastspring.catch_up import catch_up
from licensing_integration.stores.fastspring.check_api import check_api
from licensing_integration.stores.fastspring.enrich import FastSpringApi, enrich
from licensing_integration.stores.fastspring.fulfilment import EVENT_TYPE as KEYS_REQUESTED
from licensing_integration.stores.fastspring.fulfilment import read_fulfilment
from licensing_integration.stores.fastspring.products import list_products
from licensing_integration.stores.fastspring.samples import KINDS as SAMPLES
from licensing_integration.stores.fastspring.samples import build_sample
from licensing_integration.stores.fastspring.signature import verify
from licensing_integration.stores.fastspring.split import split
from licensing_integration.stores.fastspring.translate import IGNORED, TRANSLATORS
from licensing_integration.stores.fastspring.trial_event import make_test_event

ADAPTER = StoreAdapter(
    slug="fastspring",
    verify=verify,
    split=split,
    translators=TRANSLATORS,
    ignored=IGNORED,
    reference_keys={
        PurchaseKind.ORDER: ("fastspring_order_id",),
        PurchaseKind.SUBSCRIPTION: ("fastspring_subscription_id",),
    },
    build_api=FastSpringApi,
    api_needs_username=True,
    enrich=enrich,
    read_fulfilment=read_fulfilment,
    catch_up=catch_up,
    list_products=list_products,
    check_api=check_api,
    make_test_event=make_test_event,
    made_here=frozenset({KEYS_REQUESTED}),
    samples=SAMPLES,
    build_sample=build_sample,
)
