"""One server for all processes of a project: started by the first, stopped by the last, however they end."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from project import embedded_postgres
from project.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError, choose_folder
from tests.temporary import make_postgres_folder

ROOT = Path(__file__).resolve().parents[1]
USE_AND_WAIT = """
import sys
from pathlib import Path
from project.embedded_postgres import EmbeddedPostgres
EmbeddedPostgres(Path(sys.argv[1])).use()
print("in use", flush=True)
sys.stdin.readline()
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as another user")

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(make_postgres_folder())
    yield server
    server.stop()


class User:
    """Another process that uses the server until it is told to end."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USE_AND_WAIT, str(server.folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_until_in_use(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "in use\n"

    def end(self) -> None:
        self.process.communicate("\n", timeout=30)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=30)


def _users(server: EmbeddedPostgres, count: int) -> list[User]:
    users = [User(server) for _ in range(count)]
    for user in users:
        user.wait_until_in_use()
    return users


def _answers(server: EmbeddedPostgres) -> bool:
    with psycopg.connect(server.url) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def test_processes_share_one_server_and_the_last_one_stops_it(server: EmbeddedPostgres) -> None:
    first, second = _users(server, 2)  # both start it at the same moment
    assert _answers(server)
    first.end()
    assert _answers(server)
    second.end()
    assert not server.is_ready()


def test_a_killed_process_neither_stops_the_server_nor_keeps_it_running(server: EmbeddedPostgres) -> None:
    killed, other = _users(server, 2)
    killed.kill()
    assert _answers(server)
    other.end()
    assert not server.is_ready()


def test_a_server_left_running_is_used_and_stopped_by_the_next(server: EmbeddedPostgres) -> None:
    (killed,) = _users(server, 1)
    killed.kill()
    assert server.is_ready()
    (user,) = _users(server, 1)
    user.end()
    assert not server.is_ready()


def test_a_server_that_was_killed_starts_again_with_its_data(server: EmbeddedPostgres) -> None:
    server.start()
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    postmaster = int((server.data_dir / "postmaster.pid").read_text().splitlines()[0])
    os.kill(postmaster, signal.SIGQUIT)  # no checkpoint, no clean shutdown: what remains is the write-ahead log
    while psutil.pid_exists(postmaster):  # it answers nobody for a while before it is gone
        pass
    server.start()
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_a_start_that_was_cut_off_is_made_up_for(server: EmbeddedPostgres) -> None:
    (server.folder / "data.unfinished").mkdir(parents=True)
    (server.folder / "data.unfinished" / "PG_VERSION").write_text("18\n")
    server.start()
    assert _answers(server)


def test_a_forked_child_does_not_stop_the_server_of_its_parent(server: EmbeddedPostgres) -> None:
    users = server._open_lock("users.lock")
    server.start()
    server._leave(users, os.getpid() + 1)
    assert _answers(server)
    server._leave(users, os.getpid())
    assert not server.is_ready()


def test_others_cannot_reach_the_data(server: EmbeddedPostgres) -> None:
    server.start()
    assert stat.S_IMODE(server.data_dir.stat().st_mode) == 0o700
    socket_mode = (server.socket_dir / embedded_postgres.SOCKET_NAME).stat().st_mode
    assert stat.S_IMODE(socket_mode) == 0o700


def test_only_the_unix_socket_listens_and_options_apply(server: EmbeddedPostgres) -> None:
    server.start()
    with psycopg.connect(server.url) as connection:
        row = connection.execute(
            "SELECT current_setting('listen_addresses'), current_setting('max_connections'), current_setting('fsync')"
        ).fetchone()
    assert row == ("", "200", "on")


@pytest.mark.parametrize("name", ["long-" + "x" * 100, "it's, odd"])
def test_folders_a_socket_cannot_live_in(name: str) -> None:
    server = EmbeddedPostgres(make_postgres_folder() / name)
    try:
        server.start()
        assert _answers(server)
        assert server.socket_dir != server.data_dir
    finally:
        server.stop()
        server.socket_dir.rmdir()


def test_a_folder_that_cannot_be_made_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedPostgresError, match="EMBEDDED_POSTGRES_DIR"):
        EmbeddedPostgres(tmp_path / "file" / "postgres").start()


def test_a_socket_folder_of_somebody_else_is_refused(server: EmbeddedPostgres, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(EmbeddedPostgresError, match="somebody else"):
        embedded_postgres._make_private_folder(link, owner=embedded_postgres._server_user())


def test_stopping_a_server_that_never_started_is_fine(server: EmbeddedPostgres) -> None:
    server.stop()
    assert not server.is_ready()


def test_what_went_wrong_is_told(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    broken = EmbeddedPostgres(server.folder, options={"no_such_parameter": "1"})
    with pytest.raises(EmbeddedPostgresError, match=r"pg_ctl failed, see .*server\.log"):
        broken.start()


@as_root
def test_root_keeps_it_out_of_a_private_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    folder = choose_folder(tmp_path / "postgres")
    assert folder.is_relative_to(embedded_postgres.ROOT_STATE_DIR)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700  # and does not open it either


@as_root
def test_root_may_have_a_strict_umask() -> None:
    umask = os.umask(0o077)
    try:
        server = EmbeddedPostgres(make_postgres_folder() / "below" / "postgres")
        server.start()
    finally:
        os.umask(umask)
    assert _answers(server)
    server.stop()


@as_root
def test_root_copies_the_programs_out_of_a_private_folder(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_postgres, "_is_reachable", lambda path: False)
    server.start()
    assert _answers(server)
    assert server._programs.is_relative_to(server.folder)


def test_many_threads_may_start_it_at_once(server: EmbeddedPostgres) -> None:
    threads = [threading.Thread(target=lambda: _users(server, 1)[0].end()) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not server.is_ready()
