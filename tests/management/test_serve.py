"""The web server as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
from django.core.management.base import CommandError
from pytest_django import Settings

from licensing_integration.management.commands.serve import choose_port, default_threads
from project.embedded_postgres import EmbeddedPostgres
from tests.temporary import make_postgres_folder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as the server itself does
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_is_an_error_that_says_what_to_do(taken_port: int) -> None:
    with pytest.raises(CommandError, match="--auto-port"):
        choose_port("127.0.0.1", taken_port, is_any_fine=False)


def test_another_port_is_chosen_if_any_is_fine(taken_port: int) -> None:
    assert choose_port("127.0.0.1", taken_port, is_any_fine=True) not in {0, taken_port}


def test_port_0_is_any_free_port() -> None:
    assert choose_port("127.0.0.1", 0, is_any_fine=False) > 0


def test_a_free_port_is_used_as_asked(taken_port: int) -> None:
    free = choose_port("127.0.0.1", 0, is_any_fine=False)
    assert choose_port("127.0.0.1", free, is_any_fine=False) == free


def test_a_process_has_one_thread_unless_stores_wait_for_keys(settings: Settings) -> None:
    assert default_threads() == 1
    settings.STORES = [{**settings.STORES[0], "fulfilment_keys": ("a-private-key",)}]
    assert default_threads() == 8
    settings.FULFILMENT_MAX_WAITING = 10
    assert default_threads() == 20


def _answer(url: str) -> tuple[int, dict[str, str]]:
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def _wait_until_served(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            _answer(f"{url}/health/live")
        except URLError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_told_to_stop_and_leaves_nothing_running(number: signal.Signals) -> None:
    postgres = EmbeddedPostgres(make_postgres_folder())
    environment = {**os.environ, "DATABASE_URL": "", "EMBEDDED_POSTGRES_DIR": str(postgres.folder)}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve", "--port", "0", "--workers", "2"],
        cwd=ROOT,
        env={**environment, "DJANGO_SETTINGS_MODULE": "project.settings"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        announced = re.fullmatch(r"Listening on (http://127\.0\.0\.1:\d+)\n", process.stdout.readline())
        assert announced
        _wait_until_served(announced[1])
        assert _answer(f"{announced[1]}/health/live") == (200, {"status": "ok"})
        status, parts = _answer(f"{announced[1]}/health/ready")
        assert status == 503
        assert parts["database"] == "ok"
        assert "migrate" in parts["migrations"]
        process.send_signal(number)
        assert process.wait(timeout=20) == 0
        assert not postgres.is_ready()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its processes too
        process.communicate()
        postgres.stop()
