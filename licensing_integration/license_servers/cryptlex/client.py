"""Cryptlex Web API v3 over HTTP: authentication, paths, paging. What an answer means is ``backend``'s business.

Wire facts: https://cryptlex.com/reference/web-api/introduction and the vendor's OpenAPI document (April 2026). Lists
are bare JSON arrays without a total and with an undocumented default page size, so ``page`` and ``limit`` are always
sent and a page shorter than ``limit`` is the last one. Filters are written ``name[operator]=value``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from licensing_integration.exceptions import ConfigurationProblem, TransientRemoteError
from licensing_integration.http import Answer, RemoteSession
from licensing_integration.license_servers.cryptlex.values import Json

PAGE_LIMIT: Final = 100  # the largest the server accepts


class CryptlexClient:
    """One method per operation. Raises what ``RemoteSession.request`` raises; ``ValueError`` before an unsafe call."""

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        access_token: str,
        before_request: Callable[[], None] | None = None,
        on_rate_limited: Callable[[float], None] | None = None,
    ) -> None:
        if not access_token.strip():
            raise ConfigurationProblem(f"{name}: no access token is configured for this license server.")
        self._session = RemoteSession(
            name,
            base_url=base_url,
            headers={"Authorization": f"Bearer {access_token}"},
            before_request=before_request,
            on_rate_limited=on_rate_limited,
        )

    @property
    def name(self) -> str:
        return self._session.name

    @property
    def base_url(self) -> str:
        return self._session.base_url

    def get_license(self, license_id: str) -> Json:
        return self._object("GET", "/v3/licenses/{id}", ids={"id": license_id})

    def create_license(self, body: Json) -> Json:
        """Not repeatable: the server knows no idempotency key."""
        return self._object("POST", "/v3/licenses", body=body)

    def update_license(self, license_id: str, *, body: Json) -> Json:
        """Members left out stay unchanged; date, interval, product and template cannot be changed here."""
        if not body:
            raise ValueError("an update without members would be a wasted call")
        return self._object("PATCH", "/v3/licenses/{id}", ids={"id": license_id}, body=body)

    def set_expires_at(self, license_id: str, *, expires_at: str | None) -> Json:
        """Absolute and repeatable. ``None`` makes the license perpetual."""
        return self._object(
            "PATCH", "/v3/licenses/{id}/expires-at", ids={"id": license_id}, body={"expiresAt": expires_at}
        )

    def set_interval(self, license_id: str, *, interval: str) -> Json:
        """Change the renewal cadence; the end date presumably stays."""
        return self._object(
            "PATCH", "/v3/licenses/{id}/subscription", ids={"id": license_id}, body={"subscriptionInterval": interval}
        )

    def renew_license(self, license_id: str) -> Json:
        """Current end date plus one interval. Not repeatable."""
        return self._object("POST", "/v3/licenses/{id}/renew", ids={"id": license_id})

    def delete_license(self, license_id: str) -> None:
        self._session.request("DELETE", "/v3/licenses/{id}", ids={"id": license_id})

    def licenses_with_metadata(self, key: str, *, value: str, product_id: str | None = None) -> list[Json]:
        """Candidates only: the server may match key and value on two different entries. ``None``: any product."""
        filters = {"metadata.key[eq]": key, "metadata.value[eq]": value}
        if product_id is not None:
            filters["productId[eq]"] = product_id
        return self._search("/v3/licenses", filters=filters)

    def users_with_email(self, email: str) -> list[Json]:
        return self._search("/v3/users", filters={"email[eq]": email})

    def create_user(self, body: Json) -> Json:
        return self._object("POST", "/v3/users", body=body)

    def list_products(self) -> list[Json]:
        return self._pages("/v3/products", filters={})

    def list_templates(self) -> list[Json]:
        return self._pages("/v3/license-templates", filters={})

    def list_features(self) -> list[Json]:
        """The features of the account; an account has 200 at most."""
        return self._pages("/v3/features", filters={})

    def list_entitlements(self, license_id: str) -> list[Json]:
        """The features a license has by itself, not those of its entitlement set."""
        path = "/v3/licenses/{id}/feature-entitlements"
        return self._pages(path, filters={}, ids={"id": license_id})

    def create_entitlement(self, license_id: str, *, feature_id: str) -> Json:
        path = "/v3/licenses/{id}/feature-entitlements"
        return self._object("POST", path, ids={"id": license_id}, body={"featureId": feature_id})

    def delete_entitlement(self, license_id: str, *, entitlement_id: str) -> None:
        path = "/v3/licenses/{id}/feature-entitlements/{entitlement}"
        self._session.request("DELETE", path, ids={"id": license_id, "entitlement": entitlement_id})

    def get_profile(self) -> Json:
        """Whose token this is; needs no permission."""
        return self._object("GET", "/v3/me")

    def list_tokens(self) -> list[Json]:
        """Personal access tokens, though nobody says which of the account's are listed; needs no permission."""
        return self._pages("/v3/personal-access-tokens", filters={})

    def probe(self, path: str) -> None:
        """Read one entry of a list: succeeds exactly when the token may read it."""
        self._page(path, filters={}, page=1, limit=1)

    def close(self) -> None:
        self._session.close()

    def _search(self, path: str, *, filters: Mapping[str, str]) -> list[Json]:
        """A missing value would widen the search to everybody's licenses."""
        empty = [name for name, value in filters.items() if not value.strip()]
        if empty or not filters:
            raise ValueError(f"refused to search {path} without a value for {', '.join(empty) or 'any filter'}")
        return self._pages(path, filters=filters)

    def _pages(self, path: str, *, filters: Mapping[str, str], ids: Mapping[str, str] | None = None) -> list[Json]:
        """Every page, in order of creation (the server's default), each entry once although pages may shift."""
        found: dict[str, Json] = {}
        page = 1
        while True:
            entries = self._page(path, filters=filters, page=page, limit=PAGE_LIMIT, ids=ids)
            fresh = {str(entry.get("id")): entry for entry in entries if str(entry.get("id")) not in found}
            found |= fresh
            if len(entries) < PAGE_LIMIT or not fresh:
                return list(found.values())
            page += 1

    def _page(
        self, path: str, *, filters: Mapping[str, str], page: int, limit: int, ids: Mapping[str, str] | None = None
    ) -> Sequence[Json]:
        answer = self._session.request("GET", path, ids=ids, params={**filters, "page": page, "limit": limit})
        if not isinstance(answer.data, list):
            raise self._unexpected("GET", path, answer)
        return [self._checked("GET", path, answer, entry) for entry in answer.data]

    def _object(
        self, method: str, path: str, *, ids: Mapping[str, str] | None = None, body: Json | None = None
    ) -> Json:
        answer = self._session.request(method, path, ids=ids, json=body)
        return self._checked(method, path, answer, answer.data)

    def _checked(self, method: str, path: str, answer: Answer, data: object) -> Json:
        if isinstance(data, dict) and isinstance(data.get("id"), str) and data["id"]:
            return data
        raise self._unexpected(method, path, answer)

    def _unexpected(self, method: str, path: str, answer: Answer) -> TransientRemoteError:
        return TransientRemoteError(
            f"{self.name}: {method} {path} answered {answer.status} with something else than Cryptlex documents; "
            "check the base URL if this does not pass by itself.",
            may_have_succeeded=True,
            request_id=answer.request_id,
        )
