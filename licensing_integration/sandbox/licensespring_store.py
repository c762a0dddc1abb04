"""What the emulated LicenseSpring account holds."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import count
from typing import Any

from licensing_integration.sandbox.licensespring_moments import to_stamp
from licensing_integration.sandbox.licensespring_options import LicenseSpringOptions
from licensing_integration.sandbox.records import Collection, Record

COMPANY_ID = 641  # the vendor's number for the account itself; answers call it "company"
KEY_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # the documented default


@dataclass(slots=True, eq=False)
class ProductRecord(Record):
    """``policies``: license policy code -> the license members it sets. ``is_hidden``: the key may not see it."""

    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    is_hidden: bool = False

    @property
    def is_user_based(self) -> bool:
        return bool(self.data["authorization_method"] == "user")


@dataclass(slots=True, eq=False)
class OrderRecord(Record):
    """``managers``: license users who manage every license of the order. ``items``: order item id -> its own data."""

    customer: Record | None = None
    managers: list[Record] = field(default_factory=list)
    items: dict[int, dict[str, Any]] = field(default_factory=dict)


@dataclass(kw_only=True, slots=True)
class Seat:
    """A license user on one license."""

    user: Record
    is_manager: bool = False
    max_activations: int | None = None
    total_activations: int = 0


@dataclass(slots=True, eq=False, kw_only=True)
class LicenseRecord(Record):
    """``data["validity_period"]`` is a day, ``YYYY-MM-DD``. ``seats``: license user id -> the seat."""

    product: ProductRecord
    order: OrderRecord
    seats: dict[int, Seat] = field(default_factory=dict)
    is_unlimited: bool = False

    @property
    def customer(self) -> Record | None:
        return self.order.customer

    @property
    def status(self) -> str:
        """``disabled`` wins; a subscription is active from the start, everything else from its first activation."""
        if not self.data["enabled"]:
            return "disabled"
        is_active = self.data["license_type"] == "subscription" or self.data["time_activated"] is not None
        return "active" if is_active else "inactive"


@dataclass(slots=True, eq=False)
class HistoryRecord(Record):
    """An entry can be found by its license's product, which it does not show."""

    product_id: int = 0


class LicenseSpringStore:
    """All collections of one account, its clock and its ids."""

    def __init__(self, *, options: LicenseSpringOptions, clock: Callable[[], datetime]) -> None:
        self.options = options
        self._clock = clock
        self._small_ids = count(1001)
        self._last_id = 0
        self.products: Collection[ProductRecord] = Collection("product", indexes={"short_code": _members("short_code")})
        self.features: Collection[Record] = Collection("product feature", indexes={"product": _members("product")})
        self.custom_fields: Collection[Record] = Collection("custom field", indexes={"product": _members("product")})
        self.forget_customers()

    def forget_customers(self) -> None:
        """Back to an account with its catalogue but without customers, orders and licenses."""
        self.customers: Collection[Record] = Collection("customer", indexes={"email": _members("email")})
        self.orders: Collection[OrderRecord] = Collection("order", indexes={"store_id": _members("store_id")})
        self.licenses: Collection[LicenseRecord] = Collection(
            "license",
            indexes={
                "license_key": _members("license_key"),
                "order__store_id": lambda record: (record.order.data["store_id"],),
                "order": lambda record: (record.order.id,),
                "license_users__id": lambda record: list(record.seats),
            },
        )
        self.users: Collection[Record] = Collection(
            "license user", indexes={"true_email": lambda record: (record.data["true_email"].lower(),)}
        )
        by_license = {"license": _members("license")}
        self.license_features: Collection[Record] = Collection("license feature", indexes=by_license)
        self.overrides: Collection[Record] = Collection("license custom field", indexes=by_license)
        self.histories: Collection[HistoryRecord] = Collection("license history", indexes=by_license)
        self.devices: Collection[Record] = Collection("device", indexes=by_license)

    @property
    def now(self) -> datetime:
        return self._clock()

    @property
    def today(self) -> date:
        return self._clock().astimezone(UTC).date()

    def head(self, *, has_small_id: bool = False) -> dict[str, Any]:
        """Id and dates of something new."""
        stamp = to_stamp(self.now)
        return {
            "id": next(self._small_ids) if has_small_id else self._new_id(),
            "created_at": stamp,
            "updated_at": stamp,
        }

    def touch(self, record: Record) -> None:
        record.data["updated_at"] = to_stamp(self.now)

    def note(self, license_: LicenseRecord, text: str) -> None:
        """A line of the license's history, which the API only lets read."""
        entry = {
            "id": next(self._small_ids),
            "license": license_.id,
            "ts": to_stamp(self.now),
            "source": "management-api",
            "level": "info",
            "text": text,
            "data": None,
            "sdk_version": None,
            "device": None,
            "license_user": None,
        }
        self.histories.add(HistoryRecord(data=entry, stored_at=self.now, product_id=license_.product.id))

    def feature(self, product: ProductRecord, code: str) -> Record | None:
        """The product's feature with this code."""
        return next(
            (found for found in self.features.found_by("product", product.id) if found.data["code"] == code), None
        )

    def custom_field(self, product: ProductRecord, name: str) -> Record | None:
        """The product's custom field with this name, upper and lower case as written."""
        found = self.custom_fields.found_by("product", product.id)
        return next((entry for entry in found if entry.data["name"] == name), None)

    def _new_id(self) -> int:
        """About sixteen digits, ever growing: microseconds since 1970, and one more when these repeat."""
        self._last_id = max(self._last_id + 1, int(self.now.timestamp() * 1_000_000))
        return self._last_id


def new_key(*, length: int = 16, alphabet: str = KEY_ALPHABET) -> str:
    """Groups of four, with dashes."""
    text = "".join(secrets.choice(alphabet) for _ in range(length))
    return "-".join(text[start : start + 4] for start in range(0, length, 4))


def _members(name: str) -> Callable[[Record], tuple[Any, ...]]:
    return lambda record: (record.data[name],)
