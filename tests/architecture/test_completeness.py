"""Nothing half-added: registries, folders, pages and fixtures name the same stores, license servers and events."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from licensing_integration.license_servers import registry as license_servers
from licensing_integration.stores import registry as stores
from licensing_integration.stores.base import Delivery

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "licensing_integration"
DOCS = ROOT / "docs"
TESTS = ROOT / "tests"

_EVENT_ROW = re.compile(r"^\| `(?P<type>[\w.*]+)` \| (?P<verdict>\w+) \|", re.MULTILINE)


def _folders(parent: Path) -> set[str]:
    return {path.parent.name for path in parent.glob("*/__init__.py")}


def _pages(folder: str) -> set[str]:
    return {path.stem for path in (DOCS / folder).glob("*.md")}


def test_every_store_has_a_folder_a_page_tests_and_fixtures():
    registered = set(stores.ADAPTERS)
    assert registered == _folders(PACKAGE / "stores")
    assert registered == _pages("stores")
    assert registered == _folders(TESTS / "stores")
    assert registered == {
        path.parent.name for path in (TESTS / "stores").glob("*/fixtures") if any(path.glob("*.json"))
    }
    assert registered == {slug for slug, _ in stores.adapter_choices()}


def test_every_license_server_has_a_folder_a_page_a_label_and_tests():
    registered = set(license_servers.BACKENDS)
    assert registered == _folders(PACKAGE / "license_servers")
    assert registered == _pages("license-servers")
    assert registered == _folders(TESTS / "license_servers")
    assert registered == set(license_servers.LABELS)
    assert registered == {slug for slug, _ in license_servers.backend_choices()}


@pytest.mark.parametrize("slug", sorted(license_servers.BACKENDS))
def test_every_license_server_proves_the_contract(slug):
    source = (TESTS / "license_servers" / slug / "test_backend.py").read_text(encoding="utf-8")
    assert re.search(r"^class Test\w+\(.*LicenseServerContract", source, re.MULTILINE)


@pytest.mark.parametrize("slug", sorted(stores.ADAPTERS))
def test_an_adapter_is_registered_under_its_own_name_and_declares_its_types_once(slug):
    adapter = stores.ADAPTERS[slug]
    assert adapter.slug == slug
    assert adapter.ignored.isdisjoint(adapter.translators)


@pytest.mark.parametrize("slug", sorted(stores.ADAPTERS))
def test_the_page_lists_exactly_the_event_types_of_the_adapter(slug):
    adapter = stores.ADAPTERS[slug]
    rows = _EVENT_ROW.findall((DOCS / "stores" / f"{slug}.md").read_text(encoding="utf-8"))
    assert len(rows) == len(dict(rows)), "a type is listed twice"
    by_verdict = {verdict: {t for t, v in rows if v == verdict} for verdict in {v for _, v in rows}}
    assert by_verdict.pop("handled") == set(adapter.translators)
    assert by_verdict.pop("ignored", set()) == adapter.ignored
    unsupported = by_verdict.pop("unsupported", set())
    assert unsupported.isdisjoint({*adapter.translators, *adapter.ignored})
    assert by_verdict == {}, "a verdict nobody knows"


@pytest.mark.parametrize("slug", sorted(stores.ADAPTERS))
def test_fixtures_are_named_after_an_event_they_hold(slug):
    for path in sorted((TESTS / "stores" / slug / "fixtures").glob("*.json")):
        event_type = path.stem.partition("--")[0]
        events = stores.ADAPTERS[slug].split(Delivery(body=path.read_bytes(), headers={}))
        assert event_type in {event.event_type for event in events}, path.name
        assert not any(event.problem for event in events), path.name


@pytest.mark.parametrize("slug", sorted(license_servers.BACKENDS))
def test_every_permission_the_check_of_a_license_server_asks_for_is_on_its_page(slug):
    page = (DOCS / "license-servers" / f"{slug}.md").read_text(encoding="utf-8")
    sources = "".join(path.read_text(encoding="utf-8") for path in (PACKAGE / "license_servers" / slug).glob("*.py"))
    for permission in sorted(set(re.findall(r"\b[a-zA-Z]+:(?:read|write)\b", sources))):
        assert permission in page
