"""The results as a table for people and as JSON for machines."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.measurements import Measurement
from benchmarks.stack import Stack, python_version

Results = Mapping[str, Sequence[Measurement]]
QUIET_PERCENT = 5
_PLACE = "measured"


def machine(stack: Stack, *, repeat: int, is_quick: bool, others: float) -> str:
    """One sentence: where and when this was measured, how often, and how much (%) of the processors ``others`` used."""
    settings = stack.database.settings("fsync", "synchronous_commit")
    runs = f"median of {repeat} runs" if repeat > 1 else "one run"
    durability = ", ".join(f"{name} {value}" for name, value in settings.items())
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {hardware()}; "
        f"Python {python_version()}, PostgreSQL {stack.database.version()} ({durability}); load generator, database "
        f"and license server on the same machine; {runs}{', quick' if is_quick else ''}"
        f"{f'; other programs used {others:.0f} % of the processors meanwhile' if others >= QUIET_PERCENT else ''}."
    )


def hardware() -> str:
    """What this machine is."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GB, {platform.system()}"


def _processor() -> str:
    try:
        match = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        match = None
    return match[1].strip() if match else platform.machine()


def table(results: Results) -> str:
    """A Markdown table per scenario."""
    return "\n\n".join(_section(title, measurements) for title, measurements in results.items())


def _section(title: str, measurements: Sequence[Measurement]) -> str:
    rows = [("Measured", "Value", "Target", "Reached"), *(_row(measurement) for measurement in measurements)]
    return f"### {title}\n\n{aligned(rows)}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first row its head."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _row(measurement: Measurement) -> tuple[str, str, str, str]:
    target = "" if measurement.target is None else str(measurement.target)
    reached = {None: "", True: "yes", False: "**no**"}[measurement.is_reached]
    return measurement.name, measurement.shown, target, reached


def write_json(path: Path, *, where: str, results: Results) -> None:
    content = {
        "measured": where,
        "scenarios": {
            title: [
                {"name": m.name, "value": m.value, "unit": m.unit, "values": m.values, "reached": m.is_reached}
                for m in measurements
            ]
            for title, measurements in results.items()
        },
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def write_docs(path: Path, *, where: str, results: Results) -> None:
    """Replace the measured part of a page."""
    replace_part(path, place=_PLACE, text=f"Measured {where}\n\n{table(results)}")


def replace_part(path: Path, *, place: str, text: str) -> None:
    """Replace what stands between the two marks of this name."""
    begin, end = f"<!-- {place}: begin -->", f"<!-- {place}: end -->"
    before, _, rest = path.read_text().partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")
