"""Roles: the groups Support, Staff and Owner. The admin asks for permissions, never for groups."""

from __future__ import annotations

from collections.abc import Mapping

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Q

_SUPPORT = frozenset(
    f"licensing_integration.{codename}"
    for codename in (
        "view_webhookevent",
        "view_rejecteddelivery",
        "view_purchase",
        "view_licenselink",
        "view_productmapping",
        "replay_webhookevent",
        "plan_purchase",
        "acknowledge_purchase",
        "resync_licenselink",
        "reveal_key_licenselink",
        "resend_key_licenselink",
    )
)
_STAFF = _SUPPORT | {
    f"licensing_integration.{codename}"
    for codename in (
        "add_productmapping",
        "change_productmapping",
        "bulk_replay_webhookevent",
        "act_on_many_licenselink",
        "act_on_many_purchase",
        "view_bulkreplay",
        "view_auditentry",
        "close_disputes_purchase",
        "override_licenselink",
        "issue_again_licenselink",
    )
}
_OWNER = (
    _STAFF
    | {f"licensing_integration.{codename}" for codename in ("view_connections", "erase_purchase")}
    | {f"auth.{codename}" for codename in ("view_user", "add_user", "change_user", "delete_user", "view_group")}
)

ROLES: Mapping[str, frozenset[str]] = {"Support": _SUPPORT, "Staff": _STAFF, "Owner": _OWNER}


def sync_roles() -> list[str]:
    """Make the groups exist with exactly these permissions; members stay. Returns the names of the groups changed.

    Raises ``LookupError`` for a permission that no model declares: then the database lacks a migration.
    """
    with transaction.atomic():
        for label in ("licensing_integration", "auth"):
            create_permissions(apps.get_app_config(label), verbosity=0)
        return [name for name, codenames in ROLES.items() if _sync(name, codenames)]


def _sync(name: str, codenames: frozenset[str]) -> bool:
    group, is_new = Group.objects.get_or_create(name=name)
    wanted = _permissions(codenames)
    before = set(group.permissions.values_list("id", flat=True))
    after = {permission.pk for permission in wanted}
    group.permissions.set(wanted)
    return is_new or before != after


def _permissions(codenames: frozenset[str]) -> list[Permission]:
    wanted = Q()
    for label, codename in (name.split(".", 1) for name in codenames):
        wanted |= Q(content_type__app_label=label, codename=codename)
    found = list(Permission.objects.filter(wanted).select_related("content_type"))
    missing = codenames - {f"{p.content_type.app_label}.{p.codename}" for p in found}
    if missing:
        raise LookupError(f"No model declares the permissions {', '.join(sorted(missing))}.")
    return found
