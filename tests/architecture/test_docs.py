"""The documentation speaks of what is there: links, files, tests, commands and every environment variable."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)", re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_REPOSITORY_PATH = re.compile(r"(licensing_integration|project|tests|benchmarks|docs|templates)/[\w./-]*(::\w+)?")
_ROW = re.compile(r"^\| `(?P<name>[A-Z<][A-Z_<>]*)` \|(?P<default>[^|]*)\|(?P<file>[^|]*)\|", re.MULTILINE)


def _prose(page: Path) -> str:
    """A page without its code blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, made as GitHub makes them."""
    headings = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(_prose(page)))
    return {heading.strip().replace(" ", "-") for heading in headings}


def _broken_links(page: Path) -> Iterator[str]:
    for target in _LINK.findall(_prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.is_relative_to(ROOT) or not file.exists() or (anchor and anchor not in _anchors(file)):
            yield target


def test_there_are_pages() -> None:
    assert ROOT / "README.md" in PAGES
    assert len(PAGES) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    assert list(_broken_links(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_tests_that_are_named_exist(page: Path) -> None:
    missing = []
    for code in _CODE.findall(_prose(page)):
        if not _REPOSITORY_PATH.fullmatch(code):
            continue
        path, _, name = code.partition("::")
        file = ROOT / path
        if not file.exists() or (name and f"{name}(" not in file.read_text(encoding="utf-8")):
            missing.append(code)
    assert missing == []


def test_the_readme_names_both_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test"):
        assert re.search(rf"^make {target}\b", readme, re.MULTILINE)
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_every_decision_is_listed_and_names_what_enforces_it() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    records = sorted(folder.glob("[0-9]*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        headings = _HEADING.findall(_prose(record))
        wanted = ["Context", "Decision", "Consequences", "Alternatives", "Enforced by"]
        assert [heading for heading in headings if heading in wanted] == wanted, record.name
        enforced_by = record.read_text(encoding="utf-8").partition("## Enforced by")[2]
        assert re.search(r"`tests/[^`]+`", enforced_by), record.name
        assert f"({record.name})" in index, record.name


# --- environment variables -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Variable:
    """``default``: as the table writes it, ``None`` when it is worked out and the table explains it in words."""

    default: str | None
    is_file: bool


_READERS = {"str", "_flag", "_number", "_whole_number", "_list", "_secret", "_secrets", "_named"}
_PREFIX_OF = {"_store": "<STORE>", "_license_server": "<SERVER>"}


def _variables_read() -> Mapping[str, Variable]:
    tree = ast.parse((ROOT / "project" / "settings.py").read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    found: dict[str, Variable] = {}
    for function in functions:
        prefix = _PREFIX_OF.get(function.name, "")
        found |= _variables_in(function, prefix=prefix) if prefix else {}
    for statement in tree.body:
        if not isinstance(statement, ast.FunctionDef):
            found |= _variables_in(statement, prefix="")
    return found


def _variables_in(node: ast.AST, *, prefix: str) -> dict[str, Variable]:
    calls = [call for call in ast.walk(node) if isinstance(call, ast.Call) and _reader(call) in _READERS and call.args]
    return {
        name: Variable(default=_default(call), is_file=_reader(call) in {"_secret", "_secrets"})
        for call in calls
        if (name := _name(call.args[0], prefix=prefix))
    }


def _reader(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        is_env = isinstance(call.func.value, ast.Name) and call.func.value.id == "env"
        return call.func.attr if is_env else ""
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _name(argument: ast.expr, *, prefix: str) -> str:
    if isinstance(argument, ast.Constant):
        return str(argument.value)
    if isinstance(argument, ast.JoinedStr) and isinstance(argument.values[-1], ast.Constant):
        return prefix + str(argument.values[-1].value)
    return ""


def _default(call: ast.Call) -> str | None:
    given = next((keyword.value for keyword in call.keywords if keyword.arg == "default"), ast.Constant(""))
    if not isinstance(given, ast.Constant):
        return None
    if isinstance(given.value, bool):
        return str(given.value).lower()
    return f"{given.value:g}" if isinstance(given.value, float) else str(given.value)


def _variables_explained() -> dict[str, Variable]:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = list(_ROW.finditer(page))
    assert len({row["name"] for row in rows}) == len(rows), "a variable is explained twice"
    return {
        row["name"]: Variable(default=row["default"].strip(" `"), is_file=row["file"].strip() == "yes") for row in rows
    }


def test_every_variable_is_explained_with_its_default() -> None:
    read, explained = _variables_read(), _variables_explained()
    assert set(read) == set(explained)
    for name, variable in read.items():
        assert explained[name].is_file == variable.is_file, name
        assert explained[name].default == (variable.default or ""), name


def test_the_settings_read_the_environment_in_no_other_way() -> None:
    """Else the comparison above would overlook a variable."""
    settings = ast.parse((ROOT / "project" / "settings.py").read_text(encoding="utf-8"))
    used = {node.attr for node in ast.walk(settings) if isinstance(node, ast.Attribute) and _is_env(node.value)}
    # the last one for secrets, taken verbatim
    assert used <= {"str", "read_env", "db_url_config", "email_url_config", "ENVIRON"}


def _is_env(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "env"


def test_the_example_names_only_variables_that_exist() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    names = set(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", example, re.MULTILINE)) - {"POSTGRES_PASSWORD"}
    general = {re.sub(r"^CRYPTLEX_", "<SERVER>_", re.sub(r"^(FASTSPRING|STRIPE)_", "<STORE>_", name)) for name in names}
    assert general <= set(_variables_read())
    assert len(general) > 15
