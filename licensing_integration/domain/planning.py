"""Planning: from what we know of a purchase to what each license should look like. Pure; the clock is an argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from licensing_integration.domain.facts import Customer, ItemFact
from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.outcomes import (
    DisputeAction,
    EndAction,
    ExpiryMode,
    LicenseState,
    OverdueAction,
    PauseAction,
    PurchaseKind,
    PurchaseStatus,
    QuantityMode,
    RefundAction,
)
from licensing_integration.domain.purchases import MAIN_LINE, PurchaseState, Return
from licensing_integration.domain.terms import Policies, Terms

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
class Override:
    """A staff decision that wins over the plan until ``until``. ``None`` fields leave the plan's value."""

    until: datetime
    state: LicenseState | None = None
    expires_at: datetime | None = None


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


@dataclass(frozen=True, kw_only=True)
class ItemContext:
    """Everything besides the purchase that planning an item needs.

    ``existing``: unit → its override, for the slots that exist already. ``is_adoptable``: licenses may exist that we
    did not make. ``vendor_metadata``: what the vendor's own integration would write on the license to find it again;
    ``metadata``: what else it would write.
    """

    terms: Terms
    policies: Policies
    existing: Mapping[int, Override | None] = field(default_factory=dict)
    is_adoptable: bool = False
    vendor_metadata: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


def items_of(state: PurchaseState) -> Mapping[str, ItemFact]:
    """The items of a purchase by line; a subscription's own product is the line ``main``."""
    if state.kind is PurchaseKind.ORDER or state.subscription is None:
        return state.items
    subscription = state.subscription
    main = ItemFact(
        line=MAIN_LINE,
        product=subscription.product,
        quantity=subscription.quantity,
        display=subscription.display,
        attributes=subscription.attributes,
        order_id=state.initial_order_id,
    )
    return {MAIN_LINE: main, **state.items}


def judge(state: PurchaseState, policies: Policies, *, first_seen_at: datetime, now: datetime) -> Standing:
    """What the purchase as a whole entitles to, refunds of single units aside."""
    if state.status is PurchaseStatus.UNKNOWN:
        return Standing(state=LicenseState.ABSENT, reason="The order itself has not arrived yet.", is_waiting=True)
    if state.status in {PurchaseStatus.PENDING, PurchaseStatus.NOT_PAID}:
        return Standing(state=LicenseState.ABSENT, reason="The order is not paid.")
    if state.status is PurchaseStatus.ENDED and policies.ended_action is not EndAction.LEAVE:
        return Standing(state=_END_STATES[policies.ended_action], reason="The subscription has ended.")
    if not state.is_confirmed and now < first_seen_at + ORDER_WAIT:
        return Standing(
            state=LicenseState.ABSENT,
            reason="Activated; waiting for its order.",
            review_at=first_seen_at + ORDER_WAIT,
            is_waiting=True,
        )
    if state.has_open_dispute and policies.dispute_action is DisputeAction.SUSPEND:
        return Standing(state=LicenseState.SUSPENDED, reason="The payment is disputed by the buyer's bank.")
    if state.status is PurchaseStatus.PAUSED and policies.paused_action is PauseAction.SUSPEND:
        return Standing(state=LicenseState.SUSPENDED, reason="The subscription is paused.")
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


def returned_quantity(state: PurchaseState, item: ItemFact) -> int:
    """How many units of ``item`` were refunded. Of a subscription only the current period's refund counts: a later
    charge pays for the licenses again, those of the add-ons bought with it included."""
    order_id = _paying_order_id(state, item)
    alike = [other for other in items_of(state).values() if other.product == item.product]
    lines = sorted((i for i in alike if _paying_order_id(state, i) == order_id), key=lambda i: (len(i.line), i.line))
    refunds = [refund for refund in state.returns.values() if refund.order_id == order_id]
    # A refund names products, not lines: where a product stands on several lines, the last line gives back first.
    elsewhere = sum(other.quantity for other in lines[lines.index(item) + 1 :]) if len(lines) > 1 else 0
    returned = sum(_returned_units(refund, item, lines, state.subscription_id) for refund in refunds)
    return min(item.quantity, max(0, returned - elsewhere))


def _paying_order_id(state: PurchaseState, item: ItemFact) -> str:
    is_renewed = item.line == MAIN_LINE or item.order_id in {"", state.initial_order_id}
    return state.current_order_id if is_renewed else item.order_id


def _returned_units(refund: Return, item: ItemFact, lines: Sequence[ItemFact], subscription_id: str) -> int:
    """Units of ``item``'s product that a refund gave back, on all its ``lines`` together."""
    bought = sum(line.quantity for line in lines)
    if refund.is_whole_order:
        return bought
    returned = [r for r in refund.lines if r.product == item.product and r.subscription_id in {"", subscription_id}]
    if len(lines) == 1 and any(line.is_full for line in returned):
        return bought
    return sum(r.quantity for r in returned if r.is_full or not _is_money_only(r.amount, r.quantity, item))


def _is_money_only(amount: float | None, quantity: int, item: ItemFact) -> bool:
    """A goodwill amount below the price of the units it names takes no unit back."""
    if amount is None or not item.subtotal or item.quantity < 1:
        return False
    return amount < 0.99 * quantity * item.subtotal / item.quantity


def _judge_overdue(state: PurchaseState, policies: Policies, now: datetime) -> Standing:
    since = state.overdue_since or (state.version.occurred_at if state.version else now)
    grace_ends = since + timedelta(days=policies.overdue_grace_days)
    # Without grace the notice itself decides: the store's clock may run ahead of ours.
    if policies.overdue_grace_days == 0 or now >= grace_ends:
        return Standing(state=LicenseState.SUSPENDED, reason=f"The payment is overdue since {_day(since)}.")
    return Standing(
        state=LicenseState.ACTIVE,
        reason=f"The payment is overdue since {_day(since)}; usable until {_day(grace_ends)}.",
        review_at=grace_ends,
    )


def _active_reason(state: PurchaseState) -> str:
    subscription = state.subscription
    if state.kind is PurchaseKind.ORDER or subscription is None:
        return "The order is paid."
    until = f" until {_day(subscription.paid_through)}" if subscription.paid_through else ""
    words = {
        PurchaseStatus.TRIAL: f"On trial{until}.",
        PurchaseStatus.CANCELED: f"Canceled; paid{until}.",
        PurchaseStatus.OVERDUE: "The payment is overdue; the policy says only to log it.",
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
        reason = f"The quantity is now {item.quantity}; this unit is no longer paid for."
    elif license_state is LicenseState.ACTIVE and _is_refunded(context.terms, item, unit, returned):
        license_state = _REFUND_STATES[context.policies.refund_action]
        reason = "It was refunded."
        if context.policies.refund_action is RefundAction.ASK:
            question = "This license was refunded. Decide: keep it, or override it as suspended or revoked."
    desired = _desired(state, item, context, license_state=license_state, returned=returned)
    if unit > wanted or state.status is PurchaseStatus.ENDED:
        desired = replace(desired, is_issuable=False)
    override = context.existing.get(unit)
    if override and now < override.until:
        desired, reason, question = _overridden(desired, override), f"Set by staff until {_day(override.until)}.", ""
    return SlotPlan(unit=unit, desired=desired, reason=reason, question=question)


def _is_refunded(terms: Terms, item: ItemFact, unit: int, returned: int) -> bool:
    if terms.quantity_mode is QuantityMode.PER_UNIT:
        return unit > item.quantity - returned
    return 0 < item.quantity <= returned


def _desired(
    state: PurchaseState, item: ItemFact, context: ItemContext, *, license_state: LicenseState, returned: int
) -> DesiredLicense:
    terms = context.terms
    expiry, expires_at = _expiry(state, context)
    paid_for = max(item.quantity - returned, 1) * (terms.activations_per_unit or 1)
    return DesiredLicense(
        state=license_state,
        server=terms.server,
        product_id=terms.product_id,
        template_id=terms.template_id,
        customer=state.customer or Customer(),
        expiry=expiry,
        expires_at=expires_at,
        interval=terms.interval,
        periods=state.paid_periods if terms.expiry is ExpiryMode.INTERVAL else 1,
        activations=paid_for if terms.quantity_mode is QuantityMode.ACTIVATIONS else terms.activations_per_unit,
        floating_clients=paid_for if terms.quantity_mode is QuantityMode.FLOATING else None,
        entitlement_set_id=terms.entitlement_set_id,
        max_release_version=terms.max_release_version,
        vendor_metadata=context.vendor_metadata,
        metadata=context.metadata,
    )


def _expiry(state: PurchaseState, context: ItemContext) -> tuple[ExpiryMode, datetime | None]:
    """The expiry to ask for. Where the store told no date, the license template decides until it does; a trial ends
    on its own date whatever the interval. In interval mode the date only says where to go on after a trial."""
    mode = context.terms.expiry
    if mode not in {ExpiryMode.PAID_THROUGH, ExpiryMode.INTERVAL}:
        return mode, None
    if mode is ExpiryMode.INTERVAL and state.is_date_outdated:
        return mode, None
    expires_at = _paid_through_date(state, context.policies)
    if mode is ExpiryMode.INTERVAL and (state.status is not PurchaseStatus.TRIAL or expires_at is None):
        return mode, expires_at
    return (ExpiryMode.PAID_THROUGH, expires_at) if expires_at else (ExpiryMode.TEMPLATE, None)


def _paid_through_date(state: PurchaseState, policies: Policies) -> datetime | None:
    """The end of what is paid for, with the policy's extra days; never before overdue grace ends, which would be worth
    nothing if the license ran out first."""
    if state.subscription is None or state.subscription.paid_through is None:
        return None
    expires_at = state.subscription.paid_through + timedelta(days=policies.extra_days)
    if state.status is PurchaseStatus.OVERDUE and state.overdue_since:
        expires_at = max(expires_at, state.overdue_since + timedelta(days=policies.overdue_grace_days))
    return expires_at


def _overridden(desired: DesiredLicense, override: Override) -> DesiredLicense:
    if override.state is not None:
        desired = replace(desired, state=override.state, is_issuable=True)
    if override.expires_at is not None:
        desired = replace(desired, expiry=ExpiryMode.PAID_THROUGH, expires_at=override.expires_at)
    return desired


def _override_ends(context: ItemContext, now: datetime) -> list[datetime]:
    return [override.until for override in context.existing.values() if override and override.until > now]


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment), default=None)


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"
