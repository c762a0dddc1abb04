"""``manage.py serve``: the web server, for production and for the demonstration alike."""

from __future__ import annotations

import copy
import os
import socket
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

from licensing_integration.conf import fulfilment_max_waiting, stores

MAX_DEFAULT_WORKERS = 4  # beyond that the database is the limit, not Python
BACKLOG = 2048  # deliveries of a burst wait in the kernel's queue instead of being refused
STOP_TIMEOUT = 10  # seconds for requests in flight; a delivery takes milliseconds


class Command(BaseCommand):
    help = "Serve webhooks and the admin until SIGTERM or Ctrl-C; requests in flight are finished first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        parser.add_argument("--port", type=int, default=8000, help="port; 0 picks a free one (default: %(default)s)")
        parser.add_argument("--auto-port", action="store_true", help="if the port is taken, pick a free one")
        parser.add_argument("--workers", type=int, default=default_workers(), help="processes (default: %(default)s)")

        parser.add_argument(
            "--threads",
            type=int,
            default=default_threads(),
            help="per process; more than 1 if no proxy in front takes whole bodies, or if stores wait here for license "
            "keys (default: %(default)s)",
        )

    def handle(self, *args: object, **options: Any) -> None:
        host = options["host"]
        port = choose_port(host, options["port"], is_any_fine=options["auto_port"])
        self.stdout.write(f"Listening on {_address(host, port)}")
        self.stdout.flush()
        connections.close_all()  # the processes are forks, and a database connection cannot be shared
        # Ctrl-C reaches a whole group of processes. Ours must hear of it from us alone: told twice, they hang.
        os.register_at_fork(after_in_child=os.setpgrp)
        Server(
            "project.wsgi:application",
            address=host,
            port=port,
            interface=Interfaces.WSGI,
            workers=options["workers"],
            # More processes, not threads: with persistent connections that is both faster and steadier.
            blocking_threads=options["threads"],
            backlog=BACKLOG,
            workers_kill_timeout=STOP_TIMEOUT,
            respawn_failed_workers=True,
            log_level=LogLevels.warning,
            log_dictconfig=copy.deepcopy(settings.LOGGING),
        ).serve()


def default_workers() -> int:
    return min(os.cpu_count() or 1, MAX_DEFAULT_WORKERS)


def default_threads() -> int:
    """One is fastest and steadiest. But a store that asks for license keys keeps its thread until they are made, and
    deliveries must not wait behind it: half of the threads are theirs."""
    return 2 * fulfilment_max_waiting() if any(store.fulfilment_keys for store in stores().values()) else 1


def choose_port(host: str, port: int, *, is_any_fine: bool) -> int:
    """``port`` if it is free; a free one if 0 is asked for, or if any is fine."""
    # The server itself would share a taken port with whoever has it, and each would get some of the requests.
    free = _free_port(host, port)
    if free is None and is_any_fine:
        free = _free_port(host, 0)
    if free is None:
        raise CommandError(f"{_address(host, port)} cannot be used. Choose another --port, or add --auto-port.")
    return free


def _free_port(host: str, port: int) -> int | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections closed a moment ago do not count
        try:
            probe.bind((host, port))
        except OSError:
            return None
        return int(probe.getsockname()[1])


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
