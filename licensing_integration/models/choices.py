"""Django choices made from the domain's enums, so that the words stand in one place."""

from __future__ import annotations

from enum import StrEnum


def choices(enum: type[StrEnum]) -> list[tuple[str, str]]:
    """``[(value, "Readable value"), …]`` for a model or form field."""
    return [(member.value, member.value.replace("_", " ").capitalize()) for member in enum]
