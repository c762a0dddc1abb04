"""What waits for a person, and why: failed events, waiting purchases, stopped licenses. Each condition is indexed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Model, Q, QuerySet

from licensing_integration.domain.outcomes import EventState, FailureMode, SyncState
from licensing_integration.models import LicenseLink, Purchase, PurchaseItem, RejectedDelivery, WebhookEvent
from licensing_integration.services import rejections

# Counting stops here: whether 100 or 90 000 rows wait makes no difference to what a person does next.
MOST_COUNTED = 100

# Waiting for a person, or trying again by itself although only a person can mend it (rejected credentials).
_UNSETTLED = Q(sync_state=SyncState.ATTENTION) | Q(sync_state=SyncState.PENDING)


@dataclass(frozen=True, kw_only=True)
class Concern:
    """One reason why rows of ``model`` wait for a person. ``advice``: what that person does."""

    slug: str
    label: str
    advice: str
    model: type[Model]
    condition: Q

    def rows(self) -> QuerySet[Model]:
        """The rows concerned."""
        return self.model._default_manager.filter(self.condition)


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many rows a concern has; ``number`` is at most ``MOST_COUNTED``."""

    concern: Concern
    number: int
    is_capped: bool

    def __str__(self) -> str:
        return f"{self.number}+" if self.is_capped else str(self.number)


_WAITING_ITEMS = PurchaseItem.objects.exclude(problem="").order_by()

EVENT_CONCERNS = (
    Concern(
        slug="failed",
        label="Failed",
        advice="We could not process them. Read the problem, mend its cause, then replay.",
        model=WebhookEvent,
        condition=Q(state=EventState.FAILED),
    ),
    Concern(
        slug="malformed",
        label="Malformed",
        advice="They cannot be read. Compare the payload with the store's dashboard; replay after an update.",
        model=WebhookEvent,
        condition=Q(state=EventState.MALFORMED),
    ),
    Concern(
        slug="unsupported",
        label="Unsupported",
        advice="Of a type nobody declared. Switch the type off in the store, or replay after an update.",
        model=WebhookEvent,
        condition=Q(state=EventState.UNSUPPORTED),
    ),
)
PURCHASE_CONCERNS = (
    Concern(
        slug="waiting",
        label="Waiting for a product mapping",
        advice="Paid for, but without a license. Add or correct the product mapping; they go on by themselves.",
        model=Purchase,
        condition=Q(pk__in=_WAITING_ITEMS.values("purchase_id")),
    ),
    Concern(
        slug="note",
        label="With a note for a person",
        advice="Read the note, do what it says, then acknowledge it.",
        model=Purchase,
        condition=~Q(attention=""),
    ),
)
LICENSE_CONCERNS = (
    Concern(
        slug="config",
        label="Stopped by the configuration",
        advice="Correct the credentials, the mapping or the store attribute, then resync.",
        model=LicenseLink,
        condition=_UNSETTLED & Q(failure_mode=FailureMode.CONFIG),
    ),
    Concern(
        slug="permanent",
        label="Refused by the license server",
        advice="Its sentence says why. Mend the cause, then resync; if the license was deleted there, issue again.",
        model=LicenseLink,
        condition=_UNSETTLED & Q(failure_mode=FailureMode.PERMANENT),
    ),
    Concern(
        slug="exceeded",
        label="Given up after three days",
        advice="The license server did not answer for too long. Once it does, resync.",
        model=LicenseLink,
        condition=_UNSETTLED & Q(failure_mode=FailureMode.EXCEEDED),
    ),
    Concern(
        slug="internal",
        label="Stopped by an error of ours",
        advice="The log has the details. Resync after an update.",
        model=LicenseLink,
        condition=_UNSETTLED & Q(failure_mode=FailureMode.INTERNAL),
    ),
    Concern(
        slug="question",
        label="With a question",
        advice="Only a person can decide. Read the question, then override the license or leave it.",
        model=LicenseLink,
        condition=~Q(question=""),
    ),
)


def concerns_of(model: type[Model]) -> tuple[Concern, ...]:
    """The concerns of one model."""
    return tuple(c for c in (*PURCHASE_CONCERNS, *LICENSE_CONCERNS, *EVENT_CONCERNS) if c.model is model)


def events_needing_attention() -> Q:
    """Events nobody could act on."""
    return Q(state__in=[EventState.FAILED, EventState.MALFORMED, EventState.UNSUPPORTED])


def purchases_needing_attention() -> Q:
    """Purchases with a note, or with an item that waits. A union of ids: ``OR`` would read the whole table."""
    noted = Purchase.objects.exclude(attention="").order_by().values("pk")
    return Q(pk__in=noted.union(_WAITING_ITEMS.values("purchase_id")))


def links_needing_attention() -> Q:
    """Licenses that are stopped, that fail for a reason only a person can mend, or that ask a question."""
    is_failing = Q(sync_state=SyncState.PENDING) & ~Q(failure_mode=FailureMode.NONE)
    return Q(sync_state=SyncState.ATTENTION) | ~Q(question="") | is_failing


def summarize(concerns: Sequence[Concern]) -> list[Count]:
    """A capped count for each concern; one small query each."""
    return [_count(concern) for concern in concerns]


def refused_deliveries() -> list[Count]:
    """Deliveries refused in the last 24 hours, for each store and reason; one query."""
    return [_refused(row) for row in rejections.recent()]


def _refused(row: RejectedDelivery) -> Count:
    explanation = rejections.explain(row)
    concern = Concern(
        slug=row.reason,
        label=f"Refused in the last 24 hours: {explanation.meaning} ({row.store})",
        advice=explanation.advice,
        model=RejectedDelivery,
        condition=Q(pk=row.pk),
    )
    return Count(concern=concern, number=min(row.count, MOST_COUNTED), is_capped=row.count > MOST_COUNTED)


def _count(concern: Concern) -> Count:
    found = concern.rows().order_by()[: MOST_COUNTED + 1].count()
    return Count(concern=concern, number=min(found, MOST_COUNTED), is_capped=found > MOST_COUNTED)
