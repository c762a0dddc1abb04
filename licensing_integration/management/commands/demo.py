"""``manage.py demo``: the whole product on this machine, with pretend stores and a pretend license server.

Signed FastSpring and Stripe events go over real HTTP to a real web server; a real worker makes them true on the sandbox
of Cryptlex or LicenseSpring. Each step says what it expects of the licenses, and the demo checks it.
"""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any

import requests
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from licensing_integration.domain.outcomes import EventState, SyncState
from licensing_integration.management.demo_servers import DEMO_SERVERS
from licensing_integration.management.demo_story import (
    PRODUCT,
    STRIPE_TEAM_PRODUCT,
    TEAM_PRODUCT,
    Event,
    Request,
    Step,
    key_request,
    requests_of,
    tell_story,
)
from licensing_integration.models import HistoryEntry, LicenseLink, ProductMapping, WebhookEvent
from licensing_integration.sandbox.fastspring_fulfilment import show_keys
from licensing_integration.sandbox.mail import MailSink
from licensing_integration.services.catalog import save_mapping
from licensing_integration.services.figures import count_days
from licensing_integration.services.roles import ROLES

ADMIN_NAME = "admin"
START_SECONDS = 60.0
STEP_SECONDS = 30.0
# An exception raised by a signal can get lost in code that ignores exceptions, such as a destructor; this cannot.
STOPPED = threading.Event()
# Store, product, and whether it is sold by subscription.
MAPPED = (("fastspring", PRODUCT, False), ("fastspring", TEAM_PRODUCT, True), ("stripe", STRIPE_TEAM_PRODUCT, True))


class Command(BaseCommand):
    # Secrets and tokens are made up on the way; the checks would complain of their absence.
    requires_system_checks: list[str] = []
    help = "Run web server, worker, license-server sandbox and two pretend shops; show each event becoming a license."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="port of the web server; another if it is taken")
        parser.add_argument("--server", choices=DEMO_SERVERS, default="cryptlex", help="the license server to pretend")
        parser.add_argument("--exit", action="store_true", help="stop after the story; exit 1 if a license is wrong")

    def handle(self, *args: Any, **options: Any) -> None:
        _lock_database()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.server = DEMO_SERVERS[options["server"]]()
        self.fulfilment_key = secrets.token_hex(16)
        self.webhook_secrets = {"fastspring": secrets.token_hex(16), "stripe": f"whsec_{secrets.token_hex(16)}"}
        for number in (signal.SIGINT, signal.SIGTERM):  # a shell in the background leaves SIGINT ignored
            signal.signal(number, _interrupt)
        sys.unraisablehook = _tell_unless_interrupted
        try:
            with self.server.sandbox, MailSink(on_mail=self._show_mail) as self.mails:
                self._run(port=_free_port(options["port"]), is_short=options["exit"])
        except KeyboardInterrupt:
            self._say("\nStopping.")
        finally:
            self._stop_processes()

    def _run(self, *, port: int, is_short: bool) -> None:
        self.url = f"http://127.0.0.1:{port}"
        password = self._prepare()
        self._start("serve", "--host", "127.0.0.1", "--port", str(port), "--workers", "2")
        self._start("worker", "--concurrency", "8")
        self._wait_until_ready()
        mistakes = self._tell_story()
        count_days()  # the worker does so every five minutes
        self._say(f"\nAdmin:  {self.url}/admin/   user {ADMIN_NAME}, password {password}")
        names = ", ".join(role.lower() for role in ROLES)
        self._say(f"        {names}: users in the roles of these names, with the same password")
        self._say("        For more people: Users, Add user, and tick a role. Mails that are sent appear here.")
        if mistakes:
            raise CommandError(f"{mistakes} of the steps did not end as expected.")
        self._say("Every license ended in the expected state.")
        if not is_short:
            self._say("Running until Ctrl-C.")
            STOPPED.wait()
            raise KeyboardInterrupt

    def _say(self, line: str) -> None:
        """Print at once, also into a pipe: somebody watches."""
        self.stdout.write(line)
        self.stdout.flush()

    def _show_mail(self, mail: EmailMessage) -> None:
        """Nothing leaves this machine; the keys in it are pretend ones."""
        text = mail.get_body(("plain",))
        lines = text.get_content().splitlines() if text else []
        self._say("\n".join(("", f"Mail to {mail['To']}: {mail['Subject']}", *(f"   {line}" for line in lines))))

    # -- preparing ---------------------------------------------------------------------------------------------------

    def _prepare(self) -> str:
        """Tables, roles, people with a fresh password, and the demo's product mappings."""
        self._say("Preparing the database …")
        call_command("migrate", verbosity=0)
        call_command("sync_roles", verbosity=0)
        password = secrets.token_urlsafe(9)
        _make_user(ADMIN_NAME, password, is_superuser=True)
        for role in ROLES:
            _make_user(role.lower(), password).groups.set([Group.objects.get(name=role)])
        for store, product, is_subscription in MAPPED:
            self._map(store, product, is_subscription=is_subscription)
        return password

    def _map(self, store: str, store_product: str, *, is_subscription: bool) -> None:
        mapping, _ = ProductMapping.objects.get_or_create(store=store, store_product=store_product)
        mapping.server = self.server.name
        mapping.product_id = self.server.make_product(store_product, is_subscription)
        mapping.notes = "Made by the demo."
        save_mapping(mapping, user_id=None)

    # -- processes ---------------------------------------------------------------------------------------------------

    def _start(self, *arguments: str) -> None:
        """Run another management command beside us; its log goes to ``var/``."""
        variables = {
            "STORES": "fastspring,stripe",
            "FASTSPRING_WEBHOOK_SECRET": self.webhook_secrets["fastspring"],
            "FASTSPRING_FULFILMENT_KEY": self.fulfilment_key,
            "FASTSPRING_TEST_EVENTS": "apply",
            "STRIPE_WEBHOOK_SECRET": self.webhook_secrets["stripe"],
            **self.server.variables(),
            "EMAIL_URL": f"smtp://127.0.0.1:{self.mails.port}",
            "DEFAULT_FROM_EMAIL": "Demo Shop <keys@example.com>",
            "ALLOWED_HOSTS": "127.0.0.1,localhost",
        }
        manage = str(Path(settings.BASE_DIR) / "manage.py")
        command = ["env", *(f"{name}={value}" for name, value in variables.items()), sys.executable, manage, *arguments]
        log_path = Path(settings.VAR_DIR) / f"demo-{arguments[0]}.log"
        with log_path.open("wb") as log:
            # A session of its own keeps Ctrl-C from us: we end our children ourselves, in order.
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: S603
        self.processes.append(process)

    def _stop_processes(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _wait_until_ready(self) -> None:
        self._say("Starting web server and worker …")
        _wait(self._is_ready, seconds=START_SECONDS, what="the web server and the worker; see var/demo-*.log")

    def _is_ready(self) -> bool:
        ended = [process for process in self.processes if process.poll() is not None]
        if ended:
            raise CommandError("A process ended at once; see var/demo-serve.log and var/demo-worker.log.")
        try:
            return requests.get(f"{self.url}/health/ready", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    # -- the story ---------------------------------------------------------------------------------------------------

    def _tell_story(self) -> int:
        mistakes = 0
        metadata = {self.server.product_attribute: self.server.make_product("photon-editor-by-metadata", False)}
        for number, step in enumerate(tell_story(metadata=metadata, endings=self.server.endings), start=1):
            self._say(f"\n{number}. {step.title}")
            mistakes += not self._play(step)
        return mistakes

    def _play(self, step: Step) -> bool:
        last = HistoryEntry.objects.order_by("-id").values_list("id", flat=True).first() or 0
        began = time.monotonic()
        keys = self._ask(step.store, step.asks_for) if step.asks_for else self._report(step)
        took = time.monotonic() - began
        for event in step.events:
            self._say(f"   event    {event['type']}")
        for key in keys:
            self._say(f"   key      {key}   (what {step.store} shows the buyer)")
        entries = list(HistoryEntry.objects.filter(id__gt=last).order_by("id"))
        links = LicenseLink.objects.filter(purchase_id__in={entry.purchase_id for entry in entries}).order_by("unit")
        found = _describe(list(links))
        self._say(f"   license  {found}   ({took * 1000:.0f} ms)")
        for entry in entries:
            self._say(f"   history  {entry.sentence}")
        is_expected = found == step.expected and keys in ([], [link.key for link in links])
        if not is_expected:
            self._say(f"   EXPECTED {step.expected}{', with these keys' if keys else ''}")
        return is_expected

    def _report(self, step: Step) -> list[str]:
        """Post the events and wait until they are worked on; nobody is told a key."""
        for request in requests_of(step, secret=self.webhook_secrets[step.store]):
            answer = self._post(f"/webhooks/{step.store}/", request)
            if answer.status_code != 200:
                raise CommandError(
                    f"The web server answered {answer.status_code} to a webhook; see var/demo-serve.log."
                )
        _wait(partial(_is_settled, step.events), seconds=STEP_SECONDS, what="the worker; see var/demo-worker.log")
        return []

    def _ask(self, store: str, order: Event) -> list[str]:
        """The keys of an order that its store is about to complete, which from now on shows them."""
        answer = self._post(f"/fulfilment/{store}/", key_request(order, private_key=self.fulfilment_key))
        if answer.status_code != 200:
            raise CommandError(
                f"The web server answered {answer.status_code} instead of a key; see var/demo-serve.log."
            )
        keys = answer.text.split("\n")
        show_keys(order, keys)
        return keys

    def _post(self, path: str, request: Request) -> requests.Response:
        return requests.post(f"{self.url}{path}", data=request.body, headers=request.headers, timeout=30)


def _make_user(name: str, password: str, *, is_superuser: bool = False) -> Any:
    defaults = {"is_staff": True, "is_superuser": is_superuser}
    user, _ = get_user_model().objects.get_or_create(username=name, defaults=defaults)
    user.set_password(password)
    user.save()
    return user


def _describe(links: Sequence[LicenseLink]) -> str:
    words = {f"{link.state}{f' until {link.expires_at:%Y-%m-%d}' if link.expires_at else ''}" for link in links}
    return f"{len(links)} {' / '.join(sorted(words))}" if links else "none"


def _is_settled(events: Sequence[Event]) -> bool:
    """Whether every event has its verdict, and every license it speaks of is what it should be."""
    ids = [event["id"] for event in events]
    waiting = WebhookEvent.objects.filter(external_id__in=ids, state=EventState.RECEIVED)
    pending = LicenseLink.objects.filter(purchase__history__event__external_id__in=ids, sync_state=SyncState.PENDING)
    return not waiting.exists() and not pending.exists()


def _wait(is_done: Callable[[], bool], *, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not is_done():
        if STOPPED.is_set():
            raise KeyboardInterrupt
        if time.monotonic() > deadline:
            raise CommandError(f"Waited {seconds:.0f} s for {what}.")
        time.sleep(0.02)


def _lock_database() -> None:
    """Held until our connection ends, however it ends: two demos in one database would spoil each other's story."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtext('licensing-integration demo'))")
        if not cursor.fetchone()[0]:
            raise CommandError("A demo is running on this database already; stop it first.")


def _free_port(wanted: int) -> int:
    """The wanted port if nobody listens there, else a free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise CommandError("There is no free port on 127.0.0.1.")


def _tell_unless_interrupted(unraisable: Any) -> None:
    """An interrupt that comes in a destructor or while importing gets lost there; ``STOPPED`` ends us all the same."""
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)


def _interrupt(number: int, frame: object) -> None:
    STOPPED.set()
    raise KeyboardInterrupt
