"""Mappings as a table: what is written can be read back, nothing in it runs, and what cannot be read is a sentence."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest

from licensing_integration.models import AuditEntry, MappingVersion, ProductMapping
from licensing_integration.services import catalog, mapping_csv
from licensing_integration.services.csv_cells import table
from tests.factories import ProductMappingFactory, PurchaseItemFactory

# A spreadsheet looks for the sign of a formula behind white space and control characters.
_HIDDEN = (" =1", "\n=1", "\x0b=1", "\x0c+1", "\x1f-1", "\xa0@SUM(A1)", " \t =1", "＝1")

COLUMNS = ("store", "store_product", "is_active", "is_maintained", "notes", "custom_fields", "extra_days")


def import_all(mappings: Sequence[ProductMapping]) -> int:
    return catalog.save_mappings(mappings, user_id=None, saving=catalog.Saving.IMPORTED, reason="r")


def read(text: str) -> list[dict[str, str]]:
    return [dict(row.values) for row in mapping_csv.read(text.encode(), columns=COLUMNS)]


def test_what_is_written_is_read_back() -> None:
    mapping = ProductMappingFactory.build(
        store_product='photon, "pro"', notes="first\nsecond", custom_fields={"Seats": "5", "Color": "a=b"}, extra_days=3
    )
    text = table(mapping_csv.rows([mapping], columns=COLUMNS))
    assert read(text) == [mapping_csv.as_text(mapping, columns=COLUMNS)]
    assert read(text)[0]["custom_fields"] == "Seats = 5\nColor = a=b"


@pytest.mark.parametrize(
    "notes", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "'quoted'", "'=1", "''", "plain", "- a note", *_HIDDEN]
)
def test_no_cell_is_a_formula_and_every_cell_comes_back(notes: str) -> None:
    text = table(mapping_csv.rows([ProductMappingFactory.build(notes=notes)], columns=COLUMNS))
    cell = next(csv.DictReader(io.StringIO(text, newline="")))["notes"]
    assert cell == notes == "plain" or cell == f"'{notes}"
    assert read(text)[0]["notes"] == notes


def test_a_row_knows_the_line_it_begins_on_and_empty_lines_are_no_rows() -> None:
    text = 'store,store_product,notes\r\na,b,"two\nlines"\r\n\r\n,,\r\nc,d,\r\n'
    rows = mapping_csv.read(text.encode(), columns=COLUMNS)
    assert [(row.line, row.values["store"]) for row in rows] == [(2, "a"), (6, "c")]


def test_a_spreadsheets_byte_order_mark_and_semicolons_are_understood() -> None:
    assert read("\ufeffstore;store_product\na;b,c\n") == [{"store": "a", "store_product": "b,c"}]


def test_a_row_of_another_length_than_the_header_says_so_and_hides_no_other() -> None:
    rows = mapping_csv.read(b"store,store_product\na\nc,d\ne,f,g\n", columns=COLUMNS)
    assert [(row.line, row.problem.partition(".")[0]) for row in rows] == [
        (2, "The row has 1 cell, but there are 2 columns"),
        (3, ""),
        (4, "The row has 3 cells, but there are 2 columns"),
    ]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"store,store_product\n" + b"x" * mapping_csv.MOST_BYTES, "larger than 1 MB"),
        (b"store,store_product\n" + b"a,b\n" * (mapping_csv.MOST_ROWS + 1), "more than 500 rows. Split it"),
        ("store,store_product\nä,b".encode("latin-1"), "not in UTF-8"),
        (b'store,store_product\na,b\n"a,b\n', "no readable CSV from line 3 on"),
        (b"store,store_product\na,b\x00\n", "holds NUL characters"),
        (b"", "must name the columns"),
        (b"store,notes\na,b\n", "store_product must be among them"),
        (b"store,store_product,color\na,b,c\n", "There is no field color"),
        (b"store,store_product,store\na,b,c\n", "stands twice"),
        (b"store,store_product\n", "no rows below its header"),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_with_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        mapping_csv.read(data, columns=COLUMNS)


def test_saving_all_is_all_or_nothing(db: None) -> None:
    ProductMappingFactory(store_product="taken")
    mappings = [ProductMappingFactory.build(store_product=name) for name in ("one", "taken")]
    with pytest.raises(Exception, match="one_mapping_per_product"):
        import_all(mappings)
    assert [one.store_product for one in ProductMapping.objects.all()] == ["taken"]
    assert not AuditEntry.objects.exists()
    import_all(mappings[:1])
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.reason) == ("mapping.imported", "r")


def test_mappings_are_saved_in_one_order_so_that_two_files_never_wait_for_each_other(db: None) -> None:
    named = [
        ProductMappingFactory(store=store, store_product=name) for store, name in (("b", "a"), ("a", "b"), ("a", "a"))
    ]
    import_all(named)
    versions = MappingVersion.objects.order_by("pk").values_list("mapping__store", "mapping__store_product")
    assert list(versions) == [("a", "a"), ("a", "b"), ("b", "a")]


def test_many_mappings_look_once_for_what_waits_for_them(
    db: None, django_assert_num_queries: Callable[[int], AbstractContextManager[Any]]
) -> None:
    mappings = [ProductMappingFactory() for _ in range(20)]
    items = [PurchaseItemFactory(is_waiting=True, product=one.store_product) for one in mappings[:2]]
    PurchaseItemFactory(is_waiting=True, product="another")
    # For each: save it, its newest version, a new one, the audit. Then what waits, the jobs, and the transaction.
    with django_assert_num_queries(20 * 4 + 3 + 1 + 2):
        assert import_all(mappings) == len(items)
