"""Features that are sold as products of their own: to which license each of them belongs, and whether it still counts.

LicenseSpring's guide sells them as add-ons and related offers with the attribute ``feature_code``. Such an item gets no
license; it adds its code to the license of the item it was bought for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from licensing_integration.domain.facts import ItemFact
from licensing_integration.domain.items import items_of
from licensing_integration.domain.outcomes import PurchaseKind, RefundAction
from licensing_integration.domain.purchases import MAIN_LINE, PurchaseState
from licensing_integration.domain.refunds import returned_quantity
from licensing_integration.domain.terms import Policies

_ADD_ON = "addon:"
_KEPT_WHEN_REFUNDED = frozenset({RefundAction.IGNORE, RefundAction.ASK})


@dataclass(frozen=True, kw_only=True)
class Feature:
    """``is_beside``: it is in another purchase of the same order."""

    code: str
    item: ItemFact
    is_beside: bool = False


@dataclass(frozen=True, kw_only=True)
class Placement:
    """``by_line``: the features of each item that has a license. ``problems``: feature line → why it has no home."""

    by_line: Mapping[str, tuple[Feature, ...]] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


def place_features(
    state: PurchaseState,
    items: Mapping[str, ItemFact],
    *,
    codes: Mapping[str, str],
    licensed: Collection[str],
    beside: Mapping[str, str | None],
) -> Placement:
    """Every feature of a purchase, with the item it was bought for.

    ``codes``: line → feature code, for the ``items`` that are features. ``licensed``: the lines that get a license.
    ``beside``: the same for ``state.beside``: name → feature code, ``None`` for what gets a license of its own; what
    is neither is left out.
    """
    own = [items[line] for line in licensed]
    main = _subscribed_item(own) if state.kind is PurchaseKind.SUBSCRIPTION else None
    others = [state.beside[name] for name, code in beside.items() if code is None]
    mains = [*([main] if main else own), *others]
    by_line: dict[str, tuple[Feature, ...]] = {}
    problems: dict[str, str] = {}
    for feature in (*_own_features(items, codes), *_features_beside(state, beside)):
        home = (None if feature.is_beside else main) or _home(feature.item, mains)
        if home is not None and any(home is item for item in own):
            by_line[home.line] = (*by_line.get(home.line, ()), feature)
        elif not feature.is_beside and (home is None or state.kind is PurchaseKind.SUBSCRIPTION):
            problems[feature.item.line] = _problem(feature)
    return Placement(by_line=by_line, problems=problems)


def _own_features(items: Mapping[str, ItemFact], codes: Mapping[str, str]) -> list[Feature]:
    return [Feature(code=code, item=items[line]) for line, code in codes.items()]


def _features_beside(state: PurchaseState, beside: Mapping[str, str | None]) -> list[Feature]:
    """One-time ones: whether a feature that is a subscription by itself goes on is known to its own purchase only."""
    found = [(state.beside[name], code) for name, code in beside.items() if code]
    return [Feature(code=code, item=item, is_beside=True) for item, code in found if item.line != MAIN_LINE]


def counting_codes(state: PurchaseState, features: Sequence[Feature], *, policies: Policies) -> tuple[str, ...]:
    """The codes of the features that are still paid for, each once, in order of their names."""
    return tuple(sorted({f.code for f in features if _counts(state, f, policies=policies)}))


def _subscribed_item(own: Sequence[ItemFact]) -> ItemFact | None:
    """The item a subscription is about: the main one, else the only one that has a license."""
    return next((item for item in own if item.line == MAIN_LINE), own[0] if len(own) == 1 else None)


def _home(item: ItemFact, mains: Sequence[ItemFact]) -> ItemFact | None:
    """The item whose product the add-on names, else the only one of the order."""
    path = item.driver.removeprefix(_ADD_ON) if item.driver.startswith(_ADD_ON) else ""
    named = [main for main in mains if path and main.product == path]
    if named:
        return named[0] if len(named) == 1 else None
    return mains[0] if len(mains) == 1 else None


def _problem(feature: Feature) -> str:
    return (
        f"Nothing says which license gets the feature '{feature.code[:40]}': it was not bought as an add-on of one "
        "product, and its order does not hold exactly one item with a license. Add it to the right license by hand."
    )


def _counts(state: PurchaseState, feature: Feature, *, policies: Policies) -> bool:
    item = feature.item
    if item.quantity < 1 or _is_listed_no_more(state, item):
        return False
    if policies.refund_action in _KEPT_WHEN_REFUNDED:
        return True
    if feature.is_beside or item not in items_of(state).values():
        return not _is_refunded_beside(state, item)
    return returned_quantity(state, item) < item.quantity


def _is_refunded_beside(state: PurchaseState, item: ItemFact) -> bool:
    """Of an item in another purchase it is not known how much of it was given back, only that some was."""
    refunds = [refund for refund in state.returns.values() if refund.order_id == item.order_id]
    return any(
        not refund.has_failed and (refund.is_whole_order or any(line.product == item.product for line in refund.lines))
        for refund in refunds
    )


def _is_listed_no_more(state: PurchaseState, item: ItemFact) -> bool:
    """Whether the store once listed it as an add-on of the subscription, and does so no more.

    Stores need not list any: only what was seen in the list can be missed there.
    """
    listed = state.subscription.add_ons if state.subscription else None
    if listed is None or item.product not in state.listed_add_ons or item.product in listed:
        return False
    bought = state.item_versions.get(item.line)
    return state.version is None or bought is None or bought.occurred_at <= state.version.occurred_at
