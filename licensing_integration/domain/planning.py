"""Planning: from what we know of a purchase to what each license should look like. Pure; the clock is an argument."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from licensing_integration.domain.desired import ItemContext, desired_license, overridden
from licensing_integration.domain.facts import ItemFact
from licensing_integration.domain.items import expected_preparations
from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.outcomes import (
    DisputeAction,
    EndAction,
    LicenseState,
    OverdueAction,
    PauseAction,
    PurchaseKind,
    PurchaseStatus,
    QuantityMode,
    RefundAction,
)
from licensing_integration.domain.purchases import PurchaseState
from licensing_integration.domain.refunds import returned_quantity
from licensing_integration.domain.terms import Policies, Terms
from licensing_integration.domain.wording import format_day

# An activation usually comes in the same delivery as its order, which names the buyer; wait for it this long.
ORDER_WAIT = timedelta(hours=1)

_END_STATES = {
    EndAction.DELETE: LicenseState.ABSENT,
    EndAction.REVOKE: LicenseState.REVOKED,
    EndAction.SUSPEND: LicenseState.SUSPENDED,
    EndAction.LEAVE: LicenseState.ACTIVE,
}
_REFUND_STATES = {
    RefundAction.SUSPEND: LicenseState.SUSPENDED,
    RefundAction.REVOKE: LicenseState.REVOKED,
    RefundAction.DELETE: LicenseState.ABSENT,
    RefundAction.IGNORE: LicenseState.ACTIVE,
    RefundAction.ASK: LicenseState.ACTIVE,
}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Whether a purchase entitles to its licenses now. ``review_at``: when time alone will change the answer."""

    state: LicenseState
    reason: str
    review_at: datetime | None = None
    is_waiting: bool = False


@dataclass(frozen=True, kw_only=True)
class SlotPlan:
    """``reason``: why the license should be so, in words. ``question``: what a person has to decide, or empty."""

    unit: int
    desired: DesiredLicense
    reason: str
    question: str = ""


@dataclass(frozen=True, kw_only=True)
class ItemPlan:
    slots: tuple[SlotPlan, ...] = ()
    review_at: datetime | None = None
    returned_quantity: int = 0
    is_adoptable: bool = False
    waiting_reason: str = ""


def judge(state: PurchaseState, policies: Policies, *, first_seen_at: datetime, now: datetime) -> Standing:
    """What the purchase as a whole entitles to, refunds of single units aside."""
    if state.status is PurchaseStatus.UNKNOWN and state.is_prepared and state.is_confirmed:
        return Standing(
            state=LicenseState.ACTIVE, reason="The order is paid; of its subscription nothing else is known."
        )
    if state.status is PurchaseStatus.UNKNOWN:
        return Standing(state=LicenseState.ABSENT, reason="The order itself has not arrived yet.", is_waiting=True)
    if state.status is PurchaseStatus.PREPARED and state.prepared_at:
        return _judge_prepared(state.prepared_at, policies, now)
    if state.status in {PurchaseStatus.PENDING, PurchaseStatus.NOT_PAID}:
        # The buyer has the key of a prepared license, and the order may yet be paid: it is kept, but of no use.
        unpaid = LicenseState.SUSPENDED if state.is_prepared else LicenseState.ABSENT
        return Standing(state=unpaid, reason="The order is not paid.")
    if state.status is PurchaseStatus.ENDED and policies.ended_action is not EndAction.LEAVE:
        return Standing(state=_END_STATES[policies.ended_action], reason="The subscription has ended.")
    if state.is_waiting_for_payment:
        return Standing(
            state=LicenseState.ABSENT, reason="No payment for the subscription has arrived yet.", is_waiting=True
        )
    if not state.is_confirmed and not state.is_prepared and now < first_seen_at + ORDER_WAIT:
        return Standing(
            state=LicenseState.ABSENT,
            reason="Activated; waiting for its order.",
            review_at=first_seen_at + ORDER_WAIT,
            is_waiting=True,
        )
    if state.has_lost_dispute and policies.dispute_action is DisputeAction.SUSPEND:
        return Standing(state=LicenseState.REVOKED, reason="The buyer's bank took the payment back.")
    if state.has_open_dispute and policies.dispute_action is DisputeAction.SUSPEND:
        return Standing(state=LicenseState.SUSPENDED, reason="The payment is disputed by the buyer's bank.")
    if state.status is PurchaseStatus.PAUSED and policies.paused_action is PauseAction.SUSPEND:
        return Standing(state=LicenseState.SUSPENDED, reason="The subscription is paused.")
    if state.status is PurchaseStatus.UNPAID and policies.overdue_action is OverdueAction.SUSPEND:
        return Standing(state=LicenseState.SUSPENDED, reason="The store has given up collecting the payment.")
    if state.status is PurchaseStatus.OVERDUE and policies.overdue_action is OverdueAction.SUSPEND:
        return _judge_overdue(state, policies, now)
    return Standing(state=LicenseState.ACTIVE, reason=_active_reason(state))


def plan_item(
    state: PurchaseState, item: ItemFact, context: ItemContext, *, first_seen_at: datetime, now: datetime
) -> ItemPlan:
    """The wanted state of every slot of one item, existing or to be made.

    A slot that was never made is left out when it is to be absent or its subscription has ended, except when there may
    be a license of somebody else's making to take away.
    """
    standing = judge(state, context.policies, first_seen_at=first_seen_at, now=now)
    expected = expected_preparations(state).get(item.line) if state.prepared else None
    if expected and (standing.is_waiting or standing.state is LicenseState.ACTIVE):
        # Also an add-on's, whose subscription is in order while its own order has not come.
        standing = _judge_prepared(expected.asked_at, context.policies, now)
    if standing.is_waiting:
        return ItemPlan(review_at=standing.review_at, waiting_reason=standing.reason)
    returned = returned_quantity(state, item)
    wanted = _units_wanted(item, context.terms)
    last_unit = max([wanted, *context.existing])
    slots = [
        _plan_slot(state, item, context, standing, unit=unit, wanted=wanted, returned=returned, now=now)
        for unit in range(1, last_unit + 1)
    ]
    return ItemPlan(
        slots=tuple(slot for slot in slots if slot.unit in context.existing or _is_worth_making(slot, state, context)),
        review_at=_earliest(standing.review_at, *_override_ends(context, now)),
        returned_quantity=returned,
        is_adoptable=context.is_adoptable,
    )


def _is_worth_making(slot: SlotPlan, state: PurchaseState, context: ItemContext) -> bool:
    if state.status is PurchaseStatus.ENDED:
        return context.is_adoptable and slot.desired.state is not LicenseState.ACTIVE
    return slot.desired.state is not LicenseState.ABSENT


def _judge_prepared(asked_at: datetime, policies: Policies, now: datetime) -> Standing:
    """From the first time the store asked: a buyer who lets it ask again does not get more time."""
    patience_ends = asked_at + timedelta(hours=policies.prepared_hours)
    if now >= patience_ends:
        return Standing(state=LicenseState.SUSPENDED, reason="The order was never completed.")
    return Standing(
        state=LicenseState.ACTIVE,
        reason="The key was given out on the order page; the order is not completed yet.",
        review_at=patience_ends,
    )


def _judge_overdue(state: PurchaseState, policies: Policies, now: datetime) -> Standing:
    since = state.grace_began_at or (state.version.occurred_at if state.version else now)
    grace_ends = since + timedelta(days=policies.overdue_grace_days)
    # Without grace the notice itself decides: the store's clock may run ahead of ours.
    if policies.overdue_grace_days == 0 or now >= grace_ends:
        return Standing(state=LicenseState.SUSPENDED, reason=f"The payment is overdue since {format_day(since)}.")
    return Standing(
        state=LicenseState.ACTIVE,
        reason=f"The payment is overdue since {format_day(since)}; usable until {format_day(grace_ends)}.",
        review_at=grace_ends,
    )


def _active_reason(state: PurchaseState) -> str:
    if state.kind is PurchaseKind.ORDER:
        return "The order is paid."
    paid_through = state.paid_through
    until = f" until {format_day(paid_through)}" if paid_through else ""
    words = {
        PurchaseStatus.TRIAL: f"On trial{until}.",
        PurchaseStatus.CANCELED: f"Canceled; paid{until}.",
        PurchaseStatus.OVERDUE: "The payment is overdue; the policy says only to log it.",
        PurchaseStatus.UNPAID: "The store has given up collecting the payment; the policy says only to log it.",
        PurchaseStatus.PAUSED: "Paused; the policy says to ignore it.",
        PurchaseStatus.ENDED: "The subscription has ended; the policy says to let the license run out.",
    }
    return words.get(state.status, f"Paid{until}.")


def _units_wanted(item: ItemFact, terms: Terms) -> int:
    if terms.quantity_mode is QuantityMode.PER_UNIT:
        return item.quantity
    return min(1, item.quantity)


def _plan_slot(
    state: PurchaseState,
    item: ItemFact,
    context: ItemContext,
    standing: Standing,
    *,
    unit: int,
    wanted: int,
    returned: int,
    now: datetime,
) -> SlotPlan:
    license_state, reason, question = standing.state, standing.reason, ""
    if unit > wanted:
        license_state = _END_STATES[context.policies.ended_action]
        reason = _why_superfluous(item, context, unit=unit)
    elif license_state is LicenseState.ACTIVE and _is_refunded(context.terms, item, unit, returned):
        license_state = _REFUND_STATES[context.policies.refund_action]
        reason = "It was refunded."
        if context.policies.refund_action is RefundAction.IGNORE:
            reason = "It was refunded; the policy says to leave the license as it is."
        if context.policies.refund_action is RefundAction.ASK:
            question = (
                "This license was refunded. Decide, and override it: as active to keep it, or as suspended or revoked."
            )
    desired = desired_license(state, item, context, license_state=license_state, returned=returned)
    if unit > wanted or state.status is PurchaseStatus.ENDED:
        desired = replace(desired, is_issuable=False)
    override = context.existing.get(unit)
    if override and now < override.until:
        desired, question = overridden(desired, override), ""
        reason = f"Set by staff until {format_day(override.until)}."
    return SlotPlan(unit=unit, desired=desired, reason=reason, question=question)


def _why_superfluous(item: ItemFact, context: ItemContext, *, unit: int) -> str:
    if not context.is_license_needed:
        return "The product needs no license of its own."
    if unit <= item.quantity:
        return "One license stands for all units."
    return f"The quantity is now {item.quantity}; this unit is no longer paid for."


def _is_refunded(terms: Terms, item: ItemFact, unit: int, returned: int) -> bool:
    if terms.quantity_mode is QuantityMode.PER_UNIT:
        return unit > item.quantity - returned
    return 0 < item.quantity <= returned


def _override_ends(context: ItemContext, now: datetime) -> list[datetime]:
    return [override.until for override in context.existing.values() if override and override.until > now]


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment), default=None)
