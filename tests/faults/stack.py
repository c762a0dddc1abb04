"""The whole product in real processes: PostgreSQL (fsync on), web server, workers; two license servers over HTTP."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import requests

from licensing_integration.sandbox.licensespring import LicenseSpringOptions
from project.embedded_postgres import EmbeddedPostgres
from tests.faults.database import Database
from tests.faults.processes import Child, wait_until
from tests.faults.sandbox import WatchedCryptlex, WatchedLicenseSpring, WatchedSandbox
from tests.faults.servers import Server
from tests.temporary import make_postgres_folder

SECRET = "webhook-secret-for-tests"
PRIVATE_KEY = "private-key-for-tests"
LEASE_SECONDS = 3.0
MAPPINGS = Path(__file__).with_name("mappings.json")
_RECEIVED = "SELECT count(*) FROM licensing_integration_webhookevent WHERE state = 'received'"
_PENDING = "SELECT count(*) FROM licensing_integration_licenselink WHERE sync_state = 'pending'"
_EVENTS = "SELECT count(*), coalesce(sum(deliveries), 0)::int FROM licensing_integration_webhookevent"
_STUCK = """
SELECT unit, sync_state, attempts, unclear_attempts, failure_message, retry_at - now(), lease_until - now()
  FROM licensing_integration_licenselink WHERE sync_state = 'pending' LIMIT 5
"""


class Stack:
    """Use as a context manager: whatever happens, all processes are ended and all files removed."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="licensing-faults-"))
        self._cleanup = contextlib.ExitStack()
        self._logs = 0
        self._workers: list[Child] = []
        self.totals: Counter[str] = Counter()
        self.web: Child | None = None  # started by the first reset
        self.port = 0

    def __enter__(self) -> Stack:
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.postgres = EmbeddedPostgres(make_postgres_folder())
            cleanup.callback(self.postgres.stop)
            self.postgres.start()
            self.database = Database(self.postgres.url)
            self.cryptlex = WatchedCryptlex(accept_any_product=True).start()
            cleanup.callback(self.cryptlex.stop)
            # Without that header, a worker leaves the server alone for five seconds.
            options = LicenseSpringOptions(retry_after_sent=True)
            self.spring = WatchedLicenseSpring(accept_any_product=True, options=options).start()
            cleanup.callback(self.spring.stop)
            self._manage("migrate", "--verbosity", "0")
            self._manage("loaddata", str(MAPPINGS), "--verbosity", "0")
            self.database.install_stop_points()
            cleanup.callback(self.stop_processes)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._cleanup.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhooks/fastspring/"

    @property
    def fulfilment_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/fulfilment/fastspring/"

    @property
    def sandboxes(self) -> tuple[WatchedSandbox, ...]:
        return self.cryptlex, self.spring

    def sandbox_of(self, server: Server | str) -> WatchedSandbox:
        """The sandbox of a license server, or of its name."""
        return next(sandbox for sandbox in self.sandboxes if sandbox.server.name == str(server))

    # Processes --------------------------------------------------------------------------------------------------------

    def start_web(self) -> Child:
        """The web server, on the port it had before if there was one."""
        self.web = web = self._child("serve", "--port", str(self.port), "--workers", "2")
        wait_until(lambda: "Listening on" in web.output or not web.is_running, what="the web server listens")
        match = re.search(r"Listening on http://127\.0\.0\.1:(\d+)", web.output)
        assert match, f"The web server did not start:\n{web.output}"
        self.port = int(match[1])
        wait_until(self._answers, what="the web server answers")
        wait_until(lambda: len(web.children) == 2, what="both processes of the web server run")
        return web

    def start_worker(self, **variables: str) -> Child:
        """A worker, ready for jobs. ``variables`` of its environment win over the stack's."""
        before = self._registered_workers()
        worker = self._child("worker", "--concurrency", "6", **variables)
        self._workers.append(worker)
        wait_until(lambda: self._registered_workers() > before or not worker.is_running, what="the worker is ready")
        assert worker.is_running, f"The worker did not start:\n{worker.output}"
        return worker

    @contextmanager
    def workers(self, count: int = 1, **variables: str) -> Iterator[list[Child]]:
        """Workers for the length of a block; tests may put others in their places."""
        workers = [self.start_worker(**variables) for _ in range(count)]
        try:
            yield workers
        finally:
            for worker in workers:
                worker.stop()

    def stop_processes(self) -> None:
        for child in [*self._workers, *([self.web] if self.web else [])]:
            with contextlib.suppress(ProcessLookupError):
                child.send(signal.SIGCONT)
            child.stop()
        self._workers.clear()

    def kill(self, child: Child) -> None:
        """SIGKILL, and it is counted."""
        child.kill()
        self.totals["kills"] += 1

    def restart_postgres(self) -> None:
        """An immediate shutdown, which is a crash with the doors closed, and a start with recovery."""
        self.totals["crashes"] += 1
        pid = int((self.postgres.data_dir / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        wait_until(lambda: not psutil.pid_exists(pid), what="PostgreSQL ends")
        self.postgres.start()

    # States -----------------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """No events, no licenses, no workers, no faults; and a web server that answers."""
        for worker in self._workers:
            worker.kill()
        self._workers.clear()
        self.postgres.start()
        self.database.empty(cut=True)
        self._reset_sandboxes()
        if self.web is None or not self.web.is_running:
            self.start_web()

    def forget(self) -> None:
        """No events, no licenses, no faults; workers go on."""
        self.wait_for_quiet()
        self.count()
        self.database.empty(cut=False)
        self._reset_sandboxes()

    def count(self) -> None:
        """Add what has happened since the last reset to ``totals``."""
        events, deliveries = self.database.query(_EVENTS)[0]
        self.totals += Counter(events=events, repeated=deliveries - events)
        for sandbox in self.sandboxes:
            self.totals += Counter(
                licenses=sandbox.protocol.made.total(),
                calls=sum(sandbox.request_counts.values()),
                faults=sandbox.protocol.faults.total(),
            )

    def is_listening(self) -> bool:
        """Whether the web server takes connections."""
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def is_quiet(self) -> bool:
        """Every event has its verdict and every license is as it should be, or stopped for a person."""
        return self.database.value(_RECEIVED) == 0 and self.database.value(_PENDING) == 0

    def wait_for_quiet(self, *, seconds: float = 90) -> None:
        try:
            wait_until(self.is_quiet, what="all work is done", seconds=seconds)
        except AssertionError as error:
            tails = "\n".join(worker.output[-1500:] for worker in self._workers)
            waiting = self.database.value(_RECEIVED)
            raise AssertionError(f"{error}\n{waiting} events; {self.database.query(_STUCK)}\n{tails}") from None

    def _reset_sandboxes(self) -> None:
        for sandbox in self.sandboxes:
            sandbox.reset()

    # Parts ------------------------------------------------------------------------------------------------------------

    def _registered_workers(self) -> int:
        return int(self.database.value("SELECT coalesce(max(id), 0) FROM procrastinate_workers"))

    def _answers(self) -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"http://127.0.0.1:{self.port}/health/live", timeout=5).status_code == 200
        return False

    def _manage(self, *arguments: str) -> None:
        child = self._child(*arguments)
        assert child.wait() == 0, child.output

    def _child(self, *arguments: str, **variables: str) -> Child:
        self._logs += 1
        log = self.folder / f"{self._logs:03d}-{arguments[0]}.log"
        return Child(*arguments, environment={**self._environment(), **variables}, log=log)

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "ENV_FILE": "",
            "DATABASE_URL": self.postgres.url,
            "SECRET_KEY": "only-for-tests-" + "x" * 50,
            "LOG_FORMAT": "text",
            "ALLOWED_HOSTS": "127.0.0.1",
            "STORES": "fastspring",
            "FASTSPRING_WEBHOOK_SECRET": SECRET,
            "FASTSPRING_FULFILMENT_KEY": PRIVATE_KEY,
            "FASTSPRING_TEST_EVENTS": "apply",
            "LICENSE_SERVERS": "cryptlex,spring=licensespring",
            **self._access(self.cryptlex),
            **self._access(self.spring),
            "APPLY_LEASE_SECONDS": str(LEASE_SECONDS),
            "RETRY_FIRST_DELAY_SECONDS": "0.2",
            "SETTLING_SECONDS": "0.5",
            "SWEEP_GRACE_SECONDS": "1",
        }

    @staticmethod
    def _access(sandbox: WatchedSandbox) -> dict[str, str]:
        prefix = sandbox.server.name.upper()
        return {
            f"{prefix}_ACCESS_TOKEN": sandbox.access_token,
            f"{prefix}_WEB_API_BASE_URL": sandbox.base_url,
            f"{prefix}_REQUEST_LIMIT": "0",
        }
