"""What a webhook event changed: the facts it was translated into, the purchases they speak of, and their licenses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from licensing_integration.admin.history import Told, tell
from licensing_integration.domain.facts import (
    CustomerFact,
    DisputeFact,
    NoteFact,
    OrderFact,
    PreparationFact,
    PurchaseFact,
    ReturnFact,
    SubscriptionFact,
)
from licensing_integration.models import HistoryEntry, LicenseLink, Purchase, PurchaseAlias, WebhookEvent
from licensing_integration.services.translate import translate_as_stored

# Of history entries, purchases and licenses: an order of a thousand units is read on its own page. One more of each is
# fetched, to know whether there are more.
MOST_SHOWN = 100


@dataclass(frozen=True, kw_only=True)
class LicenseEffect:
    """A license whose plan the event changed, or that changed because of it, and how; oldest first."""

    link: LicenseLink
    told: Sequence[Told]


@dataclass(frozen=True, kw_only=True)
class PurchaseEffect:
    """A purchase the event speaks of, with what its history says of the purchase itself beside what the event said,
    oldest first."""

    purchase: Purchase
    told: Sequence[Told]
    licenses: Sequence[LicenseEffect]


@dataclass(frozen=True, kw_only=True)
class Effects:
    """``said``: the event in our words, empty where it cannot be read. ``is_cut``: there is more than is shown."""

    said: Sequence[str]
    purchases: Sequence[PurchaseEffect]
    is_cut: bool


def effects_of(event: WebhookEvent) -> Effects:
    """Read from our rows alone: no store and no license server is asked."""
    facts = _facts(event)
    all_entries, all_planned = list(_entries(event)), list(_links_planned_by(event))
    entries, planned = all_entries[:MOST_SHOWN], all_planned[:MOST_SHOWN]
    links = {link.pk: link for link in [*planned, *(entry.link for entry in entries if entry.link)]}
    purchases = {entry.purchase_id: entry.purchase for entry in entries}
    purchases |= {link.purchase_id: link.purchase for link in planned}
    more = _purchases_named(event.store, facts) - purchases.keys()
    if more:
        purchases |= {purchase.pk: purchase for purchase in Purchase.objects.filter(pk__in=more).defer("state")}
    said = list(dict.fromkeys(fact.note for fact in facts if fact.note))
    told = tell(entry for entry in entries if entry.link_id or entry.changes or entry.sentence not in said)
    return Effects(
        said=said,
        purchases=[_purchase_effect(purchases[pk], links.values(), told) for pk in sorted(purchases)[:MOST_SHOWN]],
        is_cut=max(len(all_entries), len(all_planned), len(purchases)) > MOST_SHOWN,
    )


def _facts(event: WebhookEvent) -> Sequence[PurchaseFact]:
    try:
        return translate_as_stored(event)
    except Exception:  # the page of an event that breaks its translator is where a person looks for the reason
        return ()


def _purchase_effect(purchase: Purchase, links: Iterable[LicenseLink], told: Sequence[Told]) -> PurchaseEffect:
    own = sorted((link for link in links if link.purchase_id == purchase.pk), key=lambda link: link.pk)
    about = [one for one in told if one.entry.purchase_id == purchase.pk]
    return PurchaseEffect(
        purchase=purchase,
        told=[one for one in about if one.entry.link_id is None],
        licenses=[
            LicenseEffect(link=link, told=[one for one in about if one.entry.link_id == link.pk]) for link in own
        ],
    )


def _entries(event: WebhookEvent) -> Iterable[HistoryEntry]:
    told = HistoryEntry.objects.filter(event=event).select_related("purchase", "link__item").order_by("id")
    heavy = ("purchase__state", "link__desired", "link__applied", "link__observed", "link__item__terms")
    return told.defer(*heavy)[: MOST_SHOWN + 1]


def _links_planned_by(event: WebhookEvent) -> Iterable[LicenseLink]:
    planned = LicenseLink.objects.filter(cause=event).select_related("item", "purchase").order_by("id")
    return planned.defer("desired", "applied", "observed", "item__terms", "purchase__state")[: MOST_SHOWN + 1]


def _purchases_named(store: str, facts: Sequence[PurchaseFact]) -> set[int]:
    """The ids of the purchases the facts speak of."""
    names = {name for fact in facts for name in _names(fact) if name}
    if not names:
        return set()
    by_id = Purchase.objects.filter(store=store, external_id__in=names).order_by().values("pk")
    by_alias = PurchaseAlias.objects.filter(store=store, value__in=names).order_by().values("purchase_id")
    return set(by_id.union(by_alias).values_list("pk", flat=True)[: MOST_SHOWN + 1])


def _names(fact: PurchaseFact) -> tuple[str, ...]:
    """What a store calls the purchases a fact speaks of."""
    match fact:
        case OrderFact() | ReturnFact() | DisputeFact():
            return (fact.order_id, *fact.aliases)
        case SubscriptionFact():
            return (fact.subscription_id, *fact.aliases)
        case NoteFact():
            return (fact.purchase_id,)
        case PreparationFact():
            return (fact.reference, fact.subscription_id)
        case CustomerFact():
            return (fact.customer.external_id,)
