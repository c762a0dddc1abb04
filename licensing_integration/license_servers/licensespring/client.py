"""LicenseSpring Management API v1 over HTTP: authentication, paths, paging. What an answer means is ``backend``'s
business.

Wire facts: https://docs.licensespring.com/management-api and the vendor's Postman collection. Every path ends in a
slash: without it the server may redirect, which would lose method and body. Lists are pages of ``count`` and
``results``; a ``limit`` above what the server likes is cut silently, so the number of results says where to go on.
Filters may be ignored, which returns everything: the caller checks every hit, and no large account is read for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from licensing_integration.exceptions import (
    ConfigurationProblem,
    CredentialsRejected,
    TransientRemoteError,
    UnsupportedOperation,
)
from licensing_integration.http import DEFAULT_RATE_LIMIT_WAIT, MAX_WAIT, Answer, RemoteSession
from licensing_integration.license_servers.licensespring.values import Json, identifier, order_ids, text

PAGE_LIMIT: Final = 100  # the largest that licenses accept
MOST_PAGES: Final = 10  # that a look may take when its filter is ignored
OLDEST_FIRST: Final = {"order_by": "created_at"}

_TIMEOUT = (5.0, 25.0)  # to connect, without a byte; how long the server may take is published nowhere
_THROTTLED = re.compile(r"throttled|too many requests|rate limit", re.IGNORECASE)
_WAIT = re.compile(r"available in (\d+)")
_LICENSE = "/api/v1/licenses/{id}/"


class LicenseSpringClient:
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
            raise ConfigurationProblem(f"{name}: no Management API key is configured for this license server.")
        self._on_rate_limited = on_rate_limited
        self._session = RemoteSession(
            name,
            base_url=base_url,
            headers={"Authorization": f"Api-Key {access_token}"},
            timeout=_TIMEOUT,
            before_request=before_request,
            on_rate_limited=on_rate_limited,
        )

    @property
    def name(self) -> str:
        return self._session.name

    # Orders

    def generate_key(self, product_code: str) -> str:
        """A fresh license key. No license has it until an order does; nothing is lost when it is never used."""
        path = "/api/v1/orders/generate_license/"
        answer = self._send("GET", path, params={"product": product_code, "quantity": 1})
        keys = answer.data if isinstance(answer.data, list) else []
        if len(keys) != 1 or not isinstance(keys[0], str) or not keys[0].strip():
            raise self._unexpected("GET", path, answer)
        return keys[0]

    def create_order(self, body: Json) -> Json:
        """Repeatable: a second order with the same id is refused with 409. That needs ``append`` false."""
        if body.get("append") is not False or not body.get("id"):
            raise ValueError("an order without an id of ours, or one that appends, would be made twice when repeated")
        return self._object("POST", "/api/v1/orders/create_order/", body=body)

    def orders_starting_with(self, order_id: str) -> list[Json]:
        return self._search(
            "/api/v1/orders/",
            filters={"store_id__startswith": order_id},
            fits=lambda order: any(_has(value, order_id) for value in order_ids(order)),
        )

    # Licenses

    def licenses_of_orders_starting_with(self, order_id: str) -> list[Json]:
        return self._search(
            "/api/v1/licenses/",
            filters={"order__store_id__startswith": order_id},
            fits=lambda license: _has(text(license, "order_store_id"), order_id),
        )

    def licenses_of_subscription(self, subscription_id: str) -> list[Json]:
        """The spelling of this filter is not certain."""
        return self._search(
            "/api/v1/licenses/",
            filters={"subscription_id": subscription_id},
            fits=lambda license: _has(text(license, "subscription_id"), subscription_id),
        )

    def get_license(self, license_id: str) -> Json:
        return self._object("GET", _LICENSE, ids={"id": license_id})

    def update_license(self, license_id: str, *, body: Json) -> Json:
        """Members left out stay unchanged; product, license type and customer cannot be changed."""
        if not body:
            raise ValueError("an update without members would be a wasted call")
        return self._object("PATCH", _LICENSE, ids={"id": license_id}, body=body)

    def enable_license(self, license_id: str) -> None:
        self._send("POST", f"{_LICENSE}enable/", ids={"id": license_id})

    def disable_license(self, license_id: str) -> None:
        """Activations and checks fail from now on; what the license entitles to stays as it is."""
        self._send("POST", f"{_LICENSE}disable/", ids={"id": license_id})

    def replace_features(self, license_id: str, *, features: Sequence[Json]) -> Json:
        """Features that are not among ``features`` are deleted from the license."""
        body = {"product_features": list(features)}
        return self._object("POST", f"{_LICENSE}update_features/", ids={"id": license_id}, body=body)

    def assign_user(self, license_id: str, *, body: Json) -> None:
        """Not repeatable: mail may be sent. The answer holds a password in clear text and is dropped."""
        self._send("POST", f"{_LICENSE}assign_user/", ids={"id": license_id}, body=body)

    def custom_fields_of(self, license_id: str) -> list[Json]:
        """The custom fields in which a license differs from its product."""

        def fits(entry: Json) -> bool:
            return str(entry.get("license")) == license_id

        path = "/api/v1/license-custom-fields/"
        found = self._search(path, filters={"license": license_id}, fits=fits, ordering={})
        return [entry for entry in found if fits(entry)]

    def create_custom_field(self, license_id: str, *, field_id: int, value: str) -> None:
        body = {"value": value, "license": int(license_id), "product_custom_field": field_id}
        self._send("POST", "/api/v1/license-custom-fields/", body=body)

    def update_custom_field(self, override_id: str, *, value: str) -> None:
        self._send("PATCH", "/api/v1/license-custom-fields/{id}/", ids={"id": override_id}, body={"value": value})

    # The catalogue

    def find_product(self, short_code: str) -> Json | None:
        """The product with exactly this short code, ``None`` if there is none or the key may not see it. A catalogue is
        short enough to be read as a whole."""
        found = self._search("/api/v1/products/", filters={"short_code": short_code}, fits=_anything)
        return next((product for product in found if product.get("short_code") == short_code), None)

    def list_products(self) -> list[Json]:
        return self._pages("/api/v1/products/", params=OLDEST_FIRST, fits=_anything)

    def probe(self, path: str) -> None:
        """Read one entry of a list: succeeds exactly when the key may read it."""
        self._page(path, params={}, offset=0, limit=1)

    def close(self) -> None:
        self._session.close()

    # How

    def _search(
        self,
        path: str,
        *,
        filters: Mapping[str, str],
        fits: Callable[[Json], bool],
        ordering: Mapping[str, str] = OLDEST_FIRST,
    ) -> list[Json]:
        """A missing value would widen the search to everybody's licenses. ``fits``: whether an entry may be what the
        filters asked for."""
        empty = [name for name, value in filters.items() if not value.strip()]
        if empty or not filters:
            raise ValueError(f"refused to search {path} without a value for {', '.join(empty) or 'any filter'}")
        return self._pages(path, params={**filters, **ordering}, fits=fits)

    def _pages(self, path: str, *, params: Mapping[str, str], fits: Callable[[Json], bool]) -> list[Json]:
        """Every page, each entry once although pages may shift, or an error: who asks must be able to rely on what is
        not there. Links to the next page are not followed: they could lead to another host.

        With a filter that is ignored each look would read the whole account. A small one is read, which lets a sale go
        on; a large one is given up with its first page.
        """
        found: dict[str, Json] = {}
        offset = first = 0
        while True:
            entries, count = self._page(path, params=params, offset=offset, limit=PAGE_LIMIT)
            fresh = {identifier(entry): entry for entry in entries if identifier(entry) not in found}
            found |= fresh
            offset, first = offset + len(entries), first or len(entries)
            if len(found) >= count:
                return list(found.values())
            if count > MOST_PAGES * first and not all(map(fits, entries)):
                raise self._ignored(path, params)
            if not fresh or offset >= count:
                raise self._incomplete(path)

    def _page(self, path: str, *, params: Mapping[str, str], offset: int, limit: int) -> tuple[list[Json], int]:
        answer = self._send("GET", path, params={**params, "limit": limit, "offset": offset})
        page = answer.data if isinstance(answer.data, dict) else {}
        results, count = page.get("results"), page.get("count")
        if not isinstance(results, list) or not isinstance(count, int):
            raise self._unexpected("GET", path, answer)
        return [self._checked("GET", path, answer, entry) for entry in results], count

    def _object(
        self, method: str, path: str, *, ids: Mapping[str, str] | None = None, body: Json | None = None
    ) -> Json:
        answer = self._send(method, path, ids=ids, body=body)
        return self._checked(method, path, answer, answer.data)

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        ids: Mapping[str, str] | None = None,
        body: Json | None = None,
    ) -> Answer:
        try:
            return self._session.request(method, path, params=params, ids=ids, json=body)
        except CredentialsRejected as error:
            self._raise_if_throttled(error)
            raise

    def _raise_if_throttled(self, error: CredentialsRejected) -> None:
        """Which status says "too many requests" is not published; a 403 that says so in words is taken at its word."""
        if not _THROTTLED.search(str(error)):
            return
        told = _WAIT.search(str(error))
        wait = min(float(told[1]), MAX_WAIT) if told else DEFAULT_RATE_LIMIT_WAIT
        if self._on_rate_limited is not None:
            self._on_rate_limited(wait)
        raise TransientRemoteError(
            f"{self.name}: too many requests. It is tried again after {wait:.0f} s by itself.",
            retry_after=wait,
            may_have_succeeded=False,
        ) from error

    def _checked(self, method: str, path: str, answer: Answer, data: object) -> Json:
        if isinstance(data, dict) and identifier(data):
            return data
        raise self._unexpected(method, path, answer)

    def _ignored(self, path: str, params: Mapping[str, str]) -> UnsupportedOperation:
        names = ", ".join(f'"{name}"' for name in params if name not in OLDEST_FIRST)
        return UnsupportedOperation(
            f"{self.name}: GET {path} ignored the filter {names} and listed what belongs to others, page after page. "
            "The search was given up, so nothing is known of what it was about."
        )

    def _incomplete(self, path: str) -> TransientRemoteError:
        return TransientRemoteError(
            f"{self.name}: the pages of GET {path} did not show everything they counted. It is tried again by itself.",
            may_have_succeeded=True,
        )

    def _unexpected(self, method: str, path: str, answer: Answer) -> TransientRemoteError:
        return TransientRemoteError(
            f"{self.name}: {method} {path} answered {answer.status} with something else than LicenseSpring documents; "
            "check the base URL if this does not pass by itself.",
            may_have_succeeded=True,
            request_id=answer.request_id,
        )


def _has(value: str, wanted: str) -> bool:
    """Exact filters may match loosely; that is not the same as being ignored."""
    return wanted.lower() in value.lower()


def _anything(entry: Json) -> bool:
    return True
