"""``manage.py sandbox``: run the emulated license server in the foreground, for trials without an account."""

from __future__ import annotations

import gc
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from licensing_integration.sandbox.cryptlex import CryptlexSandbox, SandboxOptions
from licensing_integration.sandbox.emulator import Emulator
from licensing_integration.sandbox.licensespring import LicenseSpringOptions, LicenseSpringSandbox

KEPT_REQUESTS = 1_000
# What --rate-limit counts in: the window of each service, in seconds.
WINDOWS = {"cryptlex": 5.0, "licensespring": 60.0}


class Command(BaseCommand):
    help = "Run an emulated license server until Ctrl-C. State lives in memory; nothing leaves this machine."
    requires_system_checks: list[str] = []  # it needs nothing of the project, least of all credentials

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--server", choices=sorted(WINDOWS), default="cryptlex", help="which one to emulate")
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8899, help="0 = any free port")
        parser.add_argument("--token", default="sandbox-token", help="the access token or API key it accepts")
        parser.add_argument("--latency", type=float, default=0.0, metavar="S", help="seconds added to each request")
        parser.add_argument(
            "--fault-rate", type=float, default=0.0, metavar="R", help="share of requests that fail, 0-1"
        )
        parser.add_argument("--fault-seed", type=int, default=None, metavar="N", help="repeat the same accidents")
        parser.add_argument(
            "--rate-limit",
            type=int,
            default=None,
            metavar="N",
            help="requests per 5 s; LicenseSpring: per minute",
        )
        parser.add_argument(
            "--accept-any-product", action="store_true", help="make products, templates and features on their first use"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        # Licenses pile up and never go: looking for garbage among them would take a fifth of the time.
        gc.set_threshold(100_000, 50, 50)
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        with _build(options).start(host=options["host"], port=options["port"]) as box:
            self.stdout.write(f"{box.name} sandbox: {box.base_url}  access token: {options['token']}")
            self.stdout.write("State is kept in memory only. Stop with Ctrl-C.")
            self.stdout.flush()
            stopped.wait()
        self.stdout.write("Sandbox stopped.")


def _build(options: dict[str, Any]) -> Emulator:
    box = _BUILDERS[options["server"]](options)
    box.latency = options["latency"]
    if options["fault_rate"]:
        box.faults.random(rate=options["fault_rate"], seed=options["fault_seed"])
    return box


def _cryptlex(options: dict[str, Any]) -> Emulator:
    return CryptlexSandbox(
        access_token=options["token"],
        accept_any_product=options["accept_any_product"],
        options=SandboxOptions(rate_limit=_rate_limit(options)),
        kept_requests=KEPT_REQUESTS,
    )


def _licensespring(options: dict[str, Any]) -> Emulator:
    return LicenseSpringSandbox(
        api_key=options["token"],
        accept_any_product=options["accept_any_product"],
        options=LicenseSpringOptions(rate_limit=_rate_limit(options)),
        kept_requests=KEPT_REQUESTS,
    )


def _rate_limit(options: dict[str, Any]) -> tuple[int, float] | None:
    limit = options["rate_limit"]
    return (limit, WINDOWS[options["server"]]) if limit else None


_BUILDERS = {"cryptlex": _cryptlex, "licensespring": _licensespring}
