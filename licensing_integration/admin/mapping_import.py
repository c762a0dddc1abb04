"""What a file of mappings would do: every row goes through the form that people fill in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from licensing_integration.admin.mapping_form import MAPPING_FIELDS, ProductMappingForm, product_warning
from licensing_integration.models import ProductMapping
from licensing_integration.services import mapping_csv, mapping_versions
from licensing_integration.services.mapping_csv import Row
from licensing_integration.services.mapping_versions import FieldChange

Key = tuple[str, str]


class Verdict(StrEnum):
    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one row would do. ``mapping``: unsaved, with the row's values; ``None`` where there is nothing to save.
    ``changes``: of a new one, all that it says. ``errors``: (field, sentence), the field empty for what concerns the
    whole row."""

    row: Row
    verdict: Verdict
    mapping: ProductMapping | None = None
    changes: Sequence[FieldChange] = ()
    errors: Sequence[tuple[str, str]] = ()

    @property
    def warning(self) -> str:
        """What the form would warn of."""
        return product_warning(self.mapping) if self.mapping else ""


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """What a file would do, row by row."""

    outcomes: Sequence[Outcome]

    def count(self, verdict: Verdict) -> int:
        return sum(outcome.verdict is verdict for outcome in self.outcomes)

    @property
    def counts(self) -> Mapping[str, int]:
        return {verdict.value: self.count(verdict) for verdict in Verdict}

    @property
    def to_save(self) -> list[ProductMapping]:
        return [outcome.mapping for outcome in self.outcomes if outcome.mapping]

    @property
    def may_be_applied(self) -> bool:
        return bool(self.to_save) and not self.count(Verdict.ERROR)

    @property
    def telling(self) -> Sequence[Outcome]:
        """The rows a person has to look at: those that change nothing are only counted. Mistakes first."""
        shown = [outcome for outcome in self.outcomes if outcome.verdict is not Verdict.UNCHANGED]
        return sorted(shown, key=lambda outcome: outcome.verdict is not Verdict.ERROR)

    @property
    def fingerprint(self) -> str:
        """The same for two runs that would do the same."""
        what = [(one.row.line, one.verdict.value, [str(change) for change in one.changes]) for one in self.outcomes]
        return hashlib.sha256(repr(what).encode()).hexdigest()


def dry_run(rows: Sequence[Row]) -> DryRun:
    """What saving ``rows`` would do. Saves nothing; the license servers are asked for their lists."""
    stores = {_key(row)[0] for row in rows}
    known = {(one.store, one.store_product): one for one in ProductMapping.objects.filter(store__in=stores)}
    seen: set[Key] = set()
    outcomes = []
    for row in rows:
        key = _key(row)
        if row.problem:
            outcomes.append(_refused(row, "", row.problem))
            continue  # the cells of its key may stand elsewhere
        if key in seen:
            outcomes.append(_refused(row, "store_product", "The product stands in the file twice. Keep one row."))
        else:
            outcomes.append(_outcome(_as_written_by_us(row), known.get(key)))
        seen.add(key)
    return DryRun(outcomes=outcomes)


def _key(row: Row) -> Key:
    return row.values.get("store", "").strip(), row.values.get("store_product", "").strip()


def _refused(row: Row, field: str, sentence: str) -> Outcome:
    return Outcome(row=row, verdict=Verdict.ERROR, errors=[(field, sentence)])


def _outcome(row: Row, known: ProductMapping | None) -> Outcome:
    mapping = known or ProductMapping()
    values = mapping_csv.as_text(mapping, columns=MAPPING_FIELDS)
    if known and {**values, **row.values} == values:
        return Outcome(row=row, verdict=Verdict.UNCHANGED)
    before = mapping_versions.current(mapping)
    form = ProductMappingForm({**values, **row.values}, instance=mapping)
    errors = [
        *_unreadable(row),
        *((name.removeprefix("__all__"), text) for name, texts in form.errors.items() for text in texts),
    ]
    if errors:
        return Outcome(row=row, verdict=Verdict.ERROR, errors=errors)
    now = mapping_versions.current(mapping)
    if not known:
        said = [field for field in mapping_versions.said(now) if field.name not in mapping_csv.KEYS]
        return Outcome(row=row, verdict=Verdict.NEW, mapping=mapping, changes=said)
    changes = mapping_versions.different(before, now)
    if not changes:
        return Outcome(row=row, verdict=Verdict.UNCHANGED)
    return Outcome(row=row, verdict=Verdict.CHANGED, mapping=mapping, changes=changes)


# A form takes any text for "on", and what it does not know for "not said".
_CHOICES: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("is_active", "is_license_needed"), frozenset({"true", "false"})),
    **dict.fromkeys(("is_maintained", "is_customer_manager", "is_customer_user"), frozenset({"true", "false", ""})),
}


def _as_written_by_us(row: Row) -> Row:
    """Spreadsheets write TRUE for true."""
    values = {name: text.lower() if name in _CHOICES else text for name, text in row.values.items()}
    return replace(row, values=values)


def _unreadable(row: Row) -> list[tuple[str, str]]:
    return [
        (name, f"Write {' or '.join(sorted(words - {''}))}{', or nothing' if '' in words else ''}.")
        for name, words in _CHOICES.items()
        if name in row.values and row.values[name] not in words
    ]
