"""People: who may do no more than somebody else, and what the audit keeps of users, roles and sign-ins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from licensing_integration.models import AuditEntry
from licensing_integration.services import audit

# Whoever tries passwords by the thousand does not fill the audit.
BETWEEN_FAILURES = timedelta(minutes=1)

_SENTENCES: Final[Mapping[str, str]] = {
    "signed_in": "Signed in.",
    "signed_out": "Signed out.",
    "password_changed": "Changed the own password.",
}


def permissions_of(user: Any) -> QuerySet[Permission]:
    """What the user's roles and single permissions give, also while the user may not sign in."""
    return Permission.objects.filter(Q(group__user=user) | Q(user=user)).distinct()


def is_within(user: Any, other: Any) -> bool:
    """Whether ``user`` may do nothing that ``other``, who is no superuser, may not."""
    return not user.is_superuser and not permissions_of(user).exclude(pk__in=permissions_of(other)).exists()


def roles_within(user: Any) -> QuerySet[Group]:
    """The roles that give nothing that ``user``, who is no superuser, does not have."""
    beyond = Permission.objects.exclude(pk__in=permissions_of(user))
    return Group.objects.exclude(permissions__in=beyond).order_by("name")


def is_in_audit(user: Any) -> bool:
    """Whether the audit knows of anything that the user did; signing in is the first thing anybody does. Whoever tries
    to in the user's name may be somebody else."""
    return AuditEntry.objects.filter(user=user).exclude(action="user.sign_in_failed").exists()


def tell_about(row: Model, verb: str, *, user_id: int, fields: Sequence[str] = ()) -> None:
    """Keep that somebody has ``added``, ``changed`` or ``deleted`` a user or a role. ``fields``: labels of what was
    changed."""
    kind = "role" if isinstance(row, Group) else "user"
    changed = f": {', '.join(field.lower() for field in fields)}" if fields else ""
    now = "" if kind == "role" or verb == "deleted" else f" {_powers(row)}"
    audit.record(f"{kind}.{verb}", f"The {kind} {row} was {verb}{changed}.{now}", user_id=user_id)


def tell_sign_in(what: str, *, user_id: int | None, name: str) -> None:
    """Keep that somebody ``signed_in``, ``signed_out`` or ``password_changed``; or that a ``sign_in_failed`` for the
    user called ``name``. What is typed there may be a password, so of a name that nobody has nothing is kept."""
    if what != "sign_in_failed":
        audit.record(f"user.{what}", _SENTENCES[what], user_id=user_id)
        return
    user = None if "\x00" in name else get_user_model()._default_manager.filter(username=name).first()
    if user is None:
        return
    failed = AuditEntry.objects.filter(user=user).order_by("-id").first()
    action = "user.sign_in_failed"
    if failed and failed.action == action and failed.at > timezone.now() - BETWEEN_FAILURES:
        return
    audit.record(action, "A sign-in with this name failed. More within the minute are not kept.", user_id=user.pk)


def _powers(user: Any) -> str:
    if not (user.is_active and user.is_staff):
        return "May not use the console."
    if user.is_superuser:
        return "Is a superuser."
    names = ", ".join(user.groups.order_by("name").values_list("name", flat=True))
    return f"Roles: {names or 'none'}."
