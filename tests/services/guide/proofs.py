"""Which row of LicenseSpring's FastSpring guide a test proves, and what comes of it on which license server.

``docs/license-servers/licensespring.md`` has a table of the same rows; ``test_page.py`` compares them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType
from typing import Any

import pytest

from licensing_integration.domain.servers import ServerKind
from tests.services.guide.selling import Guide

Test = Callable[..., None]

ATTRIBUTES = tuple(f"A{number}" for number in range(1, 18))
EVENTS = tuple(f"E{number}" for number in range(1, 12))
SCENARIOS = tuple(f"C{number}" for number in range(1, 14))
ROWS = (*ATTRIBUTES, *EVENTS, *SCENARIOS)


class Verdict(StrEnum):
    """``NONE``: the license server has nothing for it, and the history of the license says so."""

    WORKS = "works"
    EQUIVALENT = "equivalent"
    NONE = "no equivalent"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What one test claims to prove."""

    row: str
    verdicts: tuple[Verdict, Verdict]
    test: str


def on_both_servers(test: Test) -> Test:
    """Run a test with a shop whose licenses are on a LicenseSpring, and again with one whose are on a Cryptlex."""
    return pytest.mark.parametrize("server", list(ServerKind)[::-1], ids=str)(test)


def proves(row: str, *, licensespring: str, cryptlex: str) -> Callable[[Test], Test]:
    """Declare which row the test proves, on both license servers.

    A proof has to look at the license on its server and to read its history; where there is no equivalent, the history
    has to say that.
    """
    claims = {ServerKind.LICENSESPRING: Verdict(licensespring), ServerKind.CRYPTLEX: Verdict(cryptlex)}

    def declare(test: Test) -> Test:
        @functools.wraps(test)
        def prove(guide: Guide, **more: Any) -> None:
            test(guide=guide, **more)
            assert guide.has_looked, "a proof looks at the license server"
            assert guide.has_read, "a proof reads the history"
            assert guide.was_told_of_none or claims[guide.server] is not Verdict.NONE, "the history has to say it"

        mark = pytest.mark.proves(row, licensespring=licensespring, cryptlex=cryptlex)
        return mark(on_both_servers(prove))

    return declare


def claims_of(module: ModuleType) -> Iterator[Claim]:
    """What the tests of a module declare."""
    for name, test in vars(module).items():
        for mark in getattr(test, "pytestmark", []) if name.startswith("test_") else []:
            if mark.name == "proves":
                verdicts = (Verdict(mark.kwargs["licensespring"]), Verdict(mark.kwargs["cryptlex"]))
                yield Claim(row=mark.args[0], verdicts=verdicts, test=name)
