"""Users and roles: Django's own pages, except that nobody gives away more than they have, and all of it is audited."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from licensing_integration.services import people
from licensing_integration.templatetags.console import moment

User = get_user_model()
# Headings, breadcrumbs and buttons say what the sidebar says. Migrations never see it.
Group._meta.verbose_name, Group._meta.verbose_name_plural = "role", "roles"
admin.site.unregister(User)
admin.site.unregister(Group)


class AuditedAdmin(ModelAdmin):
    """Tells the audit where Django tells its own log, which is in the transaction of the change."""

    actions = None  # people and roles are deleted one at a time
    delete_confirmation_template = "admin/licensing_integration/delete_person.html"

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """What the filters beside the list write into the address; no pattern that the database may not understand."""
        return lookup.endswith(("__exact", "__isnull")) and super().lookup_allowed(lookup, value, request)

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
    somebody who may do more than they, or gives a role that may. Whoever has done anything is not deleted: histories
    and versions of mappings name them by their row, and would say that nobody did it."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Personal info", {"fields": ("first_name", "last_name", "email")}),
        ("Permissions", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Dates", {"fields": ("signed_in", "joined")}),
    )
    add_fieldsets = (*UserAdmin.add_fieldsets, ("Permissions", {"fields": ("is_staff", "groups")}))
    list_display = ("username", "email", "roles", "is_active", "signed_in")
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

    @admin.display(description="last sign-in", ordering="last_login", empty_value="never")
    def signed_in(self, user: Any) -> SafeString | None:
        return moment(user.last_login) or None

    @admin.display(description="added")
    def joined(self, user: Any) -> SafeString:
        return moment(user.date_joined)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Whoever is added here is added to use the console."""
        return {"is_staff": True, **super().get_changeform_initial_data(request)}

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        own = (*super().get_readonly_fields(request, obj), "signed_in", "joined")
        return own if _is_superuser(request) else (*own, "is_superuser", "user_permissions")

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs |= {"label": "Roles", "help_text": "", "widget": UnfoldAdminCheckboxSelectMultipleWidget()}
            if not _is_superuser(request):
                kwargs["queryset"] = people.roles_within(request.user)
        return _in_words(super().formfield_for_manytomany(db_field, request, **kwargs))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_touch(request, obj) and not _is_known(request, obj)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        with transaction.atomic():
            return super().user_change_password(request, id, form_url)


@admin.register(Group)
class RoleAdmin(GroupAdmin, AuditedAdmin):
    """The roles. Only a superuser changes them, and ``sync_roles`` puts back those that come with the product."""

    filter_horizontal = ()
    readonly_fields: ClassVar = ("allowed",)
    list_before_template = "admin/licensing_integration/includes/about_roles.html"
    change_form_outer_before_template = "admin/licensing_integration/includes/about_roles.html"

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        checkboxes = {"widget": UnfoldAdminCheckboxSelectMultipleWidget(), "help_text": ""}
        return _in_words(super().formfield_for_manytomany(db_field, request, **kwargs, **checkboxes))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name", "permissions" if _is_superuser(request) else "allowed")

    @admin.display(description="may")
    def allowed(self, role: Group) -> SafeString:
        names = role.permissions.order_by("content_type__app_label", "id")
        return format_html(
            '<ul class="li-list">{}</ul>', format_html_join("", "<li>{}</li>", ((_words(p),) for p in names))
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)


def _words(permission: Permission) -> str:
    """What a permission allows, without the app and the table it is declared at."""
    name = permission.name.removeprefix("Can ")
    return name[:1].upper() + name[1:]


def _in_words(field: Any) -> Any:
    """The form field, offering permissions, if that is what it offers, in words."""
    if field.queryset.model is Permission:
        field.label_from_instance = _words
    return field


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_superuser)


def _may_touch(request: HttpRequest, user: Any) -> bool:
    if user is None or _is_superuser(request):
        return True
    return _once(request, "_may_touch", user, lambda: people.is_within(user, request.user))


def _is_known(request: HttpRequest, user: Any) -> bool:
    """Whether the audit knows anything of the user."""
    return user is not None and _once(request, "_is_known", user, lambda: people.is_in_audit(user))


def _once(request: HttpRequest, name: str, user: Any, judge: Callable[[], bool]) -> bool:
    """Asked many times for one page, and found out once."""
    judged: dict[Any, bool] = request.__dict__.setdefault(name, {})
    if user.pk not in judged:
        judged[user.pk] = judge()
    return judged[user.pk]


def _fields(message: Any) -> Sequence[str]:
    """The labels of what was changed, from Django's own note about it."""
    parts: Sequence[Mapping[str, Any]] = message if isinstance(message, list) else []
    return [field for part in parts for field in part.get("changed", {}).get("fields", ())]


def _tell_sign_in(request: HttpRequest, what: str) -> None:
    name = request.POST.get("username", "")
    people.tell_sign_in(what, user_id=request.user.pk, name=name)


admin.site.tell = _tell_sign_in
