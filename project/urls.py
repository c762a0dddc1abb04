"""All addresses: the admin, health and webhooks. Everybody else is sent to the admin."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index", permanent=False)),
    path("", include("licensing_integration.api.urls")),
    path("admin/", admin.site.urls),
]
