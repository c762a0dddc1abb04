"""Actions: buttons that say what they will do, ask for a reason, and then do it, to one row or to several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.widgets import UnfoldAdminTextareaWidget

# More than this at once takes longer than a person waits; the webhook log replays any number in the background.
MOST_AT_ONCE = 200

_MOST_NAMED = 20  # in one sentence


class ReasonForm(forms.Form):
    """The one thing every intervention needs."""

    reason = forms.CharField(
        max_length=500,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Kept in the history. The customer or a colleague will ask for it.",
    )


def _always(_row: Any) -> str:
    return ""


def _nothing(_rows: Sequence[Any]) -> Sequence[str]:
    return ()


def _empty(_rows: Sequence[Any]) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class PageAction:
    """A button on a row's page, and an action of its list, that leads to a confirmation page with a form.

    ``name`` is part of the address. ``permission``: what the user needs, with the app label. ``run`` gets a row, the
    user's id and the form's values, does its work through a service, which also writes the audit, and returns the
    sentence to show; a ``ValueError`` says why it could not be done. ``why_not``: why a row has no such button now, or
    empty. ``preview``: in sentences, what it will do to these rows. ``initial``: what its form holds at first.
    ``form_for_many``: the form for several rows, if it is another one. ``foresee``: the same with the form's values;
    the page then has a button for it. ``is_bulk``: it is an action of the list too. ``is_danger``: it takes something
    away from a customer.
    """

    name: str
    label: str
    permission: str
    explanation: str
    run: Callable[[Any, int, Mapping[str, Any]], str]
    form: type[forms.Form] = ReasonForm
    form_for_many: type[forms.Form] | None = None
    why_not: Callable[[Any], str] = _always
    preview: Callable[[Sequence[Any]], Sequence[str]] = _nothing
    initial: Callable[[Sequence[Any]], Mapping[str, Any]] = _empty
    foresee: Callable[[Sequence[Any], Mapping[str, Any]], Sequence[str]] | None = None
    is_bulk: bool = True
    is_danger: bool = False

    @property
    def is_foreseeable(self) -> bool:
        return self.foresee is not None

    def is_permitted(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(self.permission))


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The rows an action is meant for: ``rows`` it can be done to, and ``left_out`` those it cannot, each with why."""

    rows: Sequence[Any]
    left_out: Sequence[tuple[Any, str]]

    @classmethod
    def of(cls, action: PageAction, rows: Sequence[Any]) -> Choice:
        """Sort ``rows`` by whether ``action`` can be done to them now."""
        refusals = [(row, action.why_not(row)) for row in rows]
        return cls(
            rows=[row for row, refusal in refusals if not refusal],
            left_out=[(row, refusal) for row, refusal in refusals if refusal],
        )


def read_ids(text: str) -> list[int]:
    """The ids that a confirmation page put into its form; what is no id of ours is left out."""
    return [int(part) for part in text.split(",") if is_id(part)]


def is_id(text: str) -> bool:
    """Whether it could be the id of a row: a whole number that PostgreSQL knows."""
    return text.isascii() and text.isdigit() and len(text) < 19


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of doing it: ``done``, in sentences, each once; ``failed``: the rows it could not be done to, and why
    not."""

    done: Sequence[str]
    failed: Sequence[tuple[Any, str]]


def run_each(action: PageAction, rows: Sequence[Any], *, user_id: int, values: Mapping[str, Any]) -> Outcome:
    """Do it to each row; one that it cannot be done to keeps none of the others waiting."""
    done: list[str] = []
    failed: list[tuple[Any, str]] = []
    for row in rows:
        try:
            done.append(action.run(row, user_id, values))
        except ValueError as error:
            failed.append((row, str(error)))
    counted = Counter(done).items()
    told = [sentence if number == 1 else format_html("{} times: {}", number, sentence) for sentence, number in counted]
    return Outcome(done=told, failed=failed)


def refusals_of(refused: Iterable[tuple[str, str]]) -> list[str]:
    """Of rows by their titles, each with why it was refused: a sentence for each refusal, with the rows it is about."""
    titles: dict[str, list[str]] = {}
    for title, refusal in refused:
        titles.setdefault(refusal, []).append(title)
    return [f"{_some_of(named)}: {refusal}" for refusal, named in titles.items()]


def _some_of(titles: Sequence[str]) -> str:
    more = len(titles) - _MOST_NAMED
    return ", ".join(titles[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
