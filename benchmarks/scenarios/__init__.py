"""The scenarios by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.measurements import Measurement
from benchmarks.scenarios import calls, faults, latency, memory, receive, stripe, throughput
from benchmarks.scenarios.plan import Plan
from benchmarks.stack import Stack


@dataclass(frozen=True, kw_only=True)
class Scenario:
    title: str
    run: Callable[[Stack, Plan], Sequence[Measurement]]


SCENARIOS: Mapping[str, Scenario] = {
    "receive": Scenario(title="Durable acknowledgements", run=receive.run),
    "receive-while-working": Scenario(title="Acknowledgements while workers are busy", run=receive.run_while_working),
    "latency": Scenario(title="From order to license", run=latency.run),
    "stripe": Scenario(title="Stripe Checkout", run=stripe.run),
    "throughput": Scenario(title="Licenses at full load", run=throughput.run),
    "calls": Scenario(title="Calls to the license server", run=calls.run),
    "faults": Scenario(title="Duplicates and faults", run=faults.run),
    "memory": Scenario(title="Memory", run=memory.run),
}
