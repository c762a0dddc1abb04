"""The tables; one stands after each step of receive → translate → plan → apply."""

from licensing_integration.models.audit import AuditEntry
from licensing_integration.models.catalog import MappingVersion, ProductMapping
from licensing_integration.models.figures import DailyFigures
from licensing_integration.models.history import HistoryEntry
from licensing_integration.models.inbox import RejectedDelivery, SecretUse, WebhookEvent
from licensing_integration.models.licenses import LicenseLink, LicensingUser, RequestBudget
from licensing_integration.models.mails import KeyMail
from licensing_integration.models.purchases import Purchase, PurchaseAlias, PurchaseItem, StoreCustomer
from licensing_integration.models.replays import BulkReplay

__all__ = [
    "AuditEntry",
    "BulkReplay",
    "DailyFigures",
    "HistoryEntry",
    "KeyMail",
    "LicenseLink",
    "LicensingUser",
    "MappingVersion",
    "ProductMapping",
    "Purchase",
    "PurchaseAlias",
    "PurchaseItem",
    "RejectedDelivery",
    "RequestBudget",
    "SecretUse",
    "StoreCustomer",
    "WebhookEvent",
]
