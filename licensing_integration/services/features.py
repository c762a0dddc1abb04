"""Which license of a purchase gets the features that were bought with it: mappings and rows for ``domain/features``."""

from __future__ import annotations

from collections.abc import Mapping

from licensing_integration.domain.facts import ItemFact
from licensing_integration.domain.features import Placement, place_features
from licensing_integration.domain.outcomes import FailureMode, PurchaseKind
from licensing_integration.domain.purchases import PurchaseState
from licensing_integration.domain.resolving import resolve_terms
from licensing_integration.domain.terms import Terms
from licensing_integration.exceptions import ConfigurationProblem
from licensing_integration.models import ProductMapping, PurchaseItem
from licensing_integration.services.terms import known_servers, mapping_of


def place(
    state: PurchaseState,
    items: Mapping[str, ItemFact],
    *,
    terms: Mapping[str, Terms | None],
    rows: Mapping[str, PurchaseItem],
    mappings: Mapping[str, ProductMapping],
) -> Placement:
    """The features of every item. Writes on the rows (unsaved) of those that belong nowhere why they wait."""
    codes = lines_of(terms)
    if not codes and not state.beside:
        return Placement()
    licensed = [
        line
        for line, item in items.items()
        if item.quantity > 0 and line not in codes and (terms[line] or rows[line].problem)
    ]
    placement = place_features(
        state, items, codes=codes, licensed=licensed, beside=_roles_beside(state, mappings) if state.beside else {}
    )
    for line, problem in placement.problems.items():
        rows[line].problem, rows[line].failure_mode = problem, FailureMode.CONFIG
    return placement


def lines_of(terms: Mapping[str, Terms | None]) -> dict[str, str]:
    """Line → feature code, of the items that are features."""
    return {line: known.feature_code for line, known in terms.items() if known and known.feature_code}


def _roles_beside(state: PurchaseState, mappings: Mapping[str, ProductMapping]) -> dict[str, str | None]:
    """What the items of the same order are that are in other purchases, see ``place_features``."""
    roles: dict[str, str | None] = {}
    for name, item in state.beside.items():
        mapping = mapping_of(item, mappings)
        active = mapping.to_terms() if mapping and mapping.is_active else None
        try:
            terms = resolve_terms(active, item.attributes, kind=PurchaseKind.ORDER, servers=known_servers())
        except ConfigurationProblem:
            roles[name] = None  # it waits for its license
        else:
            roles |= {name: terms.feature_code or None} if terms else {}
    return roles
