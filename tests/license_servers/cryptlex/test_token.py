"""What Cryptlex tells of tokens: which of them is taken for ours, and what it lacks."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from licensing_integration.license_servers.cryptlex.token import NEEDED, describe_token

ALL = [names[0] for names, _ in NEEDED]


def _token(name: str, *, used: str | None = "2026-11-01T00:00:00Z", **members: Any) -> dict[str, Any]:
    return {"id": name, "name": name, "scopes": ALL, "revoked": False, "expiresAt": None, "lastUsedAt": used, **members}


def test_the_token_that_was_used_last_is_taken() -> None:
    tokens = [_token("old"), _token("ours", used="2026-11-21T00:00:00Z"), _token("never", used=None)]
    report = describe_token(tokens)
    assert report is not None
    assert (report.name, report.missing) == ("ours", ())
    assert report.permissions == tuple(sorted(ALL))


def test_a_revoked_token_is_not_ours() -> None:
    report = describe_token([_token("ours"), _token("gone", used="2026-11-21T00:00:00Z", revoked=True)])
    assert report is not None
    assert report.name == "ours"


def test_nothing_is_told_where_nothing_is_listed() -> None:
    assert describe_token([]) is None
    assert describe_token([_token("ours", scopes=None)]) is None


def test_each_missing_permission_is_a_sentence_and_either_name_of_a_permission_will_do() -> None:
    scopes = ["license:read", "user:read", "user:write", "product:read", "licenseTemplate:read"]
    report = describe_token([_token("ours", scopes=scopes, expiresAt="2027-01-01T00:00:00Z")])
    assert report is not None
    (sentence,) = report.missing
    assert sentence.startswith("license:write is missing")
    assert report.expires_at == datetime(2027, 1, 1, tzinfo=UTC)


def test_every_permission_is_on_the_page() -> None:
    page = Path("docs/license-servers/cryptlex.md").read_text(encoding="utf-8")
    assert [name for names, _ in NEEDED for name in names if f"`{name}`" not in page] == []
