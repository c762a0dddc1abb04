"""What can go wrong with a measurement."""

from __future__ import annotations


class BenchmarkError(RuntimeError):
    """The measurement cannot be made, or what it measured is not what it claims to be."""
