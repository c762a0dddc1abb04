"""Who may import whom. The rules of docs/architecture.md, read off the source of every module."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "licensing_integration"

PART = {  # every module and folder of the package belongs to one part
    "apps": "django",
    "checks": "checks",
    "conf": "conf",
    "logs": "logs",
    "exceptions": "exceptions",
    "http": "http",
    "calls": "calls",
    "jobs": "jobs",
    "tasks": "tasks",
    "domain": "domain",
    "stores": "stores",
    "license_servers": "license_servers",
    "models": "models",
    "migrations": "migrations",
    "services": "services",
    "sandbox": "sandbox",
    "api": "api",
    "admin": "admin",
    "admin_site": "admin_site",
    "templatetags": "templatetags",
    "management": "management",
}
# Part → the parts of our own it may import, besides itself.
OWN: dict[str, set[str]] = {
    "django": {"checks"},
    "checks": {"conf", "stores", "license_servers"},
    "conf": {"stores"},
    "logs": set(),
    "exceptions": set(),
    "http": {"exceptions", "calls"},
    "calls": set(),
    "jobs": set(),
    "tasks": {"jobs", "services"},
    "domain": {"exceptions"},
    "stores": {"domain", "exceptions", "http"},
    "license_servers": {"domain", "exceptions", "http"},
    "models": {"domain", "stores", "license_servers"},
    "migrations": {"models", "domain"},
    # Of http only the deadline of a whole piece of work; the calls themselves are made by stores and license servers.
    "services": {
        *("models", "stores", "license_servers", "jobs", "conf", "checks", "domain", "exceptions", "http", "calls"),
    },
    "sandbox": {"domain"},
    "api": {"services", "models", "conf", "exceptions", "domain"},
    "admin_site": set(),
    "templatetags": {"domain"},
    "admin": {"admin_site", "templatetags", "services", "models", "conf", "exceptions", "domain"},
    # The demonstration is the one that puts a sandbox beside the product.
    "management": {"services", "models", "conf", "exceptions", "domain", "sandbox", "stores", "license_servers"},
}
# Part → the packages of others it may import. A part that is not here may import any.
OTHERS: dict[str, set[str]] = {
    "domain": set(),
    "exceptions": set(),
    "logs": set(),
    "calls": set(),
    "sandbox": set(),
    "http": {"requests", "urllib3"},
    "stores": {"cattrs", "dateutil", "orjson", "stripe"},  # Stripe's own package checks its signatures
    "license_servers": {"cattrs", "dateutil", "orjson"},
    "models": {"django"},
    "services": {"cattrs", "dateutil", "django", "orjson", "procrastinate"},
}
ONLY_NAMES = {"models": {"stores": "registry", "license_servers": "registry"}}
FORBIDDEN_NAMES = {"utils.py", "helpers.py", "constants.py", "signals.py"}


def _modules(folder: str = PACKAGE) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a module imports, wherever in the module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            # "from licensing_integration import jobs" imports a part, "from x.y import Name" does not say more than x.y
            is_package = module == PACKAGE or node.level > 0
            yield from ((node.lineno, f"{module}.{alias.name}" if is_package else module) for alias in node.names)


def _part(dotted: str) -> str:
    return PART[dotted.split(".")[1]]


def _complaint(path: Path, part: str, name: str) -> str | None:
    top = name.split(".")[0]
    if top == PACKAGE:
        return _own_complaint(path, part, name)
    if top in sys.stdlib_module_names:
        return None
    if top in {"tests", "project", "benchmarks"}:
        return f"the product does not import {top}"
    if part in OTHERS and top not in OTHERS[part]:
        return f"{part} does not import {top}"
    return None


def _own_complaint(path: Path, part: str, name: str) -> str | None:
    other = _part(name)
    if other != part and other not in OWN[part]:
        return f"{part} does not import {other}"
    only = ONLY_NAMES.get(part, {}).get(other)
    if only and name.split(".")[2:3] != [only]:
        return f"{part} imports only {other}.{only}"
    if part == other and part in {"stores", "license_servers"}:
        return _sibling_complaint(path, name)
    return None


def _sibling_complaint(path: Path, name: str) -> str | None:
    """fastspring does not know stripe; only the registry knows both."""
    here, there = path.relative_to(ROOT / PACKAGE).parts, name.split(".")[1:]
    siblings = {folder.name for folder in (ROOT / PACKAGE / here[0]).iterdir() if folder.is_dir()}
    if len(here) > 2 and len(there) > 1 and there[1] in siblings and there[1] != here[1]:
        return f"{here[1]} does not import {there[1]}"
    return None


def test_every_module_belongs_to_a_part() -> None:
    found = {path.relative_to(ROOT / PACKAGE).parts[0].removesuffix(".py") for path in _modules()}
    assert found - {"__init__"} <= set(PART)


def test_imports_follow_the_architecture() -> None:
    complaints = []
    for path in _modules():
        relative = path.relative_to(ROOT)
        if relative.parts[1] == "__init__.py":
            continue
        part = PART[relative.parts[1].removesuffix(".py")]
        for line, name in _imports(path):
            if complaint := _complaint(path, part, name):
                complaints.append(f"{relative}:{line}: {complaint} ({name})")
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("domain/facts.py", "django.db"),
        ("domain/facts.py", "licensing_integration.models"),
        ("stores/base.py", "licensing_integration.license_servers.base"),
        ("stores/fastspring/translate.py", "requests"),
        ("services/apply.py", "licensing_integration.tasks"),
        ("services/apply.py", "licensing_integration.sandbox.cryptlex"),
        ("models/inbox.py", "licensing_integration.stores.fastspring"),
        ("api/webhooks.py", "tests.conftest"),
    ],
)
def test_the_rules_would_notice(path: str, name: str) -> None:
    part = PART[path.split("/")[0]]
    assert _complaint(ROOT / PACKAGE / path, part, name)


def test_names_that_say_nothing_are_not_used() -> None:
    assert [path for path in _modules() if path.name in FORBIDDEN_NAMES] == []


def test_only_the_settings_read_the_environment() -> None:
    readers = []
    for path in [*_modules(), *_modules("project")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"}:
                readers.append(str(path.relative_to(ROOT)))
    # wsgi.py names the settings module for whoever has not; that is all.
    assert set(readers) <= {"project/settings.py", "project/wsgi.py"}
