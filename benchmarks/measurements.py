"""Measured values with their targets, and the median of several runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median


@dataclass(frozen=True, kw_only=True)
class Target:
    """``at_most`` or ``at_least``, in the unit of the value."""

    at_most: float | None = None
    at_least: float | None = None

    def is_reached(self, value: float) -> bool:
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)

    def __str__(self) -> str:
        if self.at_most is not None and self.at_most == self.at_least:
            return f"{self.at_most:,g}"
        return f"≤ {self.at_most:,g}" if self.at_most is not None else f"≥ {self.at_least:,g}"


def exactly(value: float) -> Target:
    return Target(at_most=value, at_least=value)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One number. ``values`` holds those of the single runs once they are combined."""

    name: str
    value: float
    unit: str = ""
    target: Target | None = None
    values: tuple[float, ...] = ()

    @property
    def is_reached(self) -> bool | None:
        return None if self.target is None else self.target.is_reached(self.value)

    @property
    def shown(self) -> str:
        text = f"{self.value:,.0f}" if abs(self.value) >= 100 else f"{self.value:.3g}"
        return f"{text} {self.unit}".strip()


def combine(runs: Iterable[Sequence[Measurement]]) -> list[Measurement]:
    """The median of each measurement over all runs, in the order of the first run."""
    by_name: dict[str, list[Measurement]] = {}
    for run in runs:
        for measurement in run:
            by_name.setdefault(measurement.name, []).append(measurement)
    return [_median(same) for same in by_name.values()]


def _median(same: Sequence[Measurement]) -> Measurement:
    values = tuple(measurement.value for measurement in same)
    return replace(same[0], value=median(values), values=values)


def milliseconds(name: str, seconds: float, *, at_most: float | None = None) -> Measurement:
    """``at_most`` in milliseconds, too."""
    target = None if at_most is None else Target(at_most=at_most)
    return Measurement(name=name, value=seconds * 1000, unit="ms", target=target)
