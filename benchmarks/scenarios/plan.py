"""How much each scenario does."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Plan:
    """``is_quick``: enough to see that everything works, too little for numbers to rely on.

    ``workers`` and ``concurrency`` replace the number of worker processes, and of jobs at a time in each.
    """

    is_quick: bool = False
    workers: int | None = None
    concurrency: int | None = None

    def pick(self, full: int, quick: int) -> int:
        return quick if self.is_quick else full

    def workers_or(self, default: int) -> int:
        return self.workers or default

    @property
    def cores(self) -> int:
        return os.cpu_count() or 1
