"""The demo as a newcomer runs it: one command, a true story, and nothing left when it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from project.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from tests.temporary import make_postgres_folder

ROOT = Path(__file__).resolve().parents[2]
MARK = "LICENSING_INTEGRATION_TEST_RUN"
SECONDS = 120.0
CONFIGURATION = ("DATABASE_URL", "SECRET_KEY", "LOG_FORMAT", "DJANGO_SETTINGS_MODULE")

pytestmark = pytest.mark.slow


class Demo:
    """``manage.py demo`` with an embedded PostgreSQL of its own and no configuration but where that lies."""

    def __init__(self, *options: str, log: Path) -> None:
        self.run = uuid.uuid4().hex
        self.log = log
        self.postgres = EmbeddedPostgres(make_postgres_folder())
        environment = {name: value for name, value in os.environ.items() if name not in CONFIGURATION}
        environment |= {"ENV_FILE": "", "EMBEDDED_POSTGRES_DIR": str(self.postgres.folder), MARK: self.run}
        environment["PYTHONUNBUFFERED"] = "1"
        with log.open("wb") as output:
            command = [sys.executable, "manage.py", "demo", "--port", "0", *options]
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
            )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + SECONDS
        while text not in self.output:
            assert self.process.poll() is None, f"The demo ended:\n{self.output}"
            assert time.monotonic() < deadline, f"Not within {SECONDS:.0f} s: {text}\n{self.output}"
            time.sleep(0.05)

    def press_ctrl_c(self) -> None:
        """What a terminal does: SIGINT to everybody in the foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def leftovers(self) -> list[psutil.Process]:
        """Processes that inherited this run's mark; PostgreSQL overwrites its environment and is asked itself."""
        return [process for process in psutil.process_iter() if _mark_of(process) == self.run]

    def end(self) -> None:
        for process in self.leftovers():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        with contextlib.suppress(EmbeddedPostgresError):  # it may have been among them
            self.postgres.stop()


def _mark_of(process: psutil.Process) -> str:
    try:
        return process.environ().get(MARK, "")
    except psutil.Error:
        return ""


@pytest.fixture
def one_at_a_time() -> Iterator[None]:
    """A folder has room for one demo, and tests run side by side."""
    (ROOT / "var").mkdir(exist_ok=True)
    with (ROOT / "var" / "demo-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def demo(request: pytest.FixtureRequest, tmp_path: Path, one_at_a_time: None) -> Iterator[Demo]:
    demo = Demo(*getattr(request, "param", ()), log=tmp_path / "demo.log")
    yield demo
    demo.end()


def _assert_nothing_is_left(demo: Demo) -> None:
    assert [process.cmdline() for process in demo.leftovers()] == []
    assert not demo.postgres.is_ready()
    assert not (demo.postgres.data_dir / "postmaster.pid").exists()


@pytest.mark.parametrize(
    ("demo", "server"),
    [(("--exit",), "cryptlex"), (("--exit", "--server", "licensespring"), "licensespring")],
    indirect=["demo"],
    ids=["--exit", "--exit --server licensespring"],
)
def test_the_demo_tells_a_true_story_and_leaves_nothing_behind(demo: Demo, server: str) -> None:
    assert demo.process.wait(SECONDS) == 0, demo.output
    assert "Every license ended in the expected state." in demo.output
    assert "EXPECTED" not in demo.output
    issued = re.findall(r"history  Issued license …(\S+) on (\w+)", demo.output)
    assert [name for _, name in issued] == [server] * 8
    (shown,) = re.findall(r"key      (\S+) ", demo.output)
    assert shown.endswith(issued[0][0]), "the key on the order page is not that of the first license"
    assert demo.output.count("Recognised the license given out on the order page.") == 1
    for event_type in ("order.completed", "checkout.session.completed", "invoice.payment_failed", "charge.refunded"):
        assert f"event    {event_type}" in demo.output
    _assert_nothing_is_left(demo)


def test_a_role_can_be_tried_and_the_mails_it_sends_are_shown(demo: Demo) -> None:
    demo.wait_for("Running until Ctrl-C.")
    assert "Role Support: updated" in demo.output
    found = re.search(r"Admin:  (\S+)   user admin, password (\S+)\n        (.*): users in the roles", demo.output)
    assert found
    address, password, names = found.groups()
    assert names == "support, staff, owner"
    (key,) = re.findall(r"key      (\S+) ", demo.output)
    with requests.Session() as person:
        _post(person, f"{address}login/", username="support", password=password)
        page = person.get(f"{address}licensing_integration/licenselink/1/", timeout=30)
        assert page.status_code == 200
        _post(person, f"{address}licensing_integration/licenselink/1/resend/", reason="Lost it.", ids="1")
    demo.wait_for("\nMail to ")
    to, _, mail = demo.output.partition("\nMail to ")[2].partition(": ")
    assert "@" in to
    assert mail.startswith("Your license key for ")
    assert key in mail


def _post(person: requests.Session, address: str, **values: str) -> None:
    person.get(address, timeout=30)
    values["csrfmiddlewaretoken"] = person.cookies["csrftoken"]
    assert person.post(address, values, headers={"Referer": address}, timeout=30).status_code == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_runs_until_it_is_told_to_stop(demo: Demo, number: signal.Signals) -> None:
    demo.wait_for("Running until Ctrl-C.")
    address = re.search(r"http://127\.0\.0\.1:\d+", demo.output)
    assert address
    assert requests.get(f"{address[0]}/health/ready", timeout=10).status_code == 200
    assert len(demo.leftovers()) >= 4  # itself, the worker, the web server and its processes
    if number is signal.SIGINT:
        demo.press_ctrl_c()
    else:
        demo.process.send_signal(number)
    assert demo.process.wait(60) == 0, demo.output
    _assert_nothing_is_left(demo)
    with pytest.raises(requests.ConnectionError):
        requests.get(address[0], timeout=10)


@pytest.mark.parametrize("moment", ["Preparing the database", "Starting web server and worker", "1. Ava"])
def test_ctrl_c_at_any_moment_ends_everything(demo: Demo, moment: str) -> None:
    demo.wait_for(moment)
    demo.press_ctrl_c()
    assert demo.process.wait(60) == 0, demo.output
    assert "Traceback" not in demo.output
    _assert_nothing_is_left(demo)
