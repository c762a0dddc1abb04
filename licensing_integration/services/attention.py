"""What needs attention, and why: failures first, what only looks odd last. Each condition is indexed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from django.db import connection
from django.db.models import Case, DateTimeField, F, Model, Q, QuerySet, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce

from licensing_integration.domain.outcomes import UNPROCESSABLE, EventState, FailureMode, LicenseState, SyncState
from licensing_integration.models import LicenseLink, Purchase, PurchaseItem, RejectedDelivery, WebhookEvent
from licensing_integration.services import rejections

# Counting stops here: whether 100 or 90 000 rows wait makes no difference to what a person does next.
MOST_COUNTED = 100
MOST_PRODUCTS = 20

# A license takes seconds. What takes longer is waiting for something.
UNLICENSED_AFTER: Final = timedelta(minutes=5)
BACKLOG_AFTER: Final = timedelta(minutes=1)
OVERRIDE_ENDS_WITHIN: Final = timedelta(days=7)

# Waiting for a person, or trying again by itself although only a person can mend it (rejected credentials).
_UNSETTLED = Q(sync_state=SyncState.ATTENTION) | Q(sync_state=SyncState.PENDING)

Condition = Callable[[datetime], Q]


class Topic(StrEnum):
    """What the concerns are about, as headings, in the order in which people should look at them."""

    FAILED = "Failed"
    WAITING = "Waiting for a product mapping"
    UNLICENSED = "Paid without a license"
    APPROVAL = "Waiting for a decision"
    OVERRIDE = "Overrides ending"
    SILENCE = "Silent stores"
    BACKLOG = "Backlog"


@dataclass(frozen=True, kw_only=True)
class Concern:
    """One reason why rows of ``model`` want to be looked at. ``advice``: what a person does about it. ``condition``:
    which rows, at a given time. ``moment``: since or until when, the field or expression whose earliest value tells;
    ``order``: the field by which that row comes first."""

    slug: str
    topic: Topic
    label: str
    advice: str
    model: type[Model]
    condition: Condition
    moment: Combinable = Cast(Value(None), DateTimeField())  # noqa: RUF009 - an expression is never changed
    order: str = ""

    def rows(self, now: datetime) -> QuerySet[Model]:
        """The rows concerned."""
        return self.model._default_manager.filter(self.condition(now))


@dataclass(frozen=True, kw_only=True)
class Capped:
    """A number that is at most ``MOST_COUNTED``; with ``is_capped`` there are more."""

    number: int
    is_capped: bool

    def __str__(self) -> str:
        return f"{self.number}+" if self.is_capped else str(self.number)


@dataclass(frozen=True, kw_only=True)
class Count(Capped):
    """How many rows a concern has. ``moment``: the earliest of them."""

    concern: Concern
    moment: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class WaitingProduct(Capped):
    """A store product without a mapping that fits, and how many purchases wait for one. ``mapping_id``: the mapping it
    has nevertheless, which may be switched off or leave something open."""

    store: str
    product: str
    mapping_id: int | None = None
    is_mapping_active: bool = False


def _always(condition: Q) -> Condition:
    return lambda now: condition


def waits_for_a_mapping(store: str = "", product: str = "") -> Q:
    """Purchases with an item that waits; with ``product`` those of this store product, or variant of one."""
    items = PurchaseItem.objects.exclude(problem="").order_by()
    if product:
        items = items.filter(Q(product=product) | Q(variant=product), store=store)
    return Q(pk__in=items.values("purchase_id"))


def _is_unlicensed(now: datetime) -> Q:
    return _UNSETTLED & Q(external_id="", desired__state=LicenseState.ACTIVE, created_at__lt=now - UNLICENSED_AFTER)


def _override_ends(now: datetime) -> Q:
    return Q(override_until__gt=now, override_until__lte=now + OVERRIDE_ENDS_WITHIN)


def _event_waits(now: datetime) -> Q:
    return Q(state=EventState.RECEIVED, received_at__lt=now - BACKLOG_AFTER)


def _event_waits_since() -> Combinable:
    """Unknown of what was looked at before and replayed: nothing on the event says when that was."""
    is_new = When(processed_at__isnull=True, then=F("received_at"))
    return Coalesce(F("failing_since"), Case(is_new, output_field=DateTimeField()))


def _link_waits(now: datetime) -> Q:
    limit = now - BACKLOG_AFTER
    is_old = Q(failing_since__lt=limit) | Q(failing_since__isnull=True, updated_at__lt=limit)
    return is_old & Q(sync_state=SyncState.PENDING)


def _stopped(mode: FailureMode) -> Condition:
    return _always(_UNSETTLED & Q(failure_mode=mode))


CONCERNS = (
    Concern(
        slug="failed",
        topic=Topic.FAILED,
        label="Webhook events failed",
        advice="We could not process them. Read the problem, mend its cause, then replay; or set them aside.",
        model=WebhookEvent,
        condition=_always(Q(state=EventState.FAILED)),
        moment=F("received_at"),
    ),
    Concern(
        slug="config",
        topic=Topic.FAILED,
        label="Licenses stopped by the configuration",
        advice="Correct the credentials, the mapping or the store attribute, then resync.",
        model=LicenseLink,
        condition=_stopped(FailureMode.CONFIG),
        moment=F("failing_since"),
    ),
    Concern(
        slug="permanent",
        topic=Topic.FAILED,
        label="Licenses refused by the license server",
        advice="The license server's own sentence says why. Mend the cause, then resync. 'Issue again' is only for a "
        "license that was issued and then deleted there.",
        model=LicenseLink,
        condition=_stopped(FailureMode.PERMANENT),
        moment=F("failing_since"),
    ),
    Concern(
        slug="exceeded",
        topic=Topic.FAILED,
        label="Licenses given up after three days",
        advice="The license server failed for too long; the sentence says how it failed last. Once it works again, "
        "resync.",
        model=LicenseLink,
        condition=_stopped(FailureMode.EXCEEDED),
        moment=F("failing_since"),
    ),
    Concern(
        slug="internal",
        topic=Topic.FAILED,
        label="Licenses stopped by an error of ours",
        advice="The log has the details. Resync after an update.",
        model=LicenseLink,
        condition=_stopped(FailureMode.INTERNAL),
        moment=F("failing_since"),
    ),
    Concern(
        slug="malformed",
        topic=Topic.FAILED,
        label="Webhook events cannot be read",
        advice="Compare the payload with the store's dashboard; replay after an update, or set them aside.",
        model=WebhookEvent,
        condition=_always(Q(state=EventState.MALFORMED)),
        moment=F("received_at"),
    ),
    Concern(
        slug="unsupported",
        topic=Topic.FAILED,
        label="Webhook events of an unknown type",
        advice="Switch the type off in the store and set them aside, or replay them after an update.",
        model=WebhookEvent,
        condition=_always(Q(state=EventState.UNSUPPORTED)),
        moment=F("received_at"),
    ),
    Concern(
        slug="waiting",
        topic=Topic.WAITING,
        label="Purchases wait for a product mapping",
        advice="Add or correct the product mapping; they go on by themselves.",
        model=Purchase,
        condition=_always(waits_for_a_mapping()),
    ),
    Concern(
        slug="unlicensed",
        topic=Topic.UNLICENSED,
        label="Paid for, but there is no license yet",
        advice="Open them: the timeline says what each waits for.",
        model=LicenseLink,
        condition=_is_unlicensed,
        moment=F("created_at"),
    ),
    Concern(
        slug="question",
        topic=Topic.APPROVAL,
        label="Licenses with a question",
        advice="Only a person can decide. Read the question, then override the license: as active to keep it.",
        model=LicenseLink,
        condition=_always(~Q(question="")),
    ),
    Concern(
        slug="note",
        topic=Topic.APPROVAL,
        label="Purchases with a note for a person",
        advice="Read the note, do what it says, then acknowledge it.",
        model=Purchase,
        condition=_always(~Q(attention="")),
    ),
    Concern(
        slug="override",
        topic=Topic.OVERRIDE,
        label="Overrides end within a week",
        advice="Then the plan wins again. Where that would be wrong, override anew.",
        model=LicenseLink,
        condition=_override_ends,
        moment=F("override_until"),
        order="override_until",
    ),
    Concern(
        slug="backlog",
        topic=Topic.BACKLOG,
        label="Webhook events wait to be worked on",
        advice="See whether a worker is running. What could not be fetched from the store is tried again by itself.",
        model=WebhookEvent,
        condition=_event_waits,
        moment=_event_waits_since(),
        order="pk",
    ),
    Concern(
        slug="backlog",
        topic=Topic.BACKLOG,
        label="Licenses wait to be worked on",
        advice="See whether a worker is running and the license server answers. They are tried again by themselves.",
        model=LicenseLink,
        condition=_link_waits,
        moment=Coalesce(F("failing_since"), F("updated_at")),
        order="pk",
    ),
)


def concerns_of(model: type[Model]) -> tuple[Concern, ...]:
    """The concerns of one model."""
    return tuple(concern for concern in CONCERNS if concern.model is model)


def events_needing_attention() -> Q:
    """Events nobody could act on."""
    return Q(state__in=UNPROCESSABLE)


def purchases_needing_attention() -> Q:
    """Purchases with a note, or with an item that waits. A union of ids: ``OR`` would read the whole table."""
    noted = Purchase.objects.exclude(attention="").order_by().values("pk")
    waiting = PurchaseItem.objects.exclude(problem="").order_by().values("purchase_id")
    return Q(pk__in=noted.union(waiting))


def links_needing_attention() -> Q:
    """Licenses that are stopped, that fail for a reason only a person can mend, or that ask a question."""
    is_failing = Q(sync_state=SyncState.PENDING) & ~Q(failure_mode=FailureMode.NONE)
    return Q(sync_state=SyncState.ATTENTION) | ~Q(question="") | is_failing


def summarize(concerns: Sequence[Concern], *, now: datetime) -> list[Count]:
    """A capped count for each concern: one query, in which each reads a few rows by its own index."""
    if not concerns:
        return []
    parts: list[str] = []
    arguments: list[Any] = []
    for position, concern in enumerate(concerns):
        order = [concern.order] if concern.order else []
        few = concern.rows(now).order_by(*order).values_list("pk", concern.moment)[: MOST_COUNTED + 1]
        sql, own = few.query.sql_with_params()
        # The number and the text are ours, and whatever comes from elsewhere is among the arguments.
        parts.append(f"SELECT {position}, count(*), min(moment) FROM ({sql}) AS few (id, moment)")  # noqa: S608
        arguments += own
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), arguments)
        found = {position: (number, moment) for position, number, moment in cursor.fetchall()}
    return [_count(concern, *found[position]) for position, concern in enumerate(concerns)]


def _count(concern: Concern, found: int, moment: datetime | None) -> Count:
    is_capped = found > MOST_COUNTED
    # Of some among many rows, the earliest tells nothing, unless they were read in that order.
    is_known = concern.order or not is_capped
    return Count(
        concern=concern,
        number=min(found, MOST_COUNTED),
        is_capped=is_capped,
        moment=moment if is_known else None,
    )


# From product to product by the index, not from row to row: a forgotten product may have any number of orders.
_WAITING_PRODUCTS = """
WITH RECURSIVE waiting AS (
    (SELECT store, product FROM licensing_integration_purchaseitem
      WHERE problem <> '' ORDER BY store, product LIMIT 1)
    UNION ALL
    SELECT following.store, following.product
      FROM waiting, LATERAL (
           SELECT item.store, item.product FROM licensing_integration_purchaseitem item
            WHERE item.problem <> '' AND (item.store, item.product) > (waiting.store, waiting.product)
            ORDER BY item.store, item.product LIMIT 1) following
)
SELECT waiting.store, waiting.product, few.purchases, few.rows, mapping.id, coalesce(mapping.is_active, false)
  FROM (SELECT store, product FROM waiting LIMIT %(products)s) waiting CROSS JOIN LATERAL (
       SELECT count(DISTINCT purchase_id) AS purchases, count(*) AS rows
         FROM (SELECT item.purchase_id FROM licensing_integration_purchaseitem item
                WHERE item.problem <> '' AND item.store = waiting.store AND item.product = waiting.product
                LIMIT %(rows)s) items) few
  LEFT JOIN licensing_integration_productmapping mapping
         ON mapping.store = waiting.store AND mapping.store_product = waiting.product
 ORDER BY few.purchases DESC, waiting.store, waiting.product
"""


def waiting_products() -> list[WaitingProduct]:
    """Store products whose purchases wait for a mapping, most purchases first; one query. Only the first by name are
    looked at, one more than ``MOST_PRODUCTS``, so that it shows whether there are more."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING_PRODUCTS, {"products": MOST_PRODUCTS + 1, "rows": MOST_COUNTED + 1})
        return [
            WaitingProduct(
                store=store,
                product=product,
                number=min(number, MOST_COUNTED),
                is_capped=rows > MOST_COUNTED,
                mapping_id=mapping_id,
                is_mapping_active=is_active,
            )
            for store, product, number, rows, mapping_id, is_active in cursor.fetchall()
        ]


def refused_deliveries(*, now: datetime) -> list[Count]:
    """Deliveries of the stores and reasons with one refused in the last 24 hours, counted since the day without any
    before them; one query."""
    return [_refused(row) for row in rejections.recent(now=now)]


def _refused(row: RejectedDelivery) -> Count:
    explanation = rejections.explain(row)
    concern = Concern(
        slug=row.reason,
        topic=Topic.FAILED,
        label=f"Deliveries of {row.store} refused: {explanation.meaning}",
        advice=explanation.advice,
        model=RejectedDelivery,
        condition=_always(Q(pk=row.pk)),
    )
    return Count(
        concern=concern,
        number=min(row.count, MOST_COUNTED),
        is_capped=row.count > MOST_COUNTED,
        moment=row.first_at,
    )
