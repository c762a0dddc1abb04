"""Visit every page of both databases, and keep what is slowest of each group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Final

from benchmarks.console.pages import Page
from benchmarks.console.sites import Site, Visit

MOST_MILLISECONDS: Final = 300
MOST_QUERIES: Final = 12
MOST_TIMES_SLOWER: Final = 2.0
MOST_TIMES_LARGER: Final = 1.3
LEAST_DIFFERENCE: Final = 30.0  # milliseconds; below, nobody measures it
_NOTHING_TO_DO: Final = {302, 404, 405}
SLOWEST: Final = 3  # of each group are measured again and again; one look is enough at the others


@dataclass(frozen=True, kw_only=True)
class Result:
    """One page in both databases. ``cases``: how many pages were looked at to find it, the slowest of its group."""

    page: Page
    cases: int
    small: Sequence[Visit]
    big: Sequence[Visit]

    @property
    def queries(self) -> int:
        return max(visit.queries for visit in (*self.small, *self.big))

    @property
    def medians(self) -> tuple[float, float]:
        """Milliseconds in the small and in the large database."""
        return _median(self.small, "seconds"), _median(self.big, "seconds")

    @property
    def ratio(self) -> float:
        small, big = self.medians
        return big / small

    @property
    def p95(self) -> float:
        """Milliseconds in the large database."""
        seconds = sorted(visit.seconds for visit in self.big)
        return 1000 * seconds[ceil(0.95 * len(seconds)) - 1]

    @property
    def slowest_statement(self) -> str:
        return max(self.big, key=lambda visit: visit.seconds).slowest

    @property
    def faults(self) -> list[str]:
        """What is wrong with it, in a few words each."""
        found = {
            f"over {MOST_MILLISECONDS} ms": self.medians[1] > MOST_MILLISECONDS,
            f"over {MOST_QUERIES} queries": self.queries > MOST_QUERIES and not self.page.is_preview,
            "slower than small": self._is_slower,
        }
        return [fault for fault, is_so in found.items() if is_so]

    @property
    def _is_slower(self) -> bool:
        """Where the small database has less to show, only the time of the statements is compared."""
        shows_more = self.big[0].bytes > MOST_TIMES_LARGER * self.small[0].bytes
        times = (_median(self.small, "database"), _median(self.big, "database")) if shows_more else self.medians
        return times[1] > MOST_TIMES_SLOWER * times[0] and times[1] - times[0] > LEAST_DIFFERENCE


def _median(visits: Iterable[Visit], field: str) -> float:
    return 1000 * median(getattr(visit, field) for visit in visits)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """``broken``: pages that could not be shown at all, each with what they answered."""

    results: Sequence[Result]
    broken: Sequence[str]

    @property
    def wrong(self) -> list[Result]:
        return [result for result in self.results if result.faults]


def measure(small: Site, big: Site, *, runs: int, only: str = "", tell: Callable[[str], None]) -> Outcome:
    """Every group whose name begins with ``only``, by its slowest page, in the order of the pages."""
    in_small = {page.key: page for page in small.pages()}
    known = [page for page in big.pages() if page.key in in_small and page.group.startswith(only)]
    results, broken = [], []
    for group, pages in _grouped(known):
        looked_at, failed = _looked_at(big, pages)
        broken += failed
        compared = [
            _compare(small, big, in_small[page.key], page, cases=len(looked_at), runs=runs)
            for page in looked_at[:SLOWEST]
        ]
        if compared:
            results.append(max(compared, key=lambda result: (bool(result.faults), result.medians[1])))
            tell(f"{group} ({len(looked_at)}): {results[-1].medians[1]:.0f} ms")
    return Outcome(results=results, broken=broken)


def _grouped(pages: Iterable[Page]) -> list[tuple[str, list[Page]]]:
    groups: dict[str, list[Page]] = {}
    for page in pages:
        groups.setdefault(page.group, []).append(page)
    return list(groups.items())


def _looked_at(site: Site, pages: Sequence[Page]) -> tuple[list[Page], list[str]]:
    """Those of the pages that there are, with too many queries first, then by the faster of two visits, slowest first:
    the first visit warms the caches. And those that cannot be shown."""
    looked_at: list[tuple[bool, float, Page]] = []
    broken = []
    for page in pages:
        first = site.visit(page)
        if is_shown(page, first):
            seconds = min(first.seconds, site.visit(page).seconds)
            looked_at.append((first.queries > MOST_QUERIES, seconds, page))
        elif not (page.is_found and first.status in _NOTHING_TO_DO):
            broken.append(f"{page.group} {page.case}: {page.address} answers {first.status or 'with an error'}")
    return [page for *_, page in sorted(looked_at, key=lambda one: one[:2], reverse=True)], broken


def is_shown(page: Page, visit: Visit) -> bool:
    """A search may lead straight to its hit instead."""
    return visit.status == 200 or (visit.status == 302 and page.group == "Search")


def _compare(small: Site, big: Site, in_small: Page, in_big: Page, *, cases: int, runs: int) -> Result:
    small.visit(in_small)
    visits = [(small.visit(in_small), big.visit(in_big)) for _ in range(runs)]
    return Result(page=in_big, cases=cases, small=[visit for visit, _ in visits], big=[visit for _, visit in visits])
