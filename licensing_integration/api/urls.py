"""Addresses for machines: stores deliver here, monitors ask here. And the one page for customers."""

from __future__ import annotations

from django.urls import path

from licensing_integration.api.fulfilment import FulfilmentView
from licensing_integration.api.health import live, ready
from licensing_integration.api.order_page import OrderPageView
from licensing_integration.api.webhooks import WebhookView

urlpatterns = [
    path("health/live", live, name="health-live"),
    path("health/ready", ready, name="health-ready"),
    path("webhooks/<slug:store>/", WebhookView.as_view(), name="webhook"),
    path("fulfilment/<slug:store>/", FulfilmentView.as_view(), name="fulfilment"),
    path("orders/<slug:store>/<str:reference>/", OrderPageView.as_view(), name="order-page"),
]
