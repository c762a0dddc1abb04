"""What came from elsewhere, in a form the database takes."""

from __future__ import annotations

import math


def storable(value: object) -> object:
    """Decoded JSON as PostgreSQL's ``jsonb`` takes it: no NUL, no half characters, no infinite numbers."""
    match value:
        case str():
            return value.replace("\x00", "").encode("utf-8", "replace").decode()
        case dict():
            return {storable(key): storable(entry) for key, entry in value.items()}
        case list():
            return [storable(entry) for entry in value]
        case float() if not math.isfinite(value):
            return None
    return value
