"""Posting deliveries as a store does: signed, from several connections, and again until the answer is 200."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import requests

from licensing_integration.sandbox.fastspring import Event, delivery, sign
from tests.faults.stack import SECRET, Stack

PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.05


class Poster:
    """Posts in the background. ``answers``: how often each status came, 0 for a broken connection. ``accepted``: ids of
    events whose delivery was answered 200, from that moment on."""

    def __init__(self, stack: Stack, *, connections: int = 6) -> None:
        self._stack = stack
        self._pool = ThreadPoolExecutor(connections)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._futures: list[Future[None]] = []
        self.answers: Counter[int] = Counter()
        self.accepted: set[str] = set()

    def __enter__(self) -> Poster:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def post(self, deliveries: Iterable[Sequence[Event]]) -> None:
        """Begin to post these; returns at once."""
        self._futures += [self._pool.submit(self._post, events) for events in deliveries]

    @property
    def done(self) -> int:
        return sum(future.done() for future in self._futures)

    def finish(self) -> None:
        """Wait for everything to be accepted."""
        for future in self._futures:
            future.result()

    def _post(self, events: Sequence[Event]) -> None:
        body = delivery(*events)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (status := self._post_once(body)) != 200:
            assert status in (0, 503), f"The web server answered {status}."
            assert time.monotonic() < deadline, f"A delivery was not accepted for {PATIENCE_SECONDS:.0f} s."
            time.sleep(PAUSE_SECONDS)
        with self._lock:
            self.accepted.update(event["id"] for event in events)

    def _post_once(self, body: bytes) -> int:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False
        headers = {"X-FS-Signature": sign(body, secret=SECRET), "Content-Type": "application/json"}
        try:
            status = self._local.session.post(self._stack.url, data=body, headers=headers, timeout=20).status_code
        except requests.RequestException:
            status = 0
        with self._lock:
            self.answers[status] += 1
        return status


def post(stack: Stack, *deliveries: Sequence[Event]) -> None:
    """Post these one after the other, each until it is accepted."""
    with Poster(stack, connections=1) as poster:
        poster.post(deliveries)
        poster.finish()
