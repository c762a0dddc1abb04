"""Users and roles: Django's own pages, except that nobody gives away more than they have, and all of it is audited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from licensing_integration.services import people

User = get_user_model()
admin.site.unregister(User)
admin.site.unregister(Group)


class AuditedAdmin(ModelAdmin):
    """Tells the audit where Django tells its own log, which is in the transaction of the change."""

    actions = None  # people and roles are deleted one at a time

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        people.tell_about(obj, "added", user_id=request.user.pk)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        people.tell_about(obj, "changed", user_id=request.user.pk, fields=_fields(message))
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        for row in queryset:
            people.tell_about(row, "deleted", user_id=request.user.pk)
        return super().log_deletions(request, queryset)


@admin.register(User)
class CarefulUserAdmin(UserAdmin, AuditedAdmin):
    """Only a superuser makes, changes or deletes superusers, or hands out single permissions; and nobody touches
    somebody who may do more than they, or gives a role that may."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "roles", "is_active", "last_login")
    list_filter = ("is_active", "groups")
    filter_horizontal = ()
    list_before_template = "admin/licensing_integration/includes/about_users.html"
    change_form_outer_before_template = "admin/licensing_integration/includes/about_users.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description="roles", empty_value="none")
    def roles(self, user: Any) -> str | None:
        if user.is_superuser:
            return "superuser"
        return ", ".join(sorted(group.name for group in user.groups.all())) or None

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        own = (*super().get_readonly_fields(request, obj), "last_login", "date_joined")
        return own if _is_superuser(request) else (*own, "is_superuser", "user_permissions")

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs |= {"label": "Roles", "help_text": "", "widget": UnfoldAdminCheckboxSelectMultipleWidget()}
            if not _is_superuser(request):
                kwargs["queryset"] = people.roles_within(request.user)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        with transaction.atomic():
            return super().user_change_password(request, id, form_url)


@admin.register(Group)
class RoleAdmin(GroupAdmin, AuditedAdmin):
    """The roles. Only a superuser changes them, and ``sync_roles`` puts back those that come with the product."""

    filter_horizontal = ()
    list_before_template = "admin/licensing_integration/includes/about_roles.html"
    change_form_outer_before_template = "admin/licensing_integration/includes/about_roles.html"

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        checkboxes = {"widget": UnfoldAdminCheckboxSelectMultipleWidget(), "help_text": ""}
        return super().formfield_for_manytomany(db_field, request, **kwargs, **checkboxes)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_superuser)


def _may_touch(request: HttpRequest, user: Any) -> bool:
    return user is None or _is_superuser(request) or people.is_within(user, request.user)


def _fields(message: Any) -> Sequence[str]:
    """The labels of what was changed, from Django's own note about it."""
    parts: Sequence[Mapping[str, Any]] = message if isinstance(message, list) else []
    return [field for part in parts for field in part.get("changed", {}).get("fields", ())]


def _tell_sign_in(request: HttpRequest, what: str) -> None:
    name = request.POST.get("username", "")
    people.tell_sign_in(what, user_id=request.user.pk, name=name)


admin.site.tell = _tell_sign_in
