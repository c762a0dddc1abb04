"""The license servers of the stack: what is mapped to them, the calls they get, and how their licenses read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

SLOT = "licensing_integration_slot"
DAYS_OF_A_MONTH = timedelta(days=30.44)
_LAST_SECOND = time(23, 59, 59, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A license as its server shows it. ``state``: ``active``, ``suspended`` or ``revoked``. ``periods``: months it
    lasts. ``terms``: what else of it must not depend on the order of events or on faults."""

    server: str
    license_id: str
    slot: str
    key: str
    state: str
    ends_at: datetime | None
    periods: int | None
    terms: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a server, by its path template."""

    server: str
    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A configured license server. ``by_date``, ``by_interval``: store products that are mapped to it.

    ``calls``: what is asked of it, by what for. ``is_counting``: a license by interval ends so many periods after its
    creation; else on the date of the store, too. ``deletes``: a license that ends is gone; else it stays, off.
    ``end_of``: the end it shows for a wanted one.
    """

    name: str
    by_date: str
    by_interval: str
    calls: dict[str, Call]
    is_counting: bool
    deletes: bool
    read: Callable[[dict[str, Any]], Seen]
    end_of: Callable[[datetime], datetime]

    def __str__(self) -> str:
        return self.name


def _read_cryptlex(license: dict[str, Any]) -> Seen:
    created, ends_at = _moment(license["createdAt"]), _moment(license["expiresAt"])
    kept = ("productId", "suspended", "revoked", "allowedActivations", "subscriptionInterval", "entitlementSetId")
    metadata = {entry["key"]: entry["value"] for entry in license["metadata"]}
    # A day or two more or less: the shop counts months of 30 days.
    periods = round((ends_at - created) / DAYS_OF_A_MONTH) if created and ends_at else None
    return Seen(
        server="cryptlex",
        license_id=license["id"],
        slot=metadata.get(SLOT, ""),
        key=license["key"],
        state="revoked" if license["revoked"] else "suspended" if license["suspended"] else "active",
        ends_at=ends_at,
        periods=periods,
        terms={
            **{name: license[name] for name in kept},
            "metadata": metadata,
            "user": license["user"]["email"],
            "end": periods if license["subscriptionInterval"] else license["expiresAt"],
        },
    )


def _read_licensespring(license: dict[str, Any]) -> Seen:
    ends_at = _moment(license["validity_period"])
    kept = ("license_type", "enabled", "is_trial", "max_activations", "validity_period", "subscription_id", "metadata")
    return Seen(
        server="spring",
        license_id=str(license["id"]),
        slot=license["metadata"].get(SLOT, ""),
        key=license["license_key"],
        state="active" if license["enabled"] else "suspended",
        ends_at=_last_second(ends_at) if ends_at else None,
        periods=None,
        terms={
            **{name: license[name] for name in kept},
            "order": license["order_store_id"],
            "product": license["product"]["short_code"],
            "customer": license["customer"]["email"],
        },
    )


def _last_second(moment: datetime) -> datetime:
    return datetime.combine(moment.date(), _LAST_SECOND)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _calls(server: str, **calls: str) -> dict[str, Call]:
    split = {name: call.partition(" ") for name, call in calls.items()}
    return {name: Call(server=server, method=method, path=path) for name, (method, _, path) in split.items()}


CRYPTLEX = Server(
    name="cryptlex",
    by_date="by-date",
    by_interval="by-interval",
    calls=_calls(
        "cryptlex",
        user="POST /v3/users",
        issue="POST /v3/licenses",
        renew="POST /v3/licenses/{id}/renew",
        renew_by_date="PATCH /v3/licenses/{id}/expires-at",
        change="PATCH /v3/licenses/{id}",
        suspend="PATCH /v3/licenses/{id}",
        end="DELETE /v3/licenses/{id}",
    ),
    is_counting=True,
    deletes=True,
    read=_read_cryptlex,
    end_of=lambda moment: moment,
)
SPRING = Server(
    name="spring",
    by_date="spring-by-date",
    by_interval="spring-by-interval",
    calls=_calls(
        "spring",
        key="GET /api/v1/orders/generate_license/",
        issue="POST /api/v1/orders/create_order/",
        renew_by_date="PATCH /api/v1/licenses/{id}/",
        suspend="POST /api/v1/licenses/{id}/disable/",
        reinstate="POST /api/v1/licenses/{id}/enable/",
        end="POST /api/v1/licenses/{id}/disable/",
    ),
    is_counting=False,
    deletes=False,
    read=_read_licensespring,
    end_of=_last_second,
)
SERVERS = (CRYPTLEX, SPRING)
