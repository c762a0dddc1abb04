"""Which requests make a license, for people who want to see them before. Pure.

Source: the Management API page on orders and the vendor's Postman collection.
"""

from __future__ import annotations

from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.license_servers.base import PlannedCall, unknown_yet
from licensing_integration.license_servers.licensespring.orders import order_body, order_id_of
from licensing_integration.license_servers.licensespring.values import Json, is_user_based, with_end_date


def creation_calls(
    desired: DesiredLicense, *, slot: str, product: Json | None, is_product_asked: bool
) -> list[PlannedCall]:
    """The requests that make a license, if the order is new and its answer as wanted. ``product``: its settings, if
    they are known; ``is_product_asked``: they would be asked for first."""
    key = "" if is_user_based(product) else unknown_yet("fresh license key")
    body = order_body(desired, slot=slot, order_id=order_id_of(slot), product=product, key=key)
    return [
        *([PlannedCall(method="GET", path="/api/v1/products/")] if is_product_asked else []),
        *([PlannedCall(method="GET", path="/api/v1/orders/generate_license/")] if key else []),
        PlannedCall(
            method="POST",
            path="/api/v1/orders/create_order/",
            body=body,
            note="" if product else "This is the order of a key-based product. What the product is, is asked first.",
        ),
        *_note_calls(desired),
    ]


def _note_calls(desired: DesiredLicense) -> list[PlannedCall]:
    """What an order cannot say is written on the license afterwards."""
    if desired.end_date_note is None:
        return []
    body = {"note": with_end_date("", day=desired.end_date_note)}
    return [PlannedCall(method="PATCH", path="/api/v1/licenses/{id}/", body=body)]
