"""The product's settings for the tests: nobody's own configuration, and a PostgreSQL server for this run alone."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

os.environ["ENV_FILE"] = ""
os.environ.setdefault("SECRET_KEY", "only-for-tests-" + "x" * 50)
os.environ.setdefault("LOG_FORMAT", "text")


def _remove_after_use(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)


if not os.environ.get("DATABASE_URL") and "EMBEDDED_POSTGRES_DIR" not in os.environ:
    # The first process of a run makes the folder; pytest-xdist's workers inherit its name, and with it the server.
    _folder = tempfile.mkdtemp(prefix="licensing-integration-tests-")
    Path(_folder).chmod(0o755)  # noqa: S103 - the server's own user passes through; what it keeps inside is private
    os.environ["EMBEDDED_POSTGRES_DIR"] = f"{_folder}/postgres"
    atexit.register(_remove_after_use, _folder)  # registered first, so it happens after the server has stopped

from project.settings import *  # noqa: E402, F403

STORES = [
    {
        "name": "fastspring",
        "adapter": "fastspring",
        "webhook_secrets": ("webhook-secret-for-tests",),
        "test_events": "apply",
    }
]
LICENSE_SERVERS = [
    {
        "name": "cryptlex",
        "backend": "cryptlex",
        "base_url": "http://127.0.0.1:9",  # nobody listens there; the fixture ``cryptlex`` puts a sandbox in its place
        "access_token": "sandbox-token",
        "request_limit": 0,
    }
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
