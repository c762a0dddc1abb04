"""Checks one HTTP exchange against ``openapi.yaml``: request, query, status and answer.

Use ``assert_valid_exchange`` for a single exchange and ``assert_valid_record`` for what a sandbox recorded. Request
bodies are closed in the document, so a member that does not exist fails. Formats (date-time, e-mail) are checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from licensing_integration.sandbox.wire import RecordedRequest

DOCUMENT = Path(__file__).with_name("openapi.yaml")
_BASE = "urn:cryptlex-openapi"
_METHODS = ("get", "post", "put", "patch", "delete")
_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")
_DEEP = re.compile(r"([\w.]+)\[(\w+)\]")
_BOOLEANS = {"true": True, "false": False}


def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or _DATE_TIME.fullmatch(value) is not None


def _is_email(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(r"[^@\s]+@[^@\s]+", value) is not None


_formats = FormatChecker(formats=())
_formats.checks("date-time")(_is_date_time)
_formats.checks("email")(_is_email)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation of the document; ``pointer`` leads to it."""

    template: str
    pattern: re.Pattern[str]
    pointer: str
    content: Mapping[str, Any]
    parameters: Mapping[str, Mapping[str, Any]]


def assert_valid_exchange(
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
    operation = find_operation(method, path)
    if is_request_valid:
        assert_valid_request(method, path, query, request_body)
    _check_response(operation, status, response_body)


def assert_valid_record(record: RecordedRequest) -> None:
    """The same for a request a sandbox recorded. Dropped requests have no answer; refused ones may break the contract
    (that is what a 400 is for), all others must keep it."""
    if record.status == 0:
        assert_valid_request(record.method, record.path, record.raw_query, record.body)
        return
    assert_valid_exchange(
        record.method,
        record.path,
        record.raw_query,
        record.body,
        record.status,
        record.response,
        is_request_valid=record.status != 400,
    )


def assert_valid_request(method: str, path: str, query: str | Mapping[str, Any] | None, request_body: Any) -> None:
    """Fail unless the document allows the request."""
    operation = find_operation(method, path)
    pairs = parse_qsl(query, keep_blank_values=True) if isinstance(query, str) else list((query or {}).items())
    assert len(dict(pairs)) == len(pairs), f"{method} {path}: a query parameter is given twice"
    _check_query(operation, dict(pairs))
    declared = operation.content.get("requestBody")
    if declared is None:
        assert request_body is None, f"{method} {operation.template} takes no body"
        return
    assert request_body is not None, f"{method} {operation.template} needs a body"
    _check(f"{operation.pointer}/requestBody/content/application~1json/schema", request_body)


def is_valid_request(method: str, path: str, query: str | Mapping[str, Any] | None, request_body: Any) -> bool:
    """Whether the document allows the request."""
    try:
        assert_valid_request(method, path, query, request_body)
    except AssertionError:
        return False
    return True


def find_operation(method: str, path: str) -> Operation:
    """The operation of a concrete path; fixed segments win over ids."""
    candidates = [
        operation
        for operation in _operations()
        if operation.pointer.endswith(f"/{method.lower()}") and operation.pattern.fullmatch(path)
    ]
    assert candidates, f"the document has no operation {method} {path}"
    return min(candidates, key=lambda operation: operation.template.count("{"))


@cache
def document() -> Mapping[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content: Mapping[str, Any] = yaml.load(DOCUMENT.read_text(encoding="utf-8"), Loader=loader)
    return content


@cache
def _operations() -> tuple[Operation, ...]:
    return tuple(_read_operations())


def _read_operations() -> Iterator[Operation]:
    for template, item in document()["paths"].items():
        for method in _METHODS:
            if method not in item:
                continue
            listed = [_resolve(entry) for entry in [*item.get("parameters", ()), *item[method].get("parameters", ())]]
            escaped = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
            yield Operation(
                template=template,
                pattern=re.compile(escaped),
                pointer=f"/paths/{template.replace('~', '~0').replace('/', '~1')}/{method}",
                content=item[method],
                parameters={entry["name"]: entry for entry in listed if entry["in"] == "query"},
            )


def _resolve(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a local reference of the document."""
    while "$ref" in node:
        target: Any = document()
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


@cache
def _registry() -> Registry[Any]:
    registry: Registry[Any] = Registry().with_resource(_BASE, DRAFT202012.create_resource(document()))
    return registry


@cache
def _validator(pointer: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"{_BASE}#{pointer}"}, registry=_registry(), format_checker=_formats)


def _check(pointer: str, instance: Any) -> None:
    problems = [f"{problem.json_path}: {problem.message}" for problem in _validator(pointer).iter_errors(instance)]
    assert not problems, f"{pointer}: {problems[:5]}"


def _check_query(operation: Operation, parameters: Mapping[str, Any]) -> None:
    for parameter, value in parameters.items():
        match = _DEEP.fullmatch(parameter)
        name = match[1] if match else parameter
        assert name in operation.parameters, f"{operation.template} has no query parameter '{name}'"
        declared = operation.parameters[name]
        is_deep = declared.get("style") == "deepObject"
        assert is_deep == bool(match), f"{operation.template}: wrong use of an operator with '{name}'"
        schema = _resolve(declared["schema"])
        instance = {match[2]: _typed(value, schema["properties"].get(match[2], {}))} if match else _typed(value, schema)
        problems = list(_parameter_validator(operation.template, operation.pointer, name).iter_errors(instance))
        assert not problems, f"{operation.template}: '{parameter}': {problems[0].message}"


@cache
def _parameter_validator(template: str, pointer: str, name: str) -> Draft202012Validator:
    operation = next(entry for entry in _operations() if entry.pointer == pointer)
    schema = dict(_resolve(operation.parameters[name]["schema"]))
    return Draft202012Validator(schema, registry=_registry(), format_checker=_formats)


def _typed(text: Any, schema: Mapping[str, Any]) -> Any:
    """The value a parameter's text stands for; left as text, and so refused, when it does not fit the type."""
    kind = schema.get("type")
    if kind == "boolean":
        return _BOOLEANS.get(text, text)
    if kind == "integer" and re.fullmatch(r"-?\d+", str(text)):
        return int(text)
    return str(text)


def _check_response(operation: Operation, status: int, body: Any) -> None:
    responses = operation.content["responses"]
    assert str(status) in responses or "default" in responses, f"{operation.pointer} does not declare {status}"
    key = str(status) if str(status) in responses else "default"
    declared = _resolve(responses[key])
    if "content" not in declared:
        assert body is None or "description" in declared, f"{operation.pointer} {status} has no body"
        assert status != 204 or body is None, f"{operation.pointer}: a 204 has no body"
        return
    if "application/json" not in declared["content"]:
        return
    reference = responses[key].get("$ref")
    pointer = reference.removeprefix("#") if reference else f"{operation.pointer}/responses/{key}"
    _check(f"{pointer}/content/application~1json/schema", body)
