"""The console: shows every row with its reasons, and lets people push. Importing it registers everything."""

from licensing_integration.admin import (
    attention,
    audit,
    catalog,
    connections,
    inbox,
    licenses,
    purchases,
    rehearsal,
    replays,
    search,
    start,
    users,
)

__all__ = [
    "attention",
    "audit",
    "catalog",
    "connections",
    "inbox",
    "licenses",
    "purchases",
    "rehearsal",
    "replays",
    "search",
    "start",
    "users",
]
