"""Rows for tests. Every factory makes a row that could have come from the product itself.

``LicenseLinkFactory()`` is an issued, settled license of a paid order; traits and arguments make it something else.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import factory
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.forms.models import model_to_dict
from django.utils import timezone
from factory.django import DjangoModelFactory

from licensing_integration import models
from licensing_integration.domain.facts import Customer, Subscription
from licensing_integration.domain.licenses import DesiredLicense, LicenseSnapshot
from licensing_integration.domain.outcomes import (
    EventState,
    ExpiryMode,
    LicenseState,
    PurchaseKind,
    PurchaseStatus,
    SyncState,
)
from licensing_integration.domain.purchases import Dispute, PurchaseState, Version
from licensing_integration.domain.terms import Terms
from licensing_integration.services.codec import to_json

PASSWORD = "correct horse battery staple"


class UserFactory(DjangoModelFactory):
    """Somebody who may enter the admin, and nothing more. ``role``: the group to put them in."""

    class Meta:
        model = get_user_model()
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"user{n}")
    is_staff = True
    password = factory.django.Password(PASSWORD)

    @factory.post_generation
    def role(self, create: bool, name: str | None, **kwargs: Any) -> None:
        if name:
            self.groups.add(Group.objects.get(name=name))


class ProductMappingFactory(DjangoModelFactory):
    class Meta:
        model = models.ProductMapping

    store = "fastspring"
    store_product = factory.Sequence(lambda n: f"product-{n}")
    product_id = "prod-1"
    template_id = "tmpl-1"


class MappingVersionFactory(DjangoModelFactory):
    class Meta:
        model = models.MappingVersion

    mapping = factory.SubFactory(ProductMappingFactory)
    number = factory.LazyAttribute(lambda version: version.mapping.versions.count() + 1)
    values = factory.LazyAttribute(lambda version: model_to_dict(version.mapping, exclude=["id"]))


class WebhookEventFactory(DjangoModelFactory):
    class Meta:
        model = models.WebhookEvent

    store = "fastspring"
    external_id = factory.Sequence(lambda n: f"event-{n:06}")
    event_type = "order.completed"
    occurred_at = factory.LazyFunction(timezone.now)
    body = factory.LazyAttribute(lambda event: json.dumps({"id": event.external_id, "type": event.event_type}))
    state = EventState.APPLIED
    attempts = 1
    processed_at = factory.LazyFunction(timezone.now)


class RejectedDeliveryFactory(DjangoModelFactory):
    class Meta:
        model = models.RejectedDelivery

    store = "fastspring"
    reason = "wrong_signature"


class PurchaseFactory(DjangoModelFactory):
    """A paid order; with ``is_subscription=True`` an active subscription, paid for another month."""

    class Meta:
        model = models.Purchase

    class Params:
        is_subscription = factory.Trait(
            kind=PurchaseKind.SUBSCRIPTION,
            status=PurchaseStatus.ACTIVE,
            paid_through=factory.LazyFunction(lambda: timezone.now() + timedelta(days=30)),
        )
        is_disputed = False

    store = "fastspring"
    kind = PurchaseKind.ORDER
    external_id = factory.Sequence(lambda n: f"ORDERID{n:015}")
    reference = factory.Sequence(lambda n: f"ACME200101-{n:04}-{n:05}")
    status = PurchaseStatus.COMPLETED
    paid_through = None
    customer_email = factory.Sequence(lambda n: f"customer{n}@example.com")
    customer_name = "Ava Lindqvist"
    state = factory.LazyAttribute(lambda row: to_json(_state(row)))


def _state(row: Any) -> PurchaseState:
    is_subscription = row.kind == PurchaseKind.SUBSCRIPTION
    begun = Version(occurred_at=datetime(2026, 1, 1, tzinfo=UTC), event_id="dispute")
    dispute = Dispute(order_id=row.external_id, is_open=True, version=begun)
    return PurchaseState(
        kind=PurchaseKind(row.kind),
        order_status=PurchaseStatus.UNKNOWN if is_subscription else PurchaseStatus(row.status),
        subscription=Subscription(status=PurchaseStatus(row.status), paid_through=row.paid_through, product="photon")
        if is_subscription
        else None,
        customer=Customer(email=row.customer_email, first_name="Ava", last_name="Lindqvist"),
        initial_order_id=row.external_id,
        reference=row.reference,
        disputes={"CB1": dispute} if row.is_disputed else {},
        is_confirmed=True,
    )


class PurchaseAliasFactory(DjangoModelFactory):
    class Meta:
        model = models.PurchaseAlias

    purchase = factory.SubFactory(PurchaseFactory)
    store = factory.SelfAttribute("purchase.store")
    kind = "order"
    value = factory.Sequence(lambda n: f"ALIAS{n:015}")


class PurchaseItemFactory(DjangoModelFactory):
    class Meta:
        model = models.PurchaseItem

    class Params:
        is_waiting = factory.Trait(
            terms=None,
            problem="No product mapping and no attribute cryptlex_product_id says which license this becomes.",
            failure_mode="config",
        )

    purchase = factory.SubFactory(PurchaseFactory)
    store = factory.SelfAttribute("purchase.store")
    line = factory.SelfAttribute("product")
    product = "photon-editor"
    display = "Photon Editor"
    terms = factory.LazyFunction(lambda: to_json(Terms(server="cryptlex", product_id="prod-1", origins=ORIGINS)))


ORIGINS = {
    "product_id": "product mapping",
    "template_id": "license template",
    "quantity_mode": "default",
    "expiry": "default",
    "max_release_version": "store attribute cryptlex_max_allowed_release_version",
}


class LicenseLinkFactory(DjangoModelFactory):
    """An issued license. ``is_new=True``: a slot whose license has not been issued yet."""

    class Meta:
        model = models.LicenseLink

    class Params:
        is_new = factory.Trait(
            external_id="",
            key="",
            applied=None,
            observed=None,
            state=LicenseState.ABSENT,
            sync_state=SyncState.PENDING,
            issued_at=None,
        )

    item = factory.SubFactory(PurchaseItemFactory)
    purchase = factory.SelfAttribute("item.purchase")
    unit = 1
    reference = factory.LazyAttribute(
        lambda link: (
            f"{link.purchase.store}/{link.purchase.kind}/{link.purchase.external_id}/{link.item.line}/{link.unit}"
        )
    )
    server = "cryptlex"
    external_id = factory.Sequence(lambda n: f"00000000-0000-4000-8000-{n:012}")
    key = factory.Sequence(lambda n: f"A1B2C3-D4E5F6-A7B8C9-D0E1F2-A3B4C5-{n:06X}")
    reason = "The order is paid."
    desired = factory.LazyAttribute(lambda link: to_json(_desired(link)))
    applied = factory.SelfAttribute("desired")
    observed = factory.LazyAttribute(lambda link: to_json(_observed(link)))
    state = LicenseState.ACTIVE
    sync_state = SyncState.SETTLED
    issued_at = factory.LazyFunction(timezone.now)


def _desired(link: Any) -> DesiredLicense:
    return DesiredLicense(
        state=LicenseState.ACTIVE,
        server=link.server,
        product_id="prod-1",
        customer=Customer(email=link.purchase.customer_email),
        expiry=ExpiryMode.PERPETUAL,
    )


def _observed(link: Any) -> LicenseSnapshot:
    return LicenseSnapshot(license_id=link.external_id, key=link.key, product_id="prod-1", state=link.state)


class LicensingUserFactory(DjangoModelFactory):
    class Meta:
        model = models.LicensingUser

    server = "cryptlex"
    email = factory.Sequence(lambda n: f"customer{n}@example.com")
    external_id = factory.Sequence(lambda n: f"10000000-0000-4000-8000-{n:012}")


class RequestBudgetFactory(DjangoModelFactory):
    class Meta:
        model = models.RequestBudget

    server = "cryptlex"
    grants = factory.LazyFunction(lambda: [timezone.now()])


class HistoryEntryFactory(DjangoModelFactory):
    """An entry about a purchase; give ``link`` to make it one about a license."""

    class Meta:
        model = models.HistoryEntry

    link = None
    purchase = factory.LazyAttribute(lambda entry: entry.link.purchase if entry.link else PurchaseFactory())
    kind = "license.issued"
    sentence = factory.Sequence(lambda n: f"Something happened, number {n}.")
