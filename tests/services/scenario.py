"""What service tests say often: mapping a product, trying again now, reading the history."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from licensing_integration import jobs
from licensing_integration.domain.outcomes import SyncState
from licensing_integration.models import HistoryEntry, LicenseLink, ProductMapping, PurchaseItem
from licensing_integration.sandbox.cryptlex import CryptlexSandbox
from licensing_integration.sandbox.fastspring import Buyer, DemoSubscription, Event, FastSpringShop
from licensing_integration.services.catalog import save_mapping
from tests.services.conftest import ATTRIBUTES, AVA

CREATE = {"method": "POST", "path": "/v3/licenses"}
CHANGE = {"method": "PATCH", "path": "/v3/licenses/{id}"}
RENEW = {"method": "POST", "path": "/v3/licenses/{id}/renew"}
LOST_ANSWERS = [
    {"kind": "commit_then_drop"},
    {"kind": "commit_then_status", "status": 500},
    {"kind": "commit_then_status", "status": 502},
    {"kind": "commit_then_status", "status": 408},
]
NOTHING_DONE = [{"kind": "drop"}, {"kind": "status", "status": 500}, {"kind": "status", "status": 503}]


def photon_order(shop: FastSpringShop, buyer: Buyer = AVA, *, quantity: int = 1) -> Event:
    return shop.buy(buyer, "photon", quantity=quantity, attributes=ATTRIBUTES)


def map_product(product: str, **values: Any) -> ProductMapping:
    """Save a new mapping of a store product to ``prod-1``."""
    mapping = ProductMapping(
        **{"store": "fastspring", "store_product": product, "product_id": "prod-1", "template_id": "tmpl-1", **values}
    )
    save_mapping(mapping, user_id=None)
    return mapping


def try_again(work: Callable[[], int]) -> None:
    """Let the time pass that pending licenses wait for, and a worker come by."""
    pending = LicenseLink.objects.filter(sync_state=SyncState.PENDING)
    pending.update(retry_at=None, lease_until=None, attempted_at=timezone.now() - timedelta(hours=1))
    jobs.enqueue_links(list(pending.order_by("id").values_list("id", flat=True)))
    work()


def states(box: CryptlexSandbox) -> list[str]:
    """The state of every license on the server, oldest first."""
    return [
        "revoked" if license["revoked"] else "suspended" if license["suspended"] else "active"
        for license in box.licenses
    ]


def links_by_unit(**filters: Any) -> dict[int, LicenseLink]:
    return {link.unit: link for link in LicenseLink.objects.filter(**filters)}


def kinds(**filters: Any) -> list[str]:
    """Kinds of history entries, oldest first."""
    return list(HistoryEntry.objects.filter(**filters).order_by("id").values_list("kind", flat=True))


def sentences(**filters: Any) -> str:
    return "\n".join(HistoryEntry.objects.filter(**filters).order_by("id").values_list("sentence", flat=True))


def waiting_products() -> list[str]:
    return list(PurchaseItem.objects.exclude(problem="").order_by("id").values_list("product", flat=True))


def metadata(license: dict[str, Any]) -> dict[str, str]:
    return {entry["key"]: entry["value"] for entry in license["metadata"]}


def add_on_line(
    shop: FastSpringShop, subscription: DemoSubscription, product: str, *, quantity: int = 1, **more: Any
) -> dict[str, Any]:
    return shop.item(
        product,
        quantity=quantity,
        driver={"type": "addon", "path": subscription.product},
        parentSubscription=subscription.id,
        **more,
    )


def in_one_order(*purchases: tuple[DemoSubscription, list[Event]]) -> list[Event]:
    """The events of several subscriptions that were bought together: their activations and one order."""
    first_order = copy.deepcopy(purchases[0][1][-1])
    activations = []
    for subscription, events in purchases:
        subscription.order_id = first_order["data"]["id"]
        subscription.order_reference = first_order["data"]["reference"]
        activation = copy.deepcopy(events[0])
        activation["data"] |= _initial_order(subscription)
        activations.append(activation)
    lines = [copy.deepcopy(line) for _, events in purchases for line in events[-1]["data"]["items"]]
    for line in lines:
        line["subscription"] |= _initial_order(purchases[0][0])
    first_order["data"] |= {"items": lines, "total": float(sum(line["subtotal"] for line in lines))}
    return [*activations, first_order]


def _initial_order(subscription: DemoSubscription) -> dict[str, str]:
    return {"initialOrderId": subscription.order_id, "initialOrderReference": subscription.order_reference}
