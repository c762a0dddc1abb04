"""The admin: shows every row with its reasons, and lets people push. Importing it registers everything."""

from licensing_integration.admin import attention, catalog, history, inbox, licenses, purchases, search, users

__all__ = ["attention", "catalog", "history", "inbox", "licenses", "purchases", "search", "users"]
