"""The product's settings without what costs time per request; served by the same command."""

from __future__ import annotations

from project.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.bare.urls"
MIDDLEWARE = []
SILENCED_SYSTEM_CHECKS = ["admin.E408", "admin.E409", "admin.E410"]  # the admin wants middleware; nobody opens it
