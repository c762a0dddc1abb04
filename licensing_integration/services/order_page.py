"""What a buyer is told of an order: the keys that can be used, and where the others are. Nothing of what failed inside
is told, only that it takes longer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from django.db.models import QuerySet
from django.db.models.fields.json import KT
from django.utils import timezone

from licensing_integration import conf
from licensing_integration.domain.outcomes import ExpiryMode, FailureMode, LicenseState, PurchaseStatus, SyncState
from licensing_integration.domain.wording import format_day
from licensing_integration.models import LicenseLink, Purchase, PurchaseAlias, PurchaseItem
from licensing_integration.services.purchases import ORDER_ALIAS, load_state

# What takes longer is worked on by a person, or should be.
LATE_AFTER = timedelta(minutes=10)


class Stage(StrEnum):
    """Where an order or one of its licenses is, as far as its buyer is concerned."""

    PREPARING = "preparing"
    READY = "ready"
    PARTLY_READY = "partly_ready"  # orders only: some of its licenses are ready, others will be
    WAITING_FOR_PAYMENT = "waiting_for_payment"
    NOT_PAID = "not_paid"
    ON_HOLD = "on_hold"  # exists, cannot be used now
    ENDED = "ended"
    DELAYED = "delayed"


UNFINISHED = frozenset({Stage.PREPARING, Stage.PARTLY_READY, Stage.WAITING_FOR_PAYMENT, Stage.DELAYED})

# An order of several parts is what comes first here, if any part is; half ready is decided before.
_MOST_TELLING = (
    Stage.READY,
    Stage.DELAYED,
    Stage.PREPARING,
    Stage.WAITING_FOR_PAYMENT,
    Stage.ON_HOLD,
    Stage.ENDED,
    Stage.NOT_PAID,
)
_UNHEARD = frozenset({PurchaseStatus.UNKNOWN, PurchaseStatus.PREPARED})
_UNPAID = frozenset({PurchaseStatus.OVERDUE, PurchaseStatus.UNPAID})


@dataclass(frozen=True, kw_only=True)
class OrderedLicense:
    """One license of an order. ``unit`` of ``units`` of the same product. ``state``: the stage in words.

    ``key`` is empty unless the license can be used and the purchase is recent. ``valid_until=None``: no end, if it
    ``is_endless``, else none that is known: the license template may give one with the first activation.
    """

    product: str
    unit: int
    units: int
    stage: Stage
    state: str
    key: str = field(default="", repr=False)
    valid_until: datetime | None = None
    is_endless: bool = False


@dataclass(frozen=True, kw_only=True)
class OrderView:
    """``are_keys_hidden``: there are keys, but the purchase is too long ago for showing them."""

    stage: Stage
    licenses: tuple[OrderedLicense, ...] = ()
    are_keys_hidden: bool = False

    @property
    def is_unfinished(self) -> bool:
        """Whether looking again may show more."""
        return self.stage in UNFINISHED


def view_order(store: str, reference: str, *, now: datetime | None = None) -> OrderView:
    """What the store knows under ``reference``, an id of its own. The store's report may come later than the buyer, so
    an order nobody has heard of is being prepared."""
    now = now or timezone.now()
    purchases = list(_purchases(store, reference))
    items, links = _items_and_links(purchases)
    stages: set[Stage] = set()
    licenses: list[OrderedLicense] = []
    for purchase in purchases:
        found = _licenses(purchase, items.get(purchase.pk, ()), links, now)
        stages.update([license.stage for license in found] or _stages_without_licenses(purchase, now))
        licenses.extend(found)
    return OrderView(
        stage=_overall(stages, is_known=bool(purchases)),
        licenses=tuple(licenses),
        are_keys_hidden=any(license.stage is Stage.READY and not license.key for license in licenses),
    )


def is_known(store: str, reference: str) -> bool:
    """Whether the store has reported an order of this id."""
    return _purchases(store, reference).exists()


def _purchases(store: str, reference: str) -> QuerySet[Purchase]:
    """The parts of an order: its one-time part, and each subscription bought with it."""
    own = Purchase.objects.filter(external_id=reference, store=store).order_by().values("pk")
    aliases = PurchaseAlias.objects.filter(value=reference, store=store, kind=ORDER_ALIAS).order_by()
    # A union of ids: OR would read the whole table.
    rows = Purchase.objects.filter(pk__in=own.union(aliases.values("purchase_id"))).order_by("pk")
    config = conf.store(store)
    return rows if config and config.test_events == "apply" else rows.filter(is_live=True)


def _items_and_links(
    purchases: Sequence[Purchase],
) -> tuple[Mapping[int, list[PurchaseItem]], Mapping[int, list[LicenseLink]]]:
    """Items by purchase and links by item, in one query each however many there are."""
    ids = [purchase.pk for purchase in purchases]
    items: dict[int, list[PurchaseItem]] = {}
    links: dict[int, list[LicenseLink]] = {}
    if not ids:
        return items, links
    item_fields = ("purchase_id", "product", "display", "problem")
    for item in PurchaseItem.objects.filter(purchase__in=ids).order_by("pk").only(*item_fields):
        items.setdefault(item.purchase_id, []).append(item)
    wanted = {"wanted": KT("desired__state"), "expiry": KT("desired__expiry")}
    rows = LicenseLink.objects.filter(purchase__in=ids).order_by("unit").annotate(**wanted)
    for link in rows.only(*_LINK_FIELDS):
        links.setdefault(link.item_id, []).append(link)
    return items, links


_LINK_FIELDS = (
    "item_id",
    "unit",
    "key",
    "state",
    "expires_at",
    "sync_state",
    "failure_mode",
    "failing_since",
    "created_at",
)


def _licenses(
    purchase: Purchase, items: Iterable[PurchaseItem], links: Mapping[int, Sequence[LicenseLink]], now: datetime
) -> list[OrderedLicense]:
    licenses = []
    for item in items:
        of_item = links.get(item.pk, ())
        licenses += [_license(purchase, item, link, units=len(of_item), now=now) for link in of_item]
        if item.problem and not of_item:
            licenses.append(_waiting_license(item))
    return licenses


def _license(purchase: Purchase, item: PurchaseItem, link: LicenseLink, *, units: int, now: datetime) -> OrderedLicense:
    stage = _stage(purchase, link, now)
    is_ready = stage is Stage.READY
    is_recent = now - purchase.first_seen_at <= timedelta(days=conf.order_page().days)
    return OrderedLicense(
        product=_name(item),
        unit=link.unit,
        units=units,
        stage=stage,
        state=_words(stage, purchase, link, now),
        key=link.key if is_ready and is_recent else "",
        valid_until=link.expires_at if is_ready else None,
        is_endless=link.expires_at is None and link.expiry == ExpiryMode.PERPETUAL,  # type: ignore[attr-defined]  # annotated
    )


def _waiting_license(item: PurchaseItem) -> OrderedLicense:
    """Paid for, but nothing says yet which license it becomes."""
    stage = Stage.DELAYED
    return OrderedLicense(product=_name(item), unit=1, units=1, stage=stage, state=_STATES[stage])


def _name(item: PurchaseItem) -> str:
    return item.name or "License"


def _stage(purchase: Purchase, link: LicenseLink, now: datetime) -> Stage:
    """What is wanted counts from the moment it is: a key that is about to be suspended is not handed out any more."""
    wanted = LicenseState(link.wanted)  # type: ignore[attr-defined]  # annotated
    is_settled = link.sync_state == SyncState.SETTLED
    if wanted in {LicenseState.REVOKED, LicenseState.ABSENT}:
        return Stage.ENDED
    if wanted is LicenseState.SUSPENDED or (is_settled and link.state == LicenseState.SUSPENDED):
        return Stage.WAITING_FOR_PAYMENT if purchase.status in _UNPAID else Stage.ON_HOLD
    if link.key and link.state == LicenseState.ACTIVE and not _has_run_out(link, now):
        return Stage.READY
    if is_settled:
        return Stage.ENDED
    return Stage.DELAYED if _is_late(link, now) else Stage.PREPARING


def _has_run_out(link: LicenseLink, now: datetime) -> bool:
    return link.expires_at is not None and link.expires_at <= now


def _is_late(link: LicenseLink, now: datetime) -> bool:
    if link.sync_state == SyncState.ATTENTION or link.failure_mode != FailureMode.NONE:
        return True
    since = link.failing_since or (None if link.key else link.created_at)
    return since is not None and now - since > LATE_AFTER


_STATES = {
    Stage.PREPARING: "Being prepared",
    Stage.READY: "Ready to use",
    Stage.WAITING_FOR_PAYMENT: "On hold until the payment arrives",
    Stage.ON_HOLD: "On hold",
    Stage.ENDED: "No longer valid",
    Stage.DELAYED: "Delayed, we are on it",
}


def _words(stage: Stage, purchase: Purchase, link: LicenseLink, now: datetime) -> str:
    if stage is Stage.ON_HOLD and purchase.status == PurchaseStatus.PAUSED:
        return "On hold while the subscription is paused"
    if stage is Stage.ENDED and link.expires_at and _has_run_out(link, now):
        return f"Ran out on {format_day(link.expires_at)}"
    return _STATES[stage]


def _stages_without_licenses(purchase: Purchase, now: datetime) -> set[Stage]:
    """Where a purchase is of which no license is planned. None: it is done, what was bought comes without a license."""
    match PurchaseStatus(purchase.status):
        case PurchaseStatus.PENDING:
            return {Stage.WAITING_FOR_PAYMENT}
        case PurchaseStatus.NOT_PAID:
            return {Stage.NOT_PAID}
        case PurchaseStatus.ENDED:
            return {Stage.ENDED}
    if load_state(purchase).is_waiting_for_payment:
        return {Stage.WAITING_FOR_PAYMENT}
    # Planning names a time at which to look again only when it waits for something, such as an activation's order.
    if purchase.status in _UNHEARD or purchase.review_at is not None:
        return {Stage.DELAYED if now - purchase.first_seen_at > LATE_AFTER else Stage.PREPARING}
    return set()


def _overall(stages: set[Stage], *, is_known: bool) -> Stage:
    if not is_known:
        return Stage.PREPARING
    if Stage.READY in stages and stages & UNFINISHED:
        return Stage.PARTLY_READY
    return next((stage for stage in _MOST_TELLING if stage in stages), Stage.READY)
