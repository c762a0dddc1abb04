"""Checks of JSON request bodies: members, types and limits. A check returns what is wrong with a value, or ``None``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from licensing_integration.sandbox.errors import invalid

Check = Callable[[Any], str | None]

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def text(low: int = 0, high: int | None = None) -> Check:
    """A string of ``low`` to ``high`` characters."""

    def check(value: Any) -> str | None:
        if not isinstance(value, str):
            return "must be a string"
        if len(value) < low or (high is not None and len(value) > high):
            return f"must have {low} to {high} characters" if high is not None else "must not be empty"
        return None

    return check


def integer(low: int, high: int = INT32_MAX) -> Check:
    """A JSON number without fraction, within the limits; booleans and strings are none."""

    def check(value: Any) -> str | None:
        if type(value) is not int:
            return "must be an integer"
        return None if low <= value <= high else f"must lie between {low} and {high}"

    return check


def boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be a boolean"


def email(value: Any) -> str | None:
    problem = text(1, 256)(value)
    return problem or (None if _EMAIL.fullmatch(value) else "must be an e-mail address")


def json_object(value: Any) -> str | None:
    """An object with any members."""
    return None if isinstance(value, dict) else "must be an object"


def one_of(*values: str) -> Check:
    def check(value: Any) -> str | None:
        return None if value in values else f"must be one of {', '.join(values)}"

    return check


def nullable(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def list_of(check: Check, *, least: int = 0, most: int | None = None) -> Check:
    """A list of ``least`` to ``most`` entries, each of which passes ``check``."""

    def check_list(value: Any) -> str | None:
        if not isinstance(value, list):
            return "must be an array"
        if len(value) < least:
            return f"must have at least {least} entries"
        if most is not None and len(value) > most:
            return f"must have at most {most} entries"
        return next((problem for problem in map(check, value) if problem), None)

    return check_list


UNKNOWN = "is unknown"
REQUIRED = "is required"

Problem = tuple[str, str]  # the wrong member (empty: the whole) and what is wrong with it


_tolerant: ContextVar[bool] = ContextVar("_tolerant", default=False)


@contextmanager
def unknown_members_ignored(is_ignored: bool = True) -> Iterator[None]:
    """Within, unknown members of objects are no mistake; who reads the body must not look at them."""
    token = _tolerant.set(is_ignored)
    try:
        yield
    finally:
        _tolerant.reset(token)


class Schema(Protocol):
    """What a whole request body must look like."""

    def first_problem(self, value: Any) -> Problem | None: ...


@dataclass(frozen=True, kw_only=True)
class Body:
    """A closed JSON object."""

    members: Mapping[str, Check]
    required: tuple[str, ...] = ()

    def first_problem(self, value: Any) -> Problem | None:
        if not isinstance(value, dict):
            return "", "must be an object"
        for name, member in value.items():
            check = self.members.get(name)
            if check is None:
                if _tolerant.get():
                    continue
                return name, UNKNOWN
            problem = check(member)
            if problem:
                return name, problem
        missing = [name for name in self.required if name not in value]
        return (missing[0], REQUIRED) if missing else None

    def problem(self, value: Any) -> str | None:
        """The same as a ``Check``, for nested objects."""
        found = self.first_problem(value)
        return None if found is None else sentence(found)


@dataclass(frozen=True, kw_only=True)
class ListBody:
    """A JSON array that is no member of anything."""

    entry: Check
    least: int = 1

    def first_problem(self, value: Any) -> Problem | None:
        problem = list_of(self.entry, least=self.least)(value)
        return ("", problem) if problem else None


@dataclass(frozen=True, kw_only=True)
class MapBody:
    """A JSON object whose names are data, each of which passes ``name``, and whose values pass ``entry``."""

    name: Check
    entry: Check

    def first_problem(self, value: Any) -> Problem | None:
        if not isinstance(value, dict) or not value:
            return "", "must be an object with at least one member"
        for key, member in value.items():
            problem = self.name(key) or self.entry(member)
            if problem:
                return key, problem
        return None


def sentence(problem: Problem) -> str:
    name, text_ = problem
    return f"'{name}' {text_}" if name else text_


def validate(value: Any, *, schema: Schema) -> None:
    """Raise a 400 ``ApiError`` that names the first wrong member."""
    problem = schema.first_problem(value)
    if problem:
        raise invalid(f"Invalid request body: {sentence(problem)}.")
