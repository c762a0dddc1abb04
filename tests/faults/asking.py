"""Asking for the keys of an order as FastSpring does before it completes it, and again until there are some."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import requests

from licensing_integration.sandbox.fastspring import Event
from licensing_integration.sandbox.fastspring_fulfilment import CONTENT_TYPE, key_request, show_keys
from tests.faults.lives import Life
from tests.faults.stack import PRIVATE_KEY, Stack
from tests.faults.verdict import keys_on_servers

PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.3


@dataclass(frozen=True, kw_only=True)
class Answer:
    """``status``: 0 for a broken connection."""

    status: int
    text: str
    seconds: float


class Asker:
    """Somebody who asks, perhaps several times at once, and keeps the ``answers``."""

    def __init__(self, stack: Stack) -> None:
        self._url = stack.fulfilment_url
        self.answers: list[Answer] = []

    @property
    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answer in self.answers)

    def ask(self, order: Event, *, line: int = 0) -> Answer:
        """Once. Whatever is no success must not look like keys."""
        body = key_request(order, private_key=PRIVATE_KEY, line=line).encode()
        status, text, began = 0, "", time.monotonic()
        with contextlib.suppress(requests.RequestException):
            answer = requests.post(self._url, data=body, headers={"Content-Type": CONTENT_TYPE}, timeout=30)
            status, text = answer.status_code, answer.text
        assert status != 503 or text == "The license key is not ready. Please try again."
        told = Answer(status=status, text=text, seconds=time.monotonic() - began)
        self.answers.append(told)
        return told

    def insist(self, order: Event, *, line: int = 0) -> list[str]:
        """Until there is a key; the keys."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (answer := self.ask(order, line=line)).status != 200:
            assert answer.status in (0, 503), f"The web server answered {answer.status}."
            assert time.monotonic() < deadline, f"No key within {PATIENCE_SECONDS:.0f} s."
            time.sleep(PAUSE_SECONDS)
        return answer.text.split("\n")


def complete(life: Life, keys: Sequence[str], *, line: int = 0) -> None:
    """From now on the order shows these keys, as the buyer has seen them."""
    show_keys(life.events[0], keys, line=line)


def keys_of(stack: Stack, life: Life, *, line: int = 0) -> list[str]:
    """The keys of a line's licenses as the license server has them, in the order of units."""
    on_servers = keys_on_servers(stack)
    return [on_servers[slot] for slot in life.expected[line].slots]
