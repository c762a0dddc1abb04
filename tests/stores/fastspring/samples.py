"""Fixtures as payloads, and small changes to them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from licensing_integration.domain.facts import PurchaseFact
from licensing_integration.stores.fastspring import ADAPTER
from licensing_integration.stores.payload import Payload

FIXTURES = Path(__file__).parent / "fixtures"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))


def body(name: str) -> bytes:
    return (FIXTURES / f"{name}.json").read_bytes()


def event(name: str, *, index: int = 0) -> dict[str, Any]:
    """A fixture's event, fresh, to be changed at will."""
    decoded: dict[str, Any] = json.loads(body(name))["events"][index]
    return decoded


def changed(name: str, change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """A fixture's event after ``change`` had its ``data``."""
    value = event(name)
    change(value["data"])
    return value


def translate(value: dict[str, Any], **fetched: Any) -> tuple[PurchaseFact, ...]:
    payload = Payload(copy.deepcopy(value), fetched=fetched)
    return ADAPTER.translators[value["type"]](payload)
