"""The request budget of an emulated service: so many requests per window and client, in fixed or rolling windows."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What is left after this request. ``is_exceeded``: the request itself was one too many."""

    remaining: int
    resets_at: datetime
    is_exceeded: bool

    def seconds_left(self, *, now: datetime) -> int:
        """Whole seconds until the window ends, at least one."""
        return max(1, math.ceil((self.resets_at - now).total_seconds()))


class RateLimiter:
    """Counts requests; limit and window may change between two requests."""

    def __init__(self) -> None:
        self._windows: dict[str, tuple[datetime, int]] = {}

    def spend(self, *, client: str, now: datetime, requests: int, window_seconds: float) -> Budget:
        """Count one request of the client."""
        window = timedelta(seconds=window_seconds)
        started, used = self._windows.get(client, (now, 0))
        if not started <= now < started + window:
            started, used = now, 0
        used += 1
        self._windows[client] = (started, used)
        return Budget(remaining=max(0, requests - used), resets_at=started + window, is_exceeded=used > requests)

    def forget(self) -> None:
        self._windows.clear()


class RollingLimiter:
    """Counts requests in a window that always ends now; refused requests are not counted."""

    def __init__(self) -> None:
        self._moments: dict[str, deque[datetime]] = {}

    def spend(self, *, client: str, now: datetime, requests: int, window_seconds: float) -> Budget:
        """Count one request of the client, unless it is one too many."""
        window = timedelta(seconds=window_seconds)
        moments = self._moments.setdefault(client, deque())
        while moments and moments[0] + window <= now:
            moments.popleft()
        is_exceeded = len(moments) >= requests
        if not is_exceeded:
            moments.append(now)
        resets_at = (moments[0] if moments else now) + window
        return Budget(remaining=requests - len(moments), resets_at=resets_at, is_exceeded=is_exceeded)

    def forget(self) -> None:
        self._moments.clear()
