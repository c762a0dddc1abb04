"""Registers the system checks, names the admin site; nothing else happens at import."""

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.core.checks import register


class LicensingIntegrationConfig(AppConfig):
    name = "licensing_integration"
    verbose_name = "Licensing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from licensing_integration import checks  # settings are complete only now

        for check in checks.ALL:
            register(check)


class LicensingAdminConfig(AdminConfig):
    """``django.contrib.admin`` with our own site, which has pages of ours beside the tables."""

    default = False
    default_site = "licensing_integration.admin_site.LicensingAdminSite"
