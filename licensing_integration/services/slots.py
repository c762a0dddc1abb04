"""Writing down what planning wants of each slot of an item, on the license links of that item."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.outcomes import FailureMode, LicenseState, SyncState
from licensing_integration.domain.planning import ItemPlan, SlotPlan
from licensing_integration.models import LicenseLink, PurchaseItem, WebhookEvent
from licensing_integration.services import leases
from licensing_integration.services.codec import to_json

_PLANNED_FIELDS = [
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
    changed = [links[slot.unit] for slot in known if _update(links[slot.unit], slot, event=event, now=now)]
    if changed:
        LicenseLink.objects.bulk_update(changed, _PLANNED_FIELDS, batch_size=200)
    created = [
        _new_link(row, slot, event=event, is_adoptable=plan.is_adoptable)
        for slot in plan.slots
        if slot.unit not in links
    ]
    LicenseLink.objects.bulk_create(created)
    return [link.pk for link in [*changed, *created] if link.sync_state == SyncState.PENDING]


def _update(link: LicenseLink, slot: SlotPlan, *, event: WebhookEvent | None, now: datetime) -> bool:
    """Write a slot's plan on its link; whether anything about it changed."""
    desired = to_json(slot.desired)
    if desired == link.desired:
        is_changed = (link.reason, link.question) != (slot.reason, slot.question)
        link.reason, link.question = slot.reason, slot.question
        return is_changed
    if link.unclear_attempts:
        link.applied = leases.in_doubt(link.applied, tried=link.desired, desired=desired)
    link.desired, link.reason, link.question = desired, slot.reason, slot.question
    link.cause, link.updated_at = event, now
    is_done = desired == link.applied and (bool(link.external_id) or not _makes_license(slot.desired))
    link.sync_state = SyncState.SETTLED if is_done else SyncState.PENDING
    link.failure_mode, link.failure_message = FailureMode.NONE, ""
    link.failing_since, link.retry_at = None, None
    return True


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
