"""The product's settings for the tests: nobody's own configuration, and a PostgreSQL server for this run alone."""

from __future__ import annotations

import os

from tests.temporary import make_postgres_folder

os.environ["ENV_FILE"] = ""
os.environ.setdefault("SECRET_KEY", "only-for-tests-" + "x" * 50)
os.environ.setdefault("LOG_FORMAT", "text")
if not os.environ.get("DATABASE_URL") and "EMBEDDED_POSTGRES_DIR" not in os.environ:
    # The first process of a run makes the folder; pytest-xdist's workers inherit its name, and with it the server.
    os.environ["EMBEDDED_POSTGRES_DIR"] = str(make_postgres_folder())

from project.settings import *  # noqa: F403

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
