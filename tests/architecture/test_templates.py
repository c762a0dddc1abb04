"""Templates: what one opens it closes itself, so that including it changes nothing but its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TEMPLATES = Path(__file__).parents[2] / "templates"


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: str(path.relative_to(TEMPLATES)))
@pytest.mark.parametrize("element", ["div", "section", "form", "table", "details"])
def test_a_template_closes_what_it_opens(path: Path, element: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(re.findall(rf"<{element}\b", text)) == text.count(f"</{element}>")
