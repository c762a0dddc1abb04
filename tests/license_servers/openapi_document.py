"""Checks HTTP exchanges against an OpenAPI document: request, query, status and answer.

Request bodies are closed in the documents, so a member that does not exist fails. Formats (date, date-time, e-mail) are
checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from licensing_integration.sandbox.wire import RecordedRequest

_METHODS = ("get", "post", "put", "patch", "delete")
_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")
_DEEP = re.compile(r"([\w.]+)\[(\w+)\]")
_BOOLEANS = {"true": True, "false": False}


def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or _DATE_TIME.fullmatch(value) is not None


def _is_date(value: object) -> bool:
    return not isinstance(value, str) or bool(date.fromisoformat(value))


def _is_email(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(r"[^@\s]+@[^@\s]+", value) is not None


_formats = FormatChecker(formats=())
_formats.checks("date-time")(_is_date_time)
_formats.checks("date", raises=ValueError)(_is_date)
_formats.checks("email")(_is_email)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation of the document; ``pointer`` leads to it."""

    template: str
    pattern: re.Pattern[str]
    pointer: str
    content: Mapping[str, Any]
    parameters: Mapping[str, Mapping[str, Any]]


class OpenApiDocument:
    """One document, read when it is needed first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._base = f"urn:{path.parent.name}-openapi"
        self._validators: dict[str, Draft202012Validator] = {}

    @cached_property
    def content(self) -> Mapping[str, Any]:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        content: Mapping[str, Any] = yaml.load(self._path.read_text(encoding="utf-8"), Loader=loader)
        return content

    def assert_valid_exchange(
        self,
        method: str,
        path: str,
        query: str | Mapping[str, Any] | None,
        request_body: Any,
        status: int,
        response_body: Any,
        *,
        is_request_valid: bool = True,
    ) -> None:
        """Fail unless the document allows the exchange. Bodies: parsed JSON, ``None`` = none.

        ``query``: raw text or a mapping of the parameters as sent. ``is_request_valid=False``: the request breaks the
        contract on purpose; then the answer alone is checked.
        """
        operation = self.find_operation(method, path)
        if is_request_valid:
            self.assert_valid_request(method, path, query, request_body)
        self._check_response(operation, status, response_body)

    def assert_valid_record(self, record: RecordedRequest) -> None:
        """The same for a request a sandbox recorded. Dropped requests have no answer; refused ones may break the
        contract (that is what a 400 is for), all others must keep it."""
        if record.status == 0:
            self.assert_valid_request(record.method, record.path, record.raw_query, record.body)
            return
        self.assert_valid_exchange(
            record.method,
            record.path,
            record.raw_query,
            record.body,
            record.status,
            record.response,
            is_request_valid=record.status != 400,
        )

    def assert_valid_request(
        self, method: str, path: str, query: str | Mapping[str, Any] | None, request_body: Any
    ) -> None:
        """Fail unless the document allows the request."""
        operation = self.find_operation(method, path)
        pairs = parse_qsl(query, keep_blank_values=True) if isinstance(query, str) else list((query or {}).items())
        assert len(dict(pairs)) == len(pairs), f"{method} {path}: a query parameter is given twice"
        self._check_query(operation, dict(pairs))
        declared = operation.content.get("requestBody")
        if declared is None:
            assert request_body is None, f"{method} {operation.template} takes no body"
            return
        if request_body is None:
            assert not self._resolve(declared).get("required"), f"{method} {operation.template} needs a body"
            return
        pointer = declared["$ref"].removeprefix("#") if "$ref" in declared else f"{operation.pointer}/requestBody"
        self._check(f"{pointer}/content/application~1json/schema", request_body)

    def is_valid_request(
        self, method: str, path: str, query: str | Mapping[str, Any] | None, request_body: Any
    ) -> bool:
        """Whether the document allows the request."""
        try:
            self.assert_valid_request(method, path, query, request_body)
        except AssertionError:
            return False
        return True

    def find_operation(self, method: str, path: str) -> Operation:
        """The operation of a concrete path; fixed segments win over ids."""
        candidates = [
            operation
            for operation in self.operations
            if operation.pointer.endswith(f"/{method.lower()}") and operation.pattern.fullmatch(path)
        ]
        assert candidates, f"the document has no operation {method} {path}"
        return min(candidates, key=lambda operation: operation.template.count("{"))

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        return tuple(self._read_operations())

    def _read_operations(self) -> Iterator[Operation]:
        for template, item in self.content["paths"].items():
            for method in _METHODS:
                if method not in item:
                    continue
                entries = [*item.get("parameters", ()), *item[method].get("parameters", ())]
                listed = [self._resolve(entry) for entry in entries]
                escaped = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
                yield Operation(
                    template=template,
                    pattern=re.compile(escaped),
                    pointer=f"/paths/{template.replace('~', '~0').replace('/', '~1')}/{method}",
                    content=item[method],
                    parameters={entry["name"]: entry for entry in listed if entry["in"] == "query"},
                )

    def _resolve(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follow a local reference of the document."""
        while "$ref" in node:
            target: Any = self.content
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    @cached_property
    def _registry(self) -> Registry[Any]:
        registry: Registry[Any] = Registry().with_resource(self._base, DRAFT202012.create_resource(self.content))
        return registry

    def _validator(self, pointer: str) -> Draft202012Validator:
        if pointer not in self._validators:
            schema = {"$ref": f"{self._base}#{pointer}"}
            self._validators[pointer] = Draft202012Validator(schema, registry=self._registry, format_checker=_formats)
        return self._validators[pointer]

    def _check(self, pointer: str, instance: Any) -> None:
        problems = [f"{found.json_path}: {found.message}" for found in self._validator(pointer).iter_errors(instance)]
        assert not problems, f"{pointer}: {problems[:5]}"

    def _check_query(self, operation: Operation, parameters: Mapping[str, Any]) -> None:
        for parameter, value in parameters.items():
            match = _DEEP.fullmatch(parameter)
            name = match[1] if match else parameter
            assert name in operation.parameters, f"{operation.template} has no query parameter '{name}'"
            declared = operation.parameters[name]
            is_deep = declared.get("style") == "deepObject"
            assert is_deep == bool(match), f"{operation.template}: wrong use of an operator with '{name}'"
            schema = self._resolve(declared["schema"])
            instance: Any = _typed(value, schema)
            if match:
                instance = {match[2]: _typed(value, schema["properties"].get(match[2], {}))}
            validator = Draft202012Validator(dict(schema), registry=self._registry, format_checker=_formats)
            problems = list(validator.iter_errors(instance))
            assert not problems, f"{operation.template}: '{parameter}': {problems[0].message}"

    def _check_response(self, operation: Operation, status: int, body: Any) -> None:
        responses = operation.content["responses"]
        assert str(status) in responses or "default" in responses, f"{operation.pointer} does not declare {status}"
        key = str(status) if str(status) in responses else "default"
        declared = self._resolve(responses[key])
        if "content" not in declared:
            assert body is None or "description" in declared, f"{operation.pointer} {status} has no body"
            assert status != 204 or body is None, f"{operation.pointer}: a 204 has no body"
            return
        if "application/json" not in declared["content"]:
            return
        reference = responses[key].get("$ref")
        pointer = reference.removeprefix("#") if reference else f"{operation.pointer}/responses/{key}"
        self._check(f"{pointer}/content/application~1json/schema", body)


def _typed(text: Any, schema: Mapping[str, Any]) -> Any:
    """The value a parameter's text stands for; left as text, and so refused, when it does not fit the type."""
    kind = schema.get("type")
    if kind == "boolean":
        return _BOOLEANS.get(text, text)
    if kind == "integer" and re.fullmatch(r"-?\d+", str(text)):
        return int(text)
    return str(text)
