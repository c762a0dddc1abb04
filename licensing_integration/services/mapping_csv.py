"""Product mappings as a table of comma-separated values: one row for each, a column for each field of the form.

Cells are guarded as ``csv_cells`` says, and the guard is taken off again when they are read.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from licensing_integration.models import ProductMapping
from licensing_integration.services import catalog
from licensing_integration.services.csv_cells import guarded, unguarded

MOST_BYTES: Final = 1024 * 1024
# Each takes some milliseconds, and the process that takes them takes no webhook meanwhile.
MOST_ROWS: Final = 500

_KEYS: Final = ("store", "store_product")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a file: the line it begins on, and its cells by column."""

    line: int
    values: Mapping[str, str]


def write(mappings: Iterable[ProductMapping], *, columns: Sequence[str]) -> str:
    """The table, with a header row."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    for mapping in mappings:
        values = as_text(mapping, columns=columns)
        writer.writerow([guarded(values[name]) for name in columns])
    return out.getvalue()


def as_text(mapping: ProductMapping, *, columns: Sequence[str]) -> dict[str, str]:
    """A mapping's fields as they are written, and as its form reads them."""
    return {name: _text(getattr(mapping, name)) for name in columns}


def read(data: bytes, *, columns: Sequence[str]) -> list[Row]:
    """The rows of a file; a column that it does not have is not in them. ``columns`` are those it may have.

    Raises ``ValueError`` with a sentence for a file that cannot be taken at all.
    """
    if len(data) > MOST_BYTES:
        raise ValueError("The file is larger than 1 MB. Split it into several files.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("The file is not in UTF-8. Save it as CSV with the encoding UTF-8.") from error
    if "\0" in text:
        raise ValueError("The file is no text: it holds NUL characters. Save it as CSV again.")
    try:
        rows = _read(text, columns=columns)
    except csv.Error as error:
        raise ValueError(f"The file is no readable CSV: {error}.") from error
    if not rows:
        raise ValueError("The file has no rows below its header.")
    return rows


def save_all(mappings: Sequence[ProductMapping], *, user_id: int | None, reason: str) -> int:
    """Save all of them, or none if one fails. Returns how many waiting purchases were set in motion."""
    return catalog.save_mappings(mappings, user_id=user_id, saving=catalog.Saving.IMPORTED, reason=reason)


def _read(text: str, *, columns: Sequence[str]) -> list[Row]:
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(first), strict=True)
    header = [name.strip() for name in next(reader, [])]
    _check_header(header, columns=columns)
    rows: list[Row] = []
    begins = reader.line_num + 1
    for cells in reader:
        if any(cells):
            rows.append(_row(cells, header=header, line=begins))
        if len(rows) > MOST_ROWS:
            raise ValueError(f"The file has more than {MOST_ROWS:,} rows. Split it into several files.")
        begins = reader.line_num + 1
    return rows


def _check_header(header: Sequence[str], *, columns: Sequence[str]) -> None:
    missing = [name for name in _KEYS if name not in header]
    if missing:
        raise ValueError(f"The first row must name the columns; {' and '.join(missing)} must be among them.")
    unknown = [name or "(empty)" for name in header if name not in columns]
    if unknown:
        raise ValueError(f"There is no field {', '.join(unknown)}. The columns are named as in an exported file.")
    if len(set(header)) < len(header):
        raise ValueError("A column stands twice in the first row.")


def _row(cells: Sequence[str], *, header: Sequence[str], line: int) -> Row:
    if len(cells) != len(header):
        raise ValueError(f"Line {line} has {len(cells)} cells, but there are {len(header)} columns.")
    return Row(line=line, values={name: unguarded(cell) for name, cell in zip(header, cells, strict=True)})


def _delimiter(header: str) -> str:
    """Spreadsheets write semicolons where the comma is for decimals."""
    return ";" if ";" in header and "," not in header else ","


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "\n".join(f"{name} = {text}" for name, text in value.items())
    return str(value)
