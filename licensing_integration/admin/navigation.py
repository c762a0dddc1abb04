"""The sidebar: the console's screens, each for whoever may open it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

_APP = "licensing_integration"

# Title, icon, name of the address, permission ("" for everybody who may use the console).
_SCREENS = (
    ("Start", "home", "index", ""),
    ("Licenses", "key", f"{_APP}_licenselink_changelist", f"{_APP}.view_licenselink"),
    ("Purchases", "receipt_long", f"{_APP}_purchase_changelist", f"{_APP}.view_purchase"),
    ("Webhook log", "inbox", f"{_APP}_webhookevent_changelist", f"{_APP}.view_webhookevent"),
    ("Product mappings", "account_tree", f"{_APP}_productmapping_changelist", f"{_APP}.view_productmapping"),
)
_OFFICE = (
    ("Connections", "cable", "connections", f"{_APP}.view_connections"),
    ("Audit", "history_edu", f"{_APP}_auditentry_changelist", f"{_APP}.view_auditentry"),
    ("Users", "group", "auth_user_changelist", "auth.view_user"),
    ("Roles", "badge", "auth_group_changelist", "auth.view_group"),
)


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """What Unfold's setting ``SIDEBAR.navigation`` wants: groups of links."""
    groups = [{"items": _links(request, screens)} for screens in (_SCREENS, _OFFICE)]
    return [{**group, "separator": number > 0} for number, group in enumerate(groups) if group["items"]]


def _links(request: HttpRequest, screens: tuple[tuple[str, str, str, str], ...]) -> list[dict[str, Any]]:
    return [
        {"title": title, "icon": icon, "link": reverse(f"admin:{name}")}
        for title, icon, name, permission in screens
        if not permission or request.user.has_perm(permission)
    ]
