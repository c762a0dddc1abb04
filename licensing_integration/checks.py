"""Mistakes in the configuration, found at start-up, all of them at once, each with what to do about it.

The ids are stable; operators may silence a warning by its id in ``SILENCED_SYSTEM_CHECKS``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from licensing_integration.conf import LicenseServerConfig, StoreConfig, license_servers, order_page, prefix_of, stores
from licensing_integration.license_servers.registry import BACKENDS
from licensing_integration.stores.registry import ADAPTERS

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
SHORTEST_SECRET_KEY = 32
SHORTEST_WEBHOOK_SECRET = 16
SHORTEST_FULFILMENT_KEY = 16
SHORTEST_ORDER_PAGE_SECRET = 32
MAIL_ADDRESS = re.compile(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+")
UNMAPPED = ("wait", "ignore", "default")
TEST_EVENTS = ("hold", "apply")
ADOPT = ("auto", "always")


def check_names(**kwargs: object) -> Iterable[CheckMessage]:
    yield from _names("STORES", settings.STORES, number=1)
    yield from _names("LICENSE_SERVERS", settings.LICENSE_SERVERS, number=4)


def _names(variable: str, configs: Sequence[dict[str, Any]], *, number: int) -> Iterator[CheckMessage]:
    example = "fastspring=fastspring" if variable == "STORES" else "cryptlex=cryptlex"
    if not configs:
        yield Error(f"{variable} is empty.", hint=f"For example {variable}={example}", id=_id("E", number))
    for config in configs:
        if not NAME.fullmatch(config["name"]):
            yield Error(
                f"{variable}: {config['name']!r} cannot be a name.",
                hint="It is part of addresses: lower-case letters, digits, - and _, at most 50 of them.",
                id=_id("E", number + 1),
            )
    for prefix, count in Counter(prefix_of(config["name"]) for config in configs).items():
        if count > 1:
            yield Error(
                f"{variable}: {count} entries read their settings from the same variables {prefix}_…",
                hint="Give each a name of its own; - and _ count as the same.",
                id=_id("E", number + 2),
            )


def check_stores(**kwargs: object) -> Iterable[CheckMessage]:
    for store in stores().values():
        yield from problems_of_store(store)


def problems_of_store(store: StoreConfig) -> Iterator[CheckMessage]:
    """What is wrong with the configuration of one store."""
    prefix = prefix_of(store.name)
    if store.adapter not in ADAPTERS:
        yield Error(
            f"Store {store.name!r} has the unknown adapter {store.adapter!r}.",
            hint=f"In STORES write {store.name}=<adapter>; there are: {', '.join(sorted(ADAPTERS))}.",
            id=_id("E", 7),
        )
    if store.test_events not in TEST_EVENTS:
        yield Error(f"{prefix}_TEST_EVENTS is {store.test_events!r}.", hint="Write hold or apply.", id=_id("E", 8))
    if store.unmapped not in UNMAPPED:
        yield Error(f"{prefix}_UNMAPPED is {store.unmapped!r}.", hint=f"Write {', '.join(UNMAPPED)}.", id=_id("E", 20))
    if store.unmapped == "default" and not any(server.default_product_id for server in license_servers().values()):
        yield Error(
            f"{prefix}_UNMAPPED is 'default', but no license server has a default product.",
            hint="Set the license server's …_PRODUCT_ID (CRYPTLEX_PRODUCT_ID), or write wait.",
            id=_id("E", 21),
        )
    adapter = ADAPTERS.get(store.adapter)
    is_username_needed = adapter is not None and adapter.api_needs_username and bool(store.api_password)
    if (store.api_username and not store.api_password) or (is_username_needed and not store.api_username):
        yield Error(
            f"Store {store.name!r} has half of its API credentials.",
            hint=f"Set both {prefix}_API_USERNAME and {prefix}_API_PASSWORD, or neither.",
            id=_id("E", 9),
        )
    if not store.webhook_secrets:
        yield Warning(
            f"Store {store.name!r} has no webhook secret, so its deliveries are refused with 503.",
            hint=f"Set {prefix}_WEBHOOK_SECRET to the secret you enter at the store.",
            id=_id("W", 1),
        )
    elif min(map(len, store.webhook_secrets)) < SHORTEST_WEBHOOK_SECRET:
        yield Warning(
            f"{prefix}_WEBHOOK_SECRET has a secret of fewer than {SHORTEST_WEBHOOK_SECRET} characters.",
            hint="Whoever guesses it can order licenses. Use a long random one, here and at the store.",
            id=_id("W", 2),
        )
    yield from _fulfilment_keys(store)


def _fulfilment_keys(store: StoreConfig) -> Iterator[CheckMessage]:
    variable = f"{prefix_of(store.name)}_FULFILMENT_KEY"
    adapter = ADAPTERS.get(store.adapter)
    if store.fulfilment_keys and adapter is not None and adapter.read_fulfilment is None:
        yield Error(
            f"{variable} is set, but a {store.adapter} shows no license keys of ours on its order page.",
            hint="Remove it.",
            id=_id("E", 40),
        )
    elif store.fulfilment_keys and min(map(len, store.fulfilment_keys)) < SHORTEST_FULFILMENT_KEY:
        yield Warning(
            f"{variable} has a key of fewer than {SHORTEST_FULFILMENT_KEY} characters.",
            hint="Whoever guesses it gets license keys. Use the private key that the store made for the fulfilment.",
            id=_id("W", 40),
        )


def check_license_servers(**kwargs: object) -> Iterable[CheckMessage]:
    for server in license_servers().values():
        yield from problems_of_license_server(server)


def problems_of_license_server(server: LicenseServerConfig) -> Iterator[CheckMessage]:
    """What is wrong with the configuration of one license server."""
    prefix = prefix_of(server.name)
    if server.backend not in BACKENDS:
        yield Error(
            f"License server {server.name!r} has the unknown backend {server.backend!r}.",
            hint=f"In LICENSE_SERVERS write {server.name}=<backend>; there are: {', '.join(sorted(BACKENDS))}.",
            id=_id("E", 10),
        )
    if server.adopt not in ADOPT:
        yield Error(f"{prefix}_ADOPT is {server.adopt!r}.", hint="Write auto or always.", id=_id("E", 11))
    if server.default_product_id and not any(store.unmapped == "default" for store in stores().values()):
        yield Warning(
            f"{prefix}_PRODUCT_ID is set, but no store gives unmapped products the default license.",
            hint="Set the store's …_UNMAPPED=default where every sale is to get that product, or remove the variable.",
            id=_id("W", 20),
        )
    if not server.access_token:
        yield Warning(
            f"License server {server.name!r} has no access token, so no license can be issued there.",
            hint=f"Set {prefix}_ACCESS_TOKEN.",
            id=_id("W", 3),
        )
    yield from _base_url(server.base_url, variable=f"{prefix}_WEB_API_BASE_URL")


def _base_url(url: str, *, variable: str) -> Iterator[CheckMessage]:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        yield Error(
            f"{variable} is {url!r}, which is no web address.",
            hint="Write something like https://api.cryptlex.com",
            id=_id("E", 12),
        )
    elif parts.scheme == "http" and not _is_loopback(parts.hostname):
        yield Warning(
            f"{variable} begins with http:, so the access token crosses the network in clear text.",
            hint="Write https:",
            id=_id("W", 4),
        )


def check_database(**kwargs: object) -> Iterable[CheckMessage]:
    if "postgresql" not in settings.DATABASES["default"].get("ENGINE", ""):
        yield Error(
            "The database is not PostgreSQL; the job queue and our locks need it.",
            hint="Set DATABASE_URL=postgresql://…, or unset it to use the embedded PostgreSQL.",
            id=_id("E", 13),
        )


def check_security(**kwargs: object) -> Iterable[CheckMessage]:
    if len(settings.SECRET_KEY) < SHORTEST_SECRET_KEY:
        yield Warning(
            f"SECRET_KEY has fewer than {SHORTEST_SECRET_KEY} characters.",
            hint='Make one with: python -c "import secrets; print(secrets.token_urlsafe(50))"',
            id=_id("W", 5),
        )
    public = [host for host in settings.ALLOWED_HOSTS if not _is_loopback(host.strip("[]"))]
    if settings.DEBUG and public:
        yield Warning(
            f"DEBUG is on while the system answers to {', '.join(public)}.",
            hint="Error pages show settings and customer data to whoever causes an error. Set DEBUG=false.",
            id=_id("W", 6),
        )
    if public and not settings.SECURE_PROXY_SSL_HEADER:
        yield Warning(
            f"The system answers to {', '.join(public)} without HTTPS.",
            hint="Put a proxy that speaks HTTPS in front, and set BEHIND_HTTPS_PROXY=true.",
            id=_id("W", 7),
        )


def check_order_page(**kwargs: object) -> Iterable[CheckMessage]:
    page = order_page()
    if page.secrets and min(map(len, page.secrets)) < SHORTEST_ORDER_PAGE_SECRET:
        yield Warning(
            f"ORDER_PAGE_SECRET has a secret of fewer than {SHORTEST_ORDER_PAGE_SECRET} characters.",
            hint="Whoever guesses it can read license keys. Use a long random one, here and in your shop.",
            id=_id("W", 30),
        )
    if page.support and not (MAIL_ADDRESS.fullmatch(page.support) or _is_web_address(page.support)):
        yield Error(
            f"ORDER_PAGE_SUPPORT is {page.support!r}, which is neither a mail address nor a web address.",
            hint="Write something like help@example.com or https://example.com/help",
            id=_id("E", 30),
        )
    if page.base_url and not _is_web_address(page.base_url):
        yield Error(
            f"ORDER_PAGE_BASE_URL is {page.base_url!r}, which is no web address.",
            hint="Write the address of this service, like https://licensing.example.com",
            id=_id("E", 31),
        )


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _id(level: str, number: int) -> str:
    return f"licensing_integration.{level}{number:03}"


OF_THE_INSTALLATION = (check_names, check_database, check_security, check_order_page)
ALL = (*OF_THE_INSTALLATION, check_stores, check_license_servers)
