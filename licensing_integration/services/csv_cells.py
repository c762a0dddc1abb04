"""Comma-separated values: a spreadsheet must not take for a formula what customers and stores have written."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

# Spreadsheets pass over white space and control characters before a formula, and know its signs in full width too. An
# apostrophe is guarded so that the guard can be told from one that was there.
_GUARDED: Final = re.compile(r"[\s\x00-\x1f]*[=+\-@＝＋－＠]|[\t\r\n\x0b\x0c']")


def table(rows: Iterable[Sequence[str]]) -> str:
    """The rows as text, every cell guarded."""
    out = io.StringIO()
    csv.writer(out).writerows([guarded(cell) for cell in row] for row in rows)
    return out.getvalue()


def guarded(cell: str) -> str:
    """The cell with an apostrophe before it, if a spreadsheet could run it; else as it is."""
    return f"'{cell}" if _GUARDED.match(cell) else cell


def unguarded(cell: str) -> str:
    """What the cell was before ``guarded``."""
    return cell[1:] if cell.startswith("'") and _GUARDED.match(cell[1:]) else cell
