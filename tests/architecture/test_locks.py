"""Row locks that let a license's history be written meanwhile."""

from __future__ import annotations

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "licensing_integration"


def test_row_locks_do_not_block_rows_that_refer_to_the_locked_one():
    """A history entry locks its purchase's key. With a plain ``FOR UPDATE``, planning (purchase, then links) and
    settling (link, then its history) wait for each other: a deadlock."""
    locks = [
        (path.name, arguments)
        for path in PACKAGE.rglob("*.py")
        for arguments in re.findall(r"select_for_update\(([^)]*)\)", path.read_text(encoding="utf-8"))
    ]
    assert locks
    assert [name for name, arguments in locks if "no_key=True" not in arguments] == []
