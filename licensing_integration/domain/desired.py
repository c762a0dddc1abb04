"""What one license of an item should look like: its term, its size, and what the vendors' guides say beyond that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from licensing_integration.domain.facts import Customer, ItemFact
from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.outcomes import (
    ExpiryMode,
    LicenseState,
    LicenseType,
    PurchaseKind,
    PurchaseStatus,
    QuantityMode,
)
from licensing_integration.domain.purchases import PurchaseState
from licensing_integration.domain.terms import Policies, Terms


@dataclass(frozen=True, kw_only=True)
class Override:
    """A staff decision that wins over the plan until ``until``. ``None`` fields leave the plan's value."""

    until: datetime
    state: LicenseState | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ItemContext:
    """Everything besides the purchase that planning an item needs.

    ``existing``: unit → its override, for the slots that exist already. ``is_adoptable``: licenses may exist that we
    did not make. ``vendor_metadata``: what the vendor's own integration would write on the license to find it again;
    ``metadata``: what else it would write. ``features``: codes of the features bought for the item's licenses.
    ``is_license_needed``: ``False`` once nothing is to be made of the item any more, whose quantity is 0 then.
    """

    terms: Terms
    policies: Policies
    existing: Mapping[int, Override | None] = field(default_factory=dict)
    is_adoptable: bool = False
    vendor_metadata: Mapping[str, str] = field(default_factory=dict)
    searched_metadata: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    is_license_needed: bool = True


def desired_license(
    state: PurchaseState, item: ItemFact, context: ItemContext, *, license_state: LicenseState, returned: int
) -> DesiredLicense:
    """The license of one slot of ``item``, ``returned`` units of which were refunded."""
    terms = context.terms
    expiry, expires_at = _expiry(state, item, context)
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
        entitlement_set_id=terms.entitlement_set_id,
        max_release_version=terms.max_release_version,
        vendor_metadata=context.vendor_metadata,
        searched_metadata=context.searched_metadata,
        metadata=context.metadata,
        features=tuple(sorted(context.features)),
        custom_fields=terms.custom_fields,
        is_customer_manager=terms.is_customer_manager,
        is_customer_user=terms.is_customer_user,
        is_test=state.is_test,
        is_maintained=terms.is_maintained,
        maintenance_duration="" if terms.is_maintained is False else terms.maintenance_duration,
        maintenance_policy_id="" if terms.is_maintained is False else terms.maintenance_policy_id,
        **_size(item, terms, returned=returned),
        **(_subscription_terms(state, terms) if state.kind is PurchaseKind.SUBSCRIPTION else _one_time_terms(terms)),
    )


def overridden(desired: DesiredLicense, override: Override) -> DesiredLicense:
    """As the staff decided. A date of theirs is meant exactly: no hours of grace are added to it."""
    if override.state is not None:
        desired = replace(desired, state=override.state, is_issuable=True)
    if override.expires_at is not None:
        desired = replace(desired, expiry=ExpiryMode.PAID_THROUGH, expires_at=override.expires_at, grace_hours=None)
    return desired


# --- size ------------------------------------------------------------------------------------------------------------


def _size(item: ItemFact, terms: Terms, *, returned: int) -> dict[str, Any]:
    paid_for = max(item.quantity - returned, 1) * (terms.activations_per_unit or 1)
    mode = terms.quantity_mode
    activations = terms.max_activations if terms.activations_per_unit is None else terms.activations_per_unit
    if mode is QuantityMode.ACTIVATIONS:
        activations = paid_for
    floating = paid_for if mode is QuantityMode.FLOATING else terms.floating_cloud
    if floating and activations and (terms.is_annotated or terms.floating_cloud):
        activations = max(activations, floating)  # a seat that no device may activate would be none
    # Whether one license for all units counts devices or people is known to LicenseSpring's product alone.
    counts_users = mode is QuantityMode.USERS or (terms.is_annotated and mode is QuantityMode.ACTIVATIONS)
    return {
        "activations": activations,
        "floating_clients": floating,
        "is_floating_cloud": terms.floating_cloud is not None,
        "users": paid_for if counts_users else None,
    }


# --- type ------------------------------------------------------------------------------------------------------------


def _subscription_terms(state: PurchaseState, terms: Terms) -> dict[str, Any]:
    """A subscription wins over the type that its product has by default, or by attribute."""
    ends_at = state.subscription.ends_at if state.subscription else None
    is_endless = terms.expiry is ExpiryMode.PERPETUAL
    license_type = LicenseType.PERPETUAL if is_endless else LicenseType.SUBSCRIPTION
    return {
        "license_type": license_type if terms.is_annotated else None,
        "is_trial": terms.is_annotated and state.is_unpaid_trial,
        "grace_hours": terms.grace_hours,
        "end_date_note": ends_at.astimezone(UTC).date() if ends_at and terms.is_annotated else None,
    }


def _one_time_terms(terms: Terms) -> dict[str, Any]:
    license_type = terms.license_type
    if license_type is None and terms.is_annotated and terms.expiry is ExpiryMode.PERPETUAL:
        license_type = LicenseType.PERPETUAL
    may_run_out = license_type in {None, LicenseType.TIME_LIMITED}
    return {
        "license_type": license_type,
        "valid_duration": terms.valid_duration if may_run_out else "",
        "max_consumptions": terms.max_consumptions if license_type is LicenseType.CONSUMPTION else None,
    }


# --- term ------------------------------------------------------------------------------------------------------------


def _expiry(state: PurchaseState, item: ItemFact, context: ItemContext) -> tuple[ExpiryMode, datetime | None]:
    """The expiry to ask for. Where the store told no date, the license template decides until it does; a trial ends
    on its own date whatever the interval. In interval mode the date only says where to go on after a trial."""
    mode = context.terms.expiry
    if mode not in {ExpiryMode.PAID_THROUGH, ExpiryMode.INTERVAL}:
        return mode, None
    if mode is ExpiryMode.INTERVAL and state.is_date_outdated:
        return mode, None
    expires_at = _paid_through_date(state, item, context.policies)
    if mode is ExpiryMode.INTERVAL and (state.status is not PurchaseStatus.TRIAL or expires_at is None):
        return mode, expires_at
    return (ExpiryMode.PAID_THROUGH, expires_at) if expires_at else (ExpiryMode.TEMPLATE, None)


def _paid_through_date(state: PurchaseState, item: ItemFact, policies: Policies) -> datetime | None:
    """The end of what is paid for, with the policy's extra days; never before overdue grace ends, which would be worth
    nothing if the license ran out first."""
    paid_through = state.paid_through_of(item.line) if state.kind is PurchaseKind.SUBSCRIPTION else None
    if paid_through is None:
        return None
    expires_at = paid_through + timedelta(days=policies.extra_days)
    if state.status is PurchaseStatus.OVERDUE and state.grace_began_at:
        expires_at = max(expires_at, state.grace_began_at + timedelta(days=policies.overdue_grace_days))
    return expires_at
