"""Purchases and licenses at one moment, and what is different at another, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.text import capfirst

from licensing_integration.domain.effects import describe_effect, is_wanted
from licensing_integration.domain.licenses import DesiredLicense
from licensing_integration.domain.wording import count_of
from licensing_integration.models import LicenseLink, Purchase, PurchaseItem
from licensing_integration.services.codec import from_json


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Rows by their ids, as they are now or were."""

    purchases: Mapping[int, Purchase] = field(default_factory=dict)
    items: Mapping[int, PurchaseItem] = field(default_factory=dict)
    links: Mapping[int, LicenseLink] = field(default_factory=dict)

    def updated(self, later: Picture) -> Picture:
        """With what ``later`` shows in place of what it showed before."""
        return Picture(
            purchases={**self.purchases, **later.purchases},
            items={**self.items, **later.items},
            links={**self.links, **later.links},
        )


def take_picture(purchase_ids: Iterable[int]) -> Picture:
    """These purchases as they are now, with everything that is theirs."""
    ids = list(purchase_ids)
    items = PurchaseItem.objects.filter(purchase_id__in=ids).select_related("purchase")
    return _picture(
        Purchase.objects.filter(pk__in=ids), items, LicenseLink.objects.filter(purchase_id__in=ids).order_by("unit")
    )


def take_same(picture: Picture) -> Picture:
    """The rows of ``picture`` as they are now, whichever purchase they belong to, without those that do not exist."""
    items = PurchaseItem.objects.filter(pk__in=list(picture.items)).select_related("purchase")
    links = LicenseLink.objects.filter(pk__in=list(picture.links))
    return _picture(Purchase.objects.filter(pk__in=list(picture.purchases)), items, links)


def tell_differences(before: Picture, after: Picture) -> list[str]:
    """What would be otherwise, each in a sentence: purchases first, then what waits, then licenses."""
    told = [
        *(_about_purchase(before.purchases.get(pk), purchase) for pk, purchase in after.purchases.items()),
        *(_about_item(before.items.get(pk), item) for pk, item in after.items.items()),
        *(_about_link(before.links.get(pk), link) for pk, link in after.links.items()),
    ]
    return [sentence for sentence in told if sentence]


def summarize(before: Picture, after: Picture) -> str:
    """What would be new, counted; empty where nothing would be. Such as ``17 licenses would be issued for Photon
    Editor; 17 orders would become known.``"""
    issued = Counter(link.item.name or "the purchase" for pk, link in after.links.items() if _is_new(before, pk, link))
    known = Counter(purchase.kind for pk, purchase in after.purchases.items() if pk not in before.purchases)
    told = [
        *(f"{count_of(number, 'license')} would be issued for {name}" for name, number in issued.most_common()),
        *(f"{count_of(number, kind)} would become known" for kind, number in known.most_common()),
    ]
    return f"{'; '.join(told)}." if told else ""


def name_of(link: LicenseLink) -> str:
    """What a license is of, such as ``Studio Team, unit 2``."""
    item = link.item
    return f"{item.name or 'the purchase'}{f', unit {link.unit}' if item.quantity > 1 else ''}"


def _picture(purchases: Iterable[Purchase], items: Iterable[PurchaseItem], links: Iterable[LicenseLink]) -> Picture:
    seen_items = {item.pk: item for item in items}
    seen_links = {link.pk: link for link in links}
    for link in seen_links.values():
        if link.item_id in seen_items:
            link.item = seen_items[link.item_id]
    return Picture(purchases={purchase.pk: purchase for purchase in purchases}, items=seen_items, links=seen_links)


def _about_purchase(before: Purchase | None, after: Purchase) -> str:
    status = after.get_status_display()
    name = capfirst(str(after))
    if before is None:
        return f"{name} would become known: {status}."
    told = f"{name}: {before.get_status_display()} → {status}." if before.status != after.status else ""
    is_asked = after.attention and after.attention != before.attention
    return f"{told} {name} would need attention: {after.attention}".strip() if is_asked else told


def _about_item(before: PurchaseItem | None, after: PurchaseItem) -> str:
    is_new = after.problem and after.problem != (before.problem if before else "")
    return f"{after.name} would wait: {after.problem}" if is_new else ""


def _about_link(before: LicenseLink | None, after: LicenseLink) -> str:
    return describe_effect(
        _desired(before.desired) if before else None,
        _desired(after.desired),
        name=name_of(after),
        key=after.shown_key,
        has_license=bool(after.external_id),
    )


def _is_new(before: Picture, pk: int, link: LicenseLink) -> bool:
    """Whether a license would be made for it that nobody wanted before."""
    was_wanted = pk in before.links and is_wanted(_desired(before.links[pk].desired))
    return not link.external_id and not was_wanted and is_wanted(_desired(link.desired))


def _desired(stored: Any) -> DesiredLicense:
    return from_json(stored, DesiredLicense)
