"""The tables; one stands after each step of receive → translate → plan → apply."""

from licensing_integration.models.catalog import MappingVersion, ProductMapping
from licensing_integration.models.history import HistoryEntry
from licensing_integration.models.inbox import RejectedDelivery, WebhookEvent
from licensing_integration.models.licenses import LicenseLink, LicensingUser, RequestBudget
from licensing_integration.models.purchases import Purchase, PurchaseAlias, PurchaseItem, StoreCustomer

__all__ = [
    "HistoryEntry",
    "LicenseLink",
    "LicensingUser",
    "MappingVersion",
    "ProductMapping",
    "Purchase",
    "PurchaseAlias",
    "PurchaseItem",
    "RejectedDelivery",
    "RequestBudget",
    "StoreCustomer",
    "WebhookEvent",
]
