"""Breaking a payload in one place."""

from __future__ import annotations

from typing import Any


def damage(value: Any, place: tuple[Any, ...], replacement: object) -> None:
    """Put ``replacement`` where ``place`` leads, if it leads anywhere; ``"drop"`` takes away what is there."""
    for key in place[:-1]:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(value, dict):
        value[place[-1]] = replacement
        if replacement == "drop":
            del value[place[-1]]
    elif isinstance(value, list) and isinstance(place[-1], int) and place[-1] < len(value):
        value[place[-1]] = replacement
