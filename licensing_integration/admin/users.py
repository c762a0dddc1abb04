"""Users: Django's own page, except that nobody gives away more than they have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest

User = get_user_model()
admin.site.unregister(User)


@admin.register(User)
class CarefulUserAdmin(UserAdmin):
    """Only a superuser makes, changes or deletes superusers, or hands out single permissions."""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        own = super().get_readonly_fields(request, obj)
        return own if _is_superuser(request) else (*own, "is_superuser", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


def _may_touch(request: HttpRequest, user: Any) -> bool:
    return user is None or not user.is_superuser or _is_superuser(request)
