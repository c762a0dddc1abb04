"""The catalog: saving a mapping keeps its past, and sets the purchases that waited for it in motion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final

from django.db import transaction
from django.db.models import Q, QuerySet

from licensing_integration import jobs
from licensing_integration.domain.outcomes import PurchaseKind, SyncState
from licensing_integration.domain.resolving import resolve_terms
from licensing_integration.exceptions import LicensingIntegrationError, ProductNotMapped
from licensing_integration.models import LicenseLink, ProductMapping, PurchaseItem
from licensing_integration.services import audit, choices, mapping_versions
from licensing_integration.services.choices import ServerLists
from licensing_integration.services.connections import answering_within, backend_of, server_config
from licensing_integration.services.terms import known_servers

_IS_FAILING = Q(sync_state=SyncState.ATTENTION) | Q(sync_state=SyncState.PENDING, failing_since__isnull=False)
IS_UNMADE = _IS_FAILING & Q(external_id="")
IS_WITHDRAWN = Q(terms__is_withdrawn=True)

# A list this old, in seconds, does not prove that a product is missing: somebody may just have made it.
_FRESH: Final = 10.0


class Saving(StrEnum):
    """Why a mapping is saved, as the audit names it."""

    SAVED = "mapping.saved"
    DEACTIVATED = "mapping.deactivated"
    RESTORED = "mapping.restored"
    IMPORTED = "mapping.imported"


_VERBS: Final = {
    Saving.SAVED: "changed",
    Saving.DEACTIVATED: "deactivated",
    Saving.RESTORED: "put back",
    Saving.IMPORTED: "imported",
}


def save_mapping(
    mapping: ProductMapping, *, user_id: int | None, saving: Saving = Saving.SAVED, reason: str = ""
) -> int:
    """Save a mapping with a new version and an audit entry, and plan every purchase that waits for it, or whose license
    could not be made by it. Returns how many those are."""
    return save_mappings([mapping], user_id=user_id, saving=saving, reason=reason)


def save_mappings(mappings: Sequence[ProductMapping], *, user_id: int | None, saving: Saving, reason: str) -> int:
    """The same for several: all of them, or none if one fails. In the order of their products, so that two who save the
    same ones at once wait for each other and never both."""
    with transaction.atomic():
        for mapping in sorted(mappings, key=lambda one: (one.store, one.store_product)):
            _save(mapping, user_id=user_id, saving=saving, reason=reason)
        waiting = _waiting_purchases([mapping for mapping in mappings if mapping.is_active])
        jobs.enqueue_purchases(waiting)
    return len(waiting)


def deactivate(mapping: ProductMapping, *, user_id: int | None, reason: str) -> None:
    """From now on the mapping counts as none for new purchases, which wait.

    Raises ``ValueError`` with a sentence when somebody has deleted the mapping.
    """
    with transaction.atomic():
        _hold(mapping)
        mapping.is_active = False
        save_mapping(mapping, user_id=user_id, saving=Saving.DEACTIVATED, reason=reason)


def delete(mapping: ProductMapping, *, user_id: int | None) -> None:
    """Forget a mapping and its versions. What was bought by it keeps its terms; what waits for it goes on waiting."""
    with transaction.atomic():
        audit.record("mapping.deleted", f"The mapping of {mapping} was deleted.", user_id=user_id)
        mapping.delete()


def put_back(mapping: ProductMapping, number: int, *, user_id: int | None, reason: str) -> int:
    """Save the mapping as it was in version ``number``, as a new version. Returns how many purchases are planned.

    Raises ``ValueError`` with a sentence when the version cannot be put back.
    """
    with transaction.atomic():
        _hold(mapping)
        version = mapping.versions.filter(number=number).first()
        if version is None:
            raise ValueError(f"The mapping has no version {number}.")
        mapping_versions.put_on(mapping, version)
        return save_mapping(mapping, user_id=user_id, saving=Saving.RESTORED, reason=reason)


# --- checking against the license server -----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What checking a mapping found, in sentences. ``note``: what cannot be checked, though nothing is wrong."""

    problems: tuple[str, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        return " ".join(self.problems) or self.note or "nothing wrong was found."


def check_for(mappings: Sequence[ProductMapping], *, user_id: int | None) -> list[Checked]:
    """``check_mappings`` because a person asked for it: the audit keeps who did, and what was found."""
    found = check_mappings(mappings)
    with transaction.atomic():
        for mapping, checked in zip(mappings, found, strict=True):
            sentence = f"The mapping of {mapping} was checked: {checked}"
            audit.record("mapping.checked", sentence, user_id=user_id, mapping=mapping)
    return found


def check_mappings(mappings: Sequence[ProductMapping]) -> list[Checked]:
    """What is wrong with each mapping, as far as its license server tells; every one is asked once."""
    lists, access = cache(lambda name: choices.server_lists(name, oldest=0)), cache(_problems_of_access)
    return [_check(mapping, lists=lists, access=access) for mapping in mappings]


def unknown_ids(mapping: ProductMapping) -> dict[str, str]:
    """Field → sentence for what the mapping names and its license server does not list; empty too where the server
    could not be asked. What looks missing in a kept list is asked for again."""
    name = choices.server_name(mapping.server)
    found = _unknown_in(mapping, choices.server_lists(name), name=name)
    return _unknown_in(mapping, choices.server_lists(name, oldest=_FRESH), name=name) if found else {}


def _check(
    mapping: ProductMapping, *, lists: Callable[[str], ServerLists], access: Callable[[str], Sequence[str]]
) -> Checked:
    if not mapping.is_license_needed:
        return Checked()
    name = choices.server_name(mapping.server)
    try:
        server_config(name)
        terms = resolve_terms(mapping.to_terms(), {}, kind=PurchaseKind.ORDER, servers=known_servers())
    except ProductNotMapped:
        return Checked(note="The store's attribute names the license product; that cannot be checked here.")
    except LicensingIntegrationError as error:
        return Checked(problems=(str(error),))
    if terms is None or terms.feature_code:
        return Checked()
    if problems := access(name):
        return Checked(problems=tuple(problems))
    listed = lists(name)
    unknown = _unknown_in(mapping, listed, name=name).values()
    return Checked(problems=(listed.problem,) if listed.problem else tuple(unknown))


def _problems_of_access(name: str) -> Sequence[str]:
    try:
        with answering_within(choices.ASKING_SECONDS):
            return backend_of(name).check_access()
    except LicensingIntegrationError as error:
        return [str(error)]


def _unknown_in(mapping: ProductMapping, lists: ServerLists, *, name: str) -> dict[str, str]:
    """No server says which templates a product may have: one that exists fits."""
    unknown: dict[str, str] = {}
    if lists.problem:
        return unknown
    if mapping.product_id and mapping.product_id not in lists.names:
        unknown["product_id"] = f"License product {mapping.product_id} does not exist on {name}."
    templates = None if lists.templates is None else {template.id for template in lists.templates}
    if mapping.template_id and templates is not None and mapping.template_id not in templates:
        unknown["template_id"] = f"License template {mapping.template_id} does not exist on {name}."
    return unknown


# --- what saving leaves behind, and sets in motion -------------------------------------------------------------------


def _hold(mapping: ProductMapping) -> None:
    """Read the mapping anew and hold its row: what somebody saved since it was read here must not be undone. No key
    update: planning may go on to point to it."""
    try:
        mapping.refresh_from_db(from_queryset=ProductMapping.objects.select_for_update(no_key=True))
    except ProductMapping.DoesNotExist:
        raise ValueError(f"Somebody has deleted the mapping of {mapping} meanwhile. Nothing was changed.") from None


def _save(mapping: ProductMapping, *, user_id: int | None, saving: Saving, reason: str) -> None:
    """Inside the caller's transaction."""
    mapping.save()
    before = mapping_versions.newest(mapping)
    version = mapping_versions.add_version(mapping, last=before, user_id=user_id)
    changes = mapping_versions.different(before.values, version.values) if before else None
    _keep_in_audit(mapping, changes, user_id=user_id, saving=saving, reason=reason)


def _keep_in_audit(
    mapping: ProductMapping,
    changes: Sequence[mapping_versions.FieldChange] | None,
    *,
    user_id: int | None,
    saving: Saving,
    reason: str,
) -> None:
    """``changes=None``: it is the mapping's first version."""
    if changes is None:
        sentence = f"The mapping of {mapping} was added."
    else:
        sentence = f"The mapping of {mapping} was {_VERBS[saving]}: {mapping_versions.sentence_of(changes)}."
    audit.record(saving, sentence, user_id=user_id, reason=reason, mapping=mapping)


def _waiting_purchases(mappings: Sequence[ProductMapping]) -> list[int]:
    """Those that wait for one of these mappings. As many queries for many mappings of a store as for one."""
    found: list[QuerySet[Any]] = []
    for (store, is_license_needed), group in _grouped(mappings).items():
        found += [_waiting_items(store, group, is_license_needed=is_license_needed), _unmade_links(store, group)]
        if is_license_needed:  # until now they may have said that none is
            found.append(PurchaseItem.objects.filter(IS_WITHDRAWN, mapping__in=group))
    return sorted({pk for rows in found for pk in rows.order_by().values_list("purchase_id", flat=True).distinct()})


def _grouped(mappings: Sequence[ProductMapping]) -> dict[tuple[str, bool], list[ProductMapping]]:
    groups: dict[tuple[str, bool], list[ProductMapping]] = {}
    for mapping in mappings:
        groups.setdefault((mapping.store, mapping.is_license_needed), []).append(mapping)
    return groups


def _waiting_items(
    store: str, mappings: Sequence[ProductMapping], *, is_license_needed: bool
) -> QuerySet[PurchaseItem]:
    waiting = ~Q(problem="")
    if is_license_needed:
        waiting |= Q(mapping__in=mappings, terms__isnull=True)
    products = [mapping.store_product for mapping in mappings]
    return PurchaseItem.objects.filter(waiting, Q(product__in=products) | Q(variant__in=products), store=store)


def _unmade_links(store: str, mappings: Sequence[ProductMapping]) -> QuerySet[LicenseLink]:
    """Links of the products whose license was refused, or could not be made so far. Planning decides by the locked rows
    whether the new mappings count for them."""
    products = [mapping.store_product for mapping in mappings]
    product = Q(item__product__in=products) | Q(item__variant__in=products)
    return LicenseLink.objects.filter(IS_UNMADE, product, item__store=store)
