"""The request budget that all workers share: never more calls in a window than the license server allows.

A ring of the last grants is kept in one row: a call may go when the oldest grant has left the window. That holds for
every window, wherever the server's own counting begins, which a token bucket would not.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import connection

from licensing_integration.conf import LicenseServerConfig
from licensing_integration.exceptions import TransientRemoteError

# Longer waits give the worker thread back; the license link is tried again when the budget allows.
LONGEST_WAIT_SECONDS = 20.0

# Calls arrive a little earlier or later than they leave; without a margin the server once counted two too many.
JITTER = 1.05

_CREATE = """
INSERT INTO licensing_integration_requestbudget (server, grants)
VALUES (%(server)s, array_fill('-infinity'::timestamptz, ARRAY[%(limit)s::int]))
ON CONFLICT (server) DO UPDATE
   SET grants = (excluded.grants || licensing_integration_requestbudget.grants)
                [cardinality(licensing_integration_requestbudget.grants) + 1:]
 WHERE cardinality(licensing_integration_requestbudget.grants) <> %(limit)s
"""
_TAKE = """
UPDATE licensing_integration_requestbudget
   SET grants = grants[2:] || greatest(clock_timestamp(), grants[1] + %(window)s)
 WHERE server = %(server)s AND cardinality(grants) = %(limit)s
   AND grants[1] + %(window)s < clock_timestamp() + %(longest)s
RETURNING extract(epoch FROM grants[%(limit)s] - clock_timestamp())
"""
_PAUSE = """
UPDATE licensing_integration_requestbudget
   SET grants = (SELECT array_agg(greatest(g, clock_timestamp() + %(seconds)s - %(window)s) ORDER BY g)
                   FROM unnest(grants) AS g)
 WHERE server = %(server)s
"""
_USED = """
SELECT server, (SELECT count(*) FROM unnest(grants) AS g WHERE g + make_interval(secs => seconds) > clock_timestamp())
  FROM licensing_integration_requestbudget
  JOIN unnest(%(servers)s::text[], %(windows)s::float8[]) AS asked (name, seconds) ON name = server
"""


def wait_for_turn(config: LicenseServerConfig) -> None:
    """Take the next free place in the shared budget and sleep until it comes.

    Raises ``TransientRemoteError`` when that would take too long. A limit of 0 means there is no budget.
    """
    if not config.request_limit:
        return
    wait = _take(config)
    if wait > 0:
        time.sleep(wait)


def used(configs: Iterable[LicenseServerConfig]) -> dict[str, int]:
    """By license server, how many calls of its budget the window that ends now holds, those granted ahead included. A
    server that was never called is left out."""
    windows = {config.name: config.request_window_seconds * JITTER for config in configs}
    with connection.cursor() as cursor:
        cursor.execute(_USED, {"servers": list(windows), "windows": list(windows.values())})
        return dict(cursor.fetchall())


def pause(config: LicenseServerConfig, seconds: float) -> None:
    """Nobody calls for ``seconds``: the server has just said that it had too many requests."""
    if config.request_limit:
        _execute(_PAUSE, config, seconds=seconds)


def _take(config: LicenseServerConfig) -> float:
    row = _execute(_TAKE, config)
    if row is None:
        _execute(_CREATE, config)
        row = _execute(_TAKE, config)
    if row is None:
        raise TransientRemoteError(
            f"The request budget of '{config.name}' is used up for the next {LONGEST_WAIT_SECONDS:.0f} s.",
            retry_after=LONGEST_WAIT_SECONDS,
            may_have_succeeded=False,
        )
    return float(row[0])


def _execute(sql: str, config: LicenseServerConfig, *, seconds: float = 0.0) -> tuple[float] | None:
    arguments: dict[str, Any] = {
        "server": config.name,
        "limit": config.request_limit,
        "window": timedelta(seconds=config.request_window_seconds * JITTER),
        "longest": timedelta(seconds=LONGEST_WAIT_SECONDS),
        "seconds": timedelta(seconds=seconds),
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        row: tuple[float] | None = cursor.fetchone() if cursor.description else None
        return row
