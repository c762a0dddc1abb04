"""Fixtures as payloads, and small changes to them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from licensing_integration.domain.facts import PurchaseFact
from licensing_integration.stores.payload import Payload
from licensing_integration.stores.stripe import ADAPTER

FIXTURES = Path(__file__).parent / "fixtures"
REST = Path(__file__).parent / "rest"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))


def body(name: str) -> bytes:
    return (FIXTURES / f"{name}.json").read_bytes()


def event(name: str) -> dict[str, Any]:
    """A fixture's event, fresh, to be changed at will."""
    decoded: dict[str, Any] = json.loads(body(name))
    return decoded


def answer(name: str) -> dict[str, Any]:
    """An answer of Stripe's API, fresh, to be changed at will."""
    decoded: dict[str, Any] = json.loads((REST / f"{name}.json").read_bytes())
    return decoded


def changed(name: str, change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """A fixture's event after ``change`` had its object."""
    value = event(name)
    change(value["data"]["object"])
    return value


def updated(name: str, **changes: Any) -> dict[str, Any]:
    """A fixture's event with other values in its object."""
    return changed(name, lambda thing: thing.update(changes))


def translate(value: dict[str, Any], **fetched: Any) -> tuple[PurchaseFact, ...]:
    payload = Payload(copy.deepcopy(value), fetched=fetched)
    return ADAPTER.translators[value["type"]](payload)
