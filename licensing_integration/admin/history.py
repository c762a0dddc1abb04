"""History: the story of a license or of a purchase, newest first, with what is behind each sentence."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from licensing_integration.admin.actions import is_id
from licensing_integration.admin.addresses import row_url
from licensing_integration.admin.payloads import Readable, readable_json
from licensing_integration.models import HistoryEntry, LicenseLink, MappingVersion, ProductMapping, Purchase
from licensing_integration.templatetags.console import moment

PER_PAGE = 50

_HEAVY: Final = (
    *("event__body", "event__fetched", "event__headers", "link__desired", "link__applied", "link__observed"),
    *("link__item__attributes", "link__item__terms"),
)
_LABELS: Final[Mapping[str, str]] = {
    "expires_at": "Expires",
    "floating_clients": "Floating seats",
    "max_release_version": "Highest release",
    "product_id": "License product",
    "entitlement_set_id": "Entitlement set",
    "is_trial": "Trial",
}
# By what a kind ends in. The sentence says it, too: the color only helps to find it.
_TONES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("issued", "renewed", "reinstated", "adopted", "resent"), "success"),
    **dict.fromkeys(("suspended", "resend_unclear"), "warning"),
    **dict.fromkeys(("revoked", "deleted", "failed", "resend_failed"), "danger"),
}


def entries_of_link(link: LicenseLink) -> QuerySet[HistoryEntry]:
    """The whole story of a license: its own entries and those of its purchase, but not those of its siblings."""
    is_about_it = Q(link=link) | Q(link=None)
    return _with_reasons(HistoryEntry.objects.filter(is_about_it, purchase_id=link.purchase_id))


def entries_of_purchase(purchase: Purchase) -> QuerySet[HistoryEntry]:
    """The story of a purchase and of all its licenses."""
    return _with_reasons(HistoryEntry.objects.filter(purchase=purchase))


def _with_reasons(entries: QuerySet[HistoryEntry]) -> QuerySet[HistoryEntry]:
    return entries.select_related("event", "user", "link__item").defer(*_HEAVY).order_by("-id")


# --- the timeline ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Change:
    """A field of a license, ``before`` and ``after``."""

    label: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class ShownCall:
    """A request to the license server and its answer; ``at`` is ``None`` where it was not kept."""

    title: str
    at: datetime | None
    status: str
    ms: float | None
    request_id: str
    request: Readable | None
    answer: Readable | None


@dataclass(frozen=True, kw_only=True)
class Told:
    """An entry and what is behind it. ``version`` of its product mapping was in force at that time; ``None`` if the
    product has no mapping, or had none yet."""

    entry: HistoryEntry
    tone: str
    changes: Sequence[Change]
    calls: Sequence[ShownCall]
    version: int | None
    version_url: str

    @property
    def has_details(self) -> bool:
        return bool(self.changes or self.calls or self.version or self.entry.request_id)


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """One page of a story, newest first. ``older``: the id before which the next page begins, ``None`` on the last."""

    told: Sequence[Told]
    older: int | None
    is_newest: bool


def timeline(request: HttpRequest, entries: QuerySet[HistoryEntry]) -> Timeline:
    """The page of ``entries`` that ``?before=<id>`` asks for. Three queries at most, however long the story is."""
    text = request.GET.get("before", "")
    before = int(text) if is_id(text) else None
    rows = list((entries.filter(pk__lt=before) if before else entries)[: PER_PAGE + 1])
    return Timeline(
        told=tell(rows[:PER_PAGE]),
        older=rows[PER_PAGE - 1].pk if len(rows) > PER_PAGE else None,
        is_newest=before is None,
    )


def tell(entries: Iterable[HistoryEntry]) -> list[Told]:
    """``entries`` with what is behind each."""
    rows = list(entries)
    versions = _versions({entry.link.item.mapping_id for entry in rows if entry.link and entry.link.item.mapping_id})
    return [_told(entry, versions) for entry in rows]


_Versions = Mapping[int, Sequence[tuple[datetime, int]]]


def _versions(mapping_ids: Iterable[int]) -> _Versions:
    """Mapping → its versions as (when saved, number), oldest first."""
    found: dict[int, list[tuple[datetime, int]]] = {}
    ids = sorted(mapping_ids)
    rows = (
        MappingVersion.objects.filter(mapping__in=ids).order_by("saved_at").values_list("mapping", "saved_at", "number")
    )
    for mapping_id, saved_at, number in rows if ids else ():
        found.setdefault(mapping_id, []).append((saved_at, number))
    return found


def _told(entry: HistoryEntry, versions: _Versions) -> Told:
    # What a person did goes by no mapping.
    mapping_id = entry.link.item.mapping_id if entry.link and not entry.user_id else None
    saved = versions.get(mapping_id, ()) if mapping_id else ()
    place = bisect_right(saved, entry.at, key=lambda version: version[0])
    number = saved[place - 1][1] if place else None
    page = row_url(ProductMapping, mapping_id) if mapping_id and number else ""
    return Told(
        entry=entry,
        tone="info" if entry.user_id else _TONES.get(entry.kind.rpartition(".")[2], ""),
        changes=_changes(entry.changes),
        calls=[_call(call, entry.link) for call in entry.calls or ()],
        version=number,
        version_url=f"{page}#version-{number}" if number else "",
    )


def _changes(changes: Mapping[str, Any]) -> list[Change]:
    return [
        Change(
            label=_LABELS.get(name) or name.replace("_", " ").capitalize(),
            before=_value(name, pair[0]),
            after=_value(name, pair[1]),
        )
        for name, pair in changes.items()
    ]


def _value(name: str, value: Any) -> str:
    match value:
        case None | "" | []:
            return "never" if name == "expires_at" else "–"
        case bool():
            return "yes" if value else "no"
        case str() if name.endswith("_at"):
            return moment(datetime.fromisoformat(value))
        case list():
            return ", ".join(str(one) for one in value)
        case _:
            return str(value)


def _call(call: Mapping[str, Any], link: LicenseLink | None) -> ShownCall:
    status, at = call.get("status") or 0, call.get("at")
    return ShownCall(
        title=f"{call.get('method', '')} {call.get('path', '')}".strip(),
        at=datetime.fromisoformat(at) if at else None,
        status=str(status) if status else "no answer",
        ms=call.get("ms"),
        request_id=call.get("request_id", ""),
        request=_readable(call.get("request"), link),
        answer=_readable(call.get("answer"), link),
    )


def _readable(body: Any, link: LicenseLink | None) -> Readable | None:
    """Keys are masked before a call is kept; one of a form nobody foresaw is at least not shown."""
    if body in (None, "", {}):
        return None
    return readable_json(body, keys=[link.key] if link and link.key else ())
