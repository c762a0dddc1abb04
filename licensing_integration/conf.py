"""Our settings, typed and frozen. Read from Django's settings at every call, so tests may override them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from licensing_integration.stores.base import Secret

NO_SECRET = Secret("")
VERSION = "1.0.0"  # of this program; the newest in CHANGELOG.md


@dataclass(frozen=True, kw_only=True)
class StoreConfig:
    """A configured store. ``name`` is in its webhook address, ``adapter`` the slug of the code that reads it.

    No ``webhook_secrets``: the endpoint is closed. No ``fulfilment_keys``: no license keys are given out.
    ``test_events``: ``hold`` or ``apply``. ``api_password`` opens the store's own API, with ``api_username`` where the
    store has one. ``unmapped``: what becomes of a product that neither a mapping nor an attribute maps: ``wait``,
    ``ignore``, or ``default`` (the license server's default product).
    """

    name: str
    adapter: str
    webhook_secrets: tuple[Secret, ...] = ()
    fulfilment_keys: tuple[Secret, ...] = ()
    test_events: str = "hold"
    api_username: str = ""
    api_password: Secret = NO_SECRET
    api_base_url: str = ""
    unmapped: str = "wait"


@dataclass(frozen=True, kw_only=True)
class LicenseServerConfig:
    """A configured license server.

    At most ``request_limit`` calls start within any ``request_window_seconds``, all workers together; 0 is no limit.
    ``default_product_id`` is for stores that say so (``unmapped``). ``adopt``: ``auto`` looks for a license somebody
    else may have made when there is reason to, ``always`` every time. ``uuid``: the account of a LicenseSpring server,
    as store attributes name it; empty: any.
    """

    name: str
    backend: str
    base_url: str = ""
    access_token: Secret = NO_SECRET
    request_limit: int = 50
    request_window_seconds: float = 5.0
    adopt: str = "auto"
    default_product_id: str = ""
    uuid: str = ""


@dataclass(frozen=True, kw_only=True)
class OrderPageConfig:
    """The page on which customers see their keys.

    No ``secrets``: no token opens a page. ``support``: a mail address or a web address. ``days``: how long after the
    purchase keys are shown. ``rate``: such as ``60/min``, for each client address and for each order.
    """

    is_on: bool
    secrets: tuple[Secret, ...]
    name: str
    support: str
    base_url: str
    days: int
    rate: str


def prefix_of(name: str) -> str:
    """What the names of a store's or license server's variables begin with."""
    return name.upper().replace("-", "_")


def stores() -> Mapping[str, StoreConfig]:
    """The configured stores by name, in the order of the setting."""
    return {config["name"]: _store(config) for config in settings.STORES}


def store(name: str) -> StoreConfig | None:
    """The store of that name, or ``None``: names come from addresses that anybody can ask for."""
    return next((_store(config) for config in settings.STORES if config["name"] == name), None)


def license_servers() -> Mapping[str, LicenseServerConfig]:
    """The configured license servers by name, in the order of the setting."""
    return {config["name"]: _license_server(config) for config in settings.LICENSE_SERVERS}


def license_server(name: str) -> LicenseServerConfig | None:
    """The license server of that name, or ``None`` when it is configured no more."""
    return next((_license_server(config) for config in settings.LICENSE_SERVERS if config["name"] == name), None)


def webhook_max_bytes() -> int:
    """The largest delivery we read."""
    return int(settings.WEBHOOK_MAX_BYTES)


def fulfilment_wait_seconds() -> float:
    """How long a store that asks for keys is kept waiting for them."""
    return float(settings.FULFILMENT_WAIT_SECONDS)


def fulfilment_keep_hours() -> int:
    """How long a license whose key was given out stays usable while its order is not completed."""
    return int(settings.FULFILMENT_KEEP_HOURS)


def fulfilment_max_waiting() -> int:
    """How many requests for keys may wait at once in each process of the web server."""
    return int(settings.FULFILMENT_MAX_WAITING)


def order_page() -> OrderPageConfig:
    """The page on which customers see their keys."""
    return OrderPageConfig(
        is_on=settings.ORDER_PAGES,
        secrets=tuple(Secret(secret) for secret in settings.ORDER_PAGE_SECRET),
        name=settings.ORDER_PAGE_NAME,
        support=settings.ORDER_PAGE_SUPPORT,
        base_url=settings.ORDER_PAGE_BASE_URL,
        days=settings.ORDER_PAGE_DAYS,
        rate=settings.ORDER_PAGE_RATE,
    )


def can_send_mail() -> bool:
    """Whether there is a mail server, and an address to send from."""
    return bool(settings.CAN_SEND_MAIL)


def trusts_forwarded_for() -> bool:
    """Whether the last address in ``X-Forwarded-For`` was written by a proxy of ours."""
    return bool(settings.TRUST_FORWARDED_FOR)


def apply_lease_seconds() -> float:
    """For how long a worker has a license for itself before another may believe it dead."""
    return float(settings.APPLY_LEASE_SECONDS)


def retry_first_delay_seconds() -> float:
    """How long after a first failure a call is tried again; every further failure doubles it."""
    return float(settings.RETRY_FIRST_DELAY_SECONDS)


def settling_seconds() -> float:
    """A license server may show a new license in its lists only after a while; an earlier look could miss it."""
    return float(settings.SETTLING_SECONDS)


def sweep_grace_seconds() -> float:
    """How long a job that is on its way is waited for before the sweep looks after its row."""
    return float(settings.SWEEP_GRACE_SECONDS)


def _store(config: Mapping[str, Any]) -> StoreConfig:
    lists = {name: tuple(map(Secret, config.get(name, ()))) for name in ("webhook_secrets", "fulfilment_keys")}
    return StoreConfig(**{**config, **lists, "api_password": Secret(config.get("api_password", ""))})


def _license_server(config: Mapping[str, Any]) -> LicenseServerConfig:
    return LicenseServerConfig(**{**config, "access_token": Secret(config.get("access_token", ""))})
