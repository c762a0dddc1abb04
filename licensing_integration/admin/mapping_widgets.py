"""What the mapping form's fields look like: searchable lists that are fetched when somebody opens them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django import forms
from django.core.validators import ProhibitNullCharactersValidator
from unfold.widgets import UnfoldAdminSelect2Widget, UnfoldAdminTextareaWidget

from licensing_integration.services import choices

PICKERS: Final = ("store_product", "product_id", "template_id")


class Picker(UnfoldAdminSelect2Widget):
    """A searchable list that console.js fetches from the page ``choices``; any other text may be typed in.

    ``what``: the list's name there, one of ``PICKERS``. ``names``: what is shown beside an id that is already chosen.
    """

    def __init__(self, *, what: str, placeholder: str) -> None:
        super().__init__({"data-picker": what, "data-placeholder": placeholder})
        self.attrs["class"] = "li-picker"  # the theme's own class would set it up without its list
        self.names: Mapping[str, str] = {}

    def optgroups(self, name: str, value: list[str], attrs: dict[str, Any] | None = None) -> list[Any]:
        self.choices = [("", ""), *((chosen, self._label(chosen)) for chosen in value if chosen)]
        return list(super().optgroups(name, value, attrs))

    def _label(self, chosen: str) -> str:
        return with_name(chosen, self.names.get(chosen, ""))


class CustomFields(forms.CharField):
    """Name and value on each line, with an equals sign between them; kept as a mapping."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 4})

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return "\n".join(f"{name} = {text}" for name, text in value.items())
        return value

    def to_python(self, value: Any) -> dict[str, str]:
        text = super().to_python(value) or ""
        ProhibitNullCharactersValidator()(text)  # Django's own field looks for them only in what comes out as text
        lines = [line for line in text.splitlines() if line.strip()]
        pairs = [line.partition("=") for line in lines]
        if any(not sign or not name.strip() or not text.strip() for name, sign, text in pairs):
            raise forms.ValidationError("Write a name, an equals sign and a value on each line.")
        return {name.strip(): text.strip() for name, _, text in pairs}

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(super().has_changed(self.prepare_value(initial), data))


# --- what a list offers ----------------------------------------------------------------------------------------------


def offers(what: str, *, store: str, server: str, product: str, is_fresh: bool) -> dict[str, Any]:
    """A ``Picker``'s list as its script reads it, and ``problem``: why it is not complete, or empty. One flat list: the
    theme's searchable list cannot tell groups to a screen reader."""
    oldest = 0 if is_fresh else choices.KEPT_SECONDS
    if what == "store_product":
        listed = choices.store_list(store, oldest=oldest)
        return _answer(_store_products(choices.unmapped_products(store), listed), listed.problem)
    lists = choices.server_lists(choices.server_name(server), oldest=oldest)
    if what == "product_id":
        return _answer({one.id: with_name(one.id, one.name) for one in lists.products}, lists.problem)
    return _answer(_templates(lists, product=product), lists.problem)


def with_name(external_id: str, name: str) -> str:
    """An id as people recognise it."""
    return f"{name} ({external_id})" if name and name != external_id else external_id


def _answer(entries: Mapping[str, str], problem: str) -> dict[str, Any]:
    return {"results": [{"id": external_id, "text": text} for external_id, text in entries.items()], "problem": problem}


def _store_products(waiting: Sequence[choices.UnmappedProduct], listed: choices.StoreList) -> dict[str, str]:
    """Id → text: what was bought without a mapping first, those with the most orders first of all."""
    bought = {one.id: f"{with_name(one.id, one.name)}: {_orders(one.orders)}" for one in waiting}
    return bought | {one.id: with_name(one.id, one.name) for one in listed.products if one.id not in bought}


def _orders(number: int) -> str:
    return "1 order waits" if number == 1 else f"{number} orders wait"


def _templates(lists: choices.ServerLists, *, product: str) -> dict[str, str]:
    """Every template, since no server says which may go with which product; the product's own first."""
    default = next((one.template_id for one in lists.products if one.id == product), "")
    own_first = sorted(lists.templates or (), key=lambda one: one.id != default)
    return {
        one.id: with_name(one.id, one.name) + (": the product's default" if one.id == default else "")
        for one in own_first
    }
