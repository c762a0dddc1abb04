"""Versions of a product mapping: kept at every save, told in words, compared, and put back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db.models import Field
from django.forms.models import model_to_dict

from licensing_integration.models import MappingVersion, ProductMapping

_FIELDS: Final[Mapping[str, Field[Any, Any]]] = {
    field.name: field
    for field in ProductMapping._meta.concrete_fields
    if field.editable and not field.primary_key and not getattr(field, "auto_now_add", False)
}
_NOT_SAID: Final = "not said"


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """A field in words: what it said ``before`` and says ``after``."""

    name: str
    label: str
    before: str
    after: str

    @property
    def is_different(self) -> bool:
        return self.before != self.after

    def __str__(self) -> str:
        return f"{self.label}: {self.before} → {self.after}"


@dataclass(frozen=True, kw_only=True)
class VersionLine:
    """A version, and what it changed in words; nothing for the first."""

    version: MappingVersion
    changes: Sequence[FieldChange]


def newest(mapping: ProductMapping) -> MappingVersion | None:
    """The mapping as it was saved last; ``None`` if no version was kept yet."""
    return mapping.versions.order_by("-number").first()


def add_version(mapping: ProductMapping, *, last: MappingVersion | None, user_id: int | None) -> MappingVersion:
    """Keep the mapping as it is now, after ``last``, its newest version. The caller holds the mapping's row, by having
    saved it in this transaction."""
    return MappingVersion.objects.create(
        mapping=mapping,
        number=last.number + 1 if last else 1,
        values=current(mapping),
        saved_by_id=user_id,
    )


def complete(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a version, with what a field was before there was such a field: its default."""
    return {name: values.get(name, field.get_default()) for name, field in _FIELDS.items()}


def lines(mapping: ProductMapping) -> list[VersionLine]:
    """Every version, newest first; one query."""
    versions = list(mapping.versions.select_related("saved_by"))
    pairs = zip(versions, [*versions[1:], None], strict=False)  # the first has none before it
    return [
        VersionLine(version=version, changes=different(before.values, version.values) if before else ())
        for version, before in pairs
    ]


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[FieldChange]:
    """Every field of two versions' values, in the model's order."""
    old, new = complete(before), complete(after)
    return [
        FieldChange(name=name, label=label_of(name), before=in_words(name, old[name]), after=in_words(name, new[name]))
        for name in _FIELDS
    ]


def different(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[FieldChange]:
    """The fields that differ between two versions' values."""
    return [change for change in compare(before, after) if change.is_different]


def said(values: Mapping[str, Any]) -> list[FieldChange]:
    """The fields that a version's values say something in."""
    return [line for line in compare(values, values) if line.after != _NOT_SAID]


def current(mapping: ProductMapping) -> dict[str, Any]:
    """The mapping's values as a version would keep them."""
    return model_to_dict(mapping, fields=_FIELDS)


def put_on(mapping: ProductMapping, version: MappingVersion) -> None:
    """Give the mapping, which is not saved by this, the values of a version.

    Raises ``ValueError`` with a sentence when they can no longer be: another mapping has the product by now.
    """
    for name, value in complete(version.values).items():
        setattr(mapping, name, value)
    try:
        mapping.full_clean()
    except ValidationError as error:
        raise ValueError(f"Version {version.number} cannot be put back. {' '.join(error.messages)}") from error


def label_of(name: str) -> str:
    """A field's name as people read it."""
    label = str(_FIELDS[name].verbose_name)
    return label[:1].upper() + label[1:]


def in_words(name: str, value: Any) -> str:
    """A field's value as people read it."""
    if value is None or value in ("", {}):
        return _NOT_SAID
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {text}" for key, text in value.items())
    return str(dict(_FIELDS[name].flatchoices).get(value, value))


def sentence_of(changes: Collection[FieldChange]) -> str:
    """Changes as the audit tells them."""
    return "; ".join(map(str, changes)) or "nothing changed"
