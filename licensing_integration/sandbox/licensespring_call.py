"""What every operation of the emulated LicenseSpring API gets to work with, and how it shows things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from licensing_integration.sandbox.licensespring_catalog import Catalog
from licensing_integration.sandbox.licensespring_errors import no_such
from licensing_integration.sandbox.licensespring_filters import ListQuery, envelope, select
from licensing_integration.sandbox.licensespring_options import LicenseSpringOptions
from licensing_integration.sandbox.licensespring_store import LicenseRecord, LicenseSpringStore, ProductRecord
from licensing_integration.sandbox.records import Collection, R, Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One admitted request. ``ids``: those of the path. ``url``: of the request without its query.

    ``body`` is validated; ``parameters`` are those of an operation that is not a list.
    """

    store: LicenseSpringStore
    catalog: Catalog
    options: LicenseSpringOptions
    ids: tuple[int, ...] = ()
    query: ListQuery = field(default_factory=ListQuery)
    parameters: dict[str, str] = field(default_factory=dict)
    body: Any = None
    url: str = ""
    raw_query: str = ""
    visibility_delay: float = 0.0

    @property
    def id(self) -> int:
        return self.ids[0]

    def license(self) -> LicenseRecord:
        """The license the path names; 404 if there is none."""
        return find(self.store.licenses, self.id)

    def page(
        self,
        collection: Collection[Any],
        *,
        show: Callable[[Any], Any],
        is_delayed: bool = False,
        is_wanted: Callable[[Any], bool] | None = None,
    ) -> dict[str, Any]:
        """The page the query asks for; ``is_delayed``: what is new is missing for a while, on request.

        ``is_wanted``: which records the list is about at all; ``None`` = every one.
        """
        found = select(
            collection,
            self.query,
            now=self.store.now,
            visibility_delay=self.visibility_delay if is_delayed else 0.0,
            default_order=self.options.default_order,
        )
        if is_wanted is not None:
            found = [record for record in found if is_wanted(record)]
        page = envelope(found, self.query, url=self.url, raw_query=self.raw_query)
        return {**page, "results": [show(record) for record in page["results"]]}


def find(collection: Collection[R], record_id: int) -> R:
    """404 if there is none."""
    record = collection.records.get(record_id)
    if record is None:
        raise no_such(collection.what)
    return record


def find_product(call: Call, short_code: str) -> ProductRecord | None:
    """The product with this short code, if the key may see it; made when the options allow that."""
    if call.options.accept_any_product:
        call.catalog.ensure_product(short_code)
    found = call.store.products.found_by("short_code", short_code)
    return found[0] if found and not found[0].is_hidden else None


def shown_data(record: Record) -> dict[str, Any]:
    """A resource that shows nothing but its own members."""
    return record.data
