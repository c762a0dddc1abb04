"""Product mappings as a table of comma-separated values: one row for each, a column for each field of the form.

Cells are guarded as ``csv_cells`` says, and the guard is taken off again when they are read.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from licensing_integration.domain.wording import count_of
from licensing_integration.models import ProductMapping
from licensing_integration.services.csv_cells import unguarded

MOST_BYTES: Final = 1024 * 1024
# Each takes some milliseconds, and the process that takes them takes no webhook meanwhile.
MOST_ROWS: Final = 500

# Which mapping a row belongs to.
KEYS: Final = ("store", "store_product")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a file: the line it begins on, and its cells by column. ``problem``: why they may stand in the wrong
    columns, or some are missing; empty for a sound row."""

    line: int
    values: Mapping[str, str]
    problem: str = ""


def rows(mappings: Iterable[ProductMapping], *, columns: Sequence[str]) -> Iterator[Sequence[str]]:
    """The table, with a header row; not guarded yet."""
    yield columns
    for mapping in mappings:
        yield list(as_text(mapping, columns=columns).values())


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
    rows = _read(text, columns=columns)
    if not rows:
        raise ValueError("The file has no rows below its header.")
    return rows


def _read(text: str, *, columns: Sequence[str]) -> list[Row]:
    first = text.partition("\n")[0]
    lines = _numbered(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(first), strict=True))
    _, names = next(lines, (1, []))
    header = [name.strip() for name in names]
    _check_header(header, columns=columns)
    rows: list[Row] = []
    for line, cells in lines:
        if any(cells):
            rows.append(_row(cells, header=header, line=line))
        if len(rows) > MOST_ROWS:
            raise ValueError(f"The file has more than {MOST_ROWS:,} rows. Split it into several files.")
    return rows


def _numbered(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """The rows of a ``csv.reader``, each with the line it begins on."""
    while True:
        begins = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"The file is no readable CSV from line {begins} on: {error}.") from error
        yield begins, cells


def _check_header(header: Sequence[str], *, columns: Sequence[str]) -> None:
    missing = [name for name in KEYS if name not in header]
    if missing:
        raise ValueError(f"The first row must name the columns; {' and '.join(missing)} must be among them.")
    unknown = [name or "(empty)" for name in header if name not in columns]
    if unknown:
        raise ValueError(f"There is no field {', '.join(unknown)}. The columns are named as in an exported file.")
    if len(set(header)) < len(header):
        raise ValueError("A column stands twice in the first row.")


def _row(cells: Sequence[str], *, header: Sequence[str], line: int) -> Row:
    problem = ""
    if len(cells) != len(header):
        problem = (
            f"The row has {count_of(len(cells), 'cell')}, but there are {count_of(len(header), 'column')}. "
            "A cell with a comma in it needs quotation marks around it."
        )
    values = {name: unguarded(cell) for name, cell in zip(header, cells, strict=False)}
    return Row(line=line, values=values, problem=problem)


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
