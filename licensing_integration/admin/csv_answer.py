"""Tables as files that the browser saves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.http import HttpResponse

from licensing_integration.services.csv_cells import table


def csv_answer(name: str, rows: Iterable[Sequence[str]]) -> HttpResponse:
    """The rows, the first of which names the columns, as the file ``name``."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    # A byte order mark: without it spreadsheets take UTF-8 for something else.
    return HttpResponse("\ufeff" + table(rows), content_type="text/csv; charset=utf-8", headers=headers)
