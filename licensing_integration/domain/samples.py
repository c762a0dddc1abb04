"""Purchases that never were, to see what would become of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class SampleKind:
    """A kind of purchase that a store can make a sample of. ``label``: for people, such as ``A new subscription``."""

    slug: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What is pretended to be bought. ``kind``: the slug of a ``SampleKind`` of the store; ``product``: as the store
    names it; ``attributes``: the store's custom attributes of the product."""

    kind: str
    product: str
    quantity: int = 1
    attributes: Mapping[str, str] = field(default_factory=dict)
