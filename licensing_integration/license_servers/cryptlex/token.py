"""What Cryptlex tells of access tokens: their permissions, also those that cannot be tried without writing.

It says neither which tokens it lists nor which of them asks, so the one that was used last is taken for ours.
https://api.cryptlex.com/v3/docs
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from licensing_integration.license_servers.base import TokenReport
from licensing_integration.license_servers.cryptlex.values import Json, moment, text

# Any of the names will do: the portal and the published specification call one permission differently.
NEEDED: Final = (
    (("license:write",), "no license can be issued or changed"),
    (("license:read",), "licenses cannot be found again"),
    (("user:write",), "no user can be made for a customer"),
    (("user:read",), "customers cannot be found again"),
    (("product:read",), "mappings cannot be checked"),
    (("licensePolicy:read", "licenseTemplate:read"), "the templates of mappings cannot be checked"),
)


def describe_token(tokens: Sequence[Json]) -> TokenReport | None:
    """Of the token that was used last, of those that are not revoked; ``None`` where none lists its permissions."""
    usable = [token for token in tokens if token.get("revoked") is not True and _permissions(token) is not None]
    if not usable:
        return None
    token = max(usable, key=lambda one: text(one, "lastUsedAt"))
    permissions = tuple(_permissions(token) or ())
    return TokenReport(
        name=text(token, "name"),
        expires_at=moment(token, "expiresAt"),
        permissions=permissions,
        missing=tuple(_sentence(names, loss) for names, loss in NEEDED if not set(names) & set(permissions)),
    )


def _permissions(token: Json) -> list[str] | None:
    scopes = token.get("scopes")
    return sorted(scope for scope in scopes if isinstance(scope, str)) if isinstance(scopes, list) else None


def _sentence(names: Sequence[str], loss: str) -> str:
    return f"{' or '.join(names)} is missing: without it {loss}."
