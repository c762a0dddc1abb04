"""The results as a table for ``docs/performance.md``, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks import report
from benchmarks.console.measure import MOST_MILLISECONDS, MOST_QUERIES, Outcome, Result
from benchmarks.console.sites import Site
from benchmarks.stack import python_version

PLACE: Final = "console"


def written(outcome: Outcome, *, small: Site, big: Site, runs: int) -> str:
    """Where and when it was measured, a line for each group of pages, and the verdict."""
    return "\n\n".join([_where(small, big, runs=runs), _table(outcome.results, small=small, big=big), verdict(outcome)])


def verdict(outcome: Outcome) -> str:
    """In a sentence or two."""
    slow = "; ".join(f"{_name(result)} ({', '.join(result.faults)})" for result in outcome.wrong)
    wrong = [f"Too slow: {slow}."] if slow else []
    wrong += [f"Broken: {'; '.join(outcome.broken)}."] if outcome.broken else []
    if wrong:
        return "\n\n".join(wrong)
    return (
        f"All {sum(result.cases for result in outcome.results):,} pages answer within {MOST_MILLISECONDS} ms and "
        f"{MOST_QUERIES} queries, and none is measurably slower in the large database."
    )


def write_docs(path: Path, text: str) -> None:
    report.replace_part(path, place=PLACE, text=text)


def _where(small: Site, big: Site, *, runs: int) -> str:
    sizes = " and ".join(f"{site.size.events:,} events ({_rows(site)})" for site in (small, big))
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d}, {report.hardware()}; Python {python_version()}. Databases with "
        f"{sizes}; median of {runs} runs."
    )


def _rows(site: Site) -> str:
    purchases, licenses, entries = site.counts()
    return f"{purchases:,} purchases, {licenses:,} licenses, {entries:,} history entries"


def _table(results: Sequence[Result], *, small: Site, big: Site) -> str:
    head = ("Page", "Cases", "Queries", *(f"{site.size.events:,}" for site in (small, big)), "p95", "Ratio", "")
    return report.aligned([head, *(_row(result) for result in results)])


def _row(result: Result) -> tuple[str, ...]:
    return (
        _name(result),
        str(result.cases),
        str(result.queries),
        *(f"{milliseconds:.0f} ms" for milliseconds in result.medians),
        f"{result.p95:.0f} ms",
        f"{result.ratio:.1f}",
        ", ".join(f"**{fault}**" for fault in result.faults),
    )


def _name(result: Result) -> str:
    return f"{result.page.group} ({result.page.case})" if result.page.case else result.page.group


def explained(result: Result, big: Site) -> str:
    """The slowest statement of a page, and its plan."""
    return f"{_name(result)}\n{result.slowest_statement}\n\n{big.explain(result.slowest_statement)}"
