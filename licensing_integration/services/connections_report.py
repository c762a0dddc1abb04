"""What the page of connections shows of every store and license server. Nothing is asked but the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from itertools import groupby
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from django.core.checks import CheckMessage
from django.db.models import QuerySet

from licensing_integration import checks, conf
from licensing_integration.conf import LicenseServerConfig, StoreConfig
from licensing_integration.license_servers.registry import LABELS
from licensing_integration.models import RejectedDelivery, SecretUse, WebhookEvent
from licensing_integration.services import budget, rejections, secret_uses, workers
from licensing_integration.services.rejections import Explanation
from licensing_integration.stores.base import StoreAdapter
from licensing_integration.stores.registry import ADAPTERS

EVENTS_LOOKED_AT: Final = 500
"""The last live and the last test event are looked for among so many of each store's."""

SAME_TIME: Final = timedelta(minutes=1)
"""Uses so close together may be of one delivery: every process writes them down some seconds late."""

UNUSED_FOR: Final = timedelta(days=1)
"""A secret that the store has not signed with for so long while it did with another is not needed any more."""


@dataclass(frozen=True, kw_only=True)
class SecretLine:
    """A configured webhook secret: ``number`` in the setting's order, beginning with 1, and when it last signed."""

    number: int
    fingerprint: str
    last_at: datetime | None
    meaning: str


@dataclass(frozen=True, kw_only=True)
class EventGroup:
    """Event types to tick at the store, which sorts them by their first word."""

    title: str
    types: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class RefusedLine:
    row: RejectedDelivery
    explanation: Explanation


@dataclass(frozen=True, kw_only=True)
class StoreReport:
    """``adapter`` is ``None`` when the setting names one that there is not; ``problems`` says so. What the page asks of
    it stands in properties, as a template would call the functions it names."""

    config: StoreConfig
    prefix: str
    adapter: StoreAdapter | None
    problems: Sequence[CheckMessage]
    secrets: Sequence[SecretLine]
    event_groups: Sequence[EventGroup]
    last_live: WebhookEvent | None
    last_test: WebhookEvent | None
    refused: Sequence[RefusedLine]

    @property
    def is_configured(self) -> bool:
        """Whether deliveries can be taken at all."""
        return self.adapter is not None and bool(self.secrets)

    @property
    def has_api(self) -> bool:
        """Whether the store has an API that we can read."""
        return self.adapter is not None and self.adapter.build_api is not None

    @property
    def api_variables(self) -> str:
        """What is to be set for that."""
        names = ("API_USERNAME", "API_PASSWORD") if self.adapter and self.adapter.api_needs_username else ("API_KEY",)
        return " and ".join(f"{self.prefix}_{name}" for name in names)

    @property
    def shows_keys(self) -> bool:
        """Whether the store can show our keys on its own order page."""
        return self.adapter is not None and self.adapter.read_fulfilment is not None

    @property
    def event_types(self) -> list[str]:
        return [event_type for group in self.event_groups for event_type in group.types]


@dataclass(frozen=True, kw_only=True)
class ServerReport:
    """``used``: calls in the window that ends now, of ``config.request_limit``."""

    config: LicenseServerConfig
    prefix: str
    label: str
    base_url: str
    problems: Sequence[CheckMessage]
    used: int

    @property
    def is_configured(self) -> bool:
        return bool(self.label and self.config.access_token)


@dataclass(frozen=True, kw_only=True)
class InstallationReport:
    version: str
    workers: int
    can_send_mail: bool
    has_order_pages: bool
    has_order_page_secret: bool
    problems: Sequence[CheckMessage]


def stores(*, now: datetime) -> list[StoreReport]:
    """Every configured store, in the order of the setting; three queries."""
    configs = conf.stores()
    last = _last_events(configs)
    uses = {(use.store, use.fingerprint): use.last_at for use in SecretUse.objects.filter(store__in=configs)}
    refused = rejections.recent(now=now)
    return [_store(config, uses=uses, last=last, refused=refused) for config in configs.values()]


def license_servers() -> list[ServerReport]:
    """Every configured license server, in the order of the setting; one query."""
    configs = conf.license_servers().values()
    used = budget.used(configs)
    return [
        ServerReport(
            config=config,
            prefix=conf.prefix_of(config.name),
            label=LABELS.get(config.backend, ""),
            base_url=_without_credentials(config.base_url),
            problems=list(checks.problems_of_license_server(config)),
            used=min(used.get(config.name, 0), config.request_limit),
        )
        for config in configs
    ]


def installation() -> InstallationReport:
    """What concerns all of them; one query."""
    page = conf.order_page()
    return InstallationReport(
        version=conf.VERSION,
        workers=workers.count_alive(),
        can_send_mail=conf.can_send_mail(),
        has_order_pages=page.is_on,
        has_order_page_secret=bool(page.secrets),
        problems=[finding for check in checks.OF_THE_INSTALLATION for finding in check()],
    )


def _store(
    config: StoreConfig,
    *,
    uses: Mapping[tuple[str, str], datetime],
    last: Mapping[tuple[str, bool], WebhookEvent],
    refused: Iterable[RejectedDelivery],
) -> StoreReport:
    adapter = ADAPTERS.get(config.adapter)
    return StoreReport(
        config=config,
        prefix=conf.prefix_of(config.name),
        adapter=adapter,
        problems=list(checks.problems_of_store(config)),
        secrets=_secrets(config, uses=uses),
        event_groups=_groups(adapter) if adapter else [],
        last_live=last.get((config.name, True)),
        last_test=last.get((config.name, False)),
        refused=[_explained(row) for row in refused if row.store == config.name],
    )


def _explained(row: RejectedDelivery) -> RefusedLine:
    return RefusedLine(row=row, explanation=rejections.explain(row))


def _secrets(config: StoreConfig, *, uses: Mapping[tuple[str, str], datetime]) -> list[SecretLine]:
    marks = [secret_uses.fingerprint(secret) for secret in config.webhook_secrets]
    used = {mark: uses[config.name, mark] for mark in marks if (config.name, mark) in uses}
    newest = max(used.values(), default=None)
    return [
        SecretLine(number=number, fingerprint=mark, last_at=used.get(mark), meaning=_meaning(used.get(mark), newest))
        for number, mark in enumerate(marks, start=1)
    ]


def _meaning(last_at: datetime | None, newest: datetime | None) -> str:
    """What its use says about a secret; ``newest``: when the store last signed with any of them."""
    if newest is None:
        return "Send a test from the store's own dashboard, or wait for a sale."
    if last_at is None:
        return "The store does not sign with it yet. If it is an old one, it may be removed."
    if newest - last_at > UNUSED_FOR:
        return "The store signs with another one since: it may be removed."
    if newest - last_at > SAME_TIME:
        return "The store has signed with another one since. Keep it until it has not been used for a day."
    return "The store signs with it."


def _groups(adapter: StoreAdapter) -> list[EventGroup]:
    types = sorted(set(adapter.translators) - adapter.made_here)
    by_first_word = groupby(types, key=lambda event_type: event_type.partition(".")[0])
    return [EventGroup(title=title, types=list(members)) for title, members in by_first_word]


def _last_events(names: Iterable[str]) -> dict[tuple[str, bool], WebhookEvent]:
    """By store and whether it is live; one query."""
    looked_for = [_last_event(name, is_live=is_live) for name in names for is_live in (True, False)]
    if not looked_for:
        return {}
    events = reduce(lambda one, other: one.union(other, all=True), looked_for)
    return {(event.store, event.is_live): event for event in events}


def _last_event(store: str, *, is_live: bool) -> QuerySet[WebhookEvent]:
    """Among the newest only: a store whose last live event is long ago must not cost a scan of all its test events."""
    newest = WebhookEvent.objects.filter(store=store).order_by("-id").values("id")[:EVENTS_LOOKED_AT]
    found = WebhookEvent.objects.filter(id__in=newest, is_live=is_live).order_by("-id")
    return found.only("id", "store", "event_type", "external_id", "is_live", "received_at", "state")[:1]


def _without_credentials(url: str) -> str:
    """An address nobody should have written with a password in it, shown without."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
