"""The product's settings without what costs time per request; served by the same command."""

from __future__ import annotations

from project.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.bare.urls"
MIDDLEWARE: list[str] = []
