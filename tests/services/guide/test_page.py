"""The table of the guide on the page says what the tests here prove, and nothing else."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.services.guide.proofs import ROWS, Claim, Verdict, claims_of, proves
from tests.services.guide.selling import Cryptlex, Guide

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "license-servers" / "licensespring.md"
_ROW = re.compile(r"^\| (?P<row>[AEC]\d+) \| (?P<meaning>[^|]+) \| (?P<spring>[^|]+) \| (?P<cryptlex>[^|]+) \|$")
_VERDICT = re.compile(rf"({'|'.join(Verdict)})(: \S.*)?")


def declared() -> list[Claim]:
    """By every test module of this folder."""
    names = sorted(path.stem for path in HERE.glob("test_*.py"))
    return [claim for name in names for claim in claims_of(importlib.import_module(f"{__package__}.{name}"))]


def written() -> list[tuple[str, tuple[Verdict, Verdict]]]:
    """Row and verdicts of every line of the tables; explanations apart."""
    found = [_ROW.match(line) for line in PAGE.read_text(encoding="utf-8").splitlines()]
    return [(hit["row"], (_verdict(hit["spring"]), _verdict(hit["cryptlex"]))) for hit in found if hit]


def _verdict(cell: str) -> Verdict:
    match = _VERDICT.fullmatch(cell.strip())
    assert match, f"not a verdict: {cell}"
    return Verdict(match[1])


def test_the_page_has_every_row_of_the_guide_once_and_in_order():
    assert tuple(row for row, _ in written()) == ROWS


def test_every_row_is_proved_by_one_test():
    assert Counter(claim.row for claim in declared()) == Counter(ROWS)


def test_the_page_says_what_the_tests_prove():
    assert dict(written()) == {claim.row: claim.verdicts for claim in declared()}


def test_what_has_another_form_is_explained():
    """``works`` may stand alone; of anything else the reader has to learn what it is."""
    bare = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if _ROW.match(line)]
    assert [line for line in bare if re.search(r"\| (equivalent|no equivalent) \|", line)] == []


@pytest.mark.parametrize(
    ("seen", "is_proof"),
    [
        ({"has_looked", "has_read", "was_told_of_none"}, True),
        ({"has_looked", "has_read"}, False),
        ({"has_looked", "was_told_of_none"}, False),
        ({"has_read", "was_told_of_none"}, False),
    ],
)
def test_a_proof_looks_at_the_license_and_reads_its_history(seen, is_proof, cryptlex, shop):
    @proves("A11", licensespring="works", cryptlex="no equivalent")
    def look(guide):
        vars(guide).update(dict.fromkeys(seen, True))

    guide = Guide(on=Cryptlex(cryptlex), shop=shop, deliver=lambda: None)
    if is_proof:
        look(guide=guide)
    else:
        with pytest.raises(AssertionError):
            look(guide=guide)
