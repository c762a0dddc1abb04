"""Writing down what planning wants of each slot of an item, on the license links of that item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from django.db.models import Q

from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.outcomes import FailureMode, LicenseState, SyncState
from licensing_integration.domain.planning import ItemPlan, SlotPlan
from licensing_integration.models import LicenseLink, Purchase, PurchaseItem, WebhookEvent
from licensing_integration.services import leases
from licensing_integration.services.codec import to_json

# A mapping saved while an item is being planned does not see that it waits, and one saved while a license is being
# tried does not count for it; so the purchase looks for it once more.
MAPPING_RACE = timedelta(minutes=1)

_PLANNED_FIELDS = [
    "server",
    "is_adoptable",
    "desired",
    "applied",
    "reason",
    "question",
    "cause",
    "sync_state",
    "failure_mode",
    "failure_message",
    "failing_since",
    "retry_at",
    "updated_at",
]


def are_terms_pinned(links: Iterable[LicenseLink]) -> bool:
    """Whether there is, or was, a license by the terms of the item with these locked ``links``; or may be: an attempt
    is noted as unclear before its first call, and so is one that is under way."""
    return any(_may_have_license(link) or link.issued_at for link in links)


def plan_once_more(link: LicenseLink, *, now: datetime) -> None:
    """Look once more for a mapping that was corrected while the license of ``link`` was being tried."""
    review_at = now + MAPPING_RACE
    is_later = Q(review_at__isnull=True) | Q(review_at__gt=review_at)
    Purchase.objects.filter(is_later, pk=link.purchase_id).update(review_at=review_at)


def is_refused(link: LicenseLink) -> bool:
    """Whether the license could not be made and a person has to mend something first."""
    return link.sync_state == SyncState.ATTENTION and not _may_have_license(link)


def _may_have_license(link: LicenseLink) -> bool:
    return bool(link.external_id or link.unclear_attempts)


def write_slots(
    row: PurchaseItem,
    plan: ItemPlan,
    links: Mapping[int, LicenseLink],
    *,
    event: WebhookEvent | None,
    now: datetime,
) -> list[int]:
    """Bring the locked ``links`` of an item (unit → link) up to its plan and make the missing ones.

    Returns the ids of the links of which something is to be done now, in the order of their units.
    """
    known = [slot for slot in plan.slots if slot.unit in links]
    changed = [
        links[slot.unit]
        for slot in known
        if _update(links[slot.unit], slot, event=event, is_adoptable=plan.is_adoptable, now=now)
    ]
    if changed:
        LicenseLink.objects.bulk_update(changed, _PLANNED_FIELDS, batch_size=200)
    created = [
        _new_link(row, slot, event=event, is_adoptable=plan.is_adoptable)
        for slot in plan.slots
        if slot.unit not in links
    ]
    LicenseLink.objects.bulk_create(created)
    return [link.pk for link in [*changed, *created] if link.sync_state == SyncState.PENDING]


def _update(
    link: LicenseLink, slot: SlotPlan, *, event: WebhookEvent | None, is_adoptable: bool, now: datetime
) -> bool:
    """Write a slot's plan on its link; whether anything about it changed."""
    is_empty = not _may_have_license(link)
    desired = to_json(_without_ghost(slot.desired) if is_empty and not link.is_adoptable else slot.desired)
    if desired == link.desired:
        is_changed = (link.reason, link.question) != (slot.reason, slot.question)
        link.reason, link.question = slot.reason, slot.question
        return is_changed
    if link.unclear_attempts:
        link.applied = leases.in_doubt(link.applied, tried=link.desired, desired=desired)
    link.desired, link.reason, link.question = desired, slot.reason, slot.question
    link.cause, link.updated_at = event, now
    if is_empty and link.server != slot.desired.server:
        link.server, link.is_adoptable = slot.desired.server, link.is_adoptable or is_adoptable
    is_done = desired == link.applied and (bool(link.external_id) or not _makes_license(slot.desired))
    link.sync_state = SyncState.SETTLED if is_done else SyncState.PENDING
    link.failure_mode, link.failure_message = FailureMode.NONE, ""
    link.failing_since, link.retry_at = None, None
    return True


def _without_ghost(desired: DesiredLicense) -> DesiredLicense:
    """A slot that was never filled and must not be any more is not waited for: it is to be absent."""
    return desired if desired.is_issuable else replace(desired, state=LicenseState.ABSENT)


def _makes_license(desired: DesiredLicense) -> bool:
    return desired.is_issuable and desired.state is not LicenseState.ABSENT


def _new_link(row: PurchaseItem, slot: SlotPlan, *, event: WebhookEvent | None, is_adoptable: bool) -> LicenseLink:
    purchase = row.purchase
    return LicenseLink(
        item=row,
        purchase=purchase,
        unit=slot.unit,
        reference=f"{purchase.store}/{purchase.kind}/{purchase.external_id}/{row.line}/{slot.unit}",
        server=slot.desired.server,
        desired=to_json(slot.desired),
        reason=slot.reason,
        question=slot.question,
        cause=event,
        is_adoptable=is_adoptable,
    )
