"""The catalog: saving a mapping keeps its past, and sets the purchases that waited for it in motion."""

from __future__ import annotations

import time

from django.db import transaction
from django.db.models import Q
from django.forms.models import model_to_dict

from licensing_integration import conf, jobs
from licensing_integration.domain.outcomes import PurchaseKind
from licensing_integration.domain.resolving import resolve_terms
from licensing_integration.exceptions import LicensingIntegrationError
from licensing_integration.http import call_deadline
from licensing_integration.models import MappingVersion, ProductMapping, PurchaseItem
from licensing_integration.services.connections import backend_of, server_config
from licensing_integration.services.terms import known_servers

# A person waits, and so does the web server's thread.
CHECK_SECONDS = 10.0


def save_mapping(mapping: ProductMapping, *, user_id: int | None) -> int:
    """Save a mapping with a new version, and plan every purchase that waits for it. Returns how many those are."""
    with transaction.atomic():
        mapping.save()
        _add_version(mapping, user_id=user_id)
        waiting = _waiting_purchases(mapping) if mapping.is_active else []
        jobs.enqueue_purchases(waiting)
    return len(waiting)


def check_mapping(mapping: ProductMapping) -> list[str]:
    """What is wrong with a mapping, in sentences; asks the license server. Empty: nothing was found."""
    if not mapping.is_license_needed:
        return []
    deadline = call_deadline.set(time.monotonic() + CHECK_SECONDS)
    try:
        server = mapping.server or next(iter(conf.license_servers()), "")
        server_config(server)
        terms = resolve_terms(mapping.to_terms(), {}, kind=PurchaseKind.ORDER, servers=known_servers())
        if terms is None or terms.feature_code:
            return []
        return list(backend_of(server).check_access()) or _unknown_ids(
            server, product_id=terms.product_id, template_id=terms.template_id
        )
    except LicensingIntegrationError as error:
        return [str(error)]
    finally:
        call_deadline.reset(deadline)


def _unknown_ids(server: str, *, product_id: str, template_id: str) -> list[str]:
    backend = backend_of(server)
    problems = []
    if product_id not in {product.id for product in backend.list_products()}:
        problems.append(f"License product {product_id} does not exist on {server}.")
    if template_id and template_id not in {template.id for template in backend.list_templates()}:
        problems.append(f"License template {template_id} does not exist on {server}.")
    return problems


def _add_version(mapping: ProductMapping, *, user_id: int | None) -> None:
    values = model_to_dict(mapping, exclude=["id"])
    last = mapping.versions.order_by("-number").first()
    before = last.values if last else {}
    MappingVersion.objects.create(
        mapping=mapping,
        number=last.number + 1 if last else 1,
        values=values,
        changed_fields=sorted(name for name, value in values.items() if before.get(name) != value),
        saved_by_id=user_id,
    )


def _waiting_purchases(mapping: ProductMapping) -> list[int]:
    waiting = ~Q(problem="")
    if mapping.is_license_needed:  # until now it may have said that none is
        waiting |= Q(mapping=mapping, terms__isnull=True)
    product = Q(product=mapping.store_product) | Q(variant=mapping.store_product)
    items = PurchaseItem.objects.filter(waiting, product, store=mapping.store)
    return list(items.order_by("purchase_id").values_list("purchase_id", flat=True).distinct())
